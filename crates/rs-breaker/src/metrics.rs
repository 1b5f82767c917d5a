//! What a breaker exports. It counts in its own state; these read it when somebody looks.

use std::sync::{Arc, Weak};

use rs_core::{Label, Name, Unit, label_set};
use rs_metrics::{
    Catalogue, Counter, Distribution, Gauge, Histogram, LATENCY, Metric, Observed, Registry,
};

use crate::{
    BreakerState,
    shared::Shared,
    tally::{FailureKind, Refused},
};

label_set! {
    /// How a call ended.
    pub enum RequestOutcome: "outcome" {
        /// It succeeded.
        Success = "success",
        /// It failed.
        Failure = "failure",
        /// It ended and said nothing about the dependency.
        Ignored = "ignored",
        /// It was dropped before it ended.
        Cancelled = "cancelled",
        /// It ended too late to decide anything.
        Stale = "stale",
        /// It was refused.
        Rejected = "rejected",
    }
}

label_set! {
    /// What became of an exchange with the other replicas.
    pub enum Exchanged: "result" {
        /// The storage answered.
        Ok = "ok",
        /// It did not.
        Failed = "failed",
    }
}

/// Calls, by how they ended.
pub static REQUESTS: Metric<Counter, RequestOutcome, 1> = Metric::counter(
    "circuit_breaker_requests_total",
    "Calls that asked to go through, by how they ended.",
)
.by(["breaker"]);

/// Failed calls, by how they failed.
pub static FAILURES: Metric<Counter, FailureKind, 1> = Metric::counter(
    "circuit_breaker_failures_total",
    "Calls that failed, by how they failed.",
)
.by(["breaker"]);

/// Refused calls, by why.
pub static NOT_PERMITTED: Metric<Counter, Refused, 1> = Metric::counter(
    "circuit_breaker_not_permitted_total",
    "Calls that were refused, by why; also those that were refused by order.",
)
.by(["breaker"]);

/// Calls that dark mode let through.
pub static DARK_REJECTIONS: Metric<Counter, (), 1> = Metric::counter(
    "circuit_breaker_dark_rejections_total",
    "Calls that would have been refused, but for dark mode.",
)
.by(["breaker"]);

/// Results that came too late.
pub static STALE: Metric<Counter, (), 1> = Metric::counter(
    "circuit_breaker_stale_total",
    "Results that came too late to decide anything: the call began in an older generation.",
)
.by(["breaker"]);

/// Changes of state, by what it became.
pub static STATE_CHANGES: Metric<Counter, BreakerState, 1> = Metric::counter(
    "circuit_breaker_state_changes_total",
    "Changes of state, by what the breaker became.",
)
.by(["breaker"]);

/// What it is.
pub static STATE: Metric<Gauge, BreakerState, 1> = Metric::gauge(
    "circuit_breaker_state",
    "How many breakers are in this state: for a single breaker 1 for its state, 0 for all others.",
    Unit::Count,
)
.by(["breaker"]);

/// How long timed calls took.
pub static RESPONSE_TIME: Metric<Histogram, (), 1> = Metric::histogram(
    "circuit_breaker_response_time_seconds",
    "How long calls took, as far as they were timed: one in 64 unless the configuration says otherwise.",
    Unit::Seconds,
    LATENCY,
)
.by(["breaker"]);

/// Breakers that a registry had no room for.
pub static NOT_KEPT: Metric<Counter, (), 1> = Metric::counter(
    "circuit_breaker_not_kept_total",
    "Look-ups of breakers that a full registry had no room for; such a breaker lets all calls through.",
)
.by(["registry"]);

/// Exchanges of a fleet with its storage.
pub static FLEET_EXCHANGES: Metric<Counter, Exchanged, 1> = Metric::counter(
    "circuit_breaker_fleet_exchanges_total",
    "Exchanges of this replica with the storage of its fleet, by whether there was an answer.",
)
.by(["fleet"]);

/// What this crate exports.
pub static CATALOGUE: Catalogue = Catalogue::new(
    "circuit breaker",
    &[
        &REQUESTS,
        &FAILURES,
        &NOT_PERMITTED,
        &DARK_REJECTIONS,
        &STALE,
        &STATE_CHANGES,
        &STATE,
        &RESPONSE_TIME,
        &NOT_KEPT,
        &FLEET_EXCHANGES,
    ],
);

