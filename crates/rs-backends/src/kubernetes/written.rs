use std::{path::PathBuf, time::Duration};

use rs_core::{Backoff, ConfigError};
use serde::Deserialize;

use super::KubernetesConfig;
use crate::remote::read_rules;

/// How it stands in a file. Which cluster is said in one of three ways; the first of them, this pod's own,
/// is by saying nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
    url: Option<String>,
    token: Option<String>,
    token_file: Option<PathBuf>,
    namespace: Option<String>,
    port_name: Option<String>,
    #[serde(default)]
    ipv6: bool,
    #[serde(default, with = "rs_core::humane::duration::option")]
    wait: Option<Duration>,
    owner: Option<Owner>,
    #[serde(default, with = "rs_core::humane::duration::option")]
    timeout: Option<Duration>,
    #[serde(default, with = "rs_core::humane::duration::option")]
    empty_grace: Option<Duration>,
    reconnect: Option<Backoff>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Owner {
    pod: String,
    uid: String,
}

impl TryFrom<Written> for KubernetesConfig {
    type Error = ConfigError;

    fn try_from(written: Written) -> Result<Self, ConfigError> {
        let mut config = match (&written.kubeconfig, &written.context, &written.url) {
            (None, None, None) => Self::in_cluster()?,
            (None, None, Some(url)) => Self::new(url)?,
            (Some(path), None, None) => Self::kubeconfig(path)?,
            (Some(path), Some(context), None) => Self::kubeconfig_context(path, context)?,
            (Some(_), _, Some(_)) => {
                return Err(ConfigError::other("is what the kubeconfig says").in_field("url"));
            }
            (None, Some(_), _) => return Err(ConfigError::missing("kubeconfig")),
        };
        if written.url.is_none() && (written.token.is_some() || written.token_file.is_some()) {
            return Err(ConfigError::other("goes with a `url`").in_field("token"));
        }
        config = match (written.token, written.token_file) {
            (Some(token), None) => config.with_token(token)?,
            (None, Some(path)) => config.with_token_file(path)?,
            (None, None) => config,
            (Some(_), Some(_)) => {
                return Err(ConfigError::other("is one of two tokens").in_field("token_file"));
            }
        };
        if let Some(namespace) = written.namespace {
            config = config.with_namespace(namespace)?;
        }
        if let Some(name) = written.port_name {
            config = config.with_port_name(name)?;
        }
        if written.ipv6 {
            config = config.with_ipv6();
        }
        if let Some(wait) = written.wait {
            config = config.with_wait(wait)?;
        }
        if let Some(Owner { pod, uid }) = written.owner {
            config = config.with_owner(pod, uid)?;
        }
        read_rules!(config, written);
        Ok(config)
    }
}
