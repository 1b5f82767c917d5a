//! Redis.

use std::io;
use std::path::PathBuf;
use std::process::Command;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::Error;
use crate::program::program;
use crate::server::{Place, Server, ServerKind};

/// A private Redis.
///
/// ```no_run
/// # async fn doc() -> Result<(), rs_testkit::Error> {
/// use rs_testkit::Redis;
///
/// let redis = Redis::builder().password("secret").keyspace_events("KEA").start().await?;
/// println!("{}", redis.url()); // redis://:secret@127.0.0.1:…
/// # Ok(())
/// # }
/// ```
pub type Redis = Server<RedisOptions>;

/// Options for [`Redis`].
#[derive(Debug, Clone)]
#[must_use = "options do nothing until they are started"]
pub struct RedisOptions {
    password: Option<String>,
    append_only: bool,
    tls: Option<[PathBuf; 3]>,
    settings: Vec<(String, String)>,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            password: None,
            append_only: true,
            tls: None,
            settings: Vec::new(),
        }
    }
}

impl RedisOptions {
    /// Asks clients for this password (default: none).
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
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

    /// Announces these keyspace events, such as `KEA` (default: none).
    pub fn keyspace_events(self, classes: &str) -> Self {
        self.setting("notify-keyspace-events", classes)
    }

    /// Whether data survive a restart (default: yes, even a kill loses nothing that was acknowledged).
    pub fn append_only(mut self, append_only: bool) -> Self {
        self.append_only = append_only;
        self
    }

    /// Any line of `redis.conf`, such as `maxmemory` `1mb`.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it: see [`Server::start`].
    ///
    /// # Errors
    ///
    /// As [`Server::start`].
    pub async fn start(self) -> Result<Redis, Error> {
        Redis::start_with(self).await
    }
}

impl Redis {
    /// `redis://127.0.0.1:port`, with the password if there is one.
    #[must_use]
    pub fn url(&self) -> String {
        match &self.options().password {
            Some(password) => format!("redis://:{password}@{}", self.addr()),
            None => format!("redis://{}", self.addr()),
        }
    }

    /// `rediss://127.0.0.1:port`, where it answers if it was given a certificate.
    #[must_use]
    pub fn tls_url(&self) -> String {
        format!("rediss://{}", self.place().addr_of(1))
    }
}

impl ServerKind for RedisOptions {
    const NAME: &'static str = "Redis";
    const PORTS: usize = 2;

    fn command(&self, place: &Place) -> Result<Command, Error> {
        let mut command = Command::new(program("redis-server")?);
        command.args(["--bind", "127.0.0.1", "--port", &place.port(0).to_string()]);
        // Snapshots would make some data outlive a restart and others not.
        command.args([
            "--save",
            "",
            "--appendonly",
            if self.append_only { "yes" } else { "no" },
        ]);
        if let Some(password) = &self.password {
            command.args(["--requirepass", password]);
        }
        if let Some([certificate, key, authority]) = &self.tls {
            command.args(["--tls-port", &place.port(1).to_string()]);
            command.arg("--tls-cert-file").arg(certificate);
            command.arg("--tls-key-file").arg(key);
            command.arg("--tls-ca-cert-file").arg(authority);
        }
        for (name, value) in &self.settings {
            command.args([&format!("--{name}"), value]);
        }
        Ok(command)
    }

    async fn ready(&self, place: &Place) -> io::Result<()> {
        let mut stream = TcpStream::connect(place.addr()).await?;
        let mut expected = "+PONG\r\n".to_owned();
        if let Some(password) = &self.password {
            let auth = format!("*2\r\n$4\r\nAUTH\r\n${}\r\n{password}\r\n", password.len());
            stream.write_all(auth.as_bytes()).await?;
            expected.insert_str(0, "+OK\r\n");
        }
        stream.write_all(b"PING\r\n").await?;
        let mut answer = vec![0; expected.len()];
        stream.read_exact(&mut answer).await?;
        if answer == expected.as_bytes() {
            return Ok(());
        }
        Err(io::Error::other(
            String::from_utf8_lossy(&answer).into_owned(),
        ))
    }
}
