//! Pipelines: who sees what, in which order, and what is left when a call is gone.

mod plan;
mod size;
mod with;

use rs_core::{
    Call, CallId, Clock, ClockHand, Deadline, Ending, Failure, Fault, Guard, Name, Outcome, Policy,
    Reason, Rejection, TimeScope, operation,
};
use rs_policies::{
    Backoff, Bulkhead, BulkheadConfig, Jitter, Pipeline, RetryConfig, RetryEnd, Strike,
    Surroundings,
};
use std::{
    fmt,
    future::{Future, pending},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MILLI: Duration = Duration::from_millis(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken;

impl std::error::Error for Broken {}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken")
    }
}

/// Admits everything, or refuses everything, and remembers what it heard.
#[derive(Clone, Default)]
struct Spy(Arc<Seen>);

#[derive(Default)]
struct Seen {
    refuses: AtomicU32,
    inside: AtomicU32,
    heard: Mutex<Vec<Ending>>,
}

static CLOSED: Reason = Reason::new("spy", "closed");

impl Spy {
    fn heard(&self) -> Vec<Ending> {
        self.0.heard.lock().unwrap().clone()
    }

    fn outcomes(&self) -> Vec<Option<Outcome>> {
        self.heard().iter().map(Ending::outcome).collect()
    }
}

impl Guard for Spy {
    type Ticket = CallId;

    fn try_enter(&self, call: &Call) -> Result<CallId, Rejection> {
        if self.0.refuses.load(Relaxed) > 0 {
            return Err(CLOSED.reject(Name::of("spy")));
        }
        self.0.inside.fetch_add(1, Relaxed);
        Ok(call.id())
    }

    fn leave(&self, _ticket: CallId, ending: Ending) {
        self.0.inside.fetch_sub(1, Relaxed);
        self.0.heard.lock().unwrap().push(ending);
    }
}

struct House {
    clock: Clock,
    hand: ClockHand,
    around: Surroundings,
}

