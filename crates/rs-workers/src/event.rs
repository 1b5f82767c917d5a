//! What workers announce.

use std::{sync::Arc, time::Duration};

use rs_core::{Mandate, Measure, Name, Severity, Signal, SignalKind, Unit, humane};

use crate::{
    RunEnd,
    error::GaveUp,
    slot::{LastEnd, Slot},
};

static WAIT: Measure = Measure::new("wait", Unit::Seconds);
static IN_A_ROW: Measure = Measure::new("in a row", Unit::Count);
static SILENT: Measure = Measure::new("silent", Unit::Seconds);
static HELD: Measure = Measure::new("held", Unit::Seconds);
static LIMIT: Measure = Measure::new("limit", Unit::Seconds);
static RESTARTS: Measure = Measure::new("restarts", Unit::Count);
static WITHIN: Measure = Measure::new("within", Unit::Seconds);
static EPOCH: Measure = Measure::new("epoch", Unit::Count);

macro_rules! kinds {
    ($($kind:ident = $name:literal, $severity:ident, $words:literal;)*) => {$(
        static $kind: SignalKind =
            SignalKind::new("worker", $name, Severity::$severity, $words);
    )*};
}

kinds! {
    RETURNED = "returned", Info, "returned, starts again in {wait}";
    FAILED = "failed", Warning, "failed ({in a row} in a row), starts again in {wait}";
    PANICKED = "panicked", Error, "panicked ({in a row} in a row), starts again in {wait}";
    CUT = "aborted", Warning, "was aborted ({in a row} in a row), starts again in {wait}";
    GROUP_AGAIN = "group_restarts", Warning, "gave up on its members ({in a row} in a row), starts again in {wait}";
    STAYS_OFF = "stays_off", Warning, "stays off";
    RUN_FAILED = "run_failed", Warning, "a run failed ({in a row} in a row)";
    NOT_READY = "not_ready", Warning, "was not ready within {limit}, starts again";
    STUCK = "stuck", Warning, "has shown no sign of life for {silent}";
    RECOVERED = "recovered", Info, "shows signs of life again";
    HOGS = "hogs", Warning, "held its thread for {held}";
    LOST = "lost", Error, "goes on though it was aborted: it blocks its thread";
    NOT_STOPPED = "not_stopped", Warning, "did not stop within {limit} and was aborted";
    GAVE_UP = "gave_up", Error, "gives up: {restarts} restarts within {within}";
    PAUSED = "paused", Info, "pauses";
    RESUMED = "resumed", Info, "goes on";
    ELECTED = "elected", Info, "leads, epoch {epoch}";
    DEPOSED = "deposed", Warning, "no longer leads, epoch {epoch}";
    SKIPPED = "skipped", Info, "missed its time and skips it";
}

/// It ended and is started again.
pub(crate) fn restarts(
    name: Name,
    last: Option<&LastEnd>,
    wait: Duration,
    in_a_row: u32,
) -> Signal {
    let Some(last) = last else {
        return GROUP_AGAIN
            .signal(name)
            .with(WAIT.at(wait.as_secs_f64()))
            .with(IN_A_ROW.at(in_a_row.into()));
    };
    let (kind, text) = match &last.end {
        RunEnd::Returned => (&RETURNED, None),
        RunEnd::Failed(text) => (&FAILED, Some(text)),
        RunEnd::Panicked(text) => (&PANICKED, Some(text)),
        RunEnd::Aborted => (&CUT, None),
    };
    let signal = kind
        .signal(name)
        .with(WAIT.at(wait.as_secs_f64()))
        .with(IN_A_ROW.at(in_a_row.into()));
    noting(signal, text, last)
}

/// It failed and is not started again.
pub(crate) fn stays_off(name: Name, last: &LastEnd) -> Signal {
    let text = last.end.to_string();
    noting(STAYS_OFF.signal(name), Some(&text), last)
}

fn noting(signal: Signal, text: Option<&String>, last: &LastEnd) -> Signal {
    let place = last
        .place
        .as_ref()
        .map(|(place, ago)| format!("last at `{place}`, {} before", humane::show_duration(*ago)));
    match (text, place) {
        (None, None) => signal,
        (Some(text), None) => signal.noting(text.as_str()),
        (None, Some(place)) => signal.noting(place),
        (Some(text), Some(place)) => signal.noting(format!("{text}; {place}")),
    }
}

pub(crate) fn run_failed(name: Name, error: &str, in_a_row: u32) -> Signal {
    RUN_FAILED
        .signal(name)
        .with(IN_A_ROW.at(in_a_row.into()))
        .noting(error)
}

pub(crate) fn not_ready(name: Name, limit: Duration) -> Signal {
    NOT_READY.signal(name).with(LIMIT.at(limit.as_secs_f64()))
}

pub(crate) fn stuck(
    slot: &Slot,
    silent: Duration,
    place: Option<(std::borrow::Cow<'static, str>, Duration)>,
) -> Signal {
    let signal = STUCK
        .signal(slot.name)
        .with(SILENT.at(silent.as_secs_f64()));
    match place {
        Some((place, _)) => signal.noting(format!("last at `{place}`")),
        None => signal,
    }
}

pub(crate) fn recovered(name: Name) -> Signal {
    RECOVERED.signal(name)
}

pub(crate) fn hogs(slot: &Slot, held: Duration) -> Signal {
    HOGS.signal(slot.name).with(HELD.at(held.as_secs_f64()))
}

pub(crate) fn lost(name: Name, what: Option<String>) -> Signal {
    match what {
        Some(what) => LOST.signal(name).noting(what),
        None => LOST.signal(name),
    }
}

pub(crate) fn not_stopped(name: Name, grace: Duration) -> Signal {
    NOT_STOPPED.signal(name).with(LIMIT.at(grace.as_secs_f64()))
}

pub(crate) fn gave_up(group: Name, why: &GaveUp) -> Signal {
    let last = why
        .last
        .as_ref()
        .map_or_else(String::new, |last| format!(", which {last}"));
    GAVE_UP
        .signal(group)
        .with(RESTARTS.at(why.restarts.into()))
        .with(WITHIN.at(why.within.as_secs_f64()))
        .noting(format!("the last of `{}`{last}", why.over))
}

pub(crate) fn paused(name: Name, by: Arc<Mandate>) -> Signal {
    PAUSED.signal(name).by(by)
}

pub(crate) fn resumed(name: Name, by: Option<Arc<Mandate>>) -> Signal {
    match by {
        Some(by) => RESUMED.signal(name).by(by),
        None => RESUMED.signal(name).noting("the pause ran out"),
    }
}

pub(crate) fn elected(name: Name, epoch: u64) -> Signal {
    ELECTED.signal(name).with(EPOCH.at(epoch as f64))
}

pub(crate) fn deposed(name: Name, epoch: u64, why: &str) -> Signal {
    DEPOSED
        .signal(name)
        .with(EPOCH.at(epoch as f64))
        .noting(why)
}

#[cfg_attr(not(feature = "cron"), expect(dead_code, reason = "for cron"))]
pub(crate) fn skipped(name: Name, late: Duration) -> Signal {
    SKIPPED
        .signal(name)
        .noting(format!("{} late", humane::show_duration(late)))
}
