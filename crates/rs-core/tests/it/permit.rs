//! Permits in every holder, and guards called from blocking code.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use rs_core::{AnyGuard, ByResult, Call, Clock, Ending, Failure, Guard, Outcome, Permit};

use crate::support::{Closed, Seats};

#[track_caller]
fn check(end: impl FnOnce(Permit<&Seats>), expected: Ending) {
    let seats = Seats::new("one", 1);
    let call = Call::new("x");
    let permit = seats.try_admit(&call).unwrap();
    assert!(permit.ticket().is_some());
    assert_eq!(permit.guard().issued(), 1);
    assert!(seats.try_admit(&call).is_err(), "the seat is taken");
    end(permit);
    assert_eq!(seats.endings(), [expected]);
    seats.assert_settled();
}

#[test]
fn a_permit_comes_back_in_each_way() {
    check(
        |permit| permit.finish(Outcome::Success),
        Ending::finished(Outcome::Success),
    );
    check(
        |permit| permit.finish_after(Outcome::PERMANENT, Duration::from_millis(5)),
        Ending::Finished {
            outcome: Outcome::PERMANENT,
            elapsed: Some(Duration::from_millis(5)),
        },
    );
    check(|permit| drop(permit), Ending::Cancelled);
    check(
        |permit| {
            let unwound = catch_unwind(AssertUnwindSafe(|| {
                let _held = permit;
                panic!("boom");
            }));
            assert!(unwound.is_err());
        },
        Ending::Cancelled,
    );
}

#[test]
fn endings_say_what_they_know() {
    let finished = Ending::Finished {
        outcome: Outcome::Ignored,
        elapsed: Some(Duration::from_secs(1)),
    };
    assert_eq!(finished.outcome(), Some(Outcome::Ignored));
    assert_eq!(finished.elapsed(), Some(Duration::from_secs(1)));
    assert_eq!(Ending::finished(Outcome::Success).elapsed(), None);
    assert_eq!(Ending::Cancelled.outcome(), None);
    assert_eq!(Ending::Cancelled.elapsed(), None);
}

/// A guard by any holder admits like the guard itself, and hears of the end.
#[test]
fn every_holder_of_a_guard_is_a_guard() {
    #[track_caller]
    fn check(guard: impl Guard, seats: &Seats) {
        let before = seats.endings().len();
        let call = Call::new("x");
        guard.try_admit(&call).unwrap().finish(Outcome::Success);
        let waited = crate::support::block_on(guard.admit(&call)).unwrap();
        waited.finish(Outcome::Ignored);
        drop(guard.try_admit(&call).unwrap());
        assert_eq!(
            seats.endings()[before..],
            [
                Ending::finished(Outcome::Success),
                Ending::finished(Outcome::Ignored),
                Ending::Cancelled,
            ]
        );
        seats.assert_settled();
    }
    let seats = Arc::new(Seats::new("one", 1));
    check(&*seats, &seats);
    check(Arc::clone(&seats), &seats);
    check(Box::new(Arc::clone(&seats)), &seats);
    check(Arc::new(Box::new(&*seats)), &seats);
    check(AnyGuard::new(Arc::clone(&seats)), &seats);
    let erased = AnyGuard::new(Arc::clone(&seats));
    check(&erased, &seats);
}

/// A permit that owns its guard outlives the function that got it, and crosses threads.
#[test]
fn a_permit_may_own_its_guard() {
    let seats = Arc::new(Seats::new("one", 1));
    let ticket = seats.try_enter(&Call::new("x")).unwrap();
    let permit: Permit<Arc<Seats>> = Permit::new(Arc::clone(&seats), ticket);
    assert_eq!(
        format!("{permit:?}"),
        "Permit { ticket: Some(Ticket(0)), .. }"
    );
    std::thread::spawn(move || permit.finish(Outcome::Success))
        .join()
        .unwrap();
    assert_eq!(seats.endings(), [Ending::finished(Outcome::Success)]);

    let ticket = seats.try_enter(&Call::new("x")).unwrap();
    let permit = Permit::new(Arc::clone(&seats), ticket);
    let died = std::thread::spawn(move || {
        let _permit = permit;
        panic!("boom");
    });
    assert!(died.join().is_err());
    assert_eq!(seats.endings().last(), Some(&Ending::Cancelled));
    seats.assert_settled();
}

#[test]
fn blocking_calls_are_guarded_too() {
    let seats = Seats::new("one", 1);
    let done: Result<u32, Failure<&str>> =
        seats.call_blocking("x", &ByResult, |call| Ok(call.attempt()));
    assert_eq!(done, Ok(1));

    let call = Call::new("x").at_attempt(3);
    let failed: Result<(), _> = seats.call_blocking(call, &ByResult, |_| Err("no"));
    assert_eq!(
        failed,
        Err(Failure::Operation {
            error: "no",
            attempts: 3
        })
    );
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        seats.call_blocking("x", &ByResult, |_| -> Result<(), ()> { panic!("boom") })
    }));
    assert!(unwound.is_err());
    assert_eq!(
        seats.endings(),
        [
            Ending::finished(Outcome::Success),
            Ending::finished(Outcome::TRANSIENT),
            Ending::Cancelled,
        ]
    );
    let refused: Result<(), Failure<()>> = Closed.call_blocking("x", &ByResult, |_| Ok(()));
    let before = Clock::default().now();
    let delay = refused.unwrap_err().retry_after(before).unwrap();
    assert!(delay <= Duration::from_secs(3) && delay > Duration::from_secs(2));
    // It does not wait for a seat: that would block the thread.
    let holder = seats.try_admit(&Call::new("x")).unwrap();
    let full: Result<(), Failure<()>> = seats.call_blocking("x", &ByResult, |_| Ok(()));
    assert_eq!(
        full.unwrap_err().rejection().unwrap().to_string(),
        "seats `one` refused the call: full (seats taken 1, limit 1)"
    );
    drop(holder);
    seats.assert_settled();
}

/// An erased guard is handed a ticket that is not its own: it must not take it for one.
#[test]
fn an_erased_guard_ignores_a_foreign_ticket() {
    let seats = Arc::new(Seats::new("one", 1));
    let erased = AnyGuard::new(Arc::clone(&seats));
    let own = erased.try_enter(&Call::new("x")).unwrap();
    erased.leave(Box::new("not a ticket"), Ending::Cancelled);
    assert_eq!(seats.inside(), 1);
    erased.leave(own, Ending::Cancelled);
    seats.assert_settled();
}
