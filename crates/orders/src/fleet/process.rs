use std::{
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rs_patterns::core::{Call, Clock, unless};
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::block_in_place;

use crate::{
    http::Http,
    service::{Kind, Mood},
};

/// One instance of a service.
pub(crate) struct Process {
    pub(crate) kind: Kind,
    /// `payments-1`.
    pub(crate) name: String,
    /// Where it listens; a restart does not change that.
    pub(crate) authority: String,
    /// How many calls the shop sent to it.
    calls: AtomicU64,
    port: u16,
    folder: PathBuf,
    group: i32,
    state: Mutex<State>,
}

struct State {
    child: Child,
    is_stopped: bool,
    mood: Mood,
}

/// One that was started and is not ready yet.
pub(super) struct Starting {
    kind: Kind,
    number: usize,
    folder: PathBuf,
    group: i32,
    child: Child,
}

impl Starting {
    pub(super) fn ready(mut self) -> Result<Arc<Process>> {
        let port = ready(&mut self.child)?;
        Ok(Arc::new(Process {
            kind: self.kind,
            name: format!("{}-{}", self.kind.name(), self.number),
            authority: format!("127.0.0.1:{port}"),
            calls: AtomicU64::new(0),
            port,
            folder: self.folder,
            group: self.group,
            state: Mutex::new(State {
                child: self.child,
                is_stopped: false,
                mood: Mood::default(),
            }),
        }))
    }
}

impl Process {
    pub(super) fn spawn(kind: Kind, number: usize, folder: &Path, group: i32) -> Result<Starting> {
        let child = spawn(kind, 0, folder, group)?;
        Ok(Starting {
            kind,
            number,
            folder: folder.to_owned(),
            group,
            child,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more call goes to it.
    pub(crate) fn count(&self) {
        self.calls.fetch_add(1, Relaxed);
    }

    /// How many calls went to it.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Relaxed)
    }

    /// SIGKILL: its sockets are reset, and nobody listens any more.
    pub(crate) fn kill(&self) -> Result<()> {
        block_in_place(|| {
            let mut state = self.state();
            state.child.kill()?;
            state.child.wait()?;
            Ok(())
        })
    }

    /// SIGSTOP: its sockets stay, and nobody answers.
    pub(crate) fn stop(&self) -> Result<()> {
        self.state().signal(Signal::STOP)
    }

    /// SIGCONT.
    pub(crate) fn go_on(&self) -> Result<()> {
        self.state().signal(Signal::CONT)
    }

    /// Starts it again if it is gone, lets it go on if it is stopped. It is in no mood then if it was gone.
    pub(crate) fn revive(&self) -> Result<()> {
        block_in_place(|| self.revive_now())
    }

    fn revive_now(&self) -> Result<()> {
        let mut state = self.state();
        if state.is_stopped {
            state.signal(Signal::CONT)?;
        }
        if state.child.try_wait()?.is_some() {
            let mut child = spawn(self.kind, self.port, &self.folder, self.group)?;
            ready(&mut child)?;
            *state = State {
                child,
                is_stopped: false,
                mood: Mood::default(),
            };
        }
        Ok(())
    }

    /// Tells it what is wrong with it.
    pub(crate) async fn set(&self, mood: Mood, within: Duration) -> Result<()> {
        let (http, call) = (Http::new(), Call::new("mood"));
        let told = http.send(&self.authority, &call, mood.into_request());
        match unless(Clock::default().sleep(within), told).await {
            Some(answer) if answer.as_ref().is_ok_and(|answer| answer.is_success()) => {
                self.state().mood = mood;
                Ok(())
            }
            Some(answer) => bail!("{}: {answer:?}", self.name),
            None => bail!("{} does not answer", self.name),
        }
    }

    /// What is wrong with it, in a word.
    pub(crate) fn condition(&self) -> &'static str {
        let mut state = self.state();
        match (state.child.try_wait(), state.mood) {
            (Ok(Some(_)), _) => "killed",
            _ if state.is_stopped => "stopped",
            (_, Mood { closes: true, .. }) => "closes",
            (_, Mood { fails: true, .. }) => "fails",
            (
                _,
                Mood {
                    latency: Duration::ZERO,
                    capacity: None,
                    ..
                },
            ) => "",
            _ => "slow",
        }
    }
}

impl State {
    fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            bail!("it is not running");
        }
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal)?;
        self.is_stopped = signal == Signal::STOP;
        Ok(())
    }
}

fn spawn(kind: Kind, port: u16, folder: &Path, group: i32) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["serve", kind.name(), "--port", &port.to_string()]);
    if kind == Kind::Payments {
        command.arg("--ledger").arg(ledger(folder));
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(group);
    command
        .spawn()
        .with_context(|| format!("cannot start {}", kind.name()))
}

/// The port that it says it listens on.
fn ready(child: &mut Child) -> Result<u16> {
    let mut line = String::new();
    let said = child.stdout.take().context("its output is not ours")?;
    BufReader::new(said).read_line(&mut line)?;
    let port = line
        .trim()
        .strip_prefix("ready ")
        .and_then(|port| port.parse().ok());
    port.context("a service ended before it was ready")
}

/// Where the payment service keeps what it charged.
pub(crate) fn ledger(folder: &Path) -> PathBuf {
    folder.join("ledger")
}
