//! Whatever is dropped, and when: nothing is in flight then and nobody waits.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use rs_core::{Call, Criticality, Outcome, Policy};
use rs_policies::Waiting;

use super::{Bench, MS, fixed, is_in, poll};

/// Three calls through one place, each pending twice inside; the second is dropped after each number of
/// polls.
#[test]
fn a_call_can_be_dropped_at_every_poll() {
    let mut outcomes = [0; 3];
    for polls in 0..20 {
        let bench = Bench::with(fixed(1).with_queue(Waiting::at_most(5)));
        let run = |name: &'static str| {
            bench.limit.call(name, async |_call| {
                for _ in 0..2 {
                    tokio::task::yield_now().await;
                }
                Ok::<_, std::io::Error>(())
            })
        };
        let context = &mut Context::from_waker(Waker::noop());
        let mut first = pin!(run("first"));
        let mut second = Some(Box::pin(run("second")));
        let mut third = pin!(run("third"));
        let (mut done, mut polled) = ([false; 3], 0);
        for _ in 0..30 {
            done[0] = done[0] || first.as_mut().poll(context).is_ready();
            if polled == polls {
                second = None;
            }
            if let Some(running) = &mut second {
                polled += 1;
                if running.as_mut().poll(context).is_ready() {
                    done[1] = true;
                    second = None;
                }
            }
            done[2] = done[2] || third.as_mut().poll(context).is_ready();
        }
        assert!(
            done[0] && done[2],
            "the others get through after {polls} polls"
        );
        assert_eq!((bench.limit.in_flight(), bench.limit.waiting()), (0, 0));
        outcomes[usize::from(done[1])] += 1;
    }
    assert!(outcomes[0] > 2 && outcomes[1] > 2, "{outcomes:?}");
}

/// One that was served and is dropped before it heard of it hands the place on.
#[test]
fn a_place_that_was_just_won_is_handed_on() {
    let bench = Bench::with(fixed(1).with_queue(Waiting::at_most(5)));
    let permit = bench.enter().unwrap();
    let served = bench.joined(Criticality::Critical);
    let mut next = bench.joined(Criticality::Critical);
    permit.finish(Outcome::Success);
    assert!(poll(&mut next).is_pending());
    drop(served);
    assert!(is_in(&mut next).ticket().is_some());
    drop(next);
    assert_eq!((bench.limit.in_flight(), bench.limit.waiting()), (0, 0));
}

/// Displaced, overdue, too late: dropped without having heard of it, they leave nothing behind.
#[test]
fn those_who_were_shed_can_be_dropped_unheard() {
    let bench = Bench::with(fixed(1).with_queue(Waiting::at_most(2)));
    let permit = bench.enter().unwrap();
    let displaced = bench.joined(Criticality::Sheddable);
    let overdue = bench.joined(Criticality::SheddablePlus);
    let mut stays = bench.joined(Criticality::Critical);
    bench.hand.advance(6 * MS);
    assert!(matches!(
        poll(&mut bench.entering(Call::new("x"))),
        Poll::Pending
    ));
    drop((displaced, overdue));
    permit.finish(Outcome::Success);
    drop(is_in(&mut stays));
    assert_eq!((bench.limit.in_flight(), bench.limit.waiting()), (0, 0));
    assert!(bench.enter().is_ok());
}

#[test]
fn a_panic_inside_gives_the_place_back() {
    let bench = Bench::with(fixed(1));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _permit = bench.enter().unwrap();
        panic!("inside");
    }));
    assert!(panicked.is_err());
    assert_eq!(bench.limit.in_flight(), 0);
}
