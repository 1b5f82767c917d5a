use std::time::Duration;

use rs_core::{Backoff, ConfigError};
use serde::Deserialize;

use super::EtcdConfig;
use crate::remote::read_rules;

/// How it stands in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    urls: Vec<String>,
    user: Option<String>,
    password: Option<String>,
    prefix: Option<String>,
    #[serde(default, with = "rs_core::humane::duration::option")]
    wait: Option<Duration>,
    #[serde(default, with = "rs_core::humane::duration::option")]
    timeout: Option<Duration>,
    #[serde(default, with = "rs_core::humane::duration::option")]
    empty_grace: Option<Duration>,
    reconnect: Option<Backoff>,
}

impl TryFrom<Written> for EtcdConfig {
    type Error = ConfigError;

    fn try_from(written: Written) -> Result<Self, ConfigError> {
        let mut config = Self::cluster(written.urls.iter().map(String::as_str))?;
        config = match (written.user, written.password) {
            (None, None) => config,
            (Some(user), Some(password)) => config.with_user(user, password)?,
            (Some(_), None) => return Err(ConfigError::missing("password")),
            (None, Some(_)) => return Err(ConfigError::missing("user")),
        };
        if let Some(prefix) = written.prefix {
            config = config.with_prefix(prefix)?;
        }
        if let Some(wait) = written.wait {
            config = config.with_wait(wait)?;
        }
        read_rules!(config, written);
        Ok(config)
    }
}
