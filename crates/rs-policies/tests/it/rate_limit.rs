//! Rate limits: what they admit, when they say a refused call succeeds, and what new rules change.

mod cancel;
mod config;
mod model;
mod threads;
mod waiting;

use std::time::Duration;

use proptest::prelude::*;
use rs_core::{
    Call, Clock, ClockHand, Directory, Enforcement, FlightRecorder, Guard, Rate, Share, Value,
};
use rs_metrics::Registry;
use rs_policies::{RateLimit, RateLimitConfig, Surroundings, TooFast, metrics};

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const NS: Duration = Duration::from_nanos(1);
const SECOND: Duration = Duration::from_secs(1);

pub(crate) fn per_second(count: f64) -> Rate {
    Rate::new(count, SECOND).unwrap()
}

/// A bucket of so many tokens, refilled at so many a second.
pub(crate) fn bucket(capacity: u32, refill: f64) -> RateLimitConfig {
    RateLimitConfig::bucket(capacity, per_second(refill))
}

pub(crate) struct Stand {
    pub(crate) limit: RateLimit,
    pub(crate) clock: Clock,
    pub(crate) hand: ClockHand,
    metrics: Registry,
    recorder: FlightRecorder,
    directory: Directory,
}

impl Stand {
    pub(crate) fn new(config: RateLimitConfig) -> Self {
        let (clock, hand) = Clock::manual();
        let recorder = FlightRecorder::with_clock(64, clock.clone());
        let (metrics, directory) = (Registry::new(), Directory::new());
        let around = Surroundings::apart()
            .with_clock(clock.clone())
            .with_metrics(metrics.clone())
            .with_directory(directory.clone())
            .with_recorder(recorder.clone());
        Self {
            limit: RateLimit::within(&around, "geocoder", config).unwrap(),
            clock,
            hand,
            metrics,
            recorder,
            directory,
        }
    }

    pub(crate) fn admits(&self) -> bool {
        self.limit.try_take(1).is_ok()
    }

    /// How many in a row.
    pub(crate) fn admitted(&self) -> usize {
        (0..100_000).take_while(|_| self.admits()).count()
    }
}

#[test]
fn a_burst_then_the_rate() {
    let stand = Stand::new(bucket(5, 10.0));
    assert_eq!(stand.admitted(), 5);
    stand.hand.advance(100 * MS - NS);
    assert_eq!(stand.admitted(), 0);
    stand.hand.advance(NS);
    assert_eq!(stand.admitted(), 1);
    stand.hand.advance(250 * MS);
    assert_eq!(stand.admitted(), 2);
    // The half token was not lost.
    stand.hand.advance(50 * MS);
    assert_eq!(stand.admitted(), 1);
    stand.hand.advance(3600 * SECOND);
    assert_eq!(stand.admitted(), 5);
}

#[test]
fn without_a_burst_calls_are_spaced() {
    let stand = Stand::new(RateLimitConfig::gcra(per_second(1000.0)));
    for _ in 0..10 {
        assert_eq!(stand.admitted(), 1);
        stand.hand.advance(MS);
    }
}

#[test]
fn a_cost_is_taken_whole_or_not_at_all() {
    let stand = Stand::new(bucket(10, 10.0));
    assert!(stand.limit.try_take(7).is_ok());
    assert!(stand.limit.try_take(4).is_err());
    assert_eq!(stand.limit.available(), 3.0);
    assert!(stand.limit.try_take(3).is_ok());
    let costly = stand.limit.costing(5);
    let call = Call::new("export");
    let refused = costly.try_admit(&call).unwrap_err();
    assert_eq!(refused.retry_after(stand.clock.now()), Some(500 * MS));
    stand.hand.advance(500 * MS);
    assert!(costly.try_admit(&call).is_ok());
    assert_eq!(stand.limit.costing(0).cost(), 1);
}

#[test]
fn more_than_there_can_be_is_refused_for_good() {
    let stand = Stand::new(bucket(3, 10.0).with_wait(SECOND));
    let refused = stand.limit.try_take(4).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "rate_limit `geocoder` refused the call: too_costly (tokens asked for 4, limit 3)"
    );
    assert_eq!(refused.retry_at(), None);
    assert!(stand.limit.try_take(u32::MAX).is_err());
    assert_eq!(stand.limit.refused(TooFast::TooCostly), 2);
    assert_eq!(stand.limit.available(), 3.0);
}

