//! What is answered where the breaker refuses.

#[cfg(feature = "cache")]
mod last_good;

use crate::support::{Bench, SECOND, plain};
use rs_breaker::BreakerState;
use rs_core::{
    Call, Ending, Failure, Guard, Mandate, Name, Outcome, Policy, PolicyList, Reason, Rejection,
    operation,
};
use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::atomic::{AtomicU32, Ordering},
    task::{Context, Poll, Waker},
};
use tokio::sync::mpsc;

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[track_caller]
fn now<F: Future>(future: F) -> F::Output {
    match poll(pin!(future)) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

fn open(bench: &Bench) {
    while bench.fail() {}
}

fn force(bench: &Bench) {
    bench.breaker.force_open(Mandate::new("anna", "a drill"));
}

async fn good(_call: Call) -> Result<u32, &'static str> {
    Ok(1)
}

async fn bad(_call: Call) -> Result<u32, &'static str> {
    Err("down")
}

async fn never(_call: Call) -> Result<u32, &'static str> {
    panic!("it must not run")
}

/// A guard that refuses everybody.
struct Shut;

static SHUT: Reason = Reason::new("door", "shut");

impl Guard for Shut {
    type Ticket = ();

    fn try_enter(&self, _call: &Call) -> Result<(), Rejection> {
        Err(SHUT.reject(Name::of("door")))
    }

    fn leave(&self, (): (), _ending: Ending) {}
}

#[test]
fn a_value_stands_in_for_a_refusal_and_for_nothing_else() {
    let bench = Bench::with(plain());
    let shown = bench.breaker.or_value(7);
    assert_eq!(now(shown.call("show", good)), Ok(1));
    for _ in 0..3 {
        let failed = now(shown.call("show", bad)).unwrap_err();
        assert_eq!(
            failed,
            Failure::Operation {
                error: "down",
                attempts: 1
            }
        );
    }
    assert_eq!(bench.breaker.state(), BreakerState::Open);
    assert_eq!(now(shown.call("show", never)), Ok(7));
    let clone = shown.clone();
    assert_eq!(now(clone.call("show", never)), Ok(7));
    force(&bench);
    assert_eq!(now(shown.call("show", never)), Ok(7));
    let seen = bench.breaker.snapshot();
    assert_eq!((seen.successes, seen.failures, seen.rejected), (1, 3, 3));
    bench.wait(10 * SECOND);
    assert!(bench.breaker.release(Mandate::new("anna", "enough")));
    assert_eq!(now(shown.call("show", good)), Ok(1), "the probe");
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
}

#[test]
fn a_function_gets_the_call_and_the_reason() {
    let bench = Bench::with(plain());
    open(&bench);
    let asked = bench.breaker.or_else(async |call: Call, why: Rejection| {
        assert_eq!(call.attempt(), 3);
        Ok::<_, &str>(format!("{} is away: {}", call.name(), why.reason().code()))
    });
    let call = Call::new("charge").at_attempt(3);
    let charge = operation(async |_call| Ok("charged".to_owned()));
    assert_eq!(
        now(asked.run(&call, &charge)).unwrap(),
        "charge is away: open"
    );
}

#[test]
fn a_function_that_fails_gives_its_own_error_and_counts_as_nothing() {
    let bench = Bench::with(plain());
    open(&bench);
    let asked = bench
        .breaker
        .or_else(async |_call, _why| Err::<u32, _>("the cache is away too"));
    let failed = now(asked.run(&Call::new("show").at_attempt(2), &operation(never)));
    let error = "the cache is away too";
    assert_eq!(failed, Err(Failure::Operation { error, attempts: 2 }));
    let seen = bench.breaker.snapshot();
    assert_eq!((seen.failures, seen.rejected), (4, 2));
}

#[test]
fn a_function_is_asked_once_for_each_refusal_and_never_otherwise() {
    let bench = Bench::with(plain());
    let times = AtomicU32::new(0);
    let asked = bench
        .breaker
        .or_else(async |_call, _why| Ok(times.fetch_add(1, Ordering::SeqCst)));
    assert_eq!(now(asked.call("show", good)), Ok(1));
    assert!(now(asked.call("show", bad)).is_err());
    assert_eq!(times.load(Ordering::SeqCst), 0);
    open(&bench);
    for time in 0..3 {
        assert_eq!(now(asked.call("show", never)), Ok(time));
    }
}

