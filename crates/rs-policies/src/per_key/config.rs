use std::time::Duration;

use rs_core::{ConfigError, config};
use rs_metrics::pattern::Checked;

/// How many keys have a guard of their own, how long one that rests is kept, and what becomes of calls
/// whose key has no room.
///
/// | | least | most | unless said otherwise |
/// |---|---|---|---|
/// | limit | 1 | 10 million | 100 000 |
/// | idle | a second | a day | 10 minutes |
/// | when full | | | lets through |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
pub struct PerKeyConfig {
    limit: u32,
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    idle: Duration,
    when_full: WhenFull,
}

/// What becomes of a call whose key has no guard, and no room for one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum WhenFull {
    /// It goes through unguarded, and is counted: a flood of keys harms nobody but whoever is called.
    #[default]
    LetThrough,
    /// It is refused: a flood of keys keeps out whoever is new.
    Refuse,
}

impl Default for PerKeyConfig {
    fn default() -> Self {
        Self {
            limit: 100_000,
            idle: Duration::from_secs(600),
            when_full: WhenFull::default(),
        }
    }
}

impl PerKeyConfig {
    /// So many keys at most.
    #[must_use]
    pub const fn with_limit(mut self, keys: u32) -> Self {
        self.limit = keys;
        self
    }

    /// A guard that rests, and that nobody has asked for so long, makes room.
    #[must_use]
    pub const fn with_idle(mut self, time: Duration) -> Self {
        self.idle = time;
        self
    }

    /// What becomes of calls whose key has no room.
    #[must_use]
    pub const fn when_full(mut self, what: WhenFull) -> Self {
        self.when_full = what;
        self
    }

    /// How many keys.
    #[must_use]
    pub const fn limit(&self) -> u32 {
        self.limit
    }

    /// How long a guard that rests is kept.
    #[must_use]
    pub const fn idle(&self) -> Duration {
        self.idle
    }

    /// What becomes of calls whose key has no room.
    #[must_use]
    pub const fn does_when_full(&self) -> WhenFull {
        self.when_full
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// Which field is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        config::in_range("limit", self.limit, 1..=10_000_000)?;
        let idle = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
        config::time_in_range("idle", self.idle, idle)?;
        Ok(())
    }
}

impl Checked for PerKeyConfig {
    fn check(&self) -> Result<(), ConfigError> {
        Self::check(self)
    }
}
