//! RabbitMQ.

use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::Error;
use crate::http::Request;
use crate::program::program;
use crate::server::{Place, Server, ServerKind};

/// A private RabbitMQ node with the user `guest` and the virtual host `/`.
///
/// It writes confirmed messages at once, but may acknowledge a queue or an exchange up to two seconds
/// before the disk has all of it: a [`kill`](Server::kill) in between loses it, as a real crash does.
///
/// ```no_run
/// # async fn doc() -> Result<(), rs_testkit::Error> {
/// use rs_testkit::RabbitMq;
///
/// let rabbitmq = RabbitMq::builder().management().start().await?;
/// println!("{}", rabbitmq.url()); // amqp://guest:guest@127.0.0.1:…/%2f
/// # Ok(())
/// # }
/// ```
pub type RabbitMq = Server<RabbitMqOptions>;

/// Options for [`RabbitMq`].
#[derive(Debug, Clone, Default)]
#[must_use = "options do nothing until they are started"]
pub struct RabbitMqOptions {
    management: bool,
    settings: Vec<(String, String)>,
}

/// Left to itself, Erlang starts its port mapper as a daemon that outlives the node.
const SCRIPT: &str = r#"
"$1" &
exec "$2"
"#;

impl RabbitMqOptions {
    /// Serves the HTTP API too (default: no, it takes a second or two longer to start).
    pub fn management(mut self) -> Self {
        self.management = true;
        self
    }

    /// Any line of `rabbitmq.conf`, such as `consumer_timeout` `10000`; the first costs two seconds.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it: see [`Server::start`]. It takes four to ten seconds.
    ///
    /// # Errors
    ///
    /// As [`Server::start`].
    pub async fn start(self) -> Result<RabbitMq, Error> {
        RabbitMq::start_with(self).await
    }

    /// What is always set, as Erlang terms.
    fn terms(&self, place: &Place) -> String {
        let [amqp, management] = [0, 3].map(|index| place.port(index));
        format!(
            r#"[
  {{rabbit, [
    {{tcp_listeners, [{{"127.0.0.1", {amqp}}}]}},
    {{log, [{{console, [{{enabled, true}}]}}, {{file, [{{file, false}}]}}]}},
    {{disk_free_limit, 10000000}}
  ]}},
  {{rabbitmq_management, [{{listener, [{{ip, "127.0.0.1"}}, {{port, {management}}}]}}]}}
]."#
        )
    }

    /// What the test sets. With nothing there, the node saves the two seconds of reading the schema.
    fn lines(&self) -> Option<String> {
        let lines: String = self
            .settings
            .iter()
            .map(|(name, value)| format!("{name} = {value}\n"))
            .collect();
        (!lines.is_empty()).then_some(lines)
    }
}

impl RabbitMq {
    /// `amqp://guest:guest@127.0.0.1:port/%2f`
    #[must_use]
    pub fn url(&self) -> String {
        format!("amqp://guest:guest@{}/%2f", self.addr())
    }

    /// Where the HTTP API is, if it was asked for.
    #[must_use]
    pub fn management_addr(&self) -> Option<SocketAddr> {
        self.options().management.then(|| self.place().addr_of(3))
    }
}

impl ServerKind for RabbitMqOptions {
    const NAME: &'static str = "RabbitMQ";
    const PORTS: usize = 4;
    const PATIENCE: Duration = Duration::from_secs(90);

    fn command(&self, place: &Place) -> Result<Command, Error> {
        let [amqp, distribution, mapper] = [0, 1, 2].map(|index| place.port(index).to_string());
        let plugins = if self.management {
            "[rabbitmq_management]."
        } else {
            "[]."
        };

        if let Some(lines) = self.lines() {
            place.write("rabbitmq.conf", lines)?;
        }
        let mut command = Command::new("sh");
        command
            .args(["-euc", SCRIPT, "sh"])
            .arg(program("epmd")?)
            .arg(program("rabbitmq-server")?);
        command
            // Where it looks for the secret that Erlang nodes share.
            .env("HOME", place.folder())
            .env("ERL_EPMD_PORT", mapper)
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODENAME", format!("test-{amqp}@localhost"))
            .env("RABBITMQ_NODE_PORT", amqp)
            .env("RABBITMQ_DIST_PORT", distribution)
            .env("RABBITMQ_CONFIG_FILE", place.path("rabbitmq.conf"))
            .env("RABBITMQ_ADVANCED_CONFIG_FILE", place.write("advanced.config", self.terms(place))?)
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", place.write("enabled_plugins", plugins)?)
            // The machine's own node has its settings there.
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_MNESIA_BASE", place.path("data"))
            .env("RABBITMQ_LOG_BASE", place.path("logs"))
            .env("RABBITMQ_PID_FILE", place.path("pid"))
            // Makes its script become the server, instead of waiting beside it.
            .env("RUNNING_UNDER_SYSTEMD", "true")
            // Idle schedulers that spin would take the time of the test beside it.
            .env(
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
                "+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}",
            );
        Ok(command)
    }

    /// It greets a client, and its HTTP API answers.
    async fn ready(&self, place: &Place) -> io::Result<()> {
        let mut stream = TcpStream::connect(place.addr()).await?;
        stream.write_all(b"AMQP\0\0\x09\x01").await?;
        // A method frame on channel 0: Connection.Start.
        if stream.read_u8().await? != 1 {
            return Err(io::Error::other("it does not greet with AMQP 0-9-1"));
        }
        if self.management {
            // guest:guest
            let request = Request::get(place.addr_of(3), "/api/overview")
                .header("Authorization", "Basic Z3Vlc3Q6Z3Vlc3Q=");
            request.send().await?.ok()?;
        }
        Ok(())
    }
}
