//! What a breaker says about itself, against stories whose numbers are known.

#[cfg(feature = "serde")]
mod written;

use crate::support::{Bench, SECOND, percent, plain};
use rs_breaker::{
    BreakerConfig, BreakerState, CauseKind, Curve, Forced, OpenTime, Ramp, Timing, Trip, Window,
};
use rs_core::{Enforcement, Fault, Mandate, Outcome, Share};
use std::time::Duration;

const MILLI: Duration = Duration::from_millis(1);

fn watchful() -> BreakerConfig {
    plain().with_timing(Timing::Every).with_trip([
        Trip::failure_rate(percent(50), Window::last(10).after(6)),
        Trip::slow_rate(percent(90), SECOND, Window::last(10).after(10)),
        Trip::consecutive_failures(20),
    ])
}

fn take(bench: &Bench, outcome: Outcome, time: Duration) {
    bench.enter().unwrap().finish_after(outcome, time);
}

/// Six calls that ended, two that were dropped, then it opens and refuses three.
fn story() -> Bench {
    let bench = Bench::with(watchful());
    bench.wait(SECOND);
    take(&bench, Outcome::Success, 10 * MILLI);
    take(&bench, Outcome::Success, 10 * MILLI);
    take(&bench, Outcome::Success, 2 * SECOND);
    take(&bench, Outcome::Ignored, 20 * MILLI);
    take(&bench, Fault::timed_out().into(), 3 * SECOND);
    for _ in 0..2 {
        drop(bench.enter());
    }
    bench.wait(SECOND);
    bench
}

fn opened() -> Bench {
    let bench = story();
    let late = bench.enter().unwrap();
    for _ in 0..2 {
        take(&bench, Outcome::TRANSIENT, 10 * MILLI);
    }
    late.finish(Outcome::Success);
    bench.wait(4 * SECOND);
    for _ in 0..3 {
        assert!(!bench.succeed());
    }
    bench
}

#[test]
fn a_new_breaker_has_nothing_to_say() {
    let now = Bench::with(plain()).breaker.snapshot();
    assert_eq!((now.name, now.state), ("payments", BreakerState::Closed));
    assert_eq!(
        (now.generation, now.config_version, now.state_changes),
        (0, 1, 0)
    );
    assert_eq!(
        (
            now.total_requests,
            now.window_calls,
            now.consecutive_failures
        ),
        (0, 0, 0)
    );
    assert_eq!(
        (now.failure_rate, now.slow_rate),
        (Share::NONE, Share::NONE)
    );
    assert_eq!((now.admitted, now.enforced), (Share::ALL, Share::ALL));
    assert_eq!(now.failures_to_trip, Some(4));
    assert_eq!(
        (now.cause, now.order, now.next_probe, now.response_times),
        (None, None, None, None)
    );
    assert_eq!(
        (now.relapses, now.advised, now.time_in_state),
        (0, false, Duration::ZERO)
    );
}

#[test]
fn while_it_is_closed() {
    let now = story().breaker.snapshot();
    assert_eq!(now.state, BreakerState::Closed);
    assert_eq!(now.time_in_state, 2 * SECOND);
    assert_eq!(
        (
            now.total_requests,
            now.successes,
            now.failures,
            now.timeouts
        ),
        (7, 3, 1, 1)
    );
    assert_eq!(
        (now.ignored, now.cancelled, now.stale, now.rejected),
        (1, 2, 0, 0)
    );
    assert_eq!(
        (now.failure_rate, now.slow_rate),
        (percent(25), percent(50))
    );
    assert_eq!((now.window_calls, now.consecutive_failures), (4, 1));
    assert_eq!(
        now.failures_to_trip,
        Some(2),
        "3 of 6 would be half, and enough calls"
    );
    assert_eq!(
        (now.admitted, now.next_probe, now.cause),
        (Share::ALL, None, None)
    );
}

