//! Policies as layers of the stacks that people have.

mod axum;
mod client;
mod hyper;
mod server;
mod tonic;

use std::time::Duration;

use rs_patterns::{
    core::Clock,
    policies::{Backoff, RetryConfig},
};

/// Lets others run until this holds, for a while.
async fn until(holds: impl Fn() -> bool) {
    let patience = Clock::default().now() + 20 * SECOND;
    while !holds() {
        assert!(Clock::default().now() < patience, "it never happened");
        tokio::task::yield_now().await;
    }
}

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Three attempts, with hardly a wait in between: these servers are real.
fn at_once() -> RetryConfig {
    RetryConfig::new(3, Backoff::constant(MILLI))
}
