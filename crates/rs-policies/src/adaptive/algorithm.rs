use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use rs_core::ConfigError;

use super::{Aimd, Gradient, Vegas};

/// Finds how many calls may be in flight, one window of results after the other.
///
/// It is told what the last window showed and says what it would have the limit be. What it wishes for
/// is then kept within bounds that hold for all: the minimum and the maximum; no growth beyond what is
/// used; and a limit that is hardly used does not fall below the one it began with. It runs under a
/// lock, once in a window, and should not take long.
///
/// ```
/// use rs_policies::{AdaptiveConfig, AdaptiveLimit, Algorithm, FindLimit, Sample};
///
/// /// Halves when more was dropped than is tolerated, else stays.
/// struct Careful;
///
/// impl FindLimit for Careful {
///     fn next(&mut self, sample: &Sample) -> f64 {
///         if sample.is_overloaded { sample.limit / 2.0 } else { sample.limit }
///     }
/// }
///
/// let config = AdaptiveConfig::by(Algorithm::own("careful", || Careful));
/// let limit = AdaptiveLimit::new("search", config)?;
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
pub trait FindLimit: Send {
    /// What the limit should be after this window.
    fn next(&mut self, sample: &Sample) -> f64;

    /// Whether it compares with the time that a call takes when nobody is before it, which is then
    /// measured again and again. By default it does.
    fn compares_times(&self) -> bool {
        true
    }
}

/// What a window of results showed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// The end of the window.
    pub now: Instant,
    /// The limit that was in force.
    pub limit: f64,
    /// The most calls that were in flight.
    pub in_flight: u32,
    /// How many succeeded or were dropped.
    pub calls: u32,
    /// How many were dropped: they took too long, or the dependency asked for fewer.
    pub dropped: u32,
    /// Whether more were dropped than is tolerated.
    pub is_overloaded: bool,
    /// How long successes take, smoothed; `None` before the first.
    pub time: Option<Duration>,
    /// How long they take when nobody is before them, as last measured.
    pub unloaded: Option<Duration>,
}

impl Sample {
    /// How much longer calls take than unloaded ones, at least 1. Not known before both are.
    #[must_use]
    pub fn slowdown(&self) -> Option<f64> {
        let (time, unloaded) = (self.time?.as_secs_f64(), self.unloaded?.as_secs_f64());
        Some((time / unloaded.max(1e-9)).max(1.0))
    }
}

/// How the limit is found.
///
/// | | looks at | takes |
/// |---|---|---|
/// | [`Vegas`], the default | drops, and how many calls must be queueing | the fewest calls in the dependency's queue |
/// | [`Gradient`] | drops, and how much slower calls got | noisy times better, for a longer queue |
/// | [`Aimd`] | drops alone | any times, where the dependency refuses or time limits are tight |
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Algorithm {
    /// One more for each window without drops, a part less for one with.
    Aimd(Aimd),
    /// Keeps a few calls queueing.
    Vegas(Vegas),
    /// Follows the ratio of unloaded to present time.
    Gradient(Gradient),
    /// Somebody's own; see [`Algorithm::own`].
    #[cfg_attr(feature = "serde", serde(skip))]
    Own(OwnAlgorithm),
}

impl Algorithm {
    /// One that this makes, when the limit is made and when it is given other rules.
    #[must_use]
    pub fn own<F: FindLimit + 'static>(
        name: &'static str,
        make: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self {
        let make = Arc::new(move || Box::new(make()) as Box<dyn FindLimit>);
        Self::Own(OwnAlgorithm { name, make })
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Aimd(_) => "aimd",
            Self::Vegas(_) => "vegas",
            Self::Gradient(_) => "gradient",
            Self::Own(own) => own.name,
        }
    }

    pub(super) fn make(&self) -> Box<dyn FindLimit> {
        match self {
            Self::Aimd(aimd) => Box::new(*aimd),
            Self::Vegas(vegas) => Box::new(*vegas),
            Self::Gradient(gradient) => Box::new(*gradient),
            Self::Own(own) => (own.make)(),
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match self {
            Self::Aimd(aimd) => aimd.check(),
            Self::Vegas(vegas) => vegas.check(),
            Self::Gradient(gradient) => gradient.check(),
            Self::Own(_) => Ok(()),
        }
        .map_err(|error| error.in_field(self.name()))
    }
}

impl Default for Algorithm {
    fn default() -> Self {
        Self::Vegas(Vegas::default())
    }
}

/// An algorithm of somebody's own.
#[derive(Clone)]
pub struct OwnAlgorithm {
    name: &'static str,
    make: Arc<dyn Fn() -> Box<dyn FindLimit> + Send + Sync>,
}

impl PartialEq for OwnAlgorithm {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.make, &other.make)
    }
}

impl fmt::Debug for OwnAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OwnAlgorithm").field(&self.name).finish()
    }
}
