//! Wrong configurations, each refused with its field named; and what people write in files.

#[cfg(feature = "serde")]
mod written;

use crate::support::{SECOND, percent};
use rs_breaker::{
    Advice, Breaker, BreakerConfig, OpenTime, Probing, Ramp, RegistryConfig, Surroundings, Trip,
    Window,
};
use rs_core::{ConfigError, Share};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn refused(config: BreakerConfig) -> ConfigError {
    let error = config.check().unwrap_err();
    let made = Breaker::within(&Surroundings::apart(), "wrong", config);
    assert_eq!(made.unwrap_err(), error);
    error
}

#[track_caller]
fn check(config: BreakerConfig, expected: &str) {
    let error = refused(config);
    assert_eq!(error.to_string(), expected);
    assert!(expected.starts_with(error.field()) && !error.field().is_empty());
}

fn trip(rule: Trip) -> BreakerConfig {
    BreakerConfig::default().with_trip([rule])
}

#[test]
fn wrong_rules_are_refused() {
    let (half, last) = (percent(50), Window::last(10));
    let rate = |window| trip(Trip::failure_rate(half, window));
    let slow = |time, window| trip(Trip::slow_rate(half, time, window));
    check(
        BreakerConfig::default().with_trip([]),
        "trip: 0 is out of range; allowed: 1 to 8",
    );
    check(
        BreakerConfig::default().with_trip([Trip::consecutive_failures(3); 9]),
        "trip: 9 is out of range; allowed: 1 to 8",
    );
    check(
        trip(Trip::consecutive_failures(0)),
        "trip[0].consecutive_failures: 0 is out of range; allowed: 1 to 1000000",
    );
    check(
        trip(Trip::consecutive_failures(1_000_001)),
        "trip[0].consecutive_failures: 1000001 is out of range; allowed: 1 to 1000000",
    );
    check(
        BreakerConfig::default().with_trip([
            Trip::consecutive_failures(3),
            Trip::failure_rate(Share::NONE, last),
        ]),
        "trip[1].failure_rate: 0% is out of range; allowed: more than 0%, up to 100%",
    );
    check(
        trip(Trip::slow_rate(Share::NONE, SECOND, last)),
        "trip[0].slow_rate: 0% is out of range; allowed: more than 0%, up to 100%",
    );
    check(
        rate(Window::last(10).after(11)),
        "trip[0].minimum_calls: 11 is out of range; allowed: 1 to 10, the calls in the window",
    );
    check(
        rate(Window::last(10).after(0)),
        "trip[0].minimum_calls: 0 is out of range; allowed: 1 to 1000000",
    );
    check(
        rate(Window::last(0).after(1)),
        "trip[0].of_last: 0 is out of range; allowed: 1 to 10000",
    );
    check(
        rate(Window::last(10_001)),
        "trip[0].of_last: 10001 is out of range; allowed: 1 to 10000",
    );
    check(
        rate(Window::time(Duration::ZERO)),
        "trip[0].within: 0s is out of range; allowed: 100ms to 1d",
    );
    check(
        slow(SECOND, Window::time(2 * DAY)),
        "trip[0].within: 2d is out of range; allowed: 100ms to 1d",
    );
    check(
        slow(Duration::ZERO, last),
        "trip[0].slower_than: 0s is out of range; allowed: 1us to 1d",
    );
    check(
        slow(2 * DAY, last),
        "trip[0].slower_than: 2d is out of range; allowed: 1us to 1d",
    );
    check(
        BreakerConfig::default().with_trip([1, 2].map(|n| Trip::slow_rate(half, n * SECOND, last))),
        "trip[1]: all rules must agree on what is slow: see `slower_than`",
    );
}

