//! Breakers by name: by which rules they are made, how many are kept, which are let go.

mod hostile;
mod idle;

use crate::support::{SECOND, plain};
use rs_breaker::{
    Breaker, BreakerConfig, BreakerRegistry, BreakerState, RegistryConfig, Surroundings, Trip,
    metrics::{FAILURES, NOT_KEPT, NOT_PERMITTED, REQUESTS, RequestOutcome, STATE, STATE_CHANGES},
};
use rs_breaker::{FailureKind, Refused};
use rs_core::{Call, Clock, ClockHand, ConfigError, Directory, Fault, Guard, Mandate, Outcome};
use rs_metrics::Registry;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// A registry apart from the world, whose time is moved by hand.
struct House {
    breakers: BreakerRegistry,
    hand: ClockHand,
    metrics: Registry,
    around: Surroundings,
    directory: Directory,
}

impl House {
    fn with(rules: RegistryConfig) -> Self {
        Self::built(|around| BreakerRegistry::within(around, rules))
    }

    fn keyed(rules: RegistryConfig) -> Self {
        Self::built(|around| BreakerRegistry::keyed_within(around, "hosts", rules))
    }

    fn built(build: impl FnOnce(&Surroundings) -> Result<BreakerRegistry, ConfigError>) -> Self {
        let ((clock, hand), metrics) = (Clock::manual(), Registry::new());
        let directory = Directory::new();
        let around = Surroundings::apart()
            .with_clock(clock)
            .with_metrics(metrics.clone());
        let around = around.with_directory(directory.clone()).with_seed(7);
        Self {
            breakers: build(&around).unwrap(),
            hand,
            metrics,
            around,
            directory,
        }
    }

    fn call(&self, name: &str, outcome: Outcome) -> bool {
        call(&self.breakers.get(name), outcome)
    }

    fn open(&self, name: &str) {
        while self.call(name, Outcome::TRANSIENT) {}
    }

    fn has(&self, name: &str) -> bool {
        self.breakers.find(name).is_some()
    }

    fn state(&self, name: &str) -> Option<BreakerState> {
        self.breakers.find(name).map(|breaker| breaker.state())
    }

    /// So much time passes, and somebody looks for idle breakers each minute.
    fn pass(&self, time: Duration) {
        for _ in 0..time.as_secs() / 60 {
            self.hand.advance(60 * SECOND);
            self.breakers.evict_idle();
        }
    }

    fn not_kept(&self, label: &'static str) -> u64 {
        NOT_KEPT.read(&self.metrics, label, ()).unwrap()
    }
}

fn call(breaker: &Breaker, outcome: Outcome) -> bool {
    let admitted = breaker.try_admit(&Call::new("charge"));
    admitted.map(|permit| permit.finish(outcome)).is_ok()
}

fn rules() -> RegistryConfig {
    RegistryConfig::default().with_default(plain())
}

/// Recognised by how many failures in a row it takes.
fn after(failures: u32) -> BreakerConfig {
    plain().with_trip([Trip::consecutive_failures(failures)])
}

#[test]
fn an_exact_name_beats_a_pattern_and_the_first_pattern_beats_the_next() {
    let rules = RegistryConfig::default()
        .with_matching("bank-*", after(2))
        .with_default(after(1))
        .with_named("bank-north", after(3))
        .with_matching("*-n?rth", after(4))
        .with_matching("bank-south", after(5))
        .with_named("*-exact", after(6));
    let house = House::with(rules);
    let check = |name: &str, failures: u32| {
        let breaker = house.breakers.get(name);
        assert_eq!(*breaker.config(), after(failures), "{name}");
        assert_eq!(breaker.name().as_str(), name);
    };
    check("bank-north", 3);
    check("bank-south", 2);
    check("bank-", 2);
    check("shop-north", 4);
    check("shop-nrth", 1);
    check("shop-nöoth", 1);
    check("shop-nörth", 4);
    check("Bank-west", 1);
    check("my-bank-west", 1);
    check("very-exact", 1);
    check("*-exact", 6);
    check("", 1);
}

#[test]
fn one_name_is_one_breaker() {
    let house = House::with(rules());
    let (one, two) = (house.breakers.get("a"), house.breakers.get("a"));
    call(&one, Outcome::Success);
    assert_eq!(two.snapshot().successes, 1);
    assert_eq!(house.breakers.get("b").snapshot().successes, 0);
    assert_eq!((house.breakers.len(), house.breakers.list().len()), (2, 2));
    assert!(
        house.breakers.find("c").is_none(),
        "to look for one makes none"
    );
    assert!(!house.breakers.is_empty());
}

