use std::time::Duration;

use rs_core::{Backoff, ConfigError};
use serde::Deserialize;

use super::DnsConfig;
use crate::remote::read_rules;

/// How it stands in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    services: Option<String>,
    addresses: Option<String>,
    port: Option<u16>,
    servers: Option<Vec<String>>,
    ipv6: Option<bool>,
    #[serde(default, with = "rs_core::humane::duration::option")]
    refresh_least: Option<Duration>,
    #[serde(default, with = "rs_core::humane::duration::option")]
    refresh_most: Option<Duration>,
    #[serde(default, with = "rs_core::humane::duration::option")]
    timeout: Option<Duration>,
    #[serde(default, with = "rs_core::humane::duration::option")]
    empty_grace: Option<Duration>,
    reconnect: Option<Backoff>,
}

impl TryFrom<Written> for DnsConfig {
    type Error = ConfigError;

    fn try_from(written: Written) -> Result<Self, ConfigError> {
        let mut config = match (written.services, written.addresses, written.port) {
            (Some(name), None, None) => Self::services(&name)?,
            (None, Some(name), Some(port)) => Self::addresses(&name, port)?,
            (None, Some(_), None) => return Err(ConfigError::missing("port")),
            (None, None, _) => return Err(ConfigError::missing("services")),
            (Some(_), None, Some(_)) => {
                return Err(ConfigError::other("is what the services say").in_field("port"));
            }
            (Some(_), Some(_), _) => {
                return Err(ConfigError::other("is one of two names").in_field("addresses"));
            }
        };
        if let Some(servers) = written.servers {
            config = config.with_servers(servers.iter().map(String::as_str))?;
        }
        if let Some(ipv6) = written.ipv6 {
            config = config.with_ipv6(ipv6);
        }
        if written.refresh_least.is_some() || written.refresh_most.is_some() {
            let least = written.refresh_least.unwrap_or(config.least);
            let most = written.refresh_most.unwrap_or(config.most.max(least));
            config = config.with_refresh(least, most)?;
        }
        read_rules!(config, written);
        Ok(config)
    }
}
