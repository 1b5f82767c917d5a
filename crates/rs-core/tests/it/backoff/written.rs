//! Waits in files.

use super::{MS, SECOND, plan, run};
use proptest::prelude::*;
use rs_core::{Backoff, Jitter, Value, config};

fn read(text: &str) -> Result<Backoff, String> {
    let value = toml::from_str::<Value>(text).unwrap();
    config::read(value).map_err(|error| error.to_string())
}

#[test]
fn what_is_written_is_read() {
    #[track_caller]
    fn check(text: &str, expected: Backoff) {
        assert_eq!(read(text), Ok(expected.clone()));
        assert_eq!(toml::from_str::<Backoff>(text), Ok(expected));
    }
    check("", Backoff::default());
    check("constant = \"250ms\"", Backoff::constant(250 * MS));
    check(
        "linear = \"1s\"\nat_most = \"5s\"",
        Backoff::linear(SECOND).at_most(5 * SECOND),
    );
    check(
        "exponential = \"1s\"\nfactor = 3",
        Backoff::exponential(SECOND).times(3.0),
    );
    check("factor = 1.5", Backoff::default().times(1.5));
    check(
        "fibonacci = \"1s\"\nat_once_first = true",
        Backoff::fibonacci(SECOND).at_once_first(),
    );
    check(
        "jitter = \"none\"",
        Backoff::default().with_jitter(Jitter::None),
    );
    check(
        "jitter = \"equal\"",
        Backoff::default().with_jitter(Jitter::Equal),
    );
    check(
        "jitter = \"decorrelated\"",
        Backoff::default().with_jitter(Jitter::Decorrelated),
    );
}

#[test]
fn every_plan_survives_being_written() {
    run(500, plan(), |plan| {
        let backoff = plan.backoff();
        let json = serde_json::to_string(&backoff).unwrap();
        prop_assert_eq!(
            &serde_json::from_str::<Backoff>(&json).unwrap(),
            &backoff,
            "{}",
            json
        );
        let value: Value = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(config::read(value), Ok(backoff.clone()));
        let text = toml::to_string(&backoff).unwrap();
        prop_assert_eq!(
            &toml::from_str::<Backoff>(&text).unwrap(),
            &backoff,
            "{}",
            text
        );
        Ok(())
    });
}

/// Code cannot be written down, and nothing else must be written in its place.
#[test]
fn waits_made_by_code_are_not_written() {
    let own = Backoff::own(|| [SECOND].into_iter());
    let error = serde_json::to_string(&own).unwrap_err().to_string();
    assert_eq!(error, "waits that code makes cannot be written down");
}

#[test]
fn what_is_written_wrongly_is_explained() {
    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(read(text).unwrap_err(), expected, "{text}");
        // Whatever reads it refuses it.
        toml::from_str::<Backoff>(text).unwrap_err();
    }
    check(
        "exponentail = \"1s\"",
        "unknown field `exponentail`, did you mean `exponential`? known: constant, linear, exponential, \
         fibonacci, factor, at_most, at_once_first, jitter",
    );
    check(
        "constant = \"1s\"\nlinear = \"1s\"",
        "give one of constant, linear, exponential and fibonacci",
    );
    check(
        "constant = \"1s\"\nfactor = 2.0",
        "factor: belongs to exponential alone",
    );
    check(
        "exponential = 5",
        "exponential: `5` is not a time: no unit; write it like 250ms, 1.5s, 1m30s, 2h or 1d",
    );
    check(
        "exponential = \"5 parsecs\"",
        "exponential: `5 parsecs` is not a time: `parsecs` is no unit of time; write it like 250ms, 1.5s, 1m30s, 2h or 1d",
    );
    check(
        "jitter = \"fulll\"",
        "jitter: unknown name `fulll`, did you mean `full`? known: none, full, equal, decorrelated",
    );
    check(
        "jitter = true",
        "jitter: found `true`, expected a name or a table with one entry",
    );
    check(
        "at_once_first = 1",
        "at_once_first: found 1, expected true or false",
    );
    check("factor = \"2\"", "factor: found `2`, expected a number");
}
