//! What policies export.

use std::sync::Arc;

use rs_core::{Criticality, TimeScope, Unit, label_set};
use rs_metrics::{Catalogue, Counter, Gauge, Histogram, LATENCY, Metric, Observed};

use crate::{
    CoalesceRole, Crowded, FallbackSource, Fetched, HedgeEnd, RetryEnd, Saturated, TooFast,
    Unanswered, hedge, retry, rules::Home,
};

label_set! {
    /// What a time limit is set on.
    pub enum Limits: "scope" {
        /// A whole call.
        Total = "total",
        /// An attempt.
        Attempt = "attempt",
        /// The time between two signs of life.
        Idle = "idle",
        /// The making of a connection.
        Connect = "connect",
        /// A read.
        Read = "read",
        /// A write.
        Write = "write",
        /// Anything else.
        Other = "other",
    }
}

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

/// Further attempts.
pub static RETRY_ATTEMPTS: Metric<Counter, (), 1> = Metric::counter(
    "retry_attempts_total",
    "Attempts beyond the first of a call.",
)
.by(["retry"]);

/// Calls whose first attempt failed, by what became of them.
pub static RETRY_CALLS: Metric<Counter, RetryEnd, 1> = Metric::counter(
    "retry_calls_total",
    "Calls whose first attempt failed, by what became of them.",
)
.by(["retry"]);

/// The share of those that succeeded in the end.
pub static RETRY_SUCCESS_RATE: Metric<Gauge, (), 1> = Metric::gauge(
    "retry_success_rate",
    "The share of the calls whose first attempt failed that succeeded in the end.",
    Unit::Share,
)
.by(["retry"]);

/// How long was waited before further attempts.
pub static RETRY_DELAY: Metric<Histogram, (), 1> = Metric::histogram(
    "retry_delay_seconds",
    "How long was waited before each further attempt.",
    Unit::Seconds,
    LATENCY,
)
.by(["retry"]);

/// What is left for further attempts.
pub static BUDGET_BALANCE: Metric<Gauge, (), 1> = Metric::gauge(
    "retry_budget_balance",
    "Tokens that are left for further attempts and hedges.",
    Unit::Count,
)
.by(["budget"]);

/// Further attempts that were granted.
pub static BUDGET_WITHDRAWN: Metric<Counter, (), 1> = Metric::counter(
    "retry_budget_withdrawn_total",
    "Further attempts and hedges that the budget granted.",
)
.by(["budget"]);

/// Further attempts that were not.
pub static BUDGET_EXHAUSTED: Metric<Counter, (), 1> = Metric::counter(
    "retry_budget_exhausted_total",
    "Further attempts and hedges for which the budget had nothing left.",
)
.by(["budget"]);

/// What was ended for taking too long.
pub static TIMEOUTS: Metric<Counter, Limits, 1> = Metric::counter(
    "timeouts_total",
    "Calls and attempts that took too long and were ended, by what the limit was set on.",
)
.by(["timeout"]);

/// What dark mode did not end.
pub static TIMEOUT_DARK: Metric<Counter, Limits, 1> = Metric::counter(
    "timeout_dark_total",
    "Calls and attempts that took too long and would have been ended, but for dark mode.",
)
.by(["timeout"]);

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

/// Looks into a cache.
#[cfg(feature = "cache")]
pub static CACHE_LOOKUPS: Metric<Counter, crate::Lookup, 1> = Metric::counter(
    "cache_lookups_total",
    "Looks into a cache, by what they found.",
)
.by(["cache"]);
/// Further attempts beside one that runs.
pub static HEDGE_STARTED: Metric<Counter, (), 1> = Metric::counter(
    "hedge_started_total",
    "Attempts that were started beside one that took long.",
)
.by(["hedge"]);

/// How many of them run.
pub static HEDGE_RUNNING: Metric<Gauge, (), 1> = Metric::gauge(
    "hedge_concurrent_attempts",
    "Attempts that run beside one that takes long.",
    Unit::Count,
)
.by(["hedge"]);