impl House {
    fn new() -> Self {
        let (clock, hand) = Clock::manual();
        let around = Surroundings::apart().with_clock(clock.clone()).with_seed(7);
        Self {
            clock,
            hand,
            around,
        }
    }
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// The result of a future, the clock being moved whenever it waits.
fn finish<F: Future>(house: &House, step: Duration, future: F) -> F::Output {
    let mut future = pin!(future);
    for _ in 0..100_000 {
        if let Poll::Ready(output) = poll(future.as_mut()) {
            return output;
        }
        house.hand.advance(step);
    }
    panic!("it never ends");
}

async fn never() -> Result<(), Broken> {
    pending().await
}

fn twice() -> RetryConfig {
    RetryConfig::new(2, Backoff::constant(100 * MILLI).with_jitter(Jitter::None))
}

#[test]
fn the_guard_sees_every_attempt_and_one_outcome_for_each() {
    let (house, spy) = (House::new(), Spy::default());
    let pipeline = Pipeline::named("p")
        .within(&house.around)
        .retry(twice())
        .guard(spy.clone())
        .bulkhead(BulkheadConfig::of(1))
        .build()
        .unwrap();
    let attempts = AtomicU32::new(0);
    let result = finish(
        &house,
        10 * MILLI,
        pipeline.call("x", async |call| {
            attempts.fetch_add(1, Relaxed);
            if call.attempt() == 1 {
                Err(Broken)
            } else {
                Ok(call.attempt())
            }
        }),
    );
    assert_eq!(result, Ok(2));
    assert_eq!(
        spy.outcomes(),
        [Some(Outcome::TRANSIENT), Some(Outcome::Success)]
    );
    assert_eq!(pipeline.retry().unwrap().ended(RetryEnd::Succeeded), 1);
    assert_eq!(pipeline.limit().in_flight(), 0);
}

#[test]
fn nobody_holds_a_place_while_it_waits_to_try_again() {
    let house = House::new();
    let pipeline = Pipeline::named("p")
        .within(&house.around)
        .retry(twice())
        .bulkhead(BulkheadConfig::of(1))
        .build()
        .unwrap();
    let broken = operation(async |_call: Call| Err::<(), _>(Broken));
    let call = Call::new("x");
    let mut waiting = pin!(pipeline.run(&call, &broken));
    assert!(poll(waiting.as_mut()).is_pending());
    assert_eq!(pipeline.limit().in_flight(), 0);
    let other = finish(
        &house,
        MILLI,
        pipeline.call("y", async |_call| Ok::<_, Broken>(1)),
    );
    assert_eq!(other, Ok(1));
    house.hand.advance(SECOND);
    assert!(poll(waiting.as_mut()).is_ready());
}

#[test]
fn an_attempt_that_hangs_counts_as_a_failure() {
    let (house, spy) = (House::new(), Spy::default());
    let pipeline = Pipeline::named("p")
        .within(&house.around)
        .guard(spy.clone())
        .attempt_timeout(300 * MILLI)
        .build()
        .unwrap();
    let hangs = async |_call: Call| never().await;
    let failure = finish(&house, MILLI, pipeline.call("x", hangs)).unwrap_err();
    let Failure::TimedOut(what) = failure else {
        panic!("{failure}")
    };
    assert_eq!(
        (what.scope(), what.limit()),
        (TimeScope::Attempt, 300 * MILLI)
    );
    assert_eq!(spy.outcomes(), [Some(Fault::timed_out().into())]);
}

#[test]
fn the_whole_call_has_its_limit_wherever_it_is() {
    // In an attempt, in a wait between attempts, in a queue.
    let house = House::new();
    let spy = Spy::default();
    let build = || {
        Pipeline::named("p")
            .within(&house.around)
            .timeout(SECOND)
            .retry(RetryConfig::new(
                9,
                Backoff::constant(400 * MILLI).with_jitter(Jitter::None),
            ))
            .guard(spy.clone())
            .bulkhead(BulkheadConfig::of(1).with_queue(1, 60 * SECOND))
            .build()
            .unwrap()
    };
    let pipeline = build();
    let hangs = async |_call: Call| never().await;
    let began = house.clock.now();
    let failure = finish(&house, MILLI, pipeline.call("x", hangs)).unwrap_err();
    assert_eq!(failure.to_string(), "not done within 1s");
    assert_eq!(house.clock.now() - began, SECOND);
    assert_eq!(
        spy.outcomes(),
        [None],
        "the guard hears that it was cancelled"
    );

    // It gives up before a wait that would end too late, with the last failure and not with a time-out.
    let began = house.clock.now();
    let failure = finish(
        &house,
        MILLI,
        pipeline.call("x", async |_| Err::<(), _>(Broken)),
    );
    assert_eq!(
        failure,
        Err(Failure::Operation {
            error: Broken,
            attempts: 3
        })
    );
    assert_eq!(house.clock.now() - began, 800 * MILLI);
    assert_eq!(pipeline.retry().unwrap().ended(RetryEnd::Deadline), 1);

    let taken = pipeline.limit().try_admit(&Call::new("y")).unwrap();
    let queued = finish(
        &house,
        MILLI,
        pipeline.call("x", async |_| Ok::<_, Broken>(())),
    );
    assert_eq!(queued.unwrap_err().to_string(), "not done within 1s");
    drop(taken);
    assert_eq!(
        (pipeline.limit().in_flight(), pipeline.limit().waiting()),
        (0, 0)
    );
}

#[test]
fn the_operation_can_read_what_time_it_has() {
    let house = House::new();
    let pipeline = Pipeline::named("p")
        .within(&house.around)
        .timeout(2 * SECOND)
        .retry(RetryConfig::new(
            3,
            Backoff::constant(SECOND).with_jitter(Jitter::None),
        ))
        .attempt_timeout(800 * MILLI)
        .build()
        .unwrap();
    let left = Mutex::new(Vec::new());
    let clock = house.clock.clone();
    let _ = finish(
        &house,
        100 * MILLI,
        pipeline.call("x", async |call| {
            left.lock()
                .unwrap()
                .push(call.remaining(clock.now()).unwrap());
            clock.sleep(300 * MILLI).await;
            Err::<(), _>(Broken)
        }),
    );
    // The second attempt begins after 1.3 s; the third would begin after 2.6 s.
    assert_eq!(*left.lock().unwrap(), [800 * MILLI, 700 * MILLI]);
}

#[test]
fn a_call_whose_deadline_has_passed_does_not_begin() {
    let house = House::new();
    let pipeline = Pipeline::named("p").within(&house.around).build().unwrap();
    let late = Call::new("x").by(Deadline::at(house.clock.now()));
    let ran = AtomicU32::new(0);
    let failure = finish(
        &house,
        MILLI,
        pipeline.call(late, async |_| {
            ran.fetch_add(1, Relaxed);
            Ok::<_, Broken>(())
        }),
    );
    assert!(failure.unwrap_err().is_timed_out());
    assert_eq!(ran.load(Relaxed), 0);
}

#[test]
fn a_refusal_further_in_says_nothing_about_the_dependency() {
    let (house, spy) = (House::new(), Spy::default());
    let full = Bulkhead::within(&house.around, "full", BulkheadConfig::of(1)).unwrap();
    let _taken = full.try_admit(&Call::new("y")).unwrap();
    let pipeline = Pipeline::named("p")
        .within(&house.around)
        .retry(twice())
        .guard(spy.clone())
        .bulkhead(full.clone())
        .build()
        .unwrap();
    let result = finish(
        &house,
        MILLI,
        pipeline.call("x", async |_| Ok::<_, Broken>(())),
    );
    let failure = result.unwrap_err();
    assert_eq!(
        failure.to_string(),
        "bulkhead `full` refused the call: full (calls in flight 1, limit 1)"
    );
    assert_eq!(spy.outcomes(), [Some(Outcome::Ignored)]);
    spy.0.refuses.store(1, Relaxed);
    let result = finish(
        &house,
        MILLI,
        pipeline.call("x", async |_| Ok::<_, Broken>(())),
    );
    assert_eq!(
        result.unwrap_err().to_string(),
        "spy `spy` refused the call: closed"
    );
    assert_eq!(
        full.in_flight(),
        1,
        "who is refused outside is not counted inside"
    );
}

#[test]
fn chaos_strikes_where_the_dependency_would() {
    let (house, spy) = (House::new(), Spy::default());
    let strike = Arc::new(Mutex::new(Strike::Spare));
    let strikes = Arc::clone(&strike);
    let pipeline = Pipeline::named("p")
        .within(&house.around)
        .guard(spy.clone())
        .attempt_timeout(300 * MILLI)
        .chaos(move |_: &Call| *strikes.lock().unwrap())
        .build()
        .unwrap();
    let run = || {
        finish(
            &house,
            MILLI,
            pipeline.call("x", async |_| Ok::<_, Broken>(1)),
        )
    };
    assert_eq!(run(), Ok(1));
    *strike.lock().unwrap() = Strike::Delay(200 * MILLI);
    let began = house.clock.now();
    assert_eq!(run(), Ok(1));
    assert_eq!(house.clock.now() - began, 200 * MILLI);
    *strike.lock().unwrap() = Strike::Hang;
    assert!(run().unwrap_err().is_timed_out());
    *strike.lock().unwrap() = Strike::Refuse(CLOSED.reject(Name::of("chaos")));
    assert!(run().unwrap_err().is_rejected());
    let heard = spy.outcomes();
    let success = Some(Outcome::Success);
    let timed_out = Some(Fault::timed_out().into());
    assert_eq!(heard, [success, success, timed_out, Some(Outcome::Ignored)]);
}

/// A future that counts itself while it lives.
struct Alive(Arc<AtomicU32>);

impl Alive {
    fn new(count: &Arc<AtomicU32>) -> Self {
        count.fetch_add(1, Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[test]
fn a_call_dropped_at_any_poll_leaves_nothing_behind() {
    for polls in 0..60 {
        let (house, spy) = (House::new(), Spy::default());
        let pipeline = Pipeline::named("p")
            .within(&house.around)
            .timeout(2 * SECOND)
            .retry(RetryConfig::new(
                3,
                Backoff::constant(300 * MILLI).with_jitter(Jitter::None),
            ))
            .guard(spy.clone())
            .bulkhead(BulkheadConfig::of(1).with_queue(2, SECOND))
            .attempt_timeout(500 * MILLI)
            .build()
            .unwrap();
        let alive = Arc::new(AtomicU32::new(0));
        let clock = house.clock.clone();
        let slow = operation(|call: Call| {
            let (alive, clock) = (Alive::new(&alive), clock.clone());
            async move {
                let _alive = alive;
                clock.sleep(200 * MILLI).await;
                if call.attempt() < 3 {
                    Err(Broken)
                } else {
                    Ok(())
                }
            }
        });
        let calls = [Call::new("a"), Call::new("b"), Call::new("c")];
        let mut running: Vec<_> = calls
            .iter()
            .map(|call| Box::pin(pipeline.run(call, &slow)))
            .collect();
        for _ in 0..polls {
            running.retain_mut(|call| poll(call.as_mut()).is_pending());
            house.hand.advance(50 * MILLI);
        }
        drop(running);
        assert_eq!(alive.load(Relaxed), 0, "after {polls} polls");
        assert_eq!(spy.0.inside.load(Relaxed), 0, "after {polls} polls");
        assert_eq!(pipeline.limit().in_flight(), 0, "after {polls} polls");
        assert_eq!(pipeline.limit().waiting(), 0, "after {polls} polls");
    }
}

/// A guard that makes every call wait for a poll, and knows no short way in.
struct Slow;

impl Guard for Slow {
    type Ticket = ();

    fn try_enter(&self, _call: &Call) -> Result<(), Rejection> {
        Ok(())
    }

    async fn enter(&self, _call: &Call) -> Result<(), Rejection> {
        let mut waited = false;
        std::future::poll_fn(|_| match std::mem::replace(&mut waited, true) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
        Ok(())
    }

    fn leave(&self, (): (), _ending: Ending) {}
}

#[test]
fn a_guard_without_a_short_way_in_is_asked_the_long_way() {
    let house = House::new();
    let pipeline = Pipeline::named("p")
        .within(&house.around)
        .guard(Slow)
        .build()
        .unwrap();
    let call = Call::new("x");
    let seven = operation(async |_call: Call| Ok::<_, Broken>(7));
    let mut running = pin!(pipeline.run(&call, &seven));
    assert!(poll(running.as_mut()).is_pending());
    assert_eq!(poll(running.as_mut()), Poll::Ready(Ok(7)));
}

#[test]
fn what_is_declared_safe_to_repeat_is_repeated_after_a_time_limit() {
    let house = House::new();
    let build = |safe: bool| {
        let builder = Pipeline::named("p")
            .within(&house.around)
            .retry(twice())
            .attempt_timeout(100 * MILLI);
        let builder = if safe {
            builder.safe_to_repeat()
        } else {
            builder
        };
        builder.build().unwrap()
    };
    let hangs_once = async |call: Call| match call.attempt() {
        1 => pending().await,
        attempt => Ok::<_, Broken>(attempt),
    };
    let safe = build(true);
    assert_eq!(finish(&house, MILLI, safe.call("x", hangs_once)), Ok(2));
    let unsafe_ = build(false);
    let failure = finish(&house, MILLI, unsafe_.call("x", hangs_once)).unwrap_err();
    assert!(failure.is_timed_out());
    assert_eq!(unsafe_.retry().unwrap().ended(RetryEnd::Unsafe), 1);
}

#[tokio::test(start_paused = true)]
async fn erased_it_does_the_same() {
    let pipeline = Pipeline::named("p")
        .within(&Surroundings::apart())
        .timeout(SECOND)
        .retry(twice())
        .guard(Spy::default())
        .attempt_timeout(300 * MILLI)
        .build()
        .unwrap()
        .erased();
    let borrowed = String::from("borrowed");
    let result = pipeline.call("x", async |call| match call.attempt() {
        1 => Err(Broken),
        _ => Ok(borrowed.as_str()),
    });
    assert_eq!(result.await, Ok("borrowed"));
    let hangs = pipeline.call("x", async |_| never().await);
    assert_eq!(
        hangs.await.unwrap_err().to_string(),
        "the attempt was not done within 300ms"
    );
}

#[test]
fn an_operation_through_a_pipeline_is_one_to_others() {
    // A pipeline inside a tuple, around another tuple.
    let (house, outer, inner) = (House::new(), Spy::default(), Spy::default());
    let middle = Pipeline::named("p")
        .within(&house.around)
        .timeout(SECOND)
        .retry(twice())
        .build()
        .unwrap();
    let stack = (outer.clone(), middle, inner.clone());
    let seen = Mutex::new(None);
    let fine = operation(async |call: Call| {
        *seen.lock().unwrap() = call.limits().call();
        Ok::<_, Broken>(())
    });
    assert_eq!(
        finish(&house, MILLI, stack.run(&Call::new("x"), &fine)),
        Ok(())
    );
    assert_eq!(
        *seen.lock().unwrap(),
        Some(SECOND),
        "the limit reaches through what is inside"
    );
    assert_eq!(outer.heard().len() + inner.heard().len(), 2);
}

#[test]
fn whoever_set_the_limit_reports_it_whichever_attempt_it_ends() {
    let house = House::new();
    let pipeline = Pipeline::named("p")
        .within(&house.around)
        .timeout(SECOND)
        .retry(twice())
        .attempt_timeout(950 * MILLI)
        .build()
        .unwrap();
    let failure = finish(
        &house,
        MILLI,
        pipeline.call("x", async |call| match call.attempt() {
            1 => Err(Broken),
            _ => never().await,
        }),
    );
    assert_eq!(failure.unwrap_err().to_string(), "not done within 1s");
    assert_eq!(pipeline.timeout().unwrap().timed_out(), 1);
}

#[test]
fn an_operation_that_was_ended_is_gone_before_its_failure_is_returned() {
    let (house, alive) = (House::new(), Arc::new(AtomicU32::new(0)));
    let pipeline = Pipeline::named("p")
        .within(&house.around)
        .attempt_timeout(300 * MILLI)
        .build()
        .unwrap();
    let hangs = operation(|_call: Call| {
        let alive = Alive::new(&alive);
        async move {
            let _alive = alive;
            never().await
        }
    });
    let call = Call::new("x");
    let mut running = pin!(pipeline.run(&call, &hangs));
    assert!(poll(running.as_mut()).is_pending());
    house.hand.advance(300 * MILLI);
    assert!(poll(running.as_mut()).is_ready());
    assert_eq!(alive.load(Relaxed), 0);
}
