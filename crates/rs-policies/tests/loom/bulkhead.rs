//! The bulkhead: a leaver and a joiner never miss each other.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use loom::{cell::UnsafeCell, sync::Notify, thread};
use rs_core::{Call, Clock, ClockHand, Enforcement, FlightRecorder, Guard, Permit, Rejection};
use rs_policies::{Bulkhead, BulkheadConfig, Crowded, Surroundings};

fn model(run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 100_000;
    builder.check(run);
}

fn config(limit: u32) -> BulkheadConfig {
    BulkheadConfig::of(limit).with_queue(4, Duration::from_secs(1))
}

/// Where time stands still and nobody hears of it.
fn bulkhead(limit: u32) -> Bulkhead {
    timed(limit).0
}

fn timed(limit: u32) -> (Bulkhead, ClockHand) {
    let (clock, hand) = Clock::manual();
    let recorder = FlightRecorder::with_clock(1, clock.clone());
    recorder.switch_off();
    let around = Surroundings::apart()
        .with_clock(clock)
        .with_seed(7)
        .with_recorder(recorder);
    let bulkhead = Bulkhead::within(&around, "model", config(limit)).unwrap();
    (bulkhead, hand)
}

/// Wakes a thread of the model.
struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

/// Waits until it is done; a wake-up that is lost is a deadlock, which the checker reports.
fn block_on<F: Future>(future: F) -> F::Output {
    let bell = Arc::new(Bell(Notify::new()));
    let waker = Waker::from(Arc::clone(&bell));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => bell.0.wait(),
        }
    }
}

fn join(bulkhead: &Bulkhead) {
    drop(block_on(bulkhead.admit(&Call::new("model"))).unwrap());
}

type Entering<'b> = Pin<Box<dyn Future<Output = Result<Permit<&'b Bulkhead>, Rejection>> + 'b>>;

/// One that has been polled and waits; nobody is behind its waker.
fn waits<'b>(bulkhead: &'b Bulkhead, call: &'b Call) -> Entering<'b> {
    let mut entering = Box::pin(bulkhead.admit(call));
    let polled = entering
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
    entering
}

fn beside<R: 'static>(
    bulkhead: &Bulkhead,
    run: impl FnOnce(&Bulkhead) -> R + 'static,
) -> thread::JoinHandle<R> {
    let bulkhead = bulkhead.clone();
    thread::spawn(move || run(&bulkhead))
}

fn check_empty(bulkhead: &Bulkhead) {
    assert_eq!((bulkhead.in_flight(), bulkhead.waiting()), (0, 0));
}

/// A call that is inside and leaves on a thread of its own.
fn leaves(bulkhead: &Bulkhead) -> thread::JoinHandle<()> {
    bulkhead.try_enter(&Call::new("model")).unwrap();
    beside(bulkhead, |bulkhead| drop(Permit::new(bulkhead, ())))
}

#[test]
fn a_leaver_and_a_joiner_never_miss_each_other() {
    model(|| {
        let bulkhead = bulkhead(1);
        let leaver = leaves(&bulkhead);
        join(&bulkhead);
        leaver.join().unwrap();
        check_empty(&bulkhead);
    });
}

#[test]
fn a_leaver_and_two_joiners() {
    model(|| {
        let bulkhead = bulkhead(1);
        let leaver = leaves(&bulkhead);
        let other = beside(&bulkhead, join);
        join(&bulkhead);
        leaver.join().unwrap();
        other.join().unwrap();
        check_empty(&bulkhead);
    });
}

#[test]
fn two_leavers_and_a_joiner() {
    model(|| {
        let bulkhead = bulkhead(2);
        let leavers = [leaves(&bulkhead), leaves(&bulkhead)];
        join(&bulkhead);
        for leaver in leavers {
            leaver.join().unwrap();
        }
        check_empty(&bulkhead);
    });
}

/// Served and gone at once: the next one has the place.
#[test]
fn a_place_that_was_just_given_is_handed_on() {
    model(|| {
        let bulkhead = bulkhead(1);
        let call = Call::new("model");
        bulkhead.try_enter(&call).unwrap();
        let first = waits(&bulkhead, &call);
        let leaver = beside(&bulkhead, |bulkhead| drop(Permit::new(bulkhead, ())));
        let second = beside(&bulkhead, join);
        drop(first);
        leaver.join().unwrap();
        second.join().unwrap();
        check_empty(&bulkhead);
    });
}

