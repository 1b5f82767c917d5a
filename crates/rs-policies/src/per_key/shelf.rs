//! The guards by key.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Keys on shelves, so that two of them seldom meet on a lock, and so that the idle are looked for on one
/// shelf at a time. Nothing that others wrote runs under a lock: guards are made, asked and dropped
/// outside.
pub(super) struct Shelves<G> {
    shelves: Box<[Shelf<G>]>,
    /// How many places are taken; never more than the limit.
    taken: AtomicUsize,
}

struct Shelf<G> {
    guards: RwLock<HashMap<u64, Arc<Kept<G>>, foldhash::fast::RandomState>>,
    /// When the idle were last looked for.
    looked: Mutex<Option<Instant>>,
}

/// The guard of a key.
pub(super) struct Kept<G> {
    pub(super) guard: G,
    /// Whether somebody has asked for it since the idle were last looked for.
    touched: AtomicBool,
    /// When that was last found so.
    seen: Mutex<Instant>,
}

impl<G> Kept<G> {
    /// Read before it is written: threads that ask for one key write seldom.
    fn touch(&self) {
        if !self.touched.load(Ordering::Relaxed) {
            self.touched.store(true, Ordering::Relaxed);
        }
    }

    /// Whether nobody has asked for it so long. Whoever has since the last look is noted down.
    fn is_idle(&self, now: Instant, idle: Duration) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if self.touched.swap(false, Ordering::Relaxed) {
            *seen = now;
        }
        now.saturating_duration_since(*seen) >= idle
    }
}

/// What came of a look for the idle.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Look {
    pub(super) at: usize,
    pub(super) gone: usize,
}

/// Threads that ask for different keys meet on one in so many; a power of two.
pub(super) const SHELVES: usize = 64;

impl<G> Shelves<G> {
    pub(super) fn new() -> Self {
        let shelf = |_| Shelf {
            guards: RwLock::default(),
            looked: Mutex::new(None),
        };
        Self {
            shelves: (0..SHELVES).map(shelf).collect(),
            taken: AtomicUsize::new(0),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    fn shelf(&self, key: u64) -> &Shelf<G> {
        // The mask keeps the index inside.
        &self.shelves[key as usize & (SHELVES - 1)]
    }

    pub(super) fn get(&self, key: u64) -> Option<Arc<Kept<G>>> {
        let guards = self.shelf(key).guards.read();
        let guards = guards.unwrap_or_else(PoisonError::into_inner);
        let kept = Arc::clone(guards.get(&key)?);
        drop(guards);
        kept.touch();
        Some(kept)
    }

    /// Keeps this guard for the key, unless another thread was first, whose guard it is then, or there is
    /// no room.
    pub(super) fn keep(
        &self,
        key: u64,
        guard: G,
        limit: usize,
        now: Instant,
    ) -> Option<Arc<Kept<G>>> {
        let made = Arc::new(Kept {
            guard,
            touched: AtomicBool::new(true),
            seen: Mutex::new(now),
        });
        let guards = self.shelf(key).guards.write();
        let mut guards = guards.unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = guards.get(&key) {
            // What was made for nothing is dropped after the lock.
            let kept = Arc::clone(kept);
            drop(guards);
            return Some(kept);
        }
        let more = |taken| (taken < limit).then_some(taken + 1);
        let taken = self
            .taken
            .try_update(Ordering::Relaxed, Ordering::Relaxed, more);
        let kept = taken.is_ok().then(|| Arc::clone(&made));
        if kept.is_some() {
            guards.insert(key, Arc::clone(&made));
        }
        drop(guards);
        kept
    }

    /// Looks for the idle on the shelf of this key, if nobody has for a while.
    pub(super) fn tidy_shelf(
        &self,
        key: u64,
        now: Instant,
        pause: Duration,
        idle: Duration,
        rests: impl Fn(&G) -> bool,
    ) -> Look {
        let shelf = self.shelf(key);
        // Whoever finds somebody at it goes on.
        let Ok(mut looked) = shelf.looked.try_lock() else {
            return Look::default();
        };
        let lately = |last: Instant| now.saturating_duration_since(last) < pause;
        if looked.is_some_and(lately) {
            return Look::default();
        }
        *looked = Some(now);
        drop(looked);
        self.tidy(shelf, now, idle, &rests)
    }

    /// Looks for the idle on all shelves. How many went.
    pub(super) fn tidy_all(
        &self,
        now: Instant,
        idle: Duration,
        rests: impl Fn(&G) -> bool,
    ) -> usize {
        let shelves = self.shelves.iter();
        shelves
            .map(|shelf| self.tidy(shelf, now, idle, &rests).gone)
            .sum()
    }

    fn tidy(
        &self,
        shelf: &Shelf<G>,
        now: Instant,
        idle: Duration,
        rests: &impl Fn(&G) -> bool,
    ) -> Look {
        let mut going = shelf.all();
        let at = going.len();
        going.retain(|(_, kept)| kept.is_idle(now, idle) && rests(&kept.guard));
        let guards = shelf.guards.write();
        let mut guards = guards.unwrap_or_else(PoisonError::into_inner);
        let before = guards.len();
        for (key, kept) in &going {
            // The shelf holds one and this list another: whoever has asked for it since holds a third, or
            // has touched it.
            let unused = Arc::strong_count(kept) == 2 && !kept.touched.load(Ordering::Relaxed);
            if unused && guards.get(key).is_some_and(|now| Arc::ptr_eq(now, kept)) {
                guards.remove(key);
            }
        }
        let gone = before - guards.len();
        self.taken.fetch_sub(gone, Ordering::Relaxed);
        drop(guards);
        Look { at, gone }
    }

    /// All guards, to be visited while no lock is held.
    pub(super) fn all(&self) -> Vec<Arc<Kept<G>>> {
        let shelves = self.shelves.iter();
        shelves
            .flat_map(|shelf| shelf.all().into_iter().map(|(_, kept)| kept))
            .collect()
    }
}

impl<G> Shelf<G> {
    fn all(&self) -> Vec<(u64, Arc<Kept<G>>)> {
        let guards = self.guards.read().unwrap_or_else(PoisonError::into_inner);
        let all = guards.iter();
        all.map(|(key, kept)| (*key, Arc::clone(kept))).collect()
    }
}
