//! Configurations: their ranges, and how they stand in files.

#[cfg(feature = "serde")]
mod written;

use crate::support::{MS, SECOND, percent};
use rs_core::{Enforcement, TimeScope};
use rs_policies::{
    Backoff, Bulkhead, BulkheadConfig, Jitter, Retry, RetryConfig, Surroundings, Timeout,
    TimeoutConfig, retry_after,
};
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

#[test]
fn a_retry_has_ranges() {
    #[track_caller]
    fn check(config: RetryConfig, expected: &str) {
        assert_eq!(config.check().unwrap_err().to_string(), expected);
        let made = Retry::within(&Surroundings::apart(), "r", config);
        assert_eq!(made.unwrap_err().to_string(), expected);
    }
    let fine = RetryConfig::default;
    check(
        fine().with_attempts(0),
        "attempts: 0 is out of range; allowed: 1 to 1000",
    );
    check(
        fine().with_attempts(1001),
        "attempts: 1001 is out of range; allowed: 1 to 1000",
    );
    let long = "1d1ms is out of range; allowed: 0s to 1d";
    check(
        fine().with_total_time(DAY + MS),
        &format!("total_time: {long}"),
    );
    check(
        fine().with_shortest_attempt(DAY + MS),
        &format!("shortest_attempt: {long}"),
    );
    check(
        fine().honouring_hints_up_to(DAY + MS),
        &format!("honour_hints_up_to: {long}"),
    );
    check(
        fine().with_backoff(Backoff::default().times(0.5)),
        "backoff.factor: 0.5 is out of range; allowed: 1 to 100",
    );
    for fine in [
        fine().with_attempts(1).with_total_time(Duration::ZERO),
        fine()
            .with_attempts(1000)
            .with_total_time(DAY)
            .honouring_hints_up_to(DAY),
    ] {
        assert_eq!(fine.check(), Ok(()));
    }
}

#[test]
fn a_bulkhead_has_ranges() {
    #[track_caller]
    fn check(config: BulkheadConfig, expected: &str) {
        assert_eq!(config.check().unwrap_err().to_string(), expected);
        let made = Bulkhead::within(&Surroundings::apart(), "b", config);
        assert_eq!(made.unwrap_err().to_string(), expected);
    }
    let most = "out of range; allowed: 1 to 1000000";
    check(BulkheadConfig::of(0), &format!("limit: 0 is {most}"));
    check(
        BulkheadConfig::of(1_000_001),
        &format!("limit: 1000001 is {most}"),
    );
    check(
        BulkheadConfig::of(1).with_queue(1_000_001, SECOND),
        "queue: 1000001 is out of range; allowed: 0 to 1000000",
    );
    let range = "is out of range; allowed: 1ms to 1h";
    check(
        BulkheadConfig::of(1).with_queue(1, Duration::ZERO),
        &format!("longest_wait: 0s {range}"),
    );
    check(
        BulkheadConfig::of(1).with_queue(1, Duration::from_secs(3601)),
        &format!("longest_wait: 1h1s {range}"),
    );
    let largest = BulkheadConfig::of(1_000_000).with_queue(1_000_000, Duration::from_secs(3600));
    assert_eq!(largest.check(), Ok(()));
}

#[test]
fn a_timeout_has_ranges() {
    #[track_caller]
    fn check(limit: Duration, expected: &str) {
        let made = Timeout::within(&Surroundings::apart(), "t", TimeScope::Total, limit);
        assert_eq!(made.unwrap_err().to_string(), expected);
    }
    check(
        Duration::from_micros(999),
        "limit: 999us is out of range; allowed: 1ms to 1d",
    );
    check(
        Duration::ZERO,
        "limit: 0s is out of range; allowed: 1ms to 1d",
    );
    check(DAY + MS, "limit: 1d1ms is out of range; allowed: 1ms to 1d");
    for fine in [MS, DAY] {
        Timeout::within(&Surroundings::apart(), "t", TimeScope::Total, fine).unwrap();
    }
}

