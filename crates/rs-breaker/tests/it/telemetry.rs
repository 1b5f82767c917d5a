//! What others see: metrics after stories whose numbers are known, and signals as people read them.

mod signals;

use crate::support::{SECOND, percent, plain};
use rs_breaker::{
    Breaker, BreakerConfig, BreakerRegistry, BreakerState, FailureKind, Forced, Ramp, Refused,
    RegistryConfig, Surroundings, Timing, Trip,
    metrics::{
        CATALOGUE, DARK_REJECTIONS, FAILURES, NOT_KEPT, NOT_PERMITTED, REQUESTS, RESPONSE_TIME,
        RequestOutcome, STALE, STATE, STATE_CHANGES,
    },
};
use rs_core::{Call, Clock, ClockHand, Enforcement, Fault, Guard, Label, Mandate, Outcome};
use rs_metrics::{Reading, Registry};
use std::{collections::BTreeMap, time::Duration};

struct Exported {
    around: Surroundings,
    hand: ClockHand,
    metrics: Registry,
}

impl Exported {
    fn new() -> Self {
        let ((clock, hand), metrics) = (Clock::manual(), Registry::new());
        let around = Surroundings::apart().with_clock(clock).with_seed(7);
        Self {
            around: around.with_metrics(metrics.clone()),
            hand,
            metrics,
        }
    }

    fn breaker(&self, config: BreakerConfig) -> Breaker {
        Breaker::within(&self.around, "payments", config).unwrap()
    }

    fn keyed(&self, config: BreakerConfig) -> BreakerRegistry {
        let rules = RegistryConfig::default().with_default(config);
        BreakerRegistry::keyed_within(&self.around, "payments", rules).unwrap()
    }

    /// Everything that is exported, as a page of Prometheus would show it, without what is zero.
    fn page(&self) -> BTreeMap<String, f64> {
        self.all()
            .into_iter()
            .filter(|(_, value)| *value != 0.0)
            .collect()
    }

    fn all(&self) -> BTreeMap<String, f64> {
        let mut page = BTreeMap::new();
        for metric in self.metrics.gather() {
            for series in metric.series {
                let labels = series
                    .labels
                    .iter()
                    .map(|(key, value)| format!("{key}={value}"));
                let labels: Vec<_> = labels.collect();
                let value = match series.reading {
                    Reading::Counter(count) => count as f64,
                    Reading::Gauge(value) => value,
                    Reading::Histogram(times) => times.count() as f64,
                };
                let name = metric
                    .description
                    .name
                    .strip_prefix("circuit_breaker_")
                    .unwrap();
                page.insert(format!("{name} {}", labels.join(" ")), value);
            }
        }
        page
    }

    #[track_caller]
    fn check(&self, expected: &[(&str, f64)]) {
        let expected: BTreeMap<_, _> = expected
            .iter()
            .map(|(series, value)| ((*series).to_owned(), *value))
            .collect();
        assert_eq!(self.page(), expected);
    }

    fn not_permitted(&self, reason: Refused) -> u64 {
        NOT_PERMITTED
            .read(&self.metrics, "payments", reason)
            .unwrap()
    }
}

fn call(breaker: &Breaker, outcome: Outcome) -> bool {
    let admitted = breaker.try_admit(&Call::new("charge"));
    admitted.map(|permit| permit.finish(outcome)).is_ok()
}

fn mandate() -> Mandate {
    Mandate::new("anna", "a drill")
}

