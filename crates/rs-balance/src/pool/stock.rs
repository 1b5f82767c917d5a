//! The connections of an endpoint, as counts and a list: no clock, nobody who waits.

use std::{collections::VecDeque, time::Instant};

use super::{PoolConfig, metrics::Closed};

/// A connection that nobody uses.
#[derive(Debug)]
pub(crate) struct Idle<K> {
    pub(crate) connection: K,
    /// When it was made.
    pub(crate) made: Instant,
    /// Since when it lies idle.
    pub(crate) since: Instant,
}

/// Connections that are to be closed when nobody waits for it, and why.
pub(crate) type Leaving<K> = Vec<(K, Closed)>;

#[derive(Debug)]
pub(crate) struct Stock<K> {
    /// The last is the one that was used last.
    idle: VecDeque<Idle<K>>,
    /// How many places there are to be.
    size: usize,
    /// How many places calls have.
    taken: usize,
    /// How many places are to be given up as calls bring them back, because the pool became smaller.
    debt: usize,
    waiting: usize,
    closed: bool,
}

/// What becomes of a place that a call brings back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Somebody else may have it.
    Free,
    /// There are fewer now.
    GivenUp,
}

impl<K> Stock<K> {
    pub(crate) const fn new(size: usize) -> Self {
        Self {
            idle: VecDeque::new(),
            size,
            taken: 0,
            debt: 0,
            waiting: 0,
            closed: false,
        }
    }

    pub(crate) const fn taken(&self) -> usize {
        self.taken
    }

    pub(crate) const fn waiting(&self) -> usize {
        self.waiting
    }

    pub(crate) fn idle(&self) -> usize {
        self.idle.len()
    }

    /// A call has got a place.
    pub(crate) const fn take(&mut self) {
        self.taken += 1;
    }

    /// A call brings its place back.
    pub(crate) const fn leave(&mut self) -> Place {
        self.taken = self.taken.saturating_sub(1);
        if self.debt > 0 {
            self.debt -= 1;
            Place::GivenUp
        } else {
            Place::Free
        }
    }

    /// Whether one more may wait.
    pub(crate) const fn try_wait(&mut self, queue: usize) -> bool {
        let may = self.waiting < queue;
        if may {
            self.waiting += 1;
        }
        may
    }

    pub(crate) const fn stop_waiting(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
    }

    /// The connection that was used last, if one is neither too old nor lay idle for too long.
    pub(crate) fn pop(
        &mut self,
        now: Instant,
        config: &PoolConfig,
    ) -> (Option<Idle<K>>, Leaving<K>) {
        let mut leaving = self.expire_longest(now, config);
        while let Some(last) = self.idle.pop_back() {
            if !is_old(&last, now, config) {
                return (Some(last), leaving);
            }
            leaving.push((last.connection, Closed::Old));
        }
        (None, leaving)
    }

    /// A call that still has its place brings its connection back.
    pub(crate) fn push(&mut self, idle: Idle<K>, config: &PoolConfig) -> Leaving<K> {
        let now = idle.since;
        let why = if self.closed {
            Closed::Gone
        } else if is_old(&idle, now, config) {
            Closed::Old
        } else if self.idle.len() + self.taken > self.size {
            Closed::Surplus
        } else {
            self.idle.push_back(idle);
            return self.expire_longest(now, config);
        };
        vec![(idle.connection, why)]
    }

    /// Those that have lain too long: they are at the front.
    fn expire_longest(&mut self, now: Instant, config: &PoolConfig) -> Leaving<K> {
        let mut leaving = Vec::new();
        let lies_too_long =
            |idle: &Idle<K>| now.saturating_duration_since(idle.since) >= config.idle();
        while self.idle.front().is_some_and(lies_too_long) {
            let first = self.idle.pop_front();
            leaving.extend(first.map(|idle| (idle.connection, Closed::Idle)));
        }
        leaving
    }

    /// Those that have lain too long or are too old, wherever they lie.
    pub(crate) fn expire(&mut self, now: Instant, config: &PoolConfig) -> Leaving<K> {
        let mut leaving = self.expire_longest(now, config);
        if self.idle.iter().any(|idle| is_old(idle, now, config)) {
            let all = self.idle.drain(..);
            let (old, young): (VecDeque<_>, _) = all.partition(|idle| is_old(idle, now, config));
            self.idle = young;
            leaving.extend(old.into_iter().map(|idle| (idle.connection, Closed::Old)));
        }
        leaving
    }

    /// All that are idle.
    pub(crate) fn clear(&mut self, why: Closed) -> Leaving<K> {
        let all = self.idle.drain(..);
        all.map(|idle| (idle.connection, why)).collect()
    }

    /// The endpoint has gone: nothing comes back any more.
    pub(crate) fn close(&mut self) -> Leaving<K> {
        self.closed = true;
        self.clear(Closed::Gone)
    }

    /// There are to be so many places. How many there are more now; `forget` takes away so many of the free
    /// ones, or as many as there are, and says how many.
    pub(crate) fn resize(
        &mut self,
        size: usize,
        forget: impl FnOnce(usize) -> usize,
    ) -> (usize, Leaving<K>) {
        let (grown, shrunk) = (
            size.saturating_sub(self.size),
            self.size.saturating_sub(size),
        );
        self.size = size;
        let paid = grown.min(self.debt);
        self.debt -= paid;
        if shrunk > 0 {
            self.debt += shrunk.saturating_sub(forget(shrunk));
        }
        let surplus = (self.idle.len() + self.taken).saturating_sub(size);
        let leaving = self.idle.drain(..surplus.min(self.idle.len()));
        let leaving = leaving.map(|idle| (idle.connection, Closed::Surplus));
        (grown - paid, leaving.collect())
    }
}

fn is_old<K>(idle: &Idle<K>, now: Instant, config: &PoolConfig) -> bool {
    let age = now.saturating_duration_since(idle.made);
    config.lifetime().is_some_and(|lifetime| age >= lifetime)
}