#[test]
fn who_gives_up_while_it_is_served_leaves_nothing_behind() {
    model(|| {
        let bulkhead = bulkhead(1);
        let call = Call::new("model");
        let leaver = {
            bulkhead.try_enter(&call).unwrap();
            beside(&bulkhead, |bulkhead| drop(Permit::new(bulkhead, ())))
        };
        let mut entering = Box::pin(bulkhead.admit(&call));
        let polled = entering
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        drop(polled);
        drop(entering);
        leaver.join().unwrap();
        check_empty(&bulkhead);
    });
}

/// More places are given to whoever begins to wait at that moment.
#[test]
fn a_joiner_and_more_places_never_miss_each_other() {
    model(|| {
        let bulkhead = bulkhead(1);
        let inside = bulkhead.try_admit(&Call::new("model")).unwrap();
        let resizer = beside(&bulkhead, |bulkhead| {
            bulkhead.reconfigure(config(2)).unwrap();
        });
        join(&bulkhead);
        resizer.join().unwrap();
        drop(inside);
        check_empty(&bulkhead);
    });
}

#[test]
fn a_leaver_and_fewer_places() {
    model(|| {
        let bulkhead = bulkhead(2);
        let leavers = [leaves(&bulkhead), leaves(&bulkhead)];
        bulkhead.reconfigure(config(1)).unwrap();
        join(&bulkhead);
        for leaver in leavers {
            leaver.join().unwrap();
        }
        check_empty(&bulkhead);
    });
}

#[test]
fn never_more_than_the_limit() {
    model(|| {
        let bulkhead = bulkhead(1);
        let inside = Arc::new(UnsafeCell::new(()));
        // The cell sees two at once, and one that does not know what the one before it did.
        let visit = |bulkhead: &Bulkhead, inside: &UnsafeCell<()>| {
            if let Ok(_permit) = bulkhead.try_admit(&Call::new("model")) {
                inside.with_mut(|_| ());
            }
        };
        let others: [_; 2] = std::array::from_fn(|_| {
            let inside = Arc::clone(&inside);
            beside(&bulkhead, move |bulkhead| visit(bulkhead, &inside))
        });
        visit(&bulkhead, &inside);
        for other in others {
            other.join().unwrap();
        }
        check_empty(&bulkhead);
    });
}

/// Whoever tries while another waits does not overtake, and is counted when it is refused.
#[test]
fn nobody_overtakes() {
    model(|| {
        let bulkhead = bulkhead(1);
        let call = Call::new("model");
        bulkhead.try_enter(&call).unwrap();
        let mut first = waits(&bulkhead, &call);
        let leaver = beside(&bulkhead, |bulkhead| drop(Permit::new(bulkhead, ())));
        let refused = bulkhead.try_admit(&call).is_err();
        leaver.join().unwrap();
        assert!(refused);
        assert_eq!(bulkhead.refused(Crowded::Full), 1);
        let polled = first.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Ok(_))));
        drop(polled);
        check_empty(&bulkhead);
    });
}

#[test]
fn who_is_let_in_in_the_dark_leaves_like_any_other() {
    model(|| {
        let bulkhead = bulkhead(1);
        bulkhead
            .reconfigure(config(1).with_enforcement(Enforcement::Dark))
            .unwrap();
        let other = beside(&bulkhead, join);
        let third = beside(&bulkhead, join);
        join(&bulkhead);
        other.join().unwrap();
        third.join().unwrap();
        check_empty(&bulkhead);
    });
}

/// Nor does one that would wait itself.
#[test]
fn nobody_who_may_wait_overtakes() {
    model(|| {
        let bulkhead = bulkhead(1);
        let call = Call::new("model");
        bulkhead.try_enter(&call).unwrap();
        let mut first = waits(&bulkhead, &call);
        let leaver = beside(&bulkhead, |bulkhead| drop(Permit::new(bulkhead, ())));
        let second = waits(&bulkhead, &call);
        leaver.join().unwrap();
        let polled = first.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Ok(_))));
        drop((polled, second));
        check_empty(&bulkhead);
    });
}

/// The wait is over at the moment in which the place comes: it is taken, or it is free again.
#[test]
fn a_place_that_comes_when_the_time_is_over_is_not_lost() {
    model(|| {
        let (bulkhead, hand) = timed(1);
        let call = Call::new("model");
        bulkhead.try_enter(&call).unwrap();
        let mut first = waits(&bulkhead, &call);
        hand.advance(Duration::from_secs(2));
        let leaver = beside(&bulkhead, |bulkhead| drop(Permit::new(bulkhead, ())));
        let polled = first.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let refused = match &polled {
            Poll::Ready(entered) => entered.is_err(),
            Poll::Pending => panic!("the time is over"),
        };
        leaver.join().unwrap();
        drop((polled, first));
        assert_eq!(bulkhead.refused(Crowded::Waited), u64::from(refused));
        check_empty(&bulkhead);
    });
}

