//! After how long a hedge is started.

use std::time::{Duration, Instant};

use rs_core::Striped;

use super::{HedgeConfig, HedgeDelay, recent::Recent};
use crate::sync::{AtomicU64, Mutex, Ordering, lock};

/// The delay in force, found without a lock, and what it follows from.
#[derive(Debug)]
pub(super) struct Pace {
    /// In nanoseconds.
    delay: AtomicU64,
    /// When it must be found anew, in nanoseconds after `origin`.
    until: AtomicU64,
    origin: Instant,
    /// Good answers that were there when they were first asked for.
    at_once: Striped<AtomicU64>,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    recent: Recent,
    /// Those at once that `recent` has.
    at_once: u64,
    /// Those that came since the quantile was looked up.
    fresh: u32,
}

/// No delay is known, so there are no hedges.
const UNKNOWN: u64 = u64::MAX;
/// It is as it was given: nothing is measured.
const FOREVER: u64 = u64::MAX;

impl Pace {
    pub(super) fn new(now: Instant, config: &HedgeConfig) -> Self {
        let pace = Self {
            delay: AtomicU64::new(UNKNOWN),
            until: AtomicU64::new(0),
            origin: now,
            at_once: Striped::new(|| AtomicU64::new(0)),
            known: Mutex::new(Known {
                recent: Recent::new(now),
                at_once: 0,
                fresh: 0,
            }),
        };
        pace.publish(now, config);
        pace
    }

    /// Goes by these rules from now on.
    pub(super) fn publish(&self, now: Instant, config: &HedgeConfig) {
        self.look(&mut lock(&self.known), now, config);
    }

    /// Whether answers are to be reported.
    #[inline]
    pub(super) fn measures(&self) -> bool {
        self.until.load(Ordering::Relaxed) != FOREVER
    }

    /// A good answer was there at once.
    #[inline]
    pub(super) fn add_at_once(&self) {
        self.at_once.local().fetch_add(1, Ordering::Relaxed);
    }

    /// A good answer took this long.
    pub(super) fn add(&self, now: Instant, time: Duration, config: impl FnOnce() -> HedgeConfig) {
        let mut known = lock(&self.known);
        let turns = known.recent.turn(now);
        self.take_those_at_once(&mut known);
        known.recent.add(time, 1);
        known.fresh = known.fresh.saturating_add(1);
        // A sixteenth more does not change much.
        if known.fresh >= known.recent.total() / 16 || self.is_over(now, turns) {
            self.look(&mut known, now, &config());
        }
    }

    /// After how long to start a hedge.
    pub(super) fn delay(
        &self,
        now: Instant,
        config: impl FnOnce() -> HedgeConfig,
    ) -> Option<Duration> {
        if self.since_origin(now) >= self.until.load(Ordering::Relaxed) {
            self.look(&mut lock(&self.known), now, &config());
        }
        self.last_delay()
    }

    /// The one that was last found.
    pub(super) fn last_delay(&self) -> Option<Duration> {
        let delay = self.delay.load(Ordering::Relaxed);
        (delay != UNKNOWN).then(|| Duration::from_nanos(delay))
    }

    fn look(&self, known: &mut Known, now: Instant, config: &HedgeConfig) {
        let (delay, until) = match config.delay() {
            HedgeDelay::Fixed(delay) => (Some(delay), FOREVER),
            HedgeDelay::Quantile(quantile) => {
                let turns = known.recent.turn(now);
                self.take_those_at_once(known);
                known.fresh = 0;
                let is_enough = known.recent.total() >= config.samples();
                let found = known.recent.quantile(quantile.get());
                let delay = found.filter(|_| is_enough);
                let delay = delay.map(|delay| delay.max(config.least_delay()));
                (delay, self.since_origin(turns))
            }
        };
        self.delay
            .store(delay.map_or(UNKNOWN, nanos), Ordering::Relaxed);
        self.until.store(until, Ordering::Relaxed);
    }

    fn take_those_at_once(&self, known: &mut Known) {
        let counted = self.at_once.iter().map(|one| one.load(Ordering::Relaxed));
        let counted: u64 = counted.sum();
        let more = u32::try_from(counted - known.at_once).unwrap_or(u32::MAX);
        known.at_once = counted;
        if more > 0 {
            known.recent.add(Duration::ZERO, more);
            known.fresh = known.fresh.saturating_add(more);
        }
    }

    /// Whether what is in force was found before the turn that ends then.
    fn is_over(&self, now: Instant, turns: Instant) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        self.since_origin(now) >= until || until < self.since_origin(turns)
    }

    fn since_origin(&self, moment: Instant) -> u64 {
        nanos(moment.saturating_duration_since(self.origin))
    }
}

fn nanos(time: Duration) -> u64 {
    // The highest number says something else.
    u64::try_from(time.as_nanos())
        .unwrap_or(u64::MAX)
        .min(u64::MAX - 1)
}
