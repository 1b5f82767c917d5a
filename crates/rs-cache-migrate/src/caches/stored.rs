use std::time::{Duration, Instant};

use rs_core::Deadline;

use crate::Entry;

/// An entry as a cache keeps it: none of the Rust caches says how long an entry still lives, so its end
/// travels with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored<V> {
    value: Option<V>,
    until: Option<Instant>,
    epoch: u32,
}

impl<V> Stored<V> {
    /// This entry from now on; `None` if it has no time left.
    #[must_use]
    pub fn new(entry: Entry<V>, now: impl FnOnce() -> Instant) -> Option<Self> {
        let until = match entry.remaining {
            Some(Duration::ZERO) => return None,
            Some(time) => Some(Deadline::after(now(), time).moment()),
            None => None,
        };
        Some(Self {
            value: entry.value,
            until,
            epoch: entry.epoch,
        })
    }

    pub(super) const fn value(&self) -> Option<&V> {
        self.value.as_ref()
    }

    /// Whether its time is over.
    #[must_use]
    pub fn has_expired(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// The entry; `None` if its time is over. The clock is read only if it has an end.
    #[must_use]
    #[inline]
    pub fn entry(&self, now: impl FnOnce() -> Instant) -> Option<Entry<V>>
    where
        V: Clone,
    {
        let remaining = match self.until {
            Some(until) => {
                let left = until.saturating_duration_since(now());
                if left.is_zero() {
                    return None;
                }
                Some(left)
            }
            None => None,
        };
        Some(Entry {
            value: self.value.clone(),
            remaining,
            epoch: self.epoch,
            near: false,
        })
    }

    /// When it ends.
    #[must_use]
    pub const fn until(&self) -> Option<Instant> {
        self.until
    }
}
