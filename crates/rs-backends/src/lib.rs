//! One trait over service registries: complete sets with their age, and registrations that stay.
//!
//! A registry knows where the instances of a service are. This crate asks it, listens to it, and keeps
//! your own instances known to it, in the same way whichever registry it is, also while the registry
//! restarts, hangs, forgets, or says something that cannot be.
//!
//! ```
//! use rs_backends::{Backend, Memory, ServiceInstance};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Memory::new("registry"); // or Consul, Kubernetes, Redis: the rest stays as it is
//! let mut payments = registry.watch("payments")?;
//! assert!(payments.changed().await.is_some_and(|set| set.is_empty()));
//!
//! let instance = ServiceInstance::builder("payments", "10.0.0.7", 8443).zone("eu-1a").build()?;
//! registry.register(instance).await?; // and it stays registered
//!
//! let set = payments.changed().await.expect("the registry is open");
//! assert_eq!(set.instances()[0].authority(), "10.0.0.7:8443");
//! assert!(set.is_current());
//!
//! registry.close().await?; // deregisters what was registered here
//! assert!(payments.changed().await.is_none());
//! # Ok(()) }
//! ```
//!
//! # When not
//!
//! - To pick an instance for a call: this only says which there are. A balancer picks.
//! - For locks, leader election or configuration: registries can do that too, this crate does not.
//!
//! # Backends
//!
//! | type | feature | registers | hears of changes by | a crashed instance |
//! |---|---|---|---|---|
//! | [`Memory`] | | yes | being told | cannot be: it is the same process |
//! | [`StaticList`] | | no | nothing changes | |
//! | [`File`] | | no | looking every second | |
//! | `Consul` | `consul` | yes | blocking queries | is critical when its time is over, and leaves after a minute more |
//! | `Dns` | `dns` | no | looking when a record's time is over | |
//! | `Etcd` | `etcd` | yes | a watch, and looking every 15 s | leaves when its lease is over |
//! | `Kubernetes` | `kubernetes` | yes | a watch | stays, or leaves with its pod: there is no time to live |
//! | `Redis` | `redis` | yes | a stream, and looking every 5 s | leaves when its time is over |
//!
//! # Wrappers
//!
//! Around any backend, also around `Arc<dyn Backend>` and each other:
//!
//! | type | what it adds |
//! |---|---|
//! | [`Filter`] | shows only some of the instances: those of a zone, a version, with a tag |
//! | [`Cached`] | keeps what is known in a file, for a start while the registry is away |
//! | [`Failover`] | a second registry for when the first is away |
//! | [`Merge`] | several registries as one |
//! | [`Guarded`] | a policy around the operations: a breaker, a retry, a pipeline |
//!
//! # From a file, and while it runs
//!
//! [`BackendConfig`] reads from TOML or JSON which backend it is to be, with wrappers and all, and makes it.
//! Consul, DNS, etcd, Kubernetes, Redis, [`File`] and [`Failover`] take another configuration while they run, by
//! `reconfigure` or as the action of the same name in the directory: watches keep what they know and go on with the new one,
//! registrations follow at their next renewal, and what is wrong is refused whole.
//!
//! # A backend of your own
//!
//! Implement [`Backend`]; [`Watch::from_sets`] makes a watch of a stream of sets, and leaves out what is no
//! news. The suite `rs_backends::conformance` says whether it keeps all promises, also that of a registry that
//! is away. `tests/it/broken.rs` has one, with a dozen things that can be wrong with it.
//!
//! # What is believed
//!
//! The same rules for every registry:
//!
//! - **An error is not an empty set.** While the registry cannot be asked, the last set stays, as
//!   [`Standing::Kept`] with the reason, and its [age](InstanceSet::age) grows. The registry is tried again
//!   after 100 ms, doubling up to 10 s, with full jitter.
//! - **An empty answer after a non-empty one is doubted.** A registry that lost its data says that nobody
//!   is there. The last set stays as [`Standing::Doubted`]; when the registry has said so for the whole
//!   grace, by default 30 s, without an interruption, it is believed. A memory, a list and a file that says
//!   `instances = []` are believed at once: they cannot lose their data and go on.
//! - **What comes back replaces everything.** Every answer is a complete set; nothing survives from before
//!   that the registry does not name.
//! - **One bad instance spoils nothing.** What cannot be understood and what has the id of another is left
//!   out and counted. A file is refused whole: somebody is there to mend it.
//! - **Unchanged is unchanged.** A set is only handed out when something in it, or its standing, is new.
//!   Instances that stay are the same allocation.
//!
//! # Limits
//!
//! A name or id has at most 255 bytes and no control characters; otherwise it may be anything, `../` and
//! spaces too. An instance has at most 16 further ports, 32 tags and 32 entries of metadata.
//! A file has at most 32 MiB, an answer of Consul, etcd or Kubernetes 64 MiB, a service in etcd, Redis or
//! Kubernetes 100,000 instances. A memory holds 10,000 services of 100,000 instances, a backend keeps 4,096
//! instances registered. What is larger is refused with an error that says so.
//!
//! # Metrics
//!
//! All have the label `backend`, the name of the backend.
//!
//! | metric | what |
//! |---|---|
//! | `service_discovery_backend_operations_total` | by `operation` and `result` |
//! | `service_discovery_backend_operation_seconds` | how long those took that succeeded |
//! | `service_discovery_backend_registrations` | instances that are kept known |
//! | `service_discovery_backend_reregistrations_total` | instances that the registry had forgotten |
//! | `service_discovery_backend_updates_total` | sets that watchers were told of |
//! | `service_discovery_backend_lost_total` | failed attempts of watchers |
//! | `service_discovery_backend_skipped_instances_total` | instances left out of answers |
//! | `service_discovery_backend_failovers_total` | times a watcher changed sides, by `believed` |
//! | `service_discovery_backend_snapshots_total` | what happened to the file of [`Cached`], by `result` |
//!
//! Signals: `backend/forgotten`, `backend/emptied`, `backend/failed_over`, `backend/failed_back`,
//! `backend/snapshot_refused`, `backend/snapshot_failed`, `backend/reconfigured`,
//! `backend/reconfiguration_refused`. With the feature `tracing` each operation is a span
//! `sdm.backend.<kind>.<operation>`.
//!
//! # Cancel safety
//!
//! Every future may be dropped. A dropped `register` may have reached the registry, which then forgets it
//! after its time to live. A set that a watch has not handed out is handed out next time.
//!
//! # Not yet
//!
//! - DNS: priorities of SRV records but the best, and what `resolv.conf` says beside servers.
//! - etcd: several instances on one lease, a password that is read from a file.
//! - Kubernetes: programs that make credentials (`exec`), one watch for many services.
//! - TLS for Consul, etcd and Redis from a file: a [`BackendConfig`] has only the authorities of the system.
//! - Another configuration for [`Cached`] and [`Merge`] while they run.

