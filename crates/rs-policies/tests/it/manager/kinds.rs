//! Guards that the manager does not know.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
};

use rs_core::{
    Action, Call, ConfigError, ControlError, Ending, Guard, Health, Inspect, Mandate, Name, Reason,
    Rejection, Value,
};
use rs_metrics::{
    Surroundings,
    pattern::{GuardKind, MadeGuard},
};
use rs_policies::PipelineConfig;

use super::{execute, manager, one, refused};
use crate::support::Bench;

/// A kind of doors, which can be open and shut, and remembers in which order calls came by.
struct Doors {
    key: &'static str,
    passed: Arc<Mutex<Vec<&'static str>>>,
    made: Arc<AtomicU32>,
}

struct Door {
    key: &'static str,
    name: Name,
    shut: AtomicBool,
    passed: Arc<Mutex<Vec<&'static str>>>,
}

static SHUT: Reason = Reason::new("door", "shut");

fn read(config: &Value) -> Result<bool, ConfigError> {
    match config.get("shut") {
        Some(Value::Bool(shut)) => Ok(*shut),
        _ => Err(ConfigError::missing("shut")),
    }
}

impl GuardKind for Doors {
    fn key(&self) -> &'static str {
        self.key
    }

    fn make(
        &self,
        around: &Surroundings,
        name: Name,
        config: Value,
    ) -> Result<MadeGuard, ConfigError> {
        let door = Arc::new(Door {
            key: self.key,
            name,
            shut: AtomicBool::new(read(&config)?),
            passed: Arc::clone(&self.passed),
        });
        if around.directory().is_some() {
            self.made.fetch_add(1, Relaxed);
        }
        let entry = Arc::clone(&door);
        Ok(MadeGuard::new(Passing(door), entry))
    }
}

struct Passing(Arc<Door>);

impl Guard for Passing {
    type Ticket = ();

    fn try_enter(&self, _call: &Call) -> Result<(), Rejection> {
        let door = &self.0;
        door.passed.lock().unwrap().push(door.key);
        match door.shut.load(Relaxed) {
            true => Err(SHUT.reject(door.name)),
            false => Ok(()),
        }
    }

    fn leave(&self, (): (), _ending: Ending) {}
}

impl Inspect for Door {
    fn kind(&self) -> &'static str {
        self.key
    }

    fn name(&self) -> Name {
        self.name
    }

    fn snapshot(&self) -> Value {
        Value::map([("shut", self.shut.load(Relaxed).into())])
    }

    fn health(&self) -> Health {
        match self.shut.load(Relaxed) {
            true => Health::down("shut"),
            false => Health::UP,
        }
    }

    fn control(&self, action: &Action, _by: &Mandate) -> Result<(), ControlError> {
        assert_eq!(action.name(), "reconfigure");
        let shut = read(action.argument("config").unwrap())?;
        self.shut.store(shut, Relaxed);
        Ok(())
    }
}

fn door(shut: bool) -> Value {
    Value::map([("shut", Value::Bool(shut))])
}

#[test]
fn another_crates_guard_takes_part() {
    let bench = Bench::new();
    let (passed, made) = (Arc::default(), Arc::<AtomicU32>::default());
    let kind = |key| Doors {
        key,
        passed: Arc::clone(&passed),
        made: Arc::clone(&made),
    };
    let manager = manager(&bench).knowing(kind("gate")).knowing(kind("door"));
    let config = |shut| {
        PipelineConfig::default()
            .with_guard("door", door(shut))
            .with_guard("gate", door(false))
    };
    manager.apply(one("bank", config(false))).unwrap();
    assert_eq!(execute(&manager, "bank"), Ok(17));
    assert_eq!(
        *passed.lock().unwrap(),
        ["gate", "door"],
        "as they became known"
    );
    assert_eq!(made.load(Relaxed), 2);

    manager.apply(one("bank", config(true))).unwrap();
    assert_eq!(made.load(Relaxed), 2, "it is told, and not made again");
    assert_eq!(
        execute(&manager, "bank").unwrap_err(),
        "door `bank` refused the call: shut"
    );
    assert_eq!(
        manager.health().to_string(),
        "down\nbank is down: door: shut"
    );

    let wrong = config(true).with_guard("gate", Value::map([("shutt", Value::Bool(true))]));
    assert_eq!(
        refused(&manager, one("bank", wrong)),
        "pipelines.bank.gate.shut: is missing"
    );
    let unknown = config(true).with_guard("dor", Value::Null);
    let error = refused(&manager, one("bank", unknown));
    assert!(
        error.starts_with("pipelines.bank: unknown field `dor`, did you mean `door`?"),
        "{error}"
    );
    let without = PipelineConfig::default().with_guard("gate", door(false));
    manager.apply(one("bank", without)).unwrap();
    assert_eq!(execute(&manager, "bank"), Ok(17));
}