#[test]
fn while_it_is_open() {
    let now = opened().breaker.snapshot();
    assert_eq!(
        (now.state, now.time_in_state),
        (BreakerState::Open, 4 * SECOND)
    );
    assert_eq!((now.generation, now.state_changes, now.relapses), (1, 1, 1));
    assert_eq!(
        (
            now.total_requests,
            now.successes,
            now.failures,
            now.timeouts
        ),
        (13, 3, 3, 1)
    );
    assert_eq!(
        (now.ignored, now.cancelled, now.stale, now.rejected),
        (1, 2, 1, 3)
    );
    let cause = now.cause.unwrap();
    assert_eq!(
        (cause.kind, cause.calls, cause.bad),
        (CauseKind::FailureRate, 6, 3)
    );
    assert_eq!((cause.observed, cause.limit), (0.5, 0.5));
    assert_eq!(
        (
            now.window_calls,
            now.consecutive_failures,
            now.failures_to_trip
        ),
        (0, 0, None)
    );
    assert_eq!(
        (now.next_probe, now.admitted),
        (Some(6 * SECOND), Share::NONE)
    );
}

#[test]
fn while_it_recovers() {
    let ramp = Ramp::over(20 * SECOND)
        .starting_at(percent(10))
        .along(Curve::Linear);
    let bench = Bench::with(plain().with_ramp(ramp));
    for _ in 0..4 {
        bench.fail();
    }
    bench.wait(12 * SECOND);
    let now = bench.breaker.snapshot();
    assert_eq!(
        (now.state, now.time_in_state),
        (BreakerState::HalfOpen, Duration::ZERO)
    );
    assert_eq!(
        (now.next_probe, now.admitted, now.failures_to_trip),
        (None, Share::NONE, None)
    );
    bench.succeed();
    bench.wait(10 * SECOND);
    let now = bench.breaker.snapshot();
    assert_eq!(
        (now.state, now.time_in_state),
        (BreakerState::Ramping, 10 * SECOND)
    );
    assert_eq!(now.admitted, percent(55));
    assert_eq!((now.generation, now.state_changes), (3, 3));
    assert_eq!(
        now.failures_to_trip,
        Some(1),
        "a relapse shows at once: the rule asks for one call"
    );
    bench.wait(10 * SECOND);
    let now = bench.breaker.snapshot();
    assert_eq!(
        (now.state, now.generation, now.state_changes),
        (BreakerState::Closed, 3, 4)
    );
    assert_eq!((now.successes, now.failures, now.relapses), (1, 4, 1));
}

#[test]
fn while_it_is_under_an_order() {
    #[track_caller]
    fn check(forced: Forced, state: BreakerState, admitted: Share, next_probe: Option<Duration>) {
        let bench = Bench::with(plain());
        let mandate = Mandate::new("anna", "a drill").lasting(60 * SECOND);
        bench.breaker.force(forced, mandate);
        bench.wait(20 * SECOND);
        let now = bench.breaker.snapshot();
        assert_eq!(
            (now.state, now.admitted, now.next_probe),
            (state, admitted, next_probe)
        );
        let order = now.order.unwrap();
        assert_eq!((order.forced, order.ends_in), (forced, Some(40 * SECOND)));
        assert_eq!(
            (order.author.as_str(), order.reason.as_str()),
            ("anna", "a drill")
        );
        bench
            .breaker
            .force(forced, Mandate::new("berta", "for good"));
        let now = bench.breaker.snapshot();
        assert_eq!((now.order.unwrap().ends_in, now.next_probe), (None, None));
    }
    let in_40 = Some(40 * SECOND);
    check(Forced::Open, BreakerState::ForcedOpen, Share::NONE, in_40);
    check(Forced::Isolated, BreakerState::Isolated, Share::NONE, in_40);
    check(Forced::Closed, BreakerState::ForcedClosed, Share::ALL, None);
}

#[test]
fn in_the_dark() {
    let bench = Bench::with(plain().with_enforcement(Enforcement::Partial(Share::NONE)));
    for _ in 0..10 {
        bench.fail();
    }
    let now = bench.breaker.snapshot();
    assert_eq!((now.enforced, now.state), (Share::NONE, BreakerState::Open));
    assert_eq!((now.dark_rejections, now.rejected), (6, 0));
    assert_eq!(
        (now.total_requests, now.failures),
        (10, 10),
        "they went through"
    );
}

#[test]
fn without_a_window_the_rates_are_those_of_all_calls() {
    let bench = Bench::with(plain().with_trip([Trip::consecutive_failures(9)]));
    for _ in 0..3 {
        bench.succeed();
    }
    bench.fail();
    let now = bench.breaker.snapshot();
    assert_eq!((now.failure_rate, now.window_calls), (percent(25), 4));
    assert_eq!(
        (now.consecutive_failures, now.failures_to_trip),
        (1, Some(8))
    );
}

