use std::{fmt, time::Duration};

use rs_core::{Name, humane};

/// Who stopped how, and how long it took.
///
/// ```text
/// stopped 3 workers in 5.01s: 2 returned, 1 was aborted
///   mail: was aborted after 5s, last at `sending`
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StopReport {
    /// How long all of it took.
    pub took: Duration,
    /// Those that ran when it began.
    pub workers: Vec<StoppedWorker>,
}

/// How a worker stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoppedWorker {
    /// Which.
    pub name: Name,
    /// How.
    pub how: HowStopped,
    /// After how long, from when the stop began.
    pub took: Duration,
}

/// What a worker did when it was told to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HowStopped {
    /// It returned.
    Returned,
    /// It returned an error.
    Failed(String),
    /// It panicked.
    Panicked(String),
    /// It did not stop in time, and was aborted.
    Aborted {
        /// Where it said it was.
        at: Option<String>,
    },
    /// It was aborted and goes on: something blocks a thread.
    Blocked {
        /// What, and for how long.
        by: String,
    },
}

impl StopReport {
    /// Whether all returned in time.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.unclean().next().is_none()
    }

    /// Those that did anything but return in time.
    pub fn unclean(&self) -> impl Iterator<Item = &StoppedWorker> {
        self.workers
            .iter()
            .filter(|worker| worker.how != HowStopped::Returned)
    }

    /// What this worker did, if it ran.
    #[must_use]
    pub fn of(&self, name: impl Into<Name>) -> Option<&StoppedWorker> {
        let name = name.into();
        self.workers.iter().find(|worker| worker.name == name)
    }
}

impl fmt::Display for StopReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = humane::show_duration(self.took);
        match self.workers.as_slice() {
            [] => write!(f, "nothing ran"),
            [_] => write!(f, "stopped 1 worker in {took}"),
            all => write!(f, "stopped {} workers in {took}", all.len()),
        }?;
        let count =
            |is: fn(&HowStopped) -> bool| self.workers.iter().filter(|one| is(&one.how)).count();
        let counts = [
            (count(|how| matches!(how, HowStopped::Returned)), "returned"),
            (count(|how| matches!(how, HowStopped::Failed(_))), "failed"),
            (
                count(|how| matches!(how, HowStopped::Panicked(_))),
                "panicked",
            ),
            (
                count(|how| matches!(how, HowStopped::Aborted { .. })),
                "aborted",
            ),
            (
                count(|how| matches!(how, HowStopped::Blocked { .. })),
                "blocked and still there",
            ),
        ];
        let mut joint = ": ";
        for (count, word) in counts.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{joint}{count} {word}")?;
            joint = ", ";
        }
        for worker in self.unclean() {
            write!(f, "\n  {worker}")?;
        }
        Ok(())
    }
}

impl fmt::Display for StoppedWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let took = humane::show_duration(self.took);
        write!(f, "{}: {} after {took}", self.name, self.how)
    }
}

impl fmt::Display for HowStopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Returned => f.write_str("returned"),
            Self::Failed(error) => write!(f, "failed ({error})"),
            Self::Panicked(payload) => write!(f, "panicked ({payload})"),
            Self::Aborted { at: None } => f.write_str("was aborted"),
            Self::Aborted { at: Some(place) } => write!(f, "was aborted at `{place}`"),
            Self::Blocked { by } => write!(f, "goes on, {by},"),
        }
    }
}
