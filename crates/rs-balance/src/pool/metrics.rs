//! What a pool exports beside its balancer.

use rs_core::{Unit, label_set};
use rs_metrics::{Catalogue, Counter, Gauge, Histogram, LATENCY, Metric};

use super::NoConnection;

label_set! {
    /// What a connection does.
    pub enum ConnectionState: "state" {
        /// It waits for a call.
        Idle = "idle",
        /// A call has it, or it is being made for one.
        Leased = "leased",
    }
}

label_set! {
    /// How a call came by its connection.
    pub enum Borrowed: "how" {
        /// It lay idle.
        Reused = "reused",
        /// It was made for the call.
        Made = "made",
    }
}

label_set! {
    /// Why a connection was closed.
    pub enum Closed: "why" {
        /// It lay idle for too long.
        Idle = "idle",
        /// It was too old.
        Old = "old",
        /// It did not pass its check, or another one of its endpoint did not that had lain less long.
        Check = "check",
        /// Its call failed, or left it so that it could not serve another.
        Broken = "broken",
        /// Its call was dropped, so that an answer may still be on its way.
        Cancelled = "cancelled",
        /// Its endpoint went.
        Gone = "gone",
        /// The pool became smaller.
        Surplus = "surplus",
    }
}

/// Connections.
pub static CONNECTIONS: Metric<Gauge, ConnectionState, 1> = Metric::gauge(
    "balanced_pool_connections",
    "Connections to endpoints of the set, by what they do.",
    Unit::Count,
)
.by(["pool"]);

/// Calls that wait.
pub static WAITING: Metric<Gauge, (), 1> = Metric::gauge(
    "balanced_pool_waiting_calls",
    "Calls that wait for a connection.",
    Unit::Count,
)
.by(["pool"]);

/// Calls that got a connection.
pub static BORROWED: Metric<Counter, Borrowed, 1> = Metric::counter(
    "balanced_pool_borrowed_total",
    "Connections that calls got, by how they came by them.",
)
.by(["pool"]);

/// Calls that got none.
pub static REFUSED: Metric<Counter, NoConnection, 1> = Metric::counter(
    "balanced_pool_refused_calls_total",
    "Calls for which no connection was free, by why.",
)
.by(["pool"]);

/// Connections that could not be made.
pub static FAILED: Metric<Counter, (), 1> = Metric::counter(
    "balanced_pool_failed_connects_total",
    "Connections that could not be made, or not in time.",
)
.by(["pool"]);

/// Connections that were closed.
pub static CLOSED: Metric<Counter, Closed, 1> = Metric::counter(
    "balanced_pool_closed_connections_total",
    "Connections that the pool closed, by why.",
)
.by(["pool"]);

/// How long calls waited.
pub static WAIT: Metric<Histogram, (), 1> = Metric::histogram(
    "balanced_pool_wait_seconds",
    "How long calls waited that had to wait and got a place.",
    Unit::Seconds,
    LATENCY,
)
.by(["pool"]);

/// What a pool exports.
pub static CATALOGUE: Catalogue = Catalogue::new(
    "balanced_pool",
    &[
        &CONNECTIONS,
        &WAITING,
        &BORROWED,
        &REFUSED,
        &FAILED,
        &CLOSED,
        &WAIT,
    ],
);