#[test]
fn a_refusal_explains_itself() {
    let stand = Stand::new(bucket(1, 4.0));
    assert!(stand.admits());
    stand.hand.advance(100 * MS);
    let refused = stand.limit.try_take(1).unwrap_err();
    assert_eq!(refused.reason().code(), "no_tokens");
    assert_eq!(
        (refused.observed(), refused.limit()),
        (Some(1.0), Some(0.4))
    );
    assert_eq!(refused.retry_after(stand.clock.now()), Some(150 * MS));
    let said = refused.to_string();
    assert!(
        said.contains("no_tokens (tokens asked for 1, limit 0.4)"),
        "{said}"
    );
}

proptest! {
    /// The moment in a rejection is the very first at which the same call succeeds.
    #[test]
    fn the_moment_is_exact(
        count in 1_u32..2_000_000,
        capacity in 1_u32..100,
        used in 0_u32..100,
        cost in 1_u32..100,
        waited in 0_u64..10_000_000,
    ) {
        let make = || {
            let stand = Stand::new(bucket(capacity, count.into()));
            let _ = stand.limit.try_take(used.min(capacity).max(1));
            stand.hand.advance(Duration::from_nanos(waited));
            stand
        };
        let stand = make();
        let cost = cost.min(capacity);
        if let Err(refused) = stand.limit.try_take(cost) {
            let wait = refused.retry_after(stand.clock.now()).unwrap();
            stand.hand.advance(wait - NS);
            let before = stand.limit.try_take(cost);
            prop_assert!(before.is_err());
            prop_assert_eq!(before.unwrap_err().retry_at(), refused.retry_at());
            stand.hand.advance(NS);
            prop_assert!(stand.limit.try_take(cost).is_ok());
        }
    }
}

#[test]
fn in_the_dark_everything_goes_through_and_takes_nothing() {
    let stand = Stand::new(bucket(2, 1.0).with_enforcement(Enforcement::Dark));
    assert_eq!(stand.admitted(), 100_000);
    assert_eq!(stand.limit.would_have_held_up(), 99_998);
    assert_eq!(stand.limit.available(), 0.0);
    let none: u64 = [TooFast::NoTokens, TooFast::TooCostly]
        .map(|why| stand.limit.refused(why))
        .iter()
        .sum();
    assert_eq!(none, 0);
    assert_eq!(
        metrics::RATE_LIMIT_DARK.read(&stand.metrics, "geocoder", ()),
        Some(99_998)
    );
}

#[test]
fn for_a_share_of_the_calls() {
    let quarter = Enforcement::Partial(Share::percent(25.0).unwrap());
    let stand = Stand::new(bucket(1, 1.0).with_enforcement(quarter));
    let refused = (0..10_000).filter(|_| !stand.admits()).count();
    assert!((2_200..2_800).contains(&refused), "{refused}");
    // All attempts of one call are treated alike.
    let call = Call::new("look up");
    let first = stand.limit.try_admit(&call).is_ok();
    assert!((0..100).all(|_| stand.limit.try_admit(&call).is_ok() == first));
}

#[test]
fn a_larger_burst_is_not_handed_out() {
    let stand = Stand::new(bucket(10, 10.0));
    stand.hand.advance(3600 * SECOND);
    assert_eq!(stand.limit.reconfigure(bucket(1000, 10.0)), Ok(2));
    assert_eq!(stand.limit.available(), 10.0);
    assert_eq!(stand.admitted(), 10);
    stand.hand.advance(SECOND);
    assert_eq!(stand.admitted(), 10);
    stand.hand.advance(3600 * SECOND);
    assert_eq!(stand.admitted(), 1000);
}

