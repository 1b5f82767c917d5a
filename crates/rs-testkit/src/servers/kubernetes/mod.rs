//! The API server of Kubernetes.

mod access;
mod certificates;

use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;

use self::access::{Access, Tokens};
use self::certificates::Certificates;
use super::etcd::Etcd;
use crate::error::Error;
use crate::http::{Reply, Request};
use crate::program::program;
use crate::server::{Place, Server, ServerKind};

const SLICES: &str = "/apis/discovery.k8s.io/v1/endpointslices?limit=1";
const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const DEFINITION: &str = include_str!("definition.json");

/// A private API server of Kubernetes with an etcd of its own, which serves EndpointSlices of
/// `discovery.k8s.io/v1` in any namespace. No controllers run: tests write the slices.
///
/// It is the API server for resources that are defined at run time, so lists, watches, versions and
/// errors are those of Kubernetes. It takes an etcd, and `cargo xtask services install --kubernetes`.
///
/// What ends, freezes and restarts it, as with every [`Server`], leaves its [etcd](Self::etcd) alone.
///
/// ```no_run
/// # async fn doc() -> Result<(), rs_testkit::Error> {
/// use rs_testkit::Kubernetes;
///
/// let kubernetes = Kubernetes::start().await?;
/// println!("{} {}", kubernetes.url(), kubernetes.kubeconfig().display()); // https://127.0.0.1:…
/// kubernetes.kill().await;
/// kubernetes.restart().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Kubernetes {
    // Dropped in this order.
    server: Server<KubernetesOptions>,
    etcd: Etcd,
    _access: Access,
}

/// Options for [`Kubernetes`].
#[derive(Clone, Default)]
#[must_use = "options do nothing until they are started"]
pub struct KubernetesOptions {
    flags: Vec<String>,
    tokens: Tokens,
    around: Option<Around>,
}

/// What is there before the server.
#[derive(Clone)]
struct Around {
    etcd: String,
    access: SocketAddr,
    certificates: Arc<Certificates>,
}

impl KubernetesOptions {
    /// Lets in who has this token, for everything. Without any, only certificates let in.
    pub fn token(self, token: impl Into<String>) -> Self {
        self.tokens.lock().insert(token.into(), true);
        self
    }

    /// Knows who has this token, and lets it do nothing.
    pub fn powerless_token(self, token: impl Into<String>) -> Self {
        self.tokens.lock().insert(token.into(), false);
        self
    }

    /// Any flag, such as `--watch-cache=false`.
    pub fn flag(mut self, flag: impl Into<String>) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// Starts both servers: see [`Server::start`].
    ///
    /// # Errors
    ///
    /// As [`Server::start`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends what was started.
    pub async fn start(mut self) -> Result<Kubernetes, Error> {
        let etcd = Etcd::start().await?;
        let doing = || Error::os("prepare Kubernetes");
        let access = Access::open(self.tokens.clone()).await.map_err(doing())?;
        self.around = Some(Around {
            etcd: etcd.url(),
            access: access.addr(),
            certificates: Arc::new(Certificates::new().map_err(doing())?),
        });
        let server = Server::start_with(self).await?;
        Ok(Kubernetes {
            server,
            etcd,
            _access: access,
        })
    }

    fn around(&self) -> io::Result<&Around> {
        let alone = "it needs an etcd: start it with `Kubernetes::start`";
        self.around.as_ref().ok_or_else(|| io::Error::other(alone))
    }
}

impl Kubernetes {
    /// Starts both servers with the default options.
    ///
    /// # Errors
    ///
    /// As [`Server::start`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends what was started.
    pub async fn start() -> Result<Self, Error> {
        Self::builder().start().await
    }

    /// The options, to change some before starting.
    pub fn builder() -> KubernetesOptions {
        KubernetesOptions::default()
    }

    /// `https://127.0.0.1:port`
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.addr())
    }

    /// The etcd that holds its data.
    #[must_use]
    pub const fn etcd(&self) -> &Etcd {
        &self.etcd
    }

    /// The certificate of the authority behind the server's, as a PEM file.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.place().path("ca.crt")
    }

    /// The certificate of an administrator, as a PEM file.
    #[must_use]
    pub fn client_certificate(&self) -> PathBuf {
        self.place().path("admin.crt")
    }

    /// The key of that certificate, as a PEM file.
    #[must_use]
    pub fn client_key(&self) -> PathBuf {
        self.place().path("admin.key")
    }

    /// A kubeconfig of that administrator.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.place().path("admin.conf")
    }

    /// From now on this token lets in, for everything.
    pub fn admit(&self, token: impl Into<String>) {
        self.options().tokens.lock().insert(token.into(), true);
    }

    /// From now on, and half a second of grace, this token does not let in any more.
    pub fn dismiss(&self, token: &str) {
        self.options().tokens.lock().remove(token);
    }

    /// Asks the server as the administrator.
    ///
    /// # Errors
    ///
    /// As [`Request::send`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection; the server may have acted by then.
    pub async fn send(&self, request: Request) -> io::Result<Reply> {
        self.options().send(request).await
    }

    /// Forgets everything before now in etcd, as a cluster does every five minutes.
    ///
    /// # Errors
    ///
    /// What etcd says.
    pub async fn compact(&self) -> io::Result<()> {
        let status = Request::post(self.etcd.addr(), "/v3/maintenance/status").body("{}");
        let status = status.send().await?.ok()?;
        let status: serde_json::Value = serde_json::from_str(&status)?;
        let revision = &status["header"]["revision"];
        let body = format!(r#"{{"revision": {revision}, "physical": true}}"#);
        let compact = Request::post(self.etcd.addr(), "/v3/kv/compaction").body(body);
        compact.send().await?.ok().map(drop)
    }

    /// Kills both servers, wipes the data, and starts them again on the same ports.
    ///
    /// # Errors
    ///
    /// As [`Server::restart`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves them stopped or starting.
    pub async fn wipe(&self) -> Result<(), Error> {
        self.kill().await;
        self.etcd.kill().await;
        let data = self.etcd.folder().join("data");
        fs::remove_dir_all(data).map_err(Error::os("wipe etcd"))?;
        self.etcd.restart().await?;
        self.restart().await
    }
}

