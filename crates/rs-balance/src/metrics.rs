//! What a balancer exports.

use rs_core::{Unit, label_set};
use rs_metrics::{Catalogue, Counter, Gauge, Metric};

use crate::{Cause, NoEndpoint};

label_set! {
    /// How a call ended.
    pub enum Ended: "outcome" {
        /// It succeeded.
        Success = "success",
        /// It failed.
        Failure = "failure",
        /// It ended and said nothing about the endpoint.
        Ignored = "ignored",
        /// It was dropped before it ended.
        Cancelled = "cancelled",
    }
}

label_set! {
    /// How an endpoint is.
    pub enum EndpointState: "state" {
        /// It gets calls.
        Up = "up",
        /// It is ejected for how its calls ended.
        Ejected = "ejected",
        /// Its registry or a check says that it is not well.
        Unhealthy = "unhealthy",
        /// It gets no new calls.
        Draining = "draining",
        /// It is not of the subset that this client uses.
        LeftOut = "left_out",
    }
}

/// Calls, by how they ended.
pub static CALLS: Metric<Counter, Ended, 1> = Metric::counter(
    "balancer_calls_total",
    "Calls that went to an endpoint, by how they ended.",
)
.by(["balancer"]);

/// How many run.
pub static IN_FLIGHT: Metric<Gauge, (), 1> = Metric::gauge(
    "balancer_in_flight_calls",
    "Calls that are in flight to endpoints of the set.",
    Unit::Count,
)
.by(["balancer"]);

/// Calls without an endpoint.
pub static REFUSED: Metric<Counter, NoEndpoint, 1> = Metric::counter(
    "balancer_refused_calls_total",
    "Calls for which there was no endpoint, by why.",
)
.by(["balancer"]);

/// Endpoints that refused a call.
pub static MOVED_ON: Metric<Counter, (), 1> = Metric::counter(
    "balancer_moved_on_total",
    "Endpoints whose guard refused a call, so that the next one was asked.",
)
.by(["balancer"]);

/// Endpoints.
pub static ENDPOINTS: Metric<Gauge, EndpointState, 1> = Metric::gauge(
    "balancer_endpoints",
    "Endpoints of the set, by how they are.",
    Unit::Count,
)
.by(["balancer"]);

/// Ejections.
pub static EJECTIONS: Metric<Counter, Cause, 1> = Metric::counter(
    "balancer_ejections_total",
    "Endpoints that were ejected for how their calls ended, by why.",
)
.by(["balancer"]);

/// Whether health is believed.
pub static PANICKING: Metric<Gauge, (), 1> = Metric::gauge(
    "balancer_panicking",
    "1 while no health is believed because too few endpoints look well, else 0.",
    Unit::Count,
)
.by(["balancer"]);

/// What this crate exports.
pub static CATALOGUE: Catalogue = Catalogue::new(
    "balancer",
    &[
        &CALLS, &IN_FLIGHT, &REFUSED, &MOVED_ON, &ENDPOINTS, &EJECTIONS, &PANICKING,
    ],
);
