use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, ChildStdout, Command, Output, Stdio},
    time::Duration,
};

use rs_patterns::core::Clock;

/// A demo that runs, with a temporary folder of its own so that no other is found in it.
pub(crate) struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
    pub(crate) gateway: String,
    pub(crate) metrics: String,
    /// From the start of its process until it said that it takes orders.
    pub(crate) ready_after: Duration,
    folder: tempfile::TempDir,
}

pub(crate) fn orders(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orders"));
    command.args(args).stdin(Stdio::null());
    command
}

impl Running {
    pub(crate) fn start(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = orders(args);
        command.env("TMPDIR", folder.path());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let clock = Clock::default();
        let begun = clock.now();
        let mut child = command.spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        out.read_line(&mut first).unwrap();
        let ready_after = clock.now() - begun;
        // "orders on 127.0.0.1:1, metrics on http://127.0.0.1:2/metrics"
        let words: Vec<&str> = first.split_whitespace().collect();
        let [_, _, gateway, _, _, metrics] = words[..] else {
            panic!("it said `{first}`");
        };
        let gateway = gateway.trim_end_matches(',').to_owned();
        let metrics = metrics
            .trim_start_matches("http://")
            .trim_end_matches("/metrics")
            .to_owned();
        Self {
            child,
            out,
            gateway,
            metrics,
            ready_after,
            folder,
        }
    }

    /// `orders do …`, from another process.
    pub(crate) fn tell(&self, line: &str) -> Output {
        let words: Vec<&str> = ["do"].into_iter().chain(line.split_whitespace()).collect();
        orders(&words)
            .env("TMPDIR", self.folder.path())
            .output()
            .unwrap()
    }

    /// The processes that it started: keeper and services.
    pub(crate) fn children(&self) -> Vec<u32> {
        let of_ours = |pid: &u32| stat(*pid).is_some_and(|(_, parent)| parent == self.child.id());
        all().filter(of_ours).collect()
    }

    pub(crate) fn signal(&self, signal: &str) {
        send(self.child.id(), signal);
    }

    /// What it said until it ended, and how it ended.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.out.read_to_string(&mut said).unwrap();
        let mut errors = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut errors)
            .unwrap();
        (self.child.wait().unwrap().code(), said + &errors)
    }

    /// What is in its temporary folder.
    pub(crate) fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn send(pid: u32, signal: &str) {
    let sent = Command::new("kill")
        .args([signal, &pid.to_string()])
        .status()
        .unwrap();
    assert!(sent.success(), "kill {signal} {pid}");
}

fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").unwrap();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

/// Its state and its parent, while it is there.
pub(crate) fn stat(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}

/// Waits until it is so.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let clock = Clock::default();
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        clock.sleep_blocking(Duration::from_millis(20));
    }
    panic!("not within 20s: {what}");
}

pub(crate) fn get(address: &str, head: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "{head}\r\nhost: shop\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
