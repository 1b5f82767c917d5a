//! Metrics that are declared once, bound once, and right whenever an exporter is installed; logs, spans
//! and correlation ids set up in one call.
//!
//! A metric is a `static` whose type says what it is and which labels it has. Binding it gives handles
//! that cost one atomic addition; the numbers live in a [`Registry`], and exporters only read them.
//!
//! ```
//! use rs_core::{Unit, label_set};
//! use rs_metrics::{Counter, Histogram, LATENCY, Metric};
//! use std::time::Duration;
//!
//! label_set! {
//!     /// How a payment went.
//!     pub enum Payment: "payment" {
//!         /// The money moved.
//!         Charged = "charged",
//!         /// The bank said no.
//!         Declined = "declined",
//!     }
//! }
//!
//! static PAYMENTS: Metric<Counter, Payment, 1> =
//!     Metric::counter("desk_payments_total", "Payments that were tried.").by(["desk"]);
//! static TOOK: Metric<Histogram> =
//!     Metric::histogram("desk_payment_seconds", "How long a payment took.", Unit::Seconds, LATENCY);
//!
//! let payments = PAYMENTS.bind("north");
//! payments[Payment::Charged].increment();
//! TOOK.bind(()).record_time(Duration::from_millis(30));
//!
//! # #[cfg(feature = "prometheus")] {
//! use rs_metrics::Exporter;
//!
//! let exported = Exporter::new().serve_on("127.0.0.1:0").install()?;
//! let page = exported.render();
//! assert!(page.contains(r#"desk_payments_total{desk="north",payment="charged"} 1"#));
//! assert!(page.contains(r#"desk_payments_total{desk="north",payment="declined"} 0"#));
//! # }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Why not the facade's handles
//!
//! The `metrics` facade is the common language of exporters, and `Forwarder` hands it everything. But a
//! handle that is made before the recorder is installed stays silent for ever, one whose series an
//! idle timeout removed counts into nothing, and a histogram keeps every sample until somebody drains
//! it. With the numbers here none of that can happen, and counting costs less.
//!
//! # What is promised
//!
//! - Every series of a bound instance is exported from the start, at zero.
//! - Binding the same instance twice gives the same series.
//! - Closed labels are enums. Open ones, the names of instances, are capped for each metric; beyond
//!   the cap they share the series `other`, and `metrics_folded_instances_total` counts how often.
//! - Names and labels that Prometheus would not take do not compile.
//! - Nothing allocates after binding, and counting neither locks nor waits. Only two changes of one
//!   state ([`Family::switch_to`]) wait for each other.
//! - A second installation is an error that says where the first one was.
//!
//! # In tests
//!
//! Take a [`Registry`] of your own, hand it to what you test, and read by the metric's typed name:
//! [`Metric::read`]. [`Surroundings`] carry it, together with a clock, a flight recorder and a seed, to
//! whatever pattern is made in them.
//!
//! # Features
//!
//! | feature | gives |
//! |---|---|
//! | `prometheus` | [`Exporter`]: recorder of the facade with real histogram buckets, its upkeep, `/metrics` |
//! | `facade` | [`Forwarder`]: hands the numbers to any other exporter of the `metrics` facade |
//! | `serde` | patterns can be given other rules through the directory |
//! | `tracing` | [`tracing`]: logs as text or JSON, the correlation id in all of them |
//! | `otel` | spans to an OpenTelemetry collector, W3C trace context in and out |
//!
//! # Metrics about metrics
//!
//! | metric | kind | labels | what it says |
//! |---|---|---|---|
//! | `metrics_folded_instances_total` | counter | `metric` | bindings of instances beyond a metric's cap |
//! | `metrics_conflicts_total` | counter | `metric` | bindings that are not exported: a different metric has the name, or the instance is observed |
//! | `metrics_observer_panics_total` | counter | `metric` | panics of observers, whose series were left out |
//! | `signals_lost_total` | counter | | signals that the flight recorder dropped |
//! | `names_folded_total` | counter | | names from outside beyond the limit of the process |
#[cfg(any(feature = "prometheus", feature = "otel"))]
mod background;
mod catalogue;
mod check;
mod counter;
mod family;
#[cfg(feature = "facade")]
mod forward;
mod gauge;
mod histogram;
#[cfg(feature = "prometheus")]
mod install;
mod kind;
mod metric;
pub mod pattern;
#[cfg(feature = "prometheus")]
mod prometheus;
mod registry;
#[cfg(feature = "prometheus")]
mod serve;
mod spans;
mod surroundings;
#[cfg(feature = "tracing")]
pub mod tracing;

pub use catalogue::{CATALOGUE, Catalogue};
pub use counter::Counter;
pub use family::Family;
#[cfg(feature = "facade")]
pub use forward::Forwarder;
pub use gauge::Gauge;
pub use histogram::{Distribution, Histogram};
#[cfg(feature = "prometheus")]
pub use install::{Exported, Exporter, InstallError};
pub use kind::{Kind, MetricKind, Reading};
pub use metric::{Describe, Description, Instance, LATENCY, Metric};
pub use registry::{Gathered, Observed, Registry, Series};
pub use spans::CALL_SPANS;
pub use surroundings::Surroundings;
