use std::{cell::Cell, time::Instant};

use super::Shared;

/// The time of one ending, read at most once and only if it is needed.
pub(super) struct Moment<'a> {
    shared: &'a Shared,
    known: Cell<Option<(Instant, u64)>>,
}

impl<'a> Moment<'a> {
    #[inline]
    pub(super) const fn of(shared: &'a Shared) -> Self {
        Self {
            shared,
            known: Cell::new(None),
        }
    }

    pub(super) fn at(shared: &'a Shared, now: Instant) -> Self {
        Self {
            shared,
            known: Cell::new(Some((now, shared.age(now)))),
        }
    }

    #[inline]
    fn read(&self) -> (Instant, u64) {
        match self.known.get() {
            Some(known) => known,
            None => {
                let now = self.shared.clock().now();
                let known = (now, self.shared.age(now));
                self.known.set(Some(known));
                known
            }
        }
    }

    #[inline]
    pub(super) fn get(&self) -> Instant {
        self.read().0
    }

    /// In nanoseconds since the breaker was made.
    #[inline]
    pub(super) fn age(&self) -> u64 {
        self.read().1
    }

    pub(super) fn get_if_known(&self) -> Option<Instant> {
        self.known.get().map(|(now, _)| now)
    }
}
