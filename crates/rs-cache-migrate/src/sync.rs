//! The word and the locks that decide something: modelled ones under `--cfg loom`.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use std::sync::atomic::{AtomicU64 as Plain, Ordering::Relaxed};

#[cfg(loom)]
use loom::sync::atomic::AtomicU32;
#[cfg(not(loom))]
use std::sync::atomic::AtomicU32;

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Somebody may wait.
const AWAITED: u32 = 2;

/// A lock that may be held across an await, and costs two atomic operations when nobody waits.
///
/// Whoever finds it held says so in the word and waits to be told; who ends tells one of them, who tries again.
/// So a newcomer may overtake.
#[derive(Debug)]
pub(crate) struct KeyLock {
    word: AtomicU32,
    /// Changed by whoever holds the lock, so without an atomic addition.
    changes: Plain,
    #[cfg(not(loom))]
    freed: tokio::sync::Notify,
}

/// The lock is held until this is dropped.
#[derive(Debug)]
pub(crate) struct KeyGuard<'a>(&'a KeyLock);

impl Default for KeyLock {
    fn default() -> Self {
        Self {
            word: AtomicU32::new(FREE),
            changes: Plain::new(0),
            #[cfg(not(loom))]
            freed: tokio::sync::Notify::const_new(),
        }
    }
}

impl KeyGuard<'_> {
    /// Counts one more change of both caches.
    #[inline]
    pub(crate) fn count(&self) {
        let changes = &self.0.changes;
        changes.store(changes.load(Relaxed).wrapping_add(1), Relaxed);
    }
}

impl KeyLock {
    /// How many were counted.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Relaxed)
    }

    #[inline]
    pub(crate) async fn lock(&self) -> KeyGuard<'_> {
        if let Some(guard) = self.try_lock() {
            return guard;
        }
        self.wait().await
    }

    #[inline]
    pub(crate) fn try_lock(&self) -> Option<KeyGuard<'_>> {
        let (acquire, relaxed) = (Ordering::Acquire, Ordering::Relaxed);
        let free = self.word.compare_exchange(FREE, HELD, acquire, relaxed);
        free.ok().map(|_| KeyGuard(self))
    }

    #[cold]
    async fn wait(&self) -> KeyGuard<'_> {
        // It cannot know whether others wait as well, so it says that they do.
        while self.word.swap(AWAITED, Ordering::Acquire) != FREE {
            self.freed().await;
        }
        KeyGuard(self)
    }

    /// A word that was free between the look and the wait has left a permit: `Notify` keeps one.
    #[cfg(not(loom))]
    async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Tokio's waiting shows the model checker nothing.
    #[cfg(loom)]
    #[expect(clippy::unused_async, reason = "as the real one")]
    async fn freed(&self) {
        loom::thread::yield_now();
    }
}

impl Drop for KeyGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.0.word.swap(FREE, Ordering::Release) == AWAITED {
            #[cfg(not(loom))]
            self.0.freed.notify_one();
        }
    }
}
