//! What calls count as they end: where threads do not meet.

use std::{
    cell::Cell,
    sync::atomic::{AtomicU64, Ordering},
};

use fastrand::Rng;
use rs_core::{Criticality, Label, Striped, hash};

use super::{
    odds::{CLASSES, Came},
    window::Totals,
};
use crate::metrics::Class;

#[derive(Debug)]
pub(super) struct Tally {
    stripes: Striped<Stripe>,
    /// Of a generator that needs no lock: it counts, and what it counted is scattered. One for all, so
    /// that a run can be repeated on any thread; it is asked only while calls are refused.
    dice: AtomicU64,
}

#[derive(Debug, Default)]
struct Stripe {
    accepted: [AtomicU64; CLASSES],
    throttled: [AtomicU64; CLASSES],
    shed: [AtomicU64; CLASSES],
}

impl Tally {
    pub(super) fn new(mut dice: Rng) -> Self {
        Self {
            stripes: Striped::at_most(16, Stripe::default),
            dice: AtomicU64::new(dice.u64(..)),
        }
    }

    #[inline]
    pub(super) fn accepted(&self, class: Criticality) {
        self.stripes.local().accepted[class as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn throttled(&self, class: Criticality) {
        self.stripes.local().throttled[class as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn shed(&self, class: Criticality) {
        self.stripes.local().shed[class as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// A number below 2^32.
    pub(super) fn throw(&self) -> u64 {
        // SplitMix64: the golden ratio, and the hash scatters it.
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        hash::spread(self.dice.fetch_add(STEP, Ordering::Relaxed)) >> 32
    }

    /// Whether it is the turn of one in so many of a thread's calls.
    #[inline]
    pub(super) fn is_one_of(&self, many: u8) -> bool {
        thread_local! {
            static TURN: Cell<u8> = const { Cell::new(0) };
        }
        TURN.with(|turn| {
            turn.set(turn.get().wrapping_add(1));
            turn.get() % many == 0
        })
    }

    /// All that were ever counted.
    pub(super) fn totals(&self) -> Totals {
        let mut totals = [Came::default(); CLASSES];
        for stripe in self.stripes.iter() {
            let counts = stripe.accepted.iter().zip(&stripe.throttled);
            let counts = counts.zip(&stripe.shed).zip(&mut totals);
            for (((accepted, throttled), shed), total) in counts {
                let accepted = accepted.load(Ordering::Relaxed) as f64;
                let refused = throttled.load(Ordering::Relaxed) + shed.load(Ordering::Relaxed);
                total.accepts += accepted;
                total.requests += accepted + refused as f64;
            }
        }
        totals
    }

    pub(super) fn throttled_of(&self, class: Class) -> u64 {
        let of = |stripe: &Stripe| stripe.throttled[class.index()].load(Ordering::Relaxed);
        self.stripes.iter().map(of).sum()
    }
}
