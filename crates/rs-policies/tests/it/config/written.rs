//! Configurations in files.

use super::*;
use rs_core::{Value, config};
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;

fn from<C: DeserializeOwned>(text: &str) -> Result<C, String> {
    let value = toml::from_str::<Value>(text).unwrap();
    config::read(value).map_err(|error| error.to_string())
}

#[track_caller]
fn check_read<C: Serialize + DeserializeOwned + PartialEq + Debug + Clone>(
    text: &str,
    expected: C,
) {
    assert_eq!(from(text), Ok(expected.clone()));
    assert_eq!(toml::from_str(text), Ok(expected.clone()));
    // What is written is read back, by each way.
    let json = serde_json::to_string(&expected).unwrap();
    assert_eq!(
        serde_json::from_str::<C>(&json).unwrap(),
        expected,
        "{json}"
    );
    let value: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(config::read(value), Ok(expected.clone()));
    let text = toml::to_string(&expected).unwrap();
    assert_eq!(toml::from_str(&text), Ok(expected), "{text}");
}

#[track_caller]
fn check_refused<C: DeserializeOwned + Debug>(text: &str, expected: &str) {
    assert_eq!(from::<C>(text).unwrap_err(), expected);
    toml::from_str::<C>(text).unwrap_err();
}

#[test]
fn retries() {
    check_read("", RetryConfig::default());
    let whole = r#"
attempts = 6
total_time = "20s"
honour_hints_up_to = "1m"
shortest_attempt = "50ms"
rejections = true
timeouts = true

[backoff]
exponential = "1s"
at_most = "8s"
at_once_first = true
"#;
    let waits = Backoff::exponential(SECOND)
        .at_most(8 * SECOND)
        .at_once_first();
    let config = RetryConfig::new(6, waits)
        .with_total_time(20 * SECOND)
        .honouring_hints_up_to(60 * SECOND)
        .with_shortest_attempt(50 * MS)
        .retrying_rejections()
        .repeating_timeouts();
    check_read(whole, config);
    check_refused::<RetryConfig>(
        "attempt = 3",
        "unknown field `attempt`, did you mean `attempts`? known: attempts, backoff, total_time, \
         honour_hints_up_to, shortest_attempt, rejections, timeouts",
    );
    check_refused::<RetryConfig>(
        "total_time = 30",
        "total_time: `30` is not a time: no unit; write it like 250ms, 1.5s, 1m30s, 2h or 1d",
    );
    check_refused::<RetryConfig>(
        "attempts = -1",
        "attempts: found -1, expected a whole number from 0 to 4294967295",
    );
    check_refused::<RetryConfig>(
        "[backoff]\nconstant = \"1s\"\nlinear = \"1s\"",
        "backoff: give one of constant, linear, exponential and fibonacci",
    );
    check_refused::<RetryConfig>(
        "[backoff]\njitter = \"decorelated\"",
        "backoff.jitter: unknown name `decorelated`, did you mean `decorrelated`? known: none, full, equal, \
         decorrelated",
    );
}

#[test]
fn bulkheads() {
    check_read("limit = 5", BulkheadConfig::of(5));
    let some = Enforcement::Partial(percent(25));
    check_read(
        "limit = 5\nqueue = 10\nlongest_wait = \"50ms\"\nenforcement = { partial = \"25%\" }",
        BulkheadConfig::of(5)
            .with_queue(10, 50 * MS)
            .with_enforcement(some),
    );
    check_read(
        "limit = 5\nenforcement = \"dark\"",
        BulkheadConfig::of(5).with_enforcement(Enforcement::Dark),
    );
    check_refused::<BulkheadConfig>("queue = 5", "limit: is missing");
    check_refused::<BulkheadConfig>(
        "limit = 5\nenforcement = \"drak\"",
        "enforcement: unknown name `drak`, did you mean `dark`? known: full, dark, partial",
    );
}

#[test]
fn timeouts() {
    check_read("limit = \"2s\"", TimeoutConfig::of(2 * SECOND));
    check_read(
        "limit = \"2s\"\nenforcement = \"dark\"",
        TimeoutConfig::of(2 * SECOND).with_enforcement(Enforcement::Dark),
    );
    check_refused::<TimeoutConfig>("", "limit: is missing");
    check_refused::<TimeoutConfig>(
        "limit = \"2 s 5\"",
        "limit: `2 s 5` is not a time: no unit; write it like 250ms, 1.5s, 1m30s, 2h or 1d",
    );
    check_refused::<TimeoutConfig>(
        "limits = \"2s\"",
        "unknown field `limits`, did you mean `limit`? known: limit, enforcement",
    );
}
