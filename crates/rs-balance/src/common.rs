//! What the handle, the endpoints and the leases of a balancer share.

use std::{
    fmt,
    sync::atomic::{AtomicI64, AtomicU32, AtomicU64 as Plain},
    time::{Duration, Instant},
};

use rs_core::{Clock, Striped};
use tokio::sync::Notify;

use crate::{
    sync::{AtomicU64, Ordering},
    tried::Tried,
};

/// Nanoseconds since the balancer was made; [`NEVER`] is later than all.
pub(crate) type Nanos = u64;

pub(crate) const NEVER: Nanos = u64::MAX;

pub(crate) struct Common {
    /// The generation of the view that is in force, above a bit that says that something about an endpoint
    /// is to be looked at. Whoever picks reads it and nothing else of what is shared.
    version: AtomicU64,
    pub(crate) clock: Clock,
    epoch: Instant,
    pub(crate) tried: Tried,
    /// After so many failures in a row an endpoint is looked at; 0 is never.
    streak: AtomicU32,
    /// Of the latency average: in milliseconds, and as what a failure counts.
    decay: AtomicU32,
    penalty: Plain,
    /// How many tasks keep house.
    pub(crate) keepers: AtomicU32,
    pub(crate) news: Notify,
    /// What the endpoints counted that are gone: succeeded, failed, ignored, cancelled.
    pub(crate) retired: [Plain; 4],
    /// How many calls are in flight, as far as they are counted all together.
    flying: Striped<AtomicI64>,
    /// Where randomness comes from if it is to be repeated.
    pub(crate) seeded: Option<Plain>,
}

const ATTENTION: u64 = 1;

impl Common {
    pub(crate) fn new(clock: Clock, seed: Option<u64>) -> Self {
        Self {
            version: AtomicU64::new(0),
            epoch: clock.now(),
            clock,
            tried: Tried::new(),
            streak: AtomicU32::new(0),
            decay: AtomicU32::new(10_000),
            penalty: Plain::new(0),
            keepers: AtomicU32::new(0),
            news: Notify::new(),
            retired: Default::default(),
            flying: Striped::new(AtomicI64::default),
            seeded: seed.map(Plain::new),
        }
    }

    #[inline(never)]
    pub(crate) fn now(&self) -> Nanos {
        self.nanos(self.clock.now())
    }

    pub(crate) fn nanos(&self, moment: Instant) -> Nanos {
        nanos(moment.saturating_duration_since(self.epoch))
    }

    /// The moment; `None` if it never comes.
    pub(crate) fn moment(&self, at: Nanos) -> Option<Instant> {
        self.epoch.checked_add(Duration::from_nanos(at))
    }

    #[inline]
    pub(crate) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Something about an endpoint is to be looked at by the next who comes.
    #[cold]
    pub(crate) fn alarm(&self) {
        if self.version.fetch_or(ATTENTION, Ordering::AcqRel) & ATTENTION == 0 {
            self.news.notify_one();
        }
    }

    /// Looks now: what is to be looked at from now on is another alarm.
    pub(crate) fn calm(&self) {
        self.version.fetch_and(!ATTENTION, Ordering::AcqRel);
    }

    /// The view of this generation is in force, and can be fetched.
    pub(crate) fn publish(&self, generation: u64) {
        let mut version = self.version.load(Ordering::Relaxed);
        loop {
            let next = generation << 1 | version & ATTENTION;
            let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
            match self
                .version
                .compare_exchange(version, next, success, failure)
            {
                Ok(_) => return,
                Err(now) => version = now,
            }
        }
    }

    pub(crate) fn set_rules(&self, streak: u32, decay: Duration, penalty: Duration) {
        self.streak.store(streak, Ordering::Relaxed);
        let millis = u32::try_from(decay.as_millis()).unwrap_or(u32::MAX);
        self.decay.store(millis.max(1), Ordering::Relaxed);
        self.penalty.store(nanos(penalty), Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn streak(&self) -> u32 {
        self.streak.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn decay(&self) -> f32 {
        self.decay.load(Ordering::Relaxed) as f32
    }

    pub(crate) fn penalty(&self) -> Duration {
        Duration::from_nanos(self.penalty.load(Ordering::Relaxed))
    }

    /// How many calls are in flight, as far as they are counted all together.
    pub(crate) fn flying(&self) -> u64 {
        let flying = self
            .flying
            .iter()
            .map(|flying| flying.load(Ordering::Relaxed));
        u64::try_from(flying.sum::<i64>()).unwrap_or(0)
    }

    pub(crate) fn takes_off(&self) {
        self.flying.local().fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn lands(&self) {
        self.flying.local().fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn has_keeper(&self) -> bool {
        self.keepers.load(Ordering::Relaxed) > 0
    }
}

/// Whether somebody should look after something.
#[inline]
pub(crate) const fn is_alarmed(version: u64) -> bool {
    version & ATTENTION != 0
}

/// Whether the same view is in force.
#[inline]
pub(crate) const fn same_view(one: u64, other: u64) -> bool {
    one >> 1 == other >> 1
}

/// What endpoints' averages are kept by.
#[inline]
pub(crate) const fn millis(at: Nanos) -> u32 {
    (at / 1_000_000) as u32
}

pub(crate) fn nanos(time: Duration) -> Nanos {
    // In 64 bits: the clock is read twice for each call that is timed.
    let whole = time.as_secs().saturating_mul(1_000_000_000);
    whole.saturating_add(u64::from(time.subsec_nanos()))
}

impl fmt::Debug for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Common")
            .field("version", &self.version())
            .finish_non_exhaustive()
    }
}
