//! What is measured: metrics as anybody declares them, and windows over them for the screen and the stories.

use std::time::{Duration, Instant};

use rs_patterns::{
    core::{Clock, Unit, label_set},
    metrics::{Counter, Distribution, Family, Histogram, Metric},
};

label_set! {
    /// How an order ended, as the customer saw it.
    pub(crate) enum Ended: "result" {
        /// All was done.
        Charged = "charged",
        /// It is charged later.
        Queued = "queued",
        /// The gateway had no place for it.
        Refused = "refused",
        /// Anything else.
        Failed = "failed",
    }
}

label_set! {
    /// How a call to a service ended.
    pub(crate) enum Called: "result" {
        /// It was answered.
        Answered = "answered",
        /// It was answered with an error, too late, or not at all.
        Failed = "failed",
        /// A guard refused it.
        Refused = "refused",
    }
}

const fn fine() -> [f64; 80] {
    let (mut bounds, mut at, mut bound) = ([0.0; 80], 0, 0.000_1);
    while at < bounds.len() {
        bounds[at] = bound;
        bound *= 1.16;
        at += 1;
    }
    bounds
}

/// From 0.1 ms to 12 s, each bound 16 % above the last: percentiles are exact to that.
static FINE: [f64; 80] = fine();

static ORDERS: Metric<Counter, Ended> = Metric::counter(
    "orders_total",
    "Orders, by how they ended for the customer.",
);
static DEGRADED: Metric<Counter> = Metric::counter(
    "orders_degraded_total",
    "Orders of which the customer was not told.",
);
static ORDER_TIME: Metric<Histogram> = Metric::histogram(
    "orders_seconds",
    "How long customers waited, from when they meant to order.",
    Unit::Seconds,
    &FINE,
);
static CALLS: Metric<Counter, Called, 1> =
    Metric::counter("orders_calls_total", "Calls to services.").by(["service"]);
static CALL_TIME: Metric<Histogram, (), 1> = Metric::histogram(
    "orders_call_seconds",
    "How long they took.",
    Unit::Seconds,
    &FINE,
)
.by(["service"]);

/// How orders go.
pub(crate) struct OrderMeter {
    ended: Family<Counter, Ended>,
    degraded: Family<Counter>,
    time: Family<Histogram>,
}

impl OrderMeter {
    pub(crate) fn new() -> Self {
        Self {
            ended: ORDERS.bind(()),
            degraded: DEGRADED.bind(()),
            time: ORDER_TIME.bind(()),
        }
    }

    pub(crate) fn record(&self, ended: Ended, is_degraded: bool, took: Duration) {
        self.ended[ended].increment();
        if is_degraded {
            self.degraded.increment();
        }
        self.time.record_time(took);
    }

    pub(crate) fn reading(&self) -> OrderReading {
        let count = |ended| self.ended[ended].value();
        OrderReading {
            at: Clock::default().now(),
            charged: count(Ended::Charged),
            queued: count(Ended::Queued),
            refused: count(Ended::Refused),
            failed: count(Ended::Failed),
            degraded: self.degraded.value(),
            times: self.time.spread(),
        }
    }
}

/// How orders went up to a moment, or between two of them.
#[derive(Debug, Clone)]
pub(crate) struct OrderReading {
    pub(crate) at: Instant,
    pub(crate) charged: u64,
    pub(crate) queued: u64,
    pub(crate) refused: u64,
    pub(crate) failed: u64,
    pub(crate) degraded: u64,
    pub(crate) times: Distribution,
}

/// How orders went in a time.
#[derive(Debug, Clone)]
pub(crate) struct OrderWindow {
    pub(crate) seconds: f64,
    pub(crate) counts: OrderReading,
}

impl OrderReading {
    pub(crate) fn since(&self, then: &Self) -> OrderWindow {
        OrderWindow {
            seconds: (self.at - then.at).as_secs_f64().max(1e-3),
            counts: Self {
                at: self.at,
                charged: self.charged - then.charged,
                queued: self.queued - then.queued,
                refused: self.refused - then.refused,
                failed: self.failed - then.failed,
                degraded: self.degraded - then.degraded,
                times: self.times.since(&then.times),
            },
        }
    }
}

impl OrderWindow {
    pub(crate) const fn all(&self) -> u64 {
        self.accepted() + self.counts.refused + self.counts.failed
    }

    pub(crate) const fn accepted(&self) -> u64 {
        self.counts.charged + self.counts.queued
    }

    /// Accepted orders a second.
    pub(crate) fn rate(&self) -> f64 {
        self.accepted() as f64 / self.seconds
    }

    pub(crate) fn quantile(&self, share: f64) -> Duration {
        time(&self.counts.times, share)
    }
}

/// How calls to one service go.
pub(crate) struct CallMeter {
    ended: Family<Counter, Called>,
    time: Family<Histogram>,
}

impl CallMeter {
    pub(crate) fn new(service: &'static str) -> Self {
        Self {
            ended: CALLS.bind(service),
            time: CALL_TIME.bind(service),
        }
    }

    pub(crate) fn record(&self, called: Called, took: Duration) {
        self.ended[called].increment();
        if called != Called::Refused {
            self.time.record_time(took);
        }
    }

    pub(crate) fn reading(&self) -> CallReading {
        CallReading {
            answered: self.ended[Called::Answered].value(),
            failed: self.ended[Called::Failed].value(),
            refused: self.ended[Called::Refused].value(),
            times: self.time.spread(),
        }
    }
}

/// How calls went up to a moment, or between two of them.
#[derive(Debug, Clone)]
pub(crate) struct CallReading {
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) refused: u64,
    times: Distribution,
}

impl CallReading {
    pub(crate) fn since(&self, then: &Self) -> Self {
        Self {
            answered: self.answered - then.answered,
            failed: self.failed - then.failed,
            refused: self.refused - then.refused,
            times: self.times.since(&then.times),
        }
    }

    pub(crate) const fn all(&self) -> u64 {
        self.answered + self.failed + self.refused
    }

    pub(crate) fn quantile(&self, share: f64) -> Duration {
        time(&self.times, share)
    }
}

fn time(times: &Distribution, share: f64) -> Duration {
    let seconds = times.quantile(share).unwrap_or_default();
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
