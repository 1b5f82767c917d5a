//! What nobody should do, and somebody will: panic in the middle, drop a step, run two pilots, time a rollback.

use std::{
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::Poll,
    time::{Duration, Instant},
};

use rs_cache_migrate::{
    BackfillConfig, CacheAdapter, CacheError, CacheMigration, Capabilities, Entry, Lookup,
    MigrationConfig, PilotConfig, PilotMode, Side, Stage, TtlCache,
};
use rs_core::{Rate, Share};
use rs_metrics::Surroundings;

use crate::support::{HOUR, Remote, bench, bench_with, by};

/// Panics in a change when it is told to, asked with a future or without.
#[derive(Clone)]
struct Panicky {
    cache: TtlCache<String, u64>,
    at_once: bool,
    panics: Arc<AtomicBool>,
}

impl Panicky {
    fn perhaps(&self) {
        assert!(!self.panics.load(SeqCst), "as it was told");
    }
}

impl CacheAdapter<String, u64> for Panicky {
    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }
    async fn get(&self, key: &String) -> Result<Option<Entry<u64>>, CacheError> {
        CacheAdapter::get(&self.cache, key).await
    }
    fn changes_at_once(&self) -> bool {
        self.at_once
    }
    fn set_at_once(&self, key: &String, entry: Entry<u64>) -> Result<(), CacheError> {
        self.perhaps();
        self.cache.set_at_once(key, entry)
    }
    fn delete_at_once(&self, key: &String) -> Result<(), CacheError> {
        self.perhaps();
        self.cache.delete_at_once(key)
    }
    async fn set(&self, key: &String, entry: Entry<u64>) -> Result<(), CacheError> {
        self.set_at_once(key, entry)
    }
    async fn delete(&self, key: &String) -> Result<(), CacheError> {
        self.delete_at_once(key)
    }
    async fn clear(&self) -> Result<(), CacheError> {
        CacheAdapter::clear(&self.cache).await
    }
}

#[tokio::test]
async fn a_cache_that_panics_in_a_change_leaves_a_miss_and_no_lock() {
    for (at_once, side) in [
        (true, Side::New),
        (true, Side::Legacy),
        (false, Side::New),
        (false, Side::Legacy),
    ] {
        let around = Surroundings::apart();
        let cache = || Panicky {
            cache: TtlCache::within(&around, HOUR),
            at_once,
            panics: Arc::default(),
        };
        let (legacy, new) = (cache(), cache());
        let sick = match side {
            Side::Legacy => Arc::clone(&legacy.panics),
            _ => Arc::clone(&new.panics),
        };
        let config = MigrationConfig::default().with_steps([Share::ALL]);
        let migration = CacheMigration::within(&around, "prompts", legacy, new, config).unwrap();
        while migration.state().stage != Stage::Live {
            migration.advance(by()).await.unwrap();
        }
        let key = "a".to_owned();
        migration.set(&key, 1, HOUR).await.unwrap();
        sick.store(true, SeqCst);
        let (other, changed) = (migration.clone(), key.clone());
        let ended = tokio::spawn(async move { other.set(&changed, 2, HOUR).await }).await;
        assert!(ended.unwrap_err().is_panic());
        // What it had before was promised to nobody any more, wherever it is read.
        sick.store(false, SeqCst);
        let first = migration.get(&key).await.unwrap();
        assert_ne!(first, Lookup::Hit(1), "{side} {at_once}");
        migration.set(&key, 3, HOUR).await.unwrap();
        assert_eq!(migration.get(&key).await.unwrap(), Lookup::Hit(3));
        assert_eq!(
            migration.doubtful(Side::New) + migration.doubtful(Side::Legacy),
            0
        );
        migration.advance(by()).await.unwrap();
        assert_eq!(migration.get(&key).await.unwrap(), Lookup::Hit(3));
    }
}

/// A step is dropped while it waits for a change, and then everybody drops the migration.
#[tokio::test]
async fn a_step_that_is_dropped_is_settled_by_the_next() {
    let bench = bench(MigrationConfig::default()).at(Stage::DualWrite).await;
    bench.new.way.hangs.store(true, SeqCst);
    let (migration, key) = (bench.migration.clone(), "a".to_owned());
    let mut change = Box::pin(async move { migration.set(&key, 1, HOUR).await });
    let poll = async |future: &mut (dyn Future<Output = ()> + Unpin)| {
        let polled = std::future::poll_fn(|context| {
            Poll::Ready(std::pin::Pin::new(&mut *future).poll(context).is_ready())
        });
        polled.await
    };
    let mut changing = Box::pin(async {
        let _ = change.as_mut().await;
    });
    assert!(!poll(&mut changing).await);
    for _ in 0..3 {
        let mut step = Box::pin(async {
            let _ = bench.migration.advance(by()).await;
        });
        assert!(!poll(&mut step).await, "it waits for the change");
    }
    let state = bench.migration.state();
    assert!(state.stage <= Stage::Shadow, "no two steps: {state}");
    drop(changing);
    drop(change);
    bench.new.way.hangs.store(false, SeqCst);
    bench.migration.advance(by()).await.unwrap();
    assert!(bench.migration.state().settled);

    let mut step = Box::pin(bench.migration.advance(by()));
    let _ = std::future::poll_fn(|context| Poll::Ready(step.as_mut().poll(context))).await;
    drop(step);
    let directory = bench.directory.clone();
    drop(bench);
    assert!(directory.find("cache_migration", "prompts").is_none());
}

