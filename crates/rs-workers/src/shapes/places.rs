use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use rs_core::{ConfigError, Inspect, Name, Value, config};
use rs_metrics::{Observed, Surroundings, pattern::Home};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::metrics;

/// A limit that workers share: so many of their runs may go on at once, whoever makes them.
///
/// ```
/// use rs_workers::{Places, WorkerContext, periodic};
/// use std::time::Duration;
/// # async fn vacuum() {}
/// # async fn reindex() {}
///
/// let database = Places::new("database", 1)?;
/// let minute = Duration::from_secs(60);
/// let vacuum = periodic("vacuum", minute, |_: WorkerContext| vacuum()).within(&database);
/// let reindex = periodic("reindex", 5 * minute, |_: WorkerContext| reindex()).within(&database);
/// # let _ = (vacuum, reindex);
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Places(Arc<Inner>);

struct Inner {
    home: Home,
    semaphore: Arc<Semaphore>,
    limit: AtomicUsize,
    /// How many places are to go as soon as they are free.
    waiting: AtomicUsize,
    observed: OnceLock<[Observed; 2]>,
}

/// A place that is taken; it is free again when this is dropped.
#[derive(Debug)]
#[must_use = "the place is free again when this is dropped"]
pub struct Place {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Places {
    /// So many places.
    ///
    /// # Errors
    /// When there are none, or more than a million.
    pub fn new(name: impl Into<Name>, limit: u32) -> Result<Self, ConfigError> {
        Self::within(&Surroundings::of_process(), name, limit)
    }

    /// The same in these surroundings.
    ///
    /// # Errors
    /// When there are none, or more than a million.
    pub fn within(
        around: &Surroundings,
        name: impl Into<Name>,
        limit: u32,
    ) -> Result<Self, ConfigError> {
        let limit = config::in_range("limit", limit, 1..=1_000_000)? as usize;
        let inner = Arc::new(Inner {
            home: Home::new(around, name.into()),
            semaphore: Arc::new(Semaphore::new(limit)),
            limit: AtomicUsize::new(limit),
            waiting: AtomicUsize::new(0),
            observed: OnceLock::new(),
        });
        let home = &inner.home;
        inner.observed.get_or_init(|| {
            [
                home.observe(&metrics::PLACES_TAKEN, &inner, |places, ()| {
                    places.taken() as f64
                }),
                home.observe(&metrics::PLACES_WAITING, &inner, |places, ()| {
                    places.waiting.load(Ordering::Relaxed) as f64
                }),
            ]
        });
        home.register(&inner);
        Ok(Self(inner))
    }

    /// Takes a place, waiting for it in turn.
    ///
    /// # Cancel safety
    /// Whoever stops waiting leaves the queue.
    pub async fn take(&self) -> Place {
        let _waiting = Waiting::begin(&self.0.waiting);
        let permit = Arc::clone(&self.0.semaphore).acquire_owned().await;
        // It is never closed.
        Place {
            _permit: permit.ok(),
        }
    }

    /// Takes a place if one is free.
    #[must_use]
    pub fn try_take(&self) -> Option<Place> {
        let permit = Arc::clone(&self.0.semaphore).try_acquire_owned().ok()?;
        Some(Place {
            _permit: Some(permit),
        })
    }

    /// How many places there are.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.limit.load(Ordering::Relaxed)
    }

    /// How many are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.0.taken()
    }
}

impl Inner {
    fn taken(&self) -> usize {
        let limit = self.limit.load(Ordering::Relaxed);
        limit.saturating_sub(self.semaphore.available_permits())
    }
}

impl Inspect for Inner {
    fn kind(&self) -> &'static str {
        "worker_places"
    }

    fn name(&self) -> Name {
        self.home.name
    }

    fn snapshot(&self) -> Value {
        Value::map([
            ("limit", Value::from(self.limit.load(Ordering::Relaxed))),
            ("taken", self.taken().into()),
            ("waiting", self.waiting.load(Ordering::Relaxed).into()),
        ])
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Places")
            .field("name", &self.0.home.name)
            .field("limit", &self.limit())
            .field("taken", &self.taken())
            .finish()
    }
}
