//! Processes, waiting, and HTTP by hand.

use std::{
    io::Read,
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use rs_core::Clock;

/// Longer than anything here takes, shorter than the runner's own patience.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Polls until it holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let clock = Clock::default();
    let end = clock.now() + PATIENCE;
    while !holds() {
        assert!(clock.now() < end, "waited {PATIENCE:?} in vain: {what}");
        clock.sleep_blocking(Duration::from_millis(2));
    }
}

/// What this thing took.
pub(crate) fn time<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let clock = Clock::default();
    let start = clock.now();
    let done = work();
    (done, clock.now() - start)
}

const SCENARIO: &str = "RS_METRICS_SCENARIO";

/// Whether this process is one that a test started.
pub(crate) fn is_scenario() -> bool {
    std::env::var_os(SCENARIO).is_some()
}

/// Runs the body in a process of its own: recorder and subscriber are one per process, and `cargo
/// test` runs all tests in one. Returns what the process wrote, or `None` inside of it.
///
/// The test binary starts itself with the name of the test and of the scenario.
#[track_caller]
pub(crate) fn alone(test: &str, scenario: &str, body: impl FnOnce()) -> Option<Output> {
    match std::env::var(SCENARIO) {
        Ok(wanted) if wanted == scenario => body(),
        Ok(_) => {}
        Err(_) => {
            let output = finish(start(test, scenario));
            assert!(
                output.status.success(),
                "scenario `{scenario}` ended with {}:\n{}{}",
                output.status,
                text(&output.stdout),
                text(&output.stderr),
            );
            return Some(output);
        }
    }
    None
}

/// Starts the test binary again, for this scenario of this test.
pub(crate) fn start(test: &str, scenario: &str) -> Child {
    launch(
        Command::new(std::env::current_exe().unwrap()),
        test,
        scenario,
    )
}

/// The same, with a command that starts the test binary with the arguments it is given.
pub(crate) fn launch(mut command: Command, test: &str, scenario: &str) -> Child {
    let test = test.split_once("::").map_or(test, |(_, path)| path);
    command
        .args([test, "--exact", "--nocapture", "--quiet"])
        .env(SCENARIO, scenario)
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for its end and what it wrote; kills it when it takes too long.
#[track_caller]
pub(crate) fn finish(mut child: Child) -> Output {
    fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
        thread::spawn(move || {
            let mut all = Vec::new();
            if let Some(mut pipe) = pipe {
                let _ = pipe.read_to_end(&mut all);
            }
            all
        })
    }
    let (stdout, stderr) = (collect(child.stdout.take()), collect(child.stderr.take()));
    let clock = Clock::default();
    let end = clock.now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if clock.now() > end {
            let _ = child.kill();
            let _ = child.wait();
            panic!(
                "the process did not end within {PATIENCE:?}:\n{}{}",
                text(&stdout.join().unwrap()),
                text(&stderr.join().unwrap()),
            );
        }
        clock.sleep_blocking(Duration::from_millis(5));
    };
    Output {
        status,
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The path of the test it stands in: `it::install::second`.
macro_rules! this_test {
    () => {{
        fn here() {}
        let name = std::any::type_name_of_val(&here);
        name.strip_suffix("::here").unwrap_or(name)
    }};
}
pub(crate) use this_test;
