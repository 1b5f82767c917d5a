//! What a balancer promises.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod allocations;
mod auto_traits;
mod bad_input;
mod behaviour;
mod config;
mod control;
mod explain;
mod fairness;
mod guards;
mod hostile;
mod model;
mod places;
#[cfg(feature = "pool")]
mod pool;
mod select;
mod simulated;
mod stress;
mod support;
#[cfg(feature = "tower")]
mod tower;
