//! The breaker under every interleaving that the model checker finds.
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 cargo test -p rs-breaker --release --test loom
//! ```
#![cfg(loom)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use loom::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};
use rs_breaker::{
    Breaker, BreakerConfig, BreakerRegistry, BreakerSnapshot, BreakerState, OpenTime, Probing,
    RegistryConfig, Surroundings, Timing, Trip, Window,
};
use rs_core::{
    Call, Clock, ClockHand, Fault, FlightRecorder, Guard, Mandate, Outcome, Permit, Rejection,
    Share,
};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn model(run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    // A breaker is many atomics, and a snapshot reads them all.
    builder.max_branches = 100_000;
    builder.check(run);
}

/// Where nobody hears of a breaker: what it says is modelled in `rs-core`.
fn around() -> (Surroundings, ClockHand) {
    let (clock, hand) = Clock::manual();
    let recorder = FlightRecorder::with_clock(1, clock.clone());
    recorder.switch_off();
    let around = Surroundings::apart();
    (
        around
            .with_clock(clock)
            .with_seed(7)
            .with_recorder(recorder),
        hand,
    )
}

fn breaker(config: BreakerConfig) -> (Breaker, ClockHand) {
    let (around, hand) = around();
    (Breaker::within(&around, "model", config).unwrap(), hand)
}

/// Opens after so many failures in a row, for ten seconds; nothing is random, nothing timed.
fn in_a_row(failures: u32) -> BreakerConfig {
    BreakerConfig::default()
        .with_trip([Trip::consecutive_failures(failures)])
        .with_open_time(OpenTime::fixed(10 * SECOND).with_jitter(Share::NONE))
        .with_probing(Probing::needing(1))
        .with_ramp(None)
        .with_timing(Timing::Off)
}

fn enter(breaker: &Breaker) -> Result<Permit<&Breaker>, Rejection> {
    breaker.try_admit(&Call::new("model"))
}

fn enter_owned(breaker: &Breaker) -> Permit<Breaker> {
    breaker.try_admit_owned(&Call::new("model")).unwrap()
}

/// `false` if it was refused.
fn call(breaker: &Breaker, outcome: Outcome) -> bool {
    enter(breaker).map(|permit| permit.finish(outcome)).is_ok()
}

fn beside<R: 'static>(
    breaker: &Breaker,
    run: impl FnOnce(&Breaker) -> R + 'static,
) -> thread::JoinHandle<R> {
    let breaker = breaker.clone();
    thread::spawn(move || run(&breaker))
}

fn mandate() -> Mandate {
    Mandate::new("anna", "a model")
}

/// Half-open, without having been open.
fn half_open(breaker: &Breaker) {
    breaker.force_open(mandate());
    breaker.release(mandate());
}

fn accounted(now: &BreakerSnapshot) -> u64 {
    now.successes + now.failures + now.stale
}

// Counting.

#[test]
fn every_result_is_counted_once() {
    model(|| {
        let config = in_a_row(100).with_trip([Trip::failure_rate(Share::ALL, Window::last(10))]);
        let (breaker, _hand) = breaker(config);
        let others = [Outcome::Success, Outcome::TRANSIENT]
            .map(|outcome| beside(&breaker, move |breaker| call(breaker, outcome)));
        call(&breaker, Outcome::Success);
        for other in others {
            other.join().unwrap();
        }
        let now = breaker.snapshot();
        assert_eq!((now.successes, now.failures, now.stale), (2, 1, 0));
        assert_eq!((now.window_calls, now.total_requests), (3, 3));
    });
}

/// Threads that meet get tallies of their own, and nothing is lost on the way.
#[test]
fn spreading_loses_nothing() {
    model(|| {
        let (breaker, _hand) = breaker(in_a_row(100));
        let other = beside(&breaker, |breaker| {
            call(breaker, Outcome::Success);
            call(breaker, Outcome::TRANSIENT);
        });
        call(&breaker, Outcome::TRANSIENT);
        call(&breaker, Outcome::Success);
        other.join().unwrap();
        call(&breaker, Outcome::Success);
        let now = breaker.snapshot();
        assert_eq!((now.successes, now.failures, now.stale), (3, 2, 0));
    });
}

#[test]
fn looking_takes_nothing_away() {
    model(|| {
        let (breaker, _hand) = breaker(in_a_row(100));
        let other = beside(&breaker, |breaker| {
            call(breaker, Outcome::Success);
            call(breaker, Outcome::TRANSIENT);
        });
        assert!(accounted(&breaker.snapshot()) <= 2);
        other.join().unwrap();
        let now = breaker.snapshot();
        assert_eq!(
            (now.successes, now.failures, now.consecutive_failures),
            (1, 1, 1)
        );
    });
}

