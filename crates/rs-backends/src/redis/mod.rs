//! Redis as a registry.

mod config;
mod registry;
mod source;
mod wire;
mod written;

use std::sync::Arc;

use rs_core::Name;
use rs_metrics::Surroundings;

pub use config::RedisConfig;

use crate::remote::{Remote, backend_by_remote};
use registry::RedisRegistry;
#[cfg(any(fuzzing, test))]
pub(crate) use wire::read;

/// Redis as a registry: instances that are over when nobody renews them, by the clock of Redis.
///
/// ```no_run
/// use rs_backends::{Backend, Redis, RedisConfig, ServiceInstance};
///
/// # async fn doc() -> Result<(), Box<dyn std::error::Error>> {
/// let redis = Redis::new("redis", RedisConfig::new("redis://:password@127.0.0.1/0")?);
/// redis.register(ServiceInstance::builder("payments", "10.0.0.7", 8443).build()?).await?;
/// # Ok(()) }
/// ```
///
/// # What it does
///
/// | key | type | holds |
/// |---|---|---|
/// | `{prefix:service}:instances` | hash | for each id the instance as JSON |
/// | `{prefix:service}:deadlines` | sorted set | for each id until when it is known |
/// | `{prefix:service}:changes` | stream of one entry | the last change |
///
/// The braces are part of the key: they keep the three on one node. Scripts change them as a whole. The
/// keys of a service that everybody has left vanish a minute later. It takes Redis 5 or later.
///
/// A watch waits for a new entry in the stream, on a connection of its own. A stream remembers what a
/// subscriber would have missed while it was away, and needs no keyspace notifications, which come late or
/// never. It looks anyway when the next instance would be over, and at the latest after the
/// [poll interval](RedisConfig::with_poll_interval), so that nothing that was not announced stays hidden.
///
/// Where many write through a failover, Redis may lose what it had acknowledged; a lost instance is
/// registered again when it is renewed, within a third of its time to live.
///
/// For `rediss://`, add `redis = { version = "1", features = ["tokio-rustls-comp",
/// "tls-rustls-webpki-roots"] }` to your own manifest. A service has at most [`Redis::MAX_INSTANCES`].
#[derive(Debug, Clone)]
pub struct Redis(Arc<Remote<RedisRegistry>>);

impl Redis {
    /// How many instances of a service are read.
    pub const MAX_INSTANCES: usize = 100_000;

    /// This Redis. It is not asked for anything yet.
    #[must_use]
    pub fn new(name: impl Into<Name>, config: RedisConfig) -> Self {
        Self::within(&Surroundings::of_process(), name, config)
    }

    /// The same in surroundings of one's own.
    #[must_use]
    pub fn within(around: &Surroundings, name: impl Into<Name>, config: RedisConfig) -> Self {
        let rules = config.rules.clone();
        Self(Remote::within(
            around,
            name.into(),
            RedisRegistry::new(config),
            rules,
        ))
    }

    /// Goes by another configuration from now on. Watches ask anew and keep what
    /// they know meanwhile. When it is another registry, instances are registered there when they are due to
    /// be renewed, and the one before forgets them when their time is over.
    ///
    /// The directory has this as the action `reconfigure`.
    pub fn reconfigure(&self, config: RedisConfig) {
        let rules = config.rules.clone();
        self.0.reconfigure(RedisRegistry::new(config), rules);
    }
}

backend_by_remote!(Redis);
