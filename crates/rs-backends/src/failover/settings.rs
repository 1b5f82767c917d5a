use std::time::Duration;

use rs_core::{ConfigError, config};
use serde::Deserialize;

use crate::RegisterWith;

/// When the primary is given up and when it is taken again.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct FailoverConfig {
    pub(super) give_up_after: Duration,
    pub(super) take_back_after: Duration,
    pub(super) register: RegisterWith,
}

impl Default for FailoverConfig {
    fn default() -> Self {
        Self {
            give_up_after: Duration::from_secs(30),
            take_back_after: Duration::from_secs(10),
            register: RegisterWith::First,
        }
    }
}

impl FailoverConfig {
    /// How long the primary must have been away before the secondary is believed, by default 30 s.
    ///
    /// # Errors
    /// When that is more than an hour.
    pub fn with_give_up_after(mut self, time: Duration) -> Result<Self, ConfigError> {
        let allowed = Duration::ZERO..=Duration::from_secs(3600);
        self.give_up_after = config::time_in_range("give_up_after", time, allowed)?;
        Ok(self)
    }

    /// How long the primary must have been back without an interruption before it is believed again, by
    /// default 10 s.
    ///
    /// # Errors
    /// When that is more than an hour.
    pub fn with_take_back_after(mut self, time: Duration) -> Result<Self, ConfigError> {
        let allowed = Duration::ZERO..=Duration::from_secs(3600);
        self.take_back_after = config::time_in_range("take_back_after", time, allowed)?;
        Ok(self)
    }

    /// Instances are registered with the primary alone, which is the default, or with both.
    #[must_use]
    pub const fn with_registering(mut self, register: RegisterWith) -> Self {
        self.register = register;
        self
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, with = "rs_core::humane::duration::option")]
    give_up_after: Option<Duration>,
    #[serde(default, with = "rs_core::humane::duration::option")]
    take_back_after: Option<Duration>,
    #[serde(default)]
    register_with: RegisterWith,
}

impl TryFrom<Written> for FailoverConfig {
    type Error = ConfigError;

    fn try_from(written: Written) -> Result<Self, ConfigError> {
        let mut config = Self::default().with_registering(written.register_with);
        if let Some(time) = written.give_up_after {
            config = config.with_give_up_after(time)?;
        }
        if let Some(time) = written.take_back_after {
            config = config.with_take_back_after(time)?;
        }
        Ok(config)
    }
}
