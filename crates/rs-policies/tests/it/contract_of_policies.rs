//! The contract of policies: all of ours keep it, and whoever breaks it is caught.

use std::mem::ManuallyDrop;

use rs_core::{Call, Failure, Operation, Policy, PolicyList, TimeScope};
use rs_policies::{
    AdaptiveConfig, AdaptiveLimit, Backoff, Bulkhead, BulkheadConfig, Coalesce, CoalesceConfig,
    DynPipeline, Fallback, FallbackConfig, Hedge, HedgeConfig, LoadShed, LoadShedConfig, OrValue,
    Pipeline, RateLimit, RateLimitConfig, Retry, RetryConfig, Stack, Surroundings, Timeout,
    contract,
};

use crate::support::{Bench, MS, SECOND};

fn tried<P: Policy<u32, u32>>(make: impl Fn() -> P) {
    contract::hands_on(&make);
    contract::keeps_errors(&make);
    contract::lets_go(&make);
}

fn pipeline(around: &Surroundings) -> Pipeline<Bulkhead, RateLimit> {
    Pipeline::named("all")
        .within(around)
        .timeout(10 * SECOND)
        .retry(RetryConfig::new(3, Backoff::constant(MS)))
        .guard(Bulkhead::within(around, "guard", BulkheadConfig::of(1)).unwrap())
        .rate_limit(rate())
        .attempt_timeout(SECOND)
        .build()
        .unwrap()
}

fn rate() -> RateLimitConfig {
    RateLimitConfig::gcra(rs_core::Rate::new(1000.0, SECOND).unwrap()).with_burst(1000)
}

#[test]
fn every_policy_keeps_it() {
    let bench = Bench::new();
    let around = &bench.around;
    let retries = || RetryConfig::new(3, Backoff::constant(MS));
    tried(|| Retry::within(around, "p", retries()).unwrap());
    tried(|| Timeout::within(around, "p", TimeScope::Total, SECOND).unwrap());
    tried(|| Bulkhead::within(around, "p", BulkheadConfig::of(1)).unwrap());
    tried(|| Bulkhead::within(around, "p", BulkheadConfig::of(64)).unwrap());
    tried(|| RateLimit::within(around, "p", rate()).unwrap());
    tried(|| AdaptiveLimit::within(around, "p", AdaptiveConfig::default()).unwrap());
    tried(|| LoadShed::within(around, "p", LoadShedConfig::default()).unwrap());
    tried(|| Hedge::within(around, "p", HedgeConfig::after(SECOND)).unwrap());
    tried(|| Coalesce::<u32, u32>::within(around, "p", CoalesceConfig::default()).unwrap());
    tried(|| pipeline(around));
    tried(|| pipeline(around).erased());
    tried(|| {
        let retry = Retry::within(around, "p", retries()).unwrap();
        let one = Bulkhead::within(around, "p", BulkheadConfig::of(1)).unwrap();
        Stack::of("p", (retry, one)).unwrap()
    });
    tried(|| {
        let mut list = PolicyList::new();
        list.push(Retry::within(around, "p", retries()).unwrap());
        list.push(Timeout::within(around, "p", TimeScope::Attempt, SECOND).unwrap());
        DynPipeline::new(list)
    });
    // One that answers errors is tried as far as it goes.
    let fallback = || Fallback::within(around, "p", FallbackConfig::default(), OrValue(1)).unwrap();
    contract::hands_on(fallback);
    contract::lets_go(fallback);
}

#[derive(Clone, Copy, Debug)]
enum Break {
    Not,
    RunsTwice,
    MakesUpErrors,
    Forgets,
    OtherCall,
    TriesErrorsAgain,
}

struct Broken(Break);

impl Policy<u32, u32> for Broken {
    async fn run<O>(&self, call: &Call, operation: &O) -> Result<u32, Failure<u32>>
    where
        O: Operation<Output = u32, Error = u32>,
    {
        let other = Call::new("other");
        let call = match self.0 {
            Break::OtherCall => &other,
            _ => call,
        };
        if let Break::RunsTwice = self.0 {
            operation.attempt(call).await?;
        }
        if let Break::Forgets = self.0 {
            let mut forgotten = ManuallyDrop::new(Box::pin(operation.attempt(call)));
            return (*forgotten).as_mut().await;
        }
        let result = operation.attempt(call).await;
        match (self.0, &result) {
            (Break::MakesUpErrors, Err(_)) => Err(Failure::Operation {
                error: 0,
                attempts: 1,
            }),
            (Break::TriesErrorsAgain, Err(_)) => operation.attempt(call).await,
            _ => result,
        }
    }
}

#[test]
fn whoever_breaks_it_is_caught() {
    #[track_caller]
    fn check(how: Break, expected: &str) {
        let run = || tried(|| Broken(how));
        let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_err();
        let said = match panic.downcast::<String>() {
            Ok(text) => *text,
            Err(other) => (*other.downcast::<&'static str>().unwrap()).to_owned(),
        };
        assert!(
            said.starts_with("contract: ") && said.contains(expected),
            "{how:?}: {said}"
        );
    }
    tried(|| Broken(Break::Not));
    check(Break::RunsTwice, "takes 2 attempts and not one");
    check(Break::MakesUpErrors, "comes back as");
    check(Break::Forgets, "attempt");
    check(Break::OtherCall, "told of another call");
    check(Break::TriesErrorsAgain, "is tried 2 times");
}
