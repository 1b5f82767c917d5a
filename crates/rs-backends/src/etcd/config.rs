use std::{fmt, time::Duration};

use rs_core::{Backoff, ConfigError, config};

use crate::{
    http::{Access, with_access},
    remote::{Rules, with_rules},
};

/// Which etcd, and how it is used. The password is never shown.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(try_from = "super::written::Written")]
pub struct EtcdConfig {
    pub(super) access: Access,
    pub(super) user: Option<User>,
    pub(super) prefix: String,
    pub(super) wait: Duration,
    pub(super) rules: Rules,
}

#[derive(Clone, PartialEq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) password: String,
}

impl EtcdConfig {
    /// The member at this address: `http://127.0.0.1:2379`, or `https://` with the feature `tls`.
    ///
    /// # Errors
    /// When it is not such an address.
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        Self::cluster([url])
    }

    /// The members of one cluster at these addresses, at most 16.
    ///
    /// # Errors
    /// When one is not such an address, or there is none.
    pub fn cluster<'a>(urls: impl IntoIterator<Item = &'a str>) -> Result<Self, ConfigError> {
        Ok(Self {
            access: Access::parse(urls, "write http://127.0.0.1:2379")?,
            user: None,
            prefix: "/rs-backends".to_owned(),
            wait: Duration::from_secs(15),
            rules: Rules::default(),
        })
    }

    /// As this user. Its token is asked for anew when etcd no longer takes it.
    ///
    /// # Errors
    /// When one of them is empty.
    pub fn with_user(
        mut self,
        name: impl Into<String>,
        password: impl Into<String>,
    ) -> Result<Self, ConfigError> {
        let (name, password) = (name.into(), password.into());
        if name.is_empty() || password.is_empty() {
            return Err(ConfigError::other("is empty").in_field("user"));
        }
        self.user = Some(User { name, password });
        Ok(self)
    }

    /// Its keys begin with this instead of `/rs-backends`.
    ///
    /// # Errors
    /// When it is empty, longer than 100 bytes, or ends with a slash.
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Result<Self, ConfigError> {
        let prefix = prefix.into();
        config::in_range("prefix", prefix.len(), 1..=100)?;
        if prefix.ends_with('/') {
            return Err(ConfigError::other("ends with a slash").in_field("prefix"));
        }
        self.prefix = prefix;
        Ok(self)
    }

    /// After how long a silent watch looks whether really nothing has changed, by default 15 s, and up to a
    /// quarter less by chance. So long it also takes to find out that a member has fallen silent.
    ///
    /// # Errors
    /// When that is not between half a second and ten minutes.
    pub fn with_wait(mut self, wait: Duration) -> Result<Self, ConfigError> {
        let allowed = Duration::from_millis(500)..=Duration::from_secs(600);
        self.wait = config::time_in_range("wait", wait, allowed)?;
        Ok(self)
    }

    with_access!();
    with_rules!();
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
