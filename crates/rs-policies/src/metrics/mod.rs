//! What policies export.

mod limits;

pub use limits::{
    ADAPTIVE_DARK, ADAPTIVE_DROPPED, ADAPTIVE_IN_FLIGHT, ADAPTIVE_LIMIT, ADAPTIVE_QUEUE,
    ADAPTIVE_REJECTED, ADAPTIVE_TIME, ADAPTIVE_UNLOADED, ADAPTIVE_WAIT, BULKHEAD_CONCURRENT,
    BULKHEAD_DARK, BULKHEAD_LIMIT, BULKHEAD_QUEUE, BULKHEAD_REJECTED, BULKHEAD_WAIT, Class,
    PER_KEY_EVICTED, PER_KEY_KEYS, PER_KEY_NOT_KEPT, PER_KEY_REJECTED, RATE_LIMIT_AVAILABLE,
    RATE_LIMIT_DARK, RATE_LIMIT_RATE, RATE_LIMIT_REJECTED, RATE_LIMIT_WAIT, RATE_LIMIT_WAITING,
    SHARED_RATE_LIMIT_ALONE, SHARED_RATE_LIMIT_ASKS, SHARED_RATE_LIMIT_LOST, SHED_DARK,
    SHED_PROBABILITY, SHED_REJECTED, SHED_THROTTLED,
};

use rs_core::{TimeScope, Unit, label_set};
use rs_metrics::{Catalogue, Counter, Gauge, Histogram, LATENCY, Metric};

use crate::{CoalesceRole, FallbackSource, HedgeEnd, PipelineEnd, RetryEnd, Unanswered};

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

/// Calls by the name of their pipeline.
pub static PIPELINE_CALLS: Metric<Counter, PipelineEnd, 1> = Metric::counter(
    "pipeline_calls_total",
    "Calls through the pipeline of a name, by what became of them.",
)
.by(["pipeline"]);

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
        &PIPELINE_CALLS,
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

impl Limits {
    pub(crate) const fn of(scope: TimeScope) -> Self {
        match scope {
            TimeScope::Total => Self::Total,
            TimeScope::Attempt => Self::Attempt,
            TimeScope::Idle => Self::Idle,
            TimeScope::Connect => Self::Connect,
            TimeScope::Read => Self::Read,
            TimeScope::Write => Self::Write,
            _ => Self::Other,
        }
    }
}
