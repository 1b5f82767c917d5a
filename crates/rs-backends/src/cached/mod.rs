//! What is known, also before the registry can be asked.

mod config;
mod shelf;
mod snapshot;
mod watch;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use rs_core::Name;
use rs_metrics::Surroundings;

pub use config::CachedConfig;

use crate::{
    Backend, BackendError, BackendHealth, InstanceSet, ServiceInstance, Watch, part::Part,
    set::Shown, timer::Timer,
};
use shelf::{Held, Shelf};
#[cfg(any(fuzzing, test))]
pub(crate) use snapshot::{Moment, read};
use watch::{Cold, Remembering};

/// A backend whose last known good sets are kept in a file, for a start while the registry is away.
///
/// ```
/// use rs_backends::{Backend, Cached, CachedConfig, Memory, ServiceInstance};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("instances.snapshot");
/// let registry = Memory::new("registry"); // or Consul, or etcd
/// registry.register(ServiceInstance::builder("payments", "10.0.0.7", 8443).build()?).await?;
///
/// let cached = Cached::new(registry.clone(), CachedConfig::new(path)?);
/// assert!(cached.discover("payments").await?.is_current());
/// cached.close().await?; // writes what is not in the file yet
/// # Ok(()) }
/// ```
///
/// # What it does
///
/// - **While the registry answers** nothing is different, and what it says is written to the file: when
///   something has changed, at most [every 5 s](CachedConfig::with_write_interval), and once in ten minutes
///   so that the ages in it stay true.
/// - **A watch that starts while the registry is away** shows what the file says, as [`Kept`] with the
///   reason, and with its real [age](InstanceSet::age): when the registry fails for the first time, or has
///   not answered [within a second](CachedConfig::with_first_answer).
/// - **A registry whose first answer is empty** is doubted against the file
///   [for 30 s](CachedConfig::with_empty_grace), as it would have been had the process been running.
/// - **`discover`** answers what is known, as [`Kept`], when the registry cannot be asked.
/// - **The file** is replaced by renaming, has a version and a sum, and is believed whole or not at all:
///   one that is damaged, of another version or larger than 64 MiB is counted, announced and ignored. It is
///   read once, when this is made. Processes may share one: each writes a whole file, the last one counts.
///   Ages in it go by the wall clock.
///
/// It holds up to 10,000 services; of more, those that were confirmed last.
///
/// [`Kept`]: crate::Standing::Kept
#[derive(Clone)]
pub struct Cached<B> {
    inner: B,
    held: Arc<Held>,
}

impl<B: Backend> Cached<B> {
    /// This backend, with its sets in the file of that configuration, which is read now.
    pub fn new(inner: B, config: CachedConfig) -> Self {
        Self::within(&Surroundings::of_process(), inner, config)
    }

    /// The same in surroundings of one's own.
    pub fn within(around: &Surroundings, inner: B, config: CachedConfig) -> Self {
        let shelf = Arc::new(Shelf::new(around, inner.name(), config));
        if let Some(directory) = around.directory() {
            directory.register(&shelf);
        }
        let held = Arc::new(Held::new(shelf));
        Self { inner, held }
    }

    /// The backend itself.
    #[must_use]
    pub const fn get_ref(&self) -> &B {
        &self.inner
    }
}

#[async_trait]
impl<B: Backend> Backend for Cached<B> {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn name(&self) -> Name {
        self.inner.name()
    }

    async fn register(&self, instance: ServiceInstance) -> Result<(), BackendError> {
        self.inner.register(instance).await
    }

    async fn deregister(&self, service: &str, id: &str) -> Result<(), BackendError> {
        self.inner.deregister(service, id).await
    }

    async fn discover(&self, service: &str) -> Result<InstanceSet, BackendError> {
        let shelf = &self.held.shelf;
        match self.inner.discover(service).await {
            Ok(set) => {
                if set.is_current() {
                    self.held.start();
                    shelf.hear_once(&set);
                }
                Ok(set)
            }
            Err(error) if error.may_pass() => shelf.get(service, error.clone()).ok_or(error),
            Err(error) => Err(error),
        }
    }

    fn watch(&self, service: &str) -> Result<Watch, BackendError> {
        let inner = Part::new(self.inner.watch(service)?);
        let known = self.held.shelf.get(service, BackendError::Closed);
        Ok(Watch::by(Remembering {
            held: Arc::clone(&self.held),
            inner,
            cold: known.map(Cold::new),
            timer: Timer::default(),
            shown: Shown::default(),
        }))
    }

    async fn health_check(&self) -> BackendHealth {
        self.inner.health_check().await
    }

    async fn close(&self) -> Result<(), BackendError> {
        let closed = self.inner.close().await;
        self.held.close().await;
        closed
    }
}

impl<B: fmt::Debug> fmt::Debug for Cached<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cached")
            .field("inner", &self.inner)
            .field("path", &self.held.shelf.config().path())
            .finish()
    }
}
