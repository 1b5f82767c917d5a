//! A configuration that is replaced whole while it is used.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use rs_core::{
    Action, ActionSpec, ConfigError, ControlError, Measure, Severity, SignalKind, Unit, Value,
};
use rs_metrics::pattern::{ACTIONS, Home};
use tokio::sync::watch;

static TAKEN: SignalKind = SignalKind::new(
    "backend",
    "reconfigured",
    Severity::Info,
    "has a new configuration, version {version}",
);

static REFUSED: SignalKind = SignalKind::new(
    "backend",
    "reconfiguration_refused",
    Severity::Warning,
    "keeps its configuration, the new one is wrong",
);

static VERSION: Measure = Measure::new("version", Unit::Count);

/// What every backend can be told.
pub(crate) static RECONFIGURE: &[ActionSpec] = ACTIONS;

#[derive(Debug)]
pub(crate) struct InForce<C> {
    told: watch::Sender<Arc<C>>,
    version: AtomicU64,
}

impl<C> InForce<C> {
    /// This, as version 1.
    pub(crate) fn new(config: C) -> Self {
        Self {
            told: watch::Sender::new(Arc::new(config)),
            version: AtomicU64::new(1),
        }
    }

    pub(crate) fn get(&self) -> Arc<C> {
        Arc::clone(&self.told.borrow())
    }

    /// Tells of others.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<C>> {
        self.told.subscribe()
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }

    /// Puts another in force.
    pub(crate) fn replace(&self, home: &Home, config: C) {
        let mut version = 0;
        self.told.send_modify(|current| {
            *current = Arc::new(config);
            version = self.version.fetch_add(1, Ordering::Relaxed) + 1;
        });
        home.record(|| TAKEN.signal(home.name).with(VERSION.at(version as f64)));
    }
}

/// Does what the directory says: puts what was read in force, or refuses it whole.
#[expect(clippy::result_large_err, reason = "the directory's own error")]
pub(crate) fn obey<C>(
    home: &Home,
    action: &Action,
    read: impl FnOnce(Value) -> Result<C, ConfigError>,
    put: impl FnOnce(C),
) -> Result<(), ControlError> {
    action.check(RECONFIGURE)?;
    let config = action.argument("config").cloned();
    let config = config.ok_or_else(|| ConfigError::missing("config"))?;
    match read(config).map_err(|error| error.in_field("config")) {
        Ok(config) => {
            put(config);
            Ok(())
        }
        Err(error) => {
            home.record(|| REFUSED.signal(home.name).noting(error.to_string()));
            Err(error.into())
        }
    }
}
