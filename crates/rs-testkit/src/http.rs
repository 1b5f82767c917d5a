//! Just enough HTTP to ask a server something without the client that is under test.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::clock;

/// A request of its own connection.
///
/// ```no_run
/// # async fn doc(consul: rs_testkit::Consul) -> std::io::Result<()> {
/// use rs_testkit::http::Request;
///
/// let reply = Request::put(consul.addr(), "/v1/kv/name").body("value").send().await?;
/// assert_eq!(reply.status, 200);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a request does nothing until it is sent"]
pub struct Request {
    method: &'static str,
    addr: SocketAddr,
    path: String,
    headers: String,
    body: Vec<u8>,
    limit: Duration,
}

/// What the server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

impl Request {
    /// A request with any method; `path` starts with a slash and may carry a query.
    pub fn new(method: &'static str, addr: SocketAddr, path: impl Into<String>) -> Self {
        let limit = Duration::from_secs(5);
        Self {
            method,
            addr,
            path: path.into(),
            headers: String::new(),
            body: Vec::new(),
            limit,
        }
    }

    /// `GET`.
    pub fn get(addr: SocketAddr, path: impl Into<String>) -> Self {
        Self::new("GET", addr, path)
    }

    /// `PUT`.
    pub fn put(addr: SocketAddr, path: impl Into<String>) -> Self {
        Self::new("PUT", addr, path)
    }

    /// `DELETE`.
    pub fn delete(addr: SocketAddr, path: impl Into<String>) -> Self {
        Self::new("DELETE", addr, path)
    }

    /// `POST`.
    pub fn post(addr: SocketAddr, path: impl Into<String>) -> Self {
        Self::new("POST", addr, path)
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Gives the whole exchange this long instead of five seconds.
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sends it and reads the whole reply, whatever its status is.
    ///
    /// # Errors
    ///
    /// What the network says, [`TimedOut`](io::ErrorKind::TimedOut) when it says nothing in time, and
    /// [`InvalidData`](io::ErrorKind::InvalidData) for a reply that is not HTTP.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection; the server may have acted by then.
    pub async fn send(self) -> io::Result<Reply> {
        self.send_over(TcpStream::connect).await
    }

    /// The same over a connection of any kind.
    pub(crate) async fn send_over<S, F>(
        self,
        connect: impl FnOnce(SocketAddr) -> F,
    ) -> io::Result<Reply>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        F: Future<Output = io::Result<S>>,
    {
        let limit = self.limit;
        match clock::timeout(limit, self.exchange(connect)).await {
            Ok(reply) => reply,
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no reply in {limit:?}"),
            )),
        }
    }

    async fn exchange<S, F>(self, connect: impl FnOnce(SocketAddr) -> F) -> io::Result<Reply>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        F: Future<Output = io::Result<S>>,
    {
        let Self {
            method,
            addr,
            path,
            headers,
            body,
            ..
        } = self;
        let mut stream = connect(addr).await?;
        // HTTP/1.0: the reply comes unchunked and ends with the connection.
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: {addr}\r\nContent-Length: {}\r\n{headers}\r\n",
            body.len()
        );
        stream
            .write_all(&[head.into_bytes(), body].concat())
            .await?;
        // TLS keeps what is written until it is told.
        stream.flush().await?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).await?;
        Reply::parse(&String::from_utf8_lossy(&reply))
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the reply is not HTTP"))
    }
}

impl Reply {
    fn parse(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split_whitespace().nth(1)?.parse().ok()?;
        Some(Self {
            status,
            body: body.to_owned(),
        })
    }

    /// The body of a reply that says 2xx.
    ///
    /// # Errors
    ///
    /// Any other status, with the body as the explanation.
    pub fn ok(self) -> io::Result<String> {
        match self.status {
            200..300 => Ok(self.body),
            status => Err(io::Error::other(format!(
                "status {status}: {}",
                self.body.trim_end()
            ))),
        }
    }
}
