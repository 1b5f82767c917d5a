//! The workers from outside: what they do, what they must not do, and what they cost.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod auto_traits;
mod config;
#[cfg(feature = "cron")]
mod cron;
mod hostile;
mod leader;
mod model;
mod order;
#[cfg(feature = "signal")]
mod process;
#[cfg(feature = "redis")]
mod replicas;
mod shapes;
mod stopping;
mod stress;
mod supervision;
mod support;
mod watching;
