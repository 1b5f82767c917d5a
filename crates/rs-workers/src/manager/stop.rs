//! How a manager stops.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rs_core::Name;

use super::{WorkerManager, order::AT_ONCE};
use crate::{
    HowStopped, ManagerError, RunEnd, StopReport, StoppedWorker,
    slot::Slot,
    tree::{Id, Phase, Step, Tree},
};

impl WorkerManager {
    /// Stops all workers: each is told when those that start after it have ended, has its grace, and is
    /// then aborted. Who stopped how, and how long it took.
    ///
    /// # Cancel safety
    /// What was begun goes on when the future is dropped.
    pub async fn stop_all(&self) -> StopReport {
        self.end(Tree::ROOT, AT_ONCE).await
    }

    /// Stops this worker or group. It stays off until somebody starts it.
    ///
    /// # Errors
    /// When there is nothing of this name.
    ///
    /// # Cancel safety
    /// What was begun goes on when the future is dropped.
    pub async fn stop(&self, name: impl Into<Name>) -> Result<StopReport, ManagerError> {
        let id = self.find(name.into())?;
        Ok(self.end(id, AT_ONCE).await)
    }

    /// Lets all finish what they have, for so long, and stops them then.
    ///
    /// # Cancel safety
    /// What was begun goes on when the future is dropped.
    pub async fn drain_all(&self, within: Duration) -> StopReport {
        self.end(Tree::ROOT, within).await
    }

    /// Lets this worker or group finish what it has, for so long, and stops it then.
    ///
    /// # Errors
    /// When there is nothing of this name.
    ///
    /// # Cancel safety
    /// What was begun goes on when the future is dropped.
    pub async fn drain(
        &self,
        name: impl Into<Name>,
        within: Duration,
    ) -> Result<StopReport, ManagerError> {
        let id = self.find(name.into())?;
        Ok(self.end(id, within).await)
    }

    /// Aborts everything now, also what is being stopped; nobody has any time left. For the second
    /// signal.
    ///
    /// # Cancel safety
    /// What was begun goes on when the future is dropped.
    pub async fn stop_now(&self) -> StopReport {
        let stopping = Stopping::begin(self, Tree::ROOT);
        self.0.act(|state, now| state.tree.kill(now));
        stopping.finish().await
    }

    /// Stops this worker or group and takes it away, with all that is in it.
    ///
    /// # Errors
    /// When there is nothing of this name, when something that stays starts after it, or when it goes on
    /// though it was aborted.
    ///
    /// # Cancel safety
    /// If the future is dropped, it is stopped and may still be there.
    pub async fn remove(&self, name: impl Into<Name>) -> Result<StopReport, ManagerError> {
        let id = self.find(name.into())?;
        let report = self.end(id, AT_ONCE).await;
        let gone = self.0.act(|state, now| {
            let ids = state.tree.remove(id, now)?;
            let slots = ids.iter().filter_map(|id| state.slots.remove(id));
            Ok::<_, ManagerError>(slots.collect::<Vec<_>>())
        })?;
        // Their code may run when they are dropped: no lock is held.
        drop(gone);
        Ok(report)
    }

    async fn end(&self, id: Id, drain: Duration) -> StopReport {
        let stopping = Stopping::begin(self, id);
        self.0.act(|state, now| state.tree.stop(id, drain, now));
        self.0.keep_driving_if_needed();
        stopping.finish().await
    }
}

/// A stop that is reported when it is over.
struct Stopping<'a> {
    manager: &'a WorkerManager,
    id: Id,
    began: Instant,
    /// Those that ran when it began.
    ran: Vec<(Arc<Slot>, bool)>,
}

impl<'a> Stopping<'a> {
    fn begin(manager: &'a WorkerManager, id: Id) -> Self {
        let ran = manager
            .0
            .slots_in(id)
            .into_iter()
            .filter(|slot| slot.run().is_some());
        Self {
            manager,
            id,
            began: manager.0.clock.now(),
            ran: ran.map(|slot| (slot, false)).collect(),
        }
    }

    async fn finish(self) -> StopReport {
        let inner = &self.manager.0;
        loop {
            let changed = inner.changed.notified();
            if inner.state().tree.is_calm(self.id) {
                break;
            }
            changed.await;
        }
        let now = inner.clock.now();
        let workers = self
            .ran
            .iter()
            .map(|(slot, _)| self.stopped(slot, now))
            .collect();
        StopReport {
            took: now.saturating_duration_since(self.began),
            workers,
        }
    }

    fn stopped(&self, slot: &Slot, now: Instant) -> StoppedWorker {
        let phase = slot
            .id()
            .and_then(|id| self.manager.0.state().tree.phase(id));
        let is_lost = matches!(
            phase,
            Some(Phase::Stopping {
                step: Step::Lost,
                ..
            })
        );
        let last = slot.last().filter(|_| !is_lost);
        let ended = last.as_ref().map_or(now, |last| last.at);
        let how = match last.map(|last| last.end) {
            Some(RunEnd::Returned) => HowStopped::Returned,
            Some(RunEnd::Failed(error)) => HowStopped::Failed(error),
            Some(RunEnd::Panicked(payload)) => HowStopped::Panicked(payload),
            Some(RunEnd::Aborted) => HowStopped::Aborted {
                at: slot.vital.place(now).map(|(place, _)| place.into_owned()),
            },
            None => HowStopped::Blocked {
                by: slot
                    .blocked_in(now)
                    .unwrap_or_else(|| "by nobody knows what".to_owned()),
            },
        };
        StoppedWorker {
            name: slot.name,
            how,
            took: ended.saturating_duration_since(self.began),
        }
    }
}
