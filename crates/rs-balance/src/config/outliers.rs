use std::time::Duration;

use rs_core::{ConfigError, Share, config};

#[cfg(feature = "serde")]
use super::written;

/// Which endpoints are ejected for how their calls end, and for how long.
///
/// | | default |
/// |---|---|
/// | failures in a row | 5 |
/// | success rate against the others | on; see [`SuccessRate`] |
/// | latency against the others | off; see [`SlowOutliers`] |
/// | looked at the others | every 10 s |
/// | ejected at once | 10 % at most, but one in any case |
/// | ejected for | 30 s, longer each time by as much, up to 5 min; shorter again with time |
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
pub struct Outliers {
    consecutive_failures: u32,
    #[cfg_attr(feature = "serde", serde(with = "written::or_off"))]
    success_rate: Option<SuccessRate>,
    #[cfg_attr(feature = "serde", serde(with = "written::or_off"))]
    latency: Option<SlowOutliers>,
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    interval: Duration,
    at_most: Share,
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    ejection: Duration,
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    longest_ejection: Duration,
}

impl Outliers {
    /// After so many failures in a row an endpoint is ejected; 0 switches that off.
    #[must_use]
    pub const fn with_consecutive_failures(mut self, failures: u32) -> Self {
        self.consecutive_failures = failures;
        self
    }

    /// An endpoint is ejected for a success rate far below the others'.
    #[must_use]
    pub const fn with_success_rate(mut self, rule: SuccessRate) -> Self {
        self.success_rate = Some(rule);
        self
    }

    /// No endpoint is ejected for its success rate.
    #[must_use]
    pub const fn without_success_rate(mut self) -> Self {
        self.success_rate = None;
        self
    }

    /// An endpoint is ejected for being far slower than the others. Calls are timed then.
    #[must_use]
    pub const fn with_latency(mut self, rule: SlowOutliers) -> Self {
        self.latency = Some(rule);
        self
    }

    /// How often the endpoints are compared with each other.
    #[must_use]
    pub const fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// At most this share of the endpoints is ejected at once, but one in any case.
    #[must_use]
    pub const fn with_at_most(mut self, share: Share) -> Self {
        self.at_most = share;
        self
    }

    /// The first ejection lasts so long; each further one longer by as much, up to a limit.
    #[must_use]
    pub const fn with_ejection(mut self, first: Duration, longest: Duration) -> Self {
        self.ejection = first;
        self.longest_ejection = longest;
        self
    }

    /// After how many failures in a row an endpoint is ejected.
    #[must_use]
    pub const fn consecutive_failures(&self) -> u32 {
        self.consecutive_failures
    }

    /// How success rates are compared.
    #[must_use]
    pub const fn success_rate(&self) -> Option<&SuccessRate> {
        self.success_rate.as_ref()
    }

    /// How latencies are compared.
    #[must_use]
    pub const fn latency(&self) -> Option<&SlowOutliers> {
        self.latency.as_ref()
    }

    /// How often they are compared.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// How many may be ejected at once.
    #[must_use]
    pub const fn at_most(&self) -> Share {
        self.at_most
    }

    /// How many of so many endpoints may be ejected.
    #[must_use]
    pub fn places(&self, endpoints: usize) -> usize {
        ((endpoints as f64 * self.at_most.get()) as usize).max(1)
    }

    /// How long an ejection lasts that is the so-manieth in a short time, the first being 1.
    #[must_use]
    pub fn lasting(&self, level: u32) -> Duration {
        self.ejection
            .checked_mul(level.max(1))
            .map_or(self.longest_ejection, |time| {
                time.min(self.longest_ejection)
            })
    }

    /// Whether endpoints are compared with each other.
    pub(crate) const fn compares(&self) -> bool {
        self.success_rate.is_some() || self.latency.is_some()
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        config::in_range(
            "consecutive_failures",
            self.consecutive_failures,
            0..=1_000_000,
        )?;
        if let Some(rule) = &self.success_rate {
            rule.check()
                .map_err(|error| error.in_field("success_rate"))?;
        }
        if let Some(rule) = &self.latency {
            rule.check().map_err(|error| error.in_field("latency"))?;
        }
        let times = Duration::from_millis(10)..=Duration::from_secs(24 * 3600);
        config::time_in_range("interval", self.interval, times.clone())?;
        config::time_in_range("ejection", self.ejection, times.clone())?;
        let longer = self.ejection..=*times.end();
        config::time_in_range("longest_ejection", self.longest_ejection, longer)?;
        Ok(())
    }
}

