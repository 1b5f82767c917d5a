use std::fmt;

use crate::Distribution;

/// More stripes than this would cost every series more memory than contention is worth.
pub(crate) const STRIPES: usize = 8;

/// What a metric is: a [`Counter`](crate::Counter), a [`Gauge`](crate::Gauge) or a
/// [`Histogram`](crate::Histogram).
pub trait Kind: Clone + Send + Sync + Sealed + 'static {
    /// Which of the three.
    const KIND: MetricKind;

    /// What is read back from it.
    type Value: Into<Reading> + TryFrom<Reading>;

    #[doc(hidden)]
    fn new(bounds: &'static [f64]) -> Self;

    #[doc(hidden)]
    fn is_shared(&self) -> bool;

    /// What it says now.
    fn value(&self) -> Self::Value;
}

#[expect(unnameable_types, reason = "sealed: exporters know three kinds")]
pub trait Sealed {}

/// The kinds of metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the three kinds that every exporter knows"
)]
pub enum MetricKind {
    /// Only goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A spread over buckets.
    Histogram,
}

impl fmt::Display for MetricKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        })
    }
}

/// What a series says at one moment.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the three kinds that every exporter knows"
)]
pub enum Reading {
    /// How often it happened.
    Counter(u64),
    /// What it is.
    Gauge(f64),
    /// How it is spread.
    Histogram(Distribution),
}

macro_rules! reading_of {
    ($($kind:ident of $value:ty;)*) => {$(
        impl From<$value> for Reading {
            fn from(value: $value) -> Self {
                Self::$kind(value)
            }
        }

        impl TryFrom<Reading> for $value {
            type Error = Reading;

            fn try_from(reading: Reading) -> Result<Self, Reading> {
                match reading {
                    Reading::$kind(value) => Ok(value),
                    other => Err(other),
                }
            }
        }
    )*};
}

reading_of! {
    Counter of u64;
    Gauge of f64;
    Histogram of Distribution;
}
