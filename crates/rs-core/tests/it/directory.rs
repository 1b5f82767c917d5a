//! Everything that has a name can be found and steered, and nothing is kept alive by it.

use std::{
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use rs_core::{
    Action, ActionSpec, ConfigError, ControlError, Directory, Inspect, Mandate, Name, Value,
};

struct Pool {
    name: Name,
    places: AtomicU32,
    told: Mutex<Vec<(Action, Mandate)>>,
}

impl Pool {
    fn new(name: &str) -> Arc<Self> {
        Arc::new(Self {
            name: Name::new(name),
            places: AtomicU32::new(8),
            told: Mutex::default(),
        })
    }
}

const ACTIONS: &[ActionSpec] = &[
    ActionSpec::new("resize", "Gives the pool another number of places.")
        .taking(&[("places", "a whole number, 1 to 100")]),
    ActionSpec::new("drain", "Lets nobody in any more."),
];

impl Inspect for Pool {
    fn kind(&self) -> &'static str {
        "pool"
    }

    fn name(&self) -> Name {
        self.name
    }

    fn snapshot(&self) -> Value {
        Value::map([("places", self.places.load(SeqCst).into())])
    }

    fn actions(&self) -> &'static [ActionSpec] {
        ACTIONS
    }

    fn control(&self, action: &Action, mandate: &Mandate) -> Result<(), ControlError> {
        match (action.name(), action.argument("places")) {
            ("resize", Some(&Value::Count(places @ 1..=100))) => {
                self.places.store(places as u32, SeqCst);
            }
            ("resize", Some(other)) => {
                return Err(ConfigError::out_of_range(other, "1 to 100")
                    .in_field("places")
                    .into());
            }
            ("resize", None) => return Err(ConfigError::missing("places").into()),
            ("drain", _) => return Err(ControlError::NotNow("calls are inside".to_owned())),
            _ => return Err(ControlError::unknown(action, self.actions())),
        }
        self.told
            .lock()
            .unwrap()
            .push((action.clone(), mandate.clone()));
        Ok(())
    }
}

/// Can be looked at and nothing else.
struct Sign;

impl Inspect for Sign {
    fn kind(&self) -> &'static str {
        "sign"
    }

    fn name(&self) -> Name {
        Name::of("exit")
    }

    fn snapshot(&self) -> Value {
        Value::Null
    }
}

fn by() -> Mandate {
    Mandate::new("anna", "drill").lasting(Duration::from_secs(60))
}

#[test]
fn entries_vanish_with_their_owners() {
    let directory = Directory::new();
    let names = |directory: &Directory| -> String {
        let entries = directory.snapshots();
        let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
        names.join(" ")
    };
    let (a, b) = (Pool::new("a"), Pool::new("b"));
    directory.register(&a);
    directory.register(&b);
    directory.clone().register(&Pool::new("gone at once"));
    assert_eq!(names(&directory), "a b");
    assert_eq!(
        format!("{directory:?}"),
        r#"[("pool", "a"), ("pool", "b")]"#
    );
    drop(a);
    assert_eq!(names(&directory), "b");
    assert!(directory.find("pool", "a").is_none());
    assert_eq!(Arc::strong_count(&b), 1, "it holds them weakly");
    assert_eq!(directory.snapshots()[0].state.to_string(), "{places: 8}");
    assert_eq!(directory.snapshots()[0].kind, "pool");
}

#[test]
fn the_newest_of_a_name_is_found() {
    let directory = Directory::new();
    let (old, new) = (Pool::new("a"), Pool::new("a"));
    directory.register(&old);
    directory.register(&new);
    let resize = Action::new("resize").with("places", 9);
    directory.control("pool", "a", &resize, &by()).unwrap();
    assert_eq!((old.places.load(SeqCst), new.places.load(SeqCst)), (8, 9));
    assert_eq!(*new.told.lock().unwrap(), [(resize.clone(), by())]);
    drop(new);
    directory.control("pool", "a", &resize, &by()).unwrap();
    assert_eq!(old.places.load(SeqCst), 9);
}

#[test]
fn what_cannot_be_done_is_explained() {
    let directory = Directory::new();
    let pool = Pool::new("payments");
    let sign = Arc::new(Sign);
    directory.register(&pool);
    directory.register(&sign);

    let told = |kind: &str, name: &str, action: Action| {
        directory.control(kind, name, &action, &by()).unwrap_err()
    };
    #[track_caller]
    fn check(error: ControlError, expected: &str) {
        println!("{error}");
        assert_eq!(error.to_string(), expected);
    }
    check(
        told("pool", "payment", Action::new("drain")),
        "there is no pool `payment`",
    );
    check(
        told("sign", "payments", Action::new("drain")),
        "there is no sign `payments`",
    );
    let unknown = told("pool", "payments", Action::new("resise"));
    assert!(matches!(unknown, ControlError::Unknown(_)));
    check(
        unknown,
        "unknown action `resise`, did you mean `resize`? known: resize, drain",
    );
    check(
        told("sign", "exit", Action::new("move")),
        "unknown action `move`; there are none",
    );
    check(
        told("pool", "payments", Action::new("resize")),
        "places: is missing",
    );
    check(
        told("pool", "payments", Action::new("resize").with("places", 0)),
        "places: 0 is out of range; allowed: 1 to 100",
    );
    check(
        told("pool", "payments", Action::new("drain")),
        "not now: calls are inside",
    );
    assert_eq!(pool.places.load(SeqCst), 8, "nothing has changed");
}

