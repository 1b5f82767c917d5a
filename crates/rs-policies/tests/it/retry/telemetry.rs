//! What others see of a retry.

use super::*;
use crate::support::percent;
use rs_core::{Action, Mandate, Value};

#[test]
fn the_success_rate_is_of_those_that_failed_first() {
    let bench = Bench::new();
    let retry = retry(&bench, plain());
    let rate = || metrics::RETRY_SUCCESS_RATE.read(&bench.registry, retry.name(), ());
    assert_eq!(rate(), Some(1.0), "nothing failed");
    let call = |acts: &[Act]| {
        let script = Script::new(&bench, acts.iter().copied());
        let _ = bench.run(retry.run(&Call::new("charge"), &script));
    };
    for _ in 0..10 {
        call(&[Act::Succeed]);
    }
    call(&[FAIL, Act::Succeed]);
    assert_eq!(rate(), Some(1.0));
    call(&[FAIL]);
    assert_eq!(rate(), Some(0.5));
    call(&[Act::Fail(Outcome::PERMANENT)]);
    call(&[FAIL, FAIL, Act::Succeed]);
    assert_eq!(rate(), Some(0.5));
}

#[test]
fn waits_are_exported() {
    let told = check(
        plain(),
        &[FAIL],
        RetryEnd::Exhausted,
        &[0, 100, 200, 300],
        bad(Outcome::TRANSIENT, 4),
    );
    let delays = metrics::RETRY_DELAY.read(&told.bench.registry, told.retry.name(), ());
    let delays = delays.unwrap();
    assert_eq!(delays.count(), 3);
    assert!((delays.sum - 0.3).abs() < 1e-9);
}

#[test]
fn the_directory_shows_it_and_takes_other_rules() {
    let told = check(
        plain(),
        &[FAIL, Act::Succeed],
        RetryEnd::Succeeded,
        &[0, 100],
        GOOD,
    );
    let entry = told.bench.directory.find("retry", "payments").unwrap();
    let now = entry.snapshot();
    assert_eq!(now.get("attempts"), Some(&Value::Count(4)));
    assert_eq!(now.get("retries"), Some(&Value::Count(1)));
    let ended = now.get("ended").unwrap();
    assert_eq!(ended.get("succeeded"), Some(&Value::Count(1)));
    assert_eq!(ended.get("exhausted"), Some(&Value::Count(0)));
    assert_eq!(now.get("config_version"), Some(&Value::Count(1)));
    let anna = Mandate::new("anna", "a drill");
    let error = entry
        .control(&Action::new("reconfigur"), &anna)
        .unwrap_err();
    assert!(
        error.to_string().contains("unknown action `reconfigur`"),
        "{error}"
    );
    #[cfg(feature = "serde")]
    {
        let order = |text: &str| {
            let config: Value = serde_json::from_str(text).unwrap();
            let action = Action::new("reconfigure").with("config", config);
            entry
                .control(&action, &anna)
                .map_err(|error| error.to_string())
        };
        assert_eq!(order(r#"{"attempts": 7}"#), Ok(()));
        assert_eq!(told.retry.config().attempts(), 7);
        let refused = "config.attempts: 1001 is out of range; allowed: 1 to 1000";
        assert_eq!(order(r#"{"attempts": 1001}"#), Err(refused.to_owned()));
        let refused = "config.backoff.jitter: unknown name `ful`, did you mean `full`?";
        let error = order(r#"{"backoff": {"jitter": "ful"}}"#).unwrap_err();
        assert!(error.starts_with(refused), "{error}");
        assert_eq!(told.retry.config().attempts(), 7);
        let nothing = entry
            .control(&Action::new("reconfigure"), &anna)
            .unwrap_err();
        assert_eq!(nothing.to_string(), "config: is missing");
        assert_eq!(
            told.bench.said(),
            [
                "retry payments: has new rules, version 2",
                "retry payments: keeps its rules, the new ones are wrong: \
                 attempts: 1001 is out of range; allowed: 1 to 1000",
            ]
        );
    }
}

#[test]
fn a_retry_brings_a_budget_of_its_own() {
    let bench = Bench::new();
    let retry = Retry::within(&bench.around, "payments", plain()).unwrap();
    let budget = retry.budget().unwrap();
    assert_eq!(
        (budget.name(), budget.config().ratio()),
        (retry.name(), percent(20))
    );
    assert_eq!(budget.balance(), 10.0);
    let script = Script::new(&bench, [FAIL]);
    for _ in 0..20 {
        let _ = bench.run(retry.run(&Call::new("charge"), &script));
    }
    assert!(retry.ended(RetryEnd::Budget) > 0);
    // Nothing that was refused inside adds to it.
    let before = budget.balance();
    let refused = Script::new(&bench, [Act::Refuse(refusal())]);
    for _ in 0..100 {
        let _ = bench.run(retry.run(&Call::new("charge"), &refused));
    }
    assert_eq!(budget.balance(), before);
}

#[test]
fn it_is_gone_when_nobody_has_it() {
    let bench = Bench::new();
    let one = retry(&bench, plain());
    let other = one.clone();
    drop(one);
    assert!(bench.directory.find("retry", "payments").is_some());
    drop(other);
    assert!(bench.directory.find("retry", "payments").is_none());
    assert!(format!("{:?}", retry(&bench, plain())).contains("payments"));
}
