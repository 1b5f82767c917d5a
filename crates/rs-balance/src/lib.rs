//! Client-side load balancing: sets of endpoints that are swapped without a lock, ten strategies in
//! constant time, leases that count, and health that is believed only as far as it makes sense.
//!
//! A [`Balancer`] holds the endpoints of a service. Each call picks one and gets a [`Lease`]: it counts the
//! call as in flight while it lives, and hears how the call ended.
//!
//! ```
//! use rs_balance::{Balancer, BalancerConfig, Endpoint, Strategy};
//! use rs_core::{Call, Failure, Outcome};
//! # #[derive(Clone)] struct Client(&'static str);
//! # impl Client { async fn get(&self, path: &str) -> Result<String, std::io::Error> { Ok(format!("{}{path}", self.0)) } }
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let search = Balancer::new("search", BalancerConfig::new(Strategy::LeastConnections))?;
//! search.update([
//!     Endpoint::new("10.0.0.7:80", Client("http://10.0.0.7")),
//!     Endpoint::new("10.0.0.8:80", Client("http://10.0.0.8")).with_weight(2.0),
//! ]);
//!
//! let page = search.call("find", async |client, _call| client.get("/?q=rust").await).await?;
//! assert!(page.ends_with("/?q=rust"));
//!
//! // Or by hand:
//! let lease = search.try_pick(&Call::new("find"))?;
//! match lease.get("/?q=rust").await {
//!     Ok(page) => lease.finish(Outcome::Success),
//!     Err(error) => lease.finish(Outcome::TRANSIENT),
//! }
//! # Ok(()) }
//! ```
//!
//! What a pick says about itself, [`Balancer::explain`]:
//!
//! ```text
//! `10.0.0.7:80` by latency_based, of 20 endpoints 18 are up, from the own zone; looked at
//! `10.0.0.9:80` (3 in flight, 21ms), `10.0.0.7:80` (2 in flight, 19ms)
//! ```
//!
//! # When not
//!
//! - Where a proxy, a mesh or a DNS name with one address balances already, a second balancer only hides
//!   what the first one does.
//! - It does not find endpoints: whoever knows them calls [`Balancer::update`]. It does not check them
//!   either: whoever does calls [`Balancer::check`].
//! - It does not retry. [`Balancer::through`] is an operation for whatever retries; each attempt goes to an
//!   endpoint that the call has not tried before, while there is one.
//!
//! # Strategies
//!
//! | [`Strategy`] | name | by | a pick takes |
//! |---|---|---|---|
//! | `RoundRobin` | `round_robin` | turns | O(1) |
//! | `Random` | `random` | chance | O(1) |
//! | `LeastConnections` | `least_connections` | calls in flight for the weight: exactly among 8, by two random choices among more | O(1) |
//! | `LeastConnectionsExact` | `least_connections_exact` | calls in flight for the weight | O(n) |
//! | `TwoChoices` | `two_choices` | calls in flight for the weight, of two random ones | O(1) |
//! | `WeightedRandom` | `weighted_random` | chance for the weight (alias table) | O(1) |
//! | `SmoothWeightedRoundRobin` | `smooth_weighted_round_robin` | turns for the weight, evenly spaced | O(1) |
//! | `LatencyBased` | `latency_based` | peak latency average and calls in flight for the weight, of two random ones | O(1) |
//! | `ConsistentHash` | `consistent_hash` | the key of the call (Maglev or ring, bounded load) | O(1) |
//! | `PriorityFailover` | `priority_failover` | the best priority that has somebody, chance for the weight there | O(1) |
//! | `Own` | | what [`Arrange`] and [`Chooser`] say | theirs |
//!
//! Whatever the strategy, these stand before it, and cost a pick nothing: a pick sees the endpoints that may
//! be chosen, side by side, and no others. Those are put together when something changes.
//!
//! - *Priorities*: endpoints of a higher number get what those of lower ones cannot carry. A priority is
//!   taken to carry everything as long as 72 % of it is well. With `PriorityFailover` one is enough.
//! - [`Zones`]: the own zone, as far as it can carry its part.
//! - [`Subset`]: a part of very large sets, another one for each client.
//! - *Health*: what the registry says ([`Endpoint::with_health`]), what checks say ([`Balancer::check`]),
//!   and how calls end ([`Outliers`]). All must be good.
//! - *Panic*: when fewer than half look well and the others could not carry everything, no health is
//!   believed. Draining endpoints and those that are out by order stay out.
//! - [`SlowStart`]: newcomers and those who come back get their share little by little.
//!
//! # Defaults
//!
//! | | here | pingora | tower | Envoy |
//! |---|---|---|---|---|
//! | strategy | least connections | named by type | named by type | round robin |
//! | in flight counted by | the lease | | the response | the proxy |
//! | ejected after | 5 failures in a row, or a low success rate | | | off |
//! | ejected at most | 10 %, but one | | | 10 %, but one |
//! | ejected for | 30 s, growing to 5 min | | | 30 s, growing to 5 min |
//! | panic below | 50 % | | | 50 % |
//! | a failure that is fast | counts as 5 s to `latency_based` | | counts as fast | |
//! | a newcomer under `latency_based` | counts as fast as the one beside it | | counts as 1 s | |
//! | an endpoint not heard of for long | after three decays counts as a newcomer | | its average sinks | |
//! | an endpoint that stays in the set | keeps all its state | keeps its health | keeps all its state | keeps all its state |
//!
//! [`BalancerConfig`] says it in code; with the `serde` feature a file does, and every field that is left
//! out has its default:
//!
//! ```toml
//! strategy = { latency_based = { decay = "10s", failure_counts_as = "5s" } }  # or just a name
//! panic_below = "50%"
//! slow_start = { over = "30s", from = "10%", curve = "linear" }
//! weight_change = "10s"
//! zones = { local = "eu-1a" }
//! subset = { size = 20, client = "checkout-7f9c" }
//! tries = 3
//!
//! [outliers]                          # or outliers = "off"
//! consecutive_failures = 5
//! success_rate = { deviations = 1.9, least_endpoints = 5, least_calls = 100 }
//! latency = { times = 5.0, least_endpoints = 5, least_calls = 20 }
//! interval = "10s"
//! at_most = "10%"
//! ejection = "30s"
//! longest_ejection = "5m"
//! ```
//!
//! # The parts
//!
//! | part | what it does |
//! |---|---|
//! | [`Balancer`] | the endpoints and the next one: a handle that is cheap to clone |
//! | [`Endpoint`], [`Change`] | what an update says, and what it did |
//! | [`Lease`] | a call on its way: stands for what it takes to call the endpoint |
//! | [`Balancer::guarded`] | a guard for each endpoint, such as a breaker: what it refuses goes to the next one |
//! | [`Balancer::through`] | an operation for retries and pipelines |
//! | [`Balancer::keep`] | housekeeping in a task; not needed |
//! | `pool::BalancedPool` | connections to balanced endpoints, kept for the next call (feature `pool`) |
//! | `tower::BalanceService` | a tower service over balanced services (feature `tower`) |
//! | [`Explanation`] | why this endpoint, as data |
//! | [`LoadBalancer`] | plain functions over lists that the caller brings |
//!
//! # What it costs
//!
//! A pick reads one word that all threads share and writes none of them but the count of the endpoint that it
//! chose and, for turns, whose turn it is. No lock, no allocation, and no look at the clock unless the
//! strategy goes by time or something is about to change by time while nobody keeps house. Each thread has
//! the view of a balancer at hand until there is a newer one; it holds no endpoint alive.
//!
//! # Metrics
//!
//! | metric | kind | labels | what it says |
//! |---|---|---|---|
//! | `balancer_calls_total` | counter | `balancer`, `outcome` | calls that went to an endpoint, by how they ended |
//! | `balancer_in_flight_calls` | gauge | `balancer` | calls in flight |
//! | `balancer_refused_calls_total` | counter | `balancer`, `reason` | calls for which there was no endpoint, by why |
//! | `balancer_moved_on_total` | counter | `balancer` | endpoints whose guard refused, so that the next one was asked |
//! | `balancer_endpoints` | gauge | `balancer`, `state` | endpoints, by how they are |
//! | `balancer_ejections_total` | counter | `balancer`, `cause` | ejections, by why |
//! | `balancer_panicking` | gauge | `balancer` | 1 while no health is believed |
//!
//! # Signals
//!
//! | signal | severity | words |
//! |---|---|---|
//! | `ejected` | warning | ejected an endpoint for 30s, 5 calls failed in a row (limit 5): 10.0.0.7:80 |
//! | `returned` | info | takes an endpoint back on probation: 10.0.0.7:80 |
//! | `ordered_out`, `drained`, `restored` | warning, info, info | sends nothing to an endpoint any more: 10.0.0.7:80, by anna (a drill) |
//! | `endpoints_changed` | info | endpoints: 12 now, 1 new, 0 gone |
//! | `panicked` | error | believes no health any more, only 3 of 8 endpoints look well |
//! | `calmed` | info | believes health again, 6 of 8 endpoints look well |
//! | `reconfigured`, `reconfiguration_refused` | info, warning | has new rules, version 2 |
//!
//! # Cancel safety
//!
//! A lease that is dropped, wherever that is, gives its place back and counts as a cancelled call; a cancelled
//! call is neither success nor failure, but a latency average hears that it took at least so long. The
//! futures of [`Balancer::call`] and [`Balancer::through`] hold a lease and no lock.
//!
//! # Features
//!
//! | feature | gives |
//! |---|---|
//! | `pool` | a pool of connections for each endpoint, `pool::BalancedPool` |
//! | `tower` | a tower service over balanced services, `tower::BalanceService` |
//! | `serde` | configuration from files |
mod arrange;
mod balancer;
mod common;
mod config;
mod control;
mod desk;
mod dice;
mod endpoint;
mod error;
mod event;
mod ewma;
mod explain;
mod inner;
mod keeper;
mod lease;
pub mod metrics;
mod node;
mod outlier;
#[cfg(feature = "pool")]
pub mod pool;
mod roster;
mod select;
mod strategy;
mod sync;
mod tend;
mod through;
#[cfg(feature = "tower")]
pub mod tower;
mod tried;
mod update;
mod view;

/// How a share grows.
pub use rs_core::Curve;
/// What everything lives in; see its own page.
pub use rs_metrics::Surroundings;

pub use balancer::Balancer;
pub use config::{
    BalancerConfig, HashTable, Hashing, Latency, Outliers, SlowOutliers, SlowStart, Strategy,
    Subset, SuccessRate, Zones,
};
pub use endpoint::{Change, Endpoint, EndpointHealth};
pub use error::NoEndpoint;
pub use event::Cause;
pub use explain::{Considered, Explanation, ZonePart};
pub use lease::Lease;
pub use select::{Candidate, Connections, LoadBalancer};
pub use strategy::{Arrange, Candidates, Chooser, Choosing, Own};
pub use through::Through;
