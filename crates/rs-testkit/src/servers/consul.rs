//! Consul.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use super::json::quoted;
use crate::error::Error;
use crate::http::Request;
use crate::program::program;
use crate::server::{Place, Server, ServerKind};

/// A private Consul: one server that is its own leader and keeps its data.
///
/// ```no_run
/// # async fn doc() -> Result<(), rs_testkit::Error> {
/// use rs_testkit::Consul;
///
/// let consul = Consul::builder().token("a-secret-token").start().await?;
/// println!("{} {}", consul.url(), consul.dns_addr()); // http://127.0.0.1:… 127.0.0.1:…
/// # Ok(())
/// # }
/// ```
pub type Consul = Server<ConsulOptions>;

/// Options for [`Consul`].
#[derive(Debug, Clone, Default)]
#[must_use = "options do nothing until they are started"]
pub struct ConsulOptions {
    token: Option<String>,
    tls: Option<[PathBuf; 3]>,
    flags: Vec<String>,
}

impl ConsulOptions {
    /// Lets in only clients with this token, which may do everything (default: everybody).
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Answers over TLS too, with this certificate and key, to clients that this authority has signed.
    pub fn tls(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
        authority: impl Into<PathBuf>,
    ) -> Self {
        self.tls = Some([certificate.into(), key.into(), authority.into()]);
        self
    }

    /// Any flag of `consul agent`, such as `-log-level=debug`.
    pub fn flag(mut self, flag: impl Into<String>) -> Self {
        self.flags.push(flag.into());
        self
    }

    /// Starts it: see [`Server::start`].
    ///
    /// # Errors
    ///
    /// As [`Server::start`].
    pub async fn start(self) -> Result<Consul, Error> {
        Consul::start_with(self).await
    }

    fn configuration(&self, place: &Place) -> String {
        let acl = self.token.as_ref().map_or_else(String::new, |token| {
            let token = quoted(token);
            format!(
                r#", "acl": {{
    "enabled": true, "default_policy": "deny", "down_policy": "deny",
    "tokens": {{"master": {token}, "agent": {token}}}
  }}"#
            )
        });
        let tls = self.tls.as_ref().map_or_else(String::new, |files| {
            let [certificate, key, authority] = files
                .each_ref()
                .map(|file| quoted(&file.display().to_string()));
            format!(
                r#", "verify_incoming_https": true,
  "cert_file": {certificate}, "key_file": {key}, "ca_file": {authority}"#
            )
        });
        let [http, dns, server, serf] = [0, 1, 2, 3].map(|index| place.port(index));
        let https = match self.tls {
            Some(_) => i32::from(place.port(4)),
            None => -1,
        };
        format!(
            r#"{{
  "ports": {{"http": {http}, "https": {https}, "dns": {dns}, "server": {server}, "serf_lan": {serf}, "serf_wan": -1}},
  "performance": {{"raft_multiplier": 1}},
  "disable_update_check": true{acl}{tls}
}}"#
        )
    }
}

impl Consul {
    /// `http://127.0.0.1:port`
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// `https://127.0.0.1:port`, where it answers if it was given a certificate.
    #[must_use]
    pub fn https_url(&self) -> String {
        format!("https://{}", self.place().addr_of(4))
    }

    /// Where it answers DNS, over UDP and TCP. With a token it shows nothing there: DNS has none.
    #[must_use]
    pub fn dns_addr(&self) -> SocketAddr {
        self.place().addr_of(1)
    }
}

impl ServerKind for ConsulOptions {
    const NAME: &'static str = "Consul";
    const PORTS: usize = 5;

    fn command(&self, place: &Place) -> Result<Command, Error> {
        let configuration = place.write("consul.json", self.configuration(place))?;
        let mut command = Command::new(program("consul")?);
        command.args([
            "agent",
            "-server",
            "-bootstrap-expect=1",
            "-node=test",
            "-bind=127.0.0.1",
        ]);
        command
            .args(["-client=127.0.0.1", "-data-dir=data"])
            .arg("-config-file")
            .arg(configuration);
        command.args(&self.flags);
        Ok(command)
    }

    /// There is a leader, and it has seen the agent healthy: sessions and checks can be made.
    async fn ready(&self, place: &Place) -> io::Result<()> {
        let mut request = Request::get(place.addr(), "/v1/health/service/consul?passing");
        if let Some(token) = &self.token {
            request = request.header("X-Consul-Token", token);
        }
        let passing = request.send().await?.ok()?;
        if passing.contains("serfHealth") {
            Ok(())
        } else {
            Err(io::Error::other("it is not healthy yet"))
        }
    }
}
