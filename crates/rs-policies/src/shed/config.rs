use std::time::Duration;

use rs_core::{ConfigError, Enforcement, Share, config};
use rs_metrics::pattern::Checked;

/// When calls are refused before they reach a dependency that refuses too many.
///
/// | | default |
/// |---|---|
/// | calls for each that is accepted | 2 |
/// | window | 2 minutes |
/// | calls before it refuses any | 20 in the window |
/// | most that it refuses | 95 % |
/// | timed out calls | accepted |
///
/// ```
/// use rs_policies::LoadShedConfig;
///
/// LoadShedConfig::sending(1.5).check()?;
/// assert_eq!(
///     LoadShedConfig::sending(0.5).check().unwrap_err().to_string(),
///     "for_each_accepted: 0.5 is out of range; allowed: 1 to 100",
/// );
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
pub struct LoadShedConfig {
    for_each_accepted: f64,
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    window: Duration,
    after: u32,
    most: Share,
    timeouts_are_refusals: bool,
    enforcement: Enforcement,
}

impl LoadShedConfig {
    /// Lets so many calls through for each that the dependency accepts: 2 sends it twice what it takes,
    /// so that it is soon noticed when it takes more; 1.1 spares it most of what it would refuse.
    #[must_use]
    pub fn sending(for_each_accepted: f64) -> Self {
        Self {
            for_each_accepted,
            ..Self::default()
        }
    }

    /// Goes by the calls of this time. After the dependency was away it takes about three times as long
    /// before nothing is refused any more: a shorter time recovers sooner, and takes fewer calls for many.
    #[must_use]
    pub const fn over(mut self, window: Duration) -> Self {
        self.window = window;
        self
    }

    /// Refuses nothing before there were so many calls in the window.
    #[must_use]
    pub const fn after(mut self, calls: u32) -> Self {
        self.after = calls;
        self
    }

    /// Refuses at most this share of the calls of a class: the others find out when the dependency has
    /// recovered.
    #[must_use]
    pub const fn at_most(mut self, share: Share) -> Self {
        self.most = share;
        self
    }

    /// Timed out calls were not accepted, either: for dependencies that do not refuse when they are
    /// overloaded, but hang.
    #[must_use]
    pub const fn counting_timeouts(mut self) -> Self {
        self.timeouts_are_refusals = true;
        self
    }

    /// Refusals are only counted, or carried out for a share of the calls.
    #[must_use]
    pub const fn with_enforcement(mut self, enforcement: Enforcement) -> Self {
        self.enforcement = enforcement;
        self
    }

    /// How many calls are let through for each that is accepted.
    #[must_use]
    pub const fn for_each_accepted(&self) -> f64 {
        self.for_each_accepted
    }

    /// The time that it goes by.
    #[must_use]
    pub const fn window(&self) -> Duration {
        self.window
    }

    /// How many calls there must have been.
    #[must_use]
    pub const fn calls_needed(&self) -> u32 {
        self.after
    }

    /// The most that it refuses.
    #[must_use]
    pub const fn most(&self) -> Share {
        self.most
    }

    /// Whether timed out calls were not accepted.
    #[must_use]
    pub const fn counts_timeouts(&self) -> bool {
        self.timeouts_are_refusals
    }

    /// Whether refusals are carried out.
    #[must_use]
    pub const fn enforced(&self) -> Enforcement {
        self.enforcement
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// Which field is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        config::in_range("for_each_accepted", self.for_each_accepted, 1.0..=100.0)?;
        let window = Duration::from_secs(1)..=Duration::from_secs(3600);
        config::time_in_range("window", self.window, window)?;
        config::in_range("after", self.after, 1..=1_000_000)?;
        config::in_range("most", self.most.get(), 0.01..=0.999)?;
        Ok(())
    }
}

impl Checked for LoadShedConfig {
    fn check(&self) -> Result<(), ConfigError> {
        Self::check(self)
    }
}

impl Default for LoadShedConfig {
    fn default() -> Self {
        Self {
            for_each_accepted: 2.0,
            window: Duration::from_secs(120),
            after: 20,
            most: Share::of(0.95).unwrap_or(Share::ALL),
            timeouts_are_refusals: false,
            enforcement: Enforcement::Full,
        }
    }
}
