//! Wrong configurations, each refused with its field named; and what people write in files.

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

#[cfg(feature = "serde")]
mod written {
    use super::*;
    use crate::model::{cases, plan::plan};
    use proptest::{prelude::*, test_runner::TestRunner};
    use rs_breaker::{Curve, Timing};
    use rs_core::{Enforcement, Value, config};

    const WHOLE: &str = r#"
timing = "every"
enforcement = { partial = 0.25 }
trip = [
    { consecutive_failures = 8 },
    { failure_rate = "50%", of_last = 100, minimum_calls = 30 },
    { slow_rate = "80%", slower_than = "1.5s", within = "1m" },
]

[open_time]
first = "5s"
at_most = "5m"
factor = 1.5
jitter = "10%"
decays_every = "2m"
honour_hints_up_to = "10m"

[probing]
successes = 2
of = 3
at_once = 1
lease = "10s"

[ramp]
over = "20s"
from = "1%"
curve = "linear"

[advice]
quorum = "50%"
evidence = "30%"
"#;

    fn whole() -> BreakerConfig {
        let time = OpenTime::exponential(5 * SECOND, 300 * SECOND)
            .growing_by(1.5)
            .with_jitter(percent(10))
            .decaying_every(120 * SECOND)
            .honouring_hints(600 * SECOND);
        BreakerConfig::default()
            .with_timing(Timing::Every)
            .with_enforcement(Enforcement::Partial(percent(25)))
            .with_trip([
                Trip::consecutive_failures(8),
                Trip::failure_rate(percent(50), Window::last(100).after(30)),
                Trip::slow_rate(percent(80), SECOND * 3 / 2, Window::time(60 * SECOND)),
            ])
            .with_open_time(time)
            .with_probing(Probing::needing(2).of(3).at_once(1).with_lease(10 * SECOND))
            .with_ramp(
                Ramp::over(20 * SECOND)
                    .starting_at(percent(1))
                    .along(Curve::Linear),
            )
            .with_advice(Advice::of(percent(50), percent(30)))
    }

    fn from_toml(text: &str) -> Result<BreakerConfig, ConfigError> {
        config::read(toml::from_str::<Value>(text).unwrap())
    }

    #[test]
    fn a_whole_file_is_read() {
        assert_eq!(toml::from_str(WHOLE), Ok(whole()));
        assert_eq!(from_toml(WHOLE), Ok(whole()));
        assert_eq!(from_toml(""), Ok(BreakerConfig::default()));
    }

    #[track_caller]
    fn check_written(text: &str, expected: &str) {
        let error = from_toml(text).unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
        // Whatever reads it says what is wrong.
        toml::from_str::<BreakerConfig>(text).unwrap_err();
    }

    #[test]
    fn what_is_written_wrongly_is_refused_with_its_field() {
        check_written("tripp = []", "unknown field `tripp`, did you mean `trip`?");
        check_written(
            "[open_time]\nfirst = \"5s\"\njiter = \"1%\"",
            "open_time: unknown field `jiter`, did you mean `jitter`?",
        );
        check_written("[open_time]\nat_most = \"5s\"", "open_time.first: ");
        check_written("[open_time]\nfirst = 5", "open_time.first: ");
        check_written(
            "[open_time]\nfirst = \"5s\"\njitter = \"120%\"",
            "open_time.jitter: ",
        );
        check_written("[probing]\nsuccesses = 2", "probing.of: ");
        check_written("[probing]\nsuccesses = -2\nof = 3", "probing.successes: ");
        check_written("[ramp]\nfrom = \"5%\"", "ramp.over: ");
        check_written("[ramp]\nover = \"5s\"\ncurve = \"lineer\"", "ramp.curve: ");
        check_written("timing = \"evry\"", "timing: ");
        check_written(
            "trip = [{ failure_rate = \"50%\" }]",
            "trip[0]: a rate needs either",
        );
        check_written("trip = [{ of_last = 5 }]", "trip[0]: a rule is one of");
        check_written(
            "trip = [{ consecutive_failures = 3, of_last = 5 }]",
            "trip[0]: a rule is one of",
        );
        check_written(
            "trip = [{ slow_rate = \"5%\", of_last = 5 }]",
            "trip[0].slower_than: ",
        );
        check_written(
            "trip = [{ failure_rate = \"50%\", of_last = 5, within = \"1s\" }]",
            "trip[0]: a rate needs either",
        );
        check_written(
            "trip = [{ failure_rat = \"50%\" }]",
            "trip[0]: unknown field `failure_rat`",
        );
    }

