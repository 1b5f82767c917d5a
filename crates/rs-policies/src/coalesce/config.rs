use std::time::Duration;

use rs_core::{ConfigError, Enforcement, config};
use rs_metrics::pattern::Checked;

/// How many calls may share a run, and for how long.
///
/// | | default |
/// |---|---|
/// | keys that run at once | about 10 000; a call beyond them runs by itself |
/// | calls that wait for the run of another | 1000 for each key; a call beyond them runs by itself |
/// | longest wait | 30 s, then a call runs by itself; never past its deadline |
///
/// ```
/// use rs_policies::CoalesceConfig;
///
/// let config = CoalesceConfig::default().with_keys(500).with_followers(50);
/// config.check()?;
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
pub struct CoalesceConfig {
    keys: u32,
    followers: u32,
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    longest_wait: Duration,
    enforcement: Enforcement,
}

impl CoalesceConfig {
    /// So many keys may run at once. They are kept in sixteen parts, each with its part of this, rounded up.
    #[must_use]
    pub const fn with_keys(mut self, keys: u32) -> Self {
        self.keys = keys;
        self
    }

    /// So many calls may wait for the run of another of their key.
    #[must_use]
    pub const fn with_followers(mut self, followers: u32) -> Self {
        self.followers = followers;
        self
    }

    /// A call waits this long for the run of another, then it runs by itself: one run that hangs does not
    /// hold up all that come after it.
    #[must_use]
    pub const fn with_longest_wait(mut self, time: Duration) -> Self {
        self.longest_wait = time;
        self
    }

    /// Calls that could share a run are only counted, or share it for a part of them.
    #[must_use]
    pub const fn with_enforcement(mut self, enforcement: Enforcement) -> Self {
        self.enforcement = enforcement;
        self
    }

    /// How many keys may run at once.
    #[must_use]
    pub const fn keys(&self) -> u32 {
        self.keys
    }

    /// How many calls of a key may wait.
    #[must_use]
    pub const fn followers(&self) -> u32 {
        self.followers
    }

    /// How long they may wait.
    #[must_use]
    pub const fn longest_wait(&self) -> Duration {
        self.longest_wait
    }

    /// Whether calls share runs.
    #[must_use]
    pub const fn enforced(&self) -> Enforcement {
        self.enforcement
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// Which field is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        config::in_range("keys", self.keys, 1..=1_000_000)?;
        config::in_range("followers", self.followers, 1..=1_000_000)?;
        let wait = Duration::from_millis(1)..=Duration::from_secs(3600);
        config::time_in_range("longest_wait", self.longest_wait, wait)?;
        Ok(())
    }
}

impl Default for CoalesceConfig {
    fn default() -> Self {
        Self {
            keys: 10_000,
            followers: 1000,
            longest_wait: Duration::from_secs(30),
            enforcement: Enforcement::Full,
        }
    }
}

impl Checked for CoalesceConfig {
    fn check(&self) -> Result<(), ConfigError> {
        Self::check(self)
    }
}
