//! What other breakers got wrong, each by name.

mod time;

use crate::support::{Bench, SECOND, percent, plain};
use rs_breaker::{
    Breaker, BreakerConfig, BreakerState, Forced, OpenTime, Probing, Supervisor, Surroundings,
    Trip, Window,
};
use rs_core::{
    Call, Clock, Failure, Fault, FlightRecorder, Guard, Mandate, Outcome, Policy, Share, operation,
};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{Arc, Barrier, OnceLock},
    task::{Context, Waker},
    thread,
    time::Duration,
};

fn anna() -> Mandate {
    Mandate::new("anna", "a drill")
}

/// A breaker that has just become half-open by these rules.
fn half_open(config: BreakerConfig) -> Bench {
    let bench = Bench::with(config);
    while bench.breaker.state() == BreakerState::Closed {
        bench.fail();
    }
    bench.wait(10 * SECOND);
    assert_eq!(bench.breaker.state(), BreakerState::HalfOpen);
    bench
}

#[test]
fn a_cancelled_probe_does_not_close_the_circuit() {
    let bench = half_open(plain().with_probing(Probing::needing(1).at_once(1)));
    for _ in 0..100 {
        drop(bench.enter().unwrap());
        assert_eq!(bench.breaker.state(), BreakerState::HalfOpen);
    }
    assert!(bench.succeed(), "its place is free again");
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
    assert_eq!(bench.breaker.snapshot().cancelled, 100);
}

#[test]
fn a_hung_probe_does_not_wedge_half_open() {
    let probing = Probing::needing(1).of(3).at_once(1).with_lease(5 * SECOND);
    let bench = half_open(plain().with_probing(probing));
    let mut hung = Vec::new();
    for _ in 0..2 {
        hung.push(bench.enter().unwrap());
        assert!(!bench.succeed());
        bench.wait(5 * SECOND);
    }
    assert!(bench.succeed());
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
    drop(hung);
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
}

/// A supervisor that has promised to look at the time and never does.
#[test]
fn a_hung_probe_does_not_wedge_half_open_beside_a_hung_supervisor() {
    let probing = Probing::needing(1).of(2).at_once(1).with_lease(5 * SECOND);
    let bench = half_open(plain().with_probing(probing));
    let mut running = pin!(Supervisor::of(&bench.around).run());
    let mut context = Context::from_waker(Waker::noop());
    assert!(running.as_mut().poll(&mut context).is_pending());
    assert!(Supervisor::of(&bench.around).is_running());
    let _hung = bench.enter().unwrap();
    bench.wait(5 * SECOND);
    assert!((0..=150).any(|_| bench.succeed()));
    // So does every other state that ends by time.
    for forced in [Forced::Open, Forced::Isolated] {
        bench.breaker.force(forced, anna().lasting(SECOND));
        bench.wait(SECOND);
        assert!((0..=150).any(|_| bench.succeed()), "{forced:?}");
    }
}

#[test]
fn a_late_success_does_not_decide_the_state() {
    let bench = Bench::with(plain());
    let (while_open, while_half_open) = (bench.enter().unwrap(), bench.enter().unwrap());
    while bench.breaker.state() == BreakerState::Closed {
        bench.fail();
    }
    while_open.finish(Outcome::Success);
    assert_eq!(bench.breaker.state(), BreakerState::Open);
    bench.wait(10 * SECOND);
    assert_eq!(bench.breaker.state(), BreakerState::HalfOpen);
    while_half_open.finish(Outcome::Success);
    assert_eq!(bench.breaker.state(), BreakerState::HalfOpen);
    assert_eq!(bench.breaker.snapshot().stale, 2);
}

#[test]
fn a_late_failure_does_not_decide_the_state() {
    let bench = Bench::with(plain().with_trip([Trip::consecutive_failures(1)]));
    let late = bench.enter().unwrap();
    bench.breaker.reset(anna());
    late.finish(Outcome::TRANSIENT);
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
    assert_eq!(bench.breaker.snapshot().stale, 1);
}