#[test]
fn a_breaker_by_name_is_that_of_the_process() {
    let one = Breaker::named("registry-test-a");
    let two = BreakerRegistry::global().get("registry-test-a");
    call(&one, Outcome::Success);
    assert_eq!(two.snapshot().successes, 1);
    assert!(
        Directory::global()
            .find("breaker", "registry-test-a")
            .is_some()
    );
    let exported = REQUESTS.read(
        Registry::global(),
        "registry-test-a",
        RequestOutcome::Success,
    );
    assert_eq!(exported, Some(1));
}

#[test]
fn without_room_a_new_name_gets_one_that_lets_everything_through() {
    let house = House::with(rules().with_limit(2));
    let kept = [house.breakers.get("a"), house.breakers.get("b")];
    let extra = house.breakers.get("c");
    for _ in 0..100 {
        assert!(call(&extra, Outcome::TRANSIENT));
    }
    assert_eq!(extra.state(), BreakerState::ForcedClosed);
    assert_eq!(house.not_kept("breakers"), 1);
    assert_eq!((house.breakers.len(), house.has("c")), (2, false));
    house.open("a");
    assert_eq!(
        kept[0].state(),
        BreakerState::Open,
        "who has a place is not touched"
    );
    assert!(house.has("b") && kept[1].state() == BreakerState::Closed);
}

#[test]
fn a_place_that_becomes_free_is_given_away() {
    let house = House::with(rules().with_limit(2));
    house.open("a");
    let held = house.breakers.get("b");
    assert!(!call_is_kept(&house, "c"));
    drop(held);
    house.hand.advance(SECOND);
    assert!(
        call_is_kept(&house, "c"),
        "nobody holds `b` and nobody called it"
    );
    assert_eq!((house.has("a"), house.has("b")), (true, false));
}

fn call_is_kept(house: &House, name: &str) -> bool {
    house.call(name, Outcome::Success);
    house.has(name)
}

#[test]
fn who_was_called_lately_does_not_make_room() {
    let house = House::with(rules().with_limit(1));
    house.call("a", Outcome::Success);
    for _ in 0..10 {
        house.hand.advance(SECOND);
        assert!(!call_is_kept(&house, "b"));
        house.call("a", Outcome::Success);
    }
    house.hand.advance(SECOND);
    assert!(
        !call_is_kept(&house, "b"),
        "somebody has to see that it was called"
    );
    house.hand.advance(SECOND);
    assert!(call_is_kept(&house, "b"));
    assert_eq!(house.not_kept("breakers"), 11);
}

#[test]
fn what_an_evicted_breaker_counted_stays_in_the_groups_metrics() {
    let house = House::keyed(rules().with_idle(60 * SECOND));
    let requests = |outcome| REQUESTS.read(&house.metrics, "hosts", outcome).unwrap();
    for key in ["a", "b"] {
        house.call(key, Outcome::Success);
        house.call(key, Outcome::Ignored);
        house.call(key, Fault::timed_out().into());
        drop(house.breakers.get(key).try_admit(&Call::new("cancelled")));
        let late = house.breakers.get(key);
        let late = late.try_admit(&Call::new("late")).unwrap();
        house.open(key);
        late.finish(Outcome::Success);
        house
            .breakers
            .get(key)
            .reset(Mandate::new("anna", "a new host"));
    }
    let read = || {
        (
            [
                requests(RequestOutcome::Success),
                requests(RequestOutcome::Failure),
                requests(RequestOutcome::Ignored),
                requests(RequestOutcome::Cancelled),
                requests(RequestOutcome::Stale),
                requests(RequestOutcome::Rejected),
            ],
            FAILURES
                .read(&house.metrics, "hosts", FailureKind::TimedOut)
                .unwrap(),
            NOT_PERMITTED
                .read(&house.metrics, "hosts", Refused::Open)
                .unwrap(),
            STATE_CHANGES
                .read(&house.metrics, "hosts", BreakerState::Open)
                .unwrap(),
            rs_breaker::metrics::RESPONSE_TIME.read(&house.metrics, "hosts", ()),
        )
    };
    let before = read();
    assert_eq!(before.0, [2, 6, 2, 2, 2, 2]);
    assert_eq!((before.1, before.2, before.3), (2, 2, 2));
    let closed = |house: &House| STATE.read(&house.metrics, "hosts", BreakerState::Closed);
    assert_eq!(closed(&house), Some(2.0));
    house.pass(600 * SECOND);
    assert!(house.breakers.is_empty());
    assert_eq!(read(), before);
    assert_eq!(closed(&house), Some(0.0));
    house.call("a", Outcome::Success);
    assert_eq!(
        requests(RequestOutcome::Success),
        3,
        "and goes on from there"
    );
}

