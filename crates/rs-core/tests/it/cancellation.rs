//! Whatever happens to a future, every ticket comes back, once.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    time::Duration,
};

use rs_core::{
    AnyGuard, Call, Classify, Clock, Ending, Failure, FlightRecorder, Guard, Outcome, Policy,
    PolicyList, Shared, TimeScope, operation,
};

use crate::support::{Diary, Hedge, Limit, Retry, Seats, block_on, pause, poll_once};

type Answer = Result<u32, Failure<String>>;

/// Fails at the first two attempts; is pending three times on its way.
async fn flaky(call: Call) -> Result<u32, String> {
    pause(3).await;
    match call.attempt() {
        at @ 3.. => Ok(at),
        at => Err(format!("no. {at}")),
    }
}

struct House {
    diary: Diary,
    seats: [std::sync::Arc<Seats>; 3],
    clock: Clock,
}

impl House {
    fn new() -> Self {
        let diary = Diary::default();
        let seats = [("a", 1), ("b", 2), ("c", 0)].map(|(name, steps)| {
            std::sync::Arc::new(Seats::new(name, 2).with_steps(steps).writing(&diary))
        });
        let (clock, _) = Clock::manual();
        Self {
            diary,
            seats,
            clock,
        }
    }

    fn limit(&self) -> Limit {
        Limit::new(TimeScope::Total, Duration::MAX, &self.clock)
    }
}

/// Polls `n` times and drops, for every `n` up to the end, and looks at the books each time.
#[track_caller]
fn check(build: impl for<'a> Fn(&'a House) -> Pin<Box<dyn Future<Output = Answer> + Send + 'a>>) {
    let mut cut_short = 0;
    for polls in 0..1_000 {
        let house = House::new();
        let mut future = build(&house);
        let done = (0..polls).any(|_| poll_once(future.as_mut()).is_ready());
        let held = house.seats.each_ref().map(|seats| seats.inside());
        let finished = house.seats.each_ref().map(|seats| seats.endings().len());
        drop(future);
        for (seats, (held, finished)) in house.seats.iter().zip(held.into_iter().zip(finished)) {
            seats.assert_settled();
            let endings = seats.endings();
            let (before, after) = endings.split_at(finished);
            assert_eq!(after, vec![Ending::Cancelled; held], "after {polls} polls");
            assert!(done || held > 0 || after.is_empty());
            let _ = before;
        }
        cut_short += usize::from(held.iter().sum::<usize>() > 0);
        if done {
            assert!(
                cut_short > 10,
                "only {cut_short} of {polls} drops held anything"
            );
            assert_eq!(held, [0; 3]);
            assert!(house.diary.read().contains("+a +b +c"));
            return;
        }
    }
    panic!("never done");
}

#[test]
fn a_static_stack_can_be_dropped_at_every_poll() {
    check(|house| {
        let [a, b, c] = &house.seats;
        Box::pin(async move {
            let stack = (house.limit(), a, Retry(3), b, house.limit(), c);
            stack.call("x", flaky).await
        })
    });
}

#[test]
fn an_erased_stack_can_be_dropped_at_every_poll() {
    check(|house| {
        Box::pin(async move {
            let [a, b, c] = house.seats.each_ref().map(std::sync::Arc::clone);
            let mut list = PolicyList::new();
            list.push(house.limit());
            list.push(AnyGuard::new(a));
            list.push(Retry(3));
            list.push(b);
            list.push(AnyGuard::new(AnyGuard::new(c)));
            list.call("x", flaky).await
        })
    });
}

/// The hedge itself drops the slower attempt, and is dropped with both in flight.
#[test]
fn a_hedged_stack_can_be_dropped_at_every_poll() {
    check(|house| {
        let [a, b, c] = &house.seats;
        Box::pin(async move { (a, Retry(3), Hedge, b, c).call("x", flaky).await })
    });
}

/// Three wait for one seat; each is dropped in its turn, and the seat is never lost.
#[test]
fn a_place_in_the_queue_is_given_up() {
    for dropped in 0..4 {
        let seats = Seats::new("one", 1);
        let call = Call::new("x");
        let holder = seats.try_admit(&call).unwrap();
        let mut queue = Vec::new();
        for _ in 0..4 {
            let mut waiting = Box::pin(seats.admit(&call));
            assert!(poll_once(waiting.as_mut()).is_pending());
            queue.push(waiting);
        }
        // The seat is already on its way to the first of the queue when that one is dropped.
        holder.finish(Outcome::Success);
        drop(queue.remove(dropped));
        for mut waiting in queue {
            let permit = block_on(waiting.as_mut()).unwrap();
            permit.finish(Outcome::Success);
        }
        assert_eq!(seats.cancelled(), 0);
        assert_eq!(seats.issued(), 4);
        seats.assert_settled();
    }
}

/// A permit that was won in the very poll whose result nobody looks at.
#[test]
fn a_permit_that_was_just_won_is_given_back() {
    let seats = Seats::new("one", 1);
    let call = Call::new("x");
    {
        let mut admitted = pin!(seats.admit(&call));
        let _ = poll_once(admitted.as_mut()).map(drop);
    }
    assert_eq!(seats.endings(), [Ending::Cancelled]);
    seats.assert_settled();
}