impl Default for Outliers {
    fn default() -> Self {
        Self {
            consecutive_failures: 5,
            success_rate: Some(SuccessRate::default()),
            latency: None,
            interval: Duration::from_secs(10),
            at_most: Share::of(0.1).unwrap_or(Share::NONE),
            ejection: Duration::from_secs(30),
            longest_ejection: Duration::from_secs(300),
        }
    }
}

/// An endpoint is ejected when its success rate is below the mean of all by more than so many standard
/// deviations: 1.9 unless told, of at least 5 endpoints that had at least 100 calls in the interval.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
pub struct SuccessRate {
    deviations: f64,
    least_endpoints: u32,
    least_calls: u32,
}

impl SuccessRate {
    /// Below the mean by more than so many standard deviations.
    #[must_use]
    pub fn below_mean_by(deviations: f64) -> Self {
        Self {
            deviations,
            ..Self::default()
        }
    }

    /// Only among at least so many endpoints, each with at least so many calls in the interval.
    #[must_use]
    pub const fn among(mut self, endpoints: u32, calls: u32) -> Self {
        self.least_endpoints = endpoints;
        self.least_calls = calls;
        self
    }

    /// By how many standard deviations.
    #[must_use]
    pub const fn deviations(&self) -> f64 {
        self.deviations
    }

    /// Among how many endpoints.
    #[must_use]
    pub const fn least_endpoints(&self) -> u32 {
        self.least_endpoints
    }

    /// With how many calls each.
    #[must_use]
    pub const fn least_calls(&self) -> u32 {
        self.least_calls
    }

    fn check(&self) -> Result<(), ConfigError> {
        config::in_range("deviations", self.deviations, 0.1..=100.0)?;
        config::in_range("least_endpoints", self.least_endpoints, 2..=1_000_000)?;
        config::in_range("least_calls", self.least_calls, 1..=1_000_000_000)?;
        Ok(())
    }
}

impl Default for SuccessRate {
    fn default() -> Self {
        Self {
            deviations: 1.9,
            least_endpoints: 5,
            least_calls: 100,
        }
    }
}

/// An endpoint is ejected when it takes so many times as long as the median of all: 5 times unless told,
/// of at least 5 endpoints that had at least 20 calls in the interval.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
pub struct SlowOutliers {
    times: f64,
    least_endpoints: u32,
    least_calls: u32,
}

impl SlowOutliers {
    /// So many times as slow as the median.
    #[must_use]
    pub fn beyond_median_by(times: f64) -> Self {
        Self {
            times,
            ..Self::default()
        }
    }

    /// Only among at least so many endpoints, each with at least so many calls in the interval.
    #[must_use]
    pub const fn among(mut self, endpoints: u32, calls: u32) -> Self {
        self.least_endpoints = endpoints;
        self.least_calls = calls;
        self
    }

    /// How many times as slow.
    #[must_use]
    pub const fn times(&self) -> f64 {
        self.times
    }

    /// Among how many endpoints.
    #[must_use]
    pub const fn least_endpoints(&self) -> u32 {
        self.least_endpoints
    }

    /// With how many calls each.
    #[must_use]
    pub const fn least_calls(&self) -> u32 {
        self.least_calls
    }

    fn check(&self) -> Result<(), ConfigError> {
        config::in_range("times", self.times, 1.1..=10_000.0)?;
        config::in_range("least_endpoints", self.least_endpoints, 2..=1_000_000)?;
        config::in_range("least_calls", self.least_calls, 1..=1_000_000_000)?;
        Ok(())
    }
}

impl Default for SlowOutliers {
    fn default() -> Self {
        Self {
            times: 5.0,
            least_endpoints: 5,
            least_calls: 20,
        }
    }
}
