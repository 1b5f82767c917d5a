#[cfg(not(loom))]
use std::{
    cell::Cell,
    sync::atomic::{AtomicUsize, Ordering},
};
use std::{fmt, num::NonZero, sync::LazyLock};

/// A value for each processor, so that threads that count at the same time do not meet.
///
/// A counter that every thread adds to costs several times as much as one that is a thread's own:
/// the cache line travels. Write through [`Striped::local`], read by going through all of them.
///
/// ```
/// use rs_core::Striped;
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
///
/// let calls: Striped<AtomicU64> = Striped::new(AtomicU64::default);
/// calls.local().fetch_add(1, Relaxed);
/// assert_eq!(calls.iter().map(|stripe| stripe.load(Relaxed)).sum::<u64>(), 1);
/// ```
#[derive(Clone)]
pub struct Striped<T> {
    stripes: Box<[Padded<T>]>,
}

/// On cache lines of its own: two, because the prefetcher fetches them in pairs.
#[repr(align(128))]
#[derive(Debug, Clone)]
pub(crate) struct Padded<T>(pub(crate) T);

impl<T> Striped<T> {
    /// As many values as there are processors, up to 64, rounded up to a power of two.
    pub fn new(make: impl FnMut() -> T) -> Self {
        Self::at_most(64, make)
    }

    /// As many values as there are processors, up to this limit, rounded up to a power of two.
    pub fn at_most(limit: usize, make: impl FnMut() -> T) -> Self {
        static PROCESSORS: LazyLock<usize> =
            LazyLock::new(|| std::thread::available_parallelism().map_or(1, NonZero::get));
        Self::with_count((*PROCESSORS).min(limit), make)
    }

    /// This many values, from 1 to 1024, rounded up to a power of two.
    pub fn with_count(count: usize, mut make: impl FnMut() -> T) -> Self {
        let count = count.clamp(1, 1024).next_power_of_two();
        let stripes = (0..count).map(|_| Padded(make())).collect();
        Self { stripes }
    }

    /// The value of this thread. Another thread may have the same one.
    #[inline]
    #[must_use]
    pub fn local(&self) -> &T {
        // The mask keeps the index inside: the length is a power of two and never zero.
        &self.stripes[thread_number() & (self.stripes.len() - 1)].0
    }

    /// The value of this thread when only the first so many are used, which must be a power of two.
    #[inline]
    #[must_use]
    pub fn local_among(&self, first: NonZero<usize>) -> &T {
        let mask = (first.get() - 1) & (self.stripes.len() - 1);
        &self.stripes[thread_number() & mask].0
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.stripes.iter().map(|padded| &padded.0)
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.stripes.len()
    }
}

impl<T: fmt::Debug> fmt::Debug for Striped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Modelled threads are not threads: each run of the model numbers its own.
#[cfg(loom)]
fn thread_number() -> usize {
    let shown = format!("{:?}", loom::thread::current().id());
    let digits = shown.chars().filter_map(|shown| shown.to_digit(10));
    digits.fold(0, |number, digit| number * 10 + digit as usize)
}

/// Threads are numbered as they come.
#[cfg(not(loom))]
#[inline]
fn thread_number() -> usize {
    const UNKNOWN: usize = usize::MAX;
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(UNKNOWN) };
    }
    NUMBER.with(|number| {
        if number.get() == UNKNOWN {
            number.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        number.get()
    })
}
