//! What a backend exports.

use rs_core::{Unit, label_set};
use rs_metrics::{Catalogue, Counter, Gauge, Histogram, LATENCY, Metric};

label_set! {
    /// What a registry was asked for.
    pub enum Operation: "operation" {
        /// To know an instance.
        Register = "register",
        /// To go on knowing it.
        Renew = "renew",
        /// To forget it.
        Deregister = "deregister",
        /// All instances of a service.
        Discover = "discover",
        /// How it is.
        HealthCheck = "health_check",
    }
}

label_set! {
    /// What came of it.
    pub enum Answered: "result" {
        /// It did.
        Ok = "ok",
        /// It did not.
        Failed = "failed",
    }
}

label_set! {
    /// What a watcher was told.
    pub enum Told: "update" {
        /// A set that is current, or kept while the registry is away.
        Known = "known",
        /// The set is kept although the registry says that there are none.
        Doubted = "doubted",
    }
}

label_set! {
    /// Which registry of a failover is believed.
    pub enum Believed: "believed" {
        /// The first.
        Primary = "primary",
        /// The other.
        Secondary = "secondary",
    }
}

label_set! {
    /// What happened to a snapshot on disk.
    pub enum Stored: "result" {
        /// It was written.
        Written = "written",
        /// It could not be written.
        Failed = "failed",
        /// It was read.
        Read = "read",
        /// It is not whole, or not one: it was ignored.
        Refused = "refused",
    }
}

/// What registries were asked for.
pub static OPERATIONS: Metric<Counter, (Operation, Answered), 1> = Metric::counter(
    "service_discovery_backend_operations_total",
    "What the registry was asked for, and whether it did so.",
)
.by(["backend"]);

/// How long it took.
pub static OPERATION_TIME: Metric<Histogram, Operation, 1> = Metric::histogram(
    "service_discovery_backend_operation_seconds",
    "How long the registry took to do what it was asked for, if it did.",
    Unit::Seconds,
    LATENCY,
)
.by(["backend"]);

/// Registrations that are kept alive.
pub static KEPT: Metric<Gauge, (), 1> = Metric::gauge(
    "service_discovery_backend_registrations",
    "Instances that are kept known to the registry.",
    Unit::Count,
)
.by(["backend"]);

/// Registrations that had to be made again.
pub static REREGISTRATIONS: Metric<Counter, (), 1> = Metric::counter(
    "service_discovery_backend_reregistrations_total",
    "Instances that the registry had forgotten and was told of again.",
)
.by(["backend"]);

/// What watchers were told.
pub static UPDATES: Metric<Counter, Told, 1> = Metric::counter(
    "service_discovery_backend_updates_total",
    "Sets of instances that watchers were told of.",
)
.by(["backend"]);

/// Times a watcher lost the registry.
pub static LOST: Metric<Counter, (), 1> = Metric::counter(
    "service_discovery_backend_lost_total",
    "Attempts of watchers to hear from the registry that failed.",
)
.by(["backend"]);

/// Instances that were left out of an answer.
pub static SKIPPED: Metric<Counter, (), 1> = Metric::counter(
    "service_discovery_backend_skipped_instances_total",
    "Instances in answers that could not be understood, or had the id of another.",
)
.by(["backend"]);

/// Times a watcher has changed sides.
pub static FAILOVERS: Metric<Counter, Believed, 1> = Metric::counter(
    "service_discovery_backend_failovers_total",
    "Times a watcher has changed to the secondary registry, or back to the primary.",
)
.by(["backend"]);

/// What happened to snapshots on disk.
pub static SNAPSHOTS: Metric<Counter, Stored, 1> = Metric::counter(
    "service_discovery_backend_snapshots_total",
    "Snapshots of what is known that were written to disk or read from it, and those that could not be.",
)
.by(["backend"]);

/// What this crate exports.
pub static CATALOGUE: Catalogue = Catalogue::new(
    "service registries",
    &[
        &OPERATIONS,
        &OPERATION_TIME,
        &KEPT,
        &REREGISTRATIONS,
        &UPDATES,
        &LOST,
        &SKIPPED,
        &FAILOVERS,
        &SNAPSHOTS,
    ],
);
