//! Patterns for services that keep working when what they depend on fails, slows down, moves or
//! changes.
//!
//! This is the umbrella: it has no code of its own. Each pattern is a crate that can be used alone,
//! under the same names; here each is a module behind a feature.
//!
//! | module | crate | feature | what it is |
//! |---|---|---|---|
//! | [`core`] | `rs-core` | always | the words that patterns share: calls, outcomes, guards, policies, signals |
//! | [`attributes`] | `rs-attributes` | `attributes` | policies as attributes of functions: `#[retry]`, `#[circuit_breaker]` |
//! | [`backends`] | `rs-backends` | `backends`, `backends-conformance`, `backends-consul`, `backends-dns`, `backends-etcd`, `backends-kubernetes`, `backends-redis`, `backends-tls` | one trait over service registries |
//! | [`balance`] | `rs-balance` | `balance`, `balance-pool`, `balance-tower` | endpoint sets, strategies, leases, pools of connections |
//! | [`breaker`] | `rs-breaker` | `breaker`, `breaker-cache`, `breaker-redis`, `breaker-tower` | circuit breaker |
//! | [`cache_migrate`] | `rs-cache-migrate` | `cache-migrate`, `cache-migrate-moka`, `cache-migrate-quick-cache`, `cache-migrate-redis` | moving live traffic from one cache to another |
//! | [`metrics`] | `rs-metrics` | `metrics`, `prometheus`, `tracing`, `otel` | metrics, logs, spans and correlation ids |
//! | [`policies`] | `rs-policies` | `policies`, `policies-cache`, `policies-contract`, `policies-file`, `policies-redis`, `policies-streams`, `policies-tower` | retry, timeout, hedge, fallback, limits, pipelines |
//! | [`workers`] | `rs-workers` | `workers`, `workers-cron`, `workers-etcd`, `workers-redis`, `workers-signal` | background work that is supervised and stops cleanly |
//!
//! `full` switches everything on; `serde` lets configuration be read and snapshots be written.
//!
//! ```
//! use rs_patterns::core::{AnyGuard, Call, Ending, Guard, Policy, Rejection};
//!
//! /// A guard like any other.
//! struct Open;
//!
//! impl Guard for Open {
//!     type Ticket = ();
//!     fn try_enter(&self, _call: &Call) -> Result<(), Rejection> { Ok(()) }
//!     fn leave(&self, (): (), _ending: Ending) {}
//! }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let stack = (Open, AnyGuard::new(Open));
//! let answer = stack.call("greet", async |_call| Ok::<_, std::io::Error>("hello")).await;
//! assert_eq!(answer.unwrap(), "hello");
//! # }
//! ```

#[cfg(feature = "attributes")]
pub use rs_attributes as attributes;
#[cfg(feature = "backends")]
pub use rs_backends as backends;
#[cfg(feature = "balance")]
pub use rs_balance as balance;
#[cfg(feature = "breaker")]
pub use rs_breaker as breaker;
#[cfg(feature = "cache-migrate")]
pub use rs_cache_migrate as cache_migrate;
pub use rs_core as core;
#[cfg(feature = "metrics")]
pub use rs_metrics as metrics;
#[cfg(feature = "policies")]
pub use rs_policies as policies;
#[cfg(feature = "workers")]
pub use rs_workers as workers;

#[cfg(all(doctest, feature = "full"))]
#[doc = include_str!("../../../README.md")]
mod readme {}
