use std::{fmt, sync::Arc, time::Instant};

use rs_core::Name;

use super::{Inner, inner::State};
use crate::{
    GroupConfig, ManagerError, Worker, WorkerConfig,
    contain::contained,
    metrics,
    slot::Slot,
    tree::{GroupPhase, Id, Tree},
};

/// Workers and groups that are supervised together.
#[derive(Clone)]
pub struct Group {
    manager: Arc<Inner>,
    id: Id,
}

impl Group {
    pub(super) fn new(manager: &Arc<Inner>, id: Id) -> Self {
        Self {
            manager: Arc::clone(manager),
            id,
        }
    }

    /// Its name; that of the manager for the outermost.
    #[must_use]
    pub fn name(&self) -> Name {
        match self.id {
            Tree::ROOT => self.manager.home.name,
            id => self.manager.state().tree.name(id),
        }
    }

    /// Adds a group to this one. It is started if this was.
    ///
    /// # Errors
    /// When the configuration is wrong, the name is taken, or it would start after itself.
    pub fn group(&self, name: impl Into<Name>, config: GroupConfig) -> Result<Self, ManagerError> {
        let name = name.into();
        config
            .check()
            .map_err(|error| ManagerError::config(name, error))?;
        let limit = self.manager.rules.get().limit();
        let id = self.manager.act(|state, now| {
            if state.tree.len() > limit {
                return Err(ManagerError::Full(limit));
            }
            let id = state.tree.add_group(self.id, name, Arc::new(config))?;
            self.start_with_group(state, id, now)?;
            Ok(id)
        })?;
        Ok(Self::new(&self.manager, id))
    }

    /// Adds a worker. It is started if the group was.
    ///
    /// # Errors
    /// When it is wrong in itself, its name is taken, or it would start after itself.
    pub fn register(&self, worker: impl Worker) -> Result<(), ManagerError> {
        self.register_with(worker, |config| config)
    }

    /// The same with a configuration that differs from the worker's own.
    ///
    /// # Errors
    /// As [`Group::register`].
    pub fn register_with(
        &self,
        worker: impl Worker,
        config: impl FnOnce(WorkerConfig) -> WorkerConfig,
    ) -> Result<(), ManagerError> {
        let worker: Arc<dyn Worker> = Arc::new(worker);
        let asked = contained(|| (worker.name(), worker.check(), worker.config()));
        let (name, checked, own) = asked.map_err(ManagerError::Panicked)?;
        let rules = Arc::new(config(own));
        let refused = |error| ManagerError::config(name, error);
        checked.map_err(refused)?;
        rules.check().map_err(refused)?;
        self.add(name, worker, rules)
    }

    /// Starts what was added if the group is up. What it starts after has to be there then.
    fn start_with_group(
        &self,
        state: &mut State,
        id: Id,
        now: Instant,
    ) -> Result<(), ManagerError> {
        if state.tree.group_phase(self.id) != Some(GroupPhase::Up) {
            return Ok(());
        }
        if let Err(missing) = state.tree.check_names() {
            state.tree.remove(id, now)?;
            return Err(missing.into());
        }
        state.tree.start(id, now);
        Ok(())
    }

    fn add(
        &self,
        name: Name,
        worker: Arc<dyn Worker>,
        rules: Arc<WorkerConfig>,
    ) -> Result<(), ManagerError> {
        let manager = &self.manager;
        let took = manager
            .home
            .around
            .metrics()
            .map(|to| metrics::RUN_TIME.bind_in(to, name));
        let slot = Arc::new(Slot::new(
            name,
            worker,
            Arc::clone(&rules),
            Arc::downgrade(manager),
            took,
            manager.clock.now(),
        ));
        let limit = manager.rules.get().limit();
        manager.act(|state, now| {
            if state.tree.len() > limit {
                return Err(ManagerError::Full(limit));
            }
            let id = state.tree.add_worker(self.id, name, rules)?;
            slot.place_at(id);
            state.slots.insert(id, Arc::clone(&slot));
            let started = self.start_with_group(state, id, now);
            if started.is_err() {
                state.slots.remove(&id);
            }
            started
        })?;
        if manager.home.around.metrics().is_some() {
            slot.observed
                .get_or_init(|| metrics::observe(&manager.home, &slot));
        }
        manager.home.register(&slot);
        manager.keep_driving_if_needed();
        Ok(())
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}
