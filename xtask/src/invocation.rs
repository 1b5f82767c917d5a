//! A program to run, printable the way a person would type it.

use std::fmt;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::counts::{Counts, Runner};
use crate::stopwatch::Stopwatch;

#[derive(Debug, Clone)]
pub(crate) struct Invocation {
    program: String,
    args: Vec<String>,
    env: Vec<(String, String)>,
    dir: Option<PathBuf>,
}

impl Invocation {
    pub(crate) fn new(program: impl Into<String>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            dir: None,
        }
    }

    /// `cargo` with arguments given as one line.
    pub(crate) fn cargo(args: &str) -> Self {
        Self::new("cargo").words(args)
    }

    /// Adds arguments that contain no spaces.
    #[must_use]
    pub(crate) fn words(self, words: &str) -> Self {
        self.args(words.split_whitespace())
    }

    #[must_use]
    pub(crate) fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    #[must_use]
    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    #[must_use]
    pub(crate) fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    #[must_use]
    pub(crate) fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Runs it in view, without an input.
    pub(crate) fn run(&self) -> Result<()> {
        let status = self.start(self.command().stdin(Stdio::null()))?.wait()?;
        self.succeeded(status)
    }

    /// Runs it in view, with this process's input.
    pub(crate) fn run_attended(&self) -> Result<ExitStatus> {
        Ok(self.start(&mut self.command())?.wait()?)
    }

    /// Runs it in place of this process, where the system can do that: Ctrl-C then is for it alone, and whoever
    /// waits for this process waits until it has ended.
    pub(crate) fn take_over(&self) -> Result<ExitCode> {
        #[cfg(unix)]
        {
            let error = std::os::unix::process::CommandExt::exec(&mut self.command());
            Err(self.not_started(error))
        }
        #[cfg(not(unix))]
        {
            let code = self.run_attended()?.code();
            let code = code.and_then(|code| u8::try_from(code).ok());
            Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
        }
    }

    /// Runs it in view and stops it when it takes longer than `limit`.
    pub(crate) fn run_within(&self, limit: Duration) -> Result<()> {
        let mut child = self.start(self.command().stdin(Stdio::null()))?;
        let started = Stopwatch::start();
        loop {
            if let Some(status) = child.try_wait()? {
                return self.succeeded(status);
            }
            if started.elapsed() > limit {
                child.kill()?;
                child.wait()?;
                bail!(
                    "`{self}` was still running after {}s and was stopped",
                    limit.as_secs()
                );
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Runs it in view and reads the test counts that it prints, whether it succeeds or not.
    pub(crate) fn run_tests(&self, runner: Runner) -> Result<(Counts, bool)> {
        let mut command = self.command();
        if io::stderr().is_terminal() {
            command.env("CARGO_TERM_COLOR", "always");
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = self.start(&mut command)?;
        let (sender, counted) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            let sender = sender.clone();
            thread::spawn(move || sender.send(forward(stdout, io::stdout(), runner)));
        }
        if let Some(stderr) = child.stderr.take() {
            thread::spawn(move || sender.send(forward(stderr, io::stderr(), runner)));
        }
        let status = child.wait()?;
        let mut counts = Counts::default();
        // A server that a test forgot may keep a pipe open for ever; the summary is long through.
        while let Ok(part) = counted.recv_timeout(Duration::from_secs(5)) {
            counts += part;
        }
        Ok((counts, status.success()))
    }

    /// Runs it out of view and returns what it wrote to its output.
    pub(crate) fn read(&self) -> Result<String> {
        let output = self.capture()?;
        if !output.success {
            bail!("`{self}` failed:\n{}", output.stderr.trim_end());
        }
        Ok(output.stdout)
    }

    /// Runs it out of view and returns everything that it wrote, whether it succeeds or not.
    pub(crate) fn capture(&self) -> Result<Captured> {
        let output = self
            .command()
            .stdin(Stdio::null())
            .output()
            .map_err(|error| self.not_started(error))?;
        Ok(Captured {
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Runs it with its messages in view and returns what it wrote to its output.
    pub(crate) fn read_noisily(&self) -> Result<String> {
        let mut child = self.start(self.command().stdin(Stdio::null()).stdout(Stdio::piped()))?;
        let mut text = String::new();
        if let Some(mut stdout) = child.stdout.take() {
            stdout
                .read_to_string(&mut text)
                .with_context(|| format!("reading from `{self}`"))?;
        }
        self.succeeded(child.wait()?)?;
        Ok(text)
    }

    fn command(&self) -> Command {
        // Cargo names itself to what it runs; through it the pinned toolchain stays the same.
        let program = match self.program.as_str() {
            "cargo" => std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()),
            other => other.to_owned(),
        };
        let mut command = Command::new(program);
        command.args(&self.args);
        // What `cargo run` tells xtask about xtask would make build scripts of other crates rerun.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(describes_xtask) {
                command.env_remove(name);
            }
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command
    }

    fn start(&self, command: &mut Command) -> Result<Child> {
        command.spawn().map_err(|error| self.not_started(error))
    }

    fn not_started(&self, error: io::Error) -> anyhow::Error {
        match error.kind() {
            io::ErrorKind::NotFound => {
                anyhow!("cannot run `{}`: it is not installed", self.program)
            }
            _ => anyhow!("cannot run `{}`: {error}", self.program),
        }
    }

    fn succeeded(&self, status: ExitStatus) -> Result<()> {
        if status.success() {
            return Ok(());
        }
        bail!("`{self}` failed ({status})")
    }
}

#[derive(Debug)]
pub(crate) struct Captured {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.env {
            write!(f, "{name}={} ", quoted(value))?;
        }
        write!(f, "{}", self.program)?;
        self.args
            .iter()
            .try_for_each(|arg| write!(f, " {}", quoted(arg)))
    }
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn describes_xtask(variable: &str) -> bool {
    variable.starts_with("CARGO_PKG_")
        || [
            "CARGO_MANIFEST_DIR",
            "CARGO_MANIFEST_PATH",
            "CARGO_BIN_NAME",
            "CARGO_CRATE_NAME",
            "OUT_DIR",
        ]
        .contains(&variable)
}

fn forward(from: impl Read, mut to: impl Write, runner: Runner) -> Counts {
    let mut from = BufReader::new(from);
    let mut counts = Counts::default();
    let mut line = Vec::new();
    // A reader or a terminal that went away ends the copy, not the tests.
    while matches!(from.read_until(b'\n', &mut line), Ok(read) if read > 0) {
        let _ = to.write_all(&line);
        let _ = to.flush();
        counts.read(runner, String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_as_one_would_type_it() {
        let loom = Invocation::cargo("test -p rs-core")
            .env("RUSTFLAGS", "--cfg loom")
            .arg("it's");
        assert_eq!(
            loom.to_string(),
            r"RUSTFLAGS='--cfg loom' cargo test -p rs-core 'it'\''s'"
        );
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Invocation::new("no-such-program").run().unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot run `no-such-program`: it is not installed"
        );
    }

    #[test]
    fn a_hang_is_stopped() {
        let error = Invocation::new("sleep")
            .arg("60")
            .run_within(Duration::from_millis(50))
            .unwrap_err();
        assert!(error.to_string().contains("was stopped"), "{error}");
    }

    #[test]
    fn counts_are_read_while_output_passes_through() {
        let output =
            "running\ntest result: ok. 3 passed; 0 failed; 0 ignored\nend without a newline";
        let mut passed_through = Vec::new();
        let counts = forward(output.as_bytes(), &mut passed_through, Runner::Libtest);
        assert_eq!(
            counts,
            Counts {
                passed: 3,
                failed: 0,
                skipped: 0
            }
        );
        assert_eq!(passed_through, output.as_bytes());
    }
}
