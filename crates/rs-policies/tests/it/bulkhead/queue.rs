//! Waiting for a place: in order, for so long, and never for nothing.

use super::*;
use std::{
    sync::{Arc, Mutex},
    task::{Context, Wake, Waker},
};

use crate::support::Bell;

#[test]
fn who_waited_longest_is_next() {
    let bench = Bench::new();
    let bulkhead = bulkhead(&bench, places(1, 10));
    let call = Call::new("charge");
    let mut inside = enter(&bulkhead).unwrap();
    let mut waiting: Vec<_> = (0..10).map(|_| waits(&bulkhead, &call)).collect();
    check_now(&bench, &bulkhead, 1, 10);
    while !waiting.is_empty() {
        drop(inside);
        // Nobody overtakes, not even while the place is on its way.
        assert!(enter(&bulkhead).is_err());
        for other in &mut waiting[1..] {
            assert!(poll(other.as_mut()).is_pending());
        }
        inside = is_in(&mut waiting.remove(0));
        check_now(&bench, &bulkhead, 1, waiting.len() as u32);
    }
    drop(inside);
    check_now(&bench, &bulkhead, 0, 0);
}

#[test]
fn only_the_one_that_is_served_is_woken() {
    let bench = Bench::new();
    let bulkhead = bulkhead(&bench, places(1, 3));
    let call = Call::new("charge");
    let inside = enter(&bulkhead).unwrap();
    let bells: [_; 3] = std::array::from_fn(|_| Bell::new());
    let mut waiting: Vec<_> = (0..3).map(|_| Box::pin(bulkhead.admit(&call))).collect();
    for (one, (_, waker)) in waiting.iter_mut().zip(&bells) {
        assert!(
            one.as_mut()
                .poll(&mut Context::from_waker(waker))
                .is_pending()
        );
    }
    drop(inside);
    assert_eq!(bells.each_ref().map(|(bell, _)| bell.rung()), [1, 0, 0]);
}

/// A future that moved to another task is woken there.
#[test]
fn the_last_waker_counts() {
    let bench = Bench::new();
    let bulkhead = bulkhead(&bench, places(1, 1));
    let call = Call::new("charge");
    let inside = enter(&bulkhead).unwrap();
    let ((before, first), (after, second)) = (Bell::new(), Bell::new());
    let mut waiting = pin!(bulkhead.admit(&call));
    for waker in [first, second] {
        let mut context = Context::from_waker(&waker);
        assert!(waiting.as_mut().poll(&mut context).is_pending());
    }
    drop(inside);
    assert_eq!((before.rung(), after.rung()), (0, 1));
}

#[test]
fn the_queue_has_a_length() {
    let bench = Bench::new();
    let bulkhead = bulkhead(&bench, places(1, 2));
    let call = Call::new("charge");
    let _inside = enter(&bulkhead).unwrap();
    let first = waits(&bulkhead, &call);
    let _second = waits(&bulkhead, &call);
    let refused = at_once(bulkhead.admit(&call)).unwrap_err().to_string();
    assert_eq!(
        refused,
        "bulkhead `bank` refused the call: queue_full (calls waiting 2, limit 2)"
    );
    drop(first);
    let _third = waits(&bulkhead, &call);
    assert!(at_once(bulkhead.admit(&call)).is_err());
    check_refused(&bench, &bulkhead, [0, 2, 0]);
    check_now(&bench, &bulkhead, 1, 2);
}

