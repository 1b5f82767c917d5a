//! The places of a bulkhead, and who waits for one.
//!
//! - The *centre* is one word: how many places are out, and how many callers wait for one. So whoever brings
//!   a place back there cannot miss one who has just begun to wait: either sees the other.
//! - Threads that come and go at the same time would all meet at that word. So each has a *purse* beside it,
//!   which holds a few places that are out and that nobody has: a call takes its place from there, and puts it
//!   there again.
//! - Purses are open only while there is room. Who finds neither a place in its purse nor one in the centre
//!   shuts all purses and empties them into the centre; from then on the centre alone decides, exactly and in
//!   order of arrival, until half of the places are free. Nobody waits while purses are open.

use std::{num::NonZero, task::Waker, time::Duration};

use rs_core::{Enforcement, Striped};

use super::BulkheadConfig;
use crate::{
    queue::{Queue, Ticket},
    sync::{AtomicU64, Mutex, MutexGuard, Ordering, lock},
};

#[derive(Debug)]
pub(crate) struct Seats {
    centre: AtomicU64,
    /// How many places there are, and above it how many may wait.
    sizes: AtomicU64,
    longest_wait: AtomicU64,
    /// Each one word: how many places are in it, and above it how many may be. All zero while it is shut.
    purses: Striped<AtomicU64>,
    /// How many purses are used, and above it how many places each may hold. Changed under the lock.
    purse_sizes: AtomicU64,
    /// Grows whenever the purses are opened or shut; odd while they are open. Changed under the lock.
    era: AtomicU64,
    queue: Mutex<Queue>,
}

/// Two numbers in one word.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Pair(u64);

impl Pair {
    /// One more of the upper number.
    const UPPER: u64 = 1 << 32;

    const fn of(lower: u32, upper: u32) -> Self {
        Self((upper as u64) << 32 | lower as u64)
    }

    const fn lower(self) -> u32 {
        self.0 as u32
    }

    const fn upper(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// The centre: how many places are out, how many callers wait.
impl Pair {
    const fn out(self) -> u32 {
        self.lower()
    }

    const fn waiting(self) -> u32 {
        self.upper()
    }
}

/// What came of asking for a place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Taken,
    Waits(Ticket),
    Full,
}

impl Seats {
    pub(crate) fn new(config: &BulkheadConfig) -> Self {
        let seats = Self {
            centre: AtomicU64::new(0),
            sizes: AtomicU64::new(0),
            longest_wait: AtomicU64::new(0),
            purses: purses(),
            purse_sizes: AtomicU64::new(0),
            era: AtomicU64::new(0),
            queue: Mutex::new(Queue::new()),
        };
        seats.resize(config);
        seats
    }

    /// There are other numbers of places from now on; new ones go to those who wait.
    pub(crate) fn resize(&self, config: &BulkheadConfig) {
        let queue = lock(&self.queue);
        self.shut(&queue);
        let sizes = Pair::of(config.limit(), config.queue());
        self.sizes.store(sizes.0, Ordering::Relaxed);
        let nanos = u64::try_from(config.longest_wait().as_nanos()).unwrap_or(u64::MAX);
        self.longest_wait.store(nanos, Ordering::Relaxed);
        // In the dark there may be more places out than there are: the centre alone knows.
        let purses = match config.enforced() {
            Enforcement::Full => purse_sizes(config.limit(), self.purses.count()),
            _ => Pair(0),
        };
        self.purse_sizes.store(purses.0, Ordering::Relaxed);
        self.serve(queue);
        self.open_if_there_is_room();
    }

    fn sizes(&self) -> Pair {
        Pair(self.sizes.load(Ordering::Relaxed))
    }

    pub(crate) fn limit(&self) -> u32 {
        self.sizes().lower()
    }

    pub(crate) fn queue(&self) -> u32 {
        self.sizes().upper()
    }

    pub(crate) fn longest_wait(&self) -> Duration {
        Duration::from_nanos(self.longest_wait.load(Ordering::Relaxed))
    }

