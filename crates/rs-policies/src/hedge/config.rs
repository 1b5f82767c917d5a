use std::time::Duration;

use rs_core::{ConfigError, Enforcement, Share, config};
use rs_metrics::pattern::Checked;

/// When another attempt is started beside one that has not answered, and how many.
///
/// | | default |
/// |---|---|
/// | further attempts | 1 |
/// | delay of those that follow | as long again |
/// | a quantile is known | from 20 answers in the last minute on |
/// | least delay by a quantile | 1 ms |
///
/// ```
/// use rs_policies::HedgeConfig;
/// use std::time::Duration;
///
/// // One call in twenty gets a second attempt.
/// let tail = HedgeConfig::at_quantile("95%".parse()?).with_least_delay(Duration::from_millis(5));
/// let fixed = HedgeConfig::after(Duration::from_millis(80)).with_hedges(2);
/// tail.check()?;
/// fixed.check()?;
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct HedgeConfig {
    delay: HedgeDelay,
    #[cfg_attr(feature = "serde", serde(default = "one"))]
    hedges: u8,
    #[cfg_attr(feature = "serde", serde(default = "enough"))]
    samples: u32,
    #[cfg_attr(
        feature = "serde",
        serde(default = "least", with = "rs_core::humane::duration")
    )]
    least_delay: Duration,
    #[cfg_attr(feature = "serde", serde(default))]
    enforcement: Enforcement,
}

/// How long an attempt may take before another is started beside it.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[expect(
    clippy::exhaustive_enums,
    reason = "a delay is given or measured, nothing else"
)]
pub enum HedgeDelay {
    /// This long.
    Fixed(#[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))] Duration),
    /// As long as this share of the good answers of the last minute took at most.
    Quantile(Share),
}

const fn one() -> u8 {
    1
}

const fn enough() -> u32 {
    20
}

const fn least() -> Duration {
    HedgeConfig::LEAST
}

impl HedgeConfig {
    /// As many further attempts as a call may have.
    pub const MOST: u8 = 8;

    const LEAST: Duration = Duration::from_millis(1);
    const LONGEST: Duration = Duration::from_secs(3600);

    /// A further attempt after this long, from 1 ms to an hour.
    #[must_use]
    pub const fn after(delay: Duration) -> Self {
        Self::of(HedgeDelay::Fixed(delay))
    }

    /// A further attempt for the calls that take longer than this share of those before them, from 1% to
    /// 99.99%.
    ///
    /// As long as too few are known there is none.
    #[must_use]
    pub const fn at_quantile(quantile: Share) -> Self {
        Self::of(HedgeDelay::Quantile(quantile))
    }

    const fn of(delay: HedgeDelay) -> Self {
        Self {
            delay,
            hedges: one(),
            samples: enough(),
            least_delay: least(),
            enforcement: Enforcement::Full,
        }
    }

    /// Up to so many further attempts, each after as long again.
    #[must_use]
    pub const fn with_hedges(mut self, hedges: u8) -> Self {
        self.hedges = hedges;
        self
    }

    /// A quantile is not known from fewer answers than this in the last minute.
    #[must_use]
    pub const fn with_samples(mut self, samples: u32) -> Self {
        self.samples = samples;
        self
    }

    /// Never sooner than this, whatever the quantile says.
    #[must_use]
    pub const fn with_least_delay(mut self, delay: Duration) -> Self {
        self.least_delay = delay;
        self
    }

    /// Further attempts are only counted, or made for a share of the calls.
    #[must_use]
    pub const fn with_enforcement(mut self, enforcement: Enforcement) -> Self {
        self.enforcement = enforcement;
        self
    }

    /// How long an attempt may take.
    #[must_use]
    pub const fn delay(&self) -> HedgeDelay {
        self.delay
    }

    /// How many further attempts a call may have.
    #[must_use]
    pub const fn hedges(&self) -> u8 {
        self.hedges
    }

    /// How many answers make a quantile.
    #[must_use]
    pub const fn samples(&self) -> u32 {
        self.samples
    }

    /// The least delay by a quantile.
    #[must_use]
    pub const fn least_delay(&self) -> Duration {
        self.least_delay
    }

    /// Whether further attempts are made.
    #[must_use]
    pub const fn enforced(&self) -> Enforcement {
        self.enforcement
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// Which field is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let times = Self::LEAST..=Self::LONGEST;
        match self.delay {
            HedgeDelay::Fixed(delay) => {
                config::time_in_range("delay", delay, times.clone())?;
            }
            HedgeDelay::Quantile(quantile) => {
                config::in_range("delay", quantile.get(), 0.01..=0.9999)?;
            }
        }
        config::in_range("hedges", self.hedges, 1..=Self::MOST)?;
        config::in_range("samples", self.samples, 1..=1_000_000)?;
        config::time_in_range("least_delay", self.least_delay, times)?;
        Ok(())
    }
}

impl Checked for HedgeConfig {
    fn check(&self) -> Result<(), ConfigError> {
        Self::check(self)
    }
}