#[test]
fn what_is_there_stays_as_far_as_there_is_room() {
    let stand = Stand::new(bucket(100, 10.0));
    assert!(stand.limit.try_take(60).is_ok());
    stand.limit.reconfigure(bucket(100, 1000.0)).unwrap();
    assert_eq!(stand.limit.available(), 40.0);
    stand.limit.reconfigure(bucket(30, 1.0)).unwrap();
    assert_eq!(stand.admitted(), 30);
    stand.limit.reconfigure(bucket(100, 100.0)).unwrap();
    assert_eq!(stand.admitted(), 0);
    stand.hand.advance(10 * MS);
    assert_eq!(stand.admitted(), 1);
}

#[test]
fn a_wrong_one_is_refused_whole() {
    let stand = Stand::new(bucket(2, 10.0));
    let error = stand.limit.reconfigure(bucket(0, 99.0)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "burst: 0 is out of range; allowed: 1 to 1000000000"
    );
    assert_eq!(stand.limit.config(), bucket(2, 10.0));
    assert_eq!(stand.admitted(), 2);
    let said: Vec<_> = stand.recorder.recent(10);
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0].signal.kind().name(), "reconfiguration_refused");
}

proptest! {
    /// However the rules change, nobody gets more than was there and has dripped in since.
    #[test]
    fn new_rules_hand_out_nothing(
        steps in prop::collection::vec((1_u32..50, 1_u32..1000, 0_u64..200, 0_u32..50), 1..30)
    ) {
        let stand = Stand::new(bucket(20, 100.0));
        let (mut rules, mut level) = ((20.0_f64, 100.0_f64), 20.0_f64);
        for (burst, rate, millis, takes) in steps {
            level = (level + rules.1 * millis as f64 / 1000.0).min(rules.0);
            stand.hand.advance(Duration::from_millis(millis));
            stand.limit.reconfigure(bucket(burst, rate.into())).unwrap();
            rules = (burst.into(), rate.into());
            level = level.min(rules.0);
            let slack = 1e-3;
            prop_assert!((stand.limit.available() - level).abs() < slack, "{} {level}", stand.limit.available());
            for _ in 0..takes {
                let admitted = stand.admits();
                // At the very edge rounding decides, against the call.
                prop_assert!(!admitted || level + slack >= 1.0);
                prop_assert!(admitted || level - slack < 1.0);
                level -= f64::from(u8::from(admitted));
            }
        }
    }
}

#[test]
fn numbers_are_exported_and_seen() {
    let stand = Stand::new(bucket(3, 10.0));
    assert_eq!(stand.admitted(), 3);
    let read = |metric: &rs_metrics::Metric<rs_metrics::Gauge, (), 1>| {
        metric.read(&stand.metrics, "geocoder", ()).unwrap()
    };
    assert_eq!(read(&metrics::RATE_LIMIT_AVAILABLE), 0.0);
    assert_eq!(read(&metrics::RATE_LIMIT_RATE), 10.0);
    assert_eq!(read(&metrics::RATE_LIMIT_WAITING), 0.0);
    let refused = metrics::RATE_LIMIT_REJECTED.read(&stand.metrics, "geocoder", TooFast::NoTokens);
    assert_eq!(refused, Some(1));

    let seen = stand
        .directory
        .find("rate_limit", "geocoder")
        .unwrap()
        .snapshot();
    assert_eq!(seen.get("rate"), Some(&Value::from("10/s")));
    assert_eq!(seen.get("burst"), Some(&Value::Count(3)));
    assert_eq!(seen.get("available"), Some(&Value::Number(0.0)));
    assert_eq!(
        seen.get("refused")
            .and_then(|refused| refused.get("no_tokens")),
        Some(&Value::Count(1))
    );
    // Refusals are no news.
    assert!(stand.recorder.recent(10).is_empty());
}

#[cfg(feature = "serde")]
#[test]
fn it_is_steered_by_its_directory() {
    let stand = Stand::new(bucket(3, 10.0));
    let limit = stand.directory.find("rate_limit", "geocoder").unwrap();
    let config = Value::map([("rate", Value::from("50/s")), ("burst", 7_u64.into())]);
    let action = rs_core::Action::new("reconfigure").with("config", config);
    let mandate = rs_core::Mandate::new("anna", "more were bought");
    limit.control(&action, &mandate).unwrap();
    assert_eq!(stand.limit.config(), bucket(7, 50.0));
    assert_eq!(stand.limit.available(), 3.0);
}
