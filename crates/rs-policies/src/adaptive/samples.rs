//! What calls leave behind when they end, until a window of them is taken: where threads do not meet.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use rs_core::Striped;

/// Results since the last window was taken.
#[derive(Debug)]
pub(super) struct Samples(Striped<Stripe>);

#[derive(Debug, Default)]
struct Stripe {
    /// How many succeeded, and how long they took together: one word, so that they cannot part.
    times: AtomicU64,
    dropped: AtomicU64,
    in_flight: AtomicU64,
}

/// What was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Taken {
    pub(super) timed: u32,
    pub(super) micros: u64,
    pub(super) dropped: u32,
    pub(super) in_flight: u32,
}

const COUNT_AT: u32 = 48;
const ONE: u64 = 1 << COUNT_AT;
const MICROS: u64 = ONE - 1;
/// Room for as many threads as can add at the same time is left.
const MOST: u64 = 60_000;
/// So that as many together fit in 48 bits.
const LONGEST: u64 = 3_600_000_000;

impl Samples {
    pub(super) fn new() -> Self {
        Self(Striped::at_most(16, Stripe::default))
    }

    /// One that succeeded after so long, when so many were in flight.
    #[inline]
    pub(super) fn succeeded(&self, time: Duration, in_flight: u32) {
        let stripe = self.0.local();
        // A window that is not taken before it is full has heard enough.
        if stripe.times.load(Ordering::Relaxed) >> COUNT_AT < MOST {
            let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            let micros = (nanos / 1000).clamp(1, LONGEST);
            stripe.times.fetch_add(ONE + micros, Ordering::Relaxed);
        }
        stripe.saw(in_flight);
    }

    /// One that was dropped.
    pub(super) fn dropped(&self, in_flight: u32) {
        let stripe = self.0.local();
        stripe.dropped.fetch_add(1, Ordering::Relaxed);
        stripe.saw(in_flight);
    }

    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        let of = |stripe: &Stripe| {
            let timed = stripe.times.load(Ordering::Relaxed) >> COUNT_AT;
            timed + stripe.dropped.load(Ordering::Relaxed)
        };
        u32::try_from(self.0.iter().map(of).sum::<u64>()).unwrap_or(u32::MAX)
    }

    /// All of them; it is empty then.
    pub(super) fn take(&self) -> Taken {
        let mut all = Taken::default();
        for stripe in self.0.iter() {
            let times = stripe.times.swap(0, Ordering::Relaxed);
            let dropped = stripe.dropped.swap(0, Ordering::Relaxed);
            let in_flight = stripe.in_flight.swap(0, Ordering::Relaxed) as u32;
            all.timed += (times >> COUNT_AT) as u32;
            all.micros += times & MICROS;
            all.dropped = all
                .dropped
                .saturating_add(u32::try_from(dropped).unwrap_or(u32::MAX));
            all.in_flight = all.in_flight.max(in_flight);
        }
        all
    }
}

impl Stripe {
    #[inline]
    fn saw(&self, in_flight: u32) {
        // Most see no more than others before: they only read.
        if u64::from(in_flight) > self.in_flight.load(Ordering::Relaxed) {
            self.in_flight
                .fetch_max(in_flight.into(), Ordering::Relaxed);
        }
    }
}

impl Taken {
    /// How long successes took on average, in seconds.
    pub(super) fn mean(&self) -> f64 {
        match self.timed {
            0 => 0.0,
            timed => self.micros as f64 / 1e6 / f64::from(timed),
        }
    }
}
