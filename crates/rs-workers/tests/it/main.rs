//! The workers from outside: what they do, what they must not do, and what they cost.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod hostile;
mod leader;
mod model;
#[cfg(feature = "redis")]
mod redis;
mod shapes;
mod stopping;
mod stress;
mod watching;
mod order;
mod supervision;
mod support;
