//! How many tokens there are, in one word.
//!
//! The word is the moment at which the bucket was empty, or will be once everything that was promised has
//! been taken. A token needs an interval of time to drip in, so whoever takes some moves the word by as
//! many intervals, and has them if it is not later than now. A full bucket was empty as long ago as it
//! takes to fill. That is GCRA, whose theoretical arrival time is this moment and the time to fill it; it
//! is also the token bucket, whose level is the time since this moment.
//!
//! Kept so, the word needs no change when the bucket becomes larger or smaller, and it is itself the
//! moment at which a call that was refused can have its tokens.

use super::{
    RateLimitConfig,
    timeline::{NANO, Ticks},
};
use crate::sync::{AtomicU64, Mutex, Ordering, fence, lock};

/// How fast tokens come, and how many there are at most, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// From one token to the next.
    interval: Ticks,
    /// For all that it holds.
    depth: Ticks,
}

impl Pace {
    /// Rounded so that there is never more than the rate.
    pub(crate) fn of(config: &RateLimitConfig) -> Self {
        let rate = config.rate();
        let ticks = rate.time().as_nanos() as f64 * NANO as f64;
        let interval = (ticks / rate.count()).ceil() as u64;
        Self {
            interval,
            depth: interval.saturating_mul(config.burst().into()),
        }
    }
}

/// On a cache line of its own, so that two threads which take tokens fetch one line from each other and
/// find everything else where it was.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Bucket {
    empty_at: AtomicU64,
    interval: AtomicU64,
    depth: AtomicU64,
    /// Held while the pace changes.
    changing: Mutex<()>,
}

/// What stands in the word while the pace changes: later than anything.
const CHANGING: Ticks = Ticks::MAX;

/// Tokens that will be there at a later moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reservation {
    pub(crate) at: Ticks,
    price: Ticks,
    interval: Ticks,
}

/// What came of asking for tokens that may come later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// They were there.
    Taken,
    /// They will be.
    Reserved(Reservation),
    /// They would come too late, and nothing was taken.
    Late(Ticks),
}

impl Bucket {
    /// A full one.
    pub(crate) fn new(pace: Pace) -> Self {
        Self {
            empty_at: AtomicU64::new(0),
            interval: AtomicU64::new(pace.interval),
            depth: AtomicU64::new(pace.depth),
            changing: Mutex::new(()),
        }
    }

    /// Takes so many tokens if they are there; else when they will be.
    #[inline(always)]
    pub(crate) fn take(&self, now: Ticks, cost: u32) -> Result<(), Ticks> {
        self.take_until(now, cost, now).map(drop)
    }

    /// Takes so many tokens, also those that come until `latest`, for whoever waits for them.
    pub(crate) fn reserve(&self, now: Ticks, cost: u32, latest: Ticks) -> Asked {
        match self.take_until(now, cost, latest) {
            Ok(reservation) if reservation.at <= now => Asked::Taken,
            Ok(reservation) => Asked::Reserved(reservation),
            Err(at) => Asked::Late(at),
        }
    }

    #[inline(always)]
    fn take_until(&self, now: Ticks, cost: u32, latest: Ticks) -> Result<Reservation, Ticks> {
        let mut empty_at = self.empty_at.load(Ordering::Acquire);
        loop {
            let interval = self.interval.load(Ordering::Relaxed);
            let full = now.saturating_sub(self.depth.load(Ordering::Relaxed));
            let price = interval.saturating_mul(cost.into());
            let at = empty_at.max(full).saturating_add(price);
            if at > latest {
                // The pace may be of another word than this; a call is not refused for that.
                fence(Ordering::Acquire);
                let current = self.word();
                if current == empty_at {
                    return Err(at);
                }
                empty_at = current;
                continue;
            }
            // Whoever read the pace of another word than this does not change it.
            match self.exchange(empty_at, at) {
                Ok(_) => {
                    return Ok(Reservation {
                        at,
                        price,
                        interval,
                    });
                }
                Err(current) => empty_at = current,
            }
        }
    }

    /// Gives back what was reserved, if nobody has taken any since. Whether it could.
    pub(crate) fn give_back(&self, reservation: Reservation) -> bool {
        let Reservation {
            at,
            price,
            interval,
        } = reservation;
        self.interval.load(Ordering::Relaxed) == interval && self.exchange(at, at - price).is_ok()
    }

    /// Whether it can ever hold so many.
    pub(crate) fn holds(&self, cost: u32) -> bool {
        let price = self.interval.load(Ordering::Relaxed);
        price.saturating_mul(cost.into()) <= self.depth.load(Ordering::Relaxed)
    }

    /// How many tokens there are; less than none if some are promised that are still to come.
    pub(crate) fn level(&self, now: Ticks) -> f64 {
        let empty_at = self.word();
        let (interval, depth) = (
            self.interval.load(Ordering::Relaxed),
            self.depth.load(Ordering::Relaxed),
        );
        let level = if empty_at > now {
            -((empty_at - now) as f64)
        } else {
            (now - empty_at).min(depth) as f64
        };
        level / interval as f64
    }

    pub(crate) fn is_full(&self, now: Ticks) -> bool {
        self.word() <= now.saturating_sub(self.depth.load(Ordering::Relaxed))
    }

    /// Takes another pace, read where nobody else changes it. The tokens that are there stay, as far as
    /// there is room for them, and so do those that are owed; none are added.
    pub(crate) fn change(&self, now: Ticks, pace: impl FnOnce() -> Pace) {
        let changing = lock(&self.changing);
        let pace = pace();
        let before = Pace {
            interval: self.interval.load(Ordering::Relaxed),
            depth: self.depth.load(Ordering::Relaxed),
        };
        // Nobody else writes this value, and nobody who finds it goes on.
        let empty_at = self.empty_at.swap(CHANGING, Ordering::AcqRel);
        let after = if empty_at > now {
            let owed = scaled(empty_at - now, pace, before).saturating_add(1);
            now.saturating_add(owed).min(CHANGING - 1)
        } else {
            let level = (now - empty_at).min(before.depth);
            now.saturating_sub(scaled(level, pace, before))
        };
        // Whoever reads one of them and then the word again finds that it has changed.
        self.interval.store(pace.interval, Ordering::Release);
        self.depth.store(pace.depth, Ordering::Release);
        self.empty_at.store(after, Ordering::Release);
        drop(changing);
    }

    #[inline]
    fn exchange(&self, from: Ticks, to: Ticks) -> Result<Ticks, Ticks> {
        self.empty_at
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire)
    }

    fn word(&self) -> Ticks {
        match self.empty_at.load(Ordering::Acquire) {
            CHANGING => self.changed(),
            empty_at => empty_at,
        }
    }

    /// The word once the pace has changed.
    #[cold]
    fn changed(&self) -> Ticks {
        drop(lock(&self.changing));
        self.empty_at.load(Ordering::Acquire)
    }
}

/// As many tokens in another pace, rounded down.
fn scaled(ticks: Ticks, to: Pace, from: Pace) -> Ticks {
    let scaled = u128::from(ticks) * u128::from(to.interval) / u128::from(from.interval.max(1));
    u64::try_from(scaled).unwrap_or(Ticks::MAX)
}