#[test]
fn a_late_success_of_an_older_half_open_cycle_does_not_decide_a_newer_one() {
    let bench = half_open(plain().with_probing(Probing::needing(1).of(1).at_once(2)));
    let late = bench.enter().unwrap();
    bench.breaker.force_open(anna());
    bench.breaker.release(anna());
    // Both are the first probe of their cycle.
    let probe = bench.enter().unwrap();
    assert!(probe.ticket().unwrap().is_probe());
    late.finish(Outcome::Success);
    assert_eq!(bench.breaker.state(), BreakerState::HalfOpen);
    assert!(bench.enter().is_err(), "the place is still taken");
    probe.finish(Outcome::TRANSIENT);
    assert_eq!(bench.breaker.state(), BreakerState::Open);
}

#[test]
fn half_open_does_not_admit_all_fifty_concurrent_callers() {
    let bench = half_open(plain().with_probing(Probing::needing(3).of(5).at_once(2)));
    let (ready, decided) = (Barrier::new(50), Barrier::new(50));
    let admitted: usize = thread::scope(|scope| {
        let callers: Vec<_> = (0..50)
            .map(|_| {
                scope.spawn(|| {
                    ready.wait();
                    let permit = bench.enter();
                    decided.wait();
                    usize::from(permit.is_ok())
                })
            })
            .collect();
        callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .sum()
    });
    assert_eq!(admitted, 2);
    assert_eq!(bench.breaker.snapshot().rejected, 48);
}

#[test]
fn the_rejection_counter_does_not_stop_while_it_is_forced_open() {
    for forced in [Forced::Open, Forced::Isolated] {
        let bench = Bench::with(plain());
        bench.breaker.force(forced, anna());
        for count in 1..=100 {
            assert!(!bench.succeed());
            assert_eq!(bench.breaker.snapshot().rejected, count);
        }
    }
}

#[test]
fn a_reload_does_not_reset_the_window() {
    let rules = |half: u32| {
        [
            Trip::failure_rate(percent(half), Window::last(10).after(10)),
            Trip::failure_rate(percent(half), Window::time(60 * SECOND).after(10)),
            Trip::consecutive_failures(100),
        ]
    };
    for (place, rule) in rules(50).into_iter().take(2).enumerate() {
        let bench = Bench::with(plain().with_trip([rule]));
        for _ in 0..9 {
            bench.fail();
        }
        let in_flight = bench.enter().unwrap();
        let other = plain().with_trip([rules(60)[place]]);
        assert_eq!(bench.breaker.reconfigure(other), Ok(2));
        assert_eq!(bench.breaker.snapshot().window_calls, 9, "{rule:?}");
        in_flight.finish(Outcome::TRANSIENT);
        assert_eq!(bench.breaker.state(), BreakerState::Open, "{rule:?}");
        bench.breaker.reconfigure(plain()).unwrap();
        assert_eq!(bench.breaker.state(), BreakerState::Open, "nor the state");
    }
}

#[test]
fn a_wrong_reload_changes_nothing() {
    let bench = Bench::with(plain());
    for _ in 0..3 {
        bench.fail();
    }
    let before = (bench.breaker.config(), bench.breaker.snapshot());
    let wrong = plain().with_trip([Trip::consecutive_failures(5), Trip::consecutive_failures(0)]);
    let error = bench.breaker.reconfigure(wrong).unwrap_err();
    assert_eq!(error.field(), "trip[1].consecutive_failures");
    assert_eq!((bench.breaker.config(), bench.breaker.snapshot()), before);
}

/// A function that decides how long asks the breaker, and orders it about.
#[test]
fn callbacks_that_call_into_the_breaker_do_not_deadlock() {
    let own: Arc<OnceLock<Breaker>> = Arc::default();
    let known = Arc::clone(&own);
    let time = OpenTime::fixed(SECOND)
        .with_jitter(Share::NONE)
        .decided_by(move |opening| {
            let breaker = known.get().unwrap();
            assert_eq!(breaker.snapshot().state, BreakerState::Open);
            assert!(breaker.try_admit(&Call::new("from inside")).is_err());
            if opening.relapses == 1 {
                breaker.reset(anna());
            }
            30 * SECOND
        });
    let bench = Bench::with(plain().with_open_time(time));
    own.set(bench.breaker.clone()).unwrap();
    let mut observer = bench.around.recorder().observe();
    let mut heard = Vec::new();
    for _ in 0..4 {
        bench.fail();
        while let Some(recorded) = observer.try_next() {
            heard.push((
                recorded.signal.kind().name(),
                bench.breaker.snapshot().state,
            ));
        }
    }
    assert_eq!(heard, [("opened", BreakerState::Open)]);
    assert_eq!(bench.breaker.snapshot().next_probe, Some(30 * SECOND));
    bench.wait(30 * SECOND);
    bench.fail();
    assert_eq!(
        bench.breaker.state(),
        BreakerState::Closed,
        "as it was told from inside"
    );
}

