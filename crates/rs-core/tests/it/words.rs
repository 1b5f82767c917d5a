//! The small words: outcomes, failures, rejections, values, labels, stripes, configuration helpers.

use std::{
    collections::HashSet,
    error::Error,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use rs_core::{
    ByResult, Classify, Clock, ConfigError, Failure, Fault, FaultKind, Label, LabelSet, Measure,
    Name, Outcome, Rate, Reason, Rejection, Share, Size, Striped, TimeScope, TimedOut, Unit, Value,
    config, label_set,
};

fn now() -> Instant {
    Clock::default().now()
}

#[test]
fn outcomes() {
    assert!(Outcome::Success.is_success() && !Outcome::Success.is_failure());
    assert!(!Outcome::Ignored.is_success() && !Outcome::Ignored.is_failure());
    assert_eq!(Outcome::Ignored.fault(), None);
    #[track_caller]
    fn check(fault: Fault, kind: FaultKind, can_help: bool) {
        assert_eq!(fault.kind(), kind);
        assert_eq!(fault.is_transient(), can_help);
        assert_eq!(fault.retry_after(), None);
        let later = fault.after(Duration::from_secs(2));
        assert_eq!(later.retry_after(), Some(Duration::from_secs(2)));
        assert_eq!(Outcome::from(later).fault(), Some(later));
        assert!(Outcome::from(fault).is_failure());
    }
    check(Fault::transient(), FaultKind::Transient, true);
    check(Fault::timed_out(), FaultKind::TimedOut, true);
    check(Fault::throttled(), FaultKind::Throttled, true);
    check(Fault::permanent(), FaultKind::Permanent, false);
    assert_eq!(ByResult.classify(Ok::<&u8, &u8>(&1)), Outcome::Success);
    assert_eq!(ByResult.classify(Err::<&u8, &u8>(&1)), Outcome::TRANSIENT);
}

static IN_FLIGHT: Measure = Measure::new("calls in flight", Unit::Count);
static FULL: Reason = Reason::new("bulkhead", "full").judging(&IN_FLIGHT);
static SHUT: Reason = Reason::new("bulkhead", "shut");

#[test]
fn rejections_explain_themselves() {
    #[track_caller]
    fn check(rejection: Rejection, expected: &str) {
        println!("{rejection}");
        assert_eq!(rejection.to_string(), expected);
    }
    let full = || FULL.reject(Name::of("payments"));
    check(full(), "bulkhead `payments` refused the call: full");
    check(
        full()
            .because(32.0, 32.0)
            .try_at(now() + Duration::from_millis(1_500)),
        "bulkhead `payments` refused the call: full (calls in flight 32, limit 32); \
         try again in 1.5s",
    );
    // Numbers of a reason that measures nothing are not shown.
    check(
        SHUT.reject(Name::new("a")).because(1.0, 2.0),
        "bulkhead `a` refused the call: shut",
    );
    let one = full().because(32.0, 32.0).in_generation(4);
    assert_eq!(one, one);
    assert_ne!(one, full().because(31.0, 32.0).in_generation(4));
    assert_ne!(one, full().because(32.0, 32.0));
    assert_eq!(full(), full(), "unknown numbers are equal");
    assert_eq!((one.observed(), one.limit()), (Some(32.0), Some(32.0)));
    assert_eq!((full().observed(), full().limit()), (None, None));
    assert_eq!(one.reason().code(), "full");
    assert_eq!(one.reason().policy(), "bulkhead");
    assert_eq!(one.instance(), Name::of("payments"));
    assert_eq!(
        format!("{one:?}"),
        "Rejection { policy: \"bulkhead\", reason: \"full\", instance: \"payments\", \
         observed: Some(32.0), limit: Some(32.0), generation: 4, retry_at: None }"
    );
}

#[test]
fn failures_keep_the_callers_error() {
    let once = Failure::Operation {
        error: "declined",
        attempts: 1,
    };
    let thrice = Failure::Operation {
        error: "declined",
        attempts: 3,
    };
    let soon = now() + Duration::from_secs(1);
    let refused: Failure<&str> = SHUT.reject(Name::of("a")).try_at(soon).into();
    let late: Failure<&str> = TimedOut::new(TimeScope::Deadline, Duration::from_millis(250)).into();

    assert_eq!(once.to_string(), "declined");
    assert_eq!(thrice.to_string(), "declined (attempt 3)");
    assert_eq!(
        refused.to_string(),
        "bulkhead `a` refused the call: shut; try again in 1s"
    );
    assert_eq!(
        late.to_string(),
        "the call's deadline passed, 250ms after it began"
    );

    assert_eq!(once.operation(), Some(&"declined"));
    assert_eq!(refused.operation(), None);
    let just_before = soon - Duration::from_millis(5);
    assert_eq!(
        refused.retry_after(just_before),
        Some(Duration::from_millis(5))
    );
    assert_eq!(
        refused.retry_after(soon + Duration::from_secs(9)),
        Some(Duration::ZERO)
    );
    assert_eq!(late.retry_after(soon), None);
    assert!(refused.is_rejected() && !late.is_rejected());
    assert!(late.is_timed_out() && !once.is_timed_out());
    assert_eq!(
        thrice.clone().map(str::len),
        Failure::Operation {
            error: 8,
            attempts: 3
        }
    );
    assert_eq!(
        refused
            .clone()
            .map(str::len)
            .into_inner()
            .unwrap_err()
            .retry_after(soon),
        Some(Duration::ZERO)
    );
    assert_eq!(once.into_inner(), Ok("declined"));
    assert_eq!(late.clone().into_inner(), Err(late));

    // Boxed errors stack.
    let boxed: Failure<Box<dyn Error + Send + Sync>> = Failure::Operation {
        error: "disk".into(),
        attempts: 1,
    };
    let again: Box<dyn Error> = Box::new(boxed);
    assert_eq!(again.to_string(), "disk");
}

#[test]
fn time_limits_say_what_they_were_set_on() {
    #[track_caller]
    fn check(scope: TimeScope, expected: &str) {
        let limit = TimedOut::new(scope, Duration::from_secs(2));
        assert_eq!(limit.to_string(), expected);
        assert_eq!(
            (limit.scope(), limit.limit()),
            (scope, Duration::from_secs(2))
        );
    }
    check(TimeScope::Total, "not done within 2s");
    check(TimeScope::Attempt, "the attempt was not done within 2s");
    check(TimeScope::Idle, "no sign of life for 2s");
    check(
        TimeScope::Deadline,
        "the call's deadline passed, 2s after it began",
    );
    check(TimeScope::Queue, "no permit within 2s");
    check(TimeScope::Connect, "not connected within 2s");
    check(TimeScope::Read, "nothing read within 2s");
    check(TimeScope::Write, "nothing written within 2s");
}

#[test]
fn values() {
    #[track_caller]
    fn check(value: impl Into<Value>, shown: &str) {
        assert_eq!(value.into().to_string(), shown);
    }
    check(true, "true");
    check(7_u16, "7");
    check(-7_i32, "-7");
    check(i64::MAX, "9223372036854775807");
    check(0.5, "0.5");
    check("text", "text");
    check(Name::of("n"), "n");
    check(Duration::from_millis(1_500), "1s500ms");
    check(Share::of(0.5).unwrap(), "50%");
    check(Rate::new(5.0, Duration::from_secs(1)).unwrap(), "5/s");
    check(Size::bytes(1_024), "1KiB");
    check(None::<u32>, "-");
    check(Some(1_u32), "1");
    check(vec![Value::from(1_u32), Value::Null], "[1, -]");
    let map = Value::map([
        ("a", Value::from(1)),
        ("b", Value::map([("c", Value::Null)])),
    ]);
    assert_eq!(map.to_string(), "{a: 1, b: {c: -}}");
    assert_eq!(map.get("a"), Some(&Value::Count(1)));
    assert_eq!(map.get("b").and_then(|b| b.get("c")), Some(&Value::Null));
    assert_eq!(map.get("z"), None);
    assert_eq!(Value::Null.get("a"), None);
    assert_eq!(Value::from("x").as_str(), Some("x"));
    assert_eq!(map.as_str(), None);
    // One way to say a whole number from zero up.
    assert_eq!(Value::from(3_i64), Value::from(3_u64));
}

#[test]
fn configuration_helpers() {
    #[track_caller]
    fn check<T: std::fmt::Debug>(result: Result<T, ConfigError>, expected: &str) {
        let error = result.unwrap_err();
        println!("{error}");
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(config::in_range("probes", 1, 1..=100), Ok(1));
    assert_eq!(config::in_range("probes", 100, 1..=100), Ok(100));
    check(
        config::in_range("probes", 101, 1..=100),
        "probes: 101 is out of range; allowed: 1 to 100",
    );
    check(
        config::in_range("factor", f64::NAN, 0.0..=1.0),
        "factor: NaN is out of range; allowed: 0 to 1",
    );
    let known = [("round_robin", 1), ("random", 2), ("least_loaded", 3)];
    assert_eq!(config::one_of("strategy", "random", &known), Ok(2));
    let list = "known: round_robin, random, least_loaded";
    check(
        config::one_of("strategy", "rondom", &known),
        &format!("strategy: unknown name `rondom`, did you mean `random`? {list}"),
    );
    check(
        config::one_of("strategy", "LeastLoaded", &known),
        &format!("strategy: unknown name `LeastLoaded`, did you mean `least_loaded`? {list}"),
    );
    check(
        config::one_of("strategy", "", &known),
        &format!("strategy: unknown name ``; {list}"),
    );
    check(
        config::one_of("strategy", "weighted", &known),
        &format!("strategy: unknown name `weighted`; {list}"),
    );
    check::<u32>(
        config::one_of("strategy", "x", &[]),
        "strategy: unknown name `x`; there are none",
    );
    check::<()>(
        Err(ConfigError::other("two of them contradict")),
        "two of them contradict",
    );
    let error: &dyn Error = &ConfigError::missing("window");
    assert_eq!(error.to_string(), "window: is missing");
}

label_set! {
    /// How it went.
    enum Went: "went" {
        /// Well.
        Well = "well",
        /// Badly.
        Badly = "badly",
    }
}

label_set! {
    /// Where.
    enum Place: "place" {
        /// Here.
        Here = "here",
        /// There.
        There = "there",
        /// Elsewhere.
        Elsewhere = "elsewhere",
    }
}

#[test]
fn labels_count_their_combinations() {
    assert_eq!(Went::KEY, "went");
    assert_eq!(Place::VALUES, ["here", "there", "elsewhere"]);
    assert_eq!(Place::ALL.len(), 3);
    assert_eq!(format!("{:>6}", Went::Well), "  well");
    assert_eq!(<() as LabelSet>::LABELS.len(), 0);
    assert_eq!(LabelSet::place(()), 0);
    assert_eq!(<(Went, Place)>::LABELS[1], ("place", Place::VALUES));

    fn check<L: LabelSet>(all: impl IntoIterator<Item = L>) {
        let size: usize = L::LABELS.iter().map(|(_, values)| values.len()).product();
        let indexes: Vec<usize> = all.into_iter().map(LabelSet::place).collect();
        assert_eq!(indexes, (0..size).collect::<Vec<_>>());
    }
    check(Place::ALL.iter().copied());
    check(
        Went::ALL
            .iter()
            .flat_map(|&w| Place::ALL.iter().map(move |&p| (w, p))),
    );
    check(Went::ALL.iter().flat_map(|&w| {
        Place::ALL
            .iter()
            .flat_map(move |&p| Went::ALL.iter().map(move |&v| (w, p, v)))
    }));
}

#[test]
fn stripes_add_up() {
    #[track_caller]
    fn check(striped: &Striped<AtomicU64>, count: usize) {
        assert_eq!(striped.count(), count);
        assert_eq!(striped.iter().count(), count);
        let before: u64 = striped.iter().map(|stripe| stripe.load(Relaxed)).sum();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..1_000).for_each(|_| _ = striped.local().fetch_add(1, Relaxed)));
            }
        });
        let after: u64 = striped.iter().map(|stripe| stripe.load(Relaxed)).sum();
        assert_eq!(after - before, 8_000);
    }
    check(&Striped::with_count(0, AtomicU64::default), 1);
    check(&Striped::with_count(1, AtomicU64::default), 1);
    check(&Striped::with_count(3, AtomicU64::default), 4);
    check(&Striped::at_most(0, AtomicU64::default), 1);
    let by_processor: Striped<AtomicU64> = Striped::new(AtomicU64::default);
    check(&by_processor, by_processor.count());
    assert!(by_processor.count().is_power_of_two() && by_processor.count() <= 64);

    // A thread keeps its stripe, and stripes lie apart.
    let four: Striped<u8> = Striped::with_count(4, || 0);
    assert!(std::ptr::eq(four.local(), four.local()));
    let places: HashSet<usize> = four
        .iter()
        .map(|stripe| stripe as *const u8 as usize / 128)
        .collect();
    assert_eq!(places.len(), 4);
}
