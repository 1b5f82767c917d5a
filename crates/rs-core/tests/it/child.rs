//! A test that needs a process of its own runs itself again in one.

use std::process::{Command, Output, Stdio};

const CHILD: &str = "RS_CORE_TEST_CHILD";
const DONE: &str = "the child came to its end";

pub(crate) struct Ended(pub(crate) Output);

impl Ended {
    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    #[track_caller]
    pub(crate) fn assert_success(&self) {
        assert!(
            self.0.status.success(),
            "the child failed: {}\n{}\n{}",
            self.0.status,
            self.stdout(),
            self.stderr()
        );
        assert!(self.stdout().contains(DONE), "the child ran no test");
    }
}

/// Runs `body` in a process of its own; `test` is the path of the test that calls this.
pub(crate) fn run(test: &str, body: impl FnOnce()) -> Ended {
    run_with(test, |_| {}, body)
}

pub(crate) fn run_with(
    test: &str,
    prepare: impl FnOnce(&mut Command),
    body: impl FnOnce(),
) -> Ended {
    if std::env::var_os(CHILD).is_some_and(|child| child == test) {
        body();
        // The rest of the test is the parent's.
        println!("{DONE}");
        std::process::exit(0);
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, test)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    prepare(&mut command);
    Ended(command.spawn().unwrap().wait_with_output().unwrap())
}
