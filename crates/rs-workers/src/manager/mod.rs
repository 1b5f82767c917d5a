mod control;
mod driver;
mod group;
mod inner;
mod order;
mod stop;

pub use group::Group;

pub(crate) use inner::Inner;

use std::{fmt, future::Future, sync::Arc};

use rs_core::{ConfigError, Name};
use rs_metrics::{
    Surroundings,
    pattern::{Announcements, Home, Rules},
};
use tokio::runtime::Handle;

use crate::{
    GaveUp, GroupConfig, ManagerConfig, ManagerError, Worker, WorkerConfig, WorkerStatus,
    run::Executor, tree::Tree,
};

/// Starts workers, watches them, restarts them, and stops them.
///
/// A handle that is cheap to clone. When the last is dropped, everything that still runs is aborted.
///
/// ```
/// use rs_workers::{ManagerConfig, WorkerManager, worker};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let workers = WorkerManager::new("shop", ManagerConfig::default())?;
/// workers.register(worker("mail", |ctx| async move { ctx.stopped().await }))?;
///
/// workers.start_all().await?;
/// let report = workers.stop_all().await;
/// assert!(report.is_clean());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct WorkerManager(Arc<Inner>);

static ANNOUNCED: Announcements = Announcements::of("worker_manager");

impl WorkerManager {
    /// A manager of this name.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`ManagerConfig::check`].
    pub fn new(name: impl Into<Name>, config: ManagerConfig) -> Result<Self, ConfigError> {
        Self::within(&Surroundings::of_process(), name, config)
    }

    /// The same in these surroundings.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`ManagerConfig::check`].
    pub fn within(
        around: &Surroundings,
        name: impl Into<Name>,
        config: ManagerConfig,
    ) -> Result<Self, ConfigError> {
        let home = Home::new(around, name.into());
        let inner = Inner::new(home, Rules::new(config)?);
        inner.home.register(&inner);
        Ok(Self(inner))
    }

    /// All its tasks run there; by default in the runtime in which the first start was made. Once
    /// something was started it stays where it is.
    #[must_use]
    pub fn on(self, runtime: Handle) -> Self {
        let _ = self.0.executor.set(Executor::new(runtime));
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.home.name
    }

    /// What it goes by.
    #[must_use]
    pub fn config(&self) -> ManagerConfig {
        (*self.0.rules.get()).clone()
    }

    /// Goes by this from now on; nothing is stopped or started for it. The version that is in force then.
    ///
    /// # Errors
    /// When it is wrong; the old one stays in force.
    pub fn reconfigure(&self, config: ManagerConfig) -> Result<u64, ConfigError> {
        self.0.reconfigure(config)
    }

    /// The outermost group.
    #[must_use]
    pub fn root(&self) -> Group {
        Group::new(&self.0, Tree::ROOT)
    }

    /// Adds a group to the outermost one. It is started if that was.
    ///
    /// # Errors
    /// When the configuration is wrong, the name is taken, or it would start after itself.
    pub fn group(&self, name: impl Into<Name>, config: GroupConfig) -> Result<Group, ManagerError> {
        self.root().group(name, config)
    }

    /// Adds a worker to the outermost group. It is started if that was.
    ///
    /// # Errors
    /// When it is wrong in itself, its name is taken, or it would start after itself.
    pub fn register(&self, worker: impl Worker) -> Result<(), ManagerError> {
        self.root().register(worker)
    }

    /// The same with a configuration that differs from the worker's own.
    ///
    /// # Errors
    /// As [`WorkerManager::register`].
    ///
    /// ```
    /// # use rs_workers::{ManagerConfig, WorkerManager, worker};
    /// # fn register(workers: WorkerManager) -> Result<(), Box<dyn std::error::Error>> {
    /// let mail = worker("mail", |ctx| async move { ctx.stopped().await });
    /// workers.register_with(mail, |config| config.after("database"))?;
    /// # Ok(()) }
    /// ```
    pub fn register_with(
        &self,
        worker: impl Worker,
        config: impl FnOnce(WorkerConfig) -> WorkerConfig,
    ) -> Result<(), ManagerError> {
        self.root().register_with(worker, config)
    }

    /// Waits until it gives up, and says why.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub fn ended(&self) -> impl Future<Output = GaveUp> + Send + use<> {
        let inner = Arc::clone(&self.0);
        async move {
            loop {
                let changed = inner.changed.notified();
                if let Some(why) = inner.state().gave_up.clone() {
                    return why;
                }
                changed.await;
            }
        }
    }

    /// What this worker is doing.
    #[must_use]
    pub fn status(&self, name: impl Into<Name>) -> Option<WorkerStatus> {
        self.0.slot(name.into()).map(|slot| slot.status())
    }

    /// What all workers are doing, in the order of the tree.
    #[must_use]
    pub fn statuses(&self) -> Vec<WorkerStatus> {
        let slots = self.0.slots_in(Tree::ROOT);
        slots.iter().map(|slot| slot.status()).collect()
    }

    /// How many runs there have been.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.0.state().tree.instances()
    }
}

impl fmt::Debug for WorkerManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerManager")
            .field("name", &self.name())
            .field("workers", &self.0.state().slots.len())
            .finish_non_exhaustive()
    }
}
