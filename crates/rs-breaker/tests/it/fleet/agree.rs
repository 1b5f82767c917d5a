//! Whatever happens to replicas, their lines and their storage: when it is over, they agree.

use super::{Mood, Moody, Replica, pass};
use crate::support::SECOND;
use fastrand::Rng;
use rs_breaker::{Breaker, FleetConfig, Forced, MemoryStorage, Ordered};
use rs_core::Mandate;
use rs_testkit::wait_until;

struct World {
    replicas: Vec<(Replica, Moody)>,
    dice: Rng,
    orders: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let first = Moody::default();
        let line = || Moody {
            memory: first.memory.clone(),
            ..Moody::default()
        };
        let lines = [line(), line(), line()];
        Self {
            replicas: lines.map(|line| (Replica::new(&line), line)).into(),
            dice: Rng::with_seed(seed),
            orders: 0,
        }
    }

    async fn step(&mut self) {
        self.orders += 1;
        let (dice, orders) = (&mut self.dice, self.orders);
        let Some((replica, line)) = dice.choice(&self.replicas) else {
            return;
        };
        let by = Mandate::new(format!("number {orders}"), "by chance");
        match dice.u32(..20) {
            0..6 => {
                let all = [Forced::Open, Forced::Closed, Forced::Isolated];
                let forced = dice.choice(all).unwrap();
                let short = SECOND.mul_f64(dice.f64() * 8.0);
                let by = if dice.bool() { by.lasting(short) } else { by };
                replica.breaker.force(forced, by);
            }
            6..9 => drop(replica.breaker.release(by)),
            9 => replica.breaker.reset(by),
            10 => line.memory.clear(),
            11..13 => line.is(Mood::Fails),
            13 => line.is(Mood::Hangs),
            14 => line.is(Mood::Mute),
            _ => line.is(Mood::Well),
        }
        if dice.bool() {
            pass(SECOND.mul_f64(self.dice.f64() * 3.0)).await;
        }
    }

    async fn heal(&self) {
        for (_, line) in &self.replicas {
            line.is(Mood::Well);
        }
        // Longer than any order that ends by itself, and than any pause.
        pass(30 * SECOND).await;
    }

    fn orders(&self) -> Vec<Option<Ordered>> {
        self.replicas
            .iter()
            .map(|(replica, _)| replica.order())
            .collect()
    }
}

#[tokio::test(start_paused = true)]
async fn they_agree() {
    let mut standing = 0;
    for seed in 0..200 {
        let mut world = World::new(seed);
        for _ in 0..40 {
            world.step().await;
        }
        world.heal().await;
        let orders = world.orders();
        assert!(
            orders.iter().all(|order| *order == orders[0]),
            "seed {seed}: {orders:#?}"
        );
        standing += u32::from(orders[0].is_some());
    }
    assert!(
        (20..=180).contains(&standing),
        "{standing} of 200 end with an order"
    );
}

/// What people do in a hurry.
fn hurry(breaker: &Breaker) {
    for round in 0..2000 {
        let by = || Mandate::new(format!("number {round}"), "by hand");
        breaker.force_open(by());
        if round % 3 > 0 {
            breaker.release(by());
        }
        std::thread::yield_now();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_agree() {
    for _ in 0..5 {
        let storage = MemoryStorage::new();
        let config = || FleetConfig::default().with_interval(SECOND / 100);
        let replicas = [(); 3].map(|()| Replica::with(storage.clone(), config()));
        let hurries = replicas.each_ref().map(|replica| {
            let breaker = replica.breaker.clone();
            tokio::task::spawn_blocking(move || hurry(&breaker))
        });
        for hurry in hurries {
            hurry.await.unwrap();
        }
        wait_until("they agree", 20 * SECOND, async || {
            let [first, second, third] = replicas.each_ref().map(Replica::order);
            let waiting = replicas
                .iter()
                .map(|replica| replica.fleet.status().waiting);
            if waiting.sum::<usize>() == 0 && first == second && second == third {
                return Ok(());
            }
            Err(format!("{first:?} {second:?} {third:?}"))
        })
        .await
        .unwrap();
    }
}
