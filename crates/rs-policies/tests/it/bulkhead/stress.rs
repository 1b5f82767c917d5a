//! Bulkheads under load: real threads, and a real runtime.

use super::*;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::SeqCst},
    },
    thread,
};

use rs_core::Clock;
use rs_policies::Surroundings;

/// Counts who is inside, and remembers the most there ever were.
#[derive(Default)]
struct Room {
    now: AtomicU32,
    most: AtomicU32,
}

impl Room {
    fn visit<R>(&self, stay: impl FnOnce() -> R) -> R {
        let now = self.now.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(now, SeqCst);
        let result = stay();
        self.now.fetch_sub(1, SeqCst);
        result
    }
}

fn apart() -> Surroundings {
    Surroundings::apart().with_seed(7)
}

#[track_caller]
fn check_limit(limit: u32, threads: u32) {
    let bulkhead = Bulkhead::within(&apart(), "bank", BulkheadConfig::of(limit)).unwrap();
    let (room, entered) = (Room::default(), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for _ in 0..5000 {
                    if let Ok(permit) = enter(&bulkhead) {
                        room.visit(thread::yield_now);
                        entered.fetch_add(1, SeqCst);
                        drop(permit);
                    }
                }
            });
        }
    });
    let (most, full) = (room.most.load(SeqCst), bulkhead.refused(Crowded::Full));
    println!("limit {limit}, {threads} threads: at most {most} inside, {full} refused");
    assert!(most <= limit);
    assert_eq!(entered.load(SeqCst) + full, u64::from(threads) * 5000);
    assert_eq!((bulkhead.in_flight(), bulkhead.waiting()), (0, 0));
    // All places can be had again, by one alone.
    let all: Vec<_> = (0..limit).map(|_| enter(&bulkhead).unwrap()).collect();
    assert_eq!(
        (bulkhead.in_flight(), enter(&bulkhead).is_err()),
        (limit, true)
    );
    drop(all);
}

#[test]
fn threads_never_are_more_than_the_limit() {
    check_limit(1, 4);
    check_limit(3, 8);
    // Those have purses.
    check_limit(8, 24);
    check_limit(16, 20);
    check_limit(40, 8);
}

/// Everybody comes in, or is refused for a reason, or goes away; nobody is forgotten.
#[expect(
    clippy::disallowed_methods,
    reason = "the test starts the tasks that meet"
)]
async fn crowd(tasks: u32, rounds: u32, config: BulkheadConfig, resize: bool) {
    let bulkhead = Bulkhead::within(&apart(), "bank", config).unwrap();
    let room = Arc::new(Room::default());
    let mut running = Vec::new();
    for task in 0..tasks {
        let (bulkhead, room) = (bulkhead.clone(), Arc::clone(&room));
        running.push(tokio::spawn(async move {
            let mut ends = [0_u32; 3];
            for round in 0..rounds {
                let call = Call::new("x");
                let mut entering = pin!(bulkhead.admit(&call));
                let mut polls = 0;
                // Some go away after so many looks.
                let patience = match (task + round) % 7 {
                    0 => 1,
                    1 => 2,
                    _ => u32::MAX,
                };
                let entered = std::future::poll_fn(|context| {
                    polls += 1;
                    match entering.as_mut().poll(context) {
                        Poll::Ready(entered) => Poll::Ready(Some(entered)),
                        Poll::Pending if polls >= patience => Poll::Ready(None),
                        Poll::Pending => Poll::Pending,
                    }
                });
                match entered.await {
                    None => ends[2] += 1,
                    Some(Err(_)) => ends[1] += 1,
                    Some(Ok(permit)) => {
                        ends[0] += 1;
                        room.now.fetch_add(1, SeqCst);
                        room.most.fetch_max(room.now.load(SeqCst), SeqCst);
                        tokio::task::yield_now().await;
                        room.now.fetch_sub(1, SeqCst);
                        drop(permit);
                    }
                }
                if resize && round % 64 == 0 {
                    let limit = 1 + (task + round / 64) % 4;
                    bulkhead.reconfigure(config.but(limit)).unwrap();
                }
            }
            ends
        }));
    }
    let mut ends = [0_u32; 3];
    for one in running {
        for (all, these) in ends.iter_mut().zip(one.await.unwrap()) {
            *all += these;
        }
    }
    println!(
        "in, refused, gone: {ends:?}, at most {} at once",
        room.most.load(SeqCst)
    );
    assert_eq!(ends.iter().sum::<u32>(), tasks * rounds);
    let most = if resize { 4 } else { config.limit() };
    assert!(room.most.load(SeqCst) <= most);
    assert_eq!((bulkhead.in_flight(), bulkhead.waiting()), (0, 0));
    // Whoever was left waiting would be there still: every place can be taken.
    let limit = bulkhead.config().limit();
    let all: Vec<_> = (0..limit).map(|_| enter(&bulkhead).unwrap()).collect();
    assert!(enter(&bulkhead).is_err());
    drop(all);
}

trait But {
    fn but(self, limit: u32) -> Self;
}

impl But for BulkheadConfig {
    fn but(self, limit: u32) -> Self {
        Self::of(limit).with_queue(self.queue(), self.longest_wait())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn tasks_on_many_threads() {
    let config = BulkheadConfig::of(4).with_queue(1000, 60 * SECOND);
    crowd(64, 300, config, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn tasks_on_many_threads_while_the_numbers_change() {
    let config = BulkheadConfig::of(4).with_queue(16, 60 * SECOND);
    crowd(64, 300, config, true).await;
}

/// Ten run, a hundred wait, each takes 10 ms: the last has waited 100 ms, and the order was kept.
#[tokio::test(start_paused = true)]
#[expect(
    clippy::disallowed_methods,
    reason = "the test starts the tasks that meet"
)]
async fn a_queue_of_a_hundred() {
    let clock = Clock::tokio();
    let config = BulkheadConfig::of(10).with_queue(100, SECOND);
    let bulkhead = Bulkhead::within(&apart(), "bank", config).unwrap();
    let (begin, order) = (clock.now(), Arc::new(AtomicU32::new(0)));
    let mut running = Vec::new();
    for _ in 0..110 {
        let (bulkhead, order, clock) = (bulkhead.clone(), Arc::clone(&order), clock.clone());
        running.push(tokio::spawn(async move {
            let inside = bulkhead.call("x", async |_| {
                let (place, waited) = (order.fetch_add(1, SeqCst), clock.now() - begin);
                clock.sleep(10 * MS).await;
                Ok::<_, ()>((place, waited))
            });
            inside.await.unwrap()
        }));
    }
    while bulkhead.in_flight() + bulkhead.waiting() < 110 {
        tokio::task::yield_now().await;
    }
    assert_eq!((bulkhead.in_flight(), bulkhead.waiting()), (10, 100));
    let mut waits = Vec::new();
    for (number, one) in running.into_iter().enumerate() {
        let (place, waited) = one.await.unwrap();
        assert_eq!(place as usize, number, "in order of arrival");
        let turn = (number / 10) as u32;
        // Tokio's timers are a millisecond late at most, ten times in a row.
        assert!(
            waited >= turn * 10 * MS && waited <= turn * 11 * MS,
            "{number}: {waited:?}"
        );
        waits.push(waited);
    }
    println!("median wait {:?}, longest {:?}", waits[55], waits[109]);
    assert_eq!((bulkhead.in_flight(), bulkhead.waiting()), (0, 0));
}
