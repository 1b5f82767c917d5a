//! Servers that do not start, or end when they should not.

use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rs_testkit::{
    Error, Place, Redis, RedisOptions, Server, ServerKind, program, wait_until, within,
};
use rustix::process::{Pid, Signal, kill_process};

use crate::life::PATIENCE;

/// A server made of a shell command, which remembers where it lived.
#[derive(Debug, Clone, Default)]
struct Script {
    text: &'static str,
    folder: Arc<Mutex<PathBuf>>,
}

impl Script {
    fn new(text: &'static str) -> Self {
        Self {
            text,
            folder: Arc::default(),
        }
    }
}

impl ServerKind for Script {
    const NAME: &'static str = "Script";
    const PORTS: usize = 1;
    const PATIENCE: Duration = Duration::from_millis(200);

    fn command(&self, place: &Place) -> Result<Command, Error> {
        *self.folder.lock().unwrap() = place.folder().to_owned();
        let mut command = Command::new("sh");
        command.args(["-c", self.text]);
        Ok(command)
    }

    async fn ready(&self, _: &Place) -> io::Result<()> {
        Err(io::Error::other("it says nothing"))
    }
}

#[test]
fn a_missing_program_names_its_remedy() {
    let error = program("no-such-server").unwrap_err();
    assert!(
        error.to_string().contains("cargo xtask services install"),
        "{error}"
    );
}

#[tokio::test]
async fn a_start_that_fails_shows_the_log() {
    let script = Script::new("echo first; echo last words >&2; exit 3");
    let error = Server::start_with(script.clone()).await.unwrap_err();
    let shown = format!("{error:?}");
    assert!(
        shown.contains("exit status: 3") && shown.contains("first\nlast words"),
        "{shown}"
    );
    assert!(!script.folder.lock().unwrap().exists());
}

#[tokio::test]
async fn a_start_that_hangs_shows_the_log() {
    let script = Script::new("echo almost there; exec sleep 600");
    let error = Server::start_with(script.clone()).await.unwrap_err();
    let shown = format!("{error:?}");
    assert!(matches!(error, Error::NotReady { .. }), "{shown}");
    assert!(
        shown.contains("it says nothing") && shown.contains("almost there"),
        "{shown}"
    );
    assert!(!script.folder.lock().unwrap().exists());
}

#[tokio::test]
async fn a_start_that_is_dropped_leaves_nothing() {
    // Two processes that have left the group of the first.
    let script = Script::new("setsid sleep 600 & setsid sleep 600 & exec sleep 600");
    let dropped = within(
        "a start",
        Duration::from_millis(100),
        Server::start_with(script.clone()),
    )
    .await;
    assert!(dropped.is_err());
    let folder = script.folder.lock().unwrap().clone();
    assert!(folder.is_absolute() && !folder.exists());
    let left = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|process| {
            std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| {
                cwd.to_string_lossy()
                    .starts_with(&*folder.to_string_lossy())
            })
        });
    assert_eq!(left.count(), 0);
}

#[tokio::test]
async fn a_server_that_ends_by_itself_is_noticed() -> Result<(), Error> {
    let server = Redis::start().await?;
    let pid = server
        .pid()
        .and_then(|pid| Pid::from_raw(pid as i32))
        .unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    let error = wait_until("its end", PATIENCE, || async { server.resume().err() }).await?;
    let shown = format!("{error:?}");
    assert!(matches!(error, Error::Died { .. }), "{shown}");
    assert!(shown.contains("ready to exit"), "{shown}");
    // The test may go on with it.
    server.restart().await?;
    server.pause()
}

#[tokio::test]
async fn a_killed_server_cannot_be_paused() -> Result<(), Error> {
    let server = Redis::start().await?;
    server.kill().await;
    server.kill().await;
    assert!(matches!(server.pause(), Err(Error::NotRunning { .. })));
    assert!(matches!(server.resume(), Err(Error::NotRunning { .. })));
    Ok(())
}

#[tokio::test]
async fn restarts_and_kills_at_the_same_time_do_not_meet() -> Result<(), Error> {
    let server = Redis::start().await?;
    for _ in 0..5 {
        let (one, other, ()) = tokio::join!(server.restart(), server.restart(), server.kill());
        // Whoever was overtaken by the kill says so.
        for result in [one, other] {
            assert!(
                matches!(result, Ok(()) | Err(Error::NotRunning { .. })),
                "{result:?}"
            );
        }
    }
    server.restart().await
}

#[tokio::test]
async fn a_drop_ends_even_a_frozen_server() -> Result<(), Error> {
    let server = Redis::start().await?;
    let (folder, pid) = (server.folder().to_owned(), server.pid().unwrap());
    server.pause()?;
    drop(server);
    assert!(!folder.exists());
    assert!(!PathBuf::from(format!("/proc/{pid}")).exists());
    Ok(())
}

/// Redis, but another program takes its port first, once.
#[derive(Debug, Clone, Default)]
struct Robbed {
    redis: RedisOptions,
    starts: Arc<AtomicU32>,
    thief: Arc<Mutex<Option<TcpListener>>>,
}

impl ServerKind for Robbed {
    const NAME: &'static str = "Robbed";
    const PORTS: usize = 1;

    fn command(&self, place: &Place) -> Result<Command, Error> {
        if self.starts.fetch_add(1, SeqCst) == 0 {
            *self.thief.lock().unwrap() = Some(TcpListener::bind(place.addr()).unwrap());
        }
        self.redis.command(place)
    }

    async fn ready(&self, place: &Place) -> io::Result<()> {
        self.redis.ready(place).await
    }
}

#[tokio::test]
async fn a_port_that_was_taken_is_left_to_the_thief() -> Result<(), Error> {
    let robbed = Robbed::default();
    let server = Server::start_with(robbed.clone()).await?;
    let stolen = robbed
        .thief
        .lock()
        .unwrap()
        .as_ref()
        .unwrap()
        .local_addr()
        .unwrap();
    assert_eq!(robbed.starts.load(SeqCst), 2);
    assert_ne!(server.addr(), stolen);
    Ok(())
}
