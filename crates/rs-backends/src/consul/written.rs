use std::time::Duration;

use rs_core::{Backoff, ConfigError};
use serde::Deserialize;

use super::ConsulConfig;
use crate::remote::read_rules;

/// How it stands in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    url: String,
    token: Option<String>,
    #[serde(default, with = "rs_core::humane::duration::option")]
    wait: Option<Duration>,
    #[serde(default, with = "rs_core::humane::duration::option")]
    deregister_after: Option<Duration>,
    #[serde(default, with = "rs_core::humane::duration::option")]
    timeout: Option<Duration>,
    #[serde(default, with = "rs_core::humane::duration::option")]
    empty_grace: Option<Duration>,
    reconnect: Option<Backoff>,
}

impl TryFrom<Written> for ConsulConfig {
    type Error = ConfigError;

    fn try_from(written: Written) -> Result<Self, ConfigError> {
        let mut config = Self::new(&written.url)?;
        if let Some(token) = written.token {
            config = config.with_token(token)?;
        }
        if let Some(wait) = written.wait {
            config = config.with_wait(wait)?;
        }
        if let Some(time) = written.deregister_after {
            config = config.with_deregister_after(time)?;
        }
        read_rules!(config, written);
        Ok(config)
    }
}
