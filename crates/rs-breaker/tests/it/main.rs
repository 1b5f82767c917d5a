//! The breaker from outside: what it does, what it must not do, and what it costs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod allocations;
mod auto_traits;
mod behaviour;
mod config;
mod contract;
mod control;
mod exactness;
mod fallback;
mod fleet;
mod model;
mod open_time;
#[cfg(feature = "redis")]
mod redis;
mod registry;
mod snapshot;
mod storage;
mod stress;
mod supervisor;
mod support;
mod telemetry;
#[cfg(feature = "tower")]
mod tower;
mod traps;
