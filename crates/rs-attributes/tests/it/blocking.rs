//! Functions that are not async.

use std::time::Duration;

use rs_attributes::{bulkhead, cached, circuit_breaker, fallback, retry};
use rs_breaker::Breaker;
use rs_core::{Call, Clock, Failure, Guard};
use rs_metrics::Surroundings;
use rs_policies::{
    Backoff, Bulkhead, BulkheadConfig, Cache, CacheConfig, Jitter, Retry, RetryConfig,
};

use crate::single::{BankError, breaker_of};

struct Policies {
    retry: Retry,
    breaker: Breaker,
    bulkhead: Bulkhead,
}

impl Policies {
    fn new(around: &Surroundings, wait: Duration) -> Self {
        let waits = Backoff::constant(wait).with_jitter(Jitter::None);
        Self {
            retry: Retry::within(around, "disk", RetryConfig::new(3, waits)).unwrap(),
            breaker: breaker_of(100),
            bulkhead: Bulkhead::within(around, "disk", BulkheadConfig::of(1)).unwrap(),
        }
    }
}

#[fallback(|why| match why {
    Failure::Rejected(_) => Ok("refused".to_owned()),
    other => Err(other),
})]
#[retry(policies.retry)]
#[circuit_breaker(policies.breaker)]
#[bulkhead(policies.bulkhead)]
fn read(
    policies: &Policies,
    reads: &mut u32,
    mut name: String,
    fail: u32,
) -> Result<String, Failure<BankError>> {
    assert_eq!(policies.bulkhead.in_flight(), 1);
    *reads += 1;
    name.push('!');
    if *reads <= fail {
        return Err(BankError("busy"));
    }
    Ok(name)
}

#[test]
fn functions_that_block() {
    let policies = Policies::new(&Surroundings::apart(), Duration::ZERO);
    let mut reads = 0;
    assert_eq!(
        read(&policies, &mut reads, "a".to_owned(), 2).unwrap(),
        "a!"
    );
    assert_eq!((reads, policies.breaker.snapshot().failures), (3, 2));
    let failed = read(&policies, &mut 0, "a".to_owned(), 9).unwrap_err();
    assert_eq!(
        failed,
        Failure::Operation {
            error: BankError("busy"),
            attempts: 3
        }
    );
    let taken = policies.bulkhead.try_admit(&Call::new("taken")).unwrap();
    let refused = read(&policies, &mut 0, "a".to_owned(), 0).unwrap();
    assert_eq!(refused, "refused");
    drop(taken);
    assert_eq!(policies.bulkhead.in_flight(), 0);
}

#[test]
fn waits_block_on_the_clock() {
    let (clock, hand) = Clock::manual();
    let around = Surroundings::apart().with_clock(clock.clone());
    let policies = Policies::new(&around, Duration::from_secs(1));
    let begun = clock.now();
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| read(&policies, &mut 0, "a".to_owned(), 2));
        while !reading.is_finished() {
            hand.advance(Duration::from_millis(100));
            std::thread::yield_now();
        }
        assert_eq!(reading.join().unwrap().unwrap(), "a!");
    });
    assert!(clock.now() - begun >= Duration::from_secs(2));
}

struct Meter<'c> {
    kept: &'c Cache<u8, u32>,
    asked: u32,
}

impl Meter<'_> {
    #[cached(self.kept)]
    #[retry(attempts = 2, constant = "0")]
    fn ask(&mut self, of: u8) -> anyhow::Result<u32> {
        self.asked += 1;
        anyhow::ensure!(self.asked != 1, "busy");
        Ok(self.asked * 100 + u32::from(of))
    }
}

#[test]
fn mutable_methods() {
    let kept = Cache::within(
        &Surroundings::apart(),
        "meter",
        CacheConfig::of(Duration::from_secs(1)),
    );
    let kept = kept.unwrap();
    let mut meter = Meter {
        kept: &kept,
        asked: 0,
    };
    assert_eq!(meter.ask(7).unwrap(), 207);
    assert_eq!(meter.ask(7).unwrap(), 207);
    assert_eq!(meter.ask(8).unwrap(), 308);
}
