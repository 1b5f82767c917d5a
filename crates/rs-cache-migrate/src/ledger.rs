//! What was decided, and why.

use std::{
    collections::VecDeque,
    fmt,
    time::{Duration, Instant},
};

use rs_core::Mandate;

use crate::{MigrationState, Ruling};

/// So many decisions are remembered.
const KEPT: usize = 64;

/// A step that was taken; or, in a dry run, that would have been.
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
    /// What each rule had found, if the gates decided.
    pub evidence: Vec<Ruling>,
    /// `false` in a dry run: nothing happened.
    pub taken: bool,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, why, .. } = self;
        match self.taken {
            true => write!(f, "{from} -> {to}: {why}")?,
            false => write!(f, "{from}, would go to {to}: {why}")?,
        }
        match &self.by {
            Some(mandate) => write!(f, ", {mandate}"),
            None => Ok(()),
        }
    }
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
        if decision.taken {
            self.since = decision.at;
        }
        if self.decisions.len() == KEPT {
            self.decisions.pop_front();
        }
        self.decisions.push_back(decision);
    }

    pub(crate) fn decisions(&self) -> impl DoubleEndedIterator<Item = &Decision> {
        self.decisions.iter()
    }
}
