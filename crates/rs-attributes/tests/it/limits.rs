//! The macro refuses what the policies refuse, and nothing else: what it lets through is made here, and what
//! lies just beyond is refused by the policies.

use std::time::Duration;

use rs_attributes::{bulkhead, cached, retry, timeout};
use rs_core::Failure;
use rs_policies::{Backoff, BulkheadConfig, CacheConfig, RetryConfig, Timeout};

use crate::single::BankError;

type Answer = Result<(), BankError>;

macro_rules! makes {
    ($($(#[$attribute:meta])+ $name:ident;)*) => {
        $($(#[$attribute])+ async fn $name() -> Result<(), Failure<BankError>> { Answer::Ok(()) })*

        #[tokio::test]
        async fn the_least_and_the_most_can_be_made() {
            $($name().await.unwrap();)*
        }
    };
}

makes! {
    #[retry(attempts = 1, exponential = "0", at_most = "0", total_time = "0")] retry_least;
    #[retry(attempts = 1000, fibonacci = "1d", at_most = "1d", total_time = "1d")] retry_most;
    #[retry(linear = "1s", jitter = "none", rejections, timeouts, budget = None)] retry_other;
    #[timeout("1ms")] timeout_least;
    #[timeout("1d")] timeout_most;
    #[bulkhead(1, queue = 0, longest_wait = "1ms")] bulkhead_least;
    #[bulkhead(1_000_000, queue = 1_000_000, longest_wait = "1h")] bulkhead_most;
    #[cached("1ms", limit = 1)] cached_least;
    #[cached("1d", limit = 100_000_000)] cached_most;
}

const DAY: Duration = Duration::from_secs(24 * 3600);
const LITTLE: Duration = Duration::from_nanos(999_999);

#[test]
fn what_lies_beyond_is_refused_by_the_policies_too() {
    let beyond = DAY + Duration::from_nanos(1);
    let retry = RetryConfig::default();
    assert!(retry.clone().with_attempts(0).check().is_err());
    assert!(retry.clone().with_attempts(1001).check().is_err());
    assert!(
        retry
            .clone()
            .with_backoff(Backoff::linear(beyond))
            .check()
            .is_err()
    );
    assert!(
        retry
            .clone()
            .with_backoff(Backoff::default().at_most(beyond))
            .check()
            .is_err()
    );
    assert!(retry.with_total_time(beyond).check().is_err());
    assert!(Timeout::total("beyond", LITTLE).is_err());
    assert!(Timeout::total("beyond", beyond).is_err());
    assert!(BulkheadConfig::of(0).check().is_err());
    assert!(BulkheadConfig::of(1_000_001).check().is_err());
    let queue = |length, wait| BulkheadConfig::of(1).with_queue(length, wait).check();
    assert!(queue(1_000_001, DAY / 24).is_err());
    assert!(queue(1, LITTLE).is_err());
    assert!(queue(1, DAY / 24 + Duration::from_nanos(1)).is_err());
    assert!(CacheConfig::of(LITTLE).check().is_err());
    assert!(CacheConfig::of(beyond).check().is_err());
    assert!(CacheConfig::of(DAY).with_limit(0).check().is_err());
    assert!(
        CacheConfig::of(DAY)
            .with_limit(100_000_001)
            .check()
            .is_err()
    );
}
