//! Who is in and who waits are one word: nobody who waits is missed, and no place is lost.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use loom::thread;
use rs_core::{Call, Clock, Criticality, FlightRecorder, Guard, Permit, Rejection};
use rs_policies::{AdaptiveConfig, AdaptiveLimit, ClassShares, Surroundings, Waiting};

fn model(run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 100_000;
    builder.check(run);
}

fn limit(places: u32, queue: u32) -> AdaptiveLimit {
    let (clock, _hand) = Clock::manual();
    let recorder = FlightRecorder::with_clock(1, clock.clone());
    recorder.switch_off();
    let around = Surroundings::apart()
        .with_clock(clock)
        .with_seed(7)
        .with_recorder(recorder);
    let rules = AdaptiveConfig::default()
        .with_shares(ClassShares::EQUAL)
        .between(places, places)
        .with_queue(Waiting::at_most(queue));
    AdaptiveLimit::within(&around, "model", rules).unwrap()
}

fn owned(limit: &AdaptiveLimit) -> Permit<AdaptiveLimit> {
    let ticket = limit.try_enter(&Call::new("model")).unwrap();
    Permit::new(limit.clone(), ticket)
}

type Entered<'a> = Result<Permit<&'a AdaptiveLimit>, Rejection>;

fn poll<'a>(entering: Pin<&mut (impl Future<Output = Entered<'a>> + 'a)>) -> Poll<Entered<'a>> {
    entering.poll(&mut Context::from_waker(Waker::noop()))
}

/// One begins to wait while another gives the only place back: it gets it.
#[test]
fn whoever_waits_is_not_missed() {
    model(|| {
        let limit = limit(1, 1);
        let permit = owned(&limit);
        let other = thread::spawn(move || drop(permit));
        let call = Call::new("model");
        let mut entering = pin!(limit.admit(&call));
        let first = poll(entering.as_mut());
        other.join().unwrap();
        let entered = match first {
            Poll::Ready(entered) => entered,
            Poll::Pending => match poll(entering.as_mut()) {
                Poll::Ready(entered) => entered,
                Poll::Pending => panic!("it waits for a place that is free"),
            },
        };
        drop(entered.unwrap());
        assert_eq!((limit.in_flight(), limit.waiting()), (0, 0));
    });
}

/// It is dropped while it waits, at the same time as the place comes free: the place is not lost.
#[test]
fn a_place_is_not_lost_to_one_who_goes_away() {
    model(|| {
        let limit = limit(1, 1);
        let permit = owned(&limit);
        {
            let call = Call::new("model");
            let mut entering = Box::pin(limit.admit(&call));
            assert!(poll(entering.as_mut()).is_pending());
            let other = thread::spawn(move || drop(permit));
            drop(entering);
            other.join().unwrap();
        }
        assert_eq!((limit.in_flight(), limit.waiting()), (0, 0));
        drop(owned(&limit));
    });
}

/// A more critical one comes and takes the place of one who waits, or passes it, while the only place
/// comes free: both hear of it, and none is in beside the other.
#[test]
fn displacing_and_serving_do_not_meet() {
    model(|| {
        let limit = limit(1, 1);
        let permit = owned(&limit);
        let low = Call::new("model").with_criticality(Criticality::Sheddable);
        let high = Call::new("model").with_criticality(Criticality::CriticalPlus);
        let mut waiting = vec![Box::pin(limit.admit(&low))];
        assert!(poll(waiting[0].as_mut()).is_pending());
        let other = thread::spawn(move || drop(permit));
        let mut second = Box::pin(limit.admit(&high));
        let mut inside: Vec<_> = match poll(second.as_mut()) {
            Poll::Ready(entered) => entered.ok().into_iter().collect(),
            Poll::Pending => {
                waiting.push(second);
                Vec::new()
            }
        };
        other.join().unwrap();
        for _ in 0..3 {
            waiting.retain_mut(|entering| match poll(entering.as_mut()) {
                Poll::Ready(entered) => {
                    inside.extend(entered.ok());
                    false
                }
                Poll::Pending => true,
            });
            assert!(limit.in_flight() <= 1);
            inside.clear();
        }
        assert!(waiting.is_empty(), "one waits for a place that is free");
        assert_eq!((limit.in_flight(), limit.waiting()), (0, 0));
    });
}

#[test]
fn never_are_more_in_than_may_be() {
    model(|| {
        let limit = limit(1, 1);
        let enter = |limit: &AdaptiveLimit| {
            let entered = limit.try_admit(&Call::new("model"));
            assert!(limit.in_flight() <= 1);
            entered.is_ok()
        };
        let beside = limit.clone();
        let other = thread::spawn(move || enter(&beside));
        let ours = enter(&limit);
        let other = other.join().unwrap();
        assert!(ours || other);
        assert_eq!(limit.in_flight(), 0);
    });
}