#[test]
fn an_action_carries_its_arguments() {
    let action = Action::new("resize").with("places", 9).with("slowly", true);
    assert_eq!(action.name(), "resize");
    assert_eq!(action.argument("slowly"), Some(&Value::Bool(true)));
    assert_eq!(action.argument("fast"), None);
    assert_eq!(action.arguments().to_string(), "{places: 9, slowly: true}");
    assert_eq!(*Action::new("drain").arguments(), Value::Null);
    assert_eq!(ACTIONS[0].name(), "resize");
    assert_eq!(
        ACTIONS[0].arguments(),
        [("places", "a whole number, 1 to 100")]
    );
    assert_eq!(ACTIONS[1].help(), "Lets nobody in any more.");

    let by = by();
    assert_eq!((by.author(), by.reason()), ("anna", "drill"));
    assert_eq!(by.expires_in(), Some(Duration::from_secs(60)));
    assert_eq!(Mandate::new("a", "b").expires_in(), None);
}

/// Counts the entries that were made and are not yet freed, weakly held ones included.
struct Tracked(Name, #[expect(dead_code, reason = "it counts")] Arc<()>);

impl Inspect for Tracked {
    fn kind(&self) -> &'static str {
        "tracked"
    }

    fn name(&self) -> Name {
        self.0
    }

    fn snapshot(&self) -> Value {
        Value::Null
    }
}

#[test]
fn the_dead_are_cleared_away() {
    let directory = Directory::new();
    let stays = Pool::new("stays");
    directory.register(&stays);
    let mut weak: Vec<Weak<Pool>> = Vec::new();
    let measured = allocation_counter::measure(|| {
        for _ in 0..10_000 {
            directory.register(&Pool::new("short-lived"));
        }
    });
    // What is left of ten thousand is a few dozen headers, not ten thousand.
    assert!(measured.bytes_current < 20_000, "{measured:?}");
    weak.push(Arc::downgrade(&stays));
    assert_eq!(directory.list().len(), 1);
    drop(stays);
    assert!(weak[0].upgrade().is_none());
}

#[test]
fn registering_and_dropping_at_the_same_time() {
    let directory = Directory::new();
    let alive = Arc::new(());
    let stays = Arc::new(Tracked(Name::of("stays"), Arc::clone(&alive)));
    directory.register(&stays);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (directory, alive) = (&directory, &alive);
            scope.spawn(move || {
                for at in 0..500 {
                    let name = Name::new(&format!("{thread}"));
                    let entry = Arc::new(Tracked(name, Arc::clone(alive)));
                    directory.register(&entry);
                    if at % 2 == 0 {
                        assert!(directory.find("tracked", name.as_str()).is_some());
                        assert!(directory.find("tracked", "stays").is_some());
                    }
                    let seen = directory.snapshots();
                    assert!(seen.iter().any(|one| one.name == Name::of("stays")));
                }
            });
        }
    });
    assert_eq!(directory.list().len(), 1);
    assert_eq!(Arc::strong_count(&alive), 2);
}

/// The last owner may be whoever looked it up; its drop may use the directory.
#[test]
fn an_entry_may_register_another_when_it_is_dropped() {
    struct Heir(Directory, Arc<Sign>);
    impl Inspect for Heir {
        fn kind(&self) -> &'static str {
            "heir"
        }
        fn name(&self) -> Name {
            Name::of("last")
        }
        fn snapshot(&self) -> Value {
            // A look at the others while one is looked at.
            Value::from(self.0.list().len())
        }
    }
    impl Drop for Heir {
        fn drop(&mut self) {
            self.0.register(&self.1);
        }
    }
    let directory = Directory::new();
    let sign = Arc::new(Sign);
    let heir = Arc::new(Heir(directory.clone(), Arc::clone(&sign)));
    directory.register(&heir);
    assert_eq!(directory.snapshots()[0].state, Value::Count(1));
    let found = directory.find("heir", "last");
    drop(heir);
    drop(found);
    assert_eq!(directory.list().len(), 1);
    assert!(directory.find("sign", "exit").is_some());
}

#[test]
fn the_directory_of_the_process_is_one() {
    let pool = Pool::new("the only one of this test");
    Directory::global().register(&pool);
    assert!(
        Directory::global()
            .find("pool", "the only one of this test")
            .is_some()
    );
}

#[cfg(feature = "serde")]
#[test]
fn snapshots_are_written_for_machines() {
    let directory = Directory::new();
    let pool = Pool::new("payments");
    directory.register(&pool);
    assert_eq!(
        serde_json::to_value(directory.snapshots()).unwrap(),
        serde_json::json!([
            {
                "kind": "pool",
                "name": "payments",
                "state": { "places": 8 },
                "health": { "condition": "up", "why": "" },
            },
        ])
    );
    assert_eq!(
        serde_json::to_value(ACTIONS[0]).unwrap(),
        serde_json::json!({
            "name": "resize",
            "help": "Gives the pool another number of places.",
            "arguments": [["places", "a whole number, 1 to 100"]],
        })
    );
}

struct Broken;

impl Inspect for Broken {
    fn kind(&self) -> &'static str {
        "pump"
    }

    fn name(&self) -> Name {
        Name::of("broken")
    }

    fn snapshot(&self) -> Value {
        panic!("it leaks")
    }
}

#[test]
fn one_that_panics_spoils_nothing_for_the_others() {
    let directory = Directory::new();
    let (first, broken, last) = (Arc::new(Broken), Arc::new(Broken), Arc::new(Broken));
    for entry in [&first, &broken, &last] {
        directory.register(entry);
    }
    let snapshots = directory.snapshots();
    assert_eq!(snapshots.len(), 3);
    assert_eq!(snapshots[1].state.to_string(), "{panicked: true}");
}
