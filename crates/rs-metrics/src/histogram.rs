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
/// Recording is an atomic addition to a bucket and one to the sum, both on cache lines that the thread
/// shares with few others. Nothing is kept per value, so the memory is fixed and there is nothing to
/// drain.
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
    /// The bits of a float: a sum of bytes would soon overflow any fixed point.
    sum: AtomicU64,
}

impl Histogram {
    /// One more value. What is not a number is left out; what is below zero counts as zero; what is
    /// infinite counts as above all bounds, but not in the sum, which it would spoil for ever.
    #[inline]
    pub fn record(&self, value: f64) {
        if !value.is_nan() {
            self.count(value.max(0.0));
        }
    }

    /// One more time, in seconds.
    #[inline]
    pub fn record_time(&self, time: Duration) {
        self.count(time.as_secs_f64());
    }

    #[inline]
    fn count(&self, value: f64) {
        let Spread { bounds, stripes } = &*self.0;
        // Few buckets: counting the bounds below beats a binary search, having no branch to miss.
        let bucket: usize = bounds.iter().map(|bound| usize::from(value > *bound)).sum();
        let stripe = stripes.local();
        if let Some(count) = stripe.counts.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if value.is_finite() {
            stripe
                .sum
                .update(Ordering::Relaxed, Ordering::Relaxed, |bits| {
                    (f64::from_bits(bits) + value).min(f64::MAX).to_bits()
                });
        }
    }

    /// What was recorded so far.
    #[must_use]
    pub fn spread(&self) -> Distribution {
        let Spread { bounds, stripes } = &*self.0;
        let mut counts = vec![0; bounds.len() + 1];
        let mut sum = 0.0_f64;
        for stripe in stripes.iter() {
            for (total, count) in counts.iter_mut().zip(&stripe.counts) {
                *total += count.load(Ordering::Relaxed);
            }
            sum += f64::from_bits(stripe.sum.load(Ordering::Relaxed));
        }
        Distribution {
            bounds,
            counts,
            sum: sum.min(f64::MAX),
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
    /// Values that were counted elsewhere; `None` unless there is one count more than bounds.
    #[must_use]
    pub fn new(bounds: &'static [f64], counts: Vec<u64>, sum: f64) -> Option<Self> {
        (counts.len() == bounds.len() + 1).then_some(Self {
            bounds,
            counts,
            sum,
        })
    }

    /// How many values there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The value that this share of the values does not exceed, read off the buckets as Prometheus does:
    /// evenly spread within a bucket; above the last bound, the last bound. `None` if there are no values.
    ///
    /// ```
    /// use rs_metrics::{Distribution, LATENCY};
    ///
    /// let mut counts = vec![0; LATENCY.len() + 1];
    /// counts[1] = 100; // above 0.5 ms, up to 1 ms
    /// let times = Distribution::new(LATENCY, counts, 0.08).expect("one more than bounds");
    /// assert_eq!(times.quantile(0.5), Some(0.00075));
    /// ```
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let all = self.count();
        if all == 0 {
            return None;
        }
        let rank = share.clamp(0.0, 1.0) * all as f64;
        let (mut below, mut lower) = (0.0, 0.0);
        for (bound, count) in self.bounds.iter().zip(&self.counts) {
            let count = *count as f64;
            if count > 0.0 && below + count >= rank {
                return Some(lower + (bound - lower) * ((rank - below) / count));
            }
            below += count;
            lower = *bound;
        }
        Some(lower)
    }

    /// What was recorded after this earlier reading of the same histogram. Where the bounds are not the
    /// same, everything counts as later.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        if self.bounds != earlier.bounds {
            return self.clone();
        }
        let counts = self.counts.iter().zip(&earlier.counts);
        Self {
            bounds: self.bounds,
            counts: counts
                .map(|(now, then)| now.saturating_sub(*then))
                .collect(),
            sum: (self.sum - earlier.sum).max(0.0),
        }
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
                sum: AtomicU64::new(0.0_f64.to_bits()),
            }),
        }))
    }

    fn is_shared(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    fn value(&self) -> Distribution {
        self.spread()
    }
}
