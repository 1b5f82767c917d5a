//! What a manager can be told.

use std::{sync::Arc, time::Duration};

use rs_core::{Mandate, Name, unless};

use super::{WorkerManager, inner::State};
use crate::{
    ManagerError, WorkerConfig, event,
    run::Executor,
    slot::Slot,
    tree::{GroupPhase, Id, Phase, Tree, Why},
};

impl WorkerManager {
    /// Starts all workers, each as soon as what it starts after is ready, also those that were stopped by
    /// name. Waits until all are ready.
    ///
    /// # Errors
    /// When something starts after what is not there, when there is no runtime, or when not all are ready
    /// in time; what was started runs on then.
    ///
    /// # Cancel safety
    /// What was begun goes on when the future is dropped.
    pub async fn start_all(&self) -> Result<(), ManagerError> {
        self.begin(Tree::ROOT, self.name()).await
    }

    /// Starts this worker or group, and waits until it is ready. What it starts after is not started for
    /// it, only waited for.
    ///
    /// # Errors
    /// As [`WorkerManager::start_all`], and when there is nothing of this name.
    ///
    /// # Cancel safety
    /// What was begun goes on when the future is dropped.
    pub async fn start(&self, name: impl Into<Name>) -> Result<(), ManagerError> {
        let name = name.into();
        let id = self.find(name)?;
        self.begin(id, name).await
    }

    /// Stops this worker or group and starts it again; waits until it is ready. Nothing counts as failed.
    ///
    /// # Errors
    /// As [`WorkerManager::start`].
    ///
    /// # Cancel safety
    /// What was begun goes on when the future is dropped.
    pub async fn restart(&self, name: impl Into<Name>) -> Result<(), ManagerError> {
        let name = name.into();
        let id = self.find(name)?;
        self.prepare()?;
        self.0.act(|state, now| state.tree.restart(id, now));
        self.0.keep_driving();
        self.until_ready(id, name).await
    }

    /// Asks this worker, or all in this group, for a run now, instead of when the time comes.
    ///
    /// # Errors
    /// When there is nothing of this name.
    pub fn run_now(&self, name: impl Into<Name>) -> Result<(), ManagerError> {
        let id = self.find(name.into())?;
        self.0.slots_in(id).iter().for_each(|slot| slot.want_run());
        Ok(())
    }

    /// Tells this worker, or all in this group, to stand still where they can. A mandate that is for a time
    /// ends by itself.
    ///
    /// # Errors
    /// When there is nothing of this name.
    pub fn pause(&self, name: impl Into<Name>, by: Mandate) -> Result<(), ManagerError> {
        let name = name.into();
        let id = self.find(name)?;
        self.0.pause(&self.0.slots_in(id), name, by);
        Ok(())
    }

    /// Tells all to stand still where they can.
    pub fn pause_all(&self, by: Mandate) {
        self.0.pause(&self.0.slots_in(Tree::ROOT), self.name(), by);
    }

    /// Lets this worker, or all in this group, go on.
    ///
    /// # Errors
    /// When there is nothing of this name.
    pub fn resume(&self, name: impl Into<Name>, by: Mandate) -> Result<(), ManagerError> {
        let name = name.into();
        let id = self.find(name)?;
        self.0.resume(&self.0.slots_in(id), name, by);
        Ok(())
    }

    /// Lets all go on.
    pub fn resume_all(&self, by: Mandate) {
        self.0.resume(&self.0.slots_in(Tree::ROOT), self.name(), by);
    }

    /// Gives a worker another configuration. It counts from its next step on: the next restart, the next
    /// stop; nothing is started or stopped for it.
    ///
    /// # Errors
    /// When it is wrong, would make the worker start after itself, or there is no such worker. The old one
    /// stays in force.
    pub fn reconfigure_worker(
        &self,
        name: impl Into<Name>,
        config: WorkerConfig,
    ) -> Result<(), ManagerError> {
        let name = name.into();
        config
            .check()
            .map_err(|error| ManagerError::config(name, error))?;
        let slot = self.0.slot(name).ok_or(ManagerError::NotFound(name))?;
        let id = slot.id().ok_or(ManagerError::NotFound(name))?;
        let rules = Arc::new(config);
        self.0.act(|state, now| {
            state.tree.set_rules(id, Arc::clone(&rules), now)?;
            slot.set_rules(rules);
            Ok(())
        })
    }

