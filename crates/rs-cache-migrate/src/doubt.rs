//! Keys of which nobody knows whether a cache has heard of their last change.

use std::{
    collections::HashSet,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

use foldhash::fast::RandomState;
use rs_core::label_set;

use crate::sync::{AtomicUsize, Ordering};

label_set! {
    /// One of the two caches.
    pub enum Side: "side" {
        /// The one that is left.
        Legacy = "legacy",
        /// The one that is moved to.
        New = "new",
    }
}

impl Side {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Legacy => Self::New,
            Self::New => Self::Legacy,
        }
    }
}

/// A bounded set of doubtful keys for each side. Readers look at a number that is nearly always zero.
#[derive(Debug)]
pub(crate) struct Doubts<K> {
    count: AtomicUsize,
    keys: [Mutex<HashSet<K, RandomState>>; 2],
    /// There were more than the set holds: nothing on this side can be believed.
    void: [std::sync::atomic::AtomicBool; 2],
}

impl<K: Hash + Eq + Clone> Doubts<K> {
    pub(crate) fn new() -> Self {
        Self {
            count: AtomicUsize::new(0),
            keys: Default::default(),
            void: Default::default(),
        }
    }

    /// Whether there are none, which is nearly always so.
    #[inline]
    pub(crate) fn are_none(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    fn keys(&self, side: Side) -> MutexGuard<'_, HashSet<K, RandomState>> {
        let keys = &self.keys[side as usize];
        keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Doubts what this side has under the key; `true` if that was one too many, and the whole side has just
    /// become void.
    pub(crate) fn add(&self, side: Side, key: &K, limit: usize) -> bool {
        let mut keys = self.keys(side);
        if keys.contains(key) {
            return false;
        }
        if keys.len() >= limit {
            let is_news = !self.void[side as usize].swap(true, Ordering::AcqRel);
            self.count.fetch_add(usize::from(is_news), Ordering::AcqRel);
            return is_news;
        }
        keys.insert(key.clone());
        self.count.fetch_add(1, Ordering::AcqRel);
        false
    }

    /// The side has heard of a change of this key again.
    #[inline]
    pub(crate) fn resolve(&self, side: Side, key: &K) {
        if !self.are_none() {
            self.remove(side, key);
        }
    }

    #[cold]
    fn remove(&self, side: Side, key: &K) {
        if self.keys(side).remove(key) {
            self.count.fetch_sub(1, Ordering::AcqRel);
        }
    }

    /// Whether what this side has under the key may be wrong.
    pub(crate) fn holds(&self, side: Side, key: &K) -> bool {
        self.is_void(side) || self.keys(side).contains(key)
    }

    pub(crate) fn is_void(&self, side: Side) -> bool {
        self.void[side as usize].load(Ordering::Acquire)
    }

    /// Nothing that this side had is believed any more, or everything was removed.
    pub(crate) fn forget(&self, side: Side) {
        let mut keys = self.keys(side);
        let mut gone = keys.len();
        keys.clear();
        if self.void[side as usize].swap(false, Ordering::AcqRel) {
            gone += 1;
        }
        self.count.fetch_sub(gone, Ordering::AcqRel);
    }

    /// Up to so many of the keys.
    pub(crate) fn some(&self, side: Side, limit: usize) -> Vec<K> {
        self.keys(side).iter().take(limit).cloned().collect()
    }

    pub(crate) fn len(&self, side: Side) -> usize {
        self.keys(side).len()
    }
}
