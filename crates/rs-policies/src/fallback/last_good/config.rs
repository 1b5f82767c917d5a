use std::time::Duration;

use rs_core::{ConfigError, config};
use rs_metrics::pattern::Checked;

use crate::FallbackConfig;

/// How many answers are kept, for how long, and when they are served.
///
/// | | default |
/// |---|---|
/// | served up to this age | an hour |
/// | served in place of a new one | only where the call fails |
/// | a refresh may take | 30 s, then another caller makes one |
/// | failures that are answered | as [`FallbackConfig`] says |
///
/// ```
/// use rs_policies::LastGoodConfig;
/// use std::time::Duration;
///
/// let minute = Duration::from_secs(60);
/// // Asks once a minute and key; where that fails, what is older will do for an hour.
/// let config = LastGoodConfig::of(10_000).refreshing_after(minute);
/// config.check()?;
/// assert!(config.keeping_for(minute).check().is_err(), "it would never be served");
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct LastGoodConfig {
    entries: u64,
    #[cfg_attr(
        feature = "serde",
        serde(default = "hour", with = "rs_core::humane::duration")
    )]
    at_most: Duration,
    #[cfg_attr(
        feature = "serde",
        serde(default, with = "rs_core::humane::duration::option")
    )]
    refresh_after: Option<Duration>,
    #[cfg_attr(
        feature = "serde",
        serde(default = "half_a_minute", with = "rs_core::humane::duration")
    )]
    longest_refresh: Duration,
    #[cfg_attr(feature = "serde", serde(default))]
    on: FallbackConfig,
}

const fn hour() -> Duration {
    Duration::from_secs(3600)
}

const fn half_a_minute() -> Duration {
    Duration::from_secs(30)
}

impl LastGoodConfig {
    /// Keeps the answers to so many calls, each until another takes its place.
    #[must_use]
    pub fn of(entries: u64) -> Self {
        Self {
            entries,
            at_most: hour(),
            refresh_after: None,
            longest_refresh: half_a_minute(),
            on: FallbackConfig::default(),
        }
    }

    /// Serves none that is older than this.
    #[must_use]
    pub const fn keeping_for(mut self, time: Duration) -> Self {
        self.at_most = time;
        self
    }

    /// Serves one that is younger than this without asking. When one is older, the next caller asks, and
    /// until it has an answer all others are served the old one.
    #[must_use]
    pub const fn refreshing_after(mut self, age: Duration) -> Self {
        self.refresh_after = Some(age);
        self
    }

    /// When a refresh has taken this long, another caller makes one as well.
    #[must_use]
    pub const fn with_longest_refresh(mut self, time: Duration) -> Self {
        self.longest_refresh = time;
        self
    }

    /// Answers these failures.
    #[must_use]
    pub const fn answering(mut self, on: FallbackConfig) -> Self {
        self.on = on;
        self
    }

    /// How many answers are kept.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.entries
    }

    /// Up to which age they are served.
    #[must_use]
    pub const fn at_most(&self) -> Duration {
        self.at_most
    }

    /// Up to which age they are served without asking.
    #[must_use]
    pub const fn refresh_after(&self) -> Option<Duration> {
        self.refresh_after
    }

    /// How long a refresh may take.
    #[must_use]
    pub const fn longest_refresh(&self) -> Duration {
        self.longest_refresh
    }

    /// Which failures are answered.
    #[must_use]
    pub const fn on(&self) -> &FallbackConfig {
        &self.on
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// Which field is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let (least, longest) = (
            Duration::from_millis(1),
            Duration::from_secs(30 * 24 * 3600),
        );
        config::in_range("entries", self.entries, 1..=10_000_000)?;
        config::time_in_range("at_most", self.at_most, least..=longest)?;
        if let Some(age) = self.refresh_after {
            // One as old as that is not served any more, so nobody could be while it is replaced.
            let oldest = self.at_most.saturating_sub(least).max(least);
            config::time_in_range("refresh_after", age, least..=oldest)?;
        }
        config::time_in_range("longest_refresh", self.longest_refresh, least..=longest)?;
        self.on.check().map_err(|error| error.in_field("on"))
    }
}

impl Checked for LastGoodConfig {
    fn check(&self) -> Result<(), ConfigError> {
        Self::check(self)
    }
}
