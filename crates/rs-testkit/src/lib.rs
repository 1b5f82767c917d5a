//! Private real servers and bad networks for tests.
//!
//! A pattern for when things fail is only proven against things that fail. This crate starts the
//! real thing, on ports and in a folder that belong to one test alone, freezes it, kills it, brings
//! it back with its data, and puts a bad network before it.
//!
//! ```no_run
//! # async fn test() -> Result<(), rs_testkit::Error> {
//! use std::time::Duration;
//! use rs_testkit::{Fault, FaultProxy, Redis, wait_until};
//!
//! let redis = Redis::start().await?;
//! let proxy = FaultProxy::start(redis.addr()).await?;
//! # struct Client;
//! # impl Client { async fn ping(&self) -> std::io::Result<()> { Ok(()) } }
//! # let client = Client;
//! // let client = connect to proxy.addr();
//!
//! proxy.set(Fault::latency(Duration::from_millis(50)).jitter(Duration::from_millis(20)));
//! // … is the client still fast enough?
//! proxy.set(Fault::black_hole());
//! // … does it give up in time?
//! proxy.heal();
//!
//! redis.kill().await;
//! redis.restart().await?;
//! wait_until("the client recovers", Duration::from_secs(5), || client.ping()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Servers
//!
//! | type | program | `builder()` has | and |
//! |---|---|---|---|
//! | [`Redis`] | `redis-server` | `password`, `tls`, `keyspace_events`, `append_only`, `setting` | `url`, `tls_url` |
//! | [`Consul`] | `consul agent -server` | `token`, `tls`, `flag` | `url`, `https_url`, `dns_addr` |
//! | [`Dnsmasq`] | `dnsmasq` | `records` | `replace` |
//! | [`Etcd`] | `etcd` | `root_password`, `tls`, `flag` | `url` |
//! | `Kubernetes`, with the feature `kubernetes` | `apiextensions-apiserver` and an [`Etcd`] | `token`, `powerless_token`, `flag` | `url`, `kubeconfig`, `admit`, `send`, `compact`, `wipe` |
//! | [`Postgres`] | `postgres`, not as root | `password`, `setting` | `url` |
//! | [`RabbitMq`] | `rabbitmq-server` and its own `epmd` | `management`, `setting` | `url`, `management_addr` |
//! | [`Prometheus`] | `prometheus` | `scrape`, `rules`, `interval` | `url` |
//!
//! All are a [`Server`]: [`addr`](Server::addr), [`pause`](Server::pause),
//! [`resume`](Server::resume), [`kill`](Server::kill), [`stop`](Server::stop),
//! [`restart`](Server::restart), [`log`](Server::log). Another kind of server is an implementation
//! of [`ServerKind`].
//!
//! A program is looked for where `cargo xtask services install` unpacks it (`target/services`, or
//! the folder in `RS_PATTERNS_SERVICES`), in the folders that Debian keeps off the `PATH`, and on
//! the `PATH`. One that is missing is an error that names that command. A server that does not start
//! or ends by itself is an error with the last lines of its log.
//!
//! # Networks
//!
//! A [`FaultProxy`] has one [`Fault`] at a time, which may combine several:
//!
//! | fault | new connections | present connections |
//! |---|---|---|
//! | [`latency`](Fault::latency), [`jitter`](Fault::jitter), [`bandwidth`](Fault::bandwidth) | slow | slow |
//! | [`reset`](Fault::reset) | accepted, then reset | reset |
//! | [`refuse`](Fault::refuse) | refused | go on |
//! | [`stall`](Fault::stall) | accepted, silent until healed | silent until healed |
//! | [`half_open`](Fault::half_open) | the same, one way | the same, one way |
//! | [`black_hole`](Fault::black_hole) | accepted, silent for good | silent for good once bytes were lost |
//!
//! [`set_for_new`](FaultProxy::set_for_new) spares the present ones, [`cut`](FaultProxy::cut) the new
//! ones, and [`only`](Fault::only) one direction.
//!
//! # When the test ends
//!
//! Dropping a handle kills the server with every process it started and removes its folder, which
//! takes some 20 ms. The same happens when the test panics, when it calls `exit`, when its runner
//! loses patience and kills its process group, and when it is killed with `SIGKILL`: a shell waits
//! beside each server, in a process group of its own, for the end of a pipe that only the test's
//! process holds. Ports are reserved through names that the kernel forgets with the process. So
//! nothing is left: no process, no folder, no lock file, no shared memory.
//!
//! The processes of a server are those whose working folder is the server's. A shell of yours that
//! has entered the folder to look around is killed with them.
//!
//! # By hand
//!
//! `cargo run -p rs-testkit -- redis consul` starts private servers and keeps them until Ctrl-C.
//!
//! # Limits
//!
//! Linux only: elsewhere a start is an error. Real servers need real time: do not pause tokio's clock
//! in a test that has one.

mod clock;
mod error;
pub mod http;
mod port;
mod program;
mod programs;
mod proxy;
mod server;
mod servers;
mod task;
mod wait;

pub use self::error::Error;
pub use self::program::program;
pub use self::proxy::{Direction, Fault, FaultProxy, ProxyStats};
pub use self::server::{Place, Server, ServerKind};
pub use self::servers::{
    Consul, ConsulOptions, Dnsmasq, DnsmasqOptions, Etcd, EtcdOptions, Postgres, PostgresOptions,
    Prometheus, PrometheusOptions, RabbitMq, RabbitMqOptions, Redis, RedisOptions,
};
#[cfg(feature = "kubernetes")]
pub use self::servers::{Kubernetes, KubernetesOptions};
pub use self::wait::{Answer, wait_until, within};
