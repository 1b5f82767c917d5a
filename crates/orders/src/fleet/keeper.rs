use std::{
    io::Read,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, PoisonError},
};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, getpid, kill_process_group};
use tokio::signal::unix::{SignalKind, signal};

/// A process that waits for the end of this one, and then kills what it started: also what is stopped and
/// could not end by itself.
///
/// It leads a process group that all services join, so that nobody has to know their ids, and Ctrl-C in the
/// terminal does not reach them before the shop has said goodbye.
pub(crate) struct Keeper {
    child: Mutex<Child>,
    group: i32,
}

impl Keeper {
    /// The folder is removed at the end.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let child = Command::new(std::env::current_exe()?)
            .arg("keep")
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start the keeper of the services")?;
        let group = child.id().cast_signed();
        Ok(Self {
            child: Mutex::new(child),
            group,
        })
    }

    /// The process group that it leads.
    pub(crate) const fn group(&self) -> i32 {
        self.group
    }

    pub(crate) fn stop(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        drop(child.stdin.take());
        // It kills itself with its group.
        let _ = child.wait();
    }
}

/// `orders keep FOLDER`: waits for the end of its standard input.
pub(crate) fn keep(args: &[String]) -> Result<()> {
    // Where the shop dies while a service is stopped, the kernel tells the whole group that it has no parent any
    // more, by a signal that ends who does not listen to it.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let _entered = runtime.enter();
    let _hang_up = signal(SignalKind::hangup())?;
    let mut byte = [0];
    while matches!(std::io::stdin().read(&mut byte), Ok(1)) {}
    if let Some(folder) = args.first() {
        let _ = std::fs::remove_dir_all(PathBuf::from(folder));
    }
    // Only what it leads: a keeper that somebody starts by hand must not kill the group of the shell.
    let own = getpid();
    if rustix::process::getpgid(None)? == own {
        kill_process_group(
            Pid::from_raw(own.as_raw_nonzero().get()).unwrap_or(own),
            Signal::KILL,
        )?;
    }
    Ok(())
}
