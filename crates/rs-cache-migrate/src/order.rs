//! One change of a key at a time: locks in stripes.

use crate::sync::{KeyGuard, KeyLock};

/// So many changes may be under way at once, at best.
#[cfg(not(loom))]
const STRIPES: usize = 1024;
#[cfg(loom)]
const STRIPES: usize = 1;

/// Changes of one key exclude each other. Whoever has [passed](Order::pass) knows that every change that
/// began before has ended.
#[derive(Debug)]
pub(crate) struct Order(Box<[KeyLock]>);

impl Order {
    pub(crate) fn new() -> Self {
        Self((0..STRIPES).map(|_| KeyLock::default()).collect())
    }

    /// The bits that the share goes by come last, so that a cohort is spread over all stripes.
    #[expect(
        clippy::indexing_slicing,
        reason = "the remainder is less than the length"
    )]
    fn of(&self, hash: u64) -> &KeyLock {
        &self.0[hash as usize % self.0.len()]
    }

    pub(crate) async fn lock(&self, hash: u64) -> KeyGuard<'_> {
        self.of(hash).lock().await
    }

    pub(crate) fn try_lock(&self, hash: u64) -> Option<KeyGuard<'_>> {
        self.of(hash).try_lock()
    }

    /// Waits until every change that is under way has ended.
    pub(crate) async fn pass(&self) {
        for lock in &self.0 {
            drop(lock.lock().await);
        }
    }

    /// Lets nobody change anything. Whoever changes a key holds one lock and waits for no other, so this
    /// comes to an end.
    pub(crate) async fn lock_all(&self) -> Vec<KeyGuard<'_>> {
        let mut all = Vec::with_capacity(self.0.len());
        for lock in &self.0 {
            all.push(lock.lock().await);
        }
        all
    }

    /// [`Order::pass`] without waiting; `false` if one is under way.
    pub(crate) fn try_pass(&self) -> bool {
        self.0.iter().all(|lock| lock.try_lock().is_some())
    }
}
