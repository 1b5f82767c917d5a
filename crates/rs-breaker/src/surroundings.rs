use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use rs_core::{Clock, Directory, FlightRecorder};
use rs_metrics::Registry;

use crate::{Fleet, Supervisor};

/// What breakers live in: the clock, the flight recorder, the directory, the metrics, the supervisor.
///
/// By default those of the process. A test makes its own.
///
/// ```
/// use rs_breaker::{Breaker, BreakerConfig, BreakerState, Surroundings};
/// use rs_core::{Call, Clock, Guard, Mandate};
/// use std::time::Duration;
///
/// let (clock, hand) = Clock::manual();
/// let alone = Surroundings::apart().with_clock(clock);
/// let breaker = Breaker::within(&alone, "payments", BreakerConfig::default())?;
///
/// breaker.force_open(Mandate::new("anna", "a drill").lasting(Duration::from_secs(60)));
/// assert!(breaker.try_admit(&Call::new("charge")).is_err());
/// hand.advance(Duration::from_secs(60));
/// assert!(breaker.try_admit(&Call::new("charge")).is_ok());
/// assert_eq!(breaker.state(), BreakerState::HalfOpen);
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Surroundings(pub(crate) Arc<Parts>);

static PROCESS: OnceLock<Surroundings> = OnceLock::new();

#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) clock: Clock,
    pub(crate) recorder: FlightRecorder,
    pub(crate) directory: Option<Directory>,
    pub(crate) metrics: Option<Registry>,
    pub(crate) supervisor: Supervisor,
    pub(crate) fleet: Option<Fleet>,
    pub(crate) seed: Option<u64>,
}

impl Surroundings {
    /// Those of the process: what [`Surroundings::install`] made them, or the global clock, recorder,
    /// directory, metrics and supervisor, without a fleet.
    #[must_use]
    pub fn of_process() -> Self {
        PROCESS.get_or_init(Self::global).clone()
    }

    /// Makes these the ones of the process, for [`Breaker::new`](crate::Breaker::new), for
    /// [`Breaker::named`](crate::Breaker::named) and the global registry.
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
            supervisor: Supervisor::global().clone(),
            fleet: None,
            seed: None,
        }))
    }

    /// A recorder and a supervisor of their own, in no directory, exporting nothing: for tests, and for
    /// breakers that nobody should see.
    #[must_use]
    pub fn apart() -> Self {
        Self(Arc::new(Parts {
            clock: Clock::default(),
            recorder: FlightRecorder::new(64),
            directory: None,
            metrics: None,
            supervisor: Supervisor::new(),
            fleet: None,
            seed: None,
        }))
    }

    /// The time comes from here, and so does that of the supervisor.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        let supervisor = Supervisor::with_clock(clock.clone());
        self.but(|parts| {
            parts.clock = clock;
            parts.supervisor = supervisor;
        })
    }

    /// What happens is recorded here.
    #[must_use]
    pub fn with_recorder(self, recorder: FlightRecorder) -> Self {
        self.but(|parts| parts.recorder = recorder)
    }

    /// Breakers are listed here.
    #[must_use]
    pub fn with_directory(self, directory: Directory) -> Self {
        self.but(|parts| parts.directory = Some(directory))
    }

    /// Metrics are exported from here.
    #[must_use]
    pub fn with_metrics(self, metrics: Registry) -> Self {
        self.but(|parts| parts.metrics = Some(metrics))
    }

    /// Time passes for breakers by this supervisor, while it runs. They take the time from its clock.
    #[must_use]
    pub fn with_supervisor(self, supervisor: Supervisor) -> Self {
        self.but(|parts| {
            parts.clock = supervisor.clock().clone();
            parts.supervisor = supervisor;
        })
    }

    /// Breakers share what they know with this fleet, while it runs.
    #[must_use]
    pub fn with_fleet(self, fleet: Fleet) -> Self {
        self.but(|parts| parts.fleet = Some(fleet))
    }

    /// All that is random follows from this seed, so that a run can be repeated.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        self.but(|parts| parts.seed = Some(seed))
    }

    /// The supervisor.
    #[must_use]
    pub fn supervisor(&self) -> &Supervisor {
        &self.0.supervisor
    }

    /// The flight recorder.
    #[must_use]
    pub fn recorder(&self) -> &FlightRecorder {
        &self.0.recorder
    }

    pub(crate) fn without_fleet(self) -> Self {
        if self.0.fleet.is_none() {
            return self;
        }
        self.but(|parts| parts.fleet = None)
    }

    fn but(mut self, change: impl FnOnce(&mut Parts)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
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
            .field("fleet", &self.0.fleet)
            .finish_non_exhaustive()
    }
}
