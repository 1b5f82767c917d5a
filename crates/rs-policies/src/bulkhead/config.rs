use std::time::Duration;

use rs_core::{ConfigError, Enforcement, config};
use rs_metrics::pattern::Checked;

/// How many calls may run, how many may wait, and how long.
///
/// ```
/// use rs_policies::BulkheadConfig;
/// use std::time::Duration;
///
/// let config = BulkheadConfig::of(32).with_queue(64, Duration::from_millis(500));
/// config.check()?;
/// assert_eq!(
///     BulkheadConfig::of(0).check().unwrap_err().to_string(),
///     "limit: 0 is out of range; allowed: 1 to 1000000",
/// );
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct BulkheadConfig {
    limit: u32,
    #[cfg_attr(feature = "serde", serde(default))]
    queue: u32,
    #[cfg_attr(
        feature = "serde",
        serde(default = "second", with = "rs_core::humane::duration")
    )]
    longest_wait: Duration,
    #[cfg_attr(feature = "serde", serde(default))]
    enforcement: Enforcement,
}

const fn second() -> Duration {
    Duration::from_secs(1)
}

impl BulkheadConfig {
    /// So many calls at once; nobody waits.
    #[must_use]
    pub const fn of(limit: u32) -> Self {
        Self {
            limit,
            queue: 0,
            longest_wait: second(),
            enforcement: Enforcement::Full,
        }
    }

    /// So many others may wait, each for so long at most, and never past the deadline of its call.
    #[must_use]
    pub const fn with_queue(mut self, length: u32, longest_wait: Duration) -> Self {
        self.queue = length;
        self.longest_wait = longest_wait;
        self
    }

    /// Calls for which there is no place are only counted, or held up and refused for a share of them.
    #[must_use]
    pub const fn with_enforcement(mut self, enforcement: Enforcement) -> Self {
        self.enforcement = enforcement;
        self
    }

    /// How many calls may run.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// How many may wait.
    #[must_use]
    pub const fn queue(&self) -> u32 {
        self.queue
    }

    /// How long they may wait.
    #[must_use]
    pub const fn longest_wait(&self) -> Duration {
        self.longest_wait
    }

    /// Whether calls for which there is no place are held up.
    #[must_use]
    pub const fn enforced(&self) -> Enforcement {
        self.enforcement
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// Which field is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        config::in_range("limit", self.limit, 1..=1_000_000)?;
        config::in_range("queue", self.queue, 0..=1_000_000)?;
        let wait = Duration::from_millis(1)..=Duration::from_secs(3600);
        config::time_in_range("longest_wait", self.longest_wait, wait)?;
        Ok(())
    }
}

impl Checked for BulkheadConfig {
    fn check(&self) -> Result<(), ConfigError> {
        Self::check(self)
    }
}
