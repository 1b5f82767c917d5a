//! For who writes a pattern: what its handle keeps beside its state.
//!
//! A [`Home`] is a name and where it lives; [`Rules`] are the configuration in force, replaced whole while
//! calls go on; [`Announcements`] say in the flight recorder that they were. `inspect_rules!` writes the
//! part of `Inspect` that is the same for whatever can only be given other rules.
//!
//! ```
//! use rs_core::{ConfigError, config};
//! use rs_metrics::{Surroundings, pattern::{Announcements, Checked, Home, Rules}};
//!
//! #[derive(Debug)]
//! struct DoorConfig { width: f64 }
//!
//! impl Checked for DoorConfig {
//!     fn check(&self) -> Result<(), ConfigError> {
//!         config::in_range("width", self.width, 0.5..=3.0).map(drop)
//!     }
//! }
//!
//! static ANNOUNCED: Announcements = Announcements::of("door");
//!
//! let home = Home::new(&Surroundings::apart(), "front".into());
//! let rules = Rules::new(DoorConfig { width: 1.0 })?;
//! assert!(rules.replace(&home, &ANNOUNCED, DoorConfig { width: 9.0 }, |_| ()).is_err());
//! assert_eq!(rules.get().width, 1.0, "a wrong one is refused whole");
//! assert_eq!(rules.replace(&home, &ANNOUNCED, DoorConfig { width: 2.0 }, |_| ())?, 2);
//! # Ok::<(), ConfigError>(())
//! ```

use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use rs_core::{
    AnyGuard, ConfigError, Guard, Inspect, LabelSet, Measure, Name, Severity, Signal, SignalKind,
    Unit, Value,
};

use crate::{Kind, Metric, Observed, Registry, Surroundings};

/// A configuration that can be checked as a whole.
pub trait Checked {
    /// Whether it is right.
    ///
    /// # Errors
    /// Which field is wrong, what it says and what it may say.
    fn check(&self) -> Result<(), ConfigError>;
}

/// The configuration in force, replaced whole while calls go on.
#[derive(Debug)]
pub struct Rules<C> {
    current: RwLock<Arc<C>>,
    version: AtomicU64,
}

impl<C: Checked> Rules<C> {
    /// These, as version 1.
    ///
    /// # Errors
    /// When they are wrong.
    pub fn new(config: C) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            current: RwLock::new(Arc::new(config)),
            version: AtomicU64::new(1),
        })
    }

    /// Those in force.
    #[must_use]
    pub fn get(&self) -> Arc<C> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts others in force if they are right, and does `then` before anybody can put the next. The
    /// version that is in force now.
    ///
    /// # Errors
    /// When they are wrong; the old ones stay in force, and a signal says so.
    pub fn replace(
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

    /// Puts others in force that somebody else has checked and speaks of.
    pub fn put(&self, config: C, then: impl FnOnce(&C)) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(config);
        then(&current);
    }

    /// How many there have been.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Relaxed)
    }
}

static VERSION: Measure = Measure::new("version", Unit::Count);

/// What a kind of pattern says of a new configuration.
#[derive(Debug)]
pub struct Announcements {
    taken: SignalKind,
    refused: SignalKind,
}

impl Announcements {
    /// Those of this kind.
    #[must_use]
    pub const fn of(kind: &'static str) -> Self {
        Self {
            taken: SignalKind::new(
                kind,
                "reconfigured",
                Severity::Info,
                "has new rules, version {version}",
            ),
            refused: SignalKind::new(
                kind,
                "reconfiguration_refused",
                Severity::Warning,
                "keeps its rules, the new ones are wrong",
            ),
        }
    }
}

/// A name, and what the thing of that name lives in.
#[derive(Debug, Clone)]
pub struct Home {
    /// The name.
    pub name: Name,
    /// What it lives in.
    pub around: Surroundings,
}

impl Home {
    /// This name there. It does not keep the helpers that were made there: one of them may keep what
    /// this is the home of.
    #[must_use]
    pub fn new(around: &Surroundings, name: Name) -> Self {
        Self {
            name,
            around: around.without_helpers(),
        }
    }

    /// Leaves a signal in the flight recorder.
    pub fn record(&self, signal: impl FnOnce() -> Signal) {
        self.around.recorder().record(signal);
    }

    /// Where its metrics go: where nobody looks, if nobody wants them.
    #[must_use]
    pub fn metrics(&self) -> Registry {
        self.around.metrics().cloned().unwrap_or_default()
    }