impl Deref for Kubernetes {
    type Target = Server<KubernetesOptions>;

    fn deref(&self) -> &Self::Target {
        &self.server
    }
}

impl ServerKind for KubernetesOptions {
    const NAME: &'static str = "Kubernetes";
    const PORTS: usize = 1;
    const PATIENCE: Duration = Duration::from_secs(60);

    fn command(&self, place: &Place) -> Result<Command, Error> {
        let around = self.around().map_err(Error::os("start Kubernetes"))?;
        let certificates = &around.certificates;
        for (name, text) in [
            ("ca.crt", &certificates.authority),
            ("server.crt", &certificates.server.certificate),
            ("server.key", &certificates.server.key),
            ("admin.crt", &certificates.admin.certificate),
            ("admin.key", &certificates.admin.key),
        ] {
            place.write(name, text)?;
        }
        let own = format!("https://{}", place.addr());
        place.write("admin.conf", kubeconfig(&own))?;
        let access = format!("http://{}", around.access);
        place.write("access.conf", kubeconfig(&access))?;
        let mut command = Command::new(program("apiextensions-apiserver")?);
        command.args([
            &format!("--etcd-servers={}", around.etcd),
            "--bind-address=127.0.0.1",
            &format!("--secure-port={}", place.port(0)),
            "--tls-cert-file=server.crt",
            "--tls-private-key-file=server.key",
            "--client-ca-file=ca.crt",
            "--cert-dir=certificates",
            "--kubeconfig=admin.conf",
            "--authentication-kubeconfig=access.conf",
            "--authentication-skip-lookup",
            "--authentication-token-webhook-cache-ttl=100ms",
            "--authorization-kubeconfig=access.conf",
            "--authorization-webhook-cache-authorized-ttl=100ms",
            "--authorization-webhook-cache-unauthorized-ttl=100ms",
            "--enable-priority-and-fairness=false",
            "--disable-admission-plugins=NamespaceLifecycle,MutatingAdmissionWebhook,\
             ValidatingAdmissionWebhook,ValidatingAdmissionPolicy,MutatingAdmissionPolicy",
        ]);
        command.args(&self.flags);
        Ok(command)
    }

    /// Slices can be listed; they are defined first where they are not.
    async fn ready(&self, place: &Place) -> io::Result<()> {
        let listed = self.send(Request::get(place.addr(), SLICES)).await?;
        if listed.status == 404 {
            let define = Request::post(place.addr(), DEFINITIONS);
            let define = define.header("Content-Type", "application/json");
            let defined = self.send(define.body(DEFINITION)).await?;
            if defined.status != 409 {
                defined.ok()?;
            }
        }
        listed.ok().map(drop)
    }
}

impl KubernetesOptions {
    async fn send(&self, request: Request) -> io::Result<Reply> {
        let connector = self.around()?.certificates.connector()?;
        let connect = |addr| async move {
            let stream = TcpStream::connect(addr).await?;
            let name = ServerName::try_from("127.0.0.1").map_err(io::Error::other)?;
            connector.connect(name, stream).await
        };
        request.send_over(connect).await
    }
}

/// Tokens are nobody's business.
impl fmt::Debug for KubernetesOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubernetesOptions")
            .field("flags", &self.flags)
            .finish_non_exhaustive()
    }
}

/// For the server at this address, as the administrator.
fn kubeconfig(server: &str) -> String {
    let authority = match server.starts_with("https:") {
        true => "\n    certificate-authority: ca.crt",
        false => "",
    };
    format!(
        "apiVersion: v1
kind: Config
clusters:
- name: private
  cluster:
    server: {server}{authority}
users:
- name: admin
  user:
    client-certificate: admin.crt
    client-key: admin.key
contexts:
- name: admin@private
  context:
    cluster: private
    user: admin
    namespace: default
current-context: admin@private
"
    )
}
