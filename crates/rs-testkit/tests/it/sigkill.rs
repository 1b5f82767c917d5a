//! What is left when the process that started servers is killed: nothing.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rs_testkit::{Error, wait_until};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::life::PATIENCE;

/// Another process that holds servers until its input ends or it is killed.
pub(crate) struct Holder {
    process: Child,
    count: usize,
}

#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) url: String,
    pid: u32,
    folder: PathBuf,
}

impl Holder {
    pub(crate) fn start(names: &[&str]) -> Self {
        Self::start_in(&std::env::temp_dir(), names)
    }

    fn start_in(folder: &Path, names: &[&str]) -> Self {
        let process = Command::new(env!("CARGO_BIN_EXE_rs-testkit"))
            .args(names)
            .env("TMPDIR", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        Self {
            process,
            count: names.len(),
        }
    }

    /// Waits until all of them serve.
    pub(crate) fn servers(&mut self) -> Vec<Held> {
        let stdout = self.process.stdout.as_mut().unwrap();
        let lines = BufReader::new(stdout).lines().take(self.count);
        lines
            .map(|line| Held::parse(&line.unwrap()).unwrap())
            .collect()
    }
}

impl Held {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        Some(Self {
            url: words.next()?.to_owned(),
            pid: words.next()?.parse().ok()?,
            folder: words.next()?.into(),
        })
    }

    /// What is still there of it.
    fn remains(&self) -> Option<String> {
        let process = PathBuf::from(format!("/proc/{}/cwd", self.pid));
        if process.read_link().is_ok() {
            return Some(format!("process {}", self.pid));
        }
        self.folder
            .exists()
            .then(|| format!("folder {}", self.folder.display()))
    }
}

impl Drop for Holder {
    /// As a test runner does when it loses its patience.
    fn drop(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.process), Signal::KILL);
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn a_killed_test_leaves_nothing() -> Result<(), Error> {
    let mut holder = Holder::start(&["redis", "postgres", "etcd"]);
    let servers = holder.servers();
    assert_eq!(servers.len(), 3);
    assert!(servers.iter().all(|server| server.remains().is_some()));

    assert_eq!(memory_segments(&servers), 1, "PostgreSQL's");

    drop(holder);
    wait_until("nothing is left", PATIENCE, || async {
        servers.iter().find_map(Held::remains).map_or(Ok(()), Err)
    })
    .await?;
    assert_eq!(memory_segments(&servers), 0);
    Ok(())
}

#[tokio::test]
async fn a_test_killed_at_any_moment_leaves_nothing() -> Result<(), Error> {
    let home = std::env::temp_dir().join(format!("rs-testkit-it-{:016x}", fastrand::u64(..)));
    fs::create_dir(&home).unwrap();
    let memory_before = memory_files();
    for moment in 0..12 {
        let holder = Holder::start_in(&home, &["redis", "postgres"]);
        // A little later each time, from before the first folder to after the last start.
        let mut looks = 0;
        wait_until("the moment", PATIENCE, || {
            looks += 1;
            async move { looks > moment * 8 }
        })
        .await?;
        drop(holder);
        wait_until("nothing is left", PATIENCE, || async {
            let left = fs::read_dir(&home)
                .unwrap()
                .flatten()
                .map(|entry| entry.path())
                .chain(processes_in(&home));
            left.last()
                .map_or(Ok(()), |path| Err(path.display().to_string()))
        })
        .await?;
    }
    fs::remove_dir(&home).unwrap();
    // Those of tests that run beside this one will go too.
    let new: Vec<_> = memory_files().difference(&memory_before).cloned().collect();
    wait_until("no shared memory is left", PATIENCE, || async {
        let left = new.iter().find(|file| file.exists());
        left.map_or(Ok(()), |file| Err(file.display().to_string()))
    })
    .await
}

/// How many segments of shared memory these servers made: the fifth column is who made one.
fn memory_segments(servers: &[Held]) -> usize {
    let segments = fs::read_to_string("/proc/sysvipc/shm").unwrap();
    let makers = segments
        .lines()
        .filter_map(|line| line.split_whitespace().nth(4)?.parse().ok());
    makers
        .filter(|maker: &u32| servers.iter().any(|server| server.pid == *maker))
        .count()
}

fn memory_files() -> HashSet<PathBuf> {
    fs::read_dir("/dev/shm")
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .collect()
}

fn processes_in(folder: &Path) -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .map(|entry| entry.path());
    processes
        .filter(|process| {
            process
                .join("cwd")
                .read_link()
                .is_ok_and(|cwd| cwd.starts_with(folder))
        })
        .collect()
}
