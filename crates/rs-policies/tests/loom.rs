//! Policies under every interleaving that the model checker finds.
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 cargo test -p rs-policies --release --test loom
//! ```
#![cfg(loom)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "loom/adaptive.rs"]
mod adaptive;
#[path = "loom/bulkhead.rs"]
mod bulkhead;
#[path = "loom/rate_limit.rs"]
mod rate_limit;
