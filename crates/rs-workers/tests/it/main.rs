//! The workers from outside: what they do, what they must not do, and what they cost.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod model;
mod stopping;
mod watching;
mod order;
mod supervision;
mod support;
