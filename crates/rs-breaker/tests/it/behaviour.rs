//! What a breaker does, told as stories.

use crate::support::{Bench, SECOND, percent, plain};
use rs_breaker::{BreakerConfig, BreakerState, Curve, Forced, Probing, Ramp, Trip};
use rs_core::{Fault, Guard, Mandate, Outcome};

#[test]
fn a_life() {
    let bench = Bench::with(plain());
    for _ in 0..2 {
        assert!(bench.succeed());
    }
    assert!(bench.fail());
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
    assert!(bench.fail(), "the fourth call is half of four");
    assert_eq!(bench.breaker.state(), BreakerState::Open);

    let why = bench.enter().unwrap_err();
    assert_eq!(why.observed(), Some(0.5));
    assert_eq!(why.limit(), Some(0.5));
    assert_eq!(why.reason().code(), "open");
    let now = bench.breaker.snapshot();
    assert_eq!(now.next_probe, Some(10 * SECOND));

    bench.wait(10 * SECOND);
    let probe = bench.enter().unwrap();
    assert_eq!(bench.breaker.state(), BreakerState::HalfOpen);
    assert_eq!(bench.enter().unwrap_err().reason().code(), "half_open");
    probe.finish(Outcome::Success);
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
    assert_eq!(
        bench.said(),
        [
            "breaker payments: opened, 2 of 4 failed (limit 50%), next probe in 10s",
            "breaker payments: half-open, lets probes through",
            "breaker payments: closed, 1 of 1 probes succeeded",
        ]
    );
}

#[test]
fn ramps_up() {
    let ramp = Ramp::over(20 * SECOND)
        .starting_at(percent(5))
        .along(Curve::Linear);
    let bench = Bench::with(plain().with_ramp(ramp));
    for _ in 0..4 {
        bench.fail();
    }
    bench.wait(10 * SECOND);
    assert!(bench.succeed());
    assert_eq!(bench.breaker.state(), BreakerState::Ramping);
    let admitted = |bench: &Bench| (0..10_000).filter(|_| bench.succeed()).count();
    let share = admitted(&bench);
    assert!((400..600).contains(&share), "{share} of 10000 at 5%");
    bench.wait(10 * SECOND);
    let share = admitted(&bench);
    assert!((5_000..5_500).contains(&share), "{share} of 10000 at 52%");
    bench.wait(10 * SECOND);
    assert!(bench.succeed());
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
}

#[test]
fn a_relapse_in_the_ramp_opens_it_again() {
    let bench = Bench::with(plain().with_ramp(Ramp::over(20 * SECOND).starting_at(percent(50))));
    for _ in 0..4 {
        bench.fail();
    }
    bench.wait(10 * SECOND);
    bench.succeed();
    assert_eq!(bench.breaker.state(), BreakerState::Ramping);
    while !bench.fail() {}
    assert_eq!(bench.breaker.state(), BreakerState::Open);
}

#[test]
fn orders() {
    let bench = Bench::with(plain());
    bench
        .breaker
        .force_open(Mandate::new("anna", "a drill").lasting(60 * SECOND));
    assert_eq!(bench.enter().unwrap_err().reason().code(), "forced_open");
    assert_eq!(bench.breaker.snapshot().rejected, 1);
    bench.wait(60 * SECOND);
    assert_eq!(bench.breaker.state(), BreakerState::HalfOpen);
    assert!(bench.succeed());

    bench
        .breaker
        .force(Forced::Closed, Mandate::new("anna", "it must go through"));
    for _ in 0..20 {
        assert!(bench.fail());
    }
    assert!(bench.breaker.release(Mandate::new("anna", "enough")));
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
    bench.fail();
    assert_eq!(
        bench.breaker.state(),
        BreakerState::Open,
        "what was counted meanwhile counts"
    );
}

#[test]
fn what_the_server_asks_for_is_kept() {
    let config = plain().with_open_time(
        rs_breaker::OpenTime::fixed(SECOND)
            .with_jitter(percent(0))
            .honouring_hints(60 * SECOND),
    );
    let bench = Bench::with(config);
    for _ in 0..4 {
        bench.call(Fault::throttled().after(30 * SECOND).into());
    }
    assert_eq!(bench.breaker.snapshot().next_probe, Some(30 * SECOND));
}

#[test]
fn a_lease_runs_out() {
    let probing = Probing::needing(1).of(2).at_once(1).with_lease(5 * SECOND);
    let bench = Bench::with(plain().with_probing(probing));
    for _ in 0..4 {
        bench.fail();
    }
    bench.wait(10 * SECOND);
    let hung = bench.enter().unwrap();
    assert!(bench.enter().is_err());
    bench.wait(5 * SECOND);
    let other = bench.enter().unwrap();
    hung.finish(Outcome::Success);
    assert_eq!(
        bench.breaker.state(),
        BreakerState::HalfOpen,
        "too late to decide"
    );
    other.finish(Outcome::Success);
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
    assert_eq!(bench.breaker.snapshot().stale, 1);
}

#[test]
fn consecutive() {
    let bench = Bench::with(BreakerConfig::default().with_trip([Trip::consecutive_failures(3)]));
    for _ in 0..2 {
        bench.fail();
    }
    bench.succeed();
    for _ in 0..2 {
        bench.fail();
    }
    assert_eq!(bench.breaker.snapshot().failures_to_trip, Some(1));
    drop(
        bench
            .breaker
            .try_admit(&rs_core::Call::new("cancelled"))
            .unwrap(),
    );
    bench.fail();
    assert_eq!(bench.breaker.state(), BreakerState::Open);
}
