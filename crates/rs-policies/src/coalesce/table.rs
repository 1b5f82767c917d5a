//! Which keys run.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    task::Waker,
};

use rs_core::{Name, RoutingKey};

use super::{
    CoalesceConfig,
    flight::{Flight, Heard},
};
use crate::queue::Ticket;

pub(super) type Key = (Name, RoutingKey);

/// Those that run, by key, and who waits for them. A key that runs alone has no flight: it costs no
/// allocation.
#[derive(Debug)]
pub(super) struct Table<R> {
    shards: Box<[Shard<R>]>,
    waiting: AtomicU32,
    /// How many keys may run in a shard, and how many calls may wait for each.
    keys: AtomicU32,
    followers: AtomicU32,
}

/// On cache lines of its own, so that threads meet only where their keys do.
#[derive(Debug)]
#[repr(align(128))]
struct Shard<R>(Mutex<Running<R>>);

type Running<R> = HashMap<Key, Option<Arc<Flight<R>>>, foldhash::fast::RandomState>;

impl<R> Shard<R> {
    fn lock(&self) -> MutexGuard<'_, Running<R>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What becomes of a call that has a key.
pub(super) enum Joined<'t, R> {
    Leads(Lead<'t, R>),
    Follows(Place<'t, R>),
    /// It could follow, but may not.
    Dark,
    /// There is no room.
    Crowded,
}

impl<R> Table<R> {
    const SHARDS: u32 = 16;

    pub(super) fn new() -> Self {
        Self {
            shards: (0..Self::SHARDS).map(|_| Shard(Mutex::default())).collect(),
            waiting: AtomicU32::new(0),
            keys: AtomicU32::new(0),
            followers: AtomicU32::new(0),
        }
    }

    /// There is room for so many from now on.
    pub(super) fn resize(&self, config: &CoalesceConfig) {
        let keys = config.keys().div_ceil(Self::SHARDS);
        self.keys.store(keys, Ordering::Relaxed);
        self.followers.store(config.followers(), Ordering::Relaxed);
    }

    /// How many keys run.
    pub(super) fn running(&self) -> u32 {
        let running = self.shards.iter().map(|shard| shard.lock().len());
        running.sum::<usize>() as u32
    }

    /// How many calls wait for them.
    pub(super) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    fn shard(&self, (_, key): &Key) -> MutexGuard<'_, Running<R>> {
        self.shards[key.get() as usize % self.shards.len()].lock()
    }

    pub(super) fn join(&self, key: Key, may_follow: bool, waker: &Waker) -> Joined<'_, R> {
        let mut shard = self.shard(&key);
        let is_full = shard.len() as u32 >= self.keys.load(Ordering::Relaxed);
        match shard.entry(key) {
            Entry::Vacant(_) if is_full => Joined::Crowded,
            Entry::Vacant(entry) => {
                entry.insert(None);
                Joined::Leads(Lead {
                    table: self,
                    key,
                    flight: None,
                    is_over: false,
                })
            }
            Entry::Occupied(_) if !may_follow => Joined::Dark,
            Entry::Occupied(mut entry) => {
                let flight = entry.get_mut();
                let flight = flight.get_or_insert_with(|| Arc::new(Flight::new()));
                let followers = self.followers.load(Ordering::Relaxed);
                let Some(ticket) = flight.join(waker, followers) else {
                    return Joined::Crowded;
                };
                self.waiting.fetch_add(1, Ordering::Relaxed);
                Joined::Follows(Place {
                    table: self,
                    key,
                    flight: Arc::clone(flight),
                    ticket: Some(ticket),
                })
            }
        }
    }

    /// Whoever comes from now on starts a run of its own. Those who wait for this one, if any do.
    fn close(&self, key: &Key, known: Option<Arc<Flight<R>>>) -> Option<Arc<Flight<R>>> {
        let mut shard = self.shard(key);
        if let Some(known) = &known
            && !is_running(&shard, key, known)
        {
            return Some(Arc::clone(known));
        }
        let flight = shard.remove(key).flatten();
        drop(shard);
        flight.filter(|flight| !flight.is_empty())
    }

    /// Whoever ran, or was to run, went away: another one runs, if any waits.
    fn hand_over(&self, key: &Key, known: Option<Arc<Flight<R>>>) {
        let mut shard = self.shard(key);
        let is_running = match &known {
            Some(known) => is_running(&shard, key, known),
            None => true,
        };
        let flight = known.or_else(|| shard.get(key).cloned().flatten());
        let heir = flight.and_then(|flight| flight.promote());
        if heir.is_none() && is_running {
            shard.remove(key);
        }
        drop(shard);
        if let Some(heir) = heir {
            heir.wake();
        }
    }
}

/// Whether this is what runs under that key: it may have been closed, and another have begun.
fn is_running<R>(shard: &Running<R>, key: &Key, flight: &Arc<Flight<R>>) -> bool {
    let running = shard.get(key).and_then(Option::as_ref);
    running.is_some_and(|running| Arc::ptr_eq(running, flight))
}

/// The one call of its key that runs. If it is dropped before it has an answer, another one runs.
#[derive(Debug)]
pub(super) struct Lead<'t, R> {
    table: &'t Table<R>,
    key: Key,
    /// Those it came from, if it waited before.
    flight: Option<Arc<Flight<R>>>,
    is_over: bool,
}

impl<R: Clone> Lead<'_, R> {
    /// This is the answer, for all who wait by now.
    pub(super) fn share(mut self, answer: &R) {
        self.flight = self.table.close(&self.key, self.flight.take());
        let Some(flight) = &self.flight else {
            self.is_over = true;
            return;
        };
        // The caller's own code, so outside of any lock; if it panics, one of those who wait runs.
        let answer = Arc::new(answer.clone());
        flight.decide(answer).into_iter().for_each(Waker::wake);
        self.is_over = true;
    }
}

impl<R> Drop for Lead<'_, R> {
    fn drop(&mut self) {
        if !self.is_over {
            self.table.hand_over(&self.key, self.flight.take());
        }
    }
}

/// A call that waits for the run of another.
#[derive(Debug)]
pub(super) struct Place<'t, R> {
    table: &'t Table<R>,
    key: Key,
    flight: Arc<Flight<R>>,
    /// None once it has heard.
    ticket: Option<Ticket>,
}

impl<'t, R> Place<'t, R> {
    pub(super) fn hear(&mut self, waker: &Waker) -> Heard<R> {
        let Some(ticket) = self.ticket else {
            return Heard::Nothing;
        };
        let heard = self.flight.hear(ticket, waker);
        if !matches!(heard, Heard::Nothing) {
            self.ticket = None;
            self.table.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        heard
    }

    /// It heard that it leads.
    pub(super) fn lead(&self) -> Lead<'t, R> {
        Lead {
            table: self.table,
            key: self.key,
            flight: Some(Arc::clone(&self.flight)),
            is_over: false,
        }
    }
}

impl<R> Drop for Place<'_, R> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else {
            return;
        };
        self.table.waiting.fetch_sub(1, Ordering::Relaxed);
        if self.flight.leave(ticket) {
            let flight = Arc::clone(&self.flight);
            self.table.hand_over(&self.key, Some(flight));
        }
    }
}