// Judging.

/// Whoever finds the lock taken goes on; whoever has it looks once more.
#[test]
fn two_failures_at_once_open_it() {
    model(|| {
        let (breaker, _hand) = breaker(in_a_row(2));
        let permit = enter_owned(&breaker);
        let other = beside(&breaker, |breaker| call(breaker, Outcome::TRANSIENT));
        permit.finish(Outcome::TRANSIENT);
        assert!(other.join().unwrap());
        assert_eq!(breaker.state(), BreakerState::Open);
    });
}

#[test]
fn three_failures_at_once_open_it() {
    model(|| {
        let (breaker, _hand) = breaker(in_a_row(3));
        let permits = [enter_owned(&breaker), enter_owned(&breaker)];
        let others = permits.map(|permit| thread::spawn(|| permit.finish(Outcome::TRANSIENT)));
        call(&breaker, Outcome::TRANSIENT);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(breaker.state(), BreakerState::Open);
    });
}

/// Successes that ended long before are not mixed with failures that end at the same time.
#[test]
fn two_failures_at_once_after_successes_open_it() {
    model(|| {
        let half = Share::percent(50.0).unwrap();
        let last = Trip::failure_rate(half, Window::last(4).after(4));
        let (breaker, _hand) = breaker(in_a_row(2).with_trip([last]));
        for _ in 0..4 {
            call(&breaker, Outcome::Success);
        }
        let permit = enter_owned(&breaker);
        let other = beside(&breaker, |breaker| call(breaker, Outcome::TRANSIENT));
        permit.finish(Outcome::TRANSIENT);
        other.join().unwrap();
        assert_eq!(breaker.state(), BreakerState::Open);
    });
}

/// A failure that meets somebody who holds the lock for another reason is judged by them.
#[test]
fn a_failure_beside_a_snapshot_opens_it() {
    model(|| {
        let (breaker, _hand) = breaker(in_a_row(1));
        let other = beside(&breaker, |breaker| {
            let _ = breaker.snapshot();
        });
        call(&breaker, Outcome::TRANSIENT);
        other.join().unwrap();
        assert_eq!(breaker.state(), BreakerState::Open);
    });
}

/// Whoever clears away idle breakers looks at each.
#[test]
fn a_failure_beside_a_look_for_idle_breakers_opens_it() {
    model(|| {
        let (around, _hand) = around();
        let rules = RegistryConfig::default().with_default(in_a_row(1));
        let breakers = BreakerRegistry::within(&around, rules).unwrap();
        let breaker = breakers.get("model");
        let other = thread::spawn(move || breakers.evict_idle());
        call(&breaker, Outcome::TRANSIENT);
        other.join().unwrap();
        assert_eq!(breaker.state(), BreakerState::Open);
    });
}

#[test]
fn a_failure_beside_the_end_of_an_order_opens_it() {
    model(|| {
        let (breaker, hand) = breaker(in_a_row(1));
        breaker.force_closed(mandate().lasting(SECOND));
        hand.advance(2 * SECOND);
        let permit = enter_owned(&breaker);
        let other = beside(&breaker, |breaker| breaker.state());
        permit.finish(Outcome::TRANSIENT);
        other.join().unwrap();
        assert_eq!(breaker.state(), BreakerState::Open);
    });
}

#[test]
fn a_failure_beside_other_rules_opens_it() {
    model(|| {
        let (breaker, _hand) = breaker(in_a_row(1));
        let other = beside(&breaker, |breaker| {
            let span = Trip::failure_rate(Share::ALL, Window::time(SECOND).after(5));
            let rules = [Trip::consecutive_failures(1), span];
            breaker.reconfigure(in_a_row(1).with_trip(rules)).unwrap();
        });
        let permit = enter_owned(&breaker);
        permit.finish(Outcome::TRANSIENT);
        other.join().unwrap();
        let now = breaker.snapshot();
        assert_eq!((now.failures, now.stale), (1, 0));
        assert_eq!(now.state, BreakerState::Open);
    });
}

