use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use rs_core::Striped;

use crate::kind::{Kind, MetricKind, STRIPES, Sealed};

/// Counts how often something happened. It only goes up.
///
/// A handle is bound once and cloned freely. Counting is one relaxed atomic addition on a cache line
/// that the thread shares with few others; it never allocates and never waits.
#[derive(Debug, Clone)]
pub struct Counter(Arc<Striped<AtomicU64>>);

impl Counter {
    /// One more.
    #[inline]
    pub fn increment(&self) {
        self.add(1);
    }

    /// So many more.
    #[inline]
    pub fn add(&self, count: u64) {
        self.0.local().fetch_add(count, Ordering::Relaxed);
    }

    /// How many there were.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0
            .iter()
            .map(|stripe| stripe.load(Ordering::Relaxed))
            .fold(0, u64::wrapping_add)
    }
}

impl Sealed for Counter {}

impl Kind for Counter {
    const KIND: MetricKind = MetricKind::Counter;
    type Value = u64;

    fn new(_bounds: &'static [f64]) -> Self {
        Self(Arc::new(Striped::at_most(STRIPES, AtomicU64::default)))
    }

    fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    fn value(&self) -> u64 {
        Self::value(self)
    }
}
