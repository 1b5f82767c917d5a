//! What an attribute adds to the policies: nothing.

use std::time::Duration;

use rs_attributes::{bulkhead, circuit_breaker, resilient, retry, timeout};
use rs_breaker::Breaker;
use rs_core::{Call, Failure, Policy, Stacked, operation};
use rs_metrics::Surroundings;
use rs_policies::{Bulkhead, BulkheadConfig, Pipeline, Retry, RetryConfig, Timeout};

use crate::single::{BankError, breaker_of};

struct Policies {
    limit: Timeout,
    retry: Retry,
    breaker: Breaker,
    bulkhead: Bulkhead,
    pipeline: Pipeline<Breaker>,
}

impl Policies {
    fn new() -> Self {
        let around = Surroundings::apart();
        let limit = Duration::from_secs(1);
        let pipeline = Pipeline::named("bank").guard(breaker_of(9)).timeout(limit);
        Self {
            limit: Timeout::within(&around, "bank", rs_core::TimeScope::Total, limit).unwrap(),
            retry: Retry::within(&around, "bank", RetryConfig::default()).unwrap(),
            breaker: breaker_of(9),
            bulkhead: Bulkhead::within(&around, "bank", BulkheadConfig::of(8)).unwrap(),
            pipeline: pipeline.within(&around).build().unwrap(),
        }
    }

    #[timeout(self.limit)]
    #[retry(self.retry)]
    #[circuit_breaker(self.breaker)]
    #[bulkhead(self.bulkhead)]
    async fn with_attributes(&self, order: &str) -> Result<usize, Failure<BankError>> {
        Ok(order.len())
    }

    async fn by_hand(&self, order: &str) -> Result<usize, Failure<BankError>> {
        let call = Call::new("by_hand");
        let charge = operation(async |_call| Ok(order.len()));
        let charge = Stacked::new(&self.bulkhead, &charge);
        let charge = Stacked::new(&self.breaker, &charge);
        let charge = Stacked::new(&self.retry, &charge);
        self.limit.run(&call, &charge).await
    }

    #[resilient(self.pipeline)]
    async fn with_pipeline(&self, order: &str) -> Result<usize, Failure<BankError>> {
        Ok(order.len())
    }

    async fn pipeline_by_hand(&self, order: &str) -> Result<usize, Failure<BankError>> {
        self.pipeline
            .call("by_hand", async |_call| Ok(order.len()))
            .await
    }
}

#[circuit_breaker("cost")]
#[timeout("1s")]
#[bulkhead(8)]
async fn of_its_own(order: &str) -> Result<usize, Failure<BankError>> {
    Ok(order.len())
}

#[circuit_breaker("cost")]
async fn once(order: String) -> Result<usize, Failure<BankError>> {
    Ok(order.len())
}

/// What a future allocates that is ready at once.
fn allocations<T>(future: impl Future<Output = T>) -> (T, u64) {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut polled = std::task::Poll::Pending;
    let counted = allocation_counter::measure(|| polled = future.as_mut().poll(&mut context));
    match polled {
        std::task::Poll::Ready(value) => (value, counted.count_total),
        std::task::Poll::Pending => unreachable!("it is ready at once"),
    }
}

#[tokio::test]
async fn a_call_that_succeeds_allocates_nothing() {
    let policies = Policies::new();
    // Makes what is made once.
    of_its_own("first").await.unwrap();
    once(String::new()).await.unwrap();
    assert_eq!(allocations(policies.with_attributes("order")), (Ok(5), 0));
    assert_eq!(allocations(policies.with_pipeline("order")), (Ok(5), 0));
    assert_eq!(allocations(of_its_own("order")), (Ok(5), 0));
    assert_eq!(allocations(once("order".to_owned())), (Ok(5), 0));
    let (result, tried_again) = allocations(policies.by_hand("order"));
    assert_eq!((result, tried_again), (Ok(5), 0));
}

#[test]
fn futures_are_no_larger() {
    let policies = Policies::new();
    let sizes = [
        (
            size_of_val(&policies.with_attributes("a")),
            size_of_val(&policies.by_hand("a")),
        ),
        (
            size_of_val(&policies.with_pipeline("a")),
            size_of_val(&policies.pipeline_by_hand("a")),
        ),
    ];
    for (attribute, by_hand) in sizes {
        assert!(
            attribute <= by_hand + 64,
            "{attribute} bytes instead of {by_hand}"
        );
    }
}