/// The slice ends while both are at it: no failure stays behind in the old one.
#[test]
fn failures_at_the_turn_of_a_slice_open_it() {
    model(|| {
        let window = Window::time(2 * SECOND).after(2);
        let config = in_a_row(9).with_trip([Trip::failure_rate(Share::ALL, window)]);
        let (breaker, hand) = breaker(config);
        let permit = enter_owned(&breaker);
        let other = beside(&breaker, move |breaker| {
            hand.advance(SECOND / 10);
            call(breaker, Outcome::TRANSIENT);
        });
        permit.finish(Outcome::TRANSIENT);
        other.join().unwrap();
        assert_eq!(breaker.state(), BreakerState::Open);
    });
}

// Generations.

/// A result of before decides nothing after, whenever it comes.
#[test]
fn a_late_failure_does_not_open_a_new_generation() {
    model(|| {
        let (breaker, _hand) = breaker(in_a_row(1));
        let permit = enter_owned(&breaker);
        let other = thread::spawn(|| permit.finish(Outcome::TRANSIENT));
        breaker.reset(mandate());
        other.join().unwrap();
        let now = breaker.snapshot();
        assert_eq!(now.state, BreakerState::Closed);
        assert_eq!(now.consecutive_failures, 0);
        assert_eq!(now.failures + now.stale, 1);
    });
}

#[test]
fn a_late_success_does_not_count_in_a_new_generation() {
    model(|| {
        let config = in_a_row(1).with_trip([Trip::failure_rate(Share::ALL, Window::last(10))]);
        let (breaker, _hand) = breaker(config);
        let permit = enter_owned(&breaker);
        let other = thread::spawn(|| permit.finish(Outcome::Success));
        breaker.reset(mandate());
        other.join().unwrap();
        let now = breaker.snapshot();
        assert_eq!(now.window_calls, 0);
        assert_eq!(now.successes + now.stale, 1);
    });
}

/// Whoever was let in by the new generation finds tallies of it.
#[test]
fn a_call_of_a_new_generation_counts_in_it() {
    for outcome in [Outcome::Success, Outcome::TRANSIENT] {
        model(move || {
            let config = in_a_row(1).with_trip([Trip::failure_rate(Share::ALL, Window::last(10))]);
            let (breaker, _hand) = breaker(config);
            let other = beside(&breaker, |breaker| breaker.reset(mandate()));
            let permit = enter(&breaker).unwrap();
            let began_in = permit.ticket().unwrap().generation();
            permit.finish(outcome);
            other.join().unwrap();
            let now = breaker.snapshot();
            assert_eq!(accounted(&now), 1);
            if began_in == now.generation {
                assert_eq!((now.stale, now.window_calls), (0, 1));
            } else {
                assert_eq!(now.window_calls, 0);
            }
        });
    }
}

/// Two generations go by while a thread makes tallies for all.
#[test]
fn tallies_that_are_made_belong_to_the_generation() {
    model(|| {
        let (breaker, _hand) = breaker(in_a_row(100));
        let other = beside(&breaker, |breaker| {
            call(breaker, Outcome::Success);
            breaker.reset(mandate());
        });
        call(&breaker, Outcome::Success);
        other.join().unwrap();
        let before = breaker.snapshot();
        let both = [(); 2].map(|()| beside(&breaker, |breaker| call(breaker, Outcome::Success)));
        for one in both {
            one.join().unwrap();
        }
        let now = breaker.snapshot();
        assert_eq!(now.stale, before.stale);
        assert_eq!(now.successes, before.successes + 2);
    });
}

/// What a server asked for belongs to the opening that its failure was part of.
#[test]
fn a_delay_that_was_asked_for_is_not_kept_for_later() {
    model(|| {
        let time = OpenTime::fixed(10 * SECOND).with_jitter(Share::NONE);
        let config = in_a_row(1).with_open_time(time.honouring_hints(60 * SECOND));
        let (breaker, _hand) = breaker(config);
        let permit = enter_owned(&breaker);
        let other = thread::spawn(|| permit.finish(Fault::throttled().after(30 * SECOND).into()));
        call(&breaker, Outcome::TRANSIENT);
        other.join().unwrap();
        breaker.reset(mandate());
        call(&breaker, Outcome::TRANSIENT);
        assert_eq!(breaker.snapshot().next_probe, Some(10 * SECOND));
    });
}

// Probes.

