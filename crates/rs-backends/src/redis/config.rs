use std::{fmt, time::Duration};

use redis::{Client, ConnectionAddr};
#[cfg(feature = "tls")]
use redis::{ClientTlsConfig, TlsCertificates};
use rs_core::{Backoff, ConfigError, config};

#[cfg(feature = "tls")]
use crate::TlsConfig;
use crate::remote::{Rules, with_rules};

/// Which Redis, and how it is used. The password is never shown.
#[derive(Clone, serde::Deserialize)]
#[serde(try_from = "super::written::Written")]
pub struct RedisConfig {
    pub(super) client: Client,
    pub(super) prefix: String,
    pub(super) poll: Duration,
    pub(super) rules: Rules,
}

impl RedisConfig {
    /// The Redis at this URL, such as `redis://user:password@host:6379/0`, or `rediss://` with the feature
    /// `tls`.
    ///
    /// # Errors
    /// When it is no such URL, or would leave out the check of the server.
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        // The URL may hold a password, so it is not repeated.
        let client = Client::open(url).map_err(|_| {
            let hint = "write redis://user:password@host:6379/0";
            ConfigError::malformed("…", "is not the address of a Redis", hint).in_field("url")
        })?;
        let address = client.get_connection_info().addr();
        if matches!(address, ConnectionAddr::TcpTls { insecure: true, .. }) {
            return Err(ConfigError::other("would not check the server").in_field("url"));
        }
        #[cfg(feature = "tls")]
        if matches!(address, ConnectionAddr::TcpTls { .. }) {
            crate::tls::provide();
        }
        Ok(Self {
            client,
            prefix: "rs-backends".to_owned(),
            poll: Duration::from_secs(5),
            rules: Rules::default(),
        })
    }

    /// Its keys begin with this instead of `rs-backends`.
    ///
    /// # Errors
    /// When it is empty, longer than 100 bytes, or has a brace.
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Result<Self, ConfigError> {
        let prefix = prefix.into();
        config::in_range("prefix", prefix.len(), 1..=100)?;
        if prefix.contains(['{', '}']) {
            return Err(ConfigError::other("has a brace").in_field("prefix"));
        }
        self.prefix = prefix;
        Ok(self)
    }

    /// After how long a watch looks although no change was announced, by default 5 s.
    ///
    /// # Errors
    /// When that is not between 50 ms and a minute.
    pub fn with_poll_interval(mut self, poll: Duration) -> Result<Self, ConfigError> {
        let allowed = Duration::from_millis(50)..=Duration::from_secs(60);
        self.poll = config::time_in_range("poll_interval", poll, allowed)?;
        Ok(self)
    }

    /// Trusts and shows what this says; its addresses are `rediss://`. Without this the system's authorities
    /// are trusted.
    ///
    /// # Errors
    /// When the address is another, or a name is given for the server: its address must be in its certificate.
    #[cfg(feature = "tls")]
    pub fn with_tls(mut self, tls: TlsConfig) -> Result<Self, ConfigError> {
        let wrong = |why: &str| ConfigError::other(why.to_owned()).in_field("tls");
        if tls.server_name().is_some() {
            return Err(wrong("cannot be for another name than that of the address"));
        }
        let (root_cert, identity) = tls.in_pem();
        let client_tls = identity.map(|identity| ClientTlsConfig {
            client_cert: identity.chain,
            client_key: identity.key,
        });
        let certificates = TlsCertificates {
            client_tls,
            root_cert,
        };
        let info = self.client.get_connection_info().clone();
        let client = Client::build_with_tls(info, certificates);
        self.client = client.map_err(|_| wrong("goes with `rediss://`"))?;
        Ok(self)
    }

    with_rules!();
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.client.get_connection_info().addr().to_string();
        f.debug_struct("RedisConfig")
            .field("address", &address)
            .field("prefix", &self.prefix)
            .field("poll", &self.poll)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}
