use std::{fmt, sync::Arc};

use rs_core::ConfigError;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};

/// How a registry is recognised, and how this client shows who it is. Keys are never shown.
///
/// ```no_run
/// use rs_backends::TlsConfig;
///
/// # fn doc() -> Result<(), Box<dyn std::error::Error>> {
/// let tls = TlsConfig::trusting(&std::fs::read("ca.pem")?)?
///     .with_identity(&std::fs::read("client.pem")?, &std::fs::read("client.key")?)?;
/// # Ok(()) }
/// ```
///
/// TLS 1.2 and 1.3 by rustls with ring. There is no way to leave out the check of the server.
#[derive(Clone)]
pub struct TlsConfig(Arc<Parts>);

#[derive(Clone)]
struct Parts {
    roots: RootCertStore,
    trust: Trust,
    identity: Option<Identity>,
    server_name: Option<ServerName<'static>>,
    client: Arc<ClientConfig>,
}

/// Who may be at the other end.
#[derive(Clone, PartialEq, Eq)]
enum Trust {
    System,
    /// Whom these sign, in PEM.
    These(Vec<u8>),
    Nobody,
}

/// Both in PEM.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) chain: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

impl Identity {
    fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), ConfigError> {
        let chain = certificates("identity", &self.chain)?;
        // The parser's words may repeat what it has read.
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| ConfigError::other("has no private key in PEM").in_field("identity"))?;
        Ok((chain, key))
    }
}

impl TlsConfig {
    /// Servers that the system's authorities have signed.
    ///
    /// # Errors
    /// When the system has none.
    pub fn system() -> Result<Self, ConfigError> {
        let loaded = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // Systems have certificates that nobody can read; those are of no use to anybody.
        roots.add_parsable_certificates(loaded.certs);
        if roots.is_empty() {
            let why = "the system has no authorities; give one of your own";
            return Err(ConfigError::other(why).in_field("tls"));
        }
        Self::of(roots, Trust::System, None, None)
    }

    /// Only servers that these authorities have signed: certificates in PEM, one or more.
    ///
    /// # Errors
    /// When there is none, or one cannot be read.
    pub fn trusting(authorities: &[u8]) -> Result<Self, ConfigError> {
        let mut roots = RootCertStore::empty();
        for authority in certificates("authorities", authorities)? {
            let added = roots.add(authority);
            added.map_err(|error| wrong("authorities", &error))?;
        }
        Self::of(roots, Trust::These(authorities.to_vec()), None, None)
    }

    /// This client shows these certificates, its own first, and proves them by the key: both in PEM.
    ///
    /// # Errors
    /// When one of them cannot be read, or they do not belong together.
    pub fn with_identity(self, chain: &[u8], key: &[u8]) -> Result<Self, ConfigError> {
        let identity = Identity {
            chain: chain.to_vec(),
            key: key.to_vec(),
        };
        let Parts {
            roots,
            trust,
            server_name,
            ..
        } = Parts::clone(&self.0);
        Self::of(roots, trust, Some(identity), server_name)
    }

    /// The server's certificate is for this name, whatever its address says.
    ///
    /// # Errors
    /// When it is neither a host name nor an IP address.
    pub fn with_server_name(self, name: &str) -> Result<Self, ConfigError> {
        let name = ServerName::try_from(name.to_owned()).map_err(|_| {
            let hint = "write consul.internal";
            ConfigError::malformed(name, "is not a host name", hint).in_field("server_name")
        })?;
        let mut parts = Parts::clone(&self.0);
        parts.server_name = Some(name);
        Ok(Self(Arc::new(parts)))
    }

    fn of(
        roots: RootCertStore,
        trust: Trust,
        identity: Option<Identity>,
        server_name: Option<ServerName<'static>>,
    ) -> Result<Self, ConfigError> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong("tls", &error))?
            .with_root_certificates(roots.clone());
        let client = match &identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (chain, key) = identity.read()?;
                let builder = builder.with_client_auth_cert(chain, key);
                builder.map_err(|error| wrong("identity", &error))?
            }
        };
        Ok(Self(Arc::new(Parts {
            roots,
            trust,
            identity,
            server_name,
            client: Arc::new(client),
        })))
    }
}

#[cfg(feature = "_http-client")]
impl TlsConfig {
    /// The system's authorities; without any, nobody is recognised, and each connection says so.
    pub(crate) fn system_or_none() -> Self {
        Self::system().unwrap_or_else(|_| Self::nobody())
    }

    /// No server at all.
    pub(crate) fn nobody() -> Self {
        let (roots, trust) = (RootCertStore::empty(), Trust::Nobody);
        let client = ClientConfig::builder_with_provider(provider());
        // Of ring's suites each version has some.
        let client = client.with_safe_default_protocol_versions();
        let client = client.unwrap_or_else(|_| ClientConfig::builder());
        let client = Arc::new(
            client
                .with_root_certificates(roots.clone())
                .with_no_client_auth(),
        );
        Self(Arc::new(Parts {
            roots,
            trust,
            identity: None,
            server_name: None,
            client,
        }))
    }

    pub(crate) fn client(&self) -> &Arc<ClientConfig> {
        &self.0.client
    }
}

#[cfg(any(feature = "_http-client", feature = "redis"))]
impl TlsConfig {
    pub(crate) fn server_name(&self) -> Option<&ServerName<'static>> {
        self.0.server_name.as_ref()
    }
}

#[cfg(feature = "redis")]
impl TlsConfig {
    /// The authorities, if they are not the system's, and who this client is.
    pub(crate) fn in_pem(&self) -> (Option<Vec<u8>>, Option<Identity>) {
        let authorities = match &self.0.trust {
            Trust::These(pem) => Some(pem.clone()),
            Trust::System | Trust::Nobody => None,
        };
        (authorities, self.0.identity.clone())
    }
}

/// For clients that take what the process has: it has this one, unless somebody chose another.
#[cfg(feature = "redis")]
pub(crate) fn provide() {
    if CryptoProvider::get_default().is_none() {
        let _ = CryptoProvider::install_default(Arc::unwrap_or_clone(provider()));
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn certificates(field: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let none = || ConfigError::other("has no certificate in PEM").in_field(field);
    let read = read.map_err(|_| none())?;
    match read.is_empty() {
        true => Err(none()),
        false => Ok(read),
    }
}

fn wrong(field: &str, error: &rustls::Error) -> ConfigError {
    ConfigError::other(error.to_string()).in_field(field)
}

impl PartialEq for TlsConfig {
    fn eq(&self, other: &Self) -> bool {
        let parts = |tls: &Self| {
            let parts = Parts::clone(&tls.0);
            (parts.trust, parts.identity, parts.server_name)
        };
        Arc::ptr_eq(&self.0, &other.0) || parts(self) == parts(other)
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("system", &(self.0.trust == Trust::System))
            .field("authorities", &self.0.roots.len())
            .field("identity", &self.0.identity.as_ref().map(|_| "***"))
            .field("server_name", &self.0.server_name)
            .finish_non_exhaustive()
    }
}