#[test]
fn an_evicted_breaker_is_no_longer_listed_nor_exported() {
    let house = House::with(rules().with_idle(60 * SECOND));
    house.call("a", Outcome::Success);
    let read = || REQUESTS.read(&house.metrics, "a", RequestOutcome::Success);
    assert_eq!(read(), Some(1));
    house.pass(600 * SECOND);
    assert_eq!(read(), None);
    assert_eq!(
        house
            .metrics
            .gather()
            .iter()
            .map(|metric| metric.series.len())
            .sum::<usize>(),
        1
    );
    house.call("a", Outcome::Success);
    assert_eq!(read(), Some(1), "a new one begins anew");
}

#[test]
fn other_rules_keep_the_state_of_all() {
    let house = House::with(rules().with_named("b", after(9)));
    house.open("a");
    house.call("b", Outcome::TRANSIENT);
    house.call("c", Outcome::Success);
    let order = Mandate::new("anna", "a drill");
    house.breakers.get("d").isolate(order);
    let rules = rules()
        .with_matching("?", after(7))
        .with_named("b", after(9));
    house.breakers.reconfigure(rules).unwrap();
    let check = |name: &str, config: BreakerConfig, version, state, failed| {
        let breaker = house.breakers.find(name).unwrap();
        assert_eq!(*breaker.config(), config, "{name}");
        let now = breaker.snapshot();
        assert_eq!(
            (now.config_version, now.state, now.failures),
            (version, state, failed),
            "{name}"
        );
    };
    check("a", after(7), 2, BreakerState::Open, 4);
    check("b", after(9), 1, BreakerState::Closed, 1);
    check("c", after(7), 2, BreakerState::Closed, 0);
    check("d", after(7), 2, BreakerState::Isolated, 0);
    assert_eq!(*house.breakers.get("new one").config(), plain());
}

#[test]
fn wrong_rules_change_nothing() {
    let house = House::with(rules());
    house.open("a");
    let check = |rules: RegistryConfig, expected: &str| {
        let error = house.breakers.reconfigure(rules).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(*house.breakers.get("a").config(), plain());
        assert_eq!(house.breakers.get("a").snapshot().config_version, 1);
        assert_eq!(*house.breakers.get("b").config(), plain());
    };
    let wrong = || after(0);
    let allowed = "0 is out of range; allowed: 1 to 1000000";
    check(
        rules().with_default(wrong()),
        &format!("default.trip[0].consecutive_failures: {allowed}"),
    );
    check(
        rules().with_default(after(3)).with_named("b", wrong()),
        &format!("named.b.trip[0].consecutive_failures: {allowed}"),
    );
    check(
        rules()
            .with_matching("a", after(3))
            .with_matching("z*", wrong()),
        &format!("matching[1].config.trip[0].consecutive_failures: {allowed}"),
    );
    check(
        rules().with_matching("", after(3)),
        "matching[0].pattern: is missing",
    );
    check(
        rules().with_limit(0),
        "limit: 0 is out of range; allowed: 1 to 1000000",
    );
    check(
        rules().with_idle(Duration::ZERO),
        "idle: 0s is out of range; allowed: 1ms to 30d",
    );
}

#[test]
fn a_lower_limit_throws_nobody_out() {
    let house = House::with(rules());
    let held: Vec<_> = ["a", "b", "c"].map(|name| house.breakers.get(name)).into();
    house.breakers.reconfigure(rules().with_limit(1)).unwrap();
    assert_eq!(house.breakers.len(), 3);
    assert!(!call_is_kept(&house, "d"));
    drop(held);
    house.hand.advance(SECOND);
    assert!(call_is_kept(&house, "d"));
    assert_eq!(house.breakers.len(), 1);
}

#[test]
fn a_long_name_keeps_its_rules_when_the_rules_are_given_again() {
    let long = format!("bank-{}-north", "x".repeat(200));
    let rules = || {
        rules()
            .with_matching("*-north", after(2))
            .with_named(long.clone() + "!", after(3))
    };
    let house = House::with(rules());
    let (by_pattern, by_name) = (
        house.breakers.get(&long),
        house.breakers.get(&(long.clone() + "!")),
    );
    house.breakers.reconfigure(rules()).unwrap();
    assert_eq!(*by_pattern.config(), after(2));
    assert_eq!(*by_name.config(), after(3));
    assert_eq!(by_pattern.snapshot().config_version, 1);
}
