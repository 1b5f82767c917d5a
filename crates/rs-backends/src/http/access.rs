use std::fmt;

use http::{Uri, uri::PathAndQuery};
use rs_core::ConfigError;

use crate::BackendError;
#[cfg(feature = "tls")]
use crate::TlsConfig;

/// Where a registry is reached: at any of these addresses, which are one registry.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Access {
    endpoints: Vec<Endpoint>,
    #[cfg(feature = "tls")]
    tls: Option<TlsConfig>,
}

/// One address, with what all its paths begin with.
#[derive(Debug, Clone, PartialEq)]
struct Endpoint {
    uri: Uri,
    prefix: String,
}

impl Access {
    /// How many addresses there may be.
    const MOST: usize = 16;

    /// These addresses; the hint shows what one looks like.
    pub(crate) fn parse<'a>(
        urls: impl IntoIterator<Item = &'a str>,
        hint: &str,
    ) -> Result<Self, ConfigError> {
        let urls = urls.into_iter().map(|url| Endpoint::parse(url, hint));
        let endpoints: Vec<_> = urls.collect::<Result<_, _>>()?;
        rs_core::config::in_range("urls", endpoints.len(), 1..=Self::MOST)?;
        Ok(Self {
            endpoints,
            #[cfg(feature = "tls")]
            tls: None,
        })
    }

    #[cfg(feature = "tls")]
    pub(crate) fn set_tls(&mut self, tls: TlsConfig) -> Result<(), ConfigError> {
        if !self.endpoints.iter().all(Endpoint::is_tls) {
            let problem = "an address begins with http, where it would not be used; write https";
            return Err(ConfigError::other(problem).in_field("tls"));
        }
        self.tls = Some(tls);
        Ok(())
    }

    /// What an address with `https` is recognised by. Without any, the system's roots.
    #[cfg(feature = "tls")]
    pub(crate) fn tls(&self) -> Option<TlsConfig> {
        let asked = self.endpoints.iter().any(Endpoint::is_tls);
        asked.then(|| self.tls.clone().unwrap_or_else(TlsConfig::system_or_none))
    }

    pub(crate) const fn len(&self) -> usize {
        self.endpoints.len()
    }

    /// This path at one of the addresses; any number is one of them.
    pub(crate) fn uri(&self, at: usize, path: &str) -> Result<Uri, BackendError> {
        let at = self.endpoints.get(at % self.endpoints.len().max(1));
        let endpoint = at.ok_or_else(|| BackendError::unreachable("there is no address"))?;
        let path = PathAndQuery::try_from(format!("{}{path}", endpoint.prefix));
        let mut parts = endpoint.uri.clone().into_parts();
        parts.path_and_query = Some(path.map_err(BackendError::malformed)?);
        Uri::from_parts(parts).map_err(BackendError::malformed)
    }
}

impl Endpoint {
    fn parse(url: &str, hint: &str) -> Result<Self, ConfigError> {
        // What is before an @ may be a password: it is not repeated.
        let shown = if url.contains('@') { "…" } else { url };
        let wrong = |problem| ConfigError::malformed(shown, problem, hint).in_field("url");
        let uri: Uri = url.parse().map_err(|_| wrong("is not an address"))?;
        match (uri.scheme_str(), uri.authority()) {
            (Some("https"), _) if cfg!(not(feature = "tls")) => {
                return Err(wrong("asks for TLS, which needs the feature `tls`"));
            }
            (Some("http" | "https"), Some(authority)) => {
                if authority.as_str().contains('@') {
                    return Err(wrong("has a user, which is given otherwise"));
                }
            }
            _ => return Err(wrong("does not begin with http:// or https:// and a host")),
        }
        if uri.query().is_some() {
            return Err(wrong("has a query"));
        }
        let prefix = uri.path().trim_end_matches('/').to_owned();
        Ok(Self { uri, prefix })
    }

    #[cfg(feature = "tls")]
    fn is_tls(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, endpoint) in self.endpoints.iter().enumerate() {
            let between = if at == 0 { "" } else { ", " };
            write!(f, "{between}{}", endpoint.uri)?;
        }
        Ok(())
    }
}

/// The knob that every configuration with an [`Access`] has, in a field of that name.
macro_rules! with_access {
    () => {
        /// How the server is recognised, and how this client shows who it is. Without it, an address with
        /// `https` is recognised by the roots of the system.
        ///
        /// # Errors
        /// When an address begins with `http`, where this would protect nothing.
        #[cfg(feature = "tls")]
        pub fn with_tls(mut self, tls: crate::TlsConfig) -> Result<Self, ConfigError> {
            self.access.set_tls(tls)?;
            Ok(self)
        }
    };
}
pub(crate) use with_access;
