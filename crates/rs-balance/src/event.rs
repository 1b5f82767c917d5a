//! What a balancer announces.

use std::time::Duration;

use rs_core::{Measure, Name, Severity, Signal, SignalKind, Unit, label_set};
use rs_metrics::pattern::Announcements;

label_set! {
    /// Why an endpoint was ejected.
    pub enum Cause: "cause" {
        /// Too many calls failed in a row.
        ConsecutiveFailures = "consecutive_failures",
        /// Fewer calls succeeded than elsewhere.
        SuccessRate = "success_rate",
        /// Calls took longer than elsewhere.
        Latency = "latency",
    }
}

pub(crate) static ANNOUNCED: Announcements = Announcements::of("balancer");

static FAILURES: Measure = Measure::new("failures in a row", Unit::Count);
static SUCCESS_RATE: Measure = Measure::new("success rate", Unit::Share);
static LATENCY: Measure = Measure::new("latency", Unit::Seconds);
static LIMIT: Measure = Measure::new("limit", Unit::Count);
static LIMIT_RATE: Measure = Measure::new("limit", Unit::Share);
static LIMIT_TIME: Measure = Measure::new("limit", Unit::Seconds);
static OUT_FOR: Measure = Measure::new("out for", Unit::Seconds);
static ADDED: Measure = Measure::new("added", Unit::Count);
static REMOVED: Measure = Measure::new("removed", Unit::Count);
static KNOWN: Measure = Measure::new("known", Unit::Count);
static UP: Measure = Measure::new("up", Unit::Count);

static FAILED: SignalKind = SignalKind::new(
    "balancer",
    "ejected",
    Severity::Warning,
    "ejected an endpoint for {out for}, {failures in a row} calls failed in a row (limit {limit})",
);
static FAILS_MORE: SignalKind = SignalKind::new(
    "balancer",
    "ejected",
    Severity::Warning,
    "ejected an endpoint for {out for}, {success rate} of its calls succeeded (limit {limit})",
);
static SLOWER: SignalKind = SignalKind::new(
    "balancer",
    "ejected",
    Severity::Warning,
    "ejected an endpoint for {out for}, its calls took {latency} (limit {limit})",
);

/// An endpoint is ejected no longer.
pub(crate) static RETURNED: SignalKind = SignalKind::new(
    "balancer",
    "returned",
    Severity::Info,
    "takes an endpoint back on probation",
);
pub(crate) static ORDERED_OUT: SignalKind = SignalKind::new(
    "balancer",
    "ordered_out",
    Severity::Warning,
    "sends nothing to an endpoint any more",
);
pub(crate) static DRAINS: SignalKind =
    SignalKind::new("balancer", "drained", Severity::Info, "drains an endpoint");
pub(crate) static RESTORED: SignalKind = SignalKind::new(
    "balancer",
    "restored",
    Severity::Info,
    "takes an endpoint back",
);
static CHANGED: SignalKind = SignalKind::new(
    "balancer",
    "endpoints_changed",
    Severity::Info,
    "endpoints: {known} now, {added} new, {removed} gone",
);
static PANICKED: SignalKind = SignalKind::new(
    "balancer",
    "panicked",
    Severity::Error,
    "believes no health any more, only {up} of {known} endpoints look well",
);
static CALMED: SignalKind = SignalKind::new(
    "balancer",
    "calmed",
    Severity::Info,
    "believes health again, {up} of {known} endpoints look well",
);

pub(crate) fn ejected(name: Name, cause: Cause, seen: f64, limit: f64, time: Duration) -> Signal {
    let (kind, seen, limit) = match cause {
        Cause::ConsecutiveFailures => (&FAILED, FAILURES.at(seen), LIMIT.at(limit)),
        Cause::SuccessRate => (&FAILS_MORE, SUCCESS_RATE.at(seen), LIMIT_RATE.at(limit)),
        Cause::Latency => (&SLOWER, LATENCY.at(seen), LIMIT_TIME.at(limit)),
    };
    let signal = kind.signal(name).with(seen).with(limit);
    signal.with(OUT_FOR.at(time.as_secs_f64()))
}

pub(crate) fn changed(name: Name, known: usize, added: usize, removed: usize) -> Signal {
    CHANGED
        .signal(name)
        .with(KNOWN.at(known as f64))
        .with(ADDED.at(added as f64))
        .with(REMOVED.at(removed as f64))
}

pub(crate) fn panic(name: Name, panicking: bool, up: usize, known: usize) -> Signal {
    let kind = if panicking { &PANICKED } else { &CALMED };
    let signal = kind.signal(name).with(UP.at(up as f64));
    signal.with(KNOWN.at(known as f64))
}