/// Calls that took longer than the delay, by what became of them.
pub static HEDGE_CALLS: Metric<Counter, HedgeEnd, 1> = Metric::counter(
    "hedge_calls_total",
    "Calls that took longer than the delay of their hedge, by what became of them.",
)
.by(["hedge"]);

/// After how long a hedge is started.
pub static HEDGE_DELAY: Metric<Gauge, (), 1> = Metric::gauge(
    "hedge_delay_seconds",
    "After how long another attempt is started; 0 as long as too little is known for a quantile.",
    Unit::Seconds,
)
.by(["hedge"]);

/// Calls by their part in the run of their key.
pub static COALESCE_CALLS: Metric<Counter, CoalesceRole, 1> = Metric::counter(
    "coalesce_calls_total",
    "Calls, by the part that they had in the run of their key.",
)
.by(["coalesce"]);

/// How many keys run.
pub static COALESCE_RUNNING: Metric<Gauge, (), 1> = Metric::gauge(
    "coalesce_running_keys",
    "Keys that have a run whose answer is shared.",
    Unit::Count,
)
.by(["coalesce"]);

/// How many calls wait for them.
pub static COALESCE_WAITING: Metric<Gauge, (), 1> = Metric::gauge(
    "coalesce_waiting_calls",
    "Calls that wait for the run of another.",
    Unit::Count,
)
.by(["coalesce"]);

/// Calls that were answered by something else.
pub static FALLBACK_CALLS: Metric<Counter, FallbackSource, 1> = Metric::counter(
    "fallback_calls_total",
    "Calls that were not answered by the dependency, by what answered.",
)
.by(["fallback"]);

/// Calls that failed nevertheless.
pub static FALLBACK_UNANSWERED: Metric<Counter, Unanswered, 1> = Metric::counter(
    "fallback_unanswered_total",
    "Calls that failed and were to be answered by something else, but were not, by why.",
)
.by(["fallback"]);
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

/// What this crate exports.
pub static CATALOGUE: Catalogue = Catalogue::new(
    "policies",
    &[
        &RETRY_ATTEMPTS,
        &RETRY_CALLS,
        &RETRY_SUCCESS_RATE,
        &RETRY_DELAY,
        &BUDGET_BALANCE,
        &BUDGET_WITHDRAWN,
        &BUDGET_EXHAUSTED,
        &TIMEOUTS,
        &TIMEOUT_DARK,
        &BULKHEAD_CONCURRENT,
        &BULKHEAD_LIMIT,
        &BULKHEAD_QUEUE,
        &BULKHEAD_REJECTED,
        &BULKHEAD_DARK,
        &BULKHEAD_WAIT,
        #[cfg(feature = "cache")]
        &CACHE_LOOKUPS,
        &HEDGE_STARTED,
        &HEDGE_RUNNING,
        &HEDGE_CALLS,
        &HEDGE_DELAY,
        &COALESCE_CALLS,
        &COALESCE_RUNNING,
        &COALESCE_WAITING,
        &FALLBACK_CALLS,
        &FALLBACK_UNANSWERED,
        &RATE_LIMIT_REJECTED,
        &RATE_LIMIT_DARK,
        &RATE_LIMIT_WAIT,
        &RATE_LIMIT_WAITING,
        &RATE_LIMIT_AVAILABLE,
        &RATE_LIMIT_RATE,
        &SHARED_RATE_LIMIT_ASKS,
        &SHARED_RATE_LIMIT_ALONE,
        &SHARED_RATE_LIMIT_LOST,
        &PER_KEY_KEYS,
        &PER_KEY_REJECTED,
        &PER_KEY_NOT_KEPT,
        &PER_KEY_EVICTED,
        &ADAPTIVE_LIMIT,
        &ADAPTIVE_IN_FLIGHT,
        &ADAPTIVE_QUEUE,
        &ADAPTIVE_TIME,
        &ADAPTIVE_UNLOADED,
        &ADAPTIVE_DROPPED,
        &ADAPTIVE_REJECTED,
        &ADAPTIVE_DARK,
        &ADAPTIVE_WAIT,
        &SHED_REJECTED,
        &SHED_DARK,
        &SHED_THROTTLED,
        &SHED_PROBABILITY,
    ],
);

