use std::time::Duration;

use rs_core::{ConfigError, config};

/// How a half-open breaker finds out whether the dependency is well again.
///
/// So many calls are let through, and so many of them must succeed. It is decided as soon as the rest
/// can no longer change it.
///
/// ```
/// use rs_breaker::Probing;
/// use std::time::Duration;
///
/// let careful = Probing::needing(8).of(10).at_once(2).with_lease(Duration::from_secs(5));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Probing {
    successes: u32,
    of: u32,
    #[cfg_attr(feature = "serde", serde(default = "Probing::default_at_once"))]
    at_once: u32,
    #[cfg_attr(
        feature = "serde",
        serde(default = "Probing::default_lease", with = "rs_core::humane::duration")
    )]
    lease: Duration,
}

impl Probing {
    /// This many probes must succeed, all of them unless [`Probing::of`] says otherwise.
    #[must_use]
    pub const fn needing(successes: u32) -> Self {
        Self {
            successes,
            of: successes,
            at_once: Self::default_at_once(),
            lease: Self::default_lease(),
        }
    }

    /// Out of this many.
    #[must_use]
    pub const fn of(mut self, probes: u32) -> Self {
        self.of = probes;
        self
    }

    /// At most this many at the same time.
    #[must_use]
    pub const fn at_once(mut self, probes: u32) -> Self {
        self.at_once = probes;
        self
    }

    /// A probe that has not ended after this time counts as failed, and another takes its place.
    #[must_use]
    pub const fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// How many must succeed.
    #[must_use]
    pub const fn successes(&self) -> u32 {
        self.successes
    }

    /// How many results decide.
    #[must_use]
    pub const fn probes(&self) -> u32 {
        self.of
    }

    /// How many there are at most at the same time.
    #[must_use]
    pub const fn places(&self) -> u32 {
        self.at_once
    }

    /// How long a probe may take.
    #[must_use]
    pub const fn lease(&self) -> Duration {
        self.lease
    }

    /// How many failures decide.
    pub(crate) const fn failures(&self) -> u32 {
        self.of - self.successes + 1
    }

    const fn default_at_once() -> u32 {
        3
    }

    const fn default_lease() -> Duration {
        Duration::from_secs(30)
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        config::in_range("of", self.of, 1..=10_000)?;
        config::in_range("successes", self.successes, 1..=self.of)?;
        config::in_range("at_once", self.at_once, 1..=1000)?;
        config::time_in_range(
            "lease",
            self.lease,
            Duration::from_millis(1)..=Duration::from_secs(24 * 3600),
        )?;
        Ok(())
    }
}

impl Default for Probing {
    /// Two of three, all three at the same time, 30 s each.
    fn default() -> Self {
        Self::needing(2).of(3)
    }
}
