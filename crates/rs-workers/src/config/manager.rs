use std::time::Duration;

use rs_core::{ConfigError, config};
use rs_metrics::pattern::Checked;

use super::GroupConfig;

/// What happens when the outermost group has had too many restarts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum WhenGivenUp {
    /// All workers are stopped, and [`WorkerManager::ended`](crate::WorkerManager::ended) says why; the
    /// program decides.
    #[default]
    Stop,
    /// All workers are stopped, and then the process exits with this code.
    Exit(u8),
}

/// How a manager treats its workers.
///
/// ```
/// use rs_workers::{GroupConfig, ManagerConfig, WhenGivenUp};
///
/// let config = ManagerConfig::default()
///     .with_root(GroupConfig::rest_for_one())
///     .when_given_up(WhenGivenUp::Exit(70));
/// config.check()?;
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct ManagerConfig {
    root: GroupConfig,
    when_given_up: WhenGivenUp,
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    lost_after: Duration,
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    start_within: Duration,
    limit: usize,
}

impl Default for ManagerConfig {
    fn default() -> Self {
        Self {
            root: GroupConfig::default(),
            when_given_up: WhenGivenUp::Stop,
            lost_after: Duration::from_secs(1),
            start_within: Duration::from_secs(60),
            limit: 100_000,
        }
    }
}

impl ManagerConfig {
    /// How the workers that are in no group are treated. It has no group above it: what it is
    /// `after`, and when it is restarted, does not count.
    #[must_use]
    pub fn with_root(mut self, root: GroupConfig) -> Self {
        self.root = root;
        self
    }

    /// What happens when the outermost group gives up.
    #[must_use]
    pub const fn when_given_up(mut self, then: WhenGivenUp) -> Self {
        self.when_given_up = then;
        self
    }

    /// A worker that has not ended so long after it was aborted, by default 1 s, blocks its thread: it is
    /// named and no longer waited for.
    #[must_use]
    pub const fn with_lost_after(mut self, time: Duration) -> Self {
        self.lost_after = time;
        self
    }

    /// How long a start waits until all are ready; by default a minute.
    #[must_use]
    pub const fn with_start_within(mut self, time: Duration) -> Self {
        self.start_within = time;
        self
    }

    /// How many workers and groups there may be; by default 100,000.
    #[must_use]
    pub const fn with_limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// The outermost group.
    #[must_use]
    pub const fn root(&self) -> &GroupConfig {
        &self.root
    }

    /// What happens when it gives up.
    #[must_use]
    pub const fn then(&self) -> WhenGivenUp {
        self.when_given_up
    }

    /// How long an aborted worker is waited for.
    #[must_use]
    pub const fn lost_after(&self) -> Duration {
        self.lost_after
    }

    /// How long a start waits.
    #[must_use]
    pub const fn start_within(&self) -> Duration {
        self.start_within
    }

    /// How many workers and groups there may be.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// Which field is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.root.check().map_err(|error| error.in_field("root"))?;
        let longest = Duration::from_secs(24 * 3600);
        let least = Duration::from_millis(1);
        config::time_in_range("lost_after", self.lost_after, least..=longest)?;
        config::time_in_range("start_within", self.start_within, least..=longest)?;
        config::in_range("limit", self.limit, 1..=1_000_000)?;
        Ok(())
    }
}

impl Checked for ManagerConfig {
    fn check(&self) -> Result<(), ConfigError> {
        Self::check(self)
    }
}
