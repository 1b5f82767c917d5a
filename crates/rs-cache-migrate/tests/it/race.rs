//! Hot keys, writers, a copier, and stages that change at random: no wrong value, no deleted key.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use rs_cache_migrate::{
    BackfillConfig, CacheAdapter, CacheError, CacheMigration, Capabilities, Entry, MigrationConfig,
    Stage, TtlCache,
};
use rs_core::{Rate, Share};
use rs_metrics::Surroundings;

use crate::support::{HOUR, by, runs};

const KEYS: u64 = 128;
const WRITERS: u64 = 3;

/// A cache that gives way in the middle of everything; or one that never waits, asked by several threads at once.
#[derive(Clone)]
struct Jumpy(TtlCache<u64, u64>, bool);

async fn perhaps_give_way() {
    if fastrand::u8(..) < 100 {
        tokio::task::yield_now().await;
    }
}

impl CacheAdapter<u64, u64> for Jumpy {
    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }
    async fn get(&self, key: &u64) -> Result<Option<Entry<u64>>, CacheError> {
        perhaps_give_way().await;
        let found = CacheAdapter::get(&self.0, key).await;
        perhaps_give_way().await;
        found
    }
    fn get_at_once(&self, key: &u64) -> Option<Result<Option<Entry<u64>>, CacheError>> {
        self.0.get_at_once(key).filter(|_| self.1)
    }
    fn changes_at_once(&self) -> bool {
        self.1
    }
    fn set_at_once(&self, key: &u64, entry: Entry<u64>) -> Result<(), CacheError> {
        self.0.set_at_once(key, entry)
    }
    fn delete_at_once(&self, key: &u64) -> Result<(), CacheError> {
        self.0.delete_at_once(key)
    }
    async fn set(&self, key: &u64, entry: Entry<u64>) -> Result<(), CacheError> {
        perhaps_give_way().await;
        CacheAdapter::set(&self.0, key, entry).await
    }
    async fn delete(&self, key: &u64) -> Result<(), CacheError> {
        perhaps_give_way().await;
        CacheAdapter::delete(&self.0, key).await
    }
    async fn clear(&self) -> Result<(), CacheError> {
        CacheAdapter::clear(&self.0).await
    }
    fn keys(&self) -> Option<Vec<u64>> {
        CacheAdapter::keys(&self.0)
    }
}

type Raced = CacheMigration<u64, u64, Jumpy, Jumpy>;

