/// A moving average of times that believes the worst at once and the better slowly (peak EWMA), and when it
/// was last told something; in one word, so that it is read and changed as one.
///
/// The higher half is the average in seconds as a float, the lower the time in milliseconds. The word 0 is
/// an average of nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ewma(u64);

impl Ewma {
    pub(crate) const UNKNOWN: Self = Self(0);

    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    fn new(seconds: f32, at: u32) -> Self {
        // What was measured is never nothing.
        let seconds = seconds.max(1e-9);
        Self(u64::from(seconds.to_bits()) << 32 | u64::from(at))
    }

    pub(crate) const fn is_known(self) -> bool {
        self.0 != 0
    }

    /// Whether it still says something: what nobody has heard of for three decays may be quite another by now.
    /// Without this, one failure that counts as 5 s beside calls of a millisecond would keep an endpoint out for
    /// more than eight decays, with nobody finding out that it is well.
    #[inline]
    pub(crate) fn is_telling(self, now: u32, decay: f32) -> bool {
        let passed = now.wrapping_sub(self.0 as u32);
        self.is_known() && (passed as f32 <= 3.0 * decay || passed > u32::MAX / 2)
    }

    fn seconds(self) -> f32 {
        f32::from_bits((self.0 >> 32) as u32)
    }

    /// What is left of the average at this time: it sinks while nothing is heard.
    #[inline]
    pub(crate) fn at(self, now: u32, decay: f32) -> f32 {
        self.seconds() * self.left(now, decay)
    }

    /// How much of what was known counts at this time. Time that goes backwards is no time.
    #[inline]
    fn left(self, now: u32, decay: f32) -> f32 {
        let passed = now.wrapping_sub(self.0 as u32);
        if passed == 0 || passed > u32::MAX / 2 {
            return 1.0;
        }
        falling(passed as f32 / decay)
    }

    /// The average after one more call that took so many seconds.
    pub(crate) fn after(self, sample: f32, now: u32, decay: f32) -> Self {
        if !self.is_known() {
            return Self::new(sample, now);
        }
        let left = self.left(now, decay);
        let known = self.seconds();
        // Several calls within a millisecond still count.
        let weight = left.min(1.0 - 0.5 / decay.max(1.0));
        let average = if sample >= known * left {
            sample
        } else {
            known * weight + sample * (1.0 - weight)
        };
        Self::new(average, self.later(now))
    }

    fn later(self, now: u32) -> u32 {
        let known = self.0 as u32;
        if now.wrapping_sub(known) > u32::MAX / 2 {
            known
        } else {
            now
        }
    }
}

/// `exp(-x)`. Those who are called have been called just now: for little time a short sum is exact enough,
/// to the seventh digit, and takes a fraction of the time.
#[inline]
fn falling(x: f32) -> f32 {
    if x < 0.05 {
        1.0 - x * (1.0 - x * (0.5 - x * (1.0 / 6.0)))
    } else {
        (-x).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECAY: f32 = 10_000.0;

    fn ms(time: u16) -> f32 {
        f32::from(time) / 1000.0
    }

    #[test]
    fn a_peak_is_believed_at_once_and_forgotten_slowly() {
        let known = Ewma::UNKNOWN
            .after(ms(20), 0, DECAY)
            .after(ms(200), 100, DECAY);
        assert!((known.at(100, DECAY) - 0.2).abs() < 1e-6);
        let after = known.after(ms(20), 200, DECAY);
        assert!(
            after.at(200, DECAY) > 0.19,
            "one good call forgives little: {after:?}"
        );
        let later = known.at(100 + 30_000, DECAY);
        assert!(
            (0.009..0.011).contains(&later),
            "three decays later: {later}"
        );
    }

    #[test]
    fn after_three_decays_nothing_is_known() {
        let known = Ewma::UNKNOWN.after(5.0, 1_000, DECAY);
        assert!(known.is_telling(1_000, DECAY) && known.is_telling(31_000, DECAY));
        assert!(known.is_telling(500, DECAY), "heard of by somebody ahead");
        assert!(!known.is_telling(31_100, DECAY));
        assert!(!Ewma::UNKNOWN.is_telling(0, DECAY));
    }

    #[test]
    fn the_short_sum_is_exact_enough() {
        for step in 0..2000 {
            let x = step as f32 / 10_000.0;
            assert!((falling(x) - (-x).exp()).abs() < 1e-6, "{x}");
        }
    }

    #[test]
    fn time_that_goes_backwards_is_no_time() {
        let known = Ewma::UNKNOWN.after(ms(20), 1000, DECAY);
        assert_eq!(known.at(500, DECAY), 0.02);
        let after = known.after(ms(10), 500, DECAY);
        assert_eq!(after.at(1000, DECAY), after.seconds());
    }

    #[test]
    fn the_clock_may_wrap_around() {
        let known = Ewma::UNKNOWN.after(ms(20), u32::MAX - 10, DECAY);
        let later = known.at(9_989, DECAY);
        assert!((later / 0.02 - (-1.0_f32).exp()).abs() < 1e-3, "{later}");
    }
}