#[test]
fn how_far_it_is_from_opening() {
    #[track_caller]
    fn check(trip: &[Trip], successes: u32, failures: u32, expected: u32) {
        let bench = Bench::with(plain().with_trip(trip.to_vec()));
        (0..successes).for_each(|_| assert!(bench.succeed()));
        (0..failures).for_each(|_| assert!(bench.fail()));
        assert_eq!(bench.breaker.snapshot().failures_to_trip, Some(expected));
        for left in (0..expected).rev() {
            assert!(bench.fail());
            let open = bench.breaker.state() == BreakerState::Open;
            assert_eq!(open, left == 0, "{left} left");
        }
    }
    let rate = |share, calls, minimum| {
        Trip::failure_rate(percent(share), Window::last(calls).after(minimum))
    };
    check(&[rate(50, 10, 4)], 0, 0, 4);
    check(&[rate(50, 10, 4)], 10, 0, 5);
    check(&[rate(50, 100, 20)], 100, 0, 50);
    check(&[rate(100, 100, 1)], 100, 0, 100);
    check(
        &[rate(50, 100, 20), Trip::consecutive_failures(7)],
        100,
        3,
        4,
    );
    check(
        &[Trip::failure_rate(
            percent(50),
            Window::time(60 * SECOND).after(5),
        )],
        7,
        0,
        7,
    );
    check(&[Trip::consecutive_failures(8)], 3, 2, 6);
}

#[test]
fn response_times_are_read_off_the_buckets() {
    #[track_caller]
    fn check(times: impl IntoIterator<Item = u32>, expected: [u32; 4]) {
        let bench = Bench::with(plain().with_timing(Timing::Every));
        let mut calls = 0;
        for time in times {
            take(&bench, Outcome::Success, time * MILLI);
            calls += 1;
        }
        let shown = bench.breaker.snapshot().response_times.unwrap();
        assert_eq!(shown.timed, calls);
        let shown = [shown.mean, shown.p50, shown.p95, shown.p99];
        let micros = shown.map(|time| time.as_nanos().div_ceil(1000));
        assert_eq!(micros, expected.map(u128::from), "in microseconds");
    }
    check(1..=100, [50_500, 50_000, 95_000, 99_000]);
    check([100; 10], [100_000, 75_000, 97_500, 99_500]);
    check(
        [60_000; 3],
        [60_000_000, 30_000_000, 30_000_000, 30_000_000],
    );
    check([0], [0, 250, 475, 495]);
    check(
        std::iter::repeat_n(2, 99).chain([9_000]),
        [91_980, 1_758, 2_440, 2_500],
    );
}

#[test]
fn only_what_is_asked_for_is_timed() {
    let timed = |timing, calls: usize, own: bool| {
        let bench = Bench::with(plain().with_timing(timing));
        for _ in 0..calls {
            let permit = bench.enter().unwrap();
            bench.wait(10 * MILLI);
            if own {
                permit.finish_after(Outcome::Success, 20 * MILLI);
            } else {
                permit.finish(Outcome::Success);
            }
        }
        bench.breaker.snapshot().response_times
    };
    assert_eq!(timed(Timing::Off, 1000, false), None);
    let every = timed(Timing::Every, 1000, false).unwrap();
    assert_eq!((every.timed, every.mean), (1000, 10 * MILLI));
    let told = timed(Timing::Every, 1000, true).unwrap();
    assert_eq!(
        (told.timed, told.mean),
        (1000, 20 * MILLI),
        "the caller knows better"
    );
    let sampled = timed(Timing::Sampled, 32_000, false).unwrap();
    assert!((250..2_000).contains(&sampled.timed), "{}", sampled.timed);
    assert_eq!(sampled.mean, 10 * MILLI);
}

#[test]
fn a_decision_of_the_open_time_shows_in_the_next_probe() {
    let open_time = OpenTime::fixed(10 * SECOND)
        .with_jitter(percent(0))
        .decided_by(|_| 90 * SECOND);
    let bench = Bench::with(plain().with_open_time(open_time));
    for _ in 0..4 {
        bench.fail();
    }
    assert_eq!(bench.breaker.snapshot().next_probe, Some(90 * SECOND));
}