/// What may be read: the last value that was written, or nothing where it was deleted. Values rise, so that a
/// reader knows an older one.
struct Truth {
    /// Per key: one writer at a time, so that the last is known; it is not what orders the caches.
    last: Vec<tokio::sync::Mutex<Last>>,
    /// Per key: what had been written, and done with, at the latest.
    done: Vec<AtomicU64>,
    next: AtomicU64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Last {
    value: Option<u64>,
    /// A caller went away in the middle of a change after that.
    dropped: bool,
}

async fn write(migration: Raced, truth: Arc<Truth>, writes: u64, cancels: bool) {
    for _ in 0..writes {
        let key = fastrand::u64(0..KEYS);
        let mut last = truth.last[key as usize].lock().await;
        let value = truth.next.fetch_add(1, SeqCst);
        let deletes = fastrand::u8(0..10) < 3;
        let change = async {
            match deletes {
                true => migration.delete(&key).await,
                false => migration.set(&key, value, HOUR).await,
            }
        };
        if cancels && fastrand::u8(..) < 16 {
            // It goes away at some await; what remains may be this value, or nothing.
            let polls = fastrand::u8(0..6);
            let mut change = Box::pin(change);
            for _ in 0..polls {
                let ended = std::future::poll_fn(|context| {
                    std::task::Poll::Ready(change.as_mut().poll(context).is_ready())
                });
                if ended.await {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(change);
            // It happened, or not, or it is a miss: but wherever it is read, it is the same.
            last.dropped = true;
        } else {
            change.await.unwrap();
            *last = Last {
                value: (!deletes).then_some(value),
                dropped: false,
            };
            truth.done[key as usize].fetch_max(value, SeqCst);
        }
    }
}

/// Reads all the time: nothing that was overwritten before the read began.
async fn read(
    migration: Raced,
    truth: Arc<Truth>,
    over: Arc<AtomicBool>,
    wrong: Arc<Mutex<Vec<String>>>,
) {
    while !over.load(SeqCst) {
        let key = fastrand::u64(0..KEYS);
        let oldest = truth.done[key as usize].load(SeqCst);
        let before = migration.state();
        if let Some(found) = migration.get(&key).await.unwrap().hit()
            && found < oldest
        {
            let now = migration.state();
            let line = format!("{key}: read {found}, {oldest} was done before; {before} -> {now}");
            wrong.lock().unwrap().push(line);
        }
        perhaps_give_way().await;
    }
}

async fn steer(migration: Raced, over: Arc<AtomicBool>) -> u64 {
    let mut steps = 0;
    while !over.load(SeqCst) {
        let taken = match fastrand::u8(0..10) {
            0 => migration.rollback(by()).is_ok(),
            1 => migration.step_back(by()).await.is_ok(),
            2 => {
                let share = Share::of(f64::from(fastrand::u16(1..10_000)) / 10_000.0).unwrap();
                migration.set_share(share, by()).await.is_ok()
            }
            // Never complete: from there nothing leads back.
            _ if migration.state().stage == Stage::RampDown => {
                migration.step_back(by()).await.is_ok()
            }
            _ => {
                migration.release(by());
                migration.advance(by()).await.is_ok()
            }
        };
        steps += u64::from(taken);
        for _ in 0..fastrand::u8(0..8) {
            tokio::task::yield_now().await;
        }
    }
    steps
}

async fn copy(migration: Raced, over: Arc<AtomicBool>) {
    let fast = Rate::new(10_000_000.0, Duration::from_secs(1)).unwrap();
    while !over.load(SeqCst) {
        let mut backfill = migration.backfill(BackfillConfig::at_most(fast)).unwrap();
        tokio::select! {
            _ = backfill.run() => {}
            () = tokio::task::yield_now() => {}
        }
        tokio::task::yield_now().await;
    }
}

/// One run; how many steps were taken in it.
async fn run(writes: u64, cancels: bool, at_once: bool) -> u64 {
    let around = Surroundings::apart();
    let cache = || Jumpy(TtlCache::within(&around, HOUR), at_once);
    let config = MigrationConfig::default();
    let migration = CacheMigration::within(&around, "race", cache(), cache(), config).unwrap();
    let truth = Arc::new(Truth {
        last: (0..KEYS).map(|_| tokio::sync::Mutex::default()).collect(),
        done: (0..KEYS).map(|_| AtomicU64::new(0)).collect(),
        next: AtomicU64::new(1),
    });
    let over = Arc::new(AtomicBool::new(false));
    let wrong = Arc::new(Mutex::new(vec![]));
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| {
            tokio::spawn(write(
                migration.clone(),
                Arc::clone(&truth),
                writes / WRITERS,
                cancels,
            ))
        })
        .collect();
    let reader = tokio::spawn(read(
        migration.clone(),
        Arc::clone(&truth),
        Arc::clone(&over),
        Arc::clone(&wrong),
    ));
    let copier = tokio::spawn(copy(migration.clone(), Arc::clone(&over)));
    let steerer = tokio::spawn(steer(migration.clone(), Arc::clone(&over)));
    for writer in writers {
        writer.await.unwrap();
    }
    over.store(true, SeqCst);
    reader.await.unwrap();
    copier.await.unwrap();
    let steps = steerer.await.unwrap();
    assert_eq!(*wrong.lock().unwrap(), Vec::<String>::new());

    // However it ended, at every stage that can be reached from there.
    migration.release(by());
    let mut first = vec![None; KEYS as usize];
    loop {
        for key in 0..KEYS {
            let last = *truth.last[key as usize].lock().await;
            let found = migration.get(&key).await.unwrap().hit();
            let state = migration.state();
            let first = &mut first[key as usize];
            match state.stage {
                _ if last.dropped => {
                    let agree = first.is_none() || found.is_none() || *first == found;
                    assert!(
                        agree,
                        "key {key} at {state}: {found:?}, and {first:?} before"
                    );
                    *first = first.or(found);
                }
                Stage::RampDown | Stage::Complete if found.is_none() => {}
                _ => assert_eq!(found, last.value, "key {key} at {state}"),
            }
        }
        if migration.is_complete() {
            return steps;
        }
        migration.advance(by()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_run_ends_with_a_wrong_value() {
    let mut steps = 0;
    for number in 0..runs(40) {
        steps += run(6000, false, number % 4 == 3).await;
    }
    assert!(steps > 0, "the stages changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nor_with_callers_that_go_away() {
    for number in 0..runs(40) / 4 {
        run(3000, true, number % 4 == 3).await;
    }
}
