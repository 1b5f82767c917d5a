//! What a breaker takes from the heap: nothing for a call, and little for itself.

use crate::support::{Bench, SECOND, percent, plain};
use allocation_counter::measure;
use rs_breaker::{
    Breaker, BreakerConfig, BreakerRegistry, BreakerState, Probing, Ramp, RegistryConfig,
    Surroundings, Timing, Trip, Window,
};
use rs_core::{Call, Clock, Enforcement, Guard, Mandate, Outcome};
use std::sync::Arc;

#[track_caller]
fn check_nothing(run: impl Fn()) {
    // The first run pays for thread locals and lazy statics.
    run();
    let found = measure(|| {
        for _ in 0..100 {
            run();
        }
    });
    assert_eq!(found.count_total, 0);
}

fn calm() -> BreakerConfig {
    plain().with_trip([
        Trip::consecutive_failures(1_000_000),
        Trip::failure_rate(percent(100), Window::last(100).after(100)),
        Trip::failure_rate(percent(100), Window::time(SECOND).after(1_000_000)),
        Trip::slow_rate(percent(100), SECOND, Window::last(100).after(100)),
    ])
}

#[test]
fn a_call_that_is_let_in_allocates_nothing() {
    for timing in [Timing::Off, Timing::Sampled, Timing::Every] {
        for config in [plain(), calm()] {
            let bench = Bench::with(config.with_timing(timing));
            check_nothing(|| assert!(bench.succeed()));
            check_nothing(|| drop(bench.enter()));
            check_nothing(|| assert!(bench.call(Outcome::Ignored)));
        }
    }
}

#[test]
fn a_failure_below_the_limit_allocates_nothing() {
    let bench = Bench::with(calm());
    check_nothing(|| {
        bench.succeed();
        assert!(bench.fail());
        bench.wait(SECOND / 7);
    });
    check_nothing(|| {
        bench.succeed();
        bench
            .enter()
            .unwrap()
            .finish_after(Outcome::TRANSIENT, 2 * SECOND);
    });
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
}

#[test]
fn a_refusal_allocates_nothing() {
    let bench = Bench::with(plain().with_probing(Probing::needing(1).at_once(1)));
    bench.breaker.isolate(Mandate::new("anna", "a drill"));
    check_nothing(|| assert!(bench.enter().is_err()));
    bench.breaker.reset(Mandate::new("anna", "enough"));
    while bench.fail() {}
    assert_eq!(bench.breaker.state(), BreakerState::Open);
    check_nothing(|| assert!(bench.enter().is_err()));
    bench.wait(10 * SECOND);
    let probe = bench.enter().unwrap();
    check_nothing(|| assert!(bench.enter().is_err()));
    let ramp = Ramp::over(20 * SECOND).starting_at(percent(1));
    bench.breaker.reconfigure(plain().with_ramp(ramp)).unwrap();
    probe.finish(Outcome::Success);
    assert_eq!(bench.breaker.state(), BreakerState::Ramping);
    check_nothing(|| drop(bench.enter()));
    // In the dark.
    bench
        .breaker
        .reconfigure(plain().with_enforcement(Enforcement::Dark))
        .unwrap();
    for _ in 0..10 {
        bench.fail();
    }
    check_nothing(|| assert!(bench.fail()));
}

/// What is kept of what was allocated.
fn kept<T>(make: impl FnOnce() -> T) -> (T, i64) {
    let mut kept = None;
    let found = measure(|| kept = Some(make()));
    (kept.unwrap(), found.bytes_current)
}

#[test]
fn a_breaker_takes_less_than_a_kibibyte() {
    let (clock, _hand) = Clock::manual();
    let around = Surroundings::apart().with_clock(clock);
    let rule = Trip::failure_rate(percent(50), Window::last(100));
    let config = BreakerConfig::default().with_trip([rule]);
    // What breakers in the same surroundings share is made with the first.
    let _first = Breaker::within(&around, "first", config.clone()).unwrap();
    let (_copy, rules) = kept(|| Arc::new(config.clone()));
    let (breaker, bytes) = kept(|| Breaker::within(&around, "one", config.clone()).unwrap());
    let own = bytes - rules;
    println!("a breaker with a window of 100 takes {own} bytes, and {rules} for its configuration");
    assert!(own <= 1024, "{own}");
    // Nor does it grow by being used from one thread.
    let ((), more) = kept(|| {
        for _ in 0..10_000 {
            let permit = breaker.try_admit(&Call::new("x"));
            permit.unwrap().finish(Outcome::Success);
        }
    });
    assert_eq!(more, 0);
}

#[test]
fn a_hundred_thousand_keyed_breakers_take_less_than_a_hundred_megabytes() {
    let (clock, _hand) = Clock::manual();
    let around = Surroundings::apart().with_clock(clock);
    let rules = RegistryConfig::default().with_limit(100_000);
    let breakers = BreakerRegistry::keyed_within(&around, "keyed", rules).unwrap();
    let number = 10_000;
    let ((), bytes) = kept(|| {
        for key in 0..number {
            let _ = breakers.get(&format!("10.0.{}.{}:8443", key / 256, key % 256));
        }
    });
    assert_eq!(breakers.len(), number);
    let each = bytes / number as i64;
    println!(
        "a keyed breaker takes {each} bytes, 100,000 take {} MB",
        each / 10
    );
    assert!(each * 100_000 <= 100_000_000, "{each}");
}
