//! How the storage was reached of late.

use std::time::{Duration, Instant};

use rs_core::{Measure, Name, Severity, Signal, SignalKind, Unit};

use crate::StorageError;

static AWAY: Measure = Measure::new("away", Unit::Seconds);
static REPLICAS: Measure = Measure::new("replicas", Unit::Count);

static LOST: SignalKind = SignalKind::new(
    "fleet",
    "storage_lost",
    Severity::Warning,
    "does not reach its storage; this replica decides alone, and orders stay as they are",
);
static BACK: SignalKind = SignalKind::new(
    "fleet",
    "storage_back",
    Severity::Info,
    "reaches its storage again after {away}, replicas: {replicas}",
);

#[derive(Debug, Default)]
pub(super) struct Contact {
    pub(super) running: bool,
    pub(super) replicas: u32,
    last: Option<Instant>,
    lost: Option<Lost>,
}

#[derive(Debug)]
struct Lost {
    since: Instant,
    why: StorageError,
    times: u32,
}

impl Contact {
    /// What is to be said of it, if anything.
    pub(super) fn reached(&mut self, name: Name, replicas: u32, now: Instant) -> Option<Signal> {
        self.last = Some(now);
        self.replicas = replicas;
        let lost = self.lost.take()?;
        let away = now.saturating_duration_since(lost.since).as_secs_f64();
        Some(
            BACK.signal(name)
                .with(AWAY.at(away))
                .with(REPLICAS.at(replicas.into())),
        )
    }

    /// What is to be said of it: once, not each time.
    pub(super) fn failed(&mut self, name: Name, why: StorageError, now: Instant) -> Option<Signal> {
        let first = self.lost.is_none();
        let signal = first.then(|| LOST.signal(name).noting(why.to_string()));
        let since = self.lost.as_ref().map_or(now, |lost| lost.since);
        let times = self.failures().saturating_add(1);
        self.lost = Some(Lost { since, why, times });
        signal
    }

    pub(super) fn why_lost(&self) -> Option<&StorageError> {
        self.lost.as_ref().map(|lost| &lost.why)
    }

    /// How often in a row it was not reached.
    pub(super) fn failures(&self) -> u32 {
        self.lost.as_ref().map_or(0, |lost| lost.times)
    }

    /// How long ago the fleet was last heard.
    pub(super) fn age(&self, now: Instant) -> Option<Duration> {
        Some(now.saturating_duration_since(self.last?))
    }
}
