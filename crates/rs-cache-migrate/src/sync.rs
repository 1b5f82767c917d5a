//! The word and the locks that decide something: modelled ones under `--cfg loom`.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
#[cfg(loom)]
pub(crate) use modelled::{KeyGuard, KeyLock};
#[cfg(not(loom))]
pub(crate) use real::{KeyGuard, KeyLock};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

#[cfg(not(loom))]
mod real {
    pub(crate) type KeyGuard<'a> = tokio::sync::MutexGuard<'a, ()>;

    /// Held across an await, so it must be tokio's.
    #[derive(Debug, Default)]
    pub(crate) struct KeyLock(tokio::sync::Mutex<()>);

    impl KeyLock {
        pub(crate) async fn lock(&self) -> KeyGuard<'_> {
            self.0.lock().await
        }

        pub(crate) fn try_lock(&self) -> Option<KeyGuard<'_>> {
            self.0.try_lock().ok()
        }
    }
}

/// Tokio's lock shows the model checker nothing.
#[cfg(loom)]
mod modelled {
    use loom::sync::atomic::{AtomicBool, Ordering};

    #[derive(Debug)]
    pub(crate) struct KeyLock(AtomicBool);

    #[derive(Debug)]
    pub(crate) struct KeyGuard<'a>(&'a AtomicBool);

    impl Default for KeyLock {
        fn default() -> Self {
            Self(AtomicBool::new(false))
        }
    }

    impl KeyLock {
        #[expect(clippy::unused_async, reason = "as the real one")]
        pub(crate) async fn lock(&self) -> KeyGuard<'_> {
            loop {
                if let Some(guard) = self.try_lock() {
                    return guard;
                }
                loom::thread::yield_now();
            }
        }

        pub(crate) fn try_lock(&self) -> Option<KeyGuard<'_>> {
            let (acquire, relaxed) = (Ordering::Acquire, Ordering::Relaxed);
            let free = self.0.compare_exchange(false, true, acquire, relaxed);
            free.ok().map(|_| KeyGuard(&self.0))
        }
    }

    impl Drop for KeyGuard<'_> {
        fn drop(&mut self) {
            self.0.store(false, Ordering::Release);
        }
    }
}