#[test]
fn there_are_never_more_probes_than_places() {
    model(|| {
        let (breaker, _hand) = breaker(in_a_row(1).with_probing(Probing::needing(4).at_once(1)));
        half_open(&breaker);
        let out = Arc::new(AtomicUsize::new(0));
        let probe = |out: Arc<AtomicUsize>| {
            move |breaker: &Breaker| match enter(breaker) {
                Ok(permit) => {
                    assert!(permit.ticket().unwrap().is_probe());
                    assert_eq!(out.fetch_add(1, SeqCst), 0);
                    out.fetch_sub(1, SeqCst);
                    drop(permit);
                }
                Err(why) => assert_eq!(why.reason().code(), "half_open"),
            }
        };
        let other = beside(&breaker, probe(Arc::clone(&out)));
        probe(out)(&breaker);
        other.join().unwrap();
        // No place was lost.
        assert!(enter(&breaker).unwrap().ticket().unwrap().is_probe());
    });
}

#[test]
fn two_probes_decide_together() {
    model(|| {
        let probing = Probing::needing(2).of(2).at_once(2);
        let (breaker, _hand) = breaker(in_a_row(1).with_probing(probing));
        half_open(&breaker);
        let first = enter_owned(&breaker);
        let other = thread::spawn(|| first.finish(Outcome::Success));
        let second = enter(&breaker).unwrap();
        assert!(second.ticket().unwrap().is_probe());
        second.finish(Outcome::Success);
        other.join().unwrap();
        let now = breaker.snapshot();
        assert_eq!(
            (now.state, now.successes, now.stale),
            (BreakerState::Closed, 2, 0)
        );
    });
}

/// The lease of a hung probe ends while it comes back: it decides nothing, and its place is free.
#[test]
fn a_lease_that_runs_out_gives_its_place_to_another() {
    model(|| {
        let probing = Probing::needing(1).of(2).at_once(1).with_lease(SECOND);
        let (breaker, hand) = breaker(in_a_row(1).with_probing(probing));
        half_open(&breaker);
        let hung = enter_owned(&breaker);
        hand.advance(2 * SECOND);
        let other = thread::spawn(|| hung.finish(Outcome::Success));
        let probe = enter(&breaker);
        other.join().unwrap();
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert_eq!(breaker.snapshot().stale, 1);
        // One that was refused looked while the other held the lock; whoever asks now has the place.
        probe
            .or_else(|_| enter(&breaker))
            .unwrap()
            .finish(Outcome::Success);
        assert_eq!(breaker.state(), BreakerState::Closed);
    });
}

/// A probe of an older half-open time decides nothing in a newer one.
#[test]
fn an_old_probe_does_not_decide_for_a_new_one() {
    model(|| {
        let (breaker, _hand) = breaker(in_a_row(1));
        half_open(&breaker);
        let old = enter_owned(&breaker);
        let other = thread::spawn(|| old.finish(Outcome::Success));
        half_open(&breaker);
        let new = enter(&breaker).unwrap();
        other.join().unwrap();
        if new.ticket().unwrap().is_probe() {
            assert_eq!(breaker.state(), BreakerState::HalfOpen);
            new.finish(Outcome::TRANSIENT);
            assert_eq!(breaker.state(), BreakerState::Open);
        } else {
            panic!("it was closed by an order to open");
        }
    });
}

// Refusing.

/// The numbers of a rejection are those of the state that refused.
#[test]
fn a_rejection_explains_itself_by_one_state() {
    model(|| {
        let (breaker, hand) = breaker(in_a_row(2));
        call(&breaker, Outcome::TRANSIENT);
        call(&breaker, Outcome::TRANSIENT);
        let opens = breaker.snapshot().next_probe;
        assert_eq!(opens, Some(10 * SECOND));
        let refused = enter(&breaker).unwrap_err().retry_at();
        hand.advance(10 * SECOND);
        let other = beside(&breaker, |breaker| breaker.state());
        match enter(&breaker) {
            Ok(permit) => drop(permit),
            Err(why) if why.reason().code() == "open" => {
                assert_eq!((why.observed(), why.limit()), (Some(2.0), Some(2.0)));
                assert_eq!(why.retry_at(), refused);
            }
            Err(why) => panic!("{why}"),
        }
        other.join().unwrap();
    });
}

/// Calls that are refused by an order are counted, each.
#[test]
fn every_refusal_is_counted() {
    model(|| {
        let (breaker, _hand) = breaker(in_a_row(1));
        breaker.force_open(mandate());
        let other = beside(&breaker, |breaker| {
            assert!(!call(breaker, Outcome::Success))
        });
        assert!(!call(&breaker, Outcome::Success));
        other.join().unwrap();
        assert_eq!(breaker.snapshot().rejected, 2);
    });
}
