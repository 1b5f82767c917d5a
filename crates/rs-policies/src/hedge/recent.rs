//! How long calls took lately.

use std::time::{Duration, Instant};

/// Counts times by size, those of the last minute: of the half of it that runs and of the one before.
///
/// Sizes are sixteenths of powers of two of a microsecond, so that what comes out is at most a
/// thirty-second off, whatever went in.
#[derive(Debug)]
pub(crate) struct Recent {
    running: Half,
    before: Half,
    begun: Instant,
}

#[derive(Debug)]
struct Half {
    counts: Box<[u32]>,
    total: u32,
}

impl Recent {
    /// Times are forgotten when they are older than this, and some of them after half of it.
    pub(crate) const WINDOW: Duration = Duration::from_secs(60);

    const HALF: Duration = Duration::from_secs(30);

    pub(crate) fn new(now: Instant) -> Self {
        Self {
            running: Half::new(),
            before: Half::new(),
            begun: now,
        }
    }

    /// Forgets what is old at `now`. Until when nothing else is.
    pub(crate) fn turn(&mut self, now: Instant) -> Instant {
        let age = now.saturating_duration_since(self.begun);
        if age >= Self::HALF {
            std::mem::swap(&mut self.running, &mut self.before);
            self.running.clear();
            if age >= Self::WINDOW {
                self.before.clear();
            }
            self.begun = now;
        }
        self.begun + Self::HALF
    }

    /// So many calls took this long.
    pub(crate) fn add(&mut self, time: Duration, calls: u32) {
        // More than these is enough for any quantile.
        let calls = calls.min(u32::MAX / 2 - self.running.total);
        let micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX);
        self.running.counts[place_of(micros)] += calls;
        self.running.total += calls;
    }

    /// How many are known.
    pub(crate) const fn total(&self) -> u32 {
        self.running.total + self.before.total
    }

    /// The time that this share of the calls took at most.
    pub(crate) fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = (f64::from(self.total()) * share).ceil().max(1.0);
        let mut counted = 0.0;
        let counts = self.running.counts.iter().zip(&self.before.counts);
        for (place, (running, before)) in counts.enumerate() {
            counted += f64::from(*running) + f64::from(*before);
            if counted >= wanted {
                return Some(middle_of(place));
            }
        }
        None
    }
}

impl Half {
    fn new() -> Self {
        Self {
            counts: vec![0; PLACES].into(),
            total: 0,
        }
    }

    fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
    }
}

/// Sixteen to each power of two.
const FINE: u32 = 4;
const PLACES: usize = ((u32::BITS - FINE + 1) << FINE) as usize;

/// Times below 16 µs have a place each.
const fn place_of(micros: u32) -> usize {
    if micros < 1 << FINE {
        return micros as usize;
    }
    let power = micros.ilog2() - FINE;
    // The leading one of the shifted time is the sixteen that this power is ahead of the one before.
    ((power << FINE) + (micros >> power)) as usize
}

fn middle_of(place: usize) -> Duration {
    let place = place as u64;
    if place < 1 << FINE {
        return Duration::from_micros(place);
    }
    let power = (place >> FINE) - 1;
    let first = ((place & 15) + 16) << power;
    Duration::from_nanos(first * 1000 + (1000 << power) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_follow_each_other_and_hold_their_middle() {
        let mut last = 0;
        for micros in (0..5000).chain([1 << 20, (1 << 20) + 70_000, u32::MAX]) {
            let place = place_of(micros);
            assert!(place >= last && place < PLACES, "{micros}");
            assert!(
                micros > 5000 || place <= last + 1,
                "{micros} leaves one out"
            );
            last = place;
            let (middle, exact) = (middle_of(place).as_secs_f64(), f64::from(micros) * 1e-6);
            assert!((middle - exact).abs() <= exact / 32.0 + 1e-9, "{micros}");
        }
        assert_eq!(place_of(u32::MAX), PLACES - 1);
    }
}
