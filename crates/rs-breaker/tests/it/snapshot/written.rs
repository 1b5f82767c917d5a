//! A snapshot as data.

use super::{MILLI, opened, story};
use crate::support::{Bench, SECOND, plain};
use rs_core::{Fault, Mandate};
use serde_json::{Value, json};

#[track_caller]
fn written(bench: &Bench) -> Value {
    let now = bench.breaker.snapshot();
    let mut written = serde_json::to_value(&now).unwrap();
    let shown = serde_json::to_value(now.to_value()).unwrap();
    let name = written.as_object_mut().unwrap().remove("name");
    assert_eq!(name, Some(json!("payments")));
    assert_eq!(
        written, shown,
        "the directory, which knows the name, shows the same"
    );
    written
}

#[test]
fn every_field_is_written_as_people_read_it() {
    let bench = story();
    assert_eq!(
        written(&bench),
        json!({
            "state": "closed",
            "time_in_state": "2s",
            "generation": 0,
            "config_version": 1,
            "cause": null,
            "order": null,
            "enforced": "100%",
            "total_requests": 7,
            "successes": 3,
            "failures": 1,
            "timeouts": 1,
            "rejected": 0,
            "dark_rejections": 0,
            "ignored": 1,
            "cancelled": 2,
            "stale": 0,
            "state_changes": 0,
            "failure_rate": "25%",
            "slow_rate": "50%",
            "window_calls": 4,
            "consecutive_failures": 1,
            "failures_to_trip": 2,
            "next_probe": null,
            "admitted": "100%",
            "relapses": 0,
            "advised": false,
            "response_times": {
                "timed": 5,
                "mean": "1s8ms",
                "p50": "17ms500us",
                "p95": "4s375ms",
                "p99": "4s875ms",
            },
        })
    );
}

#[test]
fn a_cause_and_an_order_are_written_with_all_their_parts() {
    let bench = opened();
    let open = written(&bench);
    let cause = json!({
        "kind": "failure_rate", "observed": 0.5, "limit": 0.5, "calls": 6, "bad": 3,
    });
    assert_eq!((&open["cause"], &open["state"]), (&cause, &json!("open")));
    assert_eq!(open["next_probe"], "6s");

    let mandate = || Mandate::new("anna", "a drill");
    bench
        .breaker
        .isolate(mandate().lasting(90 * SECOND + 500 * MILLI));
    let order = json!({
        "forced": "isolated", "author": "anna", "reason": "a drill", "ends_in": "1m30s500ms",
    });
    assert_eq!(written(&bench)["order"], order);
    bench.breaker.force_open(mandate());
    assert_eq!(written(&bench)["order"]["forced"], "open");
    assert_eq!(written(&bench)["order"]["ends_in"], Value::Null);
}

#[test]
fn a_cause_of_every_kind_is_written() {
    let bench = Bench::with(plain().with_trip([rs_breaker::Trip::consecutive_failures(2)]));
    for _ in 0..2 {
        bench.call(Fault::permanent().into());
    }
    assert_eq!(written(&bench)["cause"]["kind"], "consecutive_failures");
    bench.wait(10 * SECOND);
    bench.fail();
    let reopened = written(&bench);
    assert_eq!(reopened["cause"]["kind"], "probes");
    assert_eq!(reopened["relapses"], 2);
}
