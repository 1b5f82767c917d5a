//! The places of an adaptive limit, and who waits for one.

use std::{
    task::Waker,
    time::{Duration, Instant},
};

use rs_core::Criticality;

use super::{
    AdaptiveConfig, Waiting,
    lanes::{CLASSES, End, Lanes, Spot},
};
use crate::sync::{AtomicU64, Mutex, Ordering, lock};

/// How many are in flight and how many wait are one word, so that whoever gives a place back cannot miss
/// one who has just begun to wait: either sees the other.
#[derive(Debug)]
pub(super) struct Gate {
    word: AtomicU64,
    /// How many may be in flight for a call of each class to be let in.
    limits: [AtomicU64; CLASSES],
    /// How many may wait, and how long.
    length: AtomicU64,
    longest: AtomicU64,
    lanes: Mutex<Lanes>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Word(u64);

impl Word {
    const ONE_WAITS: u64 = 1 << 32;

    const fn in_flight(self) -> u32 {
        self.0 as u32
    }

    const fn waiting(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// What came of asking for a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    In,
    Waits(Spot),
    Full,
}

/// Those who wait no longer. They are woken after the lock is free: they take it at once. One is most
/// often all.
#[derive(Default)]
struct Called {
    first: Option<Waker>,
    others: Vec<Waker>,
}

impl Called {
    fn add(&mut self, waker: Option<Waker>) {
        if self.first.is_none() {
            self.first = waker;
        } else {
            self.others.extend(waker);
        }
    }

    fn wake(self) {
        self.first
            .into_iter()
            .chain(self.others)
            .for_each(Waker::wake);
    }
}

impl Gate {
    pub(super) fn new(config: &AdaptiveConfig) -> Self {
        let gate = Self {
            word: AtomicU64::new(0),
            limits: std::array::from_fn(|_| AtomicU64::new(0)),
            length: AtomicU64::new(0),
            longest: AtomicU64::new(0),
            lanes: Mutex::new(Lanes::new(config.queue().unwrap_or(Waiting::at_most(1)))),
        };
        gate.set_limit(config.initial(), config);
        gate.set_queue(config.queue());
        gate
    }

    /// So many may be in flight, and the classes may fill their shares of that: each at least one place.
    pub(super) fn set_limit(&self, limit: u32, config: &AdaptiveConfig) {
        for (class, share) in self.limits.iter().zip(config.shares().all()) {
            // A hair less: 0.95 times 20 is 19.
            let part = (share.get() * f64::from(limit) - 1e-9).ceil();
            class.store((part as u64).max(1), Ordering::Relaxed);
        }
    }

    fn set_queue(&self, rules: Option<Waiting>) {
        let length = rules.map_or(0, |rules| rules.length());
        self.length.store(length.into(), Ordering::Relaxed);
        let Some(rules) = rules else { return };
        let nanos = u64::try_from(rules.longest().as_nanos()).unwrap_or(u64::MAX);
        self.longest.store(nanos, Ordering::Relaxed);
        lock(&self.lanes).reconfigure(rules);
    }

    /// Calls that wait stay where they are.
    pub(super) fn reconfigure(&self, config: &AdaptiveConfig) {
        self.set_queue(config.queue());
    }

    #[inline]
    pub(super) fn limit_for(&self, class: Criticality) -> u32 {
        self.limits[class as usize].load(Ordering::Relaxed) as u32
    }

    pub(super) fn length(&self) -> u32 {
        self.length.load(Ordering::Relaxed) as u32
    }

    pub(super) fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest.load(Ordering::Relaxed))
    }

    pub(super) fn in_flight(&self) -> u32 {
        Word(self.word.load(Ordering::Relaxed)).in_flight()
    }

    pub(super) fn waiting(&self) -> u32 {
        Word(self.word.load(Ordering::Relaxed)).waiting()
    }

    /// Whether the queue of any class stands.
    pub(super) fn stands(&self) -> bool {
        self.waiting() > 0 && lock(&self.lanes).stands()
    }

    /// Lets a call of this class in if there is a place and nobody waits for it.
    #[inline]
    pub(super) fn try_take(&self, class: Criticality) -> bool {
        let limit = self.limit_for(class);
        let mut word = Word(self.word.load(Ordering::Relaxed));
        while word.in_flight() < limit {
            if word.waiting() > 0 {
                return self.try_take_past(class);
            }
            match self.change(word, word.0 + 1) {
                Ok(()) => return true,
                Err(current) => word = current,
            }
        }
        false
    }

    /// The same when somebody waits: those who are less critical do not matter.
    #[cold]
    fn try_take_past(&self, class: Criticality) -> bool {
        self.take_under(&lock(&self.lanes), class)
    }

