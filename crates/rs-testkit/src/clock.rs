//! The only place here that knows the time: real servers and real networks need real time.
#![expect(
    clippy::disallowed_methods,
    reason = "no test can move the clock of a real server"
)]

use std::time::Duration;

use tokio::time::{Instant, error::Elapsed};

pub(crate) fn now() -> Instant {
    Instant::now()
}

pub(crate) async fn sleep(time: Duration) {
    tokio::time::sleep(time).await;
}

pub(crate) async fn sleep_until(moment: Instant) {
    tokio::time::sleep_until(moment).await;
}

pub(crate) async fn timeout<F: Future>(limit: Duration, future: F) -> Result<F::Output, Elapsed> {
    tokio::time::timeout(limit, future).await
}
