//! Kubeconfig files. What is in them may be secret, so no error repeats it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rs_core::ConfigError;
use serde::{Deserialize, de::IgnoredAny};

use super::credentials::{Secret, Token};
use crate::TlsConfig;

/// What a context stands for.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) server: String,
    pub(super) namespace: Option<String>,
    pub(super) tls: Option<TlsConfig>,
    pub(super) token: Token,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Kubeconfig {
    #[serde(default)]
    clusters: Vec<Named<Cluster>>,
    #[serde(default)]
    contexts: Vec<Named<Context>>,
    #[serde(default)]
    users: Vec<Named<User>>,
    #[serde(default)]
    current_context: String,
}

#[derive(Deserialize)]
struct Named<T> {
    name: String,
    #[serde(alias = "cluster", alias = "context", alias = "user")]
    is: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    tls_server_name: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
    proxy_url: Option<String>,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    #[serde(default)]
    user: String,
    namespace: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct User {
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    username: Option<IgnoredAny>,
    exec: Option<IgnoredAny>,
    auth_provider: Option<IgnoredAny>,
    r#as: Option<IgnoredAny>,
}

/// What this context of the file, or its current one, stands for. Files are named from `folder`.
pub(super) fn parse(
    text: &str,
    context: Option<&str>,
    folder: &Path,
) -> Result<Found, ConfigError> {
    let config: Kubeconfig = serde_saphyr::from_str(text).map_err(|error| {
        // Its words would show the lines around the place.
        let at = error.location();
        let at = at.map_or_else(String::new, |at| format!(", see line {}", at.line()));
        ConfigError::other(format!("is no kubeconfig{at}"))
    })?;
    let context = context.unwrap_or(&config.current_context);
    let context = named(config.contexts, "context", context)?;
    let cluster = named(config.clusters, "cluster", &context.cluster)?;
    let user = match context.user.is_empty() {
        true => User::default(),
        false => named(config.users, "user", &context.user)?,
    };
    refuse_unsupported(&cluster, &user)?;
    let tls = match cluster.server.starts_with("https:") {
        true => Some(tls(&cluster, &user, folder)?),
        false => None,
    };
    let token = match (user.token, user.token_file) {
        // As kubectl has it: the file is the newer one.
        (_, Some(path)) => Token::File(folder.join(path)),
        (Some(token), None) => Token::Known(Secret(token)),
        (None, None) => Token::None,
    };
    let namespace = context.namespace.filter(|namespace| !namespace.is_empty());
    Ok(Found {
        server: cluster.server,
        namespace,
        tls,
        token,
    })
}

fn named<T>(all: Vec<Named<T>>, kind: &str, name: &str) -> Result<T, ConfigError> {
    let found = all.into_iter().find(|named| named.name == name);
    found.map(|named| named.is).ok_or_else(|| {
        let name: String = name.chars().take(80).collect();
        ConfigError::other(format!("has no {kind} `{}`", name.escape_debug()))
    })
}

fn refuse_unsupported(cluster: &Cluster, user: &User) -> Result<(), ConfigError> {
    let tokens = "get a token by it and give that, or a file that is kept fresh";
    let asked = [
        (user.exec.is_some(), "exec", tokens),
        (user.auth_provider.is_some(), "auth-provider", tokens),
        (
            user.username.is_some(),
            "username",
            "no cluster takes one any more",
        ),
        (user.r#as.is_some(), "as", "use an account with the rights"),
        (cluster.proxy_url.is_some(), "proxy-url", "connect directly"),
        (
            cluster.insecure_skip_tls_verify,
            "insecure-skip-tls-verify",
            "give the cluster's authority",
        ),
    ];
    match asked.into_iter().find(|(is_asked, ..)| *is_asked) {
        None => Ok(()),
        Some((_, what, instead)) => Err(ConfigError::other(format!(
            "asks for `{what}`, which is not supported; {instead}"
        ))),
    }
}

fn tls(cluster: &Cluster, user: &User, folder: &Path) -> Result<TlsConfig, ConfigError> {
    let (data, file) = (
        &cluster.certificate_authority_data,
        &cluster.certificate_authority,
    );
    let authority = either(
        "certificate-authority",
        data.as_ref(),
        file.as_ref(),
        folder,
    )?;
    let mut tls = match authority {
        Some(authority) => TlsConfig::trusting(&authority)?,
        None => TlsConfig::system()?,
    };
    let (data, file) = (&user.client_certificate_data, &user.client_certificate);
    let chain = either("client-certificate", data.as_ref(), file.as_ref(), folder)?;
    let (data, file) = (&user.client_key_data, &user.client_key);
    let key = either("client-key", data.as_ref(), file.as_ref(), folder)?;
    tls = match (chain, key) {
        (Some(chain), Some(key)) => tls.with_identity(&chain, &key)?,
        (None, None) => tls,
        _ => {
            let half = "has one of client-certificate and client-key, and they need each other";
            return Err(ConfigError::other(half));
        }
    };
    match &cluster.tls_server_name {
        Some(name) => tls.with_server_name(name),
        None => Ok(tls),
    }
}

/// What is in the file itself, or else what is in the other one.
fn either(
    field: &str,
    data: Option<&String>,
    file: Option<&PathBuf>,
    folder: &Path,
) -> Result<Option<Vec<u8>>, ConfigError> {
    let data = data.filter(|data| !data.is_empty());
    match (data, file) {
        (Some(data), _) => {
            let plain: String = data.split_whitespace().collect();
            let decoded = STANDARD.decode(plain);
            let wrong = |_| ConfigError::other("is not Base64").in_field(field);
            decoded.map(Some).map_err(wrong)
        }
        (None, Some(file)) => read(field, &folder.join(file)).map(Some),
        (None, None) => Ok(None),
    }
}

pub(super) fn read(field: &str, path: &Path) -> Result<Vec<u8>, ConfigError> {
    fs::read(path).map_err(|error| unreadable(field, path, &error))
}

pub(super) fn unreadable(field: &str, path: &Path, error: &io::Error) -> ConfigError {
    ConfigError::other(format!("{} cannot be read: {error}", path.display())).in_field(field)
}
