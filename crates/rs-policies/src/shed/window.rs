//! What calls came to in the last while, in slices. Pure: the time and the totals are handed in.

use std::time::{Duration, Instant};

use super::odds::{CLASSES, Came};

const SLICES: usize = 24;

/// Totals that only grow, at some moment.
pub(super) type Totals = [Came; CLASSES];

#[derive(Debug)]
pub(super) struct Window {
    length: Duration,
    slices: [Totals; SLICES],
    /// The slice that was current when somebody last looked.
    newest: u64,
    origin: Instant,
    /// When somebody last looked, and the totals then.
    looked: Duration,
    totals: Totals,
}

impl Window {
    pub(super) fn new(length: Duration, origin: Instant) -> Self {
        Self {
            length,
            slices: [Totals::default(); SLICES],
            newest: 0,
            origin,
            looked: Duration::ZERO,
            totals: Totals::default(),
        }
    }

    /// By now there were so many; what is new is spread over the time since somebody last looked.
    pub(super) fn count(&mut self, now: Instant, totals: Totals) {
        let age = now.saturating_duration_since(self.origin).max(self.looked);
        let (from, since) = (self.looked, age - self.looked);
        let mut fresh = Totals::default();
        for ((fresh, total), known) in fresh.iter_mut().zip(totals).zip(self.totals) {
            fresh.requests = (total.requests - known.requests).max(0.0);
            fresh.accepts = (total.accepts - known.accepts).max(0.0);
        }
        self.advance(self.slice_of(age));
        (self.looked, self.totals) = (age, totals);
        if since.is_zero() {
            self.add(self.newest, &fresh, 1.0);
            return;
        }
        let oldest = self.newest.saturating_sub(SLICES as u64 - 1);
        for slice in self.slice_of(from).max(oldest)..=self.newest {
            let begin = self.begin_of(slice).max(from.as_secs_f64());
            let end = self.begin_of(slice + 1).min(age.as_secs_f64());
            self.add(slice, &fresh, (end - begin).max(0.0) / since.as_secs_f64());
        }
    }

    /// What there was in the window. The oldest slice is behind it in part, and counts for the rest.
    pub(super) fn came(&self) -> Totals {
        let age = self.looked.as_secs_f64();
        let gone = (age - self.begin_of(self.newest)) / self.slice_length();
        let oldest = (self.newest + 1) as usize % SLICES;
        let mut sum = Totals::default();
        for (number, slice) in self.slices.iter().enumerate() {
            let part = if number == oldest { 1.0 - gone } else { 1.0 };
            for (sum, class) in sum.iter_mut().zip(slice) {
                sum.requests += part * class.requests;
                sum.accepts += part * class.accepts;
            }
        }
        sum
    }

    /// Of another length from now on: what is known is put where it belongs then.
    pub(super) fn resize(&mut self, length: Duration) {
        if length == self.length {
            return;
        }
        let before = std::mem::replace(self, Self::new(length, self.origin));
        (self.looked, self.totals) = (before.looked, before.totals);
        self.newest = self.slice_of(before.looked);
        let oldest = before.newest.saturating_sub(SLICES as u64 - 1);
        let kept_from = self.newest.saturating_sub(SLICES as u64 - 1);
        for number in oldest..=before.newest {
            let slice = before.slices[number as usize % SLICES];
            let middle = before.begin_of(number) + before.slice_length() / 2.0;
            let middle = middle.min(before.looked.as_secs_f64());
            let place = self.slice_of(Duration::try_from_secs_f64(middle).unwrap_or_default());
            if place >= kept_from {
                self.add(place, &slice, 1.0);
            }
        }
    }

    fn advance(&mut self, to: u64) {
        let steps = to.saturating_sub(self.newest).min(SLICES as u64);
        for step in 0..steps {
            self.slices[(to - step) as usize % SLICES] = Totals::default();
        }
        self.newest = self.newest.max(to);
    }

    fn add(&mut self, slice: u64, fresh: &Totals, part: f64) {
        let slice = &mut self.slices[slice as usize % SLICES];
        for (known, fresh) in slice.iter_mut().zip(fresh) {
            known.requests += part * fresh.requests;
            known.accepts += part * fresh.accepts;
        }
    }

    /// One slice more than fits is kept, of which a part is behind the window.
    fn slice_length(&self) -> f64 {
        self.length.as_secs_f64() / (SLICES - 1) as f64
    }

    fn begin_of(&self, slice: u64) -> f64 {
        slice as f64 * self.slice_length()
    }

    fn slice_of(&self, age: Duration) -> u64 {
        (age.as_secs_f64() / self.slice_length()) as u64
    }
}
