use std::{
    any::Any,
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use rs_core::{Clock, Directory, FlightRecorder};

use crate::Registry;

/// What patterns live in: the clock, the flight recorder, the directory, the metrics, and the helpers
/// that a pattern brings, such as the supervisor of its breakers.
///
/// By default those of the process. A test makes its own.
///
/// ```
/// use rs_core::Clock;
/// use rs_metrics::{Registry, Surroundings};
///
/// let (clock, hand) = Clock::manual();
/// let registry = Registry::new();
/// let alone = Surroundings::apart().with_clock(clock).with_metrics(registry.clone());
/// // Whatever is made `within(&alone, …)` lives by this clock and is exported from there.
/// # let _ = (alone, hand);
/// ```
#[derive(Clone)]
pub struct Surroundings(Arc<Parts>);

static PROCESS: OnceLock<Surroundings> = OnceLock::new();

struct Parts {
    clock: Clock,
    recorder: FlightRecorder,
    directory: Option<Directory>,
    metrics: Option<Registry>,
    seed: Option<u64>,
    /// Time and place are those of the process, so that what serves the whole process may serve here.
    of_process: bool,
    given: Vec<Helper>,
    /// Made when somebody first asked.
    made: Mutex<Vec<Helper>>,
}

type Helper = Arc<dyn Any + Send + Sync>;

impl Surroundings {
    /// Those of the process: what [`Surroundings::install`] made them, or the global clock, recorder,
    /// directory and metrics.
    #[must_use]
    pub fn of_process() -> Self {
        PROCESS.get_or_init(Self::global).clone()
    }

    /// Makes these the ones of the process, for everything that is made without naming any.
    ///
    /// # Errors
    /// These surroundings, when somebody has asked for those of the process before: they cannot change
    /// any more.
    pub fn install(self) -> Result<(), Self> {
        PROCESS.set(self)
    }

    fn global() -> Self {
        Self(Arc::new(Parts {
            clock: Clock::default(),
            recorder: FlightRecorder::global().clone(),
            directory: Some(Directory::global().clone()),
            metrics: Some(Registry::global().clone()),
            seed: None,
            of_process: true,
            given: Vec::new(),
            made: Mutex::default(),
        }))
    }

    /// A recorder of their own, in no directory, exporting nothing: for tests, and for what nobody
    /// should see.
    #[must_use]
    pub fn apart() -> Self {
        Self(Arc::new(Parts {
            clock: Clock::default(),
            recorder: FlightRecorder::new(64),
            directory: None,
            metrics: None,
            seed: None,
            of_process: false,
            given: Vec::new(),
            made: Mutex::default(),
        }))
    }

    /// The time comes from here.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        self.but(|parts| {
            parts.clock = clock;
            parts.of_process = false;
        })
    }

    /// What happens is recorded here.
    #[must_use]
    pub fn with_recorder(self, recorder: FlightRecorder) -> Self {
        self.but(|parts| parts.recorder = recorder)
    }

    /// What has a name is listed here.
    #[must_use]
    pub fn with_directory(self, directory: Directory) -> Self {
        self.but(|parts| parts.directory = Some(directory))
    }

    /// Metrics are exported from here.
    #[must_use]
    pub fn with_metrics(self, metrics: Registry) -> Self {
        self.but(|parts| parts.metrics = Some(metrics))
    }

    /// All that is random follows from this seed, so that a run can be repeated.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        self.but(|parts| parts.seed = Some(seed))
    }

    /// With this helper, instead of the one of its type. The crate that brings the helper says what it
    /// does.
    #[must_use]
    pub fn with<H: Send + Sync + 'static>(self, helper: H) -> Self {
        self.but(|parts| {
            parts.given.retain(|known| !known.is::<H>());
            parts.given.push(Arc::new(helper));
        })
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The flight recorder.
    #[must_use]
    pub fn recorder(&self) -> &FlightRecorder {
        &self.0.recorder
    }

    /// The directory, if what has a name is listed.
    #[must_use]
    pub fn directory(&self) -> Option<&Directory> {
        self.0.directory.as_ref()
    }

    /// The metrics, if they are exported.
    #[must_use]
    pub fn metrics(&self) -> Option<&Registry> {
        self.0.metrics.as_ref()
    }

    /// What all that is random follows from, if it is to be repeated.
    #[must_use]
    pub fn seed(&self) -> Option<u64> {
        self.0.seed
    }

    /// Randomness for one more thing that is made here: the same in every run if there is a seed, and
    /// different for different names.
    #[must_use]
    pub fn dice(&self, name: &str) -> fastrand::Rng {
        match self.0.seed {
            Some(seed) => fastrand::Rng::with_seed(seed ^ rs_core::hash::stable(name.as_bytes())),
            None => fastrand::Rng::new(),
        }
    }

    /// The helper of this type that was given.
    #[must_use]
    pub fn helper<H: Send + Sync + 'static>(&self) -> Option<&H> {
        self.0.given.iter().find_map(|known| known.downcast_ref())
    }

    /// The helper of this type: the one that was given, or one that is made now and kept for the next
    /// who ask. `make` hears whether these are still the time and the place of the process.
    ///
    /// For crates of patterns; `make` must not ask the same surroundings for a helper.
    pub fn helper_or<H>(&self, make: impl FnOnce(bool) -> H) -> H
    where
        H: Clone + Send + Sync + 'static,
    {
        if let Some(given) = self.helper::<H>() {
            return given.clone();
        }
        let mut made = self.0.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.iter().find_map(|known| known.downcast_ref::<H>()) {
            return known.clone();
        }
        let helper = make(self.0.of_process);
        made.push(Arc::new(helper.clone()));
        helper
    }

    /// The same without the helpers that were made there: for a helper that keeps them, which would keep
    /// itself otherwise.
    #[must_use]
    pub fn without_helpers(&self) -> Self {
        self.clone().but(|parts| parts.made = Mutex::default())
    }

    fn but(mut self, change: impl FnOnce(&mut Parts)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

/// What was made for others is not taken along: it may have been made of what is about to change.
impl Clone for Parts {
    fn clone(&self) -> Self {
        Self {
            clock: self.clock.clone(),
            recorder: self.recorder.clone(),
            directory: self.directory.clone(),
            metrics: self.metrics.clone(),
            seed: self.seed,
            of_process: self.of_process,
            given: self.given.clone(),
            made: Mutex::default(),
        }
    }
}

impl Default for Surroundings {
    fn default() -> Self {
        Self::of_process()
    }
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings")
            .field("clock", &self.0.clock)
            .field("directory", &self.0.directory.is_some())
            .field("metrics", &self.0.metrics.is_some())
            .field("helpers", &self.0.given.len())
            .finish_non_exhaustive()
    }
}