/// Each kind of ending and each kind of refusal, each another number of times.
fn story(exported: &Exported, breaker: &Breaker) {
    let late = [(); 3].map(|()| breaker.try_admit(&Call::new("late")).unwrap());
    for _ in 0..5 {
        call(breaker, Outcome::Success);
    }
    call(breaker, Outcome::Ignored);
    for _ in 0..2 {
        drop(breaker.try_admit(&Call::new("cancelled")));
    }
    let faults = [
        (Fault::transient(), 1),
        (Fault::timed_out(), 2),
        (Fault::throttled(), 3),
        (Fault::permanent(), 4),
    ];
    for (fault, times) in faults {
        for _ in 0..times {
            assert!(call(breaker, fault.into()));
        }
    }
    let refused = |times| {
        for _ in 0..times {
            assert!(!call(breaker, Outcome::Success), "{breaker:?}");
        }
    };
    refused(3);
    late.into_iter()
        .for_each(|permit| permit.finish(Outcome::Success));
    exported.hand.advance(10 * SECOND);
    let probe = breaker.try_admit(&Call::new("probe")).unwrap();
    refused(2);
    probe.finish(Outcome::Success);
    while call(breaker, Outcome::Ignored) {}
    breaker.isolate(mandate());
    refused(4);
    breaker.force_open(mandate());
    refused(5);
}

fn ramped() -> BreakerConfig {
    plain()
        .with_trip([Trip::consecutive_failures(10)])
        .with_ramp(Ramp::over(20 * SECOND).starting_at(percent(1)))
        .with_timing(Timing::Every)
}

/// What the story leaves, but for the calls of the ramp, of which nobody knows how many there were.
fn left(ramped: f64) -> Vec<(&'static str, f64)> {
    vec![
        ("failures_total breaker=payments kind=permanent", 4.0),
        ("failures_total breaker=payments kind=throttled", 3.0),
        ("failures_total breaker=payments kind=timed_out", 2.0),
        ("failures_total breaker=payments kind=transient", 1.0),
        (
            "not_permitted_total breaker=payments reason=forced_open",
            5.0,
        ),
        ("not_permitted_total breaker=payments reason=half_open", 2.0),
        ("not_permitted_total breaker=payments reason=isolated", 4.0),
        ("not_permitted_total breaker=payments reason=open", 3.0),
        ("not_permitted_total breaker=payments reason=ramping", 1.0),
        ("requests_total breaker=payments outcome=cancelled", 2.0),
        ("requests_total breaker=payments outcome=failure", 10.0),
        (
            "requests_total breaker=payments outcome=ignored",
            1.0 + ramped,
        ),
        ("requests_total breaker=payments outcome=rejected", 15.0),
        ("requests_total breaker=payments outcome=stale", 3.0),
        ("requests_total breaker=payments outcome=success", 6.0),
        ("response_time_seconds breaker=payments", 20.0 + ramped),
        ("stale_total breaker=payments", 3.0),
        ("state breaker=payments state=forced_open", 1.0),
        (
            "state_changes_total breaker=payments state=forced_open",
            1.0,
        ),
        ("state_changes_total breaker=payments state=half_open", 1.0),
        ("state_changes_total breaker=payments state=isolated", 1.0),
        ("state_changes_total breaker=payments state=open", 1.0),
        ("state_changes_total breaker=payments state=ramping", 1.0),
    ]
}

fn ignored(exported: &Exported) -> f64 {
    let read = REQUESTS.read(&exported.metrics, "payments", RequestOutcome::Ignored);
    read.unwrap() as f64
}

#[test]
fn every_series_after_a_story_in_which_everything_happens() {
    let exported = Exported::new();
    let breaker = exported.breaker(ramped());
    story(&exported, &breaker);
    exported.check(&left(ignored(&exported) - 1.0));
}