#[tokio::test(start_paused = true)]
async fn two_pilots_are_one_and_the_second_goes_on_when_the_first_is_dropped() {
    let around = Surroundings::apart();
    let cache = || TtlCache::<String, u64>::within(&around, HOUR);
    let pilot = PilotConfig::default().with_mode(PilotMode::Automatic);
    let config = MigrationConfig::default().with_pilot(pilot);
    let migration = CacheMigration::within(&around, "prompts", cache(), cache(), config).unwrap();
    let run = |migration: &CacheMigration<_, _, _, _>| {
        let migration = migration.clone();
        tokio::spawn(async move { migration.run().await })
    };
    let (first, second) = (run(&migration), run(&migration));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let steps = || migration.report().decisions.len();
    assert_eq!((migration.state().stage, steps()), (Stage::DualWrite, 1));
    first.abort();
    migration.rollback(by()).unwrap();
    migration.release(by());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(
        migration.state().stage,
        Stage::DualWrite,
        "the second goes on"
    );
    second.abort();
}

/// Nothing that copies adds what is absent: the lock of the key does what that would.
#[tokio::test]
async fn a_copier_needs_no_cache_that_adds_what_is_absent() {
    let plain = Capabilities {
        add: false,
        ..Capabilities::ALL
    };
    let bench = bench_with(MigrationConfig::default(), plain, plain);
    bench.set("a", 1).await;
    let bench = bench.at(Stage::DualWrite).await;
    let fast = Rate::new(1e6, Duration::from_secs(1)).unwrap();
    let mut backfill = bench
        .migration
        .backfill(BackfillConfig::at_most(fast))
        .unwrap();
    let moving = async {
        loop {
            bench.hand.advance(Duration::from_millis(1));
            tokio::task::yield_now().await;
        }
    };
    tokio::select! { done = backfill.run() => assert_eq!(done.copied, 1), () = moving => {} }
    assert_eq!(bench.new.peek("a"), Some(1));
    let (without, key) = (Remote::new(&Surroundings::apart()), "a".to_owned());
    let refused = CacheAdapter::add(&without, &key, Entry::of(1)).await;
    assert!(matches!(refused, Err(CacheError::Unsupported(_))));
}

#[test]
fn every_reader_sees_a_rollback_within_a_millisecond() {
    let around = Surroundings::apart();
    let cache = || TtlCache::<String, u64>::within(&around, HOUR);
    let (legacy, new) = (cache(), cache());
    let config = MigrationConfig::default();
    let migration = CacheMigration::within(&around, "prompts", legacy.clone(), new.clone(), config);
    let (migration, key) = (migration.unwrap(), "a".to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        while migration.state().stage != Stage::RampDown {
            migration.advance(by()).await.unwrap();
        }
        // By the value a reader knows whom it has asked.
        legacy.set(key.clone(), 1);
        let entry = Entry {
            epoch: migration.state().epoch,
            ..Entry::of(2)
        };
        CacheAdapter::set(&new, &key, entry).await.unwrap();
    });
    let (ready, over) = (Barrier::new(3), AtomicBool::new(false));
    let (back, last) = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .build()
                        .unwrap();
                    ready.wait();
                    let mut last = None;
                    while !over.load(SeqCst) {
                        let began = Instant::now();
                        match runtime.block_on(migration.get(&key)).unwrap() {
                            Lookup::Hit(2) => last = Some(began),
                            found => assert_eq!(found, Lookup::Hit(1)),
                        }
                    }
                    last
                })
            })
            .collect();
        ready.wait();
        std::thread::sleep(Duration::from_millis(20));
        migration.rollback(by()).unwrap();
        let back = Instant::now();
        std::thread::sleep(Duration::from_millis(20));
        over.store(true, SeqCst);
        let last = readers
            .into_iter()
            .filter_map(|reader| reader.join().unwrap());
        (back, last.max())
    });
    let late = last.unwrap().saturating_duration_since(back);
    println!("the last read of new began {late:?} after the rollback had returned");
    assert!(late < Duration::from_millis(1), "{late:?}");
}
