//! What was decided, and why.

use std::{
    collections::VecDeque,
    fmt,
    time::{Duration, Instant},
};

use rs_core::{Mandate, Value, humane};

use crate::MigrationState;

/// So many decisions are remembered.
const KEPT: usize = 64;

/// A step that was taken.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Decision {
    /// When, by the clock of the surroundings.
    pub at: Instant,
    /// Where the migration stood.
    pub from: MigrationState,
    /// Where it stood then.
    pub to: MigrationState,
    /// Why, with the numbers that were seen.
    pub why: String,
    /// By whose order; `None` if it decided by itself.
    pub by: Option<Mandate>,
}

/// Since when it stands where it stands, and how it came there.
#[derive(Debug)]
pub(crate) struct Ledger {
    since: Instant,
    decisions: VecDeque<Decision>,
}

impl Ledger {
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            since: now,
            decisions: VecDeque::new(),
        }
    }

    pub(crate) fn stands_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    pub(crate) fn note(&mut self, decision: Decision) {
        self.since = decision.at;
        if self.decisions.len() == KEPT {
            self.decisions.pop_front();
        }
        self.decisions.push_back(decision);
    }

    pub(crate) fn decisions(&self) -> impl DoubleEndedIterator<Item = &Decision> {
        self.decisions.iter()
    }
}

/// How far a migration has come, and how it came there; printed, it reads as a log.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MigrationReport {
    /// Where it stands.
    pub state: MigrationState,
    /// For how long.
    pub for_time: Duration,
    /// Reads that legacy answered, since the start; none are counted while it is off.
    pub legacy_hits: u64,
    /// Reads that new answered, since the start; none are counted once it is complete.
    pub new_hits: u64,
    /// Reads that were meant for new and that legacy answered.
    pub fallbacks: u64,
    /// Entries that came over.
    pub promotions: u64,
    /// What the caches were asked for and did not do.
    pub errors: u64,
    /// Keys that legacy may be wrong about, and those that new may be wrong about.
    pub doubtful: (usize, usize),
    /// The last steps, the oldest first.
    pub decisions: Vec<Decision>,
}

impl MigrationReport {
    pub(crate) fn to_value(&self) -> Value {
        Value::map([
            ("stage", Value::from(self.state.stage.as_str())),
            ("share", self.state.share.into()),
            ("epoch", self.state.epoch.into()),
            ("settled", self.state.settled.into()),
            ("held", self.state.held.into()),
            ("for", self.for_time.into()),
            ("legacy_hits", self.legacy_hits.into()),
            ("new_hits", self.new_hits.into()),
            ("fallbacks", self.fallbacks.into()),
            ("promotions", self.promotions.into()),
            ("errors", self.errors.into()),
            ("doubtful_in_legacy", self.doubtful.0.into()),
            ("doubtful_in_new", self.doubtful.1.into()),
            (
                "last_decision",
                self.decisions.last().map(|last| last.why.clone()).into(),
            ),
        ])
    }
}

impl fmt::Display for MigrationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = humane::write_duration(self.for_time);
        writeln!(f, "{} for {time}, try {}", self.state, self.state.epoch)?;
        writeln!(
            f,
            "reads: {} from legacy, {} from new, {} fell back; {} entries came over; {} errors",
            self.legacy_hits, self.new_hits, self.fallbacks, self.promotions, self.errors
        )?;
        for Decision {
            from, to, why, by, ..
        } in &self.decisions
        {
            write!(f, "{from} -> {to}: {why}")?;
            match by {
                Some(mandate) => writeln!(f, ", {mandate}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}
