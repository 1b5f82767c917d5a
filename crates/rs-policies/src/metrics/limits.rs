//! What limits export: on how many calls run, how fast they come, and how many are accepted.

use rs_core::{Criticality, Unit, label_set};
use rs_metrics::{Counter, Gauge, Histogram, LATENCY, Metric};

use crate::{Crowded, Fetched, Saturated, TooFast};

label_set! {
    /// How critical a call is.
    pub enum Class: "criticality" {
        /// Batch work.
        Sheddable = "sheddable",
        /// Nobody waits for it.
        SheddablePlus = "sheddable_plus",
        /// Somebody sees it when it fails.
        Critical = "critical",
        /// Serious harm when it fails.
        CriticalPlus = "critical_plus",
    }
}

impl From<Criticality> for Class {
    fn from(class: Criticality) -> Self {
        match class {
            Criticality::Sheddable => Self::Sheddable,
            Criticality::SheddablePlus => Self::SheddablePlus,
            Criticality::Critical => Self::Critical,
            Criticality::CriticalPlus => Self::CriticalPlus,
        }
    }
}

/// How many calls run.
pub static BULKHEAD_CONCURRENT: Metric<Gauge, (), 1> =
    Metric::gauge("bulkhead_concurrent_calls", "Calls that run.", Unit::Count).by(["bulkhead"]);

/// How many may run.
pub static BULKHEAD_LIMIT: Metric<Gauge, (), 1> =
    Metric::gauge("bulkhead_limit", "Calls that may run at once.", Unit::Count).by(["bulkhead"]);

/// How many wait.
pub static BULKHEAD_QUEUE: Metric<Gauge, (), 1> =
    Metric::gauge("bulkhead_queue_size", "Calls that wait.", Unit::Count).by(["bulkhead"]);

/// How many were refused.
pub static BULKHEAD_REJECTED: Metric<Counter, Crowded, 1> = Metric::counter(
    "bulkhead_rejected_calls_total",
    "Calls that were refused, by why.",
)
.by(["bulkhead"]);

/// What dark mode let in.
pub static BULKHEAD_DARK: Metric<Counter, (), 1> = Metric::counter(
    "bulkhead_dark_rejections_total",
    "Calls that would have waited or been refused, but for dark mode.",
)
.by(["bulkhead"]);

/// How long calls waited that got a place.
pub static BULKHEAD_WAIT: Metric<Histogram, (), 1> = Metric::histogram(
    "bulkhead_wait_seconds",
    "How long calls waited that had to wait and got a place.",
    Unit::Seconds,
    LATENCY,
)
.by(["bulkhead"]);

/// How many were too fast.
pub static RATE_LIMIT_REJECTED: Metric<Counter, TooFast, 1> = Metric::counter(
    "rate_limit_rejected_calls_total",
    "Calls that were refused, by why.",
)
.by(["rate_limit"]);

/// What dark mode let in.
pub static RATE_LIMIT_DARK: Metric<Counter, (), 1> = Metric::counter(
    "rate_limit_dark_rejections_total",
    "Calls that would have waited or been refused, but for dark mode.",
)
.by(["rate_limit"]);

/// How long calls waited for their turn.
pub static RATE_LIMIT_WAIT: Metric<Histogram, (), 1> = Metric::histogram(
    "rate_limit_wait_seconds",
    "How long calls waited that had to wait and went on.",
    Unit::Seconds,
    LATENCY,
)
.by(["rate_limit"]);

/// How many wait.
pub static RATE_LIMIT_WAITING: Metric<Gauge, (), 1> =
    Metric::gauge("rate_limit_waiting_calls", "Calls that wait.", Unit::Count).by(["rate_limit"]);

/// How many may come at once.
pub static RATE_LIMIT_AVAILABLE: Metric<Gauge, (), 1> = Metric::gauge(
    "rate_limit_available_tokens",
    "Tokens that are there; less than none if calls wait for some that were promised.",
    Unit::Count,
)
.by(["rate_limit"]);

/// How many may come in a second.
pub static RATE_LIMIT_RATE: Metric<Gauge, (), 1> = Metric::gauge(
    "rate_limit_rate",
    "Tokens that come in a second.",
    Unit::PerSecond,
)
.by(["rate_limit"]);

/// What came of asking for tokens.
pub static SHARED_RATE_LIMIT_ASKS: Metric<Counter, Fetched, 1> = Metric::counter(
    "shared_rate_limit_asks_total",
    "Times that this replica asked the store for tokens, by what came of it.",
)
.by(["rate_limit"]);

/// What was decided without the store.
pub static SHARED_RATE_LIMIT_ALONE: Metric<Counter, (), 1> = Metric::counter(
    "shared_rate_limit_alone_total",
    "Calls that this replica decided alone, because it did not reach the store or could not wait.",
)
.by(["rate_limit"]);

