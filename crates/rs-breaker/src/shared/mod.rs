//! The breaker that all its handles share: the machine under a lock, and around it what lets calls go
//! in and out without that lock.
//!
//! - A call reads the gate, one word, and goes in. When it ends well, it counts itself on a tally and
//!   touches nothing else.
//! - A call that ends badly counts itself too, and then *tries* the lock. Whoever holds it has to look
//!   once more after letting it go, so nobody waits: see `settle.rs`.
//! - Whoever holds the lock takes what the tallies counted, tells the machine, and publishes what it has
//!   become: the tallies first, then the gate. So a call of a new generation finds tallies of its
//!   generation, and one of an old generation finds that it is late.

mod enter;
mod leave;
mod moment;
mod settle;

use std::{
    sync::{Arc, OnceLock, Weak},
    time::{Duration, Instant},
};

use rs_core::{Clock, Name, hash};
use rs_metrics::Observed;

use crate::{
    BreakerConfig, BreakerState,
    cause::nanos,
    gate::Gate,
    state::Machine,
    surroundings::Around,
    sync::{AtomicU64, Mutex, Ordering},
    tally::{Tag, Tallies, Tally},
    window::Results,
};

pub(crate) struct Shared {
    gate: AtomicU64,
    /// When time alone changes something, in nanoseconds since the origin.
    due: AtomicU64,
    /// Of even and of odd generations, so that whoever explains one does not meet the numbers of the next.
    numbers: [Numbers; 2],
    /// The share of the calls for which refusals are carried out, as bits of a float.
    enforced: AtomicU64,
    /// How long a slice of time is; zero if no rule asks.
    slice: AtomicU64,
    /// How many slices there are in 2^64 nanoseconds, so that a call need not divide.
    slices: AtomicU64,
    /// What is slow; the largest number if no rule asks.
    slower_than: AtomicU64,
    /// The longest delay that a server asked for since the failures were last looked at.
    hint: AtomicU64,
    tallies: Tallies,
    inner: Mutex<Inner>,
    /// When the supervisor has promised to come; belongs to its lock.
    pub(crate) promised: std::sync::atomic::AtomicU64,
    /// Its series are exported as long as it lives.
    pub(crate) observed_by: OnceLock<Box<[Observed]>>,
    origin: Instant,
    pub(crate) name: Name,
    pub(crate) around: Around,
    pub(crate) this: Weak<Self>,
}

/// What a refusal is explained by.
struct Numbers {
    /// When time alone changes something, in seconds and nanoseconds, so that a refusal need not divide.
    until: AtomicU64,
    /// What decided to refuse, as bits of floats.
    observed: AtomicU64,
    limit: AtomicU64,
}

impl Numbers {
    fn new() -> Self {
        Self {
            until: AtomicU64::new(0),
            observed: AtomicU64::new(0),
            limit: AtomicU64::new(0),
        }
    }
}

/// What the lock guards.
pub(crate) struct Inner {
    pub(crate) machine: Machine,
    /// All calls that ended and were counted, ever.
    pub(crate) ended: Results,
    /// What the tallies belong to.
    tag: Tag,
    generation: u64,
    slice: u64,
}

impl Shared {
    pub(crate) fn new(around: Around, name: Name, config: Arc<BreakerConfig>) -> Arc<Self> {
        let now = around.clock.now();
        let seed = match around.seed {
            Some(seed) => seed ^ hash::stable(name.as_str().as_bytes()),
            None => fastrand::u64(..),
        };
        let machine = Machine::new(config, now, seed);
        let tag = Tag::new(0, 0);
        Arc::new_cyclic(|this| {
            let shared = Self {
                gate: AtomicU64::new(0),
                due: AtomicU64::new(u64::MAX),
                numbers: [Numbers::new(), Numbers::new()],
                enforced: AtomicU64::new(0),
                slice: AtomicU64::new(0),
                slices: AtomicU64::new(0),
                slower_than: AtomicU64::new(u64::MAX),
                hint: AtomicU64::new(0),
                tallies: Tallies::new(tag),
                inner: Mutex::new(Inner {
                    machine,
                    ended: Results::default(),
                    tag,
                    generation: 0,
                    slice: 0,
                }),
                promised: std::sync::atomic::AtomicU64::new(u64::MAX),
                observed_by: OnceLock::new(),
                origin: now,
                name,
                around,
                this: Weak::clone(this),
            };
            shared.publish(&mut shared.lock(), now);
            shared
        })
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.around.clock
    }

    #[inline]
    const fn numbers(&self, generation: u64) -> &Numbers {
        let [even, odd] = &self.numbers;
        if generation.is_multiple_of(2) {
            even
        } else {
            odd
        }
    }

    fn gate(&self) -> Gate {
        Gate::from_bits(self.gate.load(Ordering::Acquire))
    }

    /// The state that calls saw last. Time may have ended it; nobody is told of that here.
    pub(crate) fn last_state(&self) -> BreakerState {
        self.gate().state()
    }

    /// The generation that calls saw last.
    pub(crate) fn last_generation(&self) -> u64 {
        self.gate().generation()
    }

    /// How much has happened here; asking changes nothing.
    pub(crate) fn activity(&self) -> u64 {
        let inner = self.lock();
        let activity = inner.ended.calls() + self.tallies.sum(Tally::activity);
        drop(inner);
        self.judge_leftovers();
        activity
    }

    /// The state, which time may have ended by now.
    pub(crate) fn state(&self) -> BreakerState {
        let gate = self.gate();
        if gate.has(Gate::DUE) {
            let now = self.clock().now();
            if self.age(now) >= self.due.load(Ordering::Relaxed) {
                self.tick(now);
            }
        }
        self.gate().state()
    }

    /// When the supervisor is to look again.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.at_age(self.due.load(Ordering::Relaxed))
    }

    /// The moment at which it has this age; none at the largest, which means never.
    pub(crate) fn at_age(&self, age: u64) -> Option<Instant> {
        (age < u64::MAX).then(|| self.origin + Duration::from_nanos(age))
    }

    pub(crate) fn age(&self, moment: Instant) -> u64 {
        nanos(moment.saturating_duration_since(self.origin))
    }

    pub(crate) const fn tallies(&self) -> &Tallies {
        &self.tallies
    }
}
