//! PostgreSQL.

use std::io;
use std::process::Command;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::user::not_as_root;
use crate::error::Error;
use crate::program::program;
use crate::server::{Place, Server, ServerKind};

/// A private PostgreSQL with one user, `postgres`, and its database.
///
/// ```no_run
/// # async fn doc() -> Result<(), rs_testkit::Error> {
/// use rs_testkit::Postgres;
///
/// let postgres = Postgres::builder().setting("wal_level", "logical").start().await?;
/// println!("{}", postgres.url()); // postgres://postgres@127.0.0.1:…/postgres
/// # Ok(())
/// # }
/// ```
pub type Postgres = Server<PostgresOptions>;

/// Options for [`Postgres`].
#[derive(Debug, Clone, Default)]
#[must_use = "options do nothing until they are started"]
pub struct PostgresOptions {
    password: Option<String>,
    settings: Vec<(String, String)>,
}

/// Makes the data the first time, in one step that is done or not done, and then becomes the server.
const SCRIPT: &str = r#"
if ! [ -d data ]; then
    rm -rf data.new
    "$1" --pgdata=data.new --username=postgres --pwfile=password --auth="$2" --encoding=UTF8 --locale=C --no-sync
    mv data.new data
fi
shift 2
exec "$@"
"#;

impl PostgresOptions {
    /// Asks clients for this password (default: lets everybody in).
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Any line of `postgresql.conf`, such as `max_connections` `10`.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it: see [`Server::start`].
    ///
    /// # Errors
    ///
    /// As [`Server::start`].
    pub async fn start(self) -> Result<Postgres, Error> {
        Postgres::start_with(self).await
    }
}

impl Postgres {
    /// `postgres://postgres@127.0.0.1:port/postgres`, with the password if there is one.
    #[must_use]
    pub fn url(&self) -> String {
        let password = self
            .options()
            .password
            .as_ref()
            .map(|password| format!(":{password}"))
            .unwrap_or_default();
        format!("postgres://postgres{password}@{}/postgres", self.addr())
    }
}

impl ServerKind for PostgresOptions {
    const NAME: &'static str = "PostgreSQL";
    const PORTS: usize = 1;

    /// The polite signal would wait until every client has left.
    const STOP: Signal = Signal::INT;

    /// A killed server leaves the memory segment by which it knows that it is alone. Its key is the
    /// number of the data folder.
    const TIDY: &'static str =
        r#"for data in data data.new; do ipcrm -M "$(stat -c %i "$data")"; done"#;

    fn command(&self, place: &Place) -> Result<Command, Error> {
        let (server, initdb) = (program("postgres")?, program("initdb")?);
        // initdb wants a password in any case; one that nobody asks for does no harm.
        place.write("password", self.password.as_deref().unwrap_or("unused"))?;
        let auth = if self.password.is_some() {
            "scram-sha-256"
        } else {
            "trust"
        };

        let mut command = not_as_root("sh", "postgres", place)?;
        command
            .args(["-euc", SCRIPT, "sh"])
            .arg(initdb)
            .arg(auth)
            .arg(server)
            .args(["-D", "data"]);
        let port = place.port(0).to_string();
        let settings = [
            ("listen_addresses", "127.0.0.1"),
            ("port", &port),
            ("unix_socket_directories", ""),
            // Data outlive the process, as tests need; outliving the machine would only cost time.
            ("fsync", "off"),
            // Files in its folder instead of shared memory that a kill would leave behind.
            ("dynamic_shared_memory_type", "mmap"),
        ];
        let own = self
            .settings
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in settings.into_iter().chain(own) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        Ok(command)
    }

    /// It asks for a password or lets in, rather than saying that it is still starting.
    async fn ready(&self, place: &Place) -> io::Result<()> {
        const STARTUP: &[u8] = b"\0\x03\0\0user\0postgres\0database\0postgres\0\0";
        let mut stream = TcpStream::connect(place.addr()).await?;
        stream
            .write_all(&[&[0, 0, 0, STARTUP.len() as u8 + 4], STARTUP].concat())
            .await?;
        match stream.read_u8().await? {
            b'R' => Ok(()),
            _ => Err(io::Error::other("it accepts no connections yet")),
        }
    }
}
