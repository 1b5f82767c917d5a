//! What a balancer promises.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod support;

mod behaviour;
