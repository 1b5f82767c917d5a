//! Several attributes: the first is outermost.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use rs_attributes::{bulkhead, circuit_breaker, fallback, resilient, retry, timeout};
use rs_breaker::Breaker;
use rs_core::{Call, Failure, Guard, Outcome, TimeScope};
use rs_metrics::Surroundings;
use rs_policies::{Bulkhead, BulkheadConfig, Pipeline, Retry, RetryConfig};

use crate::single::{BankError, breaker_of, pause};

#[retry(attempts = 3, constant = "0")]
#[circuit_breaker(breaker)]
async fn retry_around(breaker: &Breaker) -> Result<(), Failure<BankError>> {
    Err(BankError("away"))
}

#[circuit_breaker(breaker)]
#[retry(attempts = 3, constant = "0")]
async fn retry_inside(breaker: &Breaker) -> Result<(), Failure<BankError>> {
    Err(BankError("away"))
}

#[tokio::test]
async fn the_first_is_outermost() {
    let breaker = breaker_of(100);
    retry_around(&breaker).await.unwrap_err();
    assert_eq!(breaker.snapshot().failures, 3, "it sees every attempt");
    let breaker = breaker_of(100);
    retry_inside(&breaker).await.unwrap_err();
    assert_eq!(breaker.snapshot().failures, 1, "it sees the call");
}

#[cfg_attr(all(), retry(attempts = 3, constant = "0"))]
#[cfg_attr(all(), circuit_breaker(breaker))]
#[cfg_attr(any(), circuit_breaker(no_such_breaker))]
async fn perhaps(breaker: &Breaker) -> Result<(), Failure<BankError>> {
    Err(BankError("away"))
}

#[tokio::test]
async fn attributes_may_depend_on_the_build() {
    let breaker = breaker_of(100);
    perhaps(&breaker).await.unwrap_err();
    assert_eq!(breaker.snapshot().failures, 3);
}

#[tokio::test]
async fn a_refusal_inside_is_no_failure_to_try_again() {
    let breaker = breaker_of(2);
    let refused = retry_around(&breaker).await.unwrap_err();
    assert!(
        refused.is_rejected(),
        "the third attempt was refused: {refused:?}"
    );
    assert_eq!(breaker.snapshot().failures, 2);
}

#[timeout("1s")]
#[retry(attempts = 5, constant = "0", safe_to_repeat)]
#[timeout("300ms")]
async fn limits(call: Call, seen: &AtomicU32) -> Result<(), Failure<BankError>> {
    seen.fetch_add(1, Relaxed);
    assert_eq!(call.attempt(), seen.load(Relaxed));
    let left = call.remaining(rs_core::Clock::tokio().now());
    assert!(left.unwrap() <= Duration::from_millis(300));
    pause(10_000).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "tokio's clock is paused")]
async fn a_limit_below_a_retry_is_on_each_attempt() {
    let (seen, begun) = (AtomicU32::new(0), tokio::time::Instant::now());
    let ended = limits(Call::new("limits"), &seen).await.unwrap_err();
    assert!(ended.is_timed_out(), "{ended:?}");
    assert_eq!(begun.elapsed(), Duration::from_secs(1));
    assert_eq!(
        seen.load(Relaxed),
        4,
        "three of 300 ms, and one that was cut short"
    );
}

#[retry(attempts = 2, constant = "0")]
#[timeout("1s")]
async fn below_a_retry() -> Result<(), Failure<BankError>> {
    std::future::pending().await
}

#[resilient(pipeline)]
#[timeout("1s")]
async fn below_a_pipeline(pipeline: &Pipeline) -> Result<(), Failure<BankError>> {
    std::future::pending().await
}

