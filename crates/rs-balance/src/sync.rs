//! What carries an invariant between threads: std's and `arc-swap`'s, or models when loom looks.

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(loom)]
pub(crate) use modelled::{Arc, Published, Weak};
#[cfg(not(loom))]
pub(crate) use std::sync::{
    Arc, Weak,
    atomic::{AtomicU64, Ordering},
};

#[cfg(not(loom))]
pub(crate) use published::Published;

#[cfg(not(loom))]
mod published {
    use std::sync::Arc;

    use arc_swap::ArcSwap;

    /// A value that is replaced whole; whoever reads it never waits.
    pub(crate) struct Published<V>(ArcSwap<V>);

    impl<V> Published<V> {
        pub(crate) fn new(value: Arc<V>) -> Self {
            Self(ArcSwap::new(value))
        }

        pub(crate) fn get(&self) -> Arc<V> {
            self.0.load_full()
        }

        pub(crate) fn replace(&self, value: Arc<V>) -> Arc<V> {
            self.0.swap(value)
        }
    }
}

/// What loom has not: references that do not keep alive, and counts of those that do.
#[cfg(loom)]
mod modelled {
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use std::{ops::Deref, sync::Arc as Std};

    struct Counted<T> {
        strong: AtomicUsize,
        value: T,
    }

    /// Counts as std's does; the value itself stays until nobody refers to it in any way.
    pub(crate) struct Arc<T>(Std<Counted<T>>);

    pub(crate) struct Weak<T>(Std<Counted<T>>);

    impl<T> Arc<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(Std::new(Counted {
                strong: AtomicUsize::new(1),
                value,
            }))
        }

        pub(crate) fn downgrade(this: &Self) -> Weak<T> {
            Weak(Std::clone(&this.0))
        }

        pub(crate) fn strong_count(this: &Self) -> usize {
            this.0.strong.load(Ordering::Relaxed)
        }
    }

    impl<T> Deref for Arc<T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0.value
        }
    }

    impl<T> Drop for Arc<T> {
        fn drop(&mut self) {
            self.0.strong.fetch_sub(1, Ordering::Release);
        }
    }

    impl<T> Weak<T> {
        pub(crate) fn upgrade(&self) -> Option<Arc<T>> {
            let mut strong = self.0.strong.load(Ordering::Relaxed);
            while strong > 0 {
                match self.0.strong.compare_exchange(
                    strong,
                    strong + 1,
                    Ordering::Acquire,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => return Some(Arc(Std::clone(&self.0))),
                    Err(now) => strong = now,
                }
            }
            None
        }

        pub(crate) fn strong_count(&self) -> usize {
            self.0.strong.load(Ordering::Relaxed)
        }
    }

    impl<T> Clone for Weak<T> {
        fn clone(&self) -> Self {
            Self(Std::clone(&self.0))
        }
    }

    /// Replaced under a lock: `arc-swap` has a model of its own.
    pub(crate) struct Published<V>(loom::sync::Mutex<Std<V>>);

    impl<V> Published<V> {
        pub(crate) fn new(value: Std<V>) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn get(&self) -> Std<V> {
            match self.0.lock() {
                Ok(value) => Std::clone(&value),
                Err(_) => unreachable!("nobody panics in here"),
            }
        }

        pub(crate) fn replace(&self, value: Std<V>) -> Std<V> {
            match self.0.lock() {
                Ok(mut place) => std::mem::replace(&mut *place, value),
                Err(_) => unreachable!("nobody panics in here"),
            }
        }
    }
}
