//! One change of a key at a time: locks in stripes.

use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;

use crate::sync::{KeyGuard, KeyLock};

/// So many changes may be under way at once, at best.
#[cfg(not(loom))]
const STRIPES: usize = 1024;
#[cfg(loom)]
const STRIPES: usize = 1;

/// Changes of one key exclude each other. Whoever has [passed](Order::pass) knows that every change that
/// began before has ended.
#[derive(Debug)]
pub(crate) struct Order {
    locks: Box<[KeyLock]>,
    /// Of this process alone: a stable hash takes several times as long.
    hasher: RandomState,
}

impl Order {
    pub(crate) fn new() -> Self {
        Self {
            locks: (0..STRIPES).map(|_| KeyLock::default()).collect(),
            hasher: RandomState::default(),
        }
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "the remainder is less than the length"
    )]
    #[inline]
    fn of<K: Hash>(&self, key: &K) -> &KeyLock {
        &self.locks[self.hasher.hash_one(key) as usize % self.locks.len()]
    }

    pub(crate) async fn lock<K: Hash>(&self, key: &K) -> KeyGuard<'_> {
        self.of(key).lock().await
    }

    #[inline]
    pub(crate) fn try_lock<K: Hash>(&self, key: &K) -> Option<KeyGuard<'_>> {
        self.of(key).try_lock()
    }

    /// Waits until every change that is under way has ended.
    pub(crate) async fn pass(&self) {
        for lock in &self.locks {
            drop(lock.lock().await);
        }
    }

    /// Lets nobody change anything. Whoever changes a key holds one lock and waits for no other, so this
    /// comes to an end.
    pub(crate) async fn lock_all(&self) -> Vec<KeyGuard<'_>> {
        let mut all = Vec::with_capacity(self.locks.len());
        for lock in &self.locks {
            all.push(lock.lock().await);
        }
        all
    }

    /// Changes of both that were counted.
    pub(crate) fn changes(&self) -> u64 {
        self.locks.iter().map(KeyLock::changes).sum()
    }

    /// [`Order::pass`] without waiting; `false` if one is under way.
    pub(crate) fn try_pass(&self) -> bool {
        self.locks.iter().all(|lock| lock.try_lock().is_some())
    }
}
