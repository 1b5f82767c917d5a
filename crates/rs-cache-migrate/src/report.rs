//! How far a migration has come, and how it came there.

use std::{fmt, time::Duration};

use rs_core::{Mandate, Value, humane};

use crate::{
    CacheAdapter, Decision, FleetReport, Judged, MigrationKey, MigrationState, PilotMode, Side,
    StageSeen, inner::Inner, metrics::CacheOperation,
};

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
    /// What was seen at each place where it stood, the oldest first; empty unless it
    /// [runs](crate::CacheMigration::run).
    pub stages: Vec<StageSeen>,
    /// What it does by itself.
    pub pilot: PilotReport,
    /// What it knows of the other replicas, if it has [joined](crate::CacheMigration::join_fleet) them.
    pub fleet: Option<FleetReport>,
}

/// What a migration does by itself.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PilotReport {
    /// How much of it.
    pub mode: PilotMode,
    /// By whose order it goes no further.
    pub held_by: Option<Mandate>,
    /// What was judged last since the last step, with the evidence.
    pub last: Option<Judged>,
    /// Why it does not take the step that the gates allow.
    pub against: Option<String>,
    /// How long it will take to get as far as it goes by itself, if all is well. `None` if it does not go on.
    pub time_left: Option<Duration>,
}

impl<K, V, L, N> Inner<K, V, L, N>
where
    K: MigrationKey,
    V: Clone + Send + Sync + 'static,
    L: CacheAdapter<K, V>,
    N: CacheAdapter<K, V>,
{
    pub(crate) fn report(&self) -> MigrationReport {
        let now = self.home.around.clock().now();
        let state = self.word().state();
        let errors = [Side::Legacy, Side::New].into_iter().flat_map(|side| {
            [
                CacheOperation::Get,
                CacheOperation::Set,
                CacheOperation::Delete,
            ]
            .map(|operation| self.counters.errors[(side, operation)].value())
        });
        let errors = errors.sum();
        let (pilot, stages) = self.pilot_report(&state);
        let ledger = self.ledger();
        MigrationReport {
            state,
            for_time: ledger.stands_for(now),
            legacy_hits: self.counters.legacy_hits.value(),
            new_hits: self.counters.new_hits.value(),
            fallbacks: self.counters.fallbacks.value(),
            promotions: self.counters.promotions.value(),
            errors,
            doubtful: (self.doubts.len(Side::Legacy), self.doubts.len(Side::New)),
            decisions: ledger.decisions().cloned().collect(),
            stages,
            pilot,
            fleet: self.fleet_report(),
        }
    }

    fn pilot_report(&self, state: &MigrationState) -> (PilotReport, Vec<StageSeen>) {
        let now = self.home.around.clock().now();
        let rules = self.rules.get();
        let held_by = self.pilot.held_by();
        let course = self.pilot.course();
        let left = course.time_left(state, &rules.shares(), rules.propagation(), now);
        let report = PilotReport {
            mode: course.mode(),
            time_left: left.filter(|_| held_by.is_none()),
            held_by,
            last: course.last().cloned(),
            against: course.against().map(str::to_owned),
        };
        (report, course.stages(now))
    }
}

impl MigrationReport {
    pub(crate) fn to_value(&self) -> Value {
        let PilotReport {
            mode,
            held_by,
            last,
            against,
            time_left,
        } = &self.pilot;
        let stages = self.stages.iter().map(|seen| Value::from(seen.to_string()));
        let decisions = self.decisions.iter().rev().take(8);
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
            ("mode", mode.as_str().into()),
            ("holds", held_by.as_ref().map(|by| by.to_string()).into()),
            (
                "judged",
                last.as_ref()
                    .map(|judged| format!("{}: {}", judged.verdict, judged.why))
                    .into(),
            ),
            ("against", against.clone().into()),
            ("time_left", (*time_left).into()),
            (
                "fleet",
                self.fleet.as_ref().map(FleetReport::to_value).into(),
            ),
            ("stages", Value::List(stages.collect())),
            (
                "decisions",
                Value::List(decisions.map(|one| Value::from(one.to_string())).collect()),
            ),
        ])
    }
}

impl fmt::Display for MigrationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = humane::write_duration(self.for_time);
        writeln!(f, "{} for {time}, try {}", self.state, self.state.epoch)?;
        writeln!(f, "{}", self.pilot)?;
        if let Some(fleet) = &self.fleet {
            writeln!(f, "{fleet}")?;
        }
        writeln!(
            f,
            "reads: {} from legacy, {} from new, {} fell back; {} entries came over; {} errors",
            self.legacy_hits, self.new_hits, self.fallbacks, self.promotions, self.errors
        )?;
        if !self.stages.is_empty() {
            writeln!(f, "\nwhat was seen")?;
        }
        for seen in &self.stages {
            writeln!(f, "{seen}")?;
        }
        if !self.decisions.is_empty() {
            writeln!(f, "\nwhat was decided")?;
        }
        for decision in &self.decisions {
            writeln!(f, "{decision}")?;
        }
        Ok(())
    }
}

impl fmt::Display for PilotReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "by itself: {}", self.mode)?;
        if let Some(mandate) = &self.held_by {
            write!(f, ", holds {mandate}")?;
        }
        if let Some(why) = &self.against {
            write!(f, ", no step: {why}")?;
        }
        if let Some(left) = self.time_left {
            write!(f, ", about {} left", humane::write_duration(left))?;
        }
        if let Some(judged) = &self.last {
            write!(f, "; last: {}, {}", judged.verdict, judged.why)?;
        }
        Ok(())
    }
}
