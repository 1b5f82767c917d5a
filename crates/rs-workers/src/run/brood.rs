use std::{
    borrow::Cow,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::task::AbortHandle;

use crate::RunEnd;

/// What a run has spawned. The run is over when nothing of it is left.
#[derive(Default)]
pub(crate) struct Brood(Mutex<State>);

#[derive(Default)]
struct State {
    next: u64,
    children: HashMap<u64, Child>,
    /// The task of the run itself has ended like this.
    end: Option<RunEnd>,
    closed: bool,
}

struct Child {
    task: Option<AbortHandle>,
    blocking: Option<Blocking>,
}

/// Work that blocks a thread, and since when.
#[derive(Debug, Clone)]
pub(crate) struct Blocking {
    pub(crate) what: Cow<'static, str>,
    pub(crate) since: Instant,
}

/// Says that a child has ended, when it is dropped.
pub(crate) struct Leaves {
    pub(crate) child: u64,
    pub(crate) run: Arc<super::Run>,
    /// Called by the last to go.
    pub(crate) over: Box<dyn Fn(RunEnd) + Send>,
}

impl Drop for Leaves {
    fn drop(&mut self) {
        if let Some(end) = self.run.brood.leave(self.child) {
            (self.over)(end);
        }
    }
}

impl Brood {
    /// One more child. Its task is told afterwards, by [`Brood::keep`].
    pub(crate) fn enter(&self, blocking: Option<Blocking>) -> u64 {
        let mut state = self.state();
        state.next += 1;
        let (id, task) = (state.next, None);
        state.children.insert(id, Child { task, blocking });
        id
    }

    pub(crate) fn keep(&self, child: u64, task: AbortHandle) {
        let mut state = self.state();
        if state.closed {
            drop(state);
            return task.abort();
        }
        if let Some(child) = state.children.get_mut(&child) {
            child.task = Some(task);
        }
    }

    fn leave(&self, child: u64) -> Option<RunEnd> {
        let mut state = self.state();
        state.children.remove(&child);
        match state.children.is_empty() {
            true => state.end.take(),
            false => None,
        }
    }

    /// The run itself has ended. Given back if nothing else is left; else the last child hands it on.
    pub(crate) fn end(&self, end: RunEnd) -> Option<RunEnd> {
        let mut state = self.state();
        if state.children.is_empty() {
            return Some(end);
        }
        state.end = Some(end);
        drop(state);
        self.abort();
        None
    }

    pub(crate) fn abort(&self) {
        let mut state = self.state();
        state.closed = true;
        let tasks: Vec<_> = state
            .children
            .values()
            .filter_map(|child| child.task.clone())
            .collect();
        drop(state);
        tasks.iter().for_each(AbortHandle::abort);
    }

    /// The blocking work that has gone on for the longest time.
    pub(crate) fn oldest_blocking(&self) -> Option<Blocking> {
        let state = self.state();
        let blocking = state
            .children
            .values()
            .filter_map(|child| child.blocking.clone());
        blocking.min_by_key(|blocking| blocking.since)
    }

    pub(crate) fn len(&self) -> usize {
        self.state().children.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
