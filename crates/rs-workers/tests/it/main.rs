//! The workers from outside: what they do, what they must not do, and what they cost.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod hostile;
mod leader;
mod model;
mod order;
#[cfg(feature = "redis")]
mod redis;
mod shapes;
mod stopping;
mod stress;
mod supervision;
mod support;
mod watching;
