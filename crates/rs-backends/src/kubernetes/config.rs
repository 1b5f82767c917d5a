use std::{env, fs, path::Path, time::Duration};

use rs_core::{Backoff, ConfigError, config};

use super::{
    credentials::{Secret, Token},
    kubeconfig,
};
use crate::{
    TlsConfig,
    http::{Access, header_of, with_access},
    remote::{Rules, with_rules},
};

const HINT: &str = "write https://10.0.0.1:6443";

/// Where a pod finds who it is.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Which cluster and namespace, and how it is used. Tokens and keys are never shown.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(try_from = "super::written::Written")]
pub struct KubernetesConfig {
    pub(super) access: Access,
    pub(super) namespace: String,
    pub(super) token: Token,
    port_name: Option<String>,
    prefers_ipv6: bool,
    pub(super) wait: Duration,
    pub(super) owner: Option<Owner>,
    pub(super) rules: Rules,
}

/// The pod with which the slices of a registration go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) pod: String,
    pub(super) uid: String,
}

impl KubernetesConfig {
    /// The API server at this address, namespace `default`, without credentials.
    ///
    /// # Errors
    /// When it is not such an address.
    pub fn new(url: &str) -> Result<Self, ConfigError> {
        Ok(Self {
            access: Access::parse([url], HINT)?,
            namespace: "default".to_owned(),
            token: Token::None,
            port_name: None,
            prefers_ipv6: false,
            wait: Duration::from_secs(60),
            owner: None,
            rules: Rules::default(),
        })
    }

    /// The cluster that this pod runs in, its own namespace, and its service account.
    ///
    /// # Errors
    /// When this is no pod, or has no service account.
    pub fn in_cluster() -> Result<Self, ConfigError> {
        let variable = |name: &str| {
            let outside = || ConfigError::other("is not set: this is no pod").in_field(name);
            env::var(name).map_err(|_| outside())
        };
        let host = variable("KUBERNETES_SERVICE_HOST")?;
        let port = variable("KUBERNETES_SERVICE_PORT")?;
        let host = match host.contains(':') {
            true => format!("[{host}]"),
            false => host,
        };
        let url = format!("https://{host}:{port}");
        Self::service_account(&url, Path::new(SERVICE_ACCOUNT))
    }

    /// The API server at this address, with a service account in this folder: the files `ca.crt`,
    /// `namespace` and `token`, which is read again before it is over.
    ///
    /// # Errors
    /// When one of them is not there or makes no sense.
    pub fn service_account(url: &str, folder: &Path) -> Result<Self, ConfigError> {
        let authority = kubeconfig::read("service_account", &folder.join("ca.crt"))?;
        let namespace = kubeconfig::read("service_account", &folder.join("namespace"))?;
        let namespace = String::from_utf8_lossy(&namespace).trim().to_owned();
        let token = folder.join("token");
        // One that is not there now will hardly come later.
        kubeconfig::read("service_account", &token)?;
        Self::new(url)?
            .with_tls(TlsConfig::trusting(&authority)?)?
            .with_namespace(namespace)?
            .with_token_file(token)
    }

    /// The current context of a kubeconfig.
    ///
    /// # Errors
    /// When it cannot be read, or asks for something that is not supported: see
    /// [`kubeconfig_context`](Self::kubeconfig_context).
    pub fn kubeconfig(path: &Path) -> Result<Self, ConfigError> {
        Self::of_kubeconfig(path, None)
    }

    /// This context of a kubeconfig.
    ///
    /// Clusters with an authority, certificates with keys, and tokens are supported, inside the file and
    /// in files beside it. Programs that make credentials (`exec`), plugins, impersonation, proxies and
    /// `insecure-skip-tls-verify` are not.
    ///
    /// # Errors
    /// When it cannot be read, does not have the context, or asks for something that is not supported. The
    /// error never repeats what is in the file.
    pub fn kubeconfig_context(path: &Path, context: &str) -> Result<Self, ConfigError> {
        Self::of_kubeconfig(path, Some(context))
    }