mod backend;
mod belief;
mod cached;
mod choice;
#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "consul")]
mod consul;
#[cfg(feature = "dns")]
mod dns;
mod entries;
mod error;
#[cfg(feature = "etcd")]
mod etcd;
mod failover;
mod file;
mod filter;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
mod guarded;
mod health;
#[cfg(feature = "_http-client")]
#[allow(dead_code, reason = "each registry uses a part of it")]
mod http;
mod in_force;
mod instance;
#[cfg(feature = "_network")]
mod keeper;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod listing;
#[cfg(feature = "_network")]
mod live;
mod memory;
mod merge;
pub mod metrics;
mod part;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "_network")]
mod remote;
mod set;
mod several;
mod static_list;
mod station;
mod timer;
#[cfg(feature = "tls")]
#[allow(dead_code, reason = "each registry uses a part of it")]
mod tls;
mod watch;

pub use async_trait::async_trait;
pub use backend::Backend;
pub use cached::{Cached, CachedConfig};
pub use choice::BackendConfig;
#[cfg(feature = "consul")]
pub use consul::{Consul, ConsulConfig};
#[cfg(feature = "dns")]
pub use dns::{Dns, DnsConfig};
pub use error::BackendError;
#[cfg(feature = "etcd")]
pub use etcd::{Etcd, EtcdConfig};
pub use failover::{Failover, FailoverConfig};
pub use file::{File, FileConfig};
pub use filter::Filter;
pub use guarded::{BackendPolicy, Guarded};
pub use health::BackendHealth;
pub use instance::{InstanceHealth, ServiceInstance, ServiceInstanceBuilder};
#[cfg(feature = "kubernetes")]
pub use kubernetes::{Kubernetes, KubernetesConfig};
pub use memory::Memory;
pub use merge::Merge;
#[cfg(feature = "redis")]
pub use redis::{Redis, RedisConfig};
pub use set::{InstanceSet, Standing};
pub use several::RegisterWith;
pub use static_list::StaticList;
#[cfg(feature = "tls")]
pub use tls::TlsConfig;
pub use watch::Watch;
