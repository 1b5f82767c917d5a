//! What is kept for one call.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rs_core::Deadline;

/// The last good answer, and who replaces it.
#[derive(Debug)]
pub(super) struct Slot<T>(Mutex<State<T>>);

#[derive(Debug)]
struct State<T> {
    good: Option<Good<T>>,
    /// Until when one who refreshes is believed to be at it.
    refreshed_until: Option<Instant>,
    /// How many have refreshed.
    turn: u64,
}

#[derive(Debug)]
struct Good<T> {
    value: Arc<T>,
    since: Instant,
}

impl<T> Slot<T> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(State {
            good: None,
            refreshed_until: None,
            turn: 0,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer and its age, if it is not older than this.
    pub(super) fn good(&self, now: Instant, at_most: Duration) -> Option<(Arc<T>, Duration)> {
        let state = self.lock();
        let good = state.good.as_ref()?;
        let age = now.saturating_duration_since(good.since);
        (age <= at_most).then(|| (Arc::clone(&good.value), age))
    }

    /// Keeps the answer to a call that began then, unless there is one that came after that.
    pub(super) fn keep(&self, value: T, begun: Instant, now: Instant) {
        let value = Arc::new(value);
        let mut state = self.lock();
        let is_newer = |good: &Good<T>| good.since > begun;
        if state.good.as_ref().is_some_and(is_newer) {
            return;
        }
        let before = state.good.replace(Good { value, since: now });
        drop(state);
        // The caller's own code, so outside of the lock.
        drop(before);
    }

    /// Takes the turn to refresh, unless another has had it for less than this.
    pub(super) fn refresh(self: &Arc<Self>, now: Instant, longest: Duration) -> Option<Turn<T>> {
        let mut state = self.lock();
        if state.refreshed_until.is_some_and(|until| now < until) {
            return None;
        }
        state.refreshed_until = Some(Deadline::after(now, longest).moment());
        state.turn += 1;
        Some(Turn {
            slot: Arc::clone(self),
            number: state.turn,
        })
    }
}

/// The turn to refresh; whoever drops it leaves it to the next.
#[derive(Debug)]
pub(super) struct Turn<T> {
    slot: Arc<Slot<T>>,
    number: u64,
}

impl<T> Drop for Turn<T> {
    fn drop(&mut self) {
        let mut state = self.slot.lock();
        // It may have taken too long, and another have the turn.
        if state.turn == self.number {
            state.refreshed_until = None;
        }
    }
}
