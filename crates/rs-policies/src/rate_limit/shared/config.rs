use std::time::Duration;

use rs_core::{ConfigError, config};
use rs_metrics::pattern::Checked;

use crate::RateLimitConfig;

/// What all replicas may do together, what each may do when it is alone, and how long a call waits to hear
/// which it is.
///
/// | | least | most | unless said otherwise |
/// |---|---|---|---|
/// | batch | 1 | the burst of the whole | 1 |
/// | patience | a millisecond | 10 s | 50 ms |
/// | pause | 10 ms | an hour | a second |
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct SharedRateLimitConfig {
    whole: RateLimitConfig,
    alone: RateLimitConfig,
    #[cfg_attr(feature = "serde", serde(default = "one"))]
    batch: u32,
    #[cfg_attr(
        feature = "serde",
        serde(default = "patience", with = "rs_core::humane::duration")
    )]
    patience: Duration,
    #[cfg_attr(
        feature = "serde",
        serde(default = "pause", with = "rs_core::humane::duration")
    )]
    pause: Duration,
}

const fn one() -> u32 {
    1
}

const fn patience() -> Duration {
    Duration::from_millis(50)
}

const fn pause() -> Duration {
    Duration::from_secs(1)
}

impl SharedRateLimitConfig {
    /// The limit of all replicas together, and that of one that does not reach the store. Whether refusals
    /// are carried out is for the first to say. Neither lets calls wait.
    #[must_use]
    pub const fn of(whole: RateLimitConfig, alone: RateLimitConfig) -> Self {
        Self {
            whole,
            alone,
            batch: one(),
            patience: patience(),
            pause: pause(),
        }
    }

    /// So many tokens are fetched at a time, so that one call in so many waits for the store.
    #[must_use]
    pub const fn with_batch(mut self, tokens: u32) -> Self {
        self.batch = tokens;
        self
    }

    /// A call waits so long for the store, then the replica decides alone.
    #[must_use]
    pub const fn with_patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    /// A store that was not reached is asked again after about this time.
    #[must_use]
    pub const fn with_pause(mut self, time: Duration) -> Self {
        self.pause = time;
        self
    }

    /// The limit of all replicas together.
    #[must_use]
    pub const fn whole(&self) -> RateLimitConfig {
        self.whole
    }

    /// The limit of a replica that does not reach the store.
    #[must_use]
    pub const fn alone(&self) -> RateLimitConfig {
        self.alone.with_enforcement(self.whole.enforced())
    }

    /// How many tokens are fetched at a time.
    #[must_use]
    pub const fn batch(&self) -> u32 {
        self.batch
    }

    /// How long a call waits for the store.
    #[must_use]
    pub const fn patience(&self) -> Duration {
        self.patience
    }

    /// After how long a store that was not reached is asked again.
    #[must_use]
    pub const fn pause(&self) -> Duration {
        self.pause
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// Which field is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (field, limit) in [("whole", self.whole), ("alone", self.alone)] {
            let at_once = || {
                let none = Duration::ZERO..=Duration::ZERO;
                config::time_in_range("longest_wait", limit.longest_wait(), none)
            };
            let checked = limit.check().and_then(|()| at_once());
            checked.map_err(|error| error.in_field(field))?;
        }
        config::in_range("batch", self.batch, 1..=self.whole.burst())?;
        let patience = Duration::from_millis(1)..=Duration::from_secs(10);
        config::time_in_range("patience", self.patience, patience)?;
        let pause = Duration::from_millis(10)..=Duration::from_secs(3600);
        config::time_in_range("pause", self.pause, pause)?;
        Ok(())
    }
}

impl Checked for SharedRateLimitConfig {
    fn check(&self) -> Result<(), ConfigError> {
        Self::check(self)
    }
}