    /// What is written is read back, by each way.
    #[test]
    fn round_trip() {
        TestRunner::new(cases(300))
            .run(&plan(), |mut plan| {
                // A function cannot be written.
                plan.open.decided = None;
                let config = plan.config();
                let text = serde_json::to_string(&config).unwrap();
                prop_assert_eq!(
                    &serde_json::from_str::<BreakerConfig>(&text).unwrap(),
                    &config
                );
                let value: Value = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(config::read(value), Ok(config.clone()));
                // In TOML there is no null: what is not there must mean the same.
                let mut json = serde_json::to_value(&config).unwrap();
                leave_out_nulls(&mut json);
                prop_assert_eq!(
                    &serde_json::from_value::<BreakerConfig>(json).unwrap(),
                    &config
                );
                let rules = RegistryConfig::default()
                    .with_named("a", config.clone())
                    .with_matching("b*", config)
                    .with_limit(7);
                let text = serde_json::to_string(&rules).unwrap();
                prop_assert_eq!(
                    serde_json::from_str::<RegistryConfig>(&text).unwrap(),
                    rules
                );
                Ok(())
            })
            .unwrap();
    }

    fn leave_out_nulls(json: &mut serde_json::Value) {
        match json {
            serde_json::Value::Object(fields) => {
                fields.retain(|_, value| !value.is_null());
                fields.values_mut().for_each(leave_out_nulls);
            }
            serde_json::Value::Array(items) => items.iter_mut().for_each(leave_out_nulls),
            _ => {}
        }
    }

    #[test]
    fn a_ramp_can_be_switched_off() {
        let without = BreakerConfig::default().with_ramp(None);
        assert_eq!(from_toml("ramp = \"off\""), Ok(without.clone()));
        assert_eq!(toml::from_str("ramp = \"off\""), Ok(without.clone()));
        let null = serde_json::from_str::<BreakerConfig>("{\"ramp\": null}");
        assert_eq!(null.unwrap(), without);
        check_written("ramp = \"of\"", "ramp: ");
        check_written("ramp = 5", "ramp: ");
    }

    fn word() -> impl Strategy<Value = String> {
        let known = [
            "trip",
            "open_time",
            "probing",
            "ramp",
            "timing",
            "enforcement",
            "advice",
            "first",
            "at_most",
            "factor",
            "jitter",
            "decays_every",
            "successes",
            "of",
            "at_once",
            "lease",
            "over",
            "from",
            "curve",
            "consecutive_failures",
            "failure_rate",
            "slow_rate",
            "slower_than",
            "of_last",
            "within",
            "minimum_calls",
            "partial",
            "dark",
            "linear",
            "50%",
            "5s",
            "0s",
            "1e99s",
            "-1%",
            "99999999999999999999d",
            "NaN%",
            "",
        ];
        prop_oneof![
            20 => prop::sample::select(known.map(str::to_owned).to_vec()),
            1 => ".{0,12}",
        ]
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        use serde_json::Value as Json;
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            (0_i64..20).prop_map(Json::from),
            any::<u64>().prop_map(Json::from),
            any::<f64>().prop_map(Json::from),
            word().prop_map(Json::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Json::from),
                prop::collection::btree_map(word(), inner, 0..6).prop_map(Json::from_iter),
            ]
        })
    }

    /// Whatever stands there: it is read or refused, and what is read and checked makes a breaker.
    fn take(config: Result<BreakerConfig, impl std::fmt::Display>) {
        match config {
            Ok(config) if config.check().is_ok() => {
                let breaker = Breaker::within(&Surroundings::apart(), "read", config).unwrap();
                let _ = breaker.snapshot();
            }
            Ok(config) => assert!(!refused(config).to_string().is_empty()),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn no_value_makes_the_reader_panic() {
        TestRunner::new(cases(1_000))
            .run(&(json(), word()), |(json, field)| {
                let text = json.to_string();
                take(serde_json::from_str(&text));
                if let Ok(value) = serde_json::from_str::<Value>(&text) {
                    take(config::read(value));
                }
                let within = format!("{{{}:{text}}}", serde_json::Value::from(field));
                take(serde_json::from_str(&within));
                let _ = serde_json::from_str::<RegistryConfig>(&within);
                Ok(())
            })
            .unwrap();
    }

    #[test]
    fn no_text_makes_the_reader_panic() {
        let line = (word(), word()).prop_map(|(field, value)| format!("{field} = {value:?}\n"));
        let section = word().prop_map(|name| format!("[{name}]\n"));
        let lines = prop_oneof![3 => line, 1 => section, 1 => ".{0,20}\n"];
        let text = prop::collection::vec(lines, 0..8).prop_map(|lines| lines.concat());
        TestRunner::new(cases(1_000))
            .run(&text, |text| {
                take(toml::from_str(&text));
                take(serde_json::from_str(&text));
                Ok(())
            })
            .unwrap();
    }
}
