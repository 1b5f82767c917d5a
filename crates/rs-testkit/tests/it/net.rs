//! Small servers and clients for tests.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Real time, because it is a real network.
#[derive(Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "this measures a real network")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// A server that handles each connection in a task, all of which end with it.
pub(crate) struct Listener {
    pub(crate) addr: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Listener {
    pub(crate) async fn start<F: Future<Output = io::Result<()>> + Send + 'static>(
        handle: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(handle(stream));
            }
        });
        Self {
            addr,
            _tasks: tasks,
        }
    }

    /// Sends back what it receives.
    pub(crate) async fn echo() -> Self {
        Self::start(|mut stream| async move {
            let (mut from, mut to) = stream.split();
            tokio::io::copy(&mut from, &mut to).await?;
            Ok(())
        })
        .await
    }

    /// Answers every HTTP request with this.
    pub(crate) async fn http(body: &'static str) -> Self {
        Self::start(move |stream| async move {
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            while stream.read_line(&mut line).await? > 2 {
                line.clear();
            }
            let reply = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(reply.as_bytes()).await
        })
        .await
    }
}

/// Sends `text` and waits until as many bytes came back.
pub(crate) async fn round_trip(stream: &mut TcpStream, text: &str) -> io::Result<String> {
    stream.write_all(text.as_bytes()).await?;
    let mut answer = vec![0; text.len()];
    stream.read_exact(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// One Redis command on a connection of its own; a bulk reply without its length.
pub(crate) async fn redis(addr: SocketAddr, command: &[&str]) -> io::Result<String> {
    redis_on(
        &mut BufReader::new(TcpStream::connect(addr).await?),
        command,
    )
    .await
}

/// One Redis command.
pub(crate) async fn redis_on(
    stream: &mut BufReader<TcpStream>,
    command: &[&str],
) -> io::Result<String> {
    let words: String = command
        .iter()
        .map(|word| format!("${}\r\n{word}\r\n", word.len()))
        .collect();
    stream
        .write_all(format!("*{}\r\n{words}", command.len()).as_bytes())
        .await?;
    redis_reply(stream).await
}

/// What Redis says next.
pub(crate) async fn redis_reply(stream: &mut BufReader<TcpStream>) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if line.starts_with('$') && !line.starts_with("$-1") {
        line.clear();
        stream.read_line(&mut line).await?;
    }
    Ok(line.trim_end().to_owned())
}
