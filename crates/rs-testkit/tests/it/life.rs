//! What every server goes through.

use std::fmt::Debug;
use std::io;
use std::time::Duration;

use rs_testkit::{Error, Server, ServerKind, wait_until, within};
use tokio::net::TcpStream;

/// Long enough for any answer to a test on a busy machine, short enough to wait for in vain.
pub(crate) const MOMENT: Duration = Duration::from_millis(400);

/// Long enough for a server that was frozen or started to find itself again.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Takes a server, in which `ask` finds `expected` whenever it answers, through all of its life.
pub(crate) async fn check<K, T, F>(
    server: &Server<K>,
    expected: T,
    ask: impl Fn() -> F,
) -> Result<(), Error>
where
    K: ServerKind,
    T: PartialEq + Debug,
    F: Future<Output = io::Result<T>>,
{
    freeze(server, &expected, &ask).await?;
    crash(server, &expected, &ask).await?;
    restart(server, &expected, &ask).await
}

pub(crate) async fn freeze<K, T, F>(
    server: &Server<K>,
    expected: &T,
    ask: impl Fn() -> F,
) -> Result<(), Error>
where
    K: ServerKind,
    T: PartialEq + Debug,
    F: Future<Output = io::Result<T>>,
{
    assert_eq!(ask().await.unwrap(), *expected, "before anything happened");
    server.pause()?;
    let answered = within("an answer", MOMENT, ask()).await.is_ok();
    assert!(!answered, "it answers while it is frozen");
    server.resume()?;
    wait_until("an answer after the thaw", PATIENCE, || async {
        Ok::<_, io::Error>(ask().await? == *expected)
    })
    .await
}

pub(crate) async fn crash<K, T, F>(
    server: &Server<K>,
    expected: &T,
    ask: impl Fn() -> F,
) -> Result<(), Error>
where
    K: ServerKind,
    T: PartialEq + Debug,
    F: Future<Output = io::Result<T>>,
{
    let addr = server.addr();
    server.kill().await;
    let error = TcpStream::connect(addr).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    assert_eq!(server.pid(), None);

    server.restart().await?;
    assert_eq!(server.addr(), addr);
    assert_eq!(
        ask().await.unwrap(),
        *expected,
        "its data did not outlive the crash"
    );
    Ok(())
}

pub(crate) async fn restart<K, T, F>(
    server: &Server<K>,
    expected: &T,
    ask: impl Fn() -> F,
) -> Result<(), Error>
where
    K: ServerKind,
    T: PartialEq + Debug,
    F: Future<Output = io::Result<T>>,
{
    let before = (server.addr(), server.pid());
    server.pause()?;
    server.restart().await?;
    assert_eq!(server.addr(), before.0);
    assert_ne!(server.pid(), before.1);
    assert_eq!(
        ask().await.unwrap(),
        *expected,
        "its data did not outlive the restart"
    );
    Ok(())
}
