//! Any sequence of what people do, beside a model that only counts.

use std::{
    collections::BTreeMap,
    pin::pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use proptest::prelude::{Just, Strategy as _, any, prop_assert_eq, prop_oneof, proptest};
use rs_balance::{
    BalancerConfig, Strategy,
    pool::{BalancedPool, Connected, PoolConfig},
};
use rs_core::Outcome;

use super::dock::{Dock, endpoints};
use crate::support;

const IDLE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
enum Step {
    Get,
    Finish(usize),
    Fail(usize),
    Drop(usize),
    /// Those whose bit is set are the endpoints.
    Update(u8),
    Resize(u32),
    Pass(u64),
}

fn step() -> impl proptest::strategy::Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Get),
        4 => any::<usize>().prop_map(Step::Finish),
        1 => any::<usize>().prop_map(Step::Fail),
        1 => any::<usize>().prop_map(Step::Drop),
        1 => (0_u8..16).prop_map(Step::Update),
        1 => (1_u32..4).prop_map(Step::Resize),
        2 => (0_u64..8_000).prop_map(Step::Pass),
    ]
}

/// An endpoint from its coming to its going.
#[derive(Debug, Default)]
struct Shelf {
    taken: usize,
    idle: Vec<Instant>,
    is_gone: bool,
}

struct Model {
    size: usize,
    shelves: Vec<Shelf>,
    /// Which of them an id is now.
    current: BTreeMap<u32, usize>,
}

impl Model {
    fn expire(&mut self, shelf: usize, now: Instant) {
        self.shelves[shelf].idle.retain(|since| now - *since < IDLE);
    }

    fn end(&mut self, shelf: usize, now: Instant, comes_back: bool) {
        let full = {
            let shelf = &self.shelves[shelf];
            shelf.is_gone || shelf.idle.len() + shelf.taken > self.size
        };
        self.shelves[shelf].taken -= 1;
        if comes_back && !full {
            self.shelves[shelf].idle.push(now);
            self.expire(shelf, now);
        }
    }

    fn update(&mut self, ids: &[u32]) {
        let gone: Vec<u32> = self
            .current
            .keys()
            .copied()
            .filter(|id| !ids.contains(id))
            .collect();
        for id in gone {
            let shelf = self.current.remove(&id).unwrap();
            self.shelves[shelf].is_gone = true;
            self.shelves[shelf].idle.clear();
        }
        for id in ids {
            let shelves = &mut self.shelves;
            self.current.entry(*id).or_insert_with(|| {
                shelves.push(Shelf::default());
                shelves.len() - 1
            });
        }
    }

    fn resize(&mut self, size: usize) {
        self.size = size;
        for shelf in self.current.values() {
            let shelf = &mut self.shelves[*shelf];
            let surplus = (shelf.idle.len() + shelf.taken).saturating_sub(size);
            shelf.idle.drain(..surplus.min(shelf.idle.len()));
        }
    }

    fn sum(&self, count: impl Fn(&Shelf) -> usize) -> usize {
        let current = self.current.values();
        current.map(|shelf| count(&self.shelves[*shelf])).sum()
    }
}

fn config(size: u32) -> PoolConfig {
    let balance = BalancerConfig::new(Strategy::RoundRobin).without_outliers();
    PoolConfig::of(size)
        .with_queue(0, Duration::from_secs(1))
        .with_idle(IDLE)
        .with_tries(4)
        .balanced(balance)
}

proptest! {
    #[test]
    fn counts_are_what_a_model_says(steps in proptest::collection::vec(step(), 1..80)) {
        // The clock only tells the time here: nothing waits, but timers are made.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let _inside = runtime.enter();
        let (around, hand) = support::around();
        let clock = around.clock().clone();
        let dock = Dock::default();
        let pool = BalancedPool::within(&around, "test", dock.clone(), config(2)).unwrap();
        let mut model = Model { size: 2, shelves: Vec::new(), current: BTreeMap::new() };
        let mut held: Vec<(usize, Connected<Dock>)> = Vec::new();
        let first: Vec<u32> = (0..4).collect();
        pool.update(endpoints(first.clone()));
        model.update(&first);
        for step in steps {
            let now = clock.now();
            match step {
                Step::Get => {
                    let mut context = Context::from_waker(Waker::noop());
                    let Poll::Ready(got) = pin!(pool.get("call")).poll(&mut context) else {
                        panic!("nobody waits");
                    };
                    let room = model.sum(|shelf| usize::from(shelf.taken < model.size));
                    prop_assert_eq!(got.is_ok(), room > 0);
                    if let Ok(connected) = got {
                        let shelf = model.current[connected.target()];
                        model.expire(shelf, now);
                        let reused = model.shelves[shelf].idle.pop().is_some();
                        prop_assert_eq!(connected.is_reused(), reused);
                        model.shelves[shelf].taken += 1;
                        held.push((shelf, connected));
                    }
                }
                Step::Finish(which) | Step::Fail(which) | Step::Drop(which) => {
                    if held.is_empty() {
                        continue;
                    }
                    let (shelf, connected) = held.swap_remove(which % held.len());
                    let comes_back = matches!(step, Step::Finish(_));
                    match step {
                        Step::Finish(_) => connected.finish(Outcome::Success),
                        Step::Fail(_) => connected.finish(Outcome::TRANSIENT),
                        _ => drop(connected),
                    }
                    model.end(shelf, now, comes_back);
                }
                Step::Update(bits) => {
                    let ids: Vec<u32> = (0..4).filter(|id| bits >> id & 1 == 1).collect();
                    pool.update(endpoints(ids.clone()));
                    model.update(&ids);
                }
                Step::Resize(size) => {
                    pool.reconfigure(config(size)).unwrap();
                    model.resize(size as usize);
                }
                Step::Pass(millis) => hand.advance(Duration::from_millis(millis)),
            }
            prop_assert_eq!(pool.idle(), model.sum(|shelf| shelf.idle.len()));
            prop_assert_eq!(pool.leased(), model.sum(|shelf| shelf.taken));
            prop_assert_eq!(pool.in_flight() as usize, pool.leased());
            prop_assert_eq!(dock.all_open(), held.len() + pool.idle());
        }
        drop(held);
        prop_assert_eq!((pool.leased(), pool.in_flight()), (0, 0));
        drop(pool);
        prop_assert_eq!(dock.all_open(), 0);
    }
}