/// Exports a number that `of` knows, while the result and `of` live.
macro_rules! observed {
    ($metric:ident, $home:expr, $of:expr, |$numbers:ident, $label:pat_param| $read:expr) => {{
        let of = Arc::downgrade($of);
        $metric.observe(&$home.metrics(), $home.name, move |$label| {
            of.upgrade().map_or_else(Default::default, |$numbers| $read)
        })
    }};
}

pub(crate) trait TimeoutNumbers: Send + Sync + 'static {
    fn timed_out(&self) -> u64;
    fn dark(&self) -> u64;
    fn scope(&self) -> TimeScope;
}

pub(crate) fn timeout<N: TimeoutNumbers>(home: &Home, of: &Arc<N>) -> [Observed; 2] {
    let of_this = |scope, numbers: &N, number: u64| match limits(numbers.scope()) == scope {
        true => number,
        false => 0,
    };
    [
        observed!(TIMEOUTS, home, of, |numbers, scope| of_this(
            scope,
            &numbers,
            numbers.timed_out()
        )),
        observed!(TIMEOUT_DARK, home, of, |numbers, scope| of_this(
            scope,
            &numbers,
            numbers.dark()
        )),
    ]
}

const fn limits(scope: TimeScope) -> Limits {
    match scope {
        TimeScope::Total => Limits::Total,
        TimeScope::Attempt => Limits::Attempt,
        TimeScope::Idle => Limits::Idle,
        TimeScope::Connect => Limits::Connect,
        TimeScope::Read => Limits::Read,
        TimeScope::Write => Limits::Write,
        _ => Limits::Other,
    }
}

pub(crate) const fn scope_name(scope: TimeScope) -> &'static str {
    limits(scope).as_str()
}

pub(crate) trait BudgetNumbers: Send + Sync + 'static {
    fn balance(&self) -> f64;
    fn withdrawn(&self) -> u64;
    fn exhausted(&self) -> u64;
}

pub(crate) fn budget<N: BudgetNumbers>(home: &Home, of: &Arc<N>) -> [Observed; 3] {
    [
        observed!(BUDGET_BALANCE, home, of, |numbers, ()| numbers.balance()),
        observed!(BUDGET_WITHDRAWN, home, of, |numbers, ()| numbers
            .withdrawn()),
        observed!(BUDGET_EXHAUSTED, home, of, |numbers, ()| numbers
            .exhausted()),
    ]
}

pub(crate) fn retry(home: &Home, of: &Arc<retry::Inner>) -> Observed {
    observed!(RETRY_SUCCESS_RATE, home, of, |numbers, ()| numbers
        .success_rate())
}

pub(crate) fn hedge(home: &Home, of: &Arc<hedge::Inner>) -> Observed {
    observed!(HEDGE_DELAY, home, of, |numbers, ()| numbers
        .delay()
        .unwrap_or_default()
        .as_secs_f64())
}

pub(crate) trait CoalesceNumbers: Send + Sync + 'static {
    fn running(&self) -> u32;
    fn waiting(&self) -> u32;
}

pub(crate) fn coalesce<N: CoalesceNumbers>(home: &Home, of: &Arc<N>) -> [Observed; 2] {
    [
        observed!(COALESCE_RUNNING, home, of, |numbers, ()| numbers
            .running()
            .into()),
        observed!(COALESCE_WAITING, home, of, |numbers, ()| numbers
            .waiting()
            .into()),
    ]
}