/// Whether the store is reached.
pub static SHARED_RATE_LIMIT_LOST: Metric<Gauge, (), 1> = Metric::gauge(
    "shared_rate_limit_store_lost",
    "1 while this replica does not reach the store and decides alone, else 0.",
    Unit::Count,
)
.by(["rate_limit"]);

/// How many keys have a guard.
pub static PER_KEY_KEYS: Metric<Gauge, (), 1> = Metric::gauge(
    "per_key_keys",
    "Keys that have a guard of their own.",
    Unit::Count,
)
.by(["per_key"]);

/// How many calls were refused.
pub static PER_KEY_REJECTED: Metric<Counter, (), 1> = Metric::counter(
    "per_key_rejected_calls_total",
    "Calls that the guard of their key refused, or that were refused for want of room for one.",
)
.by(["per_key"]);

/// How many calls found no room.
pub static PER_KEY_NOT_KEPT: Metric<Counter, (), 1> = Metric::counter(
    "per_key_not_kept_total",
    "Calls whose key had no guard, and no room for one.",
)
.by(["per_key"]);

/// How many guards made room.
pub static PER_KEY_EVICTED: Metric<Counter, (), 1> =
    Metric::counter("per_key_evicted_total", "Guards that rested and made room.").by(["per_key"]);

/// How many calls may be in flight, as found.
pub static ADAPTIVE_LIMIT: Metric<Gauge, (), 1> = Metric::gauge(
    "adaptive_limit",
    "Calls that may be in flight at once, as found.",
    Unit::Count,
)
.by(["adaptive_limit"]);

/// How many are.
pub static ADAPTIVE_IN_FLIGHT: Metric<Gauge, (), 1> = Metric::gauge(
    "adaptive_in_flight",
    "Calls that are in flight.",
    Unit::Count,
)
.by(["adaptive_limit"]);

/// How many wait.
pub static ADAPTIVE_QUEUE: Metric<Gauge, (), 1> =
    Metric::gauge("adaptive_queue_size", "Calls that wait.", Unit::Count).by(["adaptive_limit"]);

/// How long calls take.
pub static ADAPTIVE_TIME: Metric<Gauge, (), 1> = Metric::gauge(
    "adaptive_rtt_seconds",
    "How long calls that succeed take, smoothed.",
    Unit::Seconds,
)
.by(["adaptive_limit"]);

/// How long unloaded calls take.
pub static ADAPTIVE_UNLOADED: Metric<Gauge, (), 1> = Metric::gauge(
    "adaptive_min_rtt_seconds",
    "How long calls take when nobody is before them, as last measured.",
    Unit::Seconds,
)
.by(["adaptive_limit"]);

/// How many were dropped.
pub static ADAPTIVE_DROPPED: Metric<Counter, (), 1> = Metric::counter(
    "adaptive_dropped_calls_total",
    "Calls that took too long or that the dependency throttled.",
)
.by(["adaptive_limit"]);

/// How many were refused.
pub static ADAPTIVE_REJECTED: Metric<Counter, (Saturated, Class), 1> = Metric::counter(
    "adaptive_rejected_calls_total",
    "Calls that were refused, by why and by how critical they were.",
)
.by(["adaptive_limit"]);

/// What dark mode let in.
pub static ADAPTIVE_DARK: Metric<Counter, (), 1> = Metric::counter(
    "adaptive_dark_rejections_total",
    "Calls that would have waited or been refused, but for dark mode.",
)
.by(["adaptive_limit"]);

/// How long calls waited that got a place.
pub static ADAPTIVE_WAIT: Metric<Histogram, (), 1> = Metric::histogram(
    "adaptive_wait_seconds",
    "How long calls waited that had to wait and got a place.",
    Unit::Seconds,
    LATENCY,
)
.by(["adaptive_limit"]);

/// How many calls were refused because the dependency accepts too few.
pub static SHED_REJECTED: Metric<Counter, Class, 1> = Metric::counter(
    "load_shed_rejected_calls_total",
    "Calls that were refused because the dependency accepts too few, by how critical they were.",
)
.by(["load_shed"]);

/// What dark mode let through.
pub static SHED_DARK: Metric<Counter, Class, 1> = Metric::counter(
    "load_shed_dark_rejections_total",
    "Calls that would have been refused, but for dark mode, by how critical they were.",
)
.by(["load_shed"]);

/// How many the dependency refused.
pub static SHED_THROTTLED: Metric<Counter, Class, 1> = Metric::counter(
    "load_shed_throttled_calls_total",
    "Calls that the dependency did not accept, by how critical they were.",
)
.by(["load_shed"]);

/// How likely calls are to be refused.
pub static SHED_PROBABILITY: Metric<Gauge, Class, 1> = Metric::gauge(
    "load_shed_probability",
    "The share of the calls that is refused at present, by how critical they are.",
    Unit::Share,
)
.by(["load_shed"]);