#[test]
fn a_panic_in_the_operation_gives_the_permits_back() {
    #[track_caller]
    fn check(panics_at: usize) {
        let house = House::new();
        let [a, b, c] = &house.seats;
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            block_on(
                (house.limit(), a, Retry(3), b, c).call("x", async |call: Call| {
                    pause(panics_at).await;
                    if call.attempt() == 2 {
                        panic!("boom");
                    }
                    Err::<u32, _>(String::from("once more"))
                }),
            )
        }));
        assert!(unwound.is_err());
        for seats in &house.seats {
            seats.assert_settled();
            assert_eq!(seats.endings().last(), Some(&Ending::Cancelled));
        }
        assert_eq!(c.endings().len(), 2);

        let through_a_list = House::new();
        let mut list = PolicyList::new();
        for seats in &through_a_list.seats {
            list.push(std::sync::Arc::clone(seats));
        }
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            block_on(list.call("x", async |_| -> Result<u32, String> {
                pause(panics_at).await;
                panic!("boom")
            }))
        }));
        assert!(unwound.is_err());
        for seats in &through_a_list.seats {
            seats.assert_settled();
            assert_eq!(seats.endings(), [Ending::Cancelled]);
        }
        // The stack itself is as good as before.
        assert_eq!(
            block_on(list.call("x", async |_| Ok::<_, String>(1))),
            Ok(1)
        );
    }
    check(0);
    check(1);
}

/// The operation panics before it has made a future at all.
#[test]
fn a_panic_in_the_making_of_the_future_gives_the_permit_back() {
    let seats = Seats::new("one", 1);
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        block_on(
            (&seats, Retry(2)).call("x", |_| -> std::future::Ready<Result<(), ()>> {
                panic!("boom")
            }),
        )
    }));
    assert!(unwound.is_err());
    assert_eq!(seats.endings(), [Ending::Cancelled]);
    seats.assert_settled();
}

#[test]
fn a_panicking_classifier_is_contained() {
    let mut heard = FlightRecorder::global().observe();
    let seats = Seats::new("one", 1);
    let judged = operation(async |_| Ok::<_, String>(1))
        .classified(|_: Result<&u32, &String>| -> Outcome { panic!("cannot judge this") });

    let call = Call::new("x");
    let answer = block_on((Retry(2), &seats).run(&call, &judged));
    // The result is the operation's, however it is judged.
    assert_eq!(answer, Ok(1));
    assert_eq!(
        seats.endings(),
        [Ending::finished(Outcome::TRANSIENT); 2],
        "a transient failure, so it was tried again"
    );

    // Other tests of this process may record too.
    let signals: Vec<_> = std::iter::from_fn(|| heard.try_next())
        .map(|recorded| recorded.signal)
        .filter(|signal| signal.note() == Some("cannot judge this"))
        .collect();
    // Twice by the guard and twice by the retry.
    assert_eq!(signals.len(), 4);
    assert!(
        signals
            .iter()
            .all(|signal| signal.call() == Some(call.id()))
    );
    assert_eq!(signals[0].kind().name(), "classifier_panicked");
    assert_eq!(
        signals[0].to_string(),
        "operation classifier: panicked; the call counts as failed: cannot judge this"
    );
}

/// Tries again only what the call allows, decided by a classifier that looks at the call.
#[derive(Clone, Copy)]
struct OnlyIfSafe;

impl Classify<u32, &'static str> for OnlyIfSafe {
    fn classify(&self, _result: Result<&u32, &&'static str>) -> Outcome {
        unreachable!("the call matters")
    }

    fn classify_for(&self, call: &Call, result: Result<&u32, &&'static str>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(_) if call.is_safe_to_repeat() => Outcome::TRANSIENT,
            Err(_) => Outcome::PERMANENT,
        }
    }
}

#[test]
fn a_classifier_may_look_at_the_call() {
    let flaky = operation(async |call: Call| match call.attempt() {
        1 => Err("reset"),
        attempt => Ok(attempt),
    })
    .classified(OnlyIfSafe);
    let once = block_on((Retry(3),).run(&Call::new("x"), &flaky));
    assert_eq!(once.unwrap_err().into_inner(), Ok("reset"));
    let again = block_on((Retry(3),).run(&Call::new("x").safe_to_repeat(), &flaky));
    assert_eq!(again, Ok(2));

    let mut list = PolicyList::new();
    list.push(Shared::new(Retry(3)));
    let listed = block_on(list.run(&Call::new("x").safe_to_repeat(), &flaky));
    assert_eq!(listed, Ok(2), "through a list as well");

    let guarded = Seats::new("one", 1);
    let blocking: Result<u32, _> = guarded.call_blocking("x", &OnlyIfSafe, |_| Err("reset"));
    assert!(blocking.is_err());
    assert_eq!(guarded.endings(), [Ending::finished(Outcome::PERMANENT)]);
}
