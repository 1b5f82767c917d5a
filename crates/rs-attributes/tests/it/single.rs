//! Each attribute alone.

use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use rs_attributes::{bulkhead, circuit_breaker, fallback, resilient, retry, timeout};
use rs_breaker::{Breaker, BreakerConfig, Trip};
use rs_core::{Call, Clock, Failure, Mandate, Name, Rejection, TimeScope, TimedOut};
use rs_metrics::Surroundings;
use rs_policies::{Backoff, Pipeline, Retry, RetryConfig};

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BankError(pub(crate) &'static str);

impl std::fmt::Display for BankError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

pub(crate) async fn pause(millis: u64) {
    Clock::tokio().sleep(Duration::from_millis(millis)).await;
}

#[retry(attempts = 3, constant = "100ms")]
async fn charge(tries: &AtomicU32, fail: u32) -> Result<u32, Failure<BankError>> {
    let tried = tries.fetch_add(1, Relaxed);
    if tried < fail {
        Err(BankError("hung up"))?;
    }
    Ok(tried)
}

#[tokio::test(start_paused = true)]
async fn tries_again() {
    let tries = AtomicU32::new(0);
    assert_eq!(charge(&tries, 2).await, Ok(2));
    let tries = AtomicU32::new(0);
    let given_up = charge(&tries, 9).await.unwrap_err();
    let expected = Failure::Operation {
        error: BankError("hung up"),
        attempts: 3,
    };
    assert_eq!(given_up, expected);
    assert_eq!(tries.load(Relaxed), 3);
}

#[circuit_breaker(breaker)]
async fn guarded(breaker: &Breaker) -> Result<u32, Failure<BankError>> {
    Err(BankError("away"))
}

pub(crate) fn breaker_of(failures: u32) -> Breaker {
    let config = BreakerConfig::default().with_trip([Trip::consecutive_failures(failures)]);
    Breaker::within(&Surroundings::apart(), "bank", config).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_breaker_opens() {
    let breaker = breaker_of(2);
    assert!(guarded(&breaker).await.unwrap_err().operation().is_some());
    assert!(guarded(&breaker).await.unwrap_err().operation().is_some());
    let refused = guarded(&breaker).await.unwrap_err();
    assert_eq!(refused.rejection().unwrap().instance(), Name::of("bank"));
}

#[circuit_breaker("bank of single")]
async fn by_name() -> Result<u32, Failure<BankError>> {
    Ok(1)
}

#[tokio::test]
async fn a_breaker_by_name_is_that_of_the_registry() {
    assert_eq!(by_name().await, Ok(1));
    let breaker = Breaker::named("bank of single");
    assert_eq!(breaker.snapshot().successes, 1);
    breaker.force_open(Mandate::new("a test", "to see it refuse"));
    assert!(by_name().await.unwrap_err().is_rejected());
}

#[timeout("2s")]
async fn slow(millis: u64) -> Result<&'static str, Failure<BankError>> {
    pause(millis).await;
    Ok("done")
}

#[tokio::test(start_paused = true)]
async fn ends_what_takes_too_long() {
    assert_eq!(slow(1999).await, Ok("done"));
    let ended = slow(2001).await.unwrap_err();
    assert_eq!(ended.to_string(), "not done within 2s");
}

#[bulkhead(1)]
async fn narrow() -> Result<(), Failure<BankError>> {
    pause(10).await;
    Ok(())
}

#[bulkhead(limit = 1, queue = 1, longest_wait = "5ms", name = "queued")]
async fn queued() -> Result<(), Failure<BankError>> {
    pause(10).await;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn lets_in_so_many() {
    let (first, second) = tokio::join!(narrow(), narrow());
    assert_eq!(first, Ok(()));
    assert_eq!(
        second.unwrap_err().to_string(),
        "bulkhead `it::single::narrow` refused the call: full (calls in flight 1, limit 1)",
    );
    let (first, second) = tokio::join!(queued(), queued());
    assert_eq!(first, Ok(()));
    assert_eq!(
        second.unwrap_err().to_string(),
        "bulkhead `queued` refused the call: waited (waited 5ms, limit 5ms)",
    );
}

async fn instead(
    name: &str,
    owned: String,
    why: Failure<BankError>,
) -> Result<String, Failure<BankError>> {
    Ok(format!("{name} {owned}: {why:?}"))
}

#[fallback(instead)]
async fn with_function(name: &str, owned: String) -> Result<String, Failure<BankError>> {
    drop(owned);
    match name {
        "good" => Ok(name.to_owned()),
        _ => Err(BankError("bad")),
    }
}

#[fallback(|why| Ok(format!("{} for {name}", why.operation().unwrap().0)))]
async fn with_closure(name: &str) -> Result<String, Failure<BankError>> {
    Err(BankError("bad"))
}

#[fallback(value = 7)]
async fn with_value() -> Result<u32, Failure<BankError>> {
    Err(BankError("bad"))
}

#[tokio::test]
async fn answers_instead() {
    assert_eq!(with_function("good", String::new()).await.unwrap(), "good");
    assert_eq!(
        with_function("x", "y".to_owned()).await.unwrap(),
        r#"x y: Operation { error: BankError("bad"), attempts: 1 }"#
    );
    assert_eq!(with_closure("x").await.unwrap(), "bad for x");
    assert_eq!(with_value().await, Ok(7));
}

#[resilient(pipeline)]
async fn through(
    pipeline: &Pipeline<Breaker>,
    tries: &AtomicU32,
) -> Result<u32, Failure<BankError>> {
    match tries.fetch_add(1, Relaxed) {
        0 => Err(BankError("first")),
        tried => Ok(tried),
    }
}

#[resilient("pipeline of single", safe_to_repeat)]
async fn through_named(call: Call) -> Result<bool, Failure<BankError>> {
    Ok(call.is_safe_to_repeat())
}

#[tokio::test(start_paused = true)]
async fn goes_through_a_pipeline() {
    let breaker = breaker_of(5);
    let pipeline = Pipeline::named("bank")
        .guard(breaker.clone())
        .retry(RetryConfig::default());
    let pipeline = pipeline.within(&Surroundings::apart()).build().unwrap();
    assert_eq!(through(&pipeline, &AtomicU32::new(0)).await, Ok(1));
    assert_eq!(breaker.snapshot().failures, 1);
    assert_eq!(breaker.snapshot().successes, 1);
    let name = "pipeline of single";
    assert_eq!(
        through_named(Call::new("any"))
            .await
            .unwrap_err()
            .to_string(),
        "pipeline `pipeline of single` refused the call: not_registered",
    );
    rs_policies::Pipelines::of_process().register(name, pipeline);
    assert_eq!(through_named(Call::new("any")).await, Ok(true));
}

/// An error that says it all itself.
#[derive(Debug, PartialEq)]
enum PaymentError {
    Bank(BankError),
    Refused(Rejection),
    TooSlow(TimedOut),
}

impl From<BankError> for PaymentError {
    fn from(error: BankError) -> Self {
        Self::Bank(error)
    }
}

impl From<Rejection> for PaymentError {
    fn from(why: Rejection) -> Self {
        Self::Refused(why)
    }
}

impl From<TimedOut> for PaymentError {
    fn from(limit: TimedOut) -> Self {
        Self::TooSlow(limit)
    }
}

#[timeout("1s")]
#[circuit_breaker(breaker)]
async fn flat(breaker: &Breaker, millis: u64) -> Result<(), PaymentError> {
    pause(millis).await;
    Err(BankError("flat"))?
}

#[timeout("1s")]
#[circuit_breaker(breaker)]
async fn anyhow(breaker: &Breaker, millis: u64) -> anyhow::Result<()> {
    pause(millis).await;
    Err(std::io::Error::other("any"))?
}

#[tokio::test(start_paused = true)]
async fn errors_may_be_flat() {
    let breaker = breaker_of(1);
    let limit = TimedOut::new(TimeScope::Total, Duration::from_secs(1));
    assert_eq!(
        flat(&breaker, 2000).await,
        Err(PaymentError::TooSlow(limit))
    );
    assert_eq!(
        flat(&breaker, 0).await,
        Err(PaymentError::Bank(BankError("flat")))
    );
    match flat(&breaker, 0).await {
        Err(PaymentError::Refused(why)) => assert_eq!(why.instance(), Name::of("bank")),
        other => unreachable!("{other:?}"),
    }
    let breaker = breaker_of(1);
    assert_eq!(
        anyhow(&breaker, 2000).await.unwrap_err().to_string(),
        "not done within 1s"
    );
    assert_eq!(anyhow(&breaker, 0).await.unwrap_err().to_string(), "any");
    assert!(anyhow(&breaker, 0).await.unwrap_err().is::<Rejection>());
}

#[retry(policy)]
async fn by_policy(policy: &Retry, tries: &AtomicU32) -> Result<(), Failure<BankError>> {
    tries.fetch_add(1, Relaxed);
    Err(BankError("again"))
}

#[tokio::test]
async fn a_policy_may_stand_elsewhere() {
    let at_once = RetryConfig::new(5, Backoff::constant(Duration::ZERO));
    let policy = Retry::within(&Surroundings::apart(), "elsewhere", at_once).unwrap();
    let tries = AtomicU32::new(0);
    by_policy(&policy, &tries).await.unwrap_err();
    assert_eq!(tries.load(Relaxed), 5);
}