    fn of_kubeconfig(path: &Path, context: Option<&str>) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path);
        let text = text.map_err(|error| kubeconfig::unreadable("kubeconfig", path, &error))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let found = kubeconfig::parse(&text, context, folder)
            .map_err(|error| error.in_field("kubeconfig"))?;
        let mut config = Self::new(&found.server)?;
        if let Some(tls) = found.tls {
            config = config.with_tls(tls)?;
        }
        if let Some(namespace) = found.namespace {
            config = config.with_namespace(namespace)?;
        }
        match found.token {
            Token::Known(Secret(token)) => config.with_token(token),
            Token::File(path) => config.with_token_file(path),
            Token::None => Ok(config),
        }
    }

    /// With this bearer token, which is never shown.
    ///
    /// # Errors
    /// When it cannot be sent, or would be sent without TLS.
    pub fn with_token(mut self, token: impl Into<String>) -> Result<Self, ConfigError> {
        let token = token.into();
        if token.is_empty() || header_of(&token).is_none() {
            return Err(ConfigError::other("cannot be sent as a header").in_field("token"));
        }
        self.protected()?;
        self.token = Token::Known(Secret(token));
        Ok(self)
    }

    /// With the bearer token in this file, which is read again every half minute and whenever the server
    /// does not take it any more.
    ///
    /// # Errors
    /// When it would be sent without TLS.
    pub fn with_token_file(
        mut self,
        path: impl Into<std::path::PathBuf>,
    ) -> Result<Self, ConfigError> {
        self.protected()?;
        self.token = Token::File(path.into());
        Ok(self)
    }

    /// A token is worth the whole account to whoever reads it on the way.
    fn protected(&self) -> Result<(), ConfigError> {
        match self.access.tls() {
            Some(_) => Ok(()),
            None => {
                let why = "would go over http, where anybody can read it; write https";
                Err(ConfigError::other(why).in_field("token"))
            }
        }
    }

    /// Services of this namespace.
    ///
    /// # Errors
    /// When it is no name of one.
    pub fn with_namespace(mut self, namespace: impl Into<String>) -> Result<Self, ConfigError> {
        let namespace = namespace.into();
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=63).contains(&namespace.len()) || !namespace.bytes().all(plain) {
            let hint = "up to 63 lower case letters, digits and dashes";
            let shown = namespace.chars().take(80).collect::<String>();
            let wrong = ConfigError::malformed(shown.escape_debug(), "is no namespace", hint);
            return Err(wrong.in_field("namespace"));
        }
        self.namespace = namespace;
        Ok(self)
    }

    /// Calls go to the port of this name. Without it they go to the first one for TCP.
    ///
    /// # Errors
    /// When it is empty or longer than 63 bytes.
    pub fn with_port_name(mut self, name: impl Into<String>) -> Result<Self, ConfigError> {
        let name = name.into();
        config::in_range("port_name", name.len(), 1..=63)?;
        self.port_name = Some(name);
        Ok(self)
    }

    /// Of a pod with addresses of both families, the one for IPv6 counts. Without this it is the other.
    #[must_use]
    pub const fn with_ipv6(mut self) -> Self {
        self.prefers_ipv6 = true;
        self
    }

    /// How long a watch lets the server wait before it is asked for anew, by default a minute, and up to a
    /// quarter less by chance. So long it also takes to find out that a server has fallen silent.
    ///
    /// # Errors
    /// When that is not between a second and ten minutes.
    pub fn with_wait(mut self, wait: Duration) -> Result<Self, ConfigError> {
        let allowed = Duration::from_secs(1)..=Duration::from_secs(600);
        self.wait = config::time_in_range("wait", wait, allowed)?;
        Ok(self)
    }

    /// What is registered belongs to this pod, so that the cluster removes it with the pod. Pods know
    /// both through the downward API, as `metadata.name` and `metadata.uid`.
    ///
    /// # Errors
    /// When one of them is empty or longer than 253 bytes.
    pub fn with_owner(
        mut self,
        pod: impl Into<String>,
        uid: impl Into<String>,
    ) -> Result<Self, ConfigError> {
        let (pod, uid) = (pod.into(), uid.into());
        config::in_range("owner", pod.len(), 1..=253)?;
        config::in_range("owner", uid.len(), 1..=253)?;
        self.owner = Some(Owner { pod, uid });
        Ok(self)
    }

    pub(super) fn port_name(&self) -> Option<&str> {
        self.port_name.as_deref()
    }

    pub(super) const fn prefers_ipv6(&self) -> bool {
        self.prefers_ipv6
    }

    with_access!();
    with_rules!();
}
