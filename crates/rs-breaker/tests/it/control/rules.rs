//! Other rules, as data.

use super::{Office, check, fail};
use crate::support::plain;
use rs_breaker::{BreakerConfig, BreakerState, Trip};
use rs_core::{Action, Value};
use serde_json::json;

fn reconfigure(config: serde_json::Value) -> Action {
    let config: Value = serde_json::from_value(config).unwrap();
    Action::new("reconfigure").with("config", config)
}

#[test]
fn rules_as_data_are_gone_by_at_once_and_the_state_is_kept() {
    let action = reconfigure(json!({ "trip": [{ "consecutive_failures": 7 }] }));
    check(fail, &action, |told| {
        let expected = BreakerConfig::default().with_trip([Trip::consecutive_failures(7)]);
        assert_eq!(*told.config(), expected, "what is left out has its default");
        let now = told.snapshot();
        assert_eq!(
            (now.state, now.config_version, now.failures),
            (BreakerState::Open, 2, 4)
        );
    });
}

#[test]
fn what_is_written_can_be_given_back() {
    let office = Office::new();
    let written = serde_json::to_value(&*office.breaker.config()).unwrap();
    office.tell(&reconfigure(written)).unwrap();
    assert_eq!(*office.breaker.config(), plain());
}

#[test]
fn wrong_rules_are_refused_whole_with_a_signal() {
    #[track_caller]
    fn check(config: serde_json::Value, expected: &str) {
        let office = Office::new();
        let action = reconfigure(config);
        let error = office.tell(&action).unwrap_err().to_string();
        assert_eq!(error, expected);
        assert_eq!(*office.breaker.config(), plain());
        assert_eq!(office.breaker.snapshot().config_version, 1);
        let said = office.said();
        let [said] = said.as_slice() else {
            panic!("one signal, not {said:#?}");
        };
        let start = "breaker payments: keeps its rules, the new ones are wrong: ";
        let why = said.strip_prefix(start).unwrap();
        let path = expected
            .strip_prefix("config")
            .unwrap()
            .trim_start_matches(['.', ':', ' ']);
        assert_eq!(why, format!("{path}, by anna (a drill) for 1m"));

        let host = office.hosts.get("10.0.0.7");
        let error = office
            .tell_hosts(&action.with("key", "10.0.0.7"))
            .unwrap_err()
            .to_string();
        assert_eq!(error, expected);
        assert_eq!(host.snapshot().config_version, 1);
        assert_eq!(office.said().len(), 2);
    }
    check(
        json!({ "trip": [{ "consecutive_failures": 3 }, { "consecutive_failures": 0 }] }),
        "config.trip[1].consecutive_failures: 0 is out of range; allowed: 1 to 1000000",
    );
    check(
        json!({ "trip": [] }),
        "config.trip: 0 is out of range; allowed: 1 to 8",
    );
    check(
        json!({ "open_time": { "first": "5 parsecs" }, "trip": [{ "consecutive_failures": 3 }] }),
        "config.open_time.first: `5 parsecs` is not a time: `parsecs` is no unit of time; \
         write it like 250ms, 1.5s, 1m30s, 2h or 1d",
    );
    check(
        json!({ "prob": {} }),
        "config: unknown field `prob`; known: trip, open_time, probing, ramp, timing, enforcement, advice",
    );
    check(json!("none"), "config: found `none`, expected a table");
}

#[test]
fn rules_that_are_missing_are_asked_for() {
    let office = Office::new();
    let error = office.tell(&Action::new("reconfigure")).unwrap_err();
    assert_eq!(error.to_string(), "config: is missing");
    let _host = office.hosts.get("10.0.0.7");
    let by_key = Action::new("reconfigure").with("key", "10.0.0.7");
    assert_eq!(
        office.tell_hosts(&by_key).unwrap_err().to_string(),
        "config: is missing"
    );
}