    fn take_under(&self, lanes: &Lanes, class: Criticality) -> bool {
        if lanes.has_at_least(class as usize) {
            return false;
        }
        let limit = self.limit_for(class);
        let mut word = Word(self.word.load(Ordering::Relaxed));
        while word.in_flight() < limit {
            match self.change(word, word.0 + 1) {
                Ok(()) => return true,
                Err(current) => word = current,
            }
        }
        false
    }

    /// Lets a call in even if there is no place.
    pub(super) fn take_anyway(&self) {
        self.word.fetch_add(1, Ordering::AcqRel);
    }

    /// Lets a call in, or lets it wait if there is room: its own, or that of one less critical.
    pub(super) fn take_or_wait(&self, class: Criticality, now: Instant, waker: &Waker) -> Asked {
        let mut called = Called::default();
        let mut lanes = lock(&self.lanes);
        self.shed(&mut lanes, now, &mut called);
        let asked = self.ask(&mut lanes, class, now, waker, &mut called);
        drop(lanes);
        called.wake();
        asked
    }

    fn ask(
        &self,
        lanes: &mut Lanes,
        class: Criticality,
        now: Instant,
        waker: &Waker,
        called: &mut Called,
    ) -> Asked {
        loop {
            if self.take_under(lanes, class) {
                return Asked::In;
            }
            let word = Word(self.word.load(Ordering::Relaxed));
            if word.in_flight() < self.limit_for(class) && !lanes.has_at_least(class as usize) {
                continue;
            }
            if word.waiting() < self.length() {
                if self.change(word, word.0 + Word::ONE_WAITS).is_ok() {
                    return Asked::Waits(lanes.join(class as usize, now, waker));
                }
                continue;
            }
            // One goes and one comes: whoever gives a place back sees that somebody waits all along.
            let Some(displaced) = lanes.displace(class as usize) else {
                return Asked::Full;
            };
            called.add(Some(displaced));
            return Asked::Waits(lanes.join(class as usize, now, waker));
        }
    }

    /// How the waiting of one ended, who gives up the spot thereby; if it has not, this wakes it when it
    /// does.
    pub(super) fn end_of(&self, spot: Spot, waker: &Waker) -> Option<End> {
        let mut lanes = lock(&self.lanes);
        let end = lanes.end_of(spot, waker);
        if end.is_some() {
            lanes.leave(spot);
        }
        end
    }

    /// Waits no longer. How its waiting had ended meanwhile, if it had.
    pub(super) fn stop_waiting(&self, spot: Spot) -> Option<End> {
        let mut lanes = lock(&self.lanes);
        let end = lanes.leave(spot);
        if end.is_none() {
            self.word.fetch_sub(Word::ONE_WAITS, Ordering::AcqRel);
        }
        end
    }

    /// Gives a place back, to whoever waits for it. How many were in flight, this one included.
    #[inline]
    pub(super) fn give_back(&self, now: impl FnOnce() -> Instant) -> u32 {
        let before = Word(self.word.fetch_sub(1, Ordering::AcqRel));
        if before.waiting() > 0 {
            self.serve(now());
        }
        before.in_flight()
    }

    /// Gives places to those who wait for them, the most critical first.
    #[cold]
    pub(super) fn serve(&self, now: Instant) {
        let mut called = Called::default();
        let mut lanes = lock(&self.lanes);
        self.shed(&mut lanes, now, &mut called);
        loop {
            let word = Word(self.word.load(Ordering::Relaxed));
            let may = |class: usize| u64::from(word.in_flight()) < self.limit_of(class);
            let Some(class) = lanes.next_class(may) else {
                break;
            };
            if self.change(word, word.0 + 1 - Word::ONE_WAITS).is_ok() {
                called.add(lanes.serve(class));
            }
        }
        drop(lanes);
        called.wake();
    }

    fn limit_of(&self, class: usize) -> u64 {
        self.limits
            .get(class)
            .map_or(0, |limit| limit.load(Ordering::Relaxed))
    }

    fn shed(&self, lanes: &mut Lanes, now: Instant, called: &mut Called) {
        lanes.look(now);
        while let Some(overdue) = lanes.shed_one(now) {
            self.word.fetch_sub(Word::ONE_WAITS, Ordering::AcqRel);
            called.add(Some(overdue));
        }
    }

    #[inline]
    fn change(&self, from: Word, to: u64) -> Result<(), Word> {
        self.word
            .compare_exchange(from.0, to, Ordering::AcqRel, Ordering::Relaxed)
            .map(drop)
            .map_err(Word)
    }
}
