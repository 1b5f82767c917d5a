use std::{
    collections::VecDeque,
    fmt,
    time::{Duration, Instant},
};

use rs_core::humane;

use crate::{Finding, MigrationState, Window};

/// So many are remembered.
const KEPT: usize = 64;

/// What was seen while a migration stood somewhere.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct StageSeen {
    /// Where it stood.
    pub state: MigrationState,
    /// For how long.
    pub for_time: Duration,
    /// How many windows were good, bad, and neither.
    pub windows: (u32, u32, u32),
    /// All of them together.
    pub seen: Window,
}

#[derive(Debug, Default)]
pub(super) struct StagesSeen {
    stages: VecDeque<(Instant, StageSeen)>,
}

impl StagesSeen {
    pub(super) fn begin(&mut self, state: MigrationState, now: Instant) {
        if let Some((since, last)) = self.stages.back_mut() {
            last.for_time = now.saturating_duration_since(*since);
        }
        if self.stages.len() == KEPT {
            self.stages.pop_front();
        }
        let seen = StageSeen {
            state,
            for_time: Duration::ZERO,
            windows: (0, 0, 0),
            seen: Window {
                stage: state.stage,
                took: Duration::ZERO,
                ..Window::default()
            },
        };
        self.stages.push_back((now, seen));
    }

    pub(super) fn window(&mut self, window: &Window, finding: Finding) {
        let Some((_, stage)) = self.stages.back_mut() else {
            return;
        };
        stage.seen.merge(window);
        let (good, bad, neither) = &mut stage.windows;
        *match finding {
            Finding::Good => good,
            Finding::Bad => bad,
            Finding::Unsure => neither,
        } += 1;
    }

    pub(super) fn all(&self, now: Instant) -> Vec<StageSeen> {
        let mut all: Vec<_> = self.stages.iter().map(|(_, seen)| seen.clone()).collect();
        if let (Some((since, _)), Some(last)) = (self.stages.back(), all.last_mut()) {
            last.for_time = now.saturating_duration_since(*since);
        }
        all
    }
}

impl fmt::Display for StageSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (good, bad, neither) = self.windows;
        let time = humane::write_duration(self.for_time);
        write!(f, "{} for {time}", self.state)?;
        if good + bad + neither == 0 {
            return Ok(());
        }
        write!(f, ", windows: {good} good, {bad} bad, {neither} neither")?;
        let Window {
            legacy,
            new,
            fallbacks,
            changes,
            failed_changes,
            compared,
            differed,
            ..
        } = &self.seen;
        write!(f, "\n  legacy: {legacy}\n  new:    {new}")?;
        let counts = [
            (*fallbacks, "fell back"),
            (*changes, "changes"),
            (*failed_changes, "of them failed by new"),
            (*compared, "values compared"),
            (*differed, "of them differed"),
        ];
        let some = counts.iter().filter(|(count, _)| *count > 0);
        let some: Vec<_> = some
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if !some.is_empty() {
            write!(f, "\n  {}", some.join(", "))?;
        }
        Ok(())
    }
}
