//! What `rs-policies` promises, through its public items only.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod adaptive;
mod allocations;
mod auto_traits;
mod blocking;
mod budget;
mod bulkhead;
#[cfg(feature = "cache")]
mod cache;
mod coalesce;
mod config;
#[cfg(feature = "contract")]
mod contract;
#[cfg(feature = "contract")]
mod contract_of_policies;
mod deadline;
mod fallback;
mod hedge;
mod herd;
mod idle;
mod manager;
mod named;
mod per_key;
mod pipeline;
mod rate_limit;
mod retry;
mod shared_rate_limit;
mod shed;
mod stacked;
mod support;
mod timeout;
#[cfg(feature = "tower")]
mod tower;
#[cfg(feature = "tracing")]
mod traced;