#[test]
fn every_series_exists_from_the_start_and_there_are_no_others() {
    let exported = Exported::new();
    let breaker = exported.breaker(plain());
    exported.check(&[("state breaker=payments state=closed", 1.0)]);
    let mut expected = Vec::new();
    let mut each = |name: &str, key: &str, values: &[&str]| {
        for value in values {
            expected.push(format!("{name} breaker=payments {key}={value}"));
        }
    };
    each(
        "requests_total",
        RequestOutcome::KEY,
        RequestOutcome::VALUES,
    );
    each("failures_total", FailureKind::KEY, FailureKind::VALUES);
    each("not_permitted_total", Refused::KEY, Refused::VALUES);
    each(
        "state_changes_total",
        BreakerState::KEY,
        BreakerState::VALUES,
    );
    each("state", BreakerState::KEY, BreakerState::VALUES);
    for name in [
        "dark_rejections_total",
        "stale_total",
        "response_time_seconds",
    ] {
        expected.push(format!("{name} breaker=payments"));
    }
    expected.sort();
    let all = exported.all();
    assert_eq!(all.keys().cloned().collect::<Vec<_>>(), expected);
    drop(breaker);
    assert_eq!(
        exported.all(),
        BTreeMap::new(),
        "and none once it is dropped"
    );
}

#[test]
fn names_and_labels_are_those_that_dashboards_know() {
    assert_eq!(
        RequestOutcome::VALUES,
        [
            "success",
            "failure",
            "ignored",
            "cancelled",
            "stale",
            "rejected"
        ]
    );
    assert_eq!(
        FailureKind::VALUES,
        ["transient", "timed_out", "throttled", "permanent"]
    );
    assert_eq!(
        Refused::VALUES,
        ["open", "half_open", "ramping", "forced_open", "isolated"]
    );
    assert_eq!(
        BreakerState::VALUES,
        [
            "closed",
            "open",
            "half_open",
            "ramping",
            "forced_open",
            "forced_closed",
            "isolated"
        ]
    );
    let names: Vec<_> = CATALOGUE
        .descriptions()
        .iter()
        .map(|metric| metric.name)
        .collect();
    assert_eq!(
        names,
        [
            "circuit_breaker_requests_total",
            "circuit_breaker_failures_total",
            "circuit_breaker_not_permitted_total",
            "circuit_breaker_dark_rejections_total",
            "circuit_breaker_stale_total",
            "circuit_breaker_state_changes_total",
            "circuit_breaker_state",
            "circuit_breaker_response_time_seconds",
            "circuit_breaker_not_kept_total",
            "circuit_breaker_fleet_exchanges_total",
        ]
    );
}

#[test]
fn the_state_is_one_for_one_state_and_zero_for_all_others() {
    #[track_caller]
    fn check(exported: &Exported, expected: BreakerState) {
        for state in BreakerState::ALL {
            let read = STATE.read(&exported.metrics, "payments", *state).unwrap();
            assert_eq!(
                read,
                f64::from(u8::from(*state == expected)),
                "{state}, not {expected}"
            );
        }
    }
    let exported = Exported::new();
    let breaker = exported.breaker(ramped());
    check(&exported, BreakerState::Closed);
    while call(&breaker, Outcome::TRANSIENT) {}
    check(&exported, BreakerState::Open);
    exported.hand.advance(10 * SECOND);
    check(&exported, BreakerState::HalfOpen);
    call(&breaker, Outcome::Success);
    check(&exported, BreakerState::Ramping);
    exported.hand.advance(20 * SECOND);
    check(&exported, BreakerState::Closed);
    for forced in [Forced::Open, Forced::Closed, Forced::Isolated] {
        breaker.force(forced, mandate());
        check(&exported, forced.into());
    }
}

#[test]
fn refusals_by_order_are_counted_while_the_breaker_is_dark() {
    let exported = Exported::new();
    let breaker = exported.breaker(plain().with_enforcement(Enforcement::Dark));
    for _ in 0..7 {
        assert!(call(&breaker, Outcome::TRANSIENT));
    }
    let dark = || DARK_REJECTIONS.read(&exported.metrics, "payments", ());
    assert_eq!(
        (dark(), exported.not_permitted(Refused::Open)),
        (Some(3), 0)
    );
    breaker.force_open(mandate());
    for _ in 0..2 {
        assert!(!call(&breaker, Outcome::Success));
    }
    assert_eq!(
        (dark(), exported.not_permitted(Refused::ForcedOpen)),
        (Some(3), 2)
    );
}

