//! The processes of one server.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::log::Log;
use crate::clock;
use crate::error::Error;

/// Between two looks at processes that were sent a signal.
const PAUSE: Duration = Duration::from_millis(1);

/// How many looks until a signal must have worked: no server takes seconds to die of `SIGKILL`.
const LOOKS: u32 = 5_000;

/// A server that was started, with all the processes that it started itself.
///
/// They are found by their working folder, which all inherit from the first and which is theirs
/// alone. A process group would not do: PostgreSQL and Erlang put children into groups of their own.
#[derive(Debug)]
pub(super) struct Process {
    first: Child,
    folder: PathBuf,
    asked: bool,
}

impl Process {
    pub(super) fn start(
        name: &str,
        mut command: Command,
        folder: &Path,
        log: &Log,
    ) -> Result<Self, Error> {
        let output = log.open()?;
        let errors = output.try_clone().map_err(Error::os("share a log file"))?;
        command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0);
        let first = command
            .spawn()
            .map_err(Error::os(format!("start {name}")))?;
        let folder = folder.to_owned();
        Ok(Self {
            first,
            folder,
            asked: false,
        })
    }

    pub(super) fn id(&self) -> u32 {
        self.first.id()
    }

    /// How the first process ended, if it did.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.first.try_wait().ok().flatten()
    }

    /// Whether its end is no surprise.
    pub(super) fn was_asked(&self) -> bool {
        self.asked
    }

    /// Asks the first process to end.
    pub(super) fn ask(&mut self, signal: Signal) {
        self.asked = true;
        self.resume();
        let _ = kill_process(Pid::from_child(&self.first), signal);
    }

    /// Stops all processes and returns when none executes any more.
    pub(super) fn pause(&self) {
        for _ in 0..LOOKS {
            let moving: Vec<_> = self
                .all()
                .into_iter()
                .filter(|process| !is_stopped(*process))
                .collect();
            if moving.is_empty() {
                return;
            }
            send(&moving, Signal::STOP);
            thread::sleep(PAUSE);
        }
    }

    /// Lets all processes go on.
    pub(super) fn resume(&self) {
        send(&self.all(), Signal::CONT);
    }

    /// Kills all processes and returns when they are gone and their ports free.
    /// Dropping the future does the same without yielding.
    pub(super) async fn kill(mut self) {
        for _ in 0..LOOKS {
            if self.kill_once() {
                return;
            }
            clock::sleep(PAUSE).await;
        }
    }

    /// Sends the signals; whether nobody is left.
    fn kill_once(&mut self) -> bool {
        let all = self.all();
        send(&all, Signal::KILL);
        // Between fork and its change of folder, the first process is not found yet.
        let gone = self.ended().is_some();
        if !gone {
            let _ = self.first.kill();
        }
        gone && all.is_empty()
    }

    fn all(&self) -> Vec<Pid> {
        processes_in(&self.folder)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        for _ in 0..LOOKS {
            if self.kill_once() {
                return;
            }
            thread::sleep(PAUSE);
        }
    }
}

/// A command that a terminal's Ctrl-C, or a test runner that kills its test's process group, does
/// not reach.
pub(super) fn detached(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.process_group(0);
    command
}

fn send(processes: &[Pid], signal: Signal) {
    for process in processes {
        // It may have ended a moment ago.
        let _ = kill_process(*process, signal);
    }
}

/// The living processes whose working folder is `folder` or inside it.
fn processes_in(folder: &Path) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder))
        })
        .filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
        .collect()
}

/// Whether no thread of the process executes, because it is stopped or ending.
fn is_stopped(process: Pid) -> bool {
    let tasks = fs::read_dir(format!("/proc/{}/task", process.as_raw_nonzero()));
    tasks.into_iter().flatten().flatten().all(|task| {
        let status = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        // `pid (name) state …`, where the name may contain anything.
        let state = status
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.trim_start().chars().next());
        matches!(state, None | Some('T' | 't' | 'Z' | 'X'))
    })
}
