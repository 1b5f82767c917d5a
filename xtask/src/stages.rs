//! Stages that run one after the other, each timed; a failure is told and the rest still runs.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::counts::Counts;
use crate::invocation::Invocation;
use crate::stopwatch::{Stopwatch, humane};

/// Lines of a failure that are told again at the end.
const SHOWN: usize = 12;

#[derive(Debug, Default)]
pub(crate) struct Stages {
    done: Vec<Stage>,
}

#[derive(Debug)]
struct Stage {
    name: String,
    repeat: String,
    took: Duration,
    counts: Counts,
    failure: Option<String>,
    /// Why it is missing, though the rest goes on without it.
    missed: Option<String>,
}

/// What a stage that runs tests found; `failure` is set when the stage failed.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) counts: Counts,
    pub(crate) failure: Option<String>,
}

impl Stages {
    /// A stage that is one program.
    pub(crate) fn program(&mut self, name: &str, program: &Invocation) {
        self.check(name, &program.to_string(), || program.run());
    }

    /// A stage that either holds or not; `repeat` is the command that runs it alone.
    pub(crate) fn check(&mut self, name: &str, repeat: &str, work: impl FnOnce() -> Result<()>) {
        self.tests(name, repeat, || work().map(|()| Found::default()));
    }

    /// A stage that the rest can do without, and that is missed loudly: `loss` says what is not proven
    /// then. Whether it holds.
    pub(crate) fn wish(
        &mut self,
        name: &str,
        repeat: &str,
        loss: &str,
        work: impl FnOnce() -> Result<()>,
    ) -> bool {
        println!("\n=== {name}: {repeat}");
        let watch = Stopwatch::start();
        let missed = work().err().map(|error| format!("{loss}: {error:#}"));
        if let Some(missed) = &missed {
            println!("=== {name} MISSING: {missed}");
        }
        let holds = missed.is_none();
        self.done.push(Stage {
            name: name.to_owned(),
            repeat: repeat.to_owned(),
            took: watch.elapsed(),
            counts: Counts::default(),
            failure: None,
            missed,
        });
        holds
    }

    /// A stage that counts tests; `repeat` is the command that runs it alone.
    pub(crate) fn tests(&mut self, name: &str, repeat: &str, work: impl FnOnce() -> Result<Found>) {
        println!("\n=== {name}: {repeat}");
        let watch = Stopwatch::start();
        let found = work().unwrap_or_else(|error| Found {
            counts: Counts::default(),
            failure: Some(format!("{error:#}")),
        });
        if let Some(failure) = &found.failure {
            println!("=== {name} FAILED: {failure}");
        }
        self.done.push(Stage {
            name: name.to_owned(),
            repeat: repeat.to_owned(),
            took: watch.elapsed(),
            counts: found.counts,
            failure: found.failure,
            missed: None,
        });
    }

