//! What a pipeline takes: of memory while it waits, and of the allocator when it need not.

use super::{Broken, MILLI, SECOND, Spy};
use allocation_counter::measure;
use rs_core::{Call, Operation, Policy, operation};
use rs_policies::{BulkheadConfig, Pipeline, RetryConfig, Surroundings};
use std::{
    future::{Future, pending},
    pin::pin,
    task::{Context, Poll, Waker},
};

fn six() -> Pipeline<Spy, rs_policies::Bulkhead> {
    Pipeline::named("six")
        .within(&Surroundings::apart())
        .timeout(2 * SECOND)
        .retry(RetryConfig::default())
        .guard(Spy::default())
        .bulkhead(BulkheadConfig::of(32).with_queue(64, 100 * MILLI))
        .attempt_timeout(300 * MILLI)
        .build()
        .unwrap()
}

/// Takes 64 bytes while it waits.
struct SixtyFour;

impl Operation for SixtyFour {
    type Output = u8;
    type Error = Broken;

    async fn attempt(&self, _call: &Call) -> Result<u8, rs_core::Failure<Broken>> {
        let kept = std::hint::black_box([1_u8; 47]);
        pending::<()>().await;
        Ok(kept[0])
    }

    fn classify(
        &self,
        _call: &Call,
        _result: &Result<u8, rs_core::Failure<Broken>>,
    ) -> rs_core::Outcome {
        rs_core::Outcome::Success
    }
}

#[test]
fn six_parts_over_an_operation_of_64_bytes_take_less_than_a_kibibyte() {
    let (pipeline, call) = (six(), Call::new("x"));
    let alone = size_of_val(&SixtyFour.attempt(&call));
    let run = size_of_val(&pipeline.run(&call, &SixtyFour));
    println!("the operation takes {alone} bytes, in six parts {run}");
    assert_eq!(alone, 64);
    assert!(run <= 1024, "{run}");
    let closure = async |_call: Call| {
        let kept = std::hint::black_box([1_u8; 63]);
        pending::<()>().await;
        Ok::<_, Broken>(kept[0])
    };
    let called = size_of_val(&pipeline.call("x", closure));
    println!("a closure of its own call and 64 bytes takes {called} in six parts, with its call");
    assert!(called <= 1024, "{called}");
}

#[test]
fn a_call_that_succeeds_at_once_allocates_nothing() {
    let pipeline = six();
    let run = || {
        let future = pin!(pipeline.call("x", async |_call| Ok::<_, Broken>(7)));
        let polled = future.poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Ready(Ok(7)));
    };
    // The guard that watches makes room for what it hears.
    (0..2_000).for_each(|_| run());
    let by_spy = measure(|| (0..40).for_each(|_| run()));
    assert_eq!(by_spy.count_total, 0, "{by_spy:?}");
    let fine = operation(async |_call: Call| Ok::<_, Broken>(7));
    let found = measure(|| {
        let call = Call::new("x");
        let future = pin!(pipeline.run(&call, &fine));
        assert!(
            future
                .poll(&mut Context::from_waker(Waker::noop()))
                .is_ready()
        );
    });
    assert_eq!(found.count_total, 0, "{found:?}");
}
