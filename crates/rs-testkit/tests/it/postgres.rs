use std::io;
use std::net::SocketAddr;
use std::process::Command;

use rs_testkit::{Error, Postgres, program, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::life::{self, PATIENCE};

#[tokio::test]
async fn life() -> Result<(), Error> {
    let server = Postgres::start().await?;
    let addr = server.addr();
    let create = "create table names (name text); insert into names values ('value')";
    Connection::open(addr)
        .await
        .unwrap()
        .query(create)
        .await
        .unwrap();
    life::check(&server, "value".to_owned(), || async move {
        Connection::open(addr)
            .await?
            .query("select name from names")
            .await
    })
    .await
}

/// Its processes are in groups of their own: all of them must stop.
#[tokio::test]
async fn a_pause_stops_connections_that_are_open() -> Result<(), Error> {
    let server = Postgres::builder()
        .setting("max_connections", "7")
        .start()
        .await?;
    let mut connection = Connection::open(server.addr()).await.unwrap();
    assert_eq!(connection.query("show max_connections").await.unwrap(), "7");
    server.pause()?;
    assert!(
        within("an answer", life::MOMENT, connection.query("select 1"))
            .await
            .is_err()
    );
    server.resume()?;
    assert_eq!(
        within("the late answer", PATIENCE, connection.result())
            .await?
            .unwrap(),
        "1"
    );
    Ok(())
}

#[tokio::test]
async fn password() -> Result<(), Error> {
    let server = Postgres::builder().password("secret").start().await?;
    let psql = |url: &str| {
        let mut command = Command::new(program("psql").unwrap());
        command
            .args([
                "--no-password",
                "--tuples-only",
                "--no-align",
                "--command",
                "select 42",
                url,
            ])
            .output()
            .unwrap()
    };
    let admitted = psql(&server.url());
    assert_eq!(
        String::from_utf8_lossy(&admitted.stdout).trim(),
        "42",
        "{admitted:?}"
    );
    assert!(
        !psql(&server.url().replace("secret", "guess"))
            .status
            .success()
    );
    Ok(())
}

/// Just enough of the protocol for a server that lets everybody in.
struct Connection(TcpStream);

impl Connection {
    async fn open(addr: SocketAddr) -> io::Result<Self> {
        let mut connection = Self(TcpStream::connect(addr).await?);
        let startup = b"\0\x03\0\0user\0postgres\0database\0postgres\0\0";
        connection.0.write_u32(startup.len() as u32 + 4).await?;
        connection.0.write_all(startup).await?;
        connection.result().await?;
        Ok(connection)
    }

    /// The first field of the last row.
    async fn query(&mut self, sql: &str) -> io::Result<String> {
        let length = (sql.len() as u32 + 5).to_be_bytes();
        self.0
            .write_all(&[b"Q", &length[..], sql.as_bytes(), b"\0"].concat())
            .await?;
        self.result().await
    }

    async fn result(&mut self) -> io::Result<String> {
        let mut field = String::new();
        loop {
            let kind = self.0.read_u8().await?;
            let mut body = vec![0; self.0.read_u32().await? as usize - 4];
            self.0.read_exact(&mut body).await?;
            match kind {
                // A count of fields, then the length and the text of each.
                b'D' => field = String::from_utf8_lossy(&body[6..]).into_owned(),
                b'E' => {
                    return Err(io::Error::other(
                        String::from_utf8_lossy(&body).into_owned(),
                    ));
                }
                b'Z' => return Ok(field),
                _ => {}
            }
        }
    }
}
