use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use super::shelf::Held;
use crate::{
    BackendError, InstanceSet, Standing, part::Part, set::Shown, timer::Timer, watch::Watching,
};

/// A watch whose registry may not have answered yet.
pub(super) struct Remembering {
    pub(super) held: Arc<Held>,
    pub(super) inner: Part,
    pub(super) cold: Option<Cold>,
    pub(super) timer: Timer,
    pub(super) shown: Shown,
}

/// What counts until the registry has said something that can be believed against it.
pub(super) struct Cold {
    pub(super) set: InstanceSet,
    /// Since when the registry has been waited for.
    pub(super) since: Option<Instant>,
    /// Since when the registry says that there are none.
    pub(super) empty_since: Option<Instant>,
}

impl Remembering {
    /// What the registry says, or the file as long as that counts.
    fn view(&self, now: Instant) -> Option<InstanceSet> {
        let said = self.inner.latest();
        let Some(cold) = &self.cold else { return said };
        let standing = match (said, self.inner.trouble()) {
            (Some(set), _) if set.is_current() => Standing::Doubted,
            (_, Some(trouble)) => Standing::Kept(trouble),
            (Some(set), None) => set.standing().clone(),
            (None, None) => {
                let limit = self.held.shelf.config().first_answer;
                let is_late = cold.since.is_some_and(|since| now - since >= limit);
                Standing::Kept(is_late.then_some(BackendError::TimedOut(limit))?)
            }
        };
        Some(cold.set.clone().standing_as(standing))
    }

    /// Hears what the registry says, and when that will look different without it.
    fn hear(&mut self, now: Instant) -> Option<Instant> {
        let config = self.held.shelf.config();
        let said = self.inner.latest().filter(InstanceSet::is_current);
        if let Some(cold) = &mut self.cold {
            let Some(set) = &said else {
                cold.empty_since = None;
                let since = *cold.since.get_or_insert(now);
                let late = since.checked_add(config.first_answer);
                return late.filter(|late| *late > now);
            };
            if set.is_empty() && !cold.set.is_empty() {
                let since = *cold.empty_since.get_or_insert(now);
                let due = since.checked_add(config.empty_grace);
                if due.is_some_and(|due| due > now) {
                    return due;
                }
            }
            self.cold = None;
        }
        if let Some(set) = said {
            self.held.start();
            self.held.shelf.hear(&set);
        }
        None
    }
}

impl Watching for Remembering {
    fn poll_news(&mut self, context: &mut Context<'_>) -> Poll<Option<InstanceSet>> {
        let clock = self.held.shelf.clock().clone();
        loop {
            self.inner.poll(context);
            let due = self.hear(clock.now());
            if self.timer.poll(&clock, due, context).is_pending() {
                break;
            }
        }
        if self.inner.has_ended() {
            return Poll::Ready(None);
        }
        match self.view(clock.now()).and_then(|set| self.shown.news(set)) {
            Some(set) => Poll::Ready(Some(set)),
            None => Poll::Pending,
        }
    }

    fn latest(&self) -> Option<InstanceSet> {
        let now = self.held.shelf.clock().now();
        self.view(now).map(|set| self.shown.alike(set))
    }

    fn trouble(&self) -> Option<BackendError> {
        self.inner.trouble()
    }
}

impl Cold {
    pub(super) const fn new(set: InstanceSet) -> Self {
        Self {
            set,
            since: None,
            empty_since: None,
        }
    }
}
