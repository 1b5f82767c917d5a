//! Tokens: nobody gets one that is not there, and nobody is refused one that is.

use std::{
    task::{Context, Waker},
    time::Duration,
};

use loom::thread;
use rs_core::{Call, Clock, ClockHand, FlightRecorder, Guard, Rate};
use rs_policies::{RateLimit, RateLimitConfig, Surroundings};

const SECOND: Duration = Duration::from_secs(1);

fn model(run: impl Fn() + Send + Sync + 'static) {
    loom::model::Builder::new().check(run);
}

fn bucket(capacity: u32, refill: f64) -> RateLimitConfig {
    RateLimitConfig::bucket(capacity, Rate::new(refill, SECOND).unwrap())
}

/// Where nobody hears of it: what it says is modelled in `rs-core`.
fn limit(config: RateLimitConfig) -> (RateLimit, ClockHand) {
    let (limit, _clock, hand) = limit_and_clock(config);
    (limit, hand)
}

fn limit_and_clock(config: RateLimitConfig) -> (RateLimit, Clock, ClockHand) {
    let (clock, hand) = Clock::manual();
    let recorder = FlightRecorder::with_clock(1, clock.clone());
    recorder.switch_off();
    let around = Surroundings::apart()
        .with_clock(clock.clone())
        .with_recorder(recorder);
    (
        RateLimit::within(&around, "model", config).unwrap(),
        clock,
        hand,
    )
}

fn takes(limit: &RateLimit) -> u32 {
    limit.try_take(1).is_ok().into()
}

fn beside(
    limit: &RateLimit,
    run: impl FnOnce(&RateLimit) -> u32 + 'static,
) -> thread::JoinHandle<u32> {
    let limit = limit.clone();
    thread::spawn(move || run(&limit))
}

#[test]
fn two_tokens_and_three_threads() {
    model(|| {
        let (limit, _hand) = limit(bucket(2, 1.0));
        let others = [beside(&limit, takes), beside(&limit, takes)];
        let mine = takes(&limit);
        let theirs: u32 = others.map(|one| one.join().unwrap()).iter().sum();
        assert_eq!(mine + theirs, 2);
    });
}

#[test]
fn a_token_that_drips_in_meanwhile() {
    model(|| {
        let (limit, hand) = limit(bucket(1, 1.0));
        let other = beside(&limit, move |limit| {
            hand.advance(SECOND);
            takes(limit)
        });
        let mine = takes(&limit);
        let theirs = other.join().unwrap();
        // Whoever was there before the clock moved took the first, and then there was another.
        assert!((1..=2).contains(&(mine + theirs)));
        assert_eq!(takes(&limit), 0);
    });
}

/// A larger burst hands out nothing, wherever a call meets it.
#[test]
fn a_call_beside_a_larger_burst() {
    model(|| {
        let (limit, _hand) = limit(bucket(2, 1.0));
        assert_eq!(takes(&limit), 1);
        let other = beside(&limit, |limit| {
            limit.reconfigure(bucket(100, 1.0)).unwrap();
            takes(limit)
        });
        let mine = takes(&limit);
        let theirs = other.join().unwrap();
        assert_eq!((mine + theirs, takes(&limit)), (1, 0));
    });
}

/// A faster rate makes no tokens of the time that has passed, and a slower one loses none.
#[test]
fn a_call_beside_another_rate() {
    for rate in [1000.0, 0.01] {
        model(move || {
            let (limit, _hand) = limit(bucket(3, 1.0));
            assert_eq!(takes(&limit), 1);
            let other = beside(&limit, move |limit| {
                limit.reconfigure(bucket(3, rate)).unwrap();
                takes(limit)
            });
            let mine = takes(&limit);
            assert_eq!(mine + other.join().unwrap(), 2);
            assert!(limit.available().abs() < 1e-6);
            assert_eq!(takes(&limit), 0);
        });
    }
}

#[test]
fn two_changes_at_once() {
    model(|| {
        let (limit, clock, _hand) = limit_and_clock(bucket(4, 1.0));
        assert!(limit.try_take(2).is_ok());
        let other = beside(&limit, |limit| {
            limit.reconfigure(bucket(9, 2.0)).unwrap();
            0
        });
        limit.reconfigure(bucket(7, 5.0)).unwrap();
        other.join().unwrap();
        assert!((limit.available() - 2.0).abs() < 1e-6);
        // The pace is that of the rules which are in force in the end.
        let refused = limit.try_take(3).unwrap_err();
        let wait = refused.retry_after(clock.now()).unwrap().as_secs_f64();
        let expected = 1.0 / limit.config().rate().per_second();
        assert!((wait - expected).abs() < 1e-6, "{wait} {expected}");
    });
}

/// A call that is dropped while it waits gives back its own tokens, and never another's.
#[test]
fn a_call_that_gives_up_beside_one_that_comes() {
    model(|| {
        let (limit, hand) = limit(bucket(1, 1.0).with_wait(60 * SECOND));
        assert_eq!(takes(&limit), 1);
        let polled = |limit: &RateLimit, call: &Call| {
            let mut entering = Box::pin(limit.enter(call));
            let mut context = Context::from_waker(Waker::noop());
            u32::from(entering.as_mut().poll(&mut context).is_ready())
        };
        let other = beside(&limit, move |limit| polled(limit, &Call::new("gives up")));
        let call = Call::new("comes");
        let mut coming = Box::pin(limit.enter(&call));
        let mut context = Context::from_waker(Waker::noop());
        assert!(coming.as_mut().poll(&mut context).is_pending());
        assert_eq!(other.join().unwrap(), 0);
        assert_eq!(limit.waiting(), 1);
        // It is promised the next token, or the one after it.
        let owed = limit.available();
        assert!(owed == -1.0 || owed == -2.0, "{owed}");
        hand.advance(SECOND * (-owed) as u32);
        assert!(coming.as_mut().poll(&mut context).is_ready());
        assert_eq!(takes(&limit), 0);
    });
}
