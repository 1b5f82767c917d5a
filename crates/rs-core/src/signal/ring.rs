//! The ring behind the flight recorder.
//!
//! A writer takes the next place in the order with one atomic addition and writes into the slot of
//! that place. It never waits: if somebody holds the slot at that moment, which takes a reader that is
//! a whole lap behind or a writer that slept for one, the entry is dropped and counted. A reader looks
//! at a slot only when the entry it wants has been settled, so that one that keeps up is in nobody's
//! way. The slots are mutexes only because `unsafe` is forbidden here; nobody ever blocks on one to
//! write.
//!
//! The order is `SeqCst` where a writer decides whether anybody is to be woken: either it sees the
//! observer or the observer sees its entry.

use crate::{
    stripe::Padded,
    sync::{AtomicU64, Mutex, MutexGuard, Ordering},
};

pub(crate) struct Ring<T> {
    slots: Box<[Padded<Slot<T>>]>,
    next: Padded<AtomicU64>,
    lost: AtomicU64,
}

struct Slot<T> {
    entry: Mutex<Option<(u64, T)>>,
    /// One more than the last place whose entry was written or dropped here.
    settled: AtomicU64,
    #[cfg(loom)]
    steps: AtomicU64,
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
            settled: AtomicU64::new(0),
            #[cfg(loom)]
            steps: AtomicU64::new(0),
        };
        Self {
            slots: (0..slots.max(1)).map(|_| Padded(slot())).collect(),
            next: Padded(AtomicU64::new(0)),
            lost: AtomicU64::new(0),
        }
    }

    /// Adds an entry, made once its place in the order is known. Never waits.
    pub(crate) fn push(&self, make: impl FnOnce(u64) -> T) {
        let place = self.next.0.fetch_add(1, Ordering::SeqCst);
        let slot = self.slot(place);
        if !slot.write(place, make) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        slot.settled.fetch_max(place + 1, Ordering::SeqCst);
    }

    pub(crate) fn at(&self, place: u64) -> Found<T> {
        let slot = self.slot(place);
        if slot.settled.load(Ordering::SeqCst) <= place {
            return Found::NotYet;
        }
        let entry = slot.lock();
        slot.step();
        match &*entry {
            Some((found, entry)) if *found == place => Found::Entry(entry.clone()),
            _ => Found::Gone,
        }
    }

    /// The place that the next entry will have.
    pub(crate) fn end(&self) -> u64 {
        self.next.0.load(Ordering::SeqCst)
    }

    /// The first place that can still be there.
    pub(crate) fn start(&self) -> u64 {
        self.end().saturating_sub(self.slots.len() as u64)
    }

    /// How many entries were dropped because their slot was held or already had a later one.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn slot(&self, place: u64) -> &Slot<T> {
        // The remainder keeps the index inside: there is at least one slot.
        &self.slots[(place % self.slots.len() as u64) as usize].0
    }
}

impl<T> Slot<T> {
    /// Writes the entry unless somebody holds the slot.
    fn write(&self, place: u64, make: impl FnOnce(u64) -> T) -> bool {
        self.step();
        let Some(mut entry) = self.try_lock() else {
            return false;
        };
        // A writer that was overtaken by a whole lap must not hide the later entry.
        if entry.as_ref().is_some_and(|(found, _)| *found > place) {
            return false;
        }
        self.step();
        *entry = Some((place, make(place)));
        true
    }

    /// The model checker swaps only steps that touch the same thing: with one before a slot is tried
    /// and one while it is held, it also finds slots held.
    fn step(&self) {
        #[cfg(loom)]
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

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