#[test]
fn a_wait_has_an_end() {
    let bench = Bench::new();
    let bulkhead = bulkhead(&bench, places(1, 5));
    let _inside = enter(&bulkhead).unwrap();
    let refused = |call: Call| {
        let (entered, took) = bench.run(bulkhead.admit(&call));
        (entered.map(drop).unwrap_err().to_string(), took)
    };
    let long = "bulkhead `bank` refused the call: waited (waited 1s, limit 1s)";
    assert_eq!(refused(Call::new("x")), (long.to_owned(), SECOND));
    // The call's own limits clip it.
    let short = "bulkhead `bank` refused the call: waited (waited 300ms, limit 300ms)";
    for call in [
        Call::new("x").within(300 * MS, &bench.clock),
        Call::new("x").limited_to(300 * MS),
        Call::new("x").within_limits(rs_core::TimeLimits::NONE.on_attempt(300 * MS)),
    ] {
        let call = match call.deadline() {
            Some(_) => Call::new("x").within(300 * MS, &bench.clock),
            None => call,
        };
        assert_eq!(refused(call), (short.to_owned(), 300 * MS));
    }
    let (why, took) = refused(Call::new("x").within(Duration::ZERO, &bench.clock));
    assert_eq!(
        (why.contains("waited 0s, limit 0s"), took),
        (true, Duration::ZERO)
    );
    check_refused(&bench, &bulkhead, [0, 0, 5]);
    check_now(&bench, &bulkhead, 1, 0);
}

/// A place that came in time is taken, even if whoever waited looks late.
#[test]
fn a_place_that_was_given_is_not_taken_back() {
    let bench = Bench::new();
    let bulkhead = bulkhead(&bench, places(1, 5));
    let call = Call::new("charge");
    let inside = enter(&bulkhead).unwrap();
    let mut waiting = waits(&bulkhead, &call);
    bench.wait(SECOND / 2);
    drop(inside);
    bench.wait(3600 * SECOND);
    let permit = is_in(&mut waiting);
    check_now(&bench, &bulkhead, 1, 0);
    drop(permit);
    check_refused(&bench, &bulkhead, [0, 0, 0]);
}

#[test]
fn waits_are_recorded_of_those_who_got_a_place() {
    let bench = Bench::new();
    let bulkhead = bulkhead(&bench, places(1, 5));
    let call = Call::new("charge");
    let inside = enter(&bulkhead).unwrap();
    let (mut first, mut second) = (waits(&bulkhead, &call), waits(&bulkhead, &call));
    bench.wait(250 * MS);
    drop(inside);
    let inside = is_in(&mut first);
    bench.wait(SECOND);
    assert!(matches!(poll(second.as_mut()), Poll::Ready(Err(_))));
    drop(inside);
    let waited = metrics::BULKHEAD_WAIT
        .read(&bench.registry, bulkhead.name(), ())
        .unwrap();
    assert_eq!((waited.count(), waited.sum), (1, 0.25));
}

#[test]
fn who_goes_away_makes_room() {
    for leaves in 0..3 {
        let bench = Bench::new();
        let bulkhead = bulkhead(&bench, places(1, 3));
        let call = Call::new("charge");
        let inside = enter(&bulkhead).unwrap();
        let mut waiting: Vec<_> = (0..3).map(|_| waits(&bulkhead, &call)).collect();
        drop(waiting.remove(leaves));
        check_now(&bench, &bulkhead, 1, 2);
        drop(inside);
        let [one, other] = &mut waiting[..] else {
            unreachable!("two are left")
        };
        let permit = is_in(one);
        assert!(poll(other.as_mut()).is_pending());
        drop(permit);
        drop(is_in(other));
        check_now(&bench, &bulkhead, 0, 0);
    }
}

/// Served, and gone before it heard of it: the next one has the place.
#[test]
fn a_place_that_was_just_given_is_handed_on() {
    let bench = Bench::new();
    let bulkhead = bulkhead(&bench, places(1, 3));
    let call = Call::new("charge");
    let inside = enter(&bulkhead).unwrap();
    let first = waits(&bulkhead, &call);
    let second = waits(&bulkhead, &call);
    let mut third = waits(&bulkhead, &call);
    drop(inside);
    drop(first);
    drop(second);
    let permit = is_in(&mut third);
    check_now(&bench, &bulkhead, 1, 0);
    drop(permit);
    check_now(&bench, &bulkhead, 0, 0);
    // And the last one in the queue leaves a free place.
    let inside = enter(&bulkhead).unwrap();
    let only = waits(&bulkhead, &call);
    drop(inside);
    check_now(&bench, &bulkhead, 1, 0);
    drop(only);
    check_now(&bench, &bulkhead, 0, 0);
    drop(enter(&bulkhead).unwrap());
}

