use std::time::Duration;

use rs_core::{Backoff, ConfigError, Name, config};

use super::Restart;

/// What is started again when a member of a group ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[expect(
    clippy::exhaustive_enums,
    reason = "the three of OTP; each member decides for itself, or not"
)]
pub enum Strategy {
    /// The member alone.
    #[default]
    OneForOne,
    /// All members: they are stopped and started again together.
    OneForAll,
    /// The member and those after it, which build on it: each is started when the one before it is ready,
    /// and stopped before it.
    RestForOne,
}

/// How many restarts within how long are too many.
///
/// A group counts the restarts of its members. The one beyond the limit does not happen: the group
/// stops its members and fails in turn, as a member of its own group. The members that a strategy
/// takes along are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Intensity {
    restarts: u32,
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    within: Duration,
}

impl Intensity {
    /// This many restarts within this time are borne.
    #[must_use]
    pub const fn of(restarts: u32, within: Duration) -> Self {
        Self { restarts, within }
    }

    /// How many are borne.
    #[must_use]
    pub const fn restarts(self) -> u32 {
        self.restarts
    }

    /// Within how long.
    #[must_use]
    pub const fn within(self) -> Duration {
        self.within
    }

    fn check(self) -> Result<(), ConfigError> {
        config::in_range("restarts", self.restarts, 0..=1_000_000)?;
        let range = Duration::from_millis(1)..=Duration::from_secs(7 * 24 * 3600);
        config::time_in_range("within", self.within, range)?;
        Ok(())
    }
}

impl Default for Intensity {
    fn default() -> Self {
        Self::of(100, Duration::from_secs(60))
    }
}

/// How a group treats its members, and how it is treated as a member itself.
///
/// ```
/// use rs_workers::{GroupConfig, Intensity};
/// use std::time::Duration;
///
/// let config = GroupConfig::one_for_all()
///     .with_intensity(Intensity::of(3, Duration::from_secs(5)))
///     .after("database");
/// config.check()?;
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct GroupConfig {
    strategy: Strategy,
    intensity: Intensity,
    restart: Restart,
    backoff: Backoff,
    after: Vec<String>,
}

impl GroupConfig {
    /// Members are restarted alone.
    #[must_use]
    pub fn one_for_one() -> Self {
        Self::default()
    }

    /// Members are restarted together.
    #[must_use]
    pub fn one_for_all() -> Self {
        Self::default().with_strategy(Strategy::OneForAll)
    }

    /// Members build on those before them.
    #[must_use]
    pub fn rest_for_one() -> Self {
        Self::default().with_strategy(Strategy::RestForOne)
    }

    /// With this strategy.
    #[must_use]
    pub const fn with_strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// How many restarts of members are borne; by default 100 within a minute, for the waits between
    /// them already keep a broken worker from running hot.
    #[must_use]
    pub const fn with_intensity(mut self, intensity: Intensity) -> Self {
        self.intensity = intensity;
        self
    }

    /// Whether the group is started again once it has given up on its members; by default always.
    #[must_use]
    pub const fn with_restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// How long to wait before it is.
    #[must_use]
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Its members start when the worker or group of this name is ready, and stop before it.
    #[must_use]
    pub fn after(mut self, name: impl Into<String>) -> Self {
        self.after.push(name.into());
        self
    }

    /// What is started again.
    #[must_use]
    pub const fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// How many restarts are borne.
    #[must_use]
    pub const fn intensity(&self) -> Intensity {
        self.intensity
    }

    /// Whether it is started again itself.
    #[must_use]
    pub const fn restart(&self) -> Restart {
        self.restart
    }

    /// How long it waits before that.
    #[must_use]
    pub const fn backoff(&self) -> &Backoff {
        &self.backoff
    }

    /// What it starts after.
    pub fn dependencies(&self) -> impl Iterator<Item = Name> {
        self.after.iter().map(|name| Name::new(name))
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// Which field is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let intensity = self.intensity.check();
        intensity.map_err(|error| error.in_field("intensity"))?;
        let backoff = self.backoff.check();
        backoff.map_err(|error| error.in_field("backoff"))
    }
}