/// Whoever waited knows what the one did whose place it got.
#[test]
fn a_place_is_handed_over_with_all_that_was_done_in_it() {
    model(|| {
        let bulkhead = bulkhead(1);
        let inside = Arc::new(UnsafeCell::new(()));
        bulkhead.try_enter(&Call::new("model")).unwrap();
        let leaver = {
            let inside = Arc::clone(&inside);
            beside(&bulkhead, move |bulkhead| {
                inside.with_mut(|_| ());
                drop(Permit::new(bulkhead, ()));
            })
        };
        let call = Call::new("model");
        let permit = block_on(bulkhead.admit(&call)).unwrap();
        inside.with_mut(|_| ());
        drop(permit);
        leaver.join().unwrap();
        check_empty(&bulkhead);
    });
}

/// Two places, of which each thread has one in its purse: whoever wants both gets both.
#[test]
fn what_lies_in_purses_is_found() {
    model(|| {
        let bulkhead = bulkhead(2);
        let other = beside(&bulkhead, |bulkhead| {
            drop(bulkhead.try_admit(&Call::new("model")));
        });
        let call = Call::new("model");
        let first = bulkhead.try_admit(&call).unwrap();
        other.join().unwrap();
        let second = bulkhead.try_admit(&call).unwrap();
        assert!(bulkhead.try_admit(&call).is_err());
        assert_eq!(bulkhead.in_flight(), 2);
        drop((first, second));
        check_empty(&bulkhead);
    });
}

/// The last place is never refused while nobody has it, wherever it lies.
#[test]
fn nobody_is_refused_while_a_place_is_free() {
    model(|| {
        let bulkhead = bulkhead(3);
        let visit = |bulkhead: &Bulkhead| {
            let call = Call::new("model");
            drop(bulkhead.try_admit(&call).unwrap());
            drop(bulkhead.try_admit(&call).unwrap());
        };
        let other = beside(&bulkhead, visit);
        visit(&bulkhead);
        other.join().unwrap();
        check_empty(&bulkhead);
    });
}

/// A purse is shut and opened again while others come and go.
#[test]
fn one_who_waits_finds_what_lies_in_purses() {
    model(|| {
        let bulkhead = bulkhead(2);
        let held = bulkhead.try_admit(&Call::new("model")).unwrap();
        let other = beside(&bulkhead, |bulkhead| {
            drop(bulkhead.try_admit(&Call::new("model")));
        });
        join(&bulkhead);
        other.join().unwrap();
        drop(held);
        join(&bulkhead);
        check_empty(&bulkhead);
    });
}

#[test]
fn never_more_than_two_where_there_are_purses() {
    model(|| {
        let bulkhead = bulkhead(2);
        let call = Call::new("model");
        let held = bulkhead.try_admit(&call).unwrap();
        let inside = Arc::new(UnsafeCell::new(()));
        let visit = |bulkhead: &Bulkhead, inside: &UnsafeCell<()>| {
            if let Ok(_permit) = bulkhead.try_admit(&Call::new("model")) {
                inside.with_mut(|_| ());
            }
        };
        let other = {
            let inside = Arc::clone(&inside);
            beside(&bulkhead, move |bulkhead| {
                visit(bulkhead, &inside);
                visit(bulkhead, &inside);
            })
        };
        visit(&bulkhead, &inside);
        visit(&bulkhead, &inside);
        other.join().unwrap();
        drop(held);
        check_empty(&bulkhead);
    });
}

/// Purses were opened and filled between being told that it is full and beginning to wait.
#[test]
fn nobody_waits_for_what_lies_in_a_purse() {
    model(|| {
        let bulkhead = bulkhead(2);
        let call = Call::new("model");
        let held = [(); 2].map(|()| bulkhead.try_admit(&call).unwrap());
        let other = beside(&bulkhead, join);
        drop(held);
        let first = bulkhead.try_admit(&call);
        let second = bulkhead.try_admit(&call);
        drop(first);
        // One place is free now, or the other has had it.
        other.join().unwrap();
        drop(second);
        check_empty(&bulkhead);
    });
}
