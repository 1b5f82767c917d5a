//! The migration from outside: what it serves, what it must never serve, and how it is steered.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]
#![allow(clippy::indexing_slicing, reason = "a test that cannot go on panics")]
#![allow(clippy::disallowed_methods, reason = "a test runs tasks of its own")]

mod auto_traits;
mod behaviour;
mod caches;
mod control;
mod failures;
mod flags;
#[cfg(feature = "redis")]
mod fleet;
#[cfg(feature = "redis")]
mod fleet_race;
mod gates;
mod hostile;
#[path = "../../examples/degradations/lab.rs"]
mod lab;
mod model;
mod pilot;
#[cfg(feature = "redis")]
mod processes;
mod race;
#[cfg(feature = "redis")]
mod redis_cache;
mod shadow;
mod steps;
mod support;
#[path = "../../examples/degradations/table.rs"]
mod table;
mod two_level;
