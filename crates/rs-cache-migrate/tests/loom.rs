//! The order of changes under every interleaving that the model checker finds.
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 cargo test -p rs-cache-migrate --release --test loom
//! ```
#![cfg(loom)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use loom::{
    sync::Arc,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    thread,
};
use rs_cache_migrate::{
    CacheAdapter, CacheError, CacheMigration, Capabilities, Entry, MigrationConfig, Stage,
};
use rs_core::{Mandate, Share};
use rs_metrics::Surroundings;
use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

/// Nothing here waits but for a modelled lock, which gives way to other threads by itself.
fn block_on<F: Future>(future: F) -> F::Output {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("it is ready"),
    }
}

/// A cache with room for one entry: value and epoch in a word that the model checker watches.
#[derive(Clone)]
struct Cell(Arc<AtomicU64>, bool);

impl Cell {
    /// Asked without a future, or with one.
    fn of(value: u64, at_once: bool) -> Self {
        Self(Arc::new(AtomicU64::new(value)), at_once)
    }

    fn entry(&self) -> Option<Entry<u64>> {
        let word = self.0.load(SeqCst);
        let entry = Entry {
            epoch: (word >> 8) as u32,
            ..Entry::of(word & 0xff)
        };
        (word != 0).then_some(entry)
    }

    fn value(&self) -> u64 {
        self.0.load(SeqCst) & 0xff
    }
}

impl CacheAdapter<u8, u64> for Cell {
    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }
    async fn get(&self, _: &u8) -> Result<Option<Entry<u64>>, CacheError> {
        Ok(self.entry())
    }
    fn get_at_once(&self, _: &u8) -> Option<Result<Option<Entry<u64>>, CacheError>> {
        self.1.then(|| Ok(self.entry()))
    }
    fn changes_at_once(&self) -> bool {
        self.1
    }
    fn set_at_once(&self, _: &u8, entry: Entry<u64>) -> Result<(), CacheError> {
        let epoch = u64::from(entry.epoch) << 8;
        self.0.store(entry.value.unwrap_or(0) | epoch, SeqCst);
        Ok(())
    }
    fn delete_at_once(&self, _: &u8) -> Result<(), CacheError> {
        self.0.store(0, SeqCst);
        Ok(())
    }
    async fn set(&self, key: &u8, entry: Entry<u64>) -> Result<(), CacheError> {
        self.set_at_once(key, entry)
    }
    async fn delete(&self, key: &u8) -> Result<(), CacheError> {
        self.delete_at_once(key)
    }
    async fn clear(&self) -> Result<(), CacheError> {
        self.delete(&0).await
    }
}

/// Both ways that a read and a change can go.
fn model(run: impl Fn(bool) + Copy + Send + Sync + 'static) {
    for at_once in [false, true] {
        loom::model(move || run(at_once));
    }
}

type Small = CacheMigration<u8, u64, Cell, Cell>;

fn by() -> Mandate {
    Mandate::new("loom", "a model")
}

fn at(stage: Stage, legacy: &Cell, new: &Cell) -> Small {
    let around = Surroundings::apart();
    let config = MigrationConfig::default().with_steps([Share::ALL]);
    let (legacy, new) = (legacy.clone(), new.clone());
    let small: Small = CacheMigration::within(&around, "small", legacy, new, config).unwrap();
    while small.state().stage != stage {
        block_on(small.advance(by())).unwrap();
    }
    small
}

/// Two writers and whatever reads and promotes: both caches end with the same.
#[test]
fn a_promotion_beats_no_change() {
    model(|at_once| {
        let (legacy, new) = (Cell::of(1, at_once), Cell::of(0, at_once));
        let small = at(Stage::Live, &legacy, &new);
        let deleting = small.clone();
        let deleter = thread::spawn(move || block_on(deleting.delete(&0)).unwrap());
        let found = block_on(small.get(&0)).unwrap().hit();
        assert!(matches!(found, None | Some(1)));
        deleter.join().unwrap();
        assert_eq!(
            (legacy.value(), new.value()),
            (0, 0),
            "a deleted key does not return"
        );
    });
}

#[test]
fn changes_of_a_key_reach_both_in_one_order() {
    model(|at_once| {
        let (legacy, new) = (Cell::of(1, at_once), Cell::of(0, at_once));
        let small = at(Stage::Live, &legacy, &new);
        let other = small.clone();
        let writer = thread::spawn(move || block_on(other.set_entry(&0, Entry::of(2))).unwrap());
        block_on(small.set_entry(&0, Entry::of(3))).unwrap();
        writer.join().unwrap();
        assert_eq!(legacy.value(), new.value());
    });
}

/// A write that begins while the migration is off, and steps that overtake it.
#[test]
fn a_step_leaves_no_change_behind() {
    model(|at_once| {
        let (legacy, new) = (Cell::of(1, at_once), Cell::of(0, at_once));
        let small = at(Stage::Off, &legacy, &new);
        let stepping = small.clone();
        let steps = thread::spawn(move || {
            for _ in 0..3 {
                block_on(stepping.advance(by())).unwrap();
            }
            // Live: what new has is believed.
            block_on(stepping.get(&0)).unwrap().hit()
        });
        block_on(small.set_entry(&0, Entry::of(2))).unwrap();
        let during = steps.join().unwrap();
        assert!(matches!(during, Some(1 | 2)), "{during:?}");
        assert_eq!(block_on(small.get(&0)).unwrap().hit(), Some(2));
    });
}

/// A write between complete and the changes that still go to both.
#[test]
fn nothing_old_comes_over_at_the_end() {
    model(|at_once| {
        let (legacy, new) = (Cell::of(1, at_once), Cell::of(0, at_once));
        let small = at(Stage::Live, &legacy, &new);
        let reading = small.clone();
        let reader = thread::spawn(move || block_on(reading.get(&0)).unwrap().hit());
        block_on(small.advance(by())).unwrap();
        block_on(small.advance(by())).unwrap();
        block_on(small.set_entry(&0, Entry::of(2))).unwrap();
        let found = reader.join().unwrap();
        assert!(matches!(found, None | Some(1 | 2)));
        assert_eq!(new.value(), 2);
    });
}

#[test]
fn a_rollback_in_the_middle_of_a_write_leaves_legacy_right() {
    model(|at_once| {
        let (legacy, new) = (Cell::of(1, at_once), Cell::of(0, at_once));
        let small = at(Stage::Live, &legacy, &new);
        let rolling = small.clone();
        let rollback = thread::spawn(move || drop(rolling.rollback(by())));
        block_on(small.set_entry(&0, Entry::of(2))).unwrap();
        rollback.join().unwrap();
        assert_eq!(block_on(small.get(&0)).unwrap().hit(), Some(2));
        block_on(small.set_entry(&0, Entry::of(3))).unwrap();
        assert!(small.release(by()));
        for _ in 0..3 {
            block_on(small.advance(by())).unwrap();
        }
        assert_eq!(block_on(small.get(&0)).unwrap().hit(), Some(3));
    });
}
