//! The places of a bulkhead, and who waits for one.

use std::{task::Waker, time::Duration};

use super::BulkheadConfig;
use crate::{
    queue::{Queue, Ticket},
    sync::{AtomicU64, Mutex, Ordering, lock},
};

/// How many places are taken and how many wait for one are one word, so that whoever gives a place back
/// cannot miss one who has just begun to wait: either sees the other.
#[derive(Debug)]
pub(crate) struct Seats {
    word: AtomicU64,
    /// How many places there are, and above it how many may wait.
    sizes: AtomicU64,
    longest_wait: AtomicU64,
    queue: Mutex<Queue>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Word(u64);

impl Word {
    const ONE_WAITS: u64 = 1 << 32;

    const fn taken(self) -> u32 {
        self.0 as u32
    }

    const fn waiting(self) -> u32 {
        (self.0 >> 32) as u32
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
            word: AtomicU64::new(0),
            sizes: AtomicU64::new(0),
            longest_wait: AtomicU64::new(0),
            queue: Mutex::new(Queue::new()),
        };
        seats.publish(config);
        seats
    }

    fn publish(&self, config: &BulkheadConfig) {
        let sizes = u64::from(config.queue()) << 32 | u64::from(config.limit());
        self.sizes.store(sizes, Ordering::Relaxed);
        let nanos = u64::try_from(config.longest_wait().as_nanos()).unwrap_or(u64::MAX);
        self.longest_wait.store(nanos, Ordering::Relaxed);
    }

    /// There are other numbers of places from now on; new ones go to those who wait.
    pub(crate) fn resize(&self, config: &BulkheadConfig) {
        self.publish(config);
        self.serve();
    }

    pub(crate) fn limit(&self) -> u32 {
        self.sizes.load(Ordering::Relaxed) as u32
    }

    pub(crate) fn queue(&self) -> u32 {
        (self.sizes.load(Ordering::Relaxed) >> 32) as u32
    }

    pub(crate) fn longest_wait(&self) -> Duration {
        Duration::from_nanos(self.longest_wait.load(Ordering::Relaxed))
    }

    pub(crate) fn taken(&self) -> u32 {
        Word(self.word.load(Ordering::Relaxed)).taken()
    }

    pub(crate) fn waiting(&self) -> u32 {
        Word(self.word.load(Ordering::Relaxed)).waiting()
    }

    /// Takes a place if there is one and nobody waits.
    #[inline]
    pub(crate) fn try_take(&self) -> bool {
        let limit = self.limit();
        let mut word = Word(self.word.load(Ordering::Relaxed));
        while word.waiting() == 0 && word.taken() < limit {
            match self.change(word, word.0 + 1) {
                Ok(()) => return true,
                Err(current) => word = current,
            }
        }
        false
    }

    /// Takes a place even if there is none.
    pub(crate) fn take_anyway(&self) {
        self.word.fetch_add(1, Ordering::AcqRel);
    }

    /// Takes a place, or waits for one if others may.
    pub(crate) fn take_or_wait(&self, waker: &Waker) -> Asked {
        let mut queue = lock(&self.queue);
        let mut word = Word(self.word.load(Ordering::Relaxed));
        loop {
            let free = word.waiting() == 0 && word.taken() < self.limit();
            let changed = if free {
                self.change(word, word.0 + 1)
            } else if word.waiting() < self.queue() {
                self.change(word, word.0 + Word::ONE_WAITS)
            } else {
                return Asked::Full;
            };
            match changed {
                Ok(()) if free => return Asked::Taken,
                Ok(()) => return Asked::Waits(queue.join(waker)),
                Err(current) => word = current,
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
            self.word.fetch_sub(Word::ONE_WAITS, Ordering::AcqRel);
        }
        served
    }

    /// Gives a place back, to whoever waits for it.
    #[inline]
    pub(crate) fn give_back(&self) {
        let before = Word(self.word.fetch_sub(1, Ordering::AcqRel));
        if before.waiting() > 0 {
            self.serve();
        }
    }

    #[cold]
    fn serve(&self) {
        let mut queue = lock(&self.queue);
        let mut word = Word(self.word.load(Ordering::Relaxed));
        // Those who wait are woken after the lock is free: they take it at once. One is most often all.
        let (mut first, mut others) = (None, Vec::new());
        while word.waiting() > 0 && word.taken() < self.limit() {
            match self.change(word, word.0 + 1 - Word::ONE_WAITS) {
                Ok(()) => {
                    let waker = queue.serve();
                    if first.is_none() {
                        first = waker;
                    } else {
                        others.extend(waker);
                    }
                    word = Word(self.word.load(Ordering::Relaxed));
                }
                Err(current) => word = current,
            }
        }
        drop(queue);
        first.into_iter().chain(others).for_each(Waker::wake);
    }

    #[inline]
    fn change(&self, from: Word, to: u64) -> Result<(), Word> {
        self.word
            .compare_exchange(from.0, to, Ordering::AcqRel, Ordering::Relaxed)
            .map(drop)
            .map_err(Word)
    }
}
