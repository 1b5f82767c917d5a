//! What people tell breakers through the directory.

#[cfg(feature = "serde")]
mod rules;

use crate::support::{SECOND, plain};
use rs_breaker::{Breaker, BreakerRegistry, BreakerState, Forced, RegistryConfig, Surroundings};
use rs_core::{
    Action, Call, Clock, ClockHand, ControlError, Directory, Guard, Mandate, Outcome, Value,
};

type Told = Result<(), Box<ControlError>>;

/// A breaker, and one of many by its key, both told things by name.
struct Office {
    directory: Directory,
    around: Surroundings,
    hand: ClockHand,
    breaker: Breaker,
    hosts: BreakerRegistry,
}

impl Office {
    fn new() -> Self {
        let ((clock, hand), directory) = (Clock::manual(), Directory::new());
        let around = Surroundings::apart().with_clock(clock).with_seed(7);
        let around = around.with_directory(directory.clone());
        let rules = RegistryConfig::default().with_default(plain());
        Self {
            breaker: Breaker::within(&around, "payments", plain()).unwrap(),
            hosts: BreakerRegistry::keyed_within(&around, "hosts", rules).unwrap(),
            directory,
            around,
            hand,
        }
    }

    fn tell(&self, action: &Action) -> Told {
        self.directory
            .control("breaker", "payments", action, &mandate())
            .map_err(Box::new)
    }

    fn tell_hosts(&self, action: &Action) -> Told {
        self.directory
            .control("breakers", "hosts", action, &mandate())
            .map_err(Box::new)
    }

    fn said(&self) -> Vec<String> {
        let recent = self.around.recorder().recent(64);
        recent.iter().map(|one| one.signal.to_string()).collect()
    }
}

fn mandate() -> Mandate {
    Mandate::new("anna", "a drill").lasting(60 * SECOND)
}

fn fail(breaker: &Breaker) {
    while let Ok(permit) = breaker.try_admit(&Call::new("charge")) {
        permit.finish(Outcome::TRANSIENT);
    }
}

/// Does the same to a single breaker and to one of many, of which the others notice nothing.
#[track_caller]
fn check(prepare: impl Fn(&Breaker), action: &Action, then: impl Fn(&Breaker)) {
    let office = Office::new();
    prepare(&office.breaker);
    office.tell(action).unwrap();
    then(&office.breaker);

    let (told, other) = (office.hosts.get("10.0.0.7"), office.hosts.get("10.0.0.8"));
    prepare(&told);
    office
        .tell_hosts(&action.clone().with("key", "10.0.0.7"))
        .unwrap();
    then(&told);
    assert_eq!(other.snapshot().state_changes, 0);
    assert_eq!(other.snapshot().config_version, 1);
}

#[track_caller]
fn ordered(breaker: &Breaker, forced: Forced) {
    let now = breaker.snapshot();
    assert_eq!(now.state, forced.into());
    let order = now.order.unwrap();
    assert_eq!(
        (order.author.as_str(), order.reason.as_str()),
        ("anna", "a drill")
    );
    assert_eq!((order.forced, order.ends_in), (forced, Some(60 * SECOND)));
}

#[test]
fn orders() {
    let untouched = |_: &Breaker| ();
    check(untouched, &Action::new("force_open"), |told| {
        ordered(told, Forced::Open)
    });
    check(untouched, &Action::new("force_closed"), |told| {
        ordered(told, Forced::Closed)
    });
    check(untouched, &Action::new("isolate"), |told| {
        ordered(told, Forced::Isolated)
    });
    check(fail, &Action::new("force_closed"), |told| {
        ordered(told, Forced::Closed)
    });
    check(
        |breaker| breaker.force_open(Mandate::new("berta", "before")),
        &Action::new("isolate"),
        |told| ordered(told, Forced::Isolated),
    );
}

#[test]
fn releases_and_resets() {
    let is = |state| move |told: &Breaker| assert_eq!(told.state(), state);
    let force = |forced| move |breaker: &Breaker| breaker.force(forced, Mandate::new("berta", "x"));
    check(
        force(Forced::Open),
        &Action::new("release"),
        is(BreakerState::HalfOpen),
    );
    check(
        force(Forced::Isolated),
        &Action::new("release"),
        is(BreakerState::HalfOpen),
    );
    check(
        force(Forced::Closed),
        &Action::new("release"),
        is(BreakerState::Closed),
    );
    check(
        force(Forced::Open),
        &Action::new("reset"),
        is(BreakerState::Closed),
    );
    check(fail, &Action::new("reset"), |told| {
        let now = told.snapshot();
        assert_eq!(
            (now.state, now.window_calls, now.relapses),
            (BreakerState::Closed, 0, 0)
        );
        assert_eq!(now.failures, 4, "totals stay");
    });
}

#[test]
fn an_order_by_name_ends_by_itself() {
    let office = Office::new();
    office.tell(&Action::new("force_open")).unwrap();
    office.hand.advance(60 * SECOND);
    assert_eq!(office.breaker.state(), BreakerState::HalfOpen);
}