    /// Prints the times, the failures, and the counts alone on the last line.
    #[must_use]
    pub(crate) fn finish(self) -> ExitCode {
        print!("{}", self.table());
        let verdict = self.verdict();
        if verdict.total() == 0 {
            println!("\nno test was found: that is a failure too");
        }
        print!("{}", self.failures());
        println!("\n{verdict}");
        if verdict.failed == 0 && verdict.passed > 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    /// The sum of all stages. A stage that failed without a failed test, such as one that did not
    /// compile, counts as one failure, so that the sum never looks better than the run was.
    fn verdict(&self) -> Counts {
        let mut sum = Counts::default();
        for stage in &self.done {
            sum += stage.counts;
            if stage.failure.is_some() && stage.counts.failed == 0 {
                sum.failed += 1;
            }
        }
        sum
    }

    fn table(&self) -> String {
        let width = self
            .done
            .iter()
            .map(|stage| stage.name.len())
            .max()
            .unwrap_or(0)
            .max(5);
        let mut text = format!("\n{:<width$}  {:>8}  result\n", "stage", "time");
        for stage in &self.done {
            let verdict = match (&stage.failure, &stage.missed) {
                (Some(_), _) => "FAILED",
                (None, Some(_)) => "MISSING",
                (None, None) => "ok",
            };
            let counts = if stage.counts == Counts::default() {
                String::new()
            } else {
                format!(", {}", stage.counts)
            };
            text.push_str(&format!(
                "{:<width$}  {:>8}  {verdict}{counts}\n",
                stage.name,
                humane(stage.took)
            ));
        }
        let total = self.done.iter().map(|stage| stage.took).sum();
        text.push_str(&format!("{:<width$}  {:>8}\n", "total", humane(total)));
        text
    }

    fn failures(&self) -> String {
        let mut text = String::new();
        for stage in &self.done {
            let (said, word) = match (&stage.failure, &stage.missed) {
                (Some(failure), _) => (failure, "failed"),
                (None, Some(missed)) => (missed, "MISSING"),
                (None, None) => continue,
            };
            let shown: Vec<&str> = said.lines().take(SHOWN).collect();
            let (name, shown, repeat) = (&stage.name, shown.join("\n    "), &stage.repeat);
            text.push_str(&format!(
                "\n{name} {word}: {shown}\n  repeat it with: {repeat}\n"
            ));
        }
        text
    }
}

/// Runs a test runner; no test at all is a failure.
pub(crate) fn run_tests(program: &Invocation, runner: crate::counts::Runner) -> Result<Found> {
    let (counts, success) = program.run_tests(runner)?;
    if counts.total() == 0 && success {
        bail!("no test ran");
    }
    let failure = match (success, counts.failed) {
        (true, _) => None,
        (false, 0) => {
            Some("it ended before any test could fail: see its messages above".to_owned())
        }
        (false, failed) => Some(format!("{failed} of {} tests failed", counts.total())),
    };
    Ok(Found { counts, failure })
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    fn passed(passed: usize) -> Found {
        Found {
            counts: Counts {
                passed,
                ..Counts::default()
            },
            failure: None,
        }
    }

    #[test]
    fn sums_the_stages() {
        let mut stages = Stages::default();
        stages.tests("one", "cargo one", || Ok(passed(3)));
        stages.tests("two", "cargo two", || Ok(passed(4)));
        assert_eq!(stages.verdict().to_string(), "7 passed, 0 failed");
        assert_eq!(stages.finish(), ExitCode::SUCCESS);
    }

    #[test]
    fn a_stage_that_did_not_compile_is_a_failure() {
        let mut stages = Stages::default();
        stages.tests("one", "cargo one", || Ok(passed(3)));
        stages.check("two", "cargo two", || Err(anyhow!("broken\nmore")));
        assert_eq!(stages.verdict().to_string(), "3 passed, 1 failed");
        assert_eq!(
            stages.failures(),
            "\ntwo failed: broken\n    more\n  repeat it with: cargo two\n"
        );
        assert_eq!(stages.finish(), ExitCode::FAILURE);
    }

    #[test]
    fn what_is_missed_is_told_and_fails_nothing() {
        let mut stages = Stages::default();
        stages.tests("one", "cargo one", || Ok(passed(3)));
        let there = stages.wish("two", "cargo two", "nothing of two is proven", || {
            Err(anyhow!("no network"))
        });
        assert!(!there);
        assert_eq!(
            stages.failures(),
            "\ntwo MISSING: nothing of two is proven: no network\n  repeat it with: cargo two\n"
        );
        assert!(stages.table().contains("MISSING"), "{}", stages.table());
        assert!(stages.wish("three", "cargo three", "nothing", || Ok(())));
        assert_eq!(stages.finish(), ExitCode::SUCCESS);
    }

    #[test]
    fn no_test_is_a_failure() {
        let mut stages = Stages::default();
        stages.check("one", "cargo one", || Ok(()));
        assert_eq!(stages.finish(), ExitCode::FAILURE);
    }
}