    /// Puts it into the directory, if there is one, for as long as it lives.
    pub fn register<T: Inspect + 'static>(&self, handle: &Arc<T>) {
        if let Some(directory) = self.around.directory() {
            directory.register(handle);
        }
    }

    /// Exports a number that `of` knows, for as long as `of` and the result live.
    pub fn observe<K, L, T>(
        &self,
        metric: &Metric<K, L, 1>,
        of: &Arc<T>,
        read: impl Fn(&T, L) -> K::Value + Send + Sync + 'static,
    ) -> Observed
    where
        K: Kind,
        K::Value: Default,
        L: LabelSet,
        T: Send + Sync + 'static,
    {
        let of = Arc::downgrade(of);
        metric.observe(&self.metrics(), self.name, move |labels| {
            of.upgrade()
                .map_or_else(Default::default, |of| read(&of, labels))
        })
    }
}

/// Makes guards of one kind as a file describes them: how a pattern takes part in the pipelines of a file
/// whose reader does not know it.
pub trait GuardKind: Send + Sync + 'static {
    /// The key under which a pipeline has one: `breaker`.
    fn key(&self) -> &'static str;

    /// A guard of this name in these surroundings.
    ///
    /// Also called in surroundings apart, just to see whether the configuration is right.
    ///
    /// # Errors
    /// When the configuration is wrong.
    fn make(
        &self,
        around: &Surroundings,
        name: Name,
        config: Value,
    ) -> Result<MadeGuard, ConfigError>;
}

/// A guard that a [`GuardKind`] made.
///
/// Its entry in the directory gives it other rules while it runs: it must know the action `reconfigure`,
/// which takes them as `config`.
#[derive(Clone)]
pub struct MadeGuard {
    guard: AnyGuard,
    entry: Arc<dyn Inspect>,
}

impl MadeGuard {
    /// This guard, and what is in the directory for it.
    #[must_use]
    pub fn new<G>(guard: G, entry: Arc<dyn Inspect>) -> Self
    where
        G: Guard<Ticket: 'static> + 'static,
    {
        let guard = AnyGuard::new(guard);
        Self { guard, entry }
    }

    /// The guard.
    #[must_use]
    pub const fn guard(&self) -> &AnyGuard {
        &self.guard
    }

    /// What is in the directory for it.
    #[must_use]
    pub const fn entry(&self) -> &Arc<dyn Inspect> {
        &self.entry
    }
}

impl fmt::Debug for MadeGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MadeGuard")
            .field("kind", &self.entry.kind())
            .field("name", &self.entry.name())
            .finish()
    }
}

/// Does what the directory tells a pattern that can only be given other rules.
///
/// # Errors
/// When it is told something else, or when the rules are wrong.
#[cfg(feature = "serde")]
#[expect(clippy::result_large_err, reason = "the directory's own error")]
pub fn obey<C: serde::de::DeserializeOwned>(
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

/// What such a pattern can be told.
#[cfg(feature = "serde")]
pub static ACTIONS: &[rs_core::ActionSpec] =
    &[
        rs_core::ActionSpec::new("reconfigure", "goes by other rules and keeps its state")
            .taking(&[("config", "the whole configuration, as in a file")]),
    ];

/// The kind, name and controls of whatever can only be given other rules, for its `impl Inspect`.
///
/// The type needs `fn reconfigure(&self, config) -> Result<u64, ConfigError>` and a field `home`, or the way
/// to it as the second argument. The crate it is used in needs a feature `serde` that enables this one's.
#[macro_export]
macro_rules! inspect_rules {
    ($kind:literal) => {
        $crate::inspect_rules!($kind, home);
    };
    ($kind:literal, $($home:ident).+) => {
        fn kind(&self) -> &'static str {
            $kind
        }

        fn name(&self) -> rs_core::Name {
            self.$($home).+.name
        }

        #[cfg(feature = "serde")]
        fn actions(&self) -> &'static [rs_core::ActionSpec] {
            $crate::pattern::ACTIONS
        }

        #[cfg(feature = "serde")]
        fn control(
            &self,
            action: &rs_core::Action,
            _mandate: &rs_core::Mandate,
        ) -> Result<(), rs_core::ControlError> {
            $crate::pattern::obey(action, |config| self.reconfigure(config))
        }
    };
}