#[test]
fn wrong_times_and_probes_are_refused() {
    let open = |time| BreakerConfig::default().with_open_time(time);
    let fixed = OpenTime::fixed(SECOND);
    check(
        open(OpenTime::fixed(Duration::ZERO)),
        "open_time.first: 0s is out of range; allowed: 1ms to 1d",
    );
    check(
        open(OpenTime::fixed(2 * DAY)),
        "open_time.first: 2d is out of range; allowed: 1ms to 1d",
    );
    check(
        open(OpenTime::exponential(5 * SECOND, SECOND)),
        "open_time.at_most: 1s is out of range; allowed: 5s to 1d",
    );
    for (factor, shown) in [
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
        (0.5, "0.5"),
        (-1.0, "-1"),
    ] {
        let expected = format!("open_time.factor: {shown} is out of range; allowed: 1 to 100");
        check(open(fixed.clone().growing_by(factor)), &expected);
    }
    check(
        open(fixed.clone().decaying_every(Duration::ZERO)),
        "open_time.decays_every: 0s is out of range; allowed: 1ms to 1d",
    );
    check(
        open(fixed.honouring_hints(2 * DAY)),
        "open_time.honour_hints_up_to: 2d is out of range; allowed: 1ms to 1d",
    );

    let probing = |probing| BreakerConfig::default().with_probing(probing);
    check(
        probing(Probing::needing(1).of(0)),
        "probing.of: 0 is out of range; allowed: 1 to 10000",
    );
    check(
        probing(Probing::needing(0).of(3)),
        "probing.successes: 0 is out of range; allowed: 1 to 3",
    );
    check(
        probing(Probing::needing(4).of(3)),
        "probing.successes: 4 is out of range; allowed: 1 to 3",
    );
    check(
        probing(Probing::needing(1).at_once(0)),
        "probing.at_once: 0 is out of range; allowed: 1 to 1000",
    );
    check(
        probing(Probing::needing(1).with_lease(Duration::ZERO)),
        "probing.lease: 0s is out of range; allowed: 1ms to 1d",
    );

    let ramp = |ramp: Ramp| BreakerConfig::default().with_ramp(ramp);
    check(
        ramp(Ramp::over(Duration::ZERO)),
        "ramp.over: 0s is out of range; allowed: 1ms to 1d",
    );
    check(
        ramp(Ramp::over(SECOND).starting_at(Share::NONE)),
        "ramp.from: 0% is out of range; allowed: 0.01% to 100%",
    );
    let advice =
        |quorum, evidence| BreakerConfig::default().with_advice(Advice::of(quorum, evidence));
    check(
        advice(Share::NONE, Share::ALL),
        "advice.quorum: 0% is out of range; allowed: more than 0%, up to 100%",
    );
    check(
        advice(Share::ALL, Share::NONE),
        "advice.evidence: 0% is out of range; allowed: more than 0%, up to 100%",
    );
}

#[test]
fn a_wrong_configuration_of_many_says_whose_it_is() {
    let wrong = || trip(Trip::consecutive_failures(0));
    let field = |rules: RegistryConfig| rules.check().unwrap_err().field().to_owned();
    let rules = RegistryConfig::default;
    let of = |whose: &str| format!("{whose}.trip[0].consecutive_failures");
    assert_eq!(field(rules().with_default(wrong())), of("default"));
    assert_eq!(
        field(rules().with_named("payments", wrong())),
        of("named.payments")
    );
    assert_eq!(
        field(rules().with_matching("x-*", wrong())),
        of("matching[0].config")
    );
    assert_eq!(
        field(rules().with_matching("", BreakerConfig::default())),
        "matching[0].pattern"
    );
    assert_eq!(field(rules().with_limit(0)), "limit");
    assert_eq!(field(rules().with_idle(Duration::ZERO)), "idle");
}

#[test]
fn the_defaults_and_the_edges_are_right() {
    BreakerConfig::default().check().unwrap();
    RegistryConfig::default().check().unwrap();
    let edges = BreakerConfig::default()
        .with_trip([
            Trip::consecutive_failures(1),
            Trip::consecutive_failures(1_000_000),
            Trip::failure_rate(Share::ALL, Window::last(1)),
            Trip::failure_rate(percent(100), Window::last(10_000).after(10_000)),
            Trip::slow_rate(Share::ALL, DAY, Window::time(DAY).after(1_000_000)),
            Trip::failure_rate(percent(1), Window::time(SECOND / 10).after(1)),
        ])
        .with_open_time(OpenTime::exponential(SECOND / 1000, DAY).growing_by(100.0))
        .with_probing(Probing::needing(10_000).at_once(1000).with_lease(DAY))
        .with_ramp(Ramp::over(DAY).starting_at(Share::ALL));
    edges.check().unwrap();
    let breaker = Breaker::within(&Surroundings::apart(), "edges", edges).unwrap();
    assert_eq!(breaker.snapshot().failures_to_trip, Some(1));
}
