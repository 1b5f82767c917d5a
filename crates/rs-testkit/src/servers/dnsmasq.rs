//! dnsmasq, a name server.

use std::io;
use std::process::Command;

use tokio::net::UdpSocket;

use crate::error::Error;
use crate::program::program;
use crate::server::{Place, Server, ServerKind};

/// A private dnsmasq, which asks nobody else and refuses what it does not know.
///
/// ```no_run
/// # async fn doc() -> Result<(), rs_testkit::Error> {
/// use rs_testkit::Dnsmasq;
///
/// let records = ["local=/example.test/", "host-record=a.example.test,10.0.0.7,5"];
/// let server = Dnsmasq::builder().records(records).start().await?;
/// server.replace(["local=/example.test/"]).await?; // a.example.test is gone
/// # Ok(())
/// # }
/// ```
pub type Dnsmasq = Server<DnsmasqOptions>;

/// Options for [`Dnsmasq`].
#[derive(Debug, Clone, Default)]
#[must_use = "options do nothing until they are started"]
pub struct DnsmasqOptions {
    records: Vec<String>,
}

/// Where the records are.
const RECORDS: &str = "records.conf";

impl DnsmasqOptions {
    /// Lines of its configuration, such as `host-record=` and `srv-host=`.
    pub fn records<L: Into<String>>(mut self, lines: impl IntoIterator<Item = L>) -> Self {
        self.records.extend(lines.into_iter().map(Into::into));
        self
    }

    /// Starts it: see [`Server::start`].
    ///
    /// # Errors
    ///
    /// As [`Server::start`].
    pub async fn start(self) -> Result<Dnsmasq, Error> {
        Dnsmasq::start_with(self).await
    }
}

impl Dnsmasq {
    /// Starts it anew with these records instead.
    ///
    /// # Errors
    ///
    /// As [`Server::restart`], and what the file system says.
    pub async fn replace<L: Into<String>>(
        &self,
        lines: impl IntoIterator<Item = L>,
    ) -> Result<(), Error> {
        let lines: Vec<String> = lines.into_iter().map(Into::into).collect();
        self.place().write(RECORDS, lines.join("\n"))?;
        self.kill().await;
        self.restart().await
    }
}

impl ServerKind for DnsmasqOptions {
    const NAME: &'static str = "dnsmasq";
    const PORTS: usize = 1;

    fn command(&self, place: &Place) -> Result<Command, Error> {
        let records = place.path(RECORDS);
        if !records.exists() {
            place.write(RECORDS, self.records.join("\n"))?;
        }
        let mut command = Command::new(program("dnsmasq")?);
        command.args([
            // Otherwise it leaves its folder, by which it is found.
            "--no-daemon",
            "--pid-file",
            "--no-resolv",
            "--no-hosts",
            "--bind-interfaces",
            "--listen-address=127.0.0.1",
        ]);
        command.arg(format!("--port={}", place.port(0)));
        command.arg(format!("--conf-file={}", records.display()));
        Ok(command)
    }

    async fn ready(&self, place: &Place) -> io::Result<()> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        socket.connect(place.addr()).await?;
        let root = b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x01";
        socket.send(root).await?;
        socket.recv(&mut [0; 512]).await.map(drop)
    }
}
