use std::time::Duration;

use rs_core::{ConfigError, Enforcement, Rate, config};
use rs_metrics::pattern::Checked;

/// How many calls in a time, how many of them at once, and whether those beyond wait.
///
/// Two ways to say it. A rate with room for bursts, as those think of it who know GCRA, or a bucket that
/// is refilled, as those do who know token buckets. It is the same limit:
///
/// ```
/// use rs_policies::RateLimitConfig;
///
/// let spaced = RateLimitConfig::gcra("100/s".parse()?).with_burst(20);
/// let bucket = RateLimitConfig::bucket(20, "100/s".parse()?);
/// assert_eq!(spaced, bucket);
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
///
/// | | least | most | unless said otherwise |
/// |---|---|---|---|
/// | rate | one a day | 100 million a second | |
/// | burst | 1 | what the rate refills in a year, and a thousand million | 1 |
/// | longest wait | none | an hour | none: refuses at once |
/// | waiters | 1 | a million | 1000 |
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct RateLimitConfig {
    rate: Rate,
    #[cfg_attr(feature = "serde", serde(default = "one"))]
    burst: u32,
    #[cfg_attr(feature = "serde", serde(default, with = "rs_core::humane::duration"))]
    longest_wait: Duration,
    #[cfg_attr(feature = "serde", serde(default = "thousand"))]
    waiters: u32,
    #[cfg_attr(feature = "serde", serde(default))]
    enforcement: Enforcement,
}

#[cfg(feature = "serde")]
const fn one() -> u32 {
    1
}

const fn thousand() -> u32 {
    1000
}

impl RateLimitConfig {
    /// So many calls in a time, one after another: `100/s` is one every ten milliseconds.
    #[must_use]
    pub const fn gcra(rate: Rate) -> Self {
        Self::bucket(1, rate)
    }

    /// A bucket that holds so many tokens, is full at first, and is refilled at this rate. Each call takes
    /// one.
    #[must_use]
    pub const fn bucket(capacity: u32, refill: Rate) -> Self {
        Self {
            rate: refill,
            burst: capacity,
            longest_wait: Duration::ZERO,
            waiters: thousand(),
            enforcement: Enforcement::Full,
        }
    }

    /// So many calls may come at once when there were none for a while: in any time `t`, no more than
    /// `burst + rate × t`.
    #[must_use]
    pub const fn with_burst(mut self, burst: u32) -> Self {
        self.burst = burst;
        self
    }

    /// Calls that come too early wait for their turn, so long at most, and never past their deadline. With
    /// no time they are refused.
    #[must_use]
    pub const fn with_wait(mut self, longest: Duration) -> Self {
        self.longest_wait = longest;
        self
    }

    /// So many may wait at once.
    #[must_use]
    pub const fn with_waiters(mut self, most: u32) -> Self {
        self.waiters = most;
        self
    }

    /// Calls that come too early are only counted, or held up and refused for a share of them.
    #[must_use]
    pub const fn with_enforcement(mut self, enforcement: Enforcement) -> Self {
        self.enforcement = enforcement;
        self
    }

    /// How many calls in a time.
    #[must_use]
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// How many at once.
    #[must_use]
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// How long they may wait.
    #[must_use]
    pub const fn longest_wait(&self) -> Duration {
        self.longest_wait
    }

    /// How many may wait.
    #[must_use]
    pub const fn waiters(&self) -> u32 {
        self.waiters
    }

    /// Whether calls that come too early are held up.
    #[must_use]
    pub const fn enforced(&self) -> Enforcement {
        self.enforcement
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// Which field is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        const DAY: f64 = 86_400.0;
        let per_second = self.rate.per_second();
        if !(1.0 / DAY..=1e8).contains(&per_second) {
            let allowed = "1/1d to 100000000/s";
            return Err(ConfigError::out_of_range(self.rate, allowed).in_field("rate"));
        }
        let refilled = (per_second * 365.0 * DAY).min(1e9) as u32;
        config::in_range("burst", self.burst, 1..=refilled)?;
        let wait = Duration::ZERO..=Duration::from_secs(3600);
        config::time_in_range("longest_wait", self.longest_wait, wait)?;
        config::in_range("waiters", self.waiters, 1..=1_000_000)?;
        Ok(())
    }
}

impl Checked for RateLimitConfig {
    fn check(&self) -> Result<(), ConfigError> {
        Self::check(self)
    }
}
