//! The calls that wait for one run.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use crate::queue::{Queue, Ticket};

/// Those who wait for the answer `R` of another call's run, or for their turn to run themselves.
#[derive(Debug)]
pub(super) struct Flight<R>(Mutex<State<R>>);

#[derive(Debug)]
struct State<R> {
    queue: Queue,
    /// Those of the queue to whom nothing was said yet.
    waiting: u32,
    answer: Option<Arc<R>>,
}

/// What a call that waits hears.
#[derive(Debug)]
pub(super) enum Heard<R> {
    Nothing,
    /// It has been decided.
    Answer(Arc<R>),
    /// The one that ran went away: this one runs now.
    Lead,
}

impl<R> Flight<R> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(State {
            queue: Queue::new(),
            waiting: 0,
            answer: None,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State<R>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits, unless so many do.
    pub(super) fn join(&self, waker: &Waker, most: u32) -> Option<Ticket> {
        let mut state = self.lock();
        if state.waiting >= most {
            return None;
        }
        state.waiting += 1;
        Some(state.queue.join(waker))
    }

    /// What one that waits hears. After anything but `Nothing` its ticket is void.
    pub(super) fn hear(&self, ticket: Ticket, waker: &Waker) -> Heard<R> {
        let mut state = self.lock();
        if !state.queue.is_served(ticket, waker) {
            return Heard::Nothing;
        }
        state.queue.leave(ticket);
        match &state.answer {
            Some(answer) => Heard::Answer(Arc::clone(answer)),
            None => Heard::Lead,
        }
    }

    /// Waits no longer. Whether it was to run, so that another must.
    pub(super) fn leave(&self, ticket: Ticket) -> bool {
        let mut state = self.lock();
        let served = state.queue.leave(ticket);
        if !served {
            state.waiting -= 1;
        }
        served && state.answer.is_none()
    }

    /// Lets the one run that has waited longest: it is to be woken. None if nobody waits.
    pub(super) fn promote(&self) -> Option<Waker> {
        let mut state = self.lock();
        let waker = state.queue.serve()?;
        state.waiting -= 1;
        Some(waker)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().waiting == 0
    }

    /// This is the answer for all who wait: they are to be woken.
    pub(super) fn decide(&self, answer: Arc<R>) -> Vec<Waker> {
        let mut state = self.lock();
        state.answer = Some(answer);
        state.waiting = 0;
        std::iter::from_fn(|| state.queue.serve()).collect()
    }
}
