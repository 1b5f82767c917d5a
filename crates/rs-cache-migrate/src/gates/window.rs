use std::{fmt, time::Duration};

use crate::{Stage, Times};

/// What was seen of one cache in a window of time.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "whoever measures fills it in")]
pub struct SideWindow {
    /// Reads that it was asked.
    pub reads: u64,
    /// Those that it failed.
    pub errors: u64,
    /// Those that it answered.
    pub hits: u64,
    /// How long they took, as far as they were timed.
    pub times: Times,
    /// What its entries take in bytes, if it can say.
    pub bytes: Option<f64>,
    /// How many entries it has, if it can say.
    pub entries: Option<u64>,
}

impl SideWindow {
    /// The share of the reads that it answered.
    #[must_use]
    pub fn hit_ratio(&self) -> f64 {
        super::certainty::rate(self.hits, self.reads)
    }

    /// What an entry takes in bytes.
    #[must_use]
    pub fn bytes_per_entry(&self) -> Option<f64> {
        let entries = self.entries.filter(|entries| *entries > 0)?;
        Some(self.bytes? / entries as f64)
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.reads = self.reads.saturating_add(other.reads);
        self.errors = self.errors.saturating_add(other.errors);
        self.hits = self.hits.saturating_add(other.hits);
        self.times.merge(&other.times);
        (self.bytes, self.entries) = (other.bytes, other.entries);
    }

    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            reads: self.reads.saturating_sub(before.reads),
            errors: self.errors.saturating_sub(before.errors),
            hits: self.hits.saturating_sub(before.hits),
            times: self.times.since(&before.times),
            bytes: self.bytes,
            entries: self.entries,
        }
    }
}

impl fmt::Display for SideWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} reads", self.reads)?;
        if self.reads > 0 {
            write!(f, ", {:.1}% hits", 100.0 * self.hit_ratio())?;
            write!(f, ", {} errors", self.errors)?;
        }
        for (name, part) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
            if let Some(time) = self.times.quantile(part) {
                write!(f, ", {name} {time:.1?}")?;
            }
        }
        if let Some(bytes) = self.bytes_per_entry() {
            write!(f, ", {bytes:.0} bytes per entry")?;
        }
        Ok(())
    }
}

/// What was seen of both in the same window of time.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "whoever measures fills it in")]
pub struct Window {
    /// In which stage; each has its own rules.
    pub stage: Stage,
    /// How long the window was.
    pub took: Duration,
    /// The cache that is left: what new is measured by.
    pub legacy: SideWindow,
    /// The cache that is moved to.
    pub new: SideWindow,
    /// Reads that new could not answer and legacy did.
    pub fallbacks: u64,
    /// Changes that both were asked for.
    pub changes: u64,
    /// Those that new failed.
    pub failed_changes: u64,
    /// Reads that were compared, and both had a value.
    pub compared: u64,
    /// Those with different values.
    pub differed: u64,
}

impl Default for Window {
    /// Nothing seen, while it is live.
    fn default() -> Self {
        Self {
            stage: Stage::Live,
            took: Duration::from_secs(10),
            legacy: SideWindow::default(),
            new: SideWindow::default(),
            fallbacks: 0,
            changes: 0,
            failed_changes: 0,
            compared: 0,
            differed: 0,
        }
    }
}

impl Window {
    /// Both together.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.took = self.took.saturating_add(other.took);
        self.legacy.merge(&other.legacy);
        self.new.merge(&other.new);
        self.fallbacks += other.fallbacks;
        self.changes += other.changes;
        self.failed_changes += other.failed_changes;
        self.compared += other.compared;
        self.differed += other.differed;
    }
}
