//! How many tests passed and failed, read from the summary lines of test runners.

use std::fmt;
use std::ops::AddAssign;

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

/// Whose summary lines to believe: a failing test may print the other runner's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Runner {
    Nextest,
    Libtest,
}

impl Counts {
    pub(crate) fn total(self) -> usize {
        self.passed + self.failed
    }

    /// Takes one line of a runner's output into account.
    pub(crate) fn read(&mut self, runner: Runner, line: &str) {
        let line = without_colours(line);
        match runner {
            // One summary ends the run; an earlier line that looks like it came from a test.
            Runner::Nextest => {
                if let Some(summary) = nextest_summary(&line) {
                    *self = summary;
                }
            }
            // One summary per test binary.
            Runner::Libtest => {
                if let Some(summary) = libtest_summary(&line) {
                    *self += summary;
                }
            }
        }
    }

    fn add(&mut self, number: usize, word: &str) {
        match word {
            "passed" => self.passed += number,
            "failed" | "timed out" | "exec failed" => self.failed += number,
            "skipped" | "ignored" => self.skipped += number,
            _ => {}
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

/// `     Summary [   0.005s] 3 tests run: 2 passed (1 slow), 1 failed, 0 skipped`
fn nextest_summary(line: &str) -> Option<Counts> {
    let rest = line.trim_start().strip_prefix("Summary [")?;
    let (_, parts) = rest.split_once(" run: ")?;
    Some(sum(&without_parentheses(parts), ", "))
}

/// `test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 4 filtered out; finished in 0.00s`
fn libtest_summary(line: &str) -> Option<Counts> {
    let (_verdict, parts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    Some(sum(parts, "; "))
}

fn sum(parts: &str, separator: &str) -> Counts {
    let mut counts = Counts::default();
    for part in parts.split(separator) {
        if let Some((number, word)) = part.trim().split_once(' ')
            && let Ok(number) = number.parse()
        {
            counts.add(number, word.trim());
        }
    }
    counts
}

fn without_parentheses(text: &str) -> String {
    let mut depth = 0_usize;
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => out.push(c),
            _ => {}
        }
    }
    out
}

/// Drops terminal colour sequences: `ESC [ … m`.
fn without_colours(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            for c in chars.by_ref() {
                if c.is_ascii_alphabetic() {
                    break;
                }
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(runner: Runner, output: &str, passed: usize, failed: usize, skipped: usize) {
        let mut counts = Counts::default();
        for line in output.lines() {
            counts.read(runner, line);
        }
        assert_eq!(
            counts,
            Counts {
                passed,
                failed,
                skipped
            }
        );
    }

    #[test]
    fn reads_nextest() {
        let check = |output, passed, failed, skipped| {
            check(Runner::Nextest, output, passed, failed, skipped)
        };
        check(
            "     Summary [   0.005s] 3 tests run: 3 passed, 0 skipped",
            3,
            0,
            0,
        );
        check(
            "     Summary [   9.1s] 1 test run: 0 passed, 1 failed, 7 skipped",
            0,
            1,
            7,
        );
        check(
            "Summary [ 1.0s] 9/12 tests run: 4 passed (1 slow, 2 leaky), 3 failed, 2 timed out, 0 skipped",
            4,
            5,
            0,
        );
        check(
            "\u{1b}[32;1m     Summary\u{1b}[0m [   0.005s] \u{1b}[1m2\u{1b}[0m tests run: \u{1b}[1m2\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, \u{1b}[1m0\u{1b}[0m skipped",
            2,
            0,
            0,
        );
    }

    #[test]
    fn the_last_nextest_summary_counts() {
        check(
            Runner::Nextest,
            "Summary [ 1s] 7 tests run: 7 passed, 0 skipped\n  Summary [ 2s] 2 tests run: 2 passed, 0 skipped",
            2,
            0,
            0,
        );
    }

    #[test]
    fn reads_libtest_and_sums_binaries() {
        let ok = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s";
        let bad = "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        check(
            Runner::Libtest,
            &format!("running 3 tests\n{ok}\n\n{bad}\n"),
            4,
            2,
            1,
        );
    }

    #[test]
    fn other_lines_count_nothing() {
        check(
            Runner::Libtest,
            "Summary [ 1s] 7 tests run: 7 passed, 0 skipped",
            0,
            0,
            0,
        );
        check(
            Runner::Nextest,
            "test result: ok. 3 passed; 0 failed; 1 ignored",
            0,
            0,
            0,
        );
        check(
            Runner::Libtest,
            "    test result: ok. 3 passed; 0 failed (quoted by a test)",
            0,
            0,
            0,
        );
    }

    #[test]
    fn the_closing_line_is_plain() {
        assert_eq!(
            Counts {
                passed: 2,
                failed: 0,
                skipped: 0
            }
            .to_string(),
            "2 passed, 0 failed"
        );
        assert_eq!(
            Counts {
                passed: 2,
                failed: 1,
                skipped: 3
            }
            .to_string(),
            "2 passed, 1 failed, 3 skipped"
        );
    }
}
