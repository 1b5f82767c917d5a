use std::fmt;

use rs_core::{Condition, Health, Name, Share, Snapshot};

use super::slot::{PipelineEnd, Slot};

/// What became of the calls of a pipeline, and what its parts look like.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct PipelineMetrics {
    /// Its name.
    pub name: Name,
    /// Calls that succeeded.
    pub succeeded: u64,
    /// Calls that failed.
    pub failed: u64,
    /// Calls that said nothing about the dependency.
    pub ignored: u64,
    /// Calls that were refused.
    pub rejected: u64,
    /// Calls that took too long.
    pub timed_out: u64,
    /// Calls whose caller went away.
    pub cancelled: u64,
    /// What its parts look like, the outermost first.
    pub parts: Vec<Snapshot>,
}

impl PipelineMetrics {
    pub(super) fn of(name: Name, slot: &Slot) -> Self {
        let parts = slot.get().map(|occupant| slot.parts(&occupant));
        let parts = parts.unwrap_or_default();
        Self {
            name,
            succeeded: slot.ended(PipelineEnd::Succeeded),
            failed: slot.ended(PipelineEnd::Failed),
            ignored: slot.ended(PipelineEnd::Ignored),
            rejected: slot.ended(PipelineEnd::Rejected),
            timed_out: slot.ended(PipelineEnd::TimedOut),
            cancelled: slot.ended(PipelineEnd::Cancelled),
            parts: parts.iter().map(|part| Snapshot::of(&**part)).collect(),
        }
    }

    /// All calls that ended.
    #[must_use]
    pub const fn calls(&self) -> u64 {
        self.succeeded
            + self.failed
            + self.ignored
            + self.rejected
            + self.timed_out
            + self.cancelled
    }

    /// The share that succeeded of the calls that say something about the dependency; `None` if there were
    /// none.
    #[must_use]
    pub fn success_rate(&self) -> Option<Share> {
        let judged = self.succeeded + self.failed + self.rejected + self.timed_out;
        Share::of(self.succeeded as f64 / judged as f64).ok()
    }
}

/// How all pipelines are: what a health check answers.
///
/// It prints as a line for each that is worth one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct HealthSummary {
    /// How the worst of them is.
    pub condition: Condition,
    /// How each is, by name.
    pub pipelines: Vec<(Name, Health)>,
}

impl HealthSummary {
    pub(super) fn of(pipelines: Vec<(Name, Health)>) -> Self {
        let conditions = pipelines.iter().map(|(_, health)| health.condition());
        Self {
            condition: conditions.max().unwrap_or_default(),
            pipelines,
        }
    }

    /// Whether there is nothing to worry about.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        matches!(self.condition, Condition::Up)
    }
}

impl fmt::Display for HealthSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.condition)?;
        let worth_a_line = self.pipelines.iter().filter(|(_, health)| !health.is_up());
        for (name, health) in worth_a_line {
            write!(f, "\n{name} is {health}")?;
        }
        Ok(())
    }
}
