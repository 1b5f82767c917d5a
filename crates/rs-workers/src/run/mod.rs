//! One run of a worker: what is spawned, what it spawns, and where it is.

mod brood;
mod executor;
mod life;

pub(crate) use brood::{Blocking, Brood, Leaves};
pub(crate) use executor::Executor;
pub(crate) use life::Life;

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU8, Ordering},
    },
    time::Instant,
};

use tokio::task::AbortHandle;

use crate::tree::Instance;

/// How far a run has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Stage {
    Running,
    Draining,
    Told,
}

pub(crate) struct Run {
    pub(crate) instance: Instance,
    pub(crate) started: Instant,
    pub(crate) brood: Brood,
    pub(crate) executor: Executor,
    stage: AtomicU8,
    /// Its end is our doing.
    aborted: AtomicBool,
    task: OnceLock<AbortHandle>,
}

impl Run {
    pub(crate) fn new(instance: Instance, started: Instant, executor: Executor) -> Self {
        Self {
            instance,
            started,
            brood: Brood::default(),
            executor,
            stage: AtomicU8::new(Stage::Running as u8),
            aborted: AtomicBool::new(false),
            task: OnceLock::new(),
        }
    }

    pub(crate) fn keep(&self, task: AbortHandle) {
        // Set once, by whoever spawned it.
        let _ = self.task.set(task);
    }

    pub(crate) fn advance(&self, to: Stage) {
        self.stage.fetch_max(to as u8, Ordering::AcqRel);
    }

    pub(crate) fn is_at(&self, stage: Stage) -> bool {
        self.stage.load(Ordering::Acquire) >= stage as u8
    }

    pub(crate) fn abort(&self) {
        self.aborted.store(true, Ordering::Release);
        self.advance(Stage::Told);
        if let Some(task) = self.task.get() {
            task.abort();
        }
        self.brood.abort();
    }

    pub(crate) fn was_aborted(&self) -> bool {
        self.aborted.load(Ordering::Acquire)
    }
}
