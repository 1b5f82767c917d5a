use std::time::Duration;

use rs_core::{Backoff, ConfigError};
use serde::Deserialize;

use super::RedisConfig;
use crate::remote::read_rules;

/// How it stands in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    url: String,
    prefix: Option<String>,
    #[serde(default, with = "rs_core::humane::duration::option")]
    poll_interval: Option<Duration>,
    #[serde(default, with = "rs_core::humane::duration::option")]
    timeout: Option<Duration>,
    #[serde(default, with = "rs_core::humane::duration::option")]
    empty_grace: Option<Duration>,
    reconnect: Option<Backoff>,
}

impl TryFrom<Written> for RedisConfig {
    type Error = ConfigError;

    fn try_from(written: Written) -> Result<Self, ConfigError> {
        let mut config = Self::new(&written.url)?;
        if let Some(prefix) = written.prefix {
            config = config.with_prefix(prefix)?;
        }
        if let Some(time) = written.poll_interval {
            config = config.with_poll_interval(time)?;
        }
        read_rules!(config, written);
        Ok(config)
    }
}