    /// How many places are taken: those that are out, without those that lie in purses.
    pub(crate) fn taken(&self) -> u32 {
        let out = Pair(self.centre.load(Ordering::Acquire)).out();
        let idle = self.purses.iter();
        let idle: u32 = idle
            .map(|purse| Pair(purse.load(Ordering::Acquire)).lower())
            .sum();
        out.saturating_sub(idle)
    }

    pub(crate) fn waiting(&self) -> u32 {
        Pair(self.centre.load(Ordering::Relaxed)).waiting()
    }

    /// The purse of this thread, if there are any.
    #[inline(always)]
    fn purse(&self) -> Option<&AtomicU64> {
        let used = Pair(self.purse_sizes.load(Ordering::Relaxed)).lower();
        NonZero::new(used as usize).map(|used| self.purses.local_among(used))
    }

    /// Takes a place if there is one and nobody waits.
    #[inline]
    pub(crate) fn try_take(&self) -> bool {
        if let Some(purse) = self.purse() {
            let mut inside = Pair(purse.load(Ordering::Relaxed));
            while inside.lower() > 0 {
                match change(purse, inside, inside.0 - 1) {
                    Ok(()) => return true,
                    Err(current) => inside = current,
                }
            }
        }
        self.take_from_centre() == Some(true) || self.take_if_there_is_any()
    }

    /// Takes a place from the centre if one is there; nothing is said if somebody waits.
    #[inline]
    fn take_from_centre(&self) -> Option<bool> {
        let limit = self.limit();
        let mut centre = Pair(self.centre.load(Ordering::Acquire));
        while centre.waiting() == 0 {
            if centre.out() >= limit {
                return Some(false);
            }
            match change(&self.centre, centre, centre.0 + 1) {
                Ok(()) => return Some(true),
                Err(current) => centre = current,
            }
        }
        None
    }

    /// The same, after whatever lies in purses was brought there.
    #[cold]
    fn take_if_there_is_any(&self) -> bool {
        loop {
            let era = self.era.load(Ordering::Acquire);
            match self.take_from_centre() {
                Some(true) => return true,
                Some(false) if is_open(era) => self.shut(&lock(&self.queue)),
                // All that are out were taken, unless purses were open in between.
                Some(false) if self.era.load(Ordering::Acquire) == era => return false,
                Some(false) => {}
                None => return false,
            }
        }
    }

    /// Takes a place even if there is none.
    pub(crate) fn take_anyway(&self) {
        self.centre.fetch_add(1, Ordering::AcqRel);
    }

    /// Takes a place, or waits for one if others may.
    pub(crate) fn take_or_wait(&self, waker: &Waker) -> Asked {
        let mut queue = lock(&self.queue);
        self.shut(&queue);
        let mut centre = Pair(self.centre.load(Ordering::Relaxed));
        loop {
            let free = centre.waiting() == 0 && centre.out() < self.limit();
            let changed = if free {
                change(&self.centre, centre, centre.0 + 1)
            } else if centre.waiting() < self.queue() {
                change(&self.centre, centre, centre.0 + Pair::UPPER)
            } else {
                return Asked::Full;
            };
            match changed {
                Ok(()) if free => return Asked::Taken,
                Ok(()) => return Asked::Waits(queue.join(waker)),
                Err(current) => centre = current,
            }
        }
    }

    /// Whether one who waited has a place now; if not, this wakes it when it has.
    pub(crate) fn has_place(&self, ticket: Ticket, waker: &Waker) -> bool {
        let mut queue = lock(&self.queue);
        let served = queue.is_served(ticket, waker);
        if served {
            queue.leave(ticket);
        }
        served
    }

    /// Waits no longer. Whether it has got a place meanwhile, which is its own then.
    pub(crate) fn stop_waiting(&self, ticket: Ticket) -> bool {
        let mut queue = lock(&self.queue);
        let served = queue.leave(ticket);
        if !served {
            self.centre.fetch_sub(Pair::UPPER, Ordering::AcqRel);
        }
        served
    }