    pub(super) fn find(&self, name: Name) -> Result<Id, ManagerError> {
        self.0
            .state()
            .tree
            .find(name)
            .ok_or(ManagerError::NotFound(name))
    }

    /// Whether anything can be started.
    fn prepare(&self) -> Result<(), ManagerError> {
        if self.0.executor.get().is_none() {
            let here = Executor::current().ok_or(ManagerError::NoRuntime)?;
            self.0.executor.get_or_init(|| here);
        }
        self.0.state().tree.check_names()?;
        Ok(())
    }

    async fn begin(&self, id: Id, name: Name) -> Result<(), ManagerError> {
        self.prepare()?;
        self.0.act(|state, now| {
            if id == Tree::ROOT {
                state.gave_up = None;
            }
            state.tree.start(id, now);
        });
        self.0.keep_driving();
        self.until_ready(id, name).await
    }

    async fn until_ready(&self, id: Id, name: Name) -> Result<(), ManagerError> {
        let within = self.0.rules.get().start_within();
        let late = self.0.clock.sleep(within);
        let ready = async {
            loop {
                let changed = self.0.changed.notified();
                if let Some(result) = self.0.state().is_started(id, name) {
                    return result;
                }
                changed.await;
            }
        };
        match unless(late, ready).await {
            Some(result) => result,
            None => Err(ManagerError::NotReady {
                within,
                who: self.0.state().who_is_late(id),
            }),
        }
    }
}

impl super::Inner {
    /// Pauses these, which is said once.
    pub(super) fn pause(&self, slots: &[Arc<Slot>], name: Name, by: Mandate) {
        let (by, now) = (Arc::new(by), self.clock.now());
        let mut of = Some(name);
        for slot in slots {
            slot.pause(Arc::clone(&by), of.take(), now);
        }
        self.home.record(|| event::paused(name, by));
        // An end of the pause may be near.
        self.bell.ring();
    }

    pub(super) fn resume(&self, slots: &[Arc<Slot>], name: Name, by: Mandate) {
        let now = self.clock.now();
        let mut any = false;
        for slot in slots.iter().filter(|slot| slot.is_paused()) {
            slot.resume(now);
            any = true;
        }
        if any {
            self.home
                .record(|| event::resumed(name, Some(Arc::new(by))));
        }
    }

    pub(super) fn keep_driving_if_needed(&self) {
        if self.state().tree.running() > 0 {
            self.keep_driving();
        }
    }
}

impl State {
    /// Whether a start has come to its end.
    fn is_started(&self, id: Id, name: Name) -> Option<Result<(), ManagerError>> {
        if let Some(why) = &self.gave_up {
            return Some(Err(ManagerError::GaveUp(why.clone())));
        }
        if self.tree.is_pending(id) {
            return None;
        }
        let off = match (self.tree.phase(id), self.tree.group_phase(id)) {
            (Some(Phase::Off(why)), _) | (_, Some(GroupPhase::Off(why))) => Some(why),
            _ => None,
        };
        Some(match off {
            None | Some(Why::Finished) => Ok(()),
            Some(_) => Err(ManagerError::Stopped(name)),
        })
    }

    /// Who is not ready, and what it is doing.
    fn who_is_late(&self, id: Id) -> Vec<(Name, String)> {
        const SHOWN: usize = 20;
        let beneath = self.tree.beneath(id).into_iter();
        let late = beneath.filter(|id| self.tree.phase(*id).is_some() && self.tree.is_pending(*id));
        late.take(SHOWN)
            .map(|id| (self.tree.name(id), self.says(id)))
            .collect()
    }

    fn says(&self, id: Id) -> String {
        let what = match self.tree.phase(id) {
            Some(Phase::Running { .. }) => "has not said that it is ready".to_owned(),
            Some(Phase::Delayed) => "ended and waits for its restart".to_owned(),
            Some(Phase::Stopping { .. }) => "is being stopped".to_owned(),
            Some(Phase::Waiting) => match self.tree.waits_for(id) {
                Some(other) => format!("waits for `{}`", self.tree.name(other)),
                None => "is about to start".to_owned(),
            },
            _ => "is off".to_owned(),
        };
        let slot = self.slots.get(&id);
        match slot.and_then(|slot| slot.last()) {
            Some(last) => format!("{what} (last time it {})", last.end),
            None => what,
        }
    }
}

/// How long something has to finish what it has.
pub(super) const AT_ONCE: Duration = Duration::ZERO;
