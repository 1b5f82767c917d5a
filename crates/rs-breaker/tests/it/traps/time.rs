//! Clocks and windows.

use super::anna;
use crate::support::{Bench, SECOND, percent, plain};
use rs_breaker::{BreakerState, OpenTime, Ramp, Trip, Window};
use std::time::Duration;

#[test]
fn no_time_open_is_a_time() {
    let time = OpenTime::fixed(SECOND).decided_by(|_| Duration::ZERO);
    let bench = Bench::with(plain().with_open_time(time));
    for _ in 0..4 {
        bench.fail();
    }
    assert_eq!(bench.breaker.state(), BreakerState::HalfOpen);
    let time = OpenTime::fixed(SECOND).decided_by(|_| Duration::MAX);
    bench
        .breaker
        .reconfigure(plain().with_open_time(time))
        .unwrap();
    bench.fail();
    let probe = bench.breaker.snapshot().next_probe.unwrap();
    assert!(probe <= 2 * 24 * 3600 * SECOND, "{probe:?}");
}

#[test]
fn a_clock_that_stands_still_stops_nothing() {
    let rules = [Trip::failure_rate(
        percent(50),
        Window::time(10 * SECOND).after(20),
    )];
    let bench = Bench::with(plain().with_trip(rules));
    for _ in 0..10 {
        bench.succeed();
    }
    for failed in 1..=10 {
        assert_eq!(bench.breaker.state(), BreakerState::Closed, "{failed}");
        bench.fail();
    }
    assert_eq!(bench.breaker.state(), BreakerState::Open);
    for _ in 0..1_000 {
        assert!(!bench.succeed());
    }
}

#[test]
fn a_clock_that_jumps_far_ahead_breaks_nothing() {
    let century = 100 * 365 * 24 * 3600 * SECOND;
    let rules = [
        Trip::failure_rate(percent(50), Window::time(SECOND).after(4)),
        Trip::consecutive_failures(50),
    ];
    let ramp = Ramp::over(20 * SECOND);
    let bench = Bench::with(plain().with_trip(rules).with_ramp(ramp));
    for _ in 0..5 {
        for _ in 0..4 {
            assert_eq!(bench.breaker.state(), BreakerState::Closed);
            assert!(bench.fail());
        }
        assert_eq!(bench.breaker.state(), BreakerState::Open);
        let _ = bench.breaker.snapshot().to_value();
        bench.wait(century);
        assert!(bench.enter().is_ok());
        bench.breaker.reset(anna());
    }
    // Further than the clock can go.
    bench.wait(century);
    for _ in 0..8 {
        bench.fail();
    }
    assert!(!bench.succeed());
}

/// What was counted before a long silence is neither kept for ever nor mistaken for what comes.
#[test]
fn a_window_over_time_is_empty_after_a_long_silence() {
    let minutes = |minutes: u32| minutes * 60 * SECOND;
    for span in [SECOND / 10, SECOND, minutes(1)] {
        for silence in [1, 30, 44, 60, 80, 87, 88, 600, 5_000, 10_000, 30_000].map(minutes) {
            let rule = Trip::failure_rate(percent(50), Window::time(span).after(4));
            let bench = Bench::with(plain().with_trip([rule]));
            for _ in 0..3 {
                bench.succeed();
            }
            bench.wait(silence);
            if silence < span {
                continue;
            }
            for _ in 0..3 {
                bench.fail();
            }
            let seen = bench.breaker.snapshot().window_calls;
            let state = bench.breaker.state();
            assert_eq!(
                (seen, state),
                (3, BreakerState::Closed),
                "{span:?} {silence:?}"
            );
            bench.wait(span);
            assert_eq!(
                bench.breaker.snapshot().window_calls,
                0,
                "{span:?} {silence:?}"
            );
        }
    }
}

#[test]
fn a_window_over_calls_slides() {
    let rule = Trip::failure_rate(percent(50), Window::last(10));
    let bench = Bench::with(plain().with_trip([rule]));
    for _ in 0..10_000 {
        bench.succeed();
    }
    for _ in 0..4 {
        bench.fail();
    }
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
    bench.fail();
    assert_eq!(bench.breaker.state(), BreakerState::Open);
}

/// A window that is emptied at once sees two halves of a burst, and neither is enough.
#[test]
fn a_window_over_time_slides_and_does_not_tumble() {
    for begin in 0..20 {
        let rule = Trip::failure_rate(percent(50), Window::time(10 * SECOND).after(10));
        let bench = Bench::with(plain().with_trip([rule]));
        bench.wait(begin * SECOND / 2 + SECOND / 100);
        for _ in 0..5 {
            bench.fail();
        }
        bench.wait(9 * SECOND);
        for _ in 0..5 {
            bench.fail();
        }
        assert_eq!(bench.breaker.state(), BreakerState::Open, "{begin}");
    }
}