    /// Gives a place back, to whoever waits for it.
    #[inline]
    pub(crate) fn give_back(&self) {
        let mut may_open = false;
        if let Some(purse) = self.purse() {
            let mut inside = Pair(purse.load(Ordering::Relaxed));
            may_open = inside.upper() == 0;
            while inside.lower() < inside.upper() {
                match change(purse, inside, inside.0 + 1) {
                    Ok(()) => return,
                    Err(current) => inside = current,
                }
            }
        }
        let before = Pair(self.centre.fetch_sub(1, Ordering::AcqRel));
        if before.waiting() > 0 {
            self.serve(lock(&self.queue));
        } else if may_open && before.out() <= self.limit() / 2 {
            self.open_if_there_is_room();
        }
    }

    #[cold]
    fn serve(&self, mut queue: MutexGuard<'_, Queue>) {
        let mut centre = Pair(self.centre.load(Ordering::Relaxed));
        // Those who wait are woken after the lock is free: they take it at once. One is most often all.
        let (mut first, mut others) = (None, Vec::new());
        while centre.waiting() > 0 && centre.out() < self.limit() {
            match change(&self.centre, centre, centre.0 + 1 - Pair::UPPER) {
                Ok(()) => {
                    let waker = queue.serve();
                    if first.is_none() {
                        first = waker;
                    } else {
                        others.extend(waker);
                    }
                    centre = Pair(self.centre.load(Ordering::Relaxed));
                }
                Err(current) => centre = current,
            }
        }
        drop(queue);
        first.into_iter().chain(others).for_each(Waker::wake);
    }

    /// Shuts the purses and brings what is in them to the centre.
    fn shut(&self, _locked: &MutexGuard<'_, Queue>) {
        let era = self.era.load(Ordering::Relaxed);
        if !is_open(era) {
            return;
        }
        let inside = self.purses.iter();
        let idle: u32 = inside
            .map(|purse| Pair(purse.swap(0, Ordering::AcqRel)).lower())
            .sum();
        self.centre.fetch_sub(idle.into(), Ordering::AcqRel);
        self.era.store(era + 1, Ordering::Release);
    }

    /// Opens the purses if there are any and half of the places are free.
    #[cold]
    fn open_if_there_is_room(&self) {
        let _locked = lock(&self.queue);
        let (era, purses) = (
            self.era.load(Ordering::Relaxed),
            Pair(self.purse_sizes.load(Ordering::Relaxed)),
        );
        let centre = Pair(self.centre.load(Ordering::Relaxed));
        let has_room = centre.waiting() == 0 && centre.out() <= self.limit() / 2;
        if is_open(era) || purses.lower() == 0 || !has_room {
            return;
        }
        // First the era: who finds a purse open must not take the centre for all there is.
        self.era.store(era + 1, Ordering::Release);
        for purse in self.purses.iter().take(purses.lower() as usize) {
            purse.store(Pair::of(0, purses.upper()).0, Ordering::Release);
        }
    }
}

const fn is_open(era: u64) -> bool {
    era % 2 == 1
}

#[inline]
fn change(word: &AtomicU64, from: Pair, to: u64) -> Result<(), Pair> {
    word.compare_exchange(from.0, to, Ordering::AcqRel, Ordering::Relaxed)
        .map(drop)
        .map_err(Pair)
}

/// How many purses there are, and above it how many places each may hold: a quarter of all places at most, so
/// that those who find none seldom have to look for them there.
#[cfg(not(loom))]
fn purse_sizes(limit: u32, purses: usize) -> Pair {
    let quarter = limit / 4;
    let purses = u32::try_from(purses).unwrap_or(u32::MAX);
    match quarter.min(purses) {
        0 | 1 => Pair(0),
        used => {
            let used = 1 << used.ilog2();
            Pair::of(used, quarter / used)
        }
    }
}

/// Few enough for a model to see all that can happen.
#[cfg(loom)]
fn purse_sizes(limit: u32, _purses: usize) -> Pair {
    match limit {
        0 | 1 => Pair(0),
        _ => Pair::of(2, 1),
    }
}

#[cfg(not(loom))]
fn purses() -> Striped<AtomicU64> {
    Striped::at_most(16, AtomicU64::default)
}

#[cfg(loom)]
fn purses() -> Striped<AtomicU64> {
    Striped::with_count(2, || AtomicU64::new(0))
}