/// Whoever can be asked for the numbers of a series: a breaker, or many as one.
pub(crate) trait Numbers: Send + Sync + 'static {
    fn requests(&self, outcome: RequestOutcome) -> u64;
    fn failures(&self, kind: FailureKind) -> u64;
    fn refused(&self, reason: Refused) -> u64;
    fn dark(&self) -> u64;
    fn state_changes(&self, to: BreakerState) -> u64;
    fn in_state(&self, state: BreakerState) -> u64;
    fn times(&self) -> Option<Distribution>;
}

/// Exports the numbers of `of` under this name, while the result and `of` live.
pub(crate) fn observe<N: Numbers>(registry: &Registry, name: Name, of: Weak<N>) -> Box<[Observed]> {
    macro_rules! read {
        (|$numbers:ident, $label:pat_param| $read:expr) => {{
            let of = Weak::clone(&of);
            move |$label| {
                let numbers: Option<Arc<N>> = of.upgrade();
                numbers.map_or_else(Default::default, |$numbers| $read)
            }
        }};
    }
    let times = Weak::clone(&of);
    [
        REQUESTS.observe(
            registry,
            name,
            read!(|numbers, outcome| numbers.requests(outcome)),
        ),
        FAILURES.observe(
            registry,
            name,
            read!(|numbers, kind| numbers.failures(kind)),
        ),
        NOT_PERMITTED.observe(
            registry,
            name,
            read!(|numbers, reason| numbers.refused(reason)),
        ),
        DARK_REJECTIONS.observe(registry, name, read!(|numbers, ()| numbers.dark())),
        STALE.observe(
            registry,
            name,
            read!(|numbers, ()| numbers.requests(RequestOutcome::Stale)),
        ),
        STATE_CHANGES.observe(
            registry,
            name,
            read!(|numbers, to| numbers.state_changes(to)),
        ),
        STATE.observe(
            registry,
            name,
            read!(|numbers, state| numbers.in_state(state) as f64),
        ),
        RESPONSE_TIME.observe(registry, name, move |()| {
            let known = times.upgrade().and_then(|numbers| numbers.times());
            known.unwrap_or_else(no_times)
        }),
    ]
    .into()
}

#[expect(
    clippy::expect_used,
    reason = "there is a count for each bound and one more"
)]
pub(crate) fn no_times() -> Distribution {
    let counts = vec![0; LATENCY.len() + 1];
    Distribution::new(LATENCY, counts, 0.0).expect("one count for each bound and one more")
}

impl Numbers for Shared {
    fn requests(&self, outcome: RequestOutcome) -> u64 {
        let tallies = self.tallies();
        match outcome {
            RequestOutcome::Success => {
                let beside = tallies.sum(|tally| tally.beside_fine.get());
                beside + self.with(self.clock().now(), |inner| inner.ended.successes())
            }
            RequestOutcome::Failure => {
                let beside = tallies.sum(|tally| tally.beside_failed.get());
                beside + self.with(self.clock().now(), |inner| inner.ended.failures())
            }
            RequestOutcome::Ignored => tallies.sum(|tally| tally.ignored.get()),
            RequestOutcome::Cancelled => tallies.sum(|tally| tally.cancelled.get()),
            RequestOutcome::Stale => tallies.sum(|tally| tally.stale.get()),
            RequestOutcome::Rejected => Refused::ALL
                .iter()
                .map(|reason| self.refused(*reason))
                .sum(),
        }
    }

    fn failures(&self, kind: FailureKind) -> u64 {
        self.tallies().sum(|tally| tally.failures(kind).get())
    }

    fn refused(&self, reason: Refused) -> u64 {
        self.tallies().sum(|tally| tally.refused(reason).get())
    }

    fn dark(&self) -> u64 {
        self.tallies().sum(|tally| tally.dark.get())
    }

    fn state_changes(&self, to: BreakerState) -> u64 {
        let now = self.clock().now();
        self.act(now, |machine| {
            machine.changes().get(to.index()).copied().unwrap_or(0)
        })
    }

    fn in_state(&self, state: BreakerState) -> u64 {
        u64::from(self.state() == state)
    }

    fn times(&self) -> Option<Distribution> {
        self.tallies().times()
    }
}