#[test]
fn a_wrong_action_says_what_there_is() {
    #[track_caller]
    fn check(action: &Action, expected: &str) {
        let office = Office::new();
        let _key = office.hosts.get("10.0.0.7");
        let error = office.tell(action).unwrap_err();
        assert_eq!(error.to_string(), expected);
        let error = office
            .tell_hosts(&action.clone().with("key", "10.0.0.7"))
            .unwrap_err();
        assert_eq!(error.to_string(), expected);
        let error = office.tell_hosts(action).unwrap_err();
        assert_eq!(
            error.to_string(),
            expected,
            "it is wrong with and without a key"
        );
        assert_eq!(office.breaker.snapshot().state_changes, 0);
    }
    let known = "force_open, force_closed, isolate, release, reset";
    let known = if cfg!(feature = "serde") {
        format!("{known}, reconfigure")
    } else {
        known.into()
    };
    check(
        &Action::new("force_opn"),
        &format!("unknown action `force_opn`, did you mean `force_open`? known: {known}"),
    );
    check(
        &Action::new("explode"),
        &format!("unknown action `explode`; known: {known}"),
    );
}

#[test]
fn nothing_to_release_is_no_success() {
    let office = Office::new();
    let error = office.tell(&Action::new("release")).unwrap_err();
    assert_eq!(*error, ControlError::NotNow("nothing is forced".to_owned()));
    fail(&office.breaker);
    assert!(
        office.tell(&Action::new("release")).is_err(),
        "it is open, but by no order"
    );
    assert_eq!(office.breaker.state(), BreakerState::Open);
}

#[test]
fn a_wrong_key_is_found_out() {
    let office = Office::new();
    let isolate = || Action::new("isolate");
    let error = office.tell_hosts(&isolate()).unwrap_err();
    assert_eq!(error.to_string(), "key: is missing");
    let error = office
        .tell_hosts(&isolate().with("key", "10.0.0.9"))
        .unwrap_err();
    assert_eq!(error.to_string(), "there is no breaker `10.0.0.9`");
    let error = office.tell_hosts(&isolate().with("key", 17)).unwrap_err();
    assert_eq!(error.to_string(), "key: 17 is no text");
    assert!(
        office.hosts.is_empty(),
        "to be told something makes no breaker"
    );
}

#[test]
fn an_argument_that_nobody_knows_is_not_passed_over() {
    let office = Office::new();
    let _host = office.hosts.get("10.0.0.7");
    let hasty = Action::new("force_open").with("lasting", "5m");
    let error = office.tell(&hasty).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`force_open` takes no arguments, `lasting` is one"
    );
    let error = office
        .tell_hosts(&hasty.with("key", "10.0.0.7"))
        .unwrap_err();
    assert_eq!(error.to_string(), "unknown argument `lasting`; known: key");
    let error = office
        .tell_hosts(&Action::new("reset").with("kay", "10.0.0.7"))
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown argument `kay`, did you mean `key`? known: key"
    );
    assert_eq!(office.breaker.state(), BreakerState::Closed);
    assert_eq!(office.said(), Vec::<String>::new());
}

#[test]
fn who_is_gone_cannot_be_told() {
    let Office {
        directory,
        breaker,
        hosts,
        around,
        ..
    } = Office::new();
    let isolate = Action::new("isolate");
    let newer = Breaker::within(&around, "payments", plain()).unwrap();
    directory
        .control("breaker", "payments", &isolate, &mandate())
        .unwrap();
    assert_eq!(
        breaker.state(),
        BreakerState::Closed,
        "the newest of the name is told"
    );
    drop((breaker, newer, hosts));
    for (kind, name) in [
        ("breaker", "payments"),
        ("breakers", "hosts"),
        ("breaker", "other"),
    ] {
        let error = directory
            .control(kind, name, &isolate, &mandate())
            .unwrap_err();
        assert_eq!(error.to_string(), format!("there is no {kind} `{name}`"));
    }
    assert!(directory.list().is_empty());
}

#[test]
fn what_can_be_told_is_listed_with_its_arguments() {
    let office = Office::new();
    for (kind, name) in [("breaker", "payments"), ("breakers", "hosts")] {
        for spec in office.directory.find(kind, name).unwrap().actions() {
            assert!(!spec.help().is_empty());
            let mut arguments = spec.arguments().iter().map(|(name, _)| *name);
            assert_eq!(
                arguments.any(|name| name == "key"),
                kind == "breakers",
                "{spec:?}"
            );
        }
    }
}

#[test]
fn the_directory_shows_a_breaker_as_its_snapshot_and_many_as_their_states() {
    let office = Office::new();
    fail(&office.breaker);
    let entry = office.directory.find("breaker", "payments").unwrap();
    assert_eq!(entry.snapshot(), office.breaker.snapshot().to_value());

    for number in 0..150 {
        let host = office.hosts.get(&format!("host-{number}"));
        if number < 120 {
            fail(&host);
        }
    }
    office.hosts.get("host-149").isolate(mandate());
    let shown = office
        .directory
        .find("breakers", "hosts")
        .unwrap()
        .snapshot();
    assert_eq!(shown.get("breakers"), Some(&Value::Count(150)));
    let states = shown.get("states").unwrap();
    assert_eq!(
        states.to_string(),
        "{closed: 29, open: 120, half_open: 0, ramping: 0, forced_open: 0, forced_closed: 0, \
         isolated: 1}"
    );
    let Some(Value::Map(unwell)) = shown.get("not_closed") else {
        panic!("{shown}");
    };
    assert_eq!(unwell.len(), 100, "a hundred are enough to see");
    assert!(
        unwell
            .iter()
            .all(|(_, state)| state.to_string() != "closed")
    );
}
