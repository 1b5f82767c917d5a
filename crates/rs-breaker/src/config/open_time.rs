use std::{fmt, sync::Arc, time::Duration};

use rs_core::{ConfigError, Share, config};

/// How long the breaker stays open before it lets probes through.
///
/// The time grows with each opening that follows another, up to a cap, and shrinks again while the
/// breaker stays closed. Jitter only ever lengthens it, so that a hundred replicas that opened
/// together do not probe together, and a delay that the server asked for is kept.
///
/// ```
/// use rs_breaker::OpenTime;
/// use std::time::Duration;
///
/// let seconds = Duration::from_secs;
/// let growing = OpenTime::exponential(seconds(5), seconds(300)).honouring_hints(seconds(600));
/// let steady = OpenTime::fixed(seconds(30)).with_jitter("0%".parse()?);
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct OpenTime {
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    first: Duration,
    #[cfg_attr(
        feature = "serde",
        serde(default, with = "rs_core::humane::duration::option")
    )]
    at_most: Option<Duration>,
    #[cfg_attr(feature = "serde", serde(default = "OpenTime::default_factor"))]
    factor: f64,
    #[cfg_attr(feature = "serde", serde(default = "OpenTime::default_jitter"))]
    jitter: Share,
    #[cfg_attr(
        feature = "serde",
        serde(
            default = "OpenTime::default_decay",
            with = "rs_core::humane::duration"
        )
    )]
    decays_every: Duration,
    #[cfg_attr(
        feature = "serde",
        serde(default, with = "rs_core::humane::duration::option")
    )]
    honour_hints_up_to: Option<Duration>,
    #[cfg_attr(feature = "serde", serde(skip))]
    decide: Option<Decide>,
}

type Decide = Arc<dyn Fn(&Opening) -> Duration + Send + Sync>;

/// What is known when the breaker opens, for a function that decides how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Opening {
    /// How often it opened before without having been well for long in between.
    pub relapses: u32,
    /// The delay that the server asked for in the failure that opened it.
    pub hint: Option<Duration>,
    /// The time that it would stay open by the other settings, without jitter.
    pub otherwise: Duration,
}

impl OpenTime {
    const LONGEST: Duration = Duration::from_secs(24 * 3600);

    /// Always this long.
    #[must_use]
    pub fn fixed(time: Duration) -> Self {
        Self {
            first: time,
            at_most: None,
            factor: Self::default_factor(),
            jitter: Self::default_jitter(),
            decays_every: Self::default_decay(),
            honour_hints_up_to: None,
            decide: None,
        }
    }

    /// This long at first, twice as long each time it opens again, up to a cap.
    #[must_use]
    pub fn exponential(first: Duration, at_most: Duration) -> Self {
        Self {
            at_most: Some(at_most),
            ..Self::fixed(first)
        }
    }

    /// Grows by this factor instead of two.
    #[must_use]
    pub const fn growing_by(mut self, factor: f64) -> Self {
        self.factor = factor;
        self
    }

    /// Lengthened by up to this share at random.
    #[must_use]
    pub const fn with_jitter(mut self, jitter: Share) -> Self {
        self.jitter = jitter;
        self
    }

    /// One step shorter again for each such time that the breaker was closed.
    #[must_use]
    pub const fn decaying_every(mut self, time: Duration) -> Self {
        self.decays_every = time;
        self
    }

    /// At least as long as the server asked for in the failure that opened the breaker
    /// (`Retry-After`), but not longer than this.
    #[must_use]
    pub const fn honouring_hints(mut self, at_most: Duration) -> Self {
        self.honour_hints_up_to = Some(at_most);
        self
    }

    /// As long as this function says, up to a day; jitter is added. It runs outside all locks; if it
    /// panics, the other settings decide.
    #[must_use]
    pub fn decided_by(
        mut self,
        decide: impl Fn(&Opening) -> Duration + Send + Sync + 'static,
    ) -> Self {
        self.decide = Some(Arc::new(decide));
        self
    }

