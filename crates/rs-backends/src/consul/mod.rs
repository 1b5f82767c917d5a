//! Consul, through its HTTP API.

mod config;
mod registry;
mod source;
mod wire;
mod written;

use std::sync::Arc;

use rs_core::Name;
use rs_metrics::Surroundings;

pub use config::ConsulConfig;

use crate::remote::{Remote, backend_by_remote};
use registry::ConsulRegistry;
#[cfg(any(fuzzing, test))]
pub(crate) use wire::read;

/// Consul, through the HTTP API of an agent.
///
/// ```no_run
/// use rs_backends::{Backend, Consul, ConsulConfig, ServiceInstance};
///
/// # async fn doc() -> Result<(), Box<dyn std::error::Error>> {
/// let config = ConsulConfig::new("http://127.0.0.1:8500")?.with_token("…")?;
/// let consul = Consul::new("consul", config);
/// consul.register(ServiceInstance::builder("payments", "10.0.0.7", 8443).build()?).await?;
/// # Ok(()) }
/// ```
///
/// # What it does
///
/// - An instance is registered with the **agent**, with a check of its time to live that begins in the
///   instance's health: a check without a status would begin critical. It is renewed at a third of its time,
///   up to a quarter earlier by chance. When the agent does not know the check any more the instance is
///   registered again.
/// - A crashed instance turns critical when its time to live is over, so it is no longer
///   [usable](crate::InstanceSet::usable). It leaves the set when it has been critical for
///   [`ConsulConfig::with_deregister_after`]; Consul takes at least a minute for that, and looks every half
///   minute.
/// - A watch is a blocking query. The index begins anew when it falls and after every failure. Answers that
///   come without a pause are slowed down to twenty in a second.
/// - `/`, `%` and `:` in names are written as `%2F`, `%25` and `%3A`, because the agent would read them as
///   parts of a path. Consul takes `A` and `a` for the same service, and this backend keeps only what has
///   exactly the name. Ids that differ in nothing else replace each other.
/// - Zone, version, further ports, time to live, and what metadata Consul cannot write, go into its metadata
///   under `rs_…`. A service that others registered without a port is left out and counted.
///
/// Answers have at most 64 MiB.
#[derive(Debug, Clone)]
pub struct Consul(Arc<Remote<ConsulRegistry>>);

impl Consul {
    /// This Consul. It is not asked for anything yet.
    #[must_use]
    pub fn new(name: impl Into<Name>, config: ConsulConfig) -> Self {
        Self::within(&Surroundings::of_process(), name, config)
    }

    /// The same in surroundings of one's own.
    #[must_use]
    pub fn within(around: &Surroundings, name: impl Into<Name>, config: ConsulConfig) -> Self {
        let rules = config.rules.clone();
        let registry = ConsulRegistry::new(config);
        Self(Remote::within(around, name.into(), registry, rules))
    }

    /// Goes by another configuration from now on. Watches ask anew and keep what
    /// they know meanwhile. When it is another registry, instances are registered there when they are due to
    /// be renewed, and the one before forgets them when their time is over.
    ///
    /// The directory has this as the action `reconfigure`.
    pub fn reconfigure(&self, config: ConsulConfig) {
        let rules = config.rules.clone();
        self.0.reconfigure(ConsulRegistry::new(config), rules);
    }
}

backend_by_remote!(Consul);

#[cfg(test)]
mod tests;
