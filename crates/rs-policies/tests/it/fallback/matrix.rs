//! Which failures are answered.

use super::{Answer, Ends, bad, late, now, refused};
use rs_core::{Call, Enforcement, Policy};
use rs_policies::{Because, Fallback, FallbackConfig, OrValue, Served, Surroundings, Unanswered};

fn fallback(config: FallbackConfig) -> Fallback<OrValue<u32>> {
    Fallback::within(&Surroundings::apart(), "prices", config, OrValue(7)).unwrap()
}

fn nothing() -> FallbackConfig {
    FallbackConfig::default()
        .with_rejections(false)
        .with_timeouts(false)
        .with_transient(false)
}

/// Every way to end, and the kind that it is of.
fn ways() -> [(Answer, Option<&'static str>); 11] {
    [
        (Ok(1), None),
        (Ok(404), None),
        (bad("fine"), None),
        (refused(), Some("rejections")),
        (late(), Some("timeouts")),
        (bad("slow"), Some("timeouts")),
        (bad("down"), Some("transient")),
        (bad("busy"), Some("transient")),
        (Ok(503), Some("transient")),
        (bad("gone"), Some("permanent")),
        (bad("mine"), Some("ignored")),
    ]
}

#[track_caller]
fn check(config: FallbackConfig, answered: &[&str]) {
    let fallback = fallback(config);
    let mut count = 0;
    for (way, kind) in ways() {
        let operation = Ends(way.clone());
        let is_answered = kind.is_some_and(|kind| answered.contains(&kind));
        let expected = if is_answered { Ok(7) } else { way.clone() };
        let call = Call::new("price");
        assert_eq!(now(fallback.run(&call, &operation)), expected, "{way:?}");
        count += u64::from(is_answered);
        assert_eq!(fallback.answered(), count, "{way:?}");

        let served = now(fallback.serve_operation(&call, &(), &operation));
        match served {
            Ok(Served::Instead { value: 7, why }) if is_answered => {
                assert!(config.covers(&why), "{why:?}");
                count += 1;
            }
            Ok(Served::Fresh(value)) => assert_eq!(Ok(value), way),
            Err(failure) => assert_eq!(Err(failure), expected),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn by_default_what_is_not_the_callers_fault_and_may_pass_is_answered() {
    check(
        FallbackConfig::default(),
        &["rejections", "timeouts", "transient"],
    );
}

#[test]
fn each_kind_is_answered_alone() {
    check(nothing().with_rejections(true), &["rejections"]);
    check(nothing().with_timeouts(true), &["timeouts"]);
    check(nothing().with_transient(true), &["transient"]);
    check(nothing().with_permanent(true), &["permanent"]);
    check(nothing().with_ignored(true), &["ignored"]);
}

#[test]
fn a_fallback_for_nothing_is_wrong() {
    let wrong = nothing().check().unwrap_err().to_string();
    assert_eq!(
        wrong,
        "kinds of failures that are answered: 0 is out of range; allowed: 1 to 5"
    );
    let fallback = fallback(FallbackConfig::default());
    assert!(fallback.reconfigure(nothing()).is_err());
    assert_eq!(fallback.config(), FallbackConfig::default());
    assert_eq!(fallback.reconfigure(nothing().with_ignored(true)), Ok(2));
    let call = Call::new("price");
    assert_eq!(now(fallback.run(&call, &Ends(refused()))), refused());
}

#[test]
fn in_the_dark_failures_stay_and_are_counted() {
    let fallback = fallback(FallbackConfig::default().with_enforcement(Enforcement::Dark));
    let call = Call::new("price");
    assert_eq!(now(fallback.run(&call, &Ends(refused()))), refused());
    assert_eq!(now(fallback.run(&call, &Ends(bad("mine")))), bad("mine"));
    assert_eq!(fallback.unanswered(Unanswered::Dark), 1);
    assert_eq!(fallback.answered(), 0);
}

#[test]
fn only_what_failed_is_degraded() {
    let fallback = fallback(FallbackConfig::default());
    let call = Call::new("price");
    let served = |answer| now(fallback.serve_operation(&call, &(), &Ends(answer))).unwrap();
    assert!(!served(Ok(1)).is_degraded());
    assert!(served(refused()).is_degraded());
    assert_eq!(
        served(refused()).why().unwrap().to_string(),
        "breaker `prices` refused the call: open"
    );
    let kept = Served::Kept {
        value: 1,
        age: super::MS,
        why: Because::Refreshing,
    };
    assert!(!kept.is_degraded());
}

#[cfg(feature = "serde")]
#[test]
fn rules_are_read_from_a_file() {
    let read = |text: &str| toml::from_str::<FallbackConfig>(text);
    assert_eq!(read("").unwrap(), FallbackConfig::default());
    assert_eq!(
        read("permanent = true\ntimeouts = false").unwrap(),
        FallbackConfig::default()
            .with_permanent(true)
            .with_timeouts(false)
    );
    assert!(read("timeout = true").is_err());
}