    const fn default_factor() -> f64 {
        2.0
    }

    fn default_jitter() -> Share {
        Share::of(0.2).unwrap_or(Share::NONE)
    }

    const fn default_decay() -> Duration {
        Duration::from_secs(60)
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let allowed = Duration::from_millis(1)..=Self::LONGEST;
        config::time_in_range("first", self.first, allowed)?;
        if let Some(at_most) = self.at_most {
            config::time_in_range("at_most", at_most, self.first..=Self::LONGEST)?;
        }
        config::in_range("factor", self.factor, 1.0..=100.0)?;
        let allowed = Duration::from_millis(1)..=Self::LONGEST;
        config::time_in_range("decays_every", self.decays_every, allowed.clone())?;
        if let Some(longest) = self.honour_hints_up_to {
            config::time_in_range("honour_hints_up_to", longest, allowed)?;
        }
        Ok(())
    }

    /// The time for this opening, without jitter.
    pub(crate) fn time(&self, relapses: u32, hint: Option<Duration>) -> Duration {
        let grown = match self.at_most {
            None => self.first,
            Some(at_most) => {
                let steps = i32::try_from(relapses).unwrap_or(i32::MAX);
                let seconds = self.first.as_secs_f64() * self.factor.powi(steps);
                Duration::try_from_secs_f64(seconds).map_or(at_most, |time| time.min(at_most))
            }
        };
        match (hint, self.honour_hints_up_to) {
            (Some(hint), Some(longest)) => grown.max(hint.min(longest)),
            _ => grown,
        }
    }

    /// Lengthened by a part of the jitter, from 0 to 1.
    pub(crate) fn jittered(&self, time: Duration, part: f64) -> Duration {
        time.mul_f64(1.0 + self.jitter.get() * part)
    }

    /// The longest that any opening can last by these settings; `None` if a function decides.
    pub(crate) fn longest(&self) -> Option<Duration> {
        if self.decide.is_some() {
            return None;
        }
        let grown = self.at_most.unwrap_or(self.first);
        let hinted = self.honour_hints_up_to.unwrap_or_default();
        Some(self.jittered(grown.max(hinted), 1.0))
    }

    /// How many relapses are forgiven after so much time closed.
    pub(crate) fn forgiven(&self, closed_for: Duration) -> u32 {
        let steps = closed_for.as_nanos() / self.decays_every.as_nanos().max(1);
        u32::try_from(steps).unwrap_or(u32::MAX)
    }

    pub(crate) const fn decider(&self) -> Option<&Decide> {
        self.decide.as_ref()
    }

    /// What a function's answer is cut to.
    pub(crate) fn within_reason(time: Duration) -> Duration {
        time.min(Self::LONGEST)
    }
}

impl Default for OpenTime {
    /// 5 s, twice as long each time, up to 5 min; 20 % jitter, a step shorter for each minute closed.
    fn default() -> Self {
        Self::exponential(Duration::from_secs(5), Duration::from_secs(300))
    }
}

impl PartialEq for OpenTime {
    fn eq(&self, other: &Self) -> bool {
        let decide = match (&self.decide, &other.decide) {
            (None, None) => true,
            (Some(one), Some(two)) => Arc::ptr_eq(one, two),
            _ => false,
        };
        decide
            && self.first == other.first
            && self.at_most == other.at_most
            && self.factor == other.factor
            && self.jitter == other.jitter
            && self.decays_every == other.decays_every
            && self.honour_hints_up_to == other.honour_hints_up_to
    }
}

impl fmt::Debug for OpenTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenTime")
            .field("first", &self.first)
            .field("at_most", &self.at_most)
            .field("factor", &self.factor)
            .field("jitter", &self.jitter)
            .field("decays_every", &self.decays_every)
            .field("honour_hints_up_to", &self.honour_hints_up_to)
            .field("decided_by_function", &self.decide.is_some())
            .finish()
    }
}
