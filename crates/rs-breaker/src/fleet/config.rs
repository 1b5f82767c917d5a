use std::time::Duration;

use rs_core::{ConfigError, config};

/// How a [`Fleet`](crate::Fleet) keeps in touch.
///
/// | field | default |
/// |---|---|
/// | `name` | `"breakers"`: what signals, metrics and the directory call the fleet |
/// | `replica` | a number by chance; two replicas of one name would count as one |
/// | `interval` | 1 s between two exchanges, more or less a tenth |
/// | `keep` | ten intervals: for how long a replica is believed that says nothing more |
/// | `time_limit` | 1 s for an exchange |
///
/// ```
/// use rs_breaker::FleetConfig;
/// use std::time::Duration;
///
/// let config = FleetConfig::default().with_interval(Duration::from_secs(5));
/// assert_eq!(config.keep(), Duration::from_secs(50));
/// assert_eq!(
///     config.with_keep(Duration::from_secs(5)).check().unwrap_err().to_string(),
///     "keep: 5s is out of range; allowed: 10s to 1h",
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
pub struct FleetConfig {
    name: String,
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    replica: Option<String>,
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    interval: Duration,
    #[cfg_attr(
        feature = "serde",
        serde(
            skip_serializing_if = "Option::is_none",
            with = "rs_core::humane::duration::option"
        )
    )]
    keep: Option<Duration>,
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    time_limit: Duration,
}

impl FleetConfig {
    /// The fleet has this name.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// This replica has this name, such as that of its pod.
    #[must_use]
    pub fn with_replica(mut self, replica: impl Into<String>) -> Self {
        self.replica = Some(replica.into());
        self
    }

    /// This long between two exchanges. When the state of a breaker changes, the next one comes after a
    /// tenth of it.
    #[must_use]
    pub const fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// What a replica said counts for this long; so does, here, what the fleet said.
    #[must_use]
    pub const fn with_keep(mut self, time: Duration) -> Self {
        self.keep = Some(time);
        self
    }

    /// An exchange that takes longer has failed.
    #[must_use]
    pub const fn with_time_limit(mut self, time: Duration) -> Self {
        self.time_limit = time;
        self
    }

    /// The name of the fleet.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of this replica, if it was given one.
    #[must_use]
    pub fn replica(&self) -> Option<&str> {
        self.replica.as_deref()
    }

    /// The time between two exchanges.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// How long what was said counts.
    #[must_use]
    pub fn keep(&self) -> Duration {
        self.keep.unwrap_or(self.interval.saturating_mul(10))
    }

    /// How long an exchange may take.
    #[must_use]
    pub const fn time_limit(&self) -> Duration {
        self.time_limit
    }

    /// Whether a fleet would take it.
    ///
    /// # Errors
    /// The field, its value and what is allowed.
    pub fn check(&self) -> Result<(), ConfigError> {
        let second = Duration::from_secs(1);
        config::in_range("name", self.name.len(), 1..=rs_core::Name::MAX_LEN)?;
        if let Some(replica) = &self.replica {
            config::in_range("replica", replica.len(), 1..=rs_core::Name::MAX_LEN)?;
        }
        config::time_in_range("interval", self.interval, second / 100..=60 * second)?;
        config::time_in_range("keep", self.keep(), 2 * self.interval..=3600 * second)?;
        config::time_in_range("time_limit", self.time_limit, second / 1000..=60 * second)?;
        Ok(())
    }

    /// How long to wait after so many failures in a row: longer each time, but never so long that the
    /// others forget this replica because of it, and a few seconds at most.
    pub(super) fn pause_after(&self, failures: u32) -> Duration {
        let most = (self.keep() / 2)
            .min(Self::LONGEST_PAUSE)
            .max(self.interval);
        let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
        self.interval.saturating_mul(doubled).min(most)
    }

    const LONGEST_PAUSE: Duration = Duration::from_secs(5);
}

impl Default for FleetConfig {
    fn default() -> Self {
        Self {
            name: "breakers".to_owned(),
            replica: None,
            interval: Duration::from_secs(1),
            keep: None,
            time_limit: Duration::from_secs(1),
        }
    }
}