#[test]
fn what_was_set_is_there() {
    let waits = Backoff::constant(SECOND).with_jitter(Jitter::None);
    let config = RetryConfig::new(7, waits.clone())
        .with_total_time(9 * SECOND)
        .honouring_hints_up_to(8 * SECOND);
    assert_eq!((config.attempts(), config.backoff()), (7, &waits));
    assert_eq!(config.total_time(), Some(9 * SECOND));
    assert_eq!(config.longest_hint(), 8 * SECOND);
    let dark = Enforcement::Partial(percent(5));
    let config = BulkheadConfig::of(3)
        .with_queue(4, 5 * SECOND)
        .with_enforcement(dark);
    assert_eq!((config.limit(), config.queue()), (3, 4));
    assert_eq!(
        (config.longest_wait(), config.enforced()),
        (5 * SECOND, dark)
    );
    let config = TimeoutConfig::of(SECOND).with_enforcement(dark);
    assert_eq!((config.limit(), config.enforced()), (SECOND, dark));
    assert_eq!(TimeoutConfig::from(SECOND), TimeoutConfig::of(SECOND));
}

/// Equal when they do the same, as far as that can be known.
#[test]
fn conditions_are_equal_to_themselves() {
    let with = RetryConfig::default().with_condition(|_| true);
    assert_eq!(with, with.clone());
    assert_ne!(with, RetryConfig::default());
    assert_ne!(with, RetryConfig::default().with_condition(|_| true));
    assert!(format!("{with:?}").contains("condition: true"));
}

#[test]
fn what_servers_write_is_understood() {
    let date = "Wed, 21 Oct 2026 07:28:00 GMT";
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    for (value, sent, expected) in [
        ("120", None, seconds(120)),
        (" 7 ", None, seconds(7)),
        ("0", None, seconds(0)),
        ("007", None, seconds(7)),
        ("99999999999999999999999", None, seconds(u64::MAX)),
        ("Wed, 21 Oct 2026 07:28:30 GMT", Some(date), seconds(30)),
        ("Wednesday, 21-Oct-26 07:28:30 GMT", Some(date), seconds(30)),
        ("Wed Oct 21 07:28:30 2026", Some(date), seconds(30)),
        (date, Some("Wed, 21 Oct 2026 08:00:00 GMT"), seconds(0)),
        ("Thu, 01 Jan 1970 00:00:00 GMT", None, seconds(0)),
        // A date that cannot be read is no reason to know nothing.
        (
            "Thu, 01 Jan 1970 00:00:00 GMT",
            Some("yesterday"),
            seconds(0),
        ),
        ("", None, None),
        ("-5", None, None),
        ("1.5", None, None),
        ("5s", None, None),
        ("soon", None, None),
        ("٣", None, None),
    ] {
        assert_eq!(retry_after(value, sent), expected, "{value:?}");
    }
}

#[cfg(feature = "serde")]
#[test]
fn a_condition_stays_when_the_directory_gives_other_rules() {
    use crate::support::Bench;
    use rs_core::{Action, Mandate, Policy, Value};

    let bench = Bench::new();
    let never = RetryConfig::new(5, Backoff::constant(MS)).with_condition(|_| false);
    let retry = Retry::within(&bench.around, "bank", never).unwrap();
    let config = Value::map([("attempts", Value::from(9))]);
    let action = Action::new("reconfigure").with("config", config);
    let by = Mandate::new("anna", "more patience");
    bench
        .directory
        .control("retry", "bank", &action, &by)
        .unwrap();
    assert_eq!(retry.config().attempts(), 9);
    let (called, _) = bench.run(retry.call("x", async |_call| Err::<(), _>("broken")));
    called.unwrap_err();
    assert_eq!(retry.ended(rs_policies::RetryEnd::Condition), 1);
}
