//! What a policy goes by, and where it lives.

use std::sync::{
    Arc, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use rs_core::{ConfigError, Measure, Name, Severity, SignalKind, Unit};
use rs_metrics::{Registry, Surroundings};

use crate::sync::RwLock;

/// A configuration that can be checked as a whole.
pub(crate) trait Checked {
    fn check(&self) -> Result<(), ConfigError>;
}

/// The configuration in force, replaced whole while calls go on.
#[derive(Debug)]
pub(crate) struct Rules<C> {
    current: RwLock<Arc<C>>,
    version: AtomicU64,
}

impl<C: Checked> Rules<C> {
    pub(crate) fn new(config: C) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            current: RwLock::new(Arc::new(config)),
            version: AtomicU64::new(1),
        })
    }

    pub(crate) fn get(&self) -> Arc<C> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another in force if it is right, and does `then` before anybody can put the next. The version
    /// that is in force now.
    pub(crate) fn replace(
        &self,
        home: &Home,
        kind: &'static Announcements,
        config: C,
        then: impl FnOnce(&C),
    ) -> Result<u64, ConfigError> {
        if let Err(error) = config.check() {
            home.record(|| kind.refused.signal(home.name).noting(error.to_string()));
            return Err(error);
        }
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(config);
        let version = self.version.fetch_add(1, Ordering::Relaxed) + 1;
        then(&current);
        drop(current);
        home.record(|| {
            kind.taken
                .signal(home.name)
                .with(VERSION.at(version as f64))
        });
        Ok(version)
    }

    /// Puts another in force that others have checked and speak of.
    pub(crate) fn put(&self, config: C, then: impl FnOnce(&C)) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(config);
        then(&current);
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }
}

static VERSION: Measure = Measure::new("version", Unit::Count);

/// What every kind of policy says of a new configuration.
#[derive(Debug)]
pub(crate) struct Announcements {
    taken: SignalKind,
    refused: SignalKind,
}

impl Announcements {
    pub(crate) const fn of(policy: &'static str) -> Self {
        Self {
            taken: SignalKind::new(
                policy,
                "reconfigured",
                Severity::Info,
                "has new rules, version {version}",
            ),
            refused: SignalKind::new(
                policy,
                "reconfiguration_refused",
                Severity::Warning,
                "keeps its rules, the new ones are wrong",
            ),
        }
    }
}

/// The name of a policy and what it lives in.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    pub(crate) name: Name,
    pub(crate) around: Surroundings,
}

impl Home {
    pub(crate) fn new(around: &Surroundings, name: Name) -> Self {
        Self {
            name,
            around: around.clone(),
        }
    }

    pub(crate) fn record(&self, signal: impl FnOnce() -> rs_core::Signal) {
        self.around.recorder().record(signal);
    }

    /// Where its metrics go: where nobody looks, if nobody wants them.
    pub(crate) fn metrics(&self) -> Registry {
        self.around.metrics().cloned().unwrap_or_default()
    }
}

/// Does what the directory tells a policy that can only be given other rules.
#[cfg(feature = "serde")]
#[expect(clippy::result_large_err, reason = "the directory's own error")]
pub(crate) fn obey<C: serde::de::DeserializeOwned>(
    action: &rs_core::Action,
    reconfigure: impl FnOnce(C) -> Result<u64, ConfigError>,
) -> Result<(), rs_core::ControlError> {
    action.check(ACTIONS)?;
    let config = action.argument("config").cloned();
    let config = config.ok_or_else(|| ConfigError::missing("config"))?;
    let taken = rs_core::config::read(config).and_then(reconfigure);
    taken.map_err(|error| error.in_field("config"))?;
    Ok(())
}

/// What such a policy can be told.
pub(crate) static ACTIONS: &[rs_core::ActionSpec] = &[
    #[cfg(feature = "serde")]
    rs_core::ActionSpec::new("reconfigure", "goes by other rules and keeps its state")
        .taking(&[("config", "the whole configuration, as in a file")]),
];

/// The part of `Inspect` that is the same for all of them.
macro_rules! inspect {
    ($kind:literal) => {
        inspect!($kind, home);
    };
    ($kind:literal, $($home:ident).+) => {
        fn kind(&self) -> &'static str {
            $kind
        }

        fn name(&self) -> rs_core::Name {
            self.$($home).+.name
        }

        fn actions(&self) -> &'static [rs_core::ActionSpec] {
            crate::rules::ACTIONS
        }

        #[cfg(feature = "serde")]
        fn control(
            &self,
            action: &rs_core::Action,
            _mandate: &rs_core::Mandate,
        ) -> Result<(), rs_core::ControlError> {
            crate::rules::obey(action, |config| self.reconfigure(config))
        }
    };
}
pub(crate) use inspect;
