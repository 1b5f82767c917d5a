//! Reads that are compared, off the caller's time.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use rs_core::label_set;
use tokio::sync::{Mutex, mpsc};

use crate::{
    CacheAdapter, CacheError, Entry, MigrationKey, Side, inner::Inner, metrics::CacheOperation,
};

label_set! {
    /// What a comparison of both caches found.
    pub enum Comparison: "comparison" {
        /// Both have the same, or both nothing.
        Same = "same",
        /// New does not have it; while entries come over, that is as it should be.
        NewMissing = "new_missing",
        /// Legacy does not have it, and new does.
        OldMissing = "old_missing",
        /// They have different values.
        Differs = "differs",
        /// They have the same value, for times that differ by more than a second.
        TtlDiffers = "ttl_differs",
        /// What new has cannot be read.
        Undecodable = "undecodable",
        /// A cache did not answer, or the key is doubtful: nothing is known.
        Unknown = "unknown",
    }
}

/// So many comparisons wait; what comes then is dropped and counted.
const QUEUE: usize = 256;

type Found<V> = Result<Option<Entry<V>>, CacheError>;
type Same<V> = Arc<dyn Fn(&V, &V) -> bool + Send + Sync>;

/// The keys that wait to be compared, and how.
pub(crate) struct Shadow<K, V> {
    sender: mpsc::Sender<K>,
    pub(crate) receiver: Mutex<mpsc::Receiver<K>>,
    same: Option<Same<V>>,
    /// So many take what waits: one, or nobody.
    runners: AtomicUsize,
}

/// Somebody takes what waits, as long as this lives.
pub(crate) struct Runner<'a>(&'a AtomicUsize);

impl Drop for Runner<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl<K, V> Shadow<K, V> {
    pub(crate) fn new(same: Option<Same<V>>) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE);
        Self {
            sender,
            receiver: Mutex::new(receiver),
            same,
            runners: AtomicUsize::new(0),
        }
    }

    pub(crate) fn run(&self) -> Runner<'_> {
        self.runners.fetch_add(1, Relaxed);
        Runner(&self.runners)
    }

    /// Whether anybody could tell a difference, or measures.
    pub(crate) fn is_wanted(&self) -> bool {
        self.same.is_some() || self.runners.load(Relaxed) > 0
    }

    /// Whether anybody could tell a difference.
    const fn can_tell(&self) -> bool {
        self.same.is_some()
    }

    /// `false` if too many wait.
    pub(crate) fn offer(&self, key: K) -> bool {
        self.sender.try_send(key).is_ok()
    }
}

impl<K, V, L, N> Inner<K, V, L, N>
where
    K: MigrationKey,
    V: Clone + Send + Sync + 'static,
    L: CacheAdapter<K, V>,
    N: CacheAdapter<K, V>,
{
    /// Compares what both have; a difference is looked at again under the key's lock, where no change can
    /// be half done.
    pub(crate) async fn compare(&self, key: &K) -> Comparison {
        if !self.word().writes_both() {
            return Comparison::Unknown;
        }
        let first = self.compare_once(key, true).await;
        let found = match first {
            Comparison::Same | Comparison::Unknown => first,
            _ => {
                let _order = self.order.lock(key).await;
                // It may have been rolled back meanwhile.
                match self.word().writes_both() {
                    true => self.compare_once(key, false).await,
                    false => Comparison::Unknown,
                }
            }
        };
        if self.shadow.can_tell() {
            self.counters.shadow_reads[found].increment();
        }
        found
    }

    async fn compare_once(&self, key: &K, measured: bool) -> Comparison {
        let doubtful = |side| !self.doubts.are_none() && self.doubts.holds(side, key);
        if doubtful(Side::Legacy) || doubtful(Side::New) {
            return Comparison::Unknown;
        }
        let (legacy, new) = match measured {
            true => self.probe(key).await,
            false => (
                self.on(Side::Legacy, self.legacy.get(key)).await,
                self.on(Side::New, self.new.get(key)).await,
            ),
        };
        let new = new.map(|found| self.of_this_try(self.word(), found));
        match (legacy, new) {
            (Ok(legacy), Ok(new)) => self.difference(legacy, new),
            (_, Err(CacheError::Undecodable(_))) => Comparison::Undecodable,
            (legacy, new) => {
                for (side, failed) in [(Side::Legacy, legacy.is_err()), (Side::New, new.is_err())] {
                    if failed {
                        self.counters.errors[(side, CacheOperation::Get)].increment();
                    }
                }
                Comparison::Unknown
            }
        }
    }

    /// Asks both, and measures; by turns the one or the other first, for the second finds what they share warm.
    async fn probe(&self, key: &K) -> (Found<V>, Found<V>) {
        let clock = self.home.around.clock();
        let legacy = self.on(Side::Legacy, self.legacy.get(key));
        let legacy = self.meter.probe(clock, Side::Legacy, legacy);
        let new = async {
            let found = self.on(Side::New, self.new.get(key)).await;
            found.map(|found| self.of_this_try(self.word(), found))
        };
        let new = self.meter.probe(clock, Side::New, new);
        if fastrand::bool() {
            let legacy = legacy.await;
            return (legacy, new.await);
        }
        let new = new.await;
        (legacy.await, new)
    }

    fn difference(&self, legacy: Option<Entry<V>>, new: Option<Entry<V>>) -> Comparison {
        let (legacy, new) = match (legacy, new) {
            (None, None) => return Comparison::Same,
            (Some(_), None) => return Comparison::NewMissing,
            (None, Some(_)) => return Comparison::OldMissing,
            (Some(legacy), Some(new)) => (legacy, new),
        };
        let same = match (&legacy.value, &new.value, &self.shadow.same) {
            (Some(legacy), Some(new), Some(same)) => same(legacy, new),
            (Some(_), Some(_), None) | (None, None, _) => true,
            _ => false,
        };
        let reads = self.legacy.capabilities().reads_ttl && self.new.capabilities().reads_ttl;
        // What is near says how long it is near.
        let reads = reads && !legacy.near && !new.near;
        let apart = match (legacy.remaining, new.remaining) {
            (Some(legacy), Some(new)) => legacy.abs_diff(new).as_secs() >= 1,
            (None, None) => false,
            _ => true,
        };
        match (same, reads && apart) {
            (false, _) => Comparison::Differs,
            (true, true) => Comparison::TtlDiffers,
            (true, false) => Comparison::Same,
        }
    }
}