#[test]
fn a_callback_that_panics_leaves_the_breaker_usable() {
    let panics = |_: &rs_breaker::Opening| panic!("a callback that panics");
    let time = OpenTime::fixed(10 * SECOND)
        .with_jitter(Share::NONE)
        .decided_by(panics);
    let bench = half_open(plain().with_open_time(time));
    assert!(bench.succeed());
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
    assert!(
        bench.said().iter().any(|said| said.contains("panicked")),
        "{:?}",
        bench.said()
    );
}

#[tokio::test]
async fn a_classifier_that_panics_counts_as_a_failure_of_that_call() {
    let bench = Bench::with(plain().with_trip([Trip::consecutive_failures(2)]));
    let call = Call::new("classify");
    let panics = |_: Result<&u32, &()>| -> Outcome { panic!("a classifier that panics") };
    let odd = operation(async |_call: Call| Ok::<u32, ()>(1)).classified(panics);
    assert_eq!(
        bench.breaker.run(&call, &odd).await,
        Ok(1),
        "the caller has its result"
    );
    let now = bench.breaker.snapshot();
    assert_eq!((now.failures, now.consecutive_failures), (1, 1));
    let said = FlightRecorder::global().recent(1_000);
    let about = |kind| {
        let mut about = said
            .iter()
            .filter(|one| one.signal.call() == Some(call.id()));
        about.any(|one| one.signal.kind().name() == kind)
    };
    assert!(about("classifier_panicked"));
    assert!(bench.succeed(), "it is usable");
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a test stands in for the caller")]
async fn an_operation_that_panics_is_a_cancelled_call() {
    let bench = Bench::with(plain());
    let breaker = bench.breaker.clone();
    let call = async move |_call: Call| -> Result<(), ()> { panic!("an operation that panics") };
    let panicked = tokio::spawn(async move { breaker.call("panic", call).await }).await;
    assert!(panicked.unwrap_err().is_panic());
    let blocking = catch_unwind(AssertUnwindSafe(|| {
        let operation = |_| -> Result<(), ()> { panic!("an operation that panics") };
        bench
            .breaker
            .call_blocking("panic", &rs_core::ByResult, operation)
    }));
    assert!(blocking.is_err());
    let now = bench.breaker.snapshot();
    assert_eq!((now.cancelled, now.successes, now.failures), (2, 0, 0));
    // A probe that panics gives its place back.
    let bench = half_open(plain().with_probing(Probing::needing(1).at_once(1)));
    let _ = catch_unwind(AssertUnwindSafe(|| {
        let _probe = bench.enter().unwrap();
        panic!("a probe that panics");
    }));
    assert!(bench.succeed());
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
}

#[test]
fn ignored_errors_neither_open_nor_close_it() {
    let bench = Bench::with(plain().with_trip([Trip::consecutive_failures(3)]));
    for _ in 0..2 {
        bench.fail();
    }
    for _ in 0..1_000 {
        bench.call(Outcome::Ignored);
    }
    let now = bench.breaker.snapshot();
    assert_eq!((now.consecutive_failures, now.ignored), (2, 1_000));
    bench.fail();
    assert_eq!(bench.breaker.state(), BreakerState::Open);
    bench.wait(10 * SECOND);
    for _ in 0..1_000 {
        assert!(bench.call(Outcome::Ignored), "a place is free each time");
        assert_eq!(bench.breaker.state(), BreakerState::HalfOpen);
    }
    assert!(bench.succeed());
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
}

#[test]
fn a_breaker_that_everybody_ignores_does_not_open() {
    let rules = [
        Trip::failure_rate(percent(1), Window::last(10).after(1)),
        Trip::failure_rate(percent(1), Window::time(SECOND).after(1)),
        Trip::slow_rate(percent(1), SECOND, Window::last(10).after(1)),
        Trip::consecutive_failures(1),
    ];
    let bench = Bench::with(plain().with_trip(rules));
    for _ in 0..1_000 {
        bench
            .enter()
            .unwrap()
            .finish_after(Outcome::Ignored, 60 * SECOND);
    }
    let now = bench.breaker.snapshot();
    assert_eq!((now.state, now.window_calls), (BreakerState::Closed, 0));
}

#[test]
fn what_the_server_asks_for_is_bounded_and_belongs_to_its_failure() {
    let time = OpenTime::fixed(10 * SECOND)
        .with_jitter(Share::NONE)
        .honouring_hints(60 * SECOND);
    let config = plain()
        .with_open_time(time)
        .with_trip([Trip::consecutive_failures(2)]);
    let hinted = |hint| Outcome::from(Fault::throttled().after(hint));
    for (hints, expected) in [
        ([None, Some(30 * SECOND)], 30 * SECOND),
        ([Some(30 * SECOND), None], 10 * SECOND),
        ([None, Some(Duration::MAX)], 60 * SECOND),
        ([None, Some(Duration::ZERO)], 10 * SECOND),
    ] {
        let bench = Bench::with(config.clone());
        for hint in hints {
            bench.call(hint.map_or(Outcome::TRANSIENT, hinted));
        }
        assert_eq!(
            bench.breaker.snapshot().next_probe,
            Some(expected),
            "{hints:?}"
        );
        bench.wait(expected);
        bench.call(hinted(20 * SECOND));
        assert_eq!(
            bench.breaker.snapshot().next_probe,
            Some(20 * SECOND),
            "a probe's too"
        );
    }
}

#[test]
fn probes_go_on_under_other_rules() {
    let probing = Probing::needing(3).of(5).at_once(3);
    let bench = half_open(plain().with_probing(probing));
    let reconfigure = |probing| {
        bench
            .breaker
            .reconfigure(plain().with_probing(probing))
            .unwrap()
    };
    let out = [(); 3].map(|()| bench.enter().unwrap());
    assert!(bench.enter().is_err());
    // Fewer places: who is out stays out, and nobody else comes in meanwhile.
    reconfigure(Probing::needing(3).of(5).at_once(1));
    let [first, second, third] = out;
    first.finish(Outcome::Success);
    assert!(bench.enter().is_err());
    second.finish(Outcome::TRANSIENT);
    assert!(bench.enter().is_err());
    // More of them.
    reconfigure(Probing::needing(3).of(5).at_once(5));
    let more = [(); 2].map(|()| bench.enter().unwrap());
    assert!(
        bench.enter().is_err(),
        "five can decide, and five were let in"
    );
    // What has ended is enough by the new rules, one way or the other.
    third.finish(Outcome::Success);
    assert_eq!(bench.breaker.state(), BreakerState::HalfOpen);
    reconfigure(Probing::needing(2).of(4));
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
    let stale = bench.breaker.snapshot().stale;
    more.into_iter()
        .for_each(|permit| permit.finish(Outcome::TRANSIENT));
    assert_eq!(bench.breaker.snapshot().stale, stale + 2);
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
}

#[test]
fn a_slow_probe_is_no_sign_of_health() {
    let rule = Trip::slow_rate(percent(50), SECOND, Window::last(4).after(2));
    let bench = Bench::with(plain().with_trip([rule]));
    for _ in 0..2 {
        bench
            .enter()
            .unwrap()
            .finish_after(Outcome::Success, 2 * SECOND);
    }
    assert_eq!(bench.breaker.state(), BreakerState::Open);
    bench.wait(10 * SECOND);
    let probe = bench.enter().unwrap();
    bench.wait(2 * SECOND);
    probe.finish(Outcome::Success);
    assert_eq!(bench.breaker.state(), BreakerState::Open);
}

/// Two breakers of one configuration and one name are two breakers; a clone is the same.
#[tokio::test]
async fn a_clone_is_the_same_breaker() {
    let (clock, _hand) = Clock::manual();
    let around = Surroundings::apart().with_clock(clock);
    let breaker = Breaker::within(&around, "one", plain()).unwrap();
    let (clone, other) = (
        breaker.clone(),
        Breaker::within(&around, "one", plain()).unwrap(),
    );
    breaker.force_open(anna());
    let call = async |_call: Call| Ok::<_, ()>(());
    assert!(matches!(
        clone.call("x", call).await,
        Err(Failure::Rejected(_))
    ));
    assert_eq!(other.call("x", call).await, Ok(()));
}
