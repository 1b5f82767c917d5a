use std::time::Duration;

use rs_core::{ConfigError, config};

use super::{FindLimit, Sample};

/// Additive increase, multiplicative decrease: one more for each window in which nothing is wrong, a
/// tenth less for one in which too much was dropped.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
pub struct Aimd {
    increase: f64,
    backoff: f64,
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration::option"))]
    slow_after: Option<Duration>,
}

impl Aimd {
    /// So many more for each good window, by default 1.
    #[must_use]
    pub const fn with_increase(mut self, calls: f64) -> Self {
        self.increase = calls;
        self
    }

    /// Times this after a bad one, by default 0.9.
    #[must_use]
    pub const fn with_backoff(mut self, factor: f64) -> Self {
        self.backoff = factor;
        self
    }

    /// A window in which calls took longer than this on average is bad, too. By default times do not
    /// matter.
    #[must_use]
    pub const fn with_slow_after(mut self, time: Duration) -> Self {
        self.slow_after = Some(time);
        self
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        config::in_range("increase", self.increase, 0.01..=1000.0)?;
        config::in_range("backoff", self.backoff, 0.1..=0.99)?;
        if let Some(time) = self.slow_after {
            let range = Duration::from_micros(1)..=Duration::from_secs(3600);
            config::time_in_range("slow_after", time, range)?;
        }
        Ok(())
    }
}

impl Default for Aimd {
    fn default() -> Self {
        Self {
            increase: 1.0,
            backoff: 0.9,
            slow_after: None,
        }
    }
}

impl FindLimit for Aimd {
    fn next(&mut self, sample: &Sample) -> f64 {
        let is_slow = match (sample.time, self.slow_after) {
            (Some(time), Some(limit)) => time > limit,
            _ => false,
        };
        if sample.is_overloaded || is_slow {
            sample.limit * self.backoff
        } else {
            sample.limit + self.increase
        }
    }

    fn compares_times(&self) -> bool {
        false
    }
}