#[test]
fn the_response_time_is_a_histogram_of_seconds() {
    let exported = Exported::new();
    let breaker = exported.breaker(plain().with_timing(Timing::Every));
    for millis in [1, 30, 30, 700] {
        let permit = breaker.try_admit(&Call::new("charge")).unwrap();
        exported.hand.advance(Duration::from_millis(millis));
        permit.finish(Outcome::Success);
    }
    let times = RESPONSE_TIME
        .read(&exported.metrics, "payments", ())
        .unwrap();
    assert_eq!(times.count(), 4);
    assert!((times.sum - 0.761).abs() < 1e-9, "{}", times.sum);
    let filled = times
        .bounds
        .iter()
        .zip(&times.counts)
        .filter(|(_, count)| **count > 0);
    let filled: Vec<_> = filled.map(|(bound, count)| (*bound, *count)).collect();
    assert_eq!(filled, [(0.001, 1), (0.05, 2), (1.0, 1)]);
}

#[test]
fn many_keys_are_one_set_of_series_with_their_numbers_added_up() {
    let exported = Exported::new();
    let hosts = exported.keyed(ramped());
    let one = hosts.get("10.0.0.7");
    story(&exported, &one);
    exported.check(&left(ignored(&exported) - 1.0));
    let other = hosts.get("10.0.0.8");
    story(&exported, &other);
    let counted = |(series, value): &(&'static str, f64)| (*series, 2.0 * value);
    let both: Vec<_> = left((ignored(&exported) - 2.0) / 2.0)
        .iter()
        .map(counted)
        .collect();
    exported.check(&both);
    other.reset(mandate());
    assert_eq!(
        STATE.read(&exported.metrics, "payments", BreakerState::Closed),
        Some(1.0)
    );
    let alone = REQUESTS.read(&exported.metrics, "10.0.0.7", RequestOutcome::Success);
    assert_eq!(alone, None, "a key is no label");
    drop((one, other));
    drop(hosts);
    let left: Vec<_> = exported.all().into_keys().collect();
    assert_eq!(
        left,
        ["not_kept_total registry=payments"],
        "what it had no room for is history"
    );
}

#[test]
fn a_keyed_registry_has_all_its_series_before_it_has_a_breaker() {
    let exported = Exported::new();
    let _hosts = exported.keyed(plain());
    assert_eq!(exported.page(), BTreeMap::new());
    assert_eq!(STALE.read(&exported.metrics, "payments", ()), Some(0));
    assert_eq!(NOT_KEPT.read(&exported.metrics, "payments", ()), Some(0));
    assert_eq!(
        STATE_CHANGES.read(&exported.metrics, "payments", BreakerState::Open),
        Some(0)
    );
    assert_eq!(
        FAILURES.read(&exported.metrics, "payments", FailureKind::TimedOut),
        Some(0)
    );
}

#[test]
fn of_two_breakers_of_one_name_the_newest_is_exported() {
    let exported = Exported::new();
    let old = exported.breaker(plain());
    call(&old, Outcome::Success);
    let new = exported.breaker(plain());
    let successes = || REQUESTS.read(&exported.metrics, "payments", RequestOutcome::Success);
    assert_eq!(successes(), Some(0));
    drop(new);
    assert_eq!(successes(), Some(1));
}

#[test]
fn a_breaker_apart_exports_nothing() {
    let metrics = Registry::global();
    let name = "telemetry-test-apart";
    let _apart = Breaker::within(&Surroundings::apart(), name, plain()).unwrap();
    assert_eq!(STALE.read(metrics, name, ()), None);
    let _seen = Breaker::new(name, plain()).unwrap();
    assert_eq!(STALE.read(metrics, name, ()), Some(0));
}
