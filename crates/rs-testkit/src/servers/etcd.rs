//! etcd.

use std::io;
use std::path::PathBuf;
use std::process::Command;

use super::json::quoted;
use crate::error::Error;
use crate::http::Request;
use crate::program::program;
use crate::server::{Place, Server, ServerKind};

/// A private etcd of one member.
///
/// ```no_run
/// # async fn doc() -> Result<(), rs_testkit::Error> {
/// use rs_testkit::Etcd;
///
/// let etcd = Etcd::builder().root_password("secret").start().await?;
/// println!("{}", etcd.url()); // http://127.0.0.1:…
/// # Ok(())
/// # }
/// ```
pub type Etcd = Server<EtcdOptions>;

/// Options for [`Etcd`].
#[derive(Debug, Clone, Default)]
#[must_use = "options do nothing until they are started"]
pub struct EtcdOptions {
    root_password: Option<String>,
    tls: Option<[PathBuf; 3]>,
    flags: Vec<String>,
}

impl EtcdOptions {
    /// Lets in only the user `root` with this password (default: everybody).
    pub fn root_password(mut self, password: impl Into<String>) -> Self {
        self.root_password = Some(password.into());
        self
    }

    /// Answers over TLS alone, with this certificate and key, to clients that this authority has signed.
    pub fn tls(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
        authority: impl Into<PathBuf>,
    ) -> Self {
        self.tls = Some([certificate.into(), key.into(), authority.into()]);
        self
    }

    /// Any flag, such as `--auto-compaction-retention=1`.
    pub fn flag(mut self, flag: impl Into<String>) -> Self {
        self.flags.push(flag.into());
        self
    }

    const fn scheme(&self) -> &'static str {
        match self.tls {
            None => "http",
            Some(_) => "https",
        }
    }

    /// Starts it: see [`Server::start`].
    ///
    /// # Errors
    ///
    /// As [`Server::start`], and when it refuses the password.
    pub async fn start(self) -> Result<Etcd, Error> {
        let etcd = Etcd::start_with(self).await?;
        if let Some(password) = &etcd.options().root_password {
            etcd.admit_only_root(password)
                .await
                .map_err(Error::os("ask etcd for passwords"))?;
        }
        Ok(etcd)
    }
}

impl Etcd {
    /// `http://127.0.0.1:port`, or `https://` if it was given a certificate.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.options().scheme(), self.addr())
    }

    async fn admit_only_root(&self, password: &str) -> io::Result<()> {
        let user = format!(r#"{{"name": "root", "password": {}}}"#, quoted(password));
        let steps = [
            ("user/add", user.as_str()),
            ("role/add", r#"{"name": "root"}"#),
            ("user/grant", r#"{"user": "root", "role": "root"}"#),
            ("enable", "{}"),
        ];
        for (step, body) in steps {
            Request::post(self.addr(), format!("/v3/auth/{step}"))
                .body(body)
                .send()
                .await?
                .ok()?;
        }
        Ok(())
    }
}

impl ServerKind for EtcdOptions {
    const NAME: &'static str = "etcd";
    const PORTS: usize = 3;

    fn command(&self, place: &Place) -> Result<Command, Error> {
        let client = format!("{}://{}", self.scheme(), place.addr());
        let health = format!("http://{}", place.addr_of(2));
        let peer = format!("http://{}", place.addr_of(1));
        let mut command = Command::new(program("etcd")?);
        command.args([
            "--name",
            "test",
            "--data-dir",
            "data",
            "--initial-cluster",
            &format!("test={peer}"),
        ]);
        command.args([
            "--listen-client-urls",
            &client,
            "--advertise-client-urls",
            &client,
        ]);
        command.args([
            "--listen-peer-urls",
            &peer,
            "--initial-advertise-peer-urls",
            &peer,
        ]);
        // Its health, without TLS.
        command.args(["--listen-metrics-urls", &health]);
        if let Some([certificate, key, authority]) = &self.tls {
            command.arg("--cert-file").arg(certificate);
            command.arg("--key-file").arg(key);
            command.arg("--trusted-ca-file").arg(authority);
            command.arg("--client-cert-auth");
        }
        command.args(&self.flags);
        Ok(command)
    }

    async fn ready(&self, place: &Place) -> io::Result<()> {
        let health = Request::get(place.addr_of(2), "/health")
            .send()
            .await?
            .ok()?;
        if health.contains(r#""health":"true""#) {
            Ok(())
        } else {
            Err(io::Error::other(health))
        }
    }
}
