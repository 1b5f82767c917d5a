//! One stage for all replicas: a record that they share, and what each has acknowledged of it.
//!
//! A step is taken in the record, and only when every replica has acknowledged the last one: when it stands there
//! and has no change under way that does not know of it. So two replicas are never further apart than one step.
//! A rollback is taken at once where it is decided, and written into the record when that can be reached.
//!
//! Whoever has not reached the record for most of a lease is cut off, and knows it by its own clock before the
//! others go on without it. What it does then is right wherever they stand; see [`crate::shared`].

#[cfg(feature = "redis")]
mod error;
mod member;
#[cfg(feature = "redis")]
mod redis;
mod report;
#[cfg_attr(
    not(feature = "redis"),
    expect(dead_code, reason = "nothing else keeps a record yet")
)]
mod store;

use std::{
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64 as Plain, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;

#[cfg(feature = "redis")]
pub use self::error::FleetError;
#[cfg(feature = "redis")]
pub use self::redis::{RedisFlags, RedisFleet};
pub use self::report::FleetReport;
pub(crate) use self::store::{Proposal, Refused, Seen, Standing, Store, Visit};
use crate::{state::Word, steps::Because};

/// A word that no migration has: there is no stage 7.
const NONE: u64 = u64::MAX;

/// What a migration knows of its fleet, if it is in one.
pub(crate) struct Membership {
    joined: OnceLock<Joined>,
    /// The word, settled or not, that all had acknowledged when last heard of.
    agreed: Plain,
    /// Until when the lease is good, in nanoseconds since the migration was made.
    until: Plain,
    known: tokio::sync::Mutex<Known>,
    heard: Mutex<Heard>,
    ordered: Mutex<Option<Waiting>>,
    pub(crate) woken: Notify,
}

pub(crate) struct Joined {
    pub(crate) store: Box<dyn Store>,
    pub(crate) replica: String,
    pub(crate) lease: Duration,
    pub(crate) every: Duration,
}

/// Where this replica stands by the record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub(crate) revision: u64,
    pub(crate) word: Word,
}

/// What the last visit brought.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard {
    pub(crate) live: u32,
    pub(crate) waiting: u32,
    pub(crate) lost: u32,
    pub(crate) revision: u64,
    /// Why it brought nothing.
    pub(crate) away: Option<String>,
    pub(crate) cut_off: bool,
}

/// An order that waits until it can be carried out.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) what: Ordered,
    pub(crate) because: Because,
    /// Where it stood then, settled or not: who has moved on meanwhile was not meant.
    pub(crate) at: u64,
    /// Since when, in nanoseconds since the migration was made.
    pub(crate) since: u64,
}

/// What was ordered where nobody can wait for the record.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ordered {
    Forward,
    Back,
    Share(u16),
    Release,
}

impl Membership {
    pub(crate) fn new(start: Word) -> Self {
        Self {
            joined: OnceLock::new(),
            agreed: Plain::new(NONE),
            until: Plain::new(0),
            known: tokio::sync::Mutex::new(Known {
                revision: 0,
                word: start,
            }),
            heard: Mutex::default(),
            ordered: Mutex::default(),
            woken: Notify::new(),
        }
    }

    pub(crate) fn joined(&self) -> Option<&Joined> {
        self.joined.get()
    }

    #[inline]
    pub(crate) fn is_joined(&self) -> bool {
        self.joined.get().is_some()
    }

    /// All have acknowledged that they stand here.
    pub(crate) fn agrees(&self, word: Word) -> bool {
        self.agreed.load(Ordering::Acquire) == word.bare()
    }

    /// The lease was good at this time, in nanoseconds since the migration was made.
    pub(crate) fn is_good(&self, elapsed: u64) -> bool {
        elapsed < self.until.load(Ordering::Acquire)
    }

    pub(crate) fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ordered(&self) -> MutexGuard<'_, Option<Waiting>> {
        self.ordered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does this when it next visits; `false` if there is something to do already.
    pub(crate) fn order(&self, order: Waiting) -> bool {
        let mut ordered = self.ordered();
        if ordered.is_some() {
            return false;
        }
        *ordered = Some(order);
        true
    }
}
