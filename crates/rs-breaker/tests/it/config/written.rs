//! What people write in files.

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
