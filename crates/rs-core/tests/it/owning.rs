//! Operations that own what they work on, and errors that can say everything.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use rs_core::{
    Call, Failure, FlightRecorder, Name, Operation, Outcome, Policy, Reason, TimeLimits, TimeScope,
    TimedOut, operation_once,
};

struct NotClone(u8);

#[tokio::test]
async fn what_is_owned_is_moved_into_the_only_attempt() {
    let owned = NotClone(7);
    let operation =
        operation_once(move |call: Call| async move { Ok::<_, ()>((owned.0, call.attempt())) });
    let call = Call::new("once").at_attempt(2);
    assert_eq!(((), ()).run(&call, &operation).await, Ok((7, 2)));
    let again = ((), ()).run(&call, &operation).await.unwrap_err();
    let Failure::Rejected(why) = again else {
        unreachable!("{again:?}")
    };
    assert_eq!(
        (why.reason().policy(), why.reason().code()),
        ("operation", "done_before")
    );
}

#[tokio::test]
async fn an_attempt_that_was_not_polled_has_used_up_nothing() {
    let operation = operation_once(|_call| async { Ok::<_, ()>(1) });
    let call = Call::new("once");
    drop(operation.attempt(&call));
    assert_eq!(operation.attempt(&call).await, Ok(1));
}

#[tokio::test]
async fn limits_reach_the_attempt() {
    let limit = Duration::from_secs(3);
    let operation =
        operation_once(|call: Call| async move { Ok::<_, ()>(call.limits().attempt()) });
    let limits = TimeLimits::NONE.on_attempt(limit);
    assert_eq!(
        operation.attempt_within(&Call::new("once"), limits).await,
        Ok(Some(limit))
    );
}

#[tokio::test]
async fn its_classifier_is_asked_and_contained() {
    let asked = Arc::new(AtomicU32::new(0));
    let judge = {
        let asked = Arc::clone(&asked);
        move |result: Result<&u8, &u8>| match (asked.fetch_add(1, Relaxed), result) {
            (0, Err(_)) => Outcome::Ignored,
            _ => panic!("a classifier of somebody who tests"),
        }
    };
    let operation = operation_once(|_call| async { Err::<u8, u8>(1) }).classified(judge);
    let call = Call::new("once");
    let result = operation.attempt(&call).await;
    assert_eq!(operation.classify(&call, &result), Outcome::Ignored);
    assert_eq!(
        operation.classify(&call, &result),
        Outcome::TRANSIENT,
        "it panicked"
    );
    let told = FlightRecorder::global().log(16).to_string();
    assert!(told.contains("somebody who tests"), "{told}");
    let refused = Err(REASON.reject(Name::of("any")).into());
    assert_eq!(operation.classify(&call, &refused), Outcome::Ignored);
    assert_eq!(asked.load(Relaxed), 2, "it is not asked about refusals");
}

static REASON: Reason = Reason::new("guard", "closed");

#[test]
fn errors_that_take_any_other_take_refusals() {
    type Any = Box<dyn Error + Send + Sync>;
    let refused: Failure<Any> = REASON.reject(Name::of("any")).into();
    assert_eq!(
        refused.flatten().to_string(),
        "guard `any` refused the call: closed"
    );
    let limit: Failure<Any> = TimedOut::new(TimeScope::Total, Duration::from_secs(1)).into();
    assert!(limit.flatten().is::<TimedOut>());
    let inner: Failure<Failure<u8>> = REASON.reject(Name::of("outer")).into();
    assert!(inner.flatten().is_rejected());
}
