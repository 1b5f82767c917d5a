//! etcd, through its JSON gateway.

mod config;
mod registry;
mod session;
mod source;
mod wire;
mod written;

use std::sync::Arc;

use rs_core::Name;
use rs_metrics::Surroundings;

pub use config::EtcdConfig;

use crate::remote::{Remote, backend_by_remote};
use registry::EtcdRegistry;

#[cfg(any(fuzzing, test))]
pub(crate) use wire::{read_range, read_watch};

/// etcd as a registry: instances that live as long as a lease.
///
/// ```no_run
/// use rs_backends::{Backend, Etcd, EtcdConfig, ServiceInstance};
///
/// # async fn doc() -> Result<(), Box<dyn std::error::Error>> {
/// let config = EtcdConfig::cluster(["http://10.0.0.1:2379", "http://10.0.0.2:2379"])?;
/// let etcd = Etcd::new("etcd", config.with_user("payments", "…")?);
/// etcd.register(ServiceInstance::builder("payments", "10.0.0.7", 8443).build()?).await?;
/// # Ok(()) }
/// ```
///
/// # What it does
///
/// - An instance is JSON under `/rs-backends/<service>/<id>`, where `%` and `/` in names are written as
///   `%25` and `%2F`. It has a lease of its own, which is kept alive at a third of its time, up to a quarter
///   earlier by chance. When the lease or the key is gone it is put again under a new lease.
/// - A lease has whole seconds, and etcd gives none shorter than one and a half elections: 2 s by default.
///   A crashed instance leaves when that is over, up to a second later.
/// - A watch lists, and then listens from the next revision on. When its connection breaks, when etcd has
///   compacted what it would say, or is another one or an older one than it was, it lists anew: a watch of a
///   revision that is yet to come would say nothing. A member that has lost its cluster ends the watch.
/// - A watch that is silent for [`EtcdConfig::with_wait`] lists to see whether that is true.
/// - With several addresses, the one that answers is asked.
///
/// It takes etcd 3.4 or later. A service has at most [`Etcd::MAX_INSTANCES`], an answer 64 MiB.
#[derive(Debug, Clone)]
pub struct Etcd(Arc<Remote<EtcdRegistry>>);

impl Etcd {
    /// How many instances of a service are read.
    pub const MAX_INSTANCES: usize = 100_000;

    /// This etcd. It is not asked for anything yet.
    #[must_use]
    pub fn new(name: impl Into<Name>, config: EtcdConfig) -> Self {
        Self::within(&Surroundings::of_process(), name, config)
    }

    /// The same in surroundings of one's own.
    #[must_use]
    pub fn within(around: &Surroundings, name: impl Into<Name>, config: EtcdConfig) -> Self {
        let rules = config.rules.clone();
        let registry = EtcdRegistry::new(config);
        Self(Remote::within(around, name.into(), registry, rules))
    }

    /// Goes by another configuration from now on. Watches ask anew and keep what
    /// they know meanwhile. When it is another registry, instances are registered there when they are due to
    /// be renewed, and the one before forgets them when their time is over.
    ///
    /// The directory has this as the action `reconfigure`.
    pub fn reconfigure(&self, config: EtcdConfig) {
        let rules = config.rules.clone();
        self.0.reconfigure(EtcdRegistry::new(config), rules);
    }
}

backend_by_remote!(Etcd);

#[cfg(test)]
mod tests;