pub(crate) trait BulkheadNumbers: Send + Sync + 'static {
    fn in_flight(&self) -> u32;
    fn waiting(&self) -> u32;
    fn limit(&self) -> u32;
}

pub(crate) fn bulkhead<N: BulkheadNumbers>(home: &Home, of: &Arc<N>) -> [Observed; 3] {
    [
        observed!(BULKHEAD_CONCURRENT, home, of, |numbers, ()| numbers
            .in_flight()
            .into()),
        observed!(BULKHEAD_LIMIT, home, of, |numbers, ()| numbers
            .limit()
            .into()),
        observed!(BULKHEAD_QUEUE, home, of, |numbers, ()| numbers
            .waiting()
            .into()),
    ]
}

pub(crate) trait RateLimitNumbers: Send + Sync + 'static {
    fn available(&self) -> f64;
    fn rate(&self) -> f64;
    fn waiting(&self) -> u32;
}

pub(crate) fn rate_limit<N: RateLimitNumbers>(home: &Home, of: &Arc<N>) -> [Observed; 3] {
    [
        observed!(RATE_LIMIT_AVAILABLE, home, of, |numbers, ()| numbers
            .available()),
        observed!(RATE_LIMIT_RATE, home, of, |numbers, ()| numbers.rate()),
        observed!(RATE_LIMIT_WAITING, home, of, |numbers, ()| numbers
            .waiting()
            .into()),
    ]
}

pub(crate) trait PerKeyNumbers: Send + Sync + 'static {
    fn keys(&self) -> usize;
}

pub(crate) fn per_key<N: PerKeyNumbers>(home: &Home, of: &Arc<N>) -> Observed {
    observed!(PER_KEY_KEYS, home, of, |numbers, ()| numbers.keys() as f64)
}

pub(crate) trait AdaptiveNumbers: Send + Sync + 'static {
    fn limit(&self) -> u32;
    fn in_flight(&self) -> u32;
    fn waiting(&self) -> u32;
    fn time(&self) -> f64;
    fn unloaded(&self) -> f64;
    fn dropped(&self) -> u64;
}

pub(crate) fn adaptive<N: AdaptiveNumbers>(home: &Home, of: &Arc<N>) -> [Observed; 6] {
    [
        observed!(ADAPTIVE_LIMIT, home, of, |numbers, ()| numbers
            .limit()
            .into()),
        observed!(ADAPTIVE_IN_FLIGHT, home, of, |numbers, ()| numbers
            .in_flight()
            .into()),
        observed!(ADAPTIVE_QUEUE, home, of, |numbers, ()| numbers
            .waiting()
            .into()),
        observed!(ADAPTIVE_TIME, home, of, |numbers, ()| numbers.time()),
        observed!(ADAPTIVE_UNLOADED, home, of, |numbers, ()| numbers
            .unloaded()),
        observed!(ADAPTIVE_DROPPED, home, of, |numbers, ()| numbers.dropped()),
    ]
}

pub(crate) trait ShedNumbers: Send + Sync + 'static {
    fn throttled(&self, class: Class) -> u64;
    fn probability(&self, class: Class) -> f64;
}

pub(crate) fn shed<N: ShedNumbers>(home: &Home, of: &Arc<N>) -> [Observed; 2] {
    [
        observed!(SHED_THROTTLED, home, of, |numbers, class| numbers
            .throttled(class)),
        observed!(SHED_PROBABILITY, home, of, |numbers, class| numbers
            .probability(class)),
    ]
}

pub(crate) trait SharedRateLimitNumbers: Send + Sync + 'static {
    fn is_alone(&self) -> bool;
}

pub(crate) fn shared_rate_limit<N: SharedRateLimitNumbers>(home: &Home, of: &Arc<N>) -> Observed {
    observed!(SHARED_RATE_LIMIT_LOST, home, of, |numbers, ()| f64::from(
        u8::from(numbers.is_alone())
    ))
}
