//! What a breaker announces.

use std::sync::Arc;

use rs_core::{ConfigError, Mandate, Measure, Name, Severity, Signal, SignalKind, Unit};

use crate::{
    BreakerState, Cause, CauseKind,
    state::{Change, Why},
};

static FAILED: Measure = Measure::new("failed", Unit::Count);
static SLOW: Measure = Measure::new("slow", Unit::Count);
static SUCCEEDED: Measure = Measure::new("succeeded", Unit::Count);
static CALLS: Measure = Measure::new("calls", Unit::Count);
static LIMIT: Measure = Measure::new("limit", Unit::Share);
static PROBE_IN: Measure = Measure::new("probe in", Unit::Seconds);
static VERSION: Measure = Measure::new("version", Unit::Count);

macro_rules! kinds {
    ($($kind:ident = $name:literal, $severity:ident, $words:literal;)*) => {$(
        static $kind: SignalKind =
            SignalKind::new("breaker", $name, Severity::$severity, $words);
    )*};
}

kinds! {
    OPENED_BY_RUN = "opened", Warning, "opened, {failed} failed in a row, next probe in {probe in}";
    OPENED_BY_FAILURES = "opened", Warning, "opened, {failed} of {calls} failed (limit {limit}), next probe in {probe in}";
    OPENED_BY_SLOWNESS = "opened", Warning, "opened, {slow} of {calls} were slow (limit {limit}), next probe in {probe in}";
    REOPENED = "reopened", Warning, "stays open, {failed} of {calls} probes failed, next probe in {probe in}";
    HALF_OPENED = "half_opened", Info, "half-open, lets probes through";
    RAMPING = "ramping", Info, "recovers, {succeeded} of {calls} probes succeeded, lets a growing share through";
    CLOSED = "closed", Info, "closed";
    CLOSED_BY_PROBES = "closed", Info, "closed, {succeeded} of {calls} probes succeeded";
    FORCED_OPEN = "forced_open", Warning, "refuses all calls";
    FORCED_CLOSED = "forced_closed", Warning, "lets all calls through, whatever becomes of them";
    ISOLATED = "isolated", Info, "isolated for maintenance, refuses all calls";
    HALF_OPENED_AFTER_ORDER = "half_opened", Info, "half-open, lets probes through; an order ran out";
    CLOSED_AFTER_ORDER = "closed", Info, "closed; an order ran out";
    RESET = "reset", Info, "begins anew, closed";
    RECONFIGURED = "reconfigured", Info, "has new rules, version {version}";
    RECONFIGURATION_REFUSED = "reconfiguration_refused", Warning, "keeps its rules, the new ones are wrong";
    CALLBACK_PANICKED = "callback_panicked", Warning, "panicked; the settings decide how long to stay open";
}

/// What is said of this change.
pub(crate) fn signal(name: Name, change: Change) -> Signal {
    let Change {
        to,
        why,
        generation,
        ..
    } = change;
    let signal = match why {
        Why::Tripped(cause, time) => tripped(name, &cause).with(PROBE_IN.at(time.as_secs_f64())),
        Why::Recovered(good, calls) => match to {
            BreakerState::Ramping => RAMPING.signal(name),
            _ => CLOSED_BY_PROBES.signal(name),
        }
        .with(SUCCEEDED.at(good.into()))
        .with(CALLS.at(calls.into())),
        Why::Time | Why::Reconfigured => kind_of(to).signal(name),
        Why::Ordered(mandate) | Why::OrderEnded(mandate) => kind_of(to).signal(name).by(mandate),
        Why::OrderExpired(mandate) => match to {
            BreakerState::HalfOpen => HALF_OPENED_AFTER_ORDER.signal(name),
            _ => CLOSED_AFTER_ORDER.signal(name),
        }
        .by(mandate),
        Why::Reset(mandate) => RESET.signal(name).by(mandate),
    };
    signal.in_generation(generation)
}

fn tripped(name: Name, cause: &Cause) -> Signal {
    let (bad, calls) = (cause.bad as f64, cause.calls as f64);
    match cause.kind {
        CauseKind::ConsecutiveFailures => OPENED_BY_RUN.signal(name).with(FAILED.at(bad)),
        CauseKind::FailureRate => OPENED_BY_FAILURES
            .signal(name)
            .with(FAILED.at(bad))
            .with(CALLS.at(calls))
            .with(LIMIT.at(cause.limit)),
        CauseKind::SlowRate => OPENED_BY_SLOWNESS
            .signal(name)
            .with(SLOW.at(bad))
            .with(CALLS.at(calls))
            .with(LIMIT.at(cause.limit)),
        CauseKind::Probes => REOPENED
            .signal(name)
            .with(FAILED.at(bad))
            .with(CALLS.at(calls)),
    }
}

const fn kind_of(state: BreakerState) -> &'static SignalKind {
    match state {
        BreakerState::Closed => &CLOSED,
        // A rule or the probes open it, and those say more.
        BreakerState::Open => &OPENED_BY_FAILURES,
        BreakerState::HalfOpen => &HALF_OPENED,
        BreakerState::Ramping => &RAMPING,
        BreakerState::ForcedOpen => &FORCED_OPEN,
        BreakerState::ForcedClosed => &FORCED_CLOSED,
        BreakerState::Isolated => &ISOLATED,
    }
}

pub(crate) fn reconfigured(name: Name, version: u64, mandate: Option<Arc<Mandate>>) -> Signal {
    by(
        RECONFIGURED.signal(name).with(VERSION.at(version as f64)),
        mandate,
    )
}

pub(crate) fn refused(name: Name, error: &ConfigError, mandate: Option<Arc<Mandate>>) -> Signal {
    by(RECONFIGURATION_REFUSED.signal(name), mandate).noting(error.to_string())
}

fn by(signal: Signal, mandate: Option<Arc<Mandate>>) -> Signal {
    match mandate {
        Some(mandate) => signal.by(mandate),
        None => signal,
    }
}

pub(crate) fn callback_panicked(name: Name) -> Signal {
    CALLBACK_PANICKED.signal(name)
}
