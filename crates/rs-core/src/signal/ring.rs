//! The ring behind the flight recorder.
//!
//! A writer takes the next place in the order with one atomic addition and writes into the slot of
//! that place. It never waits: if somebody holds the slot at that moment, which takes a reader in the
//! middle of a copy or a writer that slept for a whole lap, the entry is dropped and counted. The
//! slots are mutexes only because `unsafe` is forbidden here; nobody ever blocks on one to write.

use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};

pub(crate) struct Ring<T> {
    slots: Box<[Slot<T>]>,
    next: AtomicU64,
    lost: AtomicU64,
}

struct Slot<T> {
    entry: Mutex<Option<(u64, T)>>,
    /// One more than the last place whose entry was dropped here.
    dropped: AtomicU64,
}

/// What a reader finds at a place in the order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<T> {
    Entry(T),
    /// Overwritten by a later lap, or dropped by its writer.
    Gone,
    /// Its writer has not finished.
    NotYet,
}

impl<T: Clone> Ring<T> {
    /// A ring of this many slots, at least one.
    pub(crate) fn new(slots: usize) -> Self {
        let slot = || Slot {
            entry: Mutex::new(None),
            dropped: AtomicU64::new(0),
        };
        Self {
            slots: (0..slots.max(1)).map(|_| slot()).collect(),
            next: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        }
    }

    /// Adds an entry, made once its place in the order is known. Never waits.
    pub(crate) fn push(&self, make: impl FnOnce(u64) -> T) {
        let place = self.next.fetch_add(1, Ordering::AcqRel);
        let slot = self.slot(place);
        let Some(mut entry) = slot.try_lock() else {
            slot.dropped.fetch_max(place + 1, Ordering::AcqRel);
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        };
        // A writer that was overtaken by a whole lap must not hide the later entry.
        if entry.as_ref().is_some_and(|(found, _)| *found > place) {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        *entry = Some((place, make(place)));
    }

    pub(crate) fn at(&self, place: u64) -> Found<T> {
        let slot = self.slot(place);
        match &*slot.lock() {
            Some((found, entry)) if *found == place => Found::Entry(entry.clone()),
            Some((found, _)) if *found > place => Found::Gone,
            _ if slot.dropped.load(Ordering::Acquire) > place => Found::Gone,
            _ => Found::NotYet,
        }
    }

    /// The place that the next entry will have.
    pub(crate) fn end(&self) -> u64 {
        self.next.load(Ordering::Acquire)
    }

    /// The first place that can still be there.
    pub(crate) fn start(&self) -> u64 {
        self.end().saturating_sub(self.slots.len() as u64)
    }

    /// How many entries were dropped because their slot was held.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn slot(&self, place: u64) -> &Slot<T> {
        // The remainder keeps the index inside: there is at least one slot.
        &self.slots[(place % self.slots.len() as u64) as usize]
    }
}

impl<T> Slot<T> {
    fn lock(&self) -> MutexGuard<'_, Option<(u64, T)>> {
        self.entry
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Option<(u64, T)>>> {
        match self.entry.try_lock() {
            Ok(entry) => Some(entry),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }
}
