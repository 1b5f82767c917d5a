use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rs_core::Striped;

use crate::kind::{Kind, MetricKind, STRIPES, Sealed};

/// How values are spread: a count for each bucket, and their sum.
///
/// Recording is two relaxed atomic additions; nothing is kept per value, so the memory is fixed and
/// there is nothing to drain. The sum is kept to a billionth.
#[derive(Debug, Clone)]
pub struct Histogram(Arc<Spread>);

#[derive(Debug)]
struct Spread {
    bounds: &'static [f64],
    stripes: Striped<Buckets>,
}

#[derive(Debug)]
struct Buckets {
    /// One for each bound, and the last for what is above all of them.
    counts: Box<[AtomicU64]>,
    billionths: AtomicU64,
}

const BILLION: f64 = 1e9;

impl Histogram {
    /// One more value. What is not a number is left out; what is below zero counts as zero.
    #[inline]
    pub fn record(&self, value: f64) {
        if value.is_nan() {
            return;
        }
        let value = value.max(0.0);
        self.count(value, (value * BILLION) as u64);
    }

    /// One more time, in seconds.
    #[inline]
    pub fn record_time(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.count(nanos as f64 / BILLION, nanos);
    }

    #[inline]
    fn count(&self, value: f64, billionths: u64) {
        let Spread { bounds, stripes } = &*self.0;
        // Few buckets: counting the bounds below beats a binary search, having no branch to miss.
        let bucket: usize = bounds.iter().map(|bound| usize::from(value > *bound)).sum();
        let stripe = stripes.local();
        if let Some(count) = stripe.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        stripe.billionths.fetch_add(billionths, Ordering::Relaxed);
    }

    /// What was recorded so far.
    #[must_use]
    pub fn spread(&self) -> Distribution {
        let Spread { bounds, stripes } = &*self.0;
        let mut counts = vec![0; bounds.len() + 1];
        let mut billionths = 0_u64;
        for stripe in stripes.iter() {
            for (total, count) in counts.iter_mut().zip(&stripe.counts) {
                *total += count.load(Ordering::Relaxed);
            }
            billionths = billionths.wrapping_add(stripe.billionths.load(Ordering::Relaxed));
        }
        Distribution {
            bounds,
            counts,
            sum: billionths as f64 / BILLION,
        }
    }
}

/// What a histogram recorded.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Distribution {
    /// The upper bound of each bucket, itself included.
    pub bounds: &'static [f64],
    /// How many values fell into each bucket, and as the last how many were above all bounds.
    pub counts: Vec<u64>,
    /// The sum of the values.
    pub sum: f64,
}

impl Distribution {
    /// How many values there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl Sealed for Histogram {}

impl Kind for Histogram {
    const KIND: MetricKind = MetricKind::Histogram;
    type Value = Distribution;

    fn new(bounds: &'static [f64]) -> Self {
        let zeroes = || (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Spread {
            bounds,
            stripes: Striped::at_most(STRIPES, || Buckets {
                counts: zeroes(),
                billionths: AtomicU64::new(0),
            }),
        }))
    }

    fn value(&self) -> Distribution {
        self.spread()
    }
}