#[tokio::test]
async fn refused_calls_are_queued_for_later() {
    let bench = Bench::with(plain());
    open(&bench);
    let (queue, mut queued) = mpsc::channel(1);
    let later = bench.breaker.or_else(move |call: Call, _why| {
        let queue = queue.clone();
        async move {
            queue
                .send(call.id())
                .await
                .map(|()| 0)
                .map_err(|_| "nobody does it")
        }
    });
    let (first, second) = (Call::new("charge"), Call::new("charge"));
    let operation = operation(never);
    assert_eq!(later.run(&first, &operation).await, Ok(0));
    let mut waits = pin!(later.run(&second, &operation));
    assert!(poll(waits.as_mut()).is_pending(), "the queue is full");
    assert_eq!(queued.recv().await, Some(first.id()));
    assert_eq!(waits.await, Ok(0));
    assert_eq!(queued.recv().await, Some(second.id()));
    drop(queued);
    let failed = later.run(&first, &operation).await.unwrap_err();
    assert_eq!(failed.into_inner(), Ok("nobody does it"));
}

#[test]
fn to_be_dropped_while_the_function_is_asked_holds_nothing() {
    let bench = Bench::with(plain());
    open(&bench);
    let asked = bench
        .breaker
        .or_else(|_call, _why| std::future::pending::<Result<u32, &str>>());
    {
        let mut asking = pin!(asked.call("show", never));
        assert!(poll(asking.as_mut()).is_pending());
        bench.wait(10 * SECOND);
    }
    assert_eq!(
        bench.breaker.snapshot().cancelled,
        0,
        "it was refused, not cancelled"
    );
    assert_eq!(now(asked.call("show", good)), Ok(1));
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
}

#[test]
fn a_probe_that_is_dropped_or_panics_gives_its_place_back() {
    let bench = Bench::with(plain());
    open(&bench);
    bench.wait(10 * SECOND);
    let shown = bench.breaker.or_value(7);
    {
        let hang = async |_call| std::future::pending::<Result<u32, &str>>().await;
        let mut probe = pin!(shown.call("show", hang));
        assert!(poll(probe.as_mut()).is_pending());
        assert_eq!(now(shown.call("show", never)), Ok(7), "its place is taken");
    }
    let panicked = catch_unwind(AssertUnwindSafe(|| now(shown.call("show", never))));
    assert!(panicked.is_err(), "there is a place, so it runs");
    assert_eq!(now(shown.call("show", good)), Ok(1));
    assert_eq!(bench.breaker.snapshot().cancelled, 2);
}

#[test]
fn the_classifier_decides_what_counts() {
    let bench = Bench::with(plain());
    let shown = bench.breaker.or_value(7);
    let answer = operation(good).classified(|_: Result<&u32, &&str>| Outcome::TRANSIENT);
    for _ in 0..4 {
        assert_eq!(now(shown.run(&Call::new("show"), &answer)), Ok(1));
    }
    assert_eq!(now(shown.run(&Call::new("show"), &answer)), Ok(7));
}

#[test]
fn the_refusal_of_an_inner_guard_stays_a_refusal() {
    #[track_caller]
    fn check(policy: impl Policy<u32, &'static str>, bench: &Bench) {
        for _ in 0..10 {
            let failed = now(policy.call("show", never)).unwrap_err();
            assert_eq!(failed.rejection().unwrap().reason().code(), "shut");
        }
        let seen = bench.breaker.snapshot();
        assert_eq!(
            (seen.ignored, seen.failures, seen.state),
            (10, 0, BreakerState::Closed)
        );
        open(bench);
        assert_eq!(now(policy.call("show", never)), Ok(7), "its own refusal");
    }
    let bench = Bench::with(plain());
    check((bench.breaker.or_value(7), Shut), &bench);
    let bench = Bench::with(plain());
    check((bench.breaker.or_else(async |_, _| Ok(7)), Shut), &bench);
}

#[test]
fn the_refusal_of_an_outer_guard_does_not_reach_it() {
    let bench = Bench::with(plain());
    let failed = now((Shut, bench.breaker.or_value(7)).call("show", never)).unwrap_err();
    assert!(failed.is_rejected());
    assert_eq!(bench.breaker.snapshot().total_requests, 0);
}

#[test]
fn a_breaker_with_a_fallback_stacks_around_a_list_and_within_a_stack() {
    let bench = Bench::with(plain());
    let mut list = PolicyList::new();
    list.push(Shut);
    let refused = now((bench.breaker.or_value(7), list).call("show", never));
    assert!(refused.unwrap_err().is_rejected());
    let outer = Bench::with(plain());
    open(&bench);
    let stack = (&outer.breaker, bench.breaker.or_value(7));
    assert_eq!(now(stack.call("show", never)), Ok(7));
    assert_eq!(
        outer.breaker.snapshot().successes,
        1,
        "outside, a fallback is a success"
    );
}
