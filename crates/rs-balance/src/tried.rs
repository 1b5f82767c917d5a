use std::sync::atomic::{AtomicU64, Ordering};

use rs_core::{Call, Striped};

/// Which endpoints the calls of the last time have tried, as far as is remembered.
///
/// A call is handed down by value and cannot bring back where it has been, so it is remembered here, under
/// its id. Two tables: what was picked lately, for hedges and quick retries; and what failed, which fills
/// more slowly and is kept for longer. Nothing is locked; what is overwritten is forgotten, and a call then
/// may meet the same endpoint again.
#[derive(Debug)]
pub(crate) struct Tried {
    /// For each of a few processors: threads that pick side by side would pass its lines to and fro.
    picked: Striped<Box<[AtomicU64; PICKED]>>,
    failed: Box<[AtomicU64]>,
}

const PICKED: usize = 1024;
const FAILED: usize = 256;
const WAYS: usize = 4;

/// Endpoints that a call should not meet again, by their numbers; 0 is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Avoid {
    numbers: [u32; Avoid::MOST],
    count: usize,
}

impl Avoid {
    /// More than any call asks in a pick, and tries.
    const MOST: usize = 24;

    pub(crate) const NOBODY: Self = Self {
        numbers: [0; Self::MOST],
        count: 0,
    };

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.count == 0
    }

    #[inline]
    pub(crate) fn has(&self, number: u32) -> bool {
        self.count > 0 && self.known().contains(&number)
    }

    /// These and those.
    pub(crate) fn and(mut self, others: &Self) -> Self {
        for number in others.known() {
            self.add(*number);
        }
        self
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.count == Self::MOST
    }

    /// Whether there are some that are not among the others.
    pub(crate) fn is_more_than(&self, others: &Self) -> bool {
        self.known().iter().any(|number| !others.has(*number))
    }

    pub(crate) fn known(&self) -> &[u32] {
        self.numbers.get(..self.count).unwrap_or_default()
    }

    pub(crate) fn add(&mut self, number: u32) {
        if number == 0 || self.has(number) {
            return;
        }
        if let Some(place) = self.numbers.get_mut(self.count) {
            *place = number;
            self.count += 1;
        }
    }
}

impl Tried {
    pub(crate) fn new() -> Self {
        Self {
            picked: Striped::at_most(8, || Box::new([const { AtomicU64::new(0) }; PICKED])),
            failed: (0..FAILED * WAYS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// The call goes to this endpoint.
    #[inline]
    pub(crate) fn picks(&self, call: u64, number: u32) {
        // The mask keeps the place inside.
        self.picked.local()[call as usize & (PICKED - 1)]
            .store(entry(call, number), Ordering::Relaxed);
    }

    /// The call did not get there what it wanted.
    #[cold]
    pub(crate) fn fails(&self, call: u64, number: u32) {
        let Some(places) = self.places(call) else {
            return;
        };
        let new = entry(call, number);
        let read = |place: &AtomicU64| place.load(Ordering::Relaxed);
        if places.iter().any(|place| read(place) == new) {
            return;
        }
        // The place of another call, if there is one; else that of the oldest attempt.
        let free = places.iter().find(|place| read(place) >> 32 != new >> 32);
        if let Some(place) = free.or(places.first()) {
            place.store(new, Ordering::Relaxed);
        }
    }

    /// Where this call should not go again.
    pub(crate) fn by(&self, call: &Call) -> Avoid {
        let mut avoid = Avoid::default();
        if is_first(call) {
            return avoid;
        }
        let call = call.id().get();
        let picked = self.picked.iter();
        let picked = picked.filter_map(|picked| picked.get(call as usize & (PICKED - 1)));
        for place in self.places(call).unwrap_or_default().iter().chain(picked) {
            let entry = place.load(Ordering::Relaxed);
            if entry >> 32 == call & 0xffff_ffff {
                avoid.add(entry as u32);
            }
        }
        avoid
    }

    fn places(&self, call: u64) -> Option<&[AtomicU64]> {
        let first = (call as usize & (FAILED - 1)) * WAYS;
        self.failed.get(first..first + WAYS)
    }
}

/// Whether the call cannot have tried anything.
#[inline]
pub(crate) const fn is_first(call: &Call) -> bool {
    call.attempt() <= 1 && call.hedge() == 0
}

const fn entry(call: u64, number: u32) -> u64 {
    call << 32 | number as u64
}