#[test]
fn a_future_that_was_never_polled_holds_nothing() {
    let bench = Bench::new();
    let bulkhead = bulkhead(&bench, places(1, 3));
    let call = Call::new("charge");
    drop(bulkhead.admit(&call));
    check_now(&bench, &bulkhead, 0, 0);
}

/// A policy of two: the wait is part of the call that is dropped.
#[test]
fn a_call_dropped_anywhere_leaves_nothing_behind() {
    for polls in 0..40 {
        let bench = Bench::new();
        let bulkhead = bulkhead(&bench, places(1, 3));
        let call = Call::new("charge");
        let mut inside = Some(enter(&bulkhead).unwrap());
        let mut running = Box::pin(bulkhead.call(call, async |_| {
            bench.clock.sleep(10 * MS).await;
            Ok::<_, ()>(())
        }));
        for number in 0..polls {
            if poll(running.as_mut()).is_ready() {
                break;
            }
            bench.wait(MS);
            if number == 15 {
                inside = None;
            }
        }
        drop(running);
        check_now(&bench, &bulkhead, u32::from(inside.is_some()), 0);
        drop(inside);
        check_now(&bench, &bulkhead, 0, 0);
    }
}

/// A waker that does something when it is dropped, as that of a task does which owns other futures.
struct Owner {
    _owned: Mutex<Box<dyn Send>>,
}

impl Wake for Owner {
    fn wake(self: Arc<Self>) {}
}

impl Owner {
    fn waker(owned: impl Send + 'static) -> Waker {
        let owned: Box<dyn Send> = Box::new(owned);
        Arc::new(Self {
            _owned: Mutex::new(owned),
        })
        .into()
    }
}

/// Calls the bulkhead when it is dropped.
struct Meddles(Bulkhead, Call, bool);

impl Drop for Meddles {
    fn drop(&mut self) {
        let Self(bulkhead, call, waits) = self;
        if *waits {
            let mut entering = pin!(bulkhead.admit(call));
            let _ = poll(entering.as_mut());
        } else {
            let _ = bulkhead.try_admit(call);
        }
    }
}

/// Wakers are other people's code: none is called or dropped while the queue is locked.
#[test]
fn wakers_may_use_the_bulkhead() {
    for waits in [false, true] {
        let bench = Bench::new();
        let bulkhead = bulkhead(&bench, places(1, 3));
        let call = Call::new("charge");
        let meddling = || Owner::waker(Meddles(bulkhead.clone(), call, waits));
        let inside = enter(&bulkhead).unwrap();
        // Replaced by another waker.
        let mut waiting: Entering<'_> = Box::pin(bulkhead.admit(&call));
        for _ in 0..2 {
            let waker = meddling();
            let mut context = Context::from_waker(&waker);
            assert!(waiting.as_mut().poll(&mut context).is_pending());
        }
        assert!(poll(waiting.as_mut()).is_pending());
        // Given up.
        let waker = meddling();
        let _ = waiting.as_mut().poll(&mut Context::from_waker(&waker));
        drop(waker);
        drop(waiting);
        check_now(&bench, &bulkhead, 1, 0);
        // Served.
        let mut waiting: Entering<'_> = Box::pin(bulkhead.admit(&call));
        let waker = meddling();
        let _ = waiting.as_mut().poll(&mut Context::from_waker(&waker));
        drop(waker);
        drop(inside);
        drop(is_in(&mut waiting));
        check_now(&bench, &bulkhead, 0, 0);
    }
}
