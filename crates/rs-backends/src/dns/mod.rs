//! DNS as a registry that is only read.

mod config;
mod line;
mod message;
mod registry;
mod source;
mod written;

use std::sync::Arc;

use rs_core::Name;
use rs_metrics::Surroundings;

pub use config::DnsConfig;

use crate::remote::{Remote, backend_by_remote};
use registry::DnsRegistry;

#[cfg(any(fuzzing, test))]
pub(crate) use message::{Domain, Message};
#[cfg(any(fuzzing, test))]
pub(crate) use registry::read;

/// Name servers as a registry: what they know is read, and nothing is registered.
///
/// ```no_run
/// use rs_backends::{Backend, Dns, DnsConfig};
///
/// # async fn doc() -> Result<(), Box<dyn std::error::Error>> {
/// let config = DnsConfig::services("_{service}._tcp.example.org")?;
/// let dns = Dns::new("dns", config.with_servers(["10.0.0.53"])?);
/// let payments = dns.discover("payments").await?;
/// # Ok(()) }
/// ```
///
/// # What it does
///
/// - Each address is an instance `address:port`. With SRV records it has their weight, and the metadata
///   `target` is the name of its host. Of several priorities only the best is reported: the others are for
///   when it is gone.
/// - A watch asks again when the time of a record is over, within [`DnsConfig::with_refresh`]; a name that
///   is not there is asked for again when its zone says so.
/// - That a name does not exist, or has no such records, is an answer: the service is empty, and that is
///   doubted like any empty answer. `SERVFAIL`, `REFUSED` and silence are errors, and the next server is
///   asked. A target that does not exist is left out and counted; one that cannot be asked for makes the
///   whole an error.
/// - What does not fit into a datagram is asked for over TCP. An answer that is to another question, or
///   from somebody else, is none.
/// - A large set may be cut by its server, each time otherwise: DNS cannot say so.
///
/// A service whose name cannot stand in DNS is refused. There are at most [`Dns::MAX_TARGETS`] targets.
#[derive(Debug, Clone)]
pub struct Dns(Arc<Remote<DnsRegistry>>);

impl Dns {
    /// How many hosts a service may have.
    pub const MAX_TARGETS: usize = 1000;

    /// These name servers. They are not asked for anything yet.
    #[must_use]
    pub fn new(name: impl Into<Name>, config: DnsConfig) -> Self {
        Self::within(&Surroundings::of_process(), name, config)
    }

    /// The same in surroundings of one's own.
    #[must_use]
    pub fn within(around: &Surroundings, name: impl Into<Name>, config: DnsConfig) -> Self {
        let rules = config.rules.clone();
        let registry = DnsRegistry::new(config);
        Self(Remote::within(around, name.into(), registry, rules))
    }

    /// Goes by another configuration from now on. Watches ask anew and keep what they know meanwhile.
    ///
    /// The directory has this as the action `reconfigure`.
    pub fn reconfigure(&self, config: DnsConfig) {
        let rules = config.rules.clone();
        self.0.reconfigure(DnsRegistry::new(config), rules);
    }
}

backend_by_remote!(Dns);

#[cfg(test)]
mod tests;
