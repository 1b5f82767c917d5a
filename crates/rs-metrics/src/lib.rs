//! x
mod catalogue;
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
#[cfg(feature = "prometheus")]
mod prometheus;
mod registry;
#[cfg(feature = "prometheus")]
mod serve;

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
