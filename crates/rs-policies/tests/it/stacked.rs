//! Hedge, coalesce and fallback with the others, in the order in which they belong.

use rs_core::{Call, Failure, Policy, TimeScope, operation, operation_once};
use rs_policies::{
    Bulkhead, BulkheadConfig, Coalesce, CoalesceConfig, Fallback, FallbackConfig, Hedge,
    HedgeConfig, OrValue, Pipeline, Retry, RetryConfig, Surroundings, Timeout,
};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

type Stack = (
    Fallback<OrValue<[u64; 8]>>,
    Timeout,
    Coalesce<[u64; 8], &'static str>,
    Retry,
    Hedge,
    Bulkhead,
    Timeout,
);

fn stack() -> Stack {
    let around = Surroundings::apart();
    let retry = Retry::within(&around, "prices", RetryConfig::default()).unwrap();
    let budget = retry.budget().cloned();
    let limit = |scope, limit: Duration| Timeout::within(&around, "prices", scope, limit).unwrap();
    let (fallback, coalesce) = (FallbackConfig::default(), CoalesceConfig::default());
    (
        Fallback::within(&around, "prices", fallback, OrValue([0; 8])).unwrap(),
        limit(TimeScope::Total, MS * 1000),
        Coalesce::within(&around, "prices", coalesce).unwrap(),
        retry,
        Hedge::with_budget(&around, "prices", HedgeConfig::after(MS * 50), budget)
            .unwrap()
            .inside_retry(),
        Bulkhead::within(&around, "prices", BulkheadConfig::of(32)).unwrap(),
        limit(TimeScope::Attempt, MS * 200),
    )
}

#[test]
fn each_adds_little_to_the_future_of_what_is_inside() {
    let (fallback, _, coalesce, _, hedge, ..) = stack();
    let call = Call::new("price").safe_to_repeat();
    // As much as a stack inside takes while it waits.
    let large = operation(async |_call: Call| {
        let kept = [1_u64; 64];
        std::future::pending::<()>().await;
        Ok::<[u64; 8], &'static str>([kept[0]; 8])
    });
    let alone = size_of_val(&rs_core::Operation::attempt(&large, &call));
    let added = [
        size_of_val(&hedge.run(&call, &large)),
        size_of_val(&coalesce.run(&call, &large)),
        size_of_val(&fallback.run(&call, &large)),
    ];
    let added = added.map(|size| size - alone);
    assert!(
        added[0] <= 64 && added[1] <= 96 && added[2] <= 64,
        "{added:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(
    clippy::disallowed_methods,
    reason = "its future is one that can be sent"
)]
async fn they_run_on_any_thread() {
    let stack = stack();
    let task = tokio::spawn(async move {
        let call = Call::new("price").with_key("sku-17").safe_to_repeat();
        stack.call(call, async |_call| Ok([1; 8])).await
    });
    assert_eq!(task.await.unwrap(), Ok([1; 8]));
}

#[tokio::test(start_paused = true)]
async fn many_callers_of_one_key_cost_one_hedged_run() {
    let stack = stack();
    let runs = std::sync::atomic::AtomicU32::new(0);
    let ask = || {
        let call = Call::new("price").with_key("sku-17").safe_to_repeat();
        stack.call(call, async |call: Call| {
            runs.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            if call.hedge() == 0 {
                std::future::pending::<()>().await;
            }
            Ok([1; 8])
        })
    };
    let (a, b, c) = tokio::join!(ask(), ask(), ask());
    assert_eq!([a, b, c].map(Result::unwrap), [[1; 8]; 3]);
    assert_eq!(runs.load(std::sync::atomic::Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn what_nothing_can_save_is_made_up() {
    let stack = stack();
    let call = Call::new("price").with_key("sku-17").safe_to_repeat();
    let answer = stack.call(call, async |_call| {
        std::future::pending::<Result<[u64; 8], &'static str>>().await
    });
    assert_eq!(answer.await, Ok([0; 8]));
}

/// Whoever would try it again asks the operation, through everything in between.
#[tokio::test(start_paused = true)]
async fn what_can_be_done_once_fails_with_its_own_error() {
    async fn check(policy: impl Policy<[u64; 8], &'static str>) {
        let once = operation_once(async |_call: Call| Err::<[u64; 8], _>("reset"));
        let call = Call::new("price").safe_to_repeat();
        assert!(rs_core::Operation::can_repeat(&once));
        let failed = policy.run(&call, &once).await.unwrap_err();
        let expected = Failure::Operation {
            error: "reset",
            attempts: 1,
        };
        assert_eq!(failed, expected);
        assert!(!rs_core::Operation::can_repeat(&once));
    }
    let around = Surroundings::apart();
    let retry = || Retry::within(&around, "prices", RetryConfig::default()).unwrap();
    let pipeline = || {
        let pipeline = Pipeline::named("prices").within(&around).retry(retry());
        pipeline.attempt_timeout(MS * 200)
    };
    check(retry()).await;
    check((retry(), retry())).await;
    check(pipeline().build().unwrap()).await;
    check(pipeline().build().unwrap().erased()).await;
    let hedge = HedgeConfig::after(MS * 50);
    check(pipeline().hedge(hedge).safe_to_repeat().build().unwrap()).await;
    let (_, limit, coalesce, ..) = stack();
    check((limit, coalesce, retry())).await;
}
