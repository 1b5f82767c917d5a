use std::time::Duration;

use super::{Age, Results};
use crate::Window;

/// How the calls of the last so much time ended, in slices.
///
/// It reaches back over the slice that is being filled and the nineteen before it: over 95 to 100 % of
/// its span.
#[derive(Debug, Clone)]
pub(crate) struct TimeWindow {
    span: Duration,
    slices: Box<[Slice]>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slice {
    /// Which slice since the breaker was made; the place in the ring is this modulo its length.
    number: u64,
    results: Results,
}

impl TimeWindow {
    pub(crate) fn new(span: Duration) -> Self {
        Self {
            span,
            slices: vec![Slice::default(); Window::SLICES as usize].into(),
        }
    }

    pub(crate) const fn span(&self) -> Duration {
        self.span
    }

    pub(crate) fn clear(&mut self) {
        self.slices.fill(Slice::default());
    }

    /// These calls ended at that age. What is older than the window is left out.
    pub(crate) fn push(&mut self, age: Age, results: Results) {
        let number = self.number(age);
        let place = (number % self.length()) as usize;
        if let Some(slice) = self.slices.get_mut(place)
            && number >= slice.number
        {
            if number > slice.number {
                *slice = Slice {
                    number,
                    results: Results::default(),
                };
            }
            slice.results += results;
        }
    }

    /// How the calls within the span before that age ended.
    pub(crate) fn results(&self, age: Age) -> Results {
        let newest = self.number(age);
        let reached = |slice: &&Slice| slice.number + self.length() > newest;
        let mut sum = Results::default();
        for slice in self.slices.iter().filter(reached) {
            sum += slice.results;
        }
        sum
    }

    /// The results of another, as far as this one reaches back.
    pub(crate) fn take_over(&mut self, other: &Self) {
        self.clear();
        let mut slices: Vec<_> = other.slices.iter().collect();
        slices.sort_by_key(|slice| slice.number);
        let newest = slices.last().map_or(0, |slice| slice.number);
        let held = slices
            .into_iter()
            .filter(|slice| slice.number + other.length() > newest);
        for slice in held {
            let begin = other.begin(slice.number);
            // What ended long before the newest would only stand in the place of what is newer.
            if begin + self.span > other.begin(newest) {
                self.push(begin, slice.results);
            }
        }
    }

    /// How many slices there are.
    const fn length(&self) -> u64 {
        self.slices.len() as u64
    }

    fn slice_nanos(&self) -> u128 {
        (self.span / Window::SLICES).as_nanos().max(1)
    }

    fn number(&self, age: Age) -> u64 {
        u64::try_from(age.as_nanos() / self.slice_nanos()).unwrap_or(u64::MAX)
    }

    fn begin(&self, number: u64) -> Age {
        let nanos = self.slice_nanos() * u128::from(number);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}
