use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::kind::{Kind, MetricKind, Sealed};

/// A number that goes up and down: calls in flight, places in a queue.
#[derive(Debug, Clone)]
pub struct Gauge(Arc<AtomicU64>);

impl Gauge {
    /// It is this now.
    #[inline]
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// It is so much more, or less, than before.
    #[inline]
    pub fn add(&self, change: f64) {
        self.0.update(Ordering::Relaxed, Ordering::Relaxed, |bits| {
            (f64::from_bits(bits) + change).to_bits()
        });
    }

    /// What it is.
    #[must_use]
    pub fn value(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

impl Sealed for Gauge {}

impl Kind for Gauge {
    const KIND: MetricKind = MetricKind::Gauge;
    type Value = f64;

    fn new(_bounds: &'static [f64]) -> Self {
        Self(Arc::new(AtomicU64::new(0.0_f64.to_bits())))
    }

    fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    fn value(&self) -> f64 {
        Self::value(self)
    }
}
