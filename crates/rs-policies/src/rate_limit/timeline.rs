//! Moments as numbers.

use std::{
    hash::{Hash, Hasher},
    sync::LazyLock,
    time::{Duration, Instant},
};

/// Sixteenths of a nanosecond since long before the timeline began: fine enough for a hundred million
/// tokens a second, and enough for thirty years.
pub(crate) type Ticks = u64;

/// A nanosecond.
pub(crate) const NANO: Ticks = 16;

/// Before this lies the time that a bucket which is full from the beginning takes to fill.
const BEGINNING: Ticks = 1 << 60;

/// Where ticks lie on the clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeline {
    beginning: Instant,
    /// What a moment's digits lack to its ticks, where they can be read.
    offset: Option<u64>,
}

impl Timeline {
    pub(crate) fn from(beginning: Instant) -> Self {
        Self {
            beginning,
            offset: CAN_BE_READ.then(|| BEGINNING.wrapping_sub(in_ticks(digits(beginning)))),
        }
    }

    #[inline(always)]
    pub(crate) fn ticks(self, moment: Instant) -> Ticks {
        match self.offset {
            Some(offset) => in_ticks(digits(moment)).wrapping_add(offset),
            None => {
                let since = moment.saturating_duration_since(self.beginning);
                BEGINNING.wrapping_add(in_ticks(nanos(since)))
            }
        }
    }

    /// The first moment that is not before this.
    pub(crate) fn moment(self, at: Ticks) -> Instant {
        let since = Duration::from_nanos(at.saturating_sub(BEGINNING).div_ceil(NANO));
        self.beginning.checked_add(since).unwrap_or(self.beginning)
    }
}

#[inline(always)]
const fn in_ticks(nanos: u64) -> Ticks {
    nanos.wrapping_mul(NANO)
}

/// What a u64 cannot say is later than anything.
fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The seconds and nanoseconds that a moment is made of, which it shows to a hasher alone.
///
/// The difference of two moments is a call into the standard library, and costs a third of all that an
/// admitted call costs beside the clock: 7 of 16 ns. What is read here was compared with it before anybody
/// relies on it.
#[inline(always)]
fn digits(moment: Instant) -> u64 {
    let mut digits = Digits::default();
    moment.hash(&mut digits);
    digits.finish()
}

#[derive(Default)]
struct Digits {
    seconds: u64,
    nanos: u32,
}

impl Hasher for Digits {
    #[inline(always)]
    fn write_i64(&mut self, seconds: i64) {
        self.write_u64(seconds as u64);
    }

    #[inline(always)]
    fn write_u64(&mut self, seconds: u64) {
        self.seconds = seconds;
    }

    #[inline(always)]
    fn write_u32(&mut self, nanos: u32) {
        self.nanos = nanos;
    }

    /// A moment that is made of something else shows that it cannot be read.
    fn write(&mut self, _bytes: &[u8]) {
        self.seconds = 0;
    }

    #[inline(always)]
    fn finish(&self) -> u64 {
        let seconds = self.seconds.wrapping_mul(1_000_000_000);
        seconds.wrapping_add(self.nanos.into())
    }
}

/// Whether moments are made of seconds and nanoseconds here: seen over a day, at steps that come to every
/// part of a second.
static CAN_BE_READ: LazyLock<bool> = LazyLock::new(|| {
    let first = rs_core::Clock::default().now();
    let steps = (0..100).map(|step| Duration::from_nanos(865_123_456_789) * step);
    steps.into_iter().all(|since| {
        let later = first.checked_add(since);
        later.is_some_and(|later| digits(later).wrapping_sub(digits(first)) == nanos(since))
    })
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_and_moments() {
        let beginning = rs_core::Clock::default().now();
        let fast = Timeline::from(beginning);
        let slow = Timeline {
            offset: None,
            ..fast
        };
        assert!(fast.offset.is_some(), "moments cannot be read: it is slow");
        for nanos in [0, 1, 999_999_999, 1_000_000_000, 1_000_000_001, 1 << 55] {
            let moment = beginning + Duration::from_nanos(nanos);
            let ticks = BEGINNING + nanos * NANO;
            assert_eq!((fast.ticks(moment), slow.ticks(moment)), (ticks, ticks));
            assert_eq!(fast.moment(ticks), moment);
            // A moment is never too early.
            assert_eq!(fast.moment(ticks - 1), moment);
            assert_eq!(fast.moment(ticks + 1), moment + Duration::from_nanos(1));
        }
        // A thread that read the clock before is not far back.
        let before = fast.ticks(beginning - Duration::from_nanos(1));
        assert!((BEGINNING - NANO..=BEGINNING).contains(&before));
    }
}