#[circuit_breaker("stacked")]
#[timeout("1s")]
async fn below_a_breaker() -> Result<(), Failure<BankError>> {
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn what_a_limit_is_on_depends_on_what_is_around() {
    let scope = |result: Result<(), Failure<BankError>>| match result.unwrap_err() {
        Failure::TimedOut(limit) => limit.scope(),
        other => unreachable!("{other:?}"),
    };
    assert_eq!(scope(below_a_retry().await), TimeScope::Attempt);
    let pipeline = Pipeline::named("stacked").build().unwrap();
    assert_eq!(scope(below_a_pipeline(&pipeline).await), TimeScope::Attempt);
    assert_eq!(scope(below_a_breaker().await), TimeScope::Total);
}

#[fallback(value = 0)]
#[fallback(|why| match why { Failure::Rejected(_) => Ok(1), other => Err(other) })]
#[circuit_breaker(breaker)]
async fn two_fallbacks(breaker: &Breaker) -> Result<u32, Failure<BankError>> {
    Err(BankError("away"))
}

#[tokio::test]
async fn fallbacks_stack() {
    let breaker = breaker_of(1);
    assert_eq!(two_fallbacks(&breaker).await, Ok(0));
    assert_eq!(two_fallbacks(&breaker).await, Ok(1));
}

fn is_ours(result: Result<&u32, &BankError>) -> Outcome {
    match result {
        Err(BankError("ours")) => Outcome::Ignored,
        Err(_) => Outcome::TRANSIENT,
        Ok(_) => Outcome::Success,
    }
}

#[fallback(value = 0)]
#[retry(attempts = 3, constant = "0", classify = is_ours)]
#[circuit_breaker(breaker)]
async fn judged(breaker: &Breaker, error: &'static str) -> Result<u32, Failure<BankError>> {
    Err(BankError(error))
}

#[tokio::test]
async fn one_classifier_serves_all() {
    let breaker = breaker_of(100);
    let ours = judged(&breaker, "ours").await.unwrap_err();
    assert_eq!(
        ours,
        Failure::Operation {
            error: BankError("ours"),
            attempts: 1
        }
    );
    assert_eq!(breaker.snapshot().failures, 0);
    assert_eq!(judged(&breaker, "theirs").await, Ok(0));
    assert_eq!(breaker.snapshot().failures, 3);
}

struct Policies {
    breaker: Breaker,
    bulkhead: Bulkhead,
    retry: Retry,
}

impl Policies {
    fn apart() -> Self {
        let around = Surroundings::apart();
        Self {
            breaker: breaker_of(100),
            bulkhead: Bulkhead::within(&around, "bank", BulkheadConfig::of(1)).unwrap(),
            retry: Retry::within(&around, "bank", RetryConfig::default()).unwrap(),
        }
    }

    #[timeout("10s")]
    #[retry(self.retry)]
    #[circuit_breaker(self.breaker)]
    #[bulkhead(self.bulkhead)]
    async fn charge(&self, order: String) -> Result<String, Failure<BankError>> {
        assert_eq!(self.bulkhead.in_flight(), 1);
        match self.breaker.snapshot().failures {
            0 => Err(BankError("first")),
            _ => Ok(order),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_has_its_own_policies() {
    let (one, other) = (Policies::apart(), Policies::apart());
    assert_eq!(one.charge("a".to_owned()).await.unwrap(), "a");
    assert_eq!(one.breaker.snapshot().failures, 1);
    assert_eq!(other.breaker.snapshot().failures, 0);
    let _taken = one.bulkhead.try_admit(&Call::new("taken")).unwrap();
    assert!(one.charge("b".to_owned()).await.unwrap_err().is_rejected());
    assert_eq!(other.charge("c".to_owned()).await.unwrap(), "c");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_gives_back_what_it_held() {
    let policies = Policies::apart();
    #[rs_attributes::bulkhead(bulkhead)]
    async fn hangs(bulkhead: &Bulkhead) -> Result<(), Failure<BankError>> {
        std::future::pending().await
    }
    let mut hanging = Box::pin(hangs(&policies.bulkhead));
    tokio::select! {
        biased;
        _ = &mut hanging => unreachable!("it hangs"),
        () = pause(1) => {}
    }
    assert_eq!(policies.bulkhead.in_flight(), 1);
    drop(hanging);
    assert_eq!(policies.bulkhead.in_flight(), 0);
}
