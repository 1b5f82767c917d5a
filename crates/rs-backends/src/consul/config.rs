use std::time::Duration;

use http::HeaderValue;
use rs_core::{Backoff, ConfigError, config};

use crate::{
    http::{Access, header_of, with_access},
    remote::{Rules, with_rules},
};

/// Which agent, and how it is used.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(try_from = "super::written::Written")]
pub struct ConsulConfig {
    pub(super) access: Access,
    /// Shown as `Sensitive`.
    pub(super) token: Option<HeaderValue>,
    pub(super) wait: Duration,
    pub(super) deregister_after: Duration,
    pub(super) rules: Rules,
}

impl ConsulConfig {
    /// The agent at this address: `http://127.0.0.1:8500`, or `https://` with the feature `tls`.
    ///
    /// # Errors
    /// When it is not such an address.
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        Ok(Self {
            access: Access::parse([url], "write http://127.0.0.1:8500")?,
            token: None,
            wait: Duration::from_secs(15),
            deregister_after: Duration::from_secs(60),
            rules: Rules::default(),
        })
    }

    /// With this ACL token, which is never shown.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn with_token(mut self, token: impl Into<String>) -> Result<Self, ConfigError> {
        let token = token.into();
        let header = header_of(&token).filter(|_| !token.is_empty());
        let unsendable = || ConfigError::other("cannot be sent as a header").in_field("token");
        self.token = Some(header.ok_or_else(unsendable)?);
        Ok(self)
    }

    /// How long a watch lets the agent wait for a change, by default 15 s, and up to a quarter less by
    /// chance. So long it also takes to find out that an agent has fallen silent.
    ///
    /// # Errors
    /// When that is not between a second and ten minutes.
    pub fn with_wait(mut self, wait: Duration) -> Result<Self, ConfigError> {
        let allowed = Duration::from_secs(1)..=Duration::from_secs(600);
        self.wait = config::time_in_range("wait", wait, allowed)?;
        Ok(self)
    }

    /// After how long in critical health the agent forgets an instance, by default a minute.
    ///
    /// # Errors
    /// When that is less than a minute, which Consul does not do, or more than a day.
    pub fn with_deregister_after(mut self, time: Duration) -> Result<Self, ConfigError> {
        let allowed = Duration::from_secs(60)..=Duration::from_secs(86_400);
        self.deregister_after = config::time_in_range("deregister_after", time, allowed)?;
        Ok(self)
    }

    with_access!();
    with_rules!();
}
