mod open_time;
mod probing;
mod ramp;
mod registry;
mod trip;

pub use open_time::{OpenTime, Opening};
pub use probing::Probing;
pub use ramp::Ramp;
pub use registry::RegistryConfig;
pub use trip::{Span, Trip, Window};

use std::time::Duration;

use rs_core::{ConfigError, Enforcement, Share, config};

/// When a breaker opens, for how long, and how it comes back.
///
/// It is checked as a whole when a breaker takes it; one that is wrong is refused, and the error names
/// the field. The defaults suit a call to a service; see the table on the crate's page.
///
/// ```
/// use rs_breaker::{BreakerConfig, OpenTime, Trip, Window};
/// use std::time::Duration;
///
/// let config = BreakerConfig::default()
///     .with_trip([
///         Trip::consecutive_failures(8),
///         Trip::failure_rate("30%".parse()?, Window::time(Duration::from_secs(30))),
///     ])
///     .with_open_time(OpenTime::fixed(Duration::from_secs(15)));
/// config.check()?;
///
/// let wrong = BreakerConfig::default()
///     .with_trip([Trip::failure_rate("50%".parse()?, Window::last(10).after(50))]);
/// assert_eq!(
///     wrong.check().unwrap_err().to_string(),
///     "trip[0].minimum_calls: 50 is out of range; allowed: 1 to 10, the calls in the window",
/// );
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
pub struct BreakerConfig {
    pub(crate) trip: Vec<Trip>,
    pub(crate) open_time: OpenTime,
    pub(crate) probing: Probing,
    #[cfg_attr(feature = "serde", serde(with = "ramp::or_off"))]
    pub(crate) ramp: Option<Ramp>,
    pub(crate) timing: Timing,
    pub(crate) enforcement: Enforcement,
    pub(crate) advice: Advice,
}

/// Which calls are timed for the response times that a breaker shows.
///
/// Where a rule looks for slow calls, every call is timed anyway; this says which of them are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Timing {
    /// One in 64: reading the clock twice costs several times as much as the rest of the breaker.
    #[default]
    Sampled,
    /// Every call.
    Every,
    /// None, but those whose time comes with the result.
    Off,
}

impl Timing {
    /// One in so many calls is timed.
    pub(crate) const SAMPLE: u64 = 64;
}

/// How much a breaker listens to the other replicas of its service.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
pub struct Advice {
    pub(crate) quorum: Share,
    pub(crate) evidence: Share,
}

impl Advice {
    /// When at least this share of the replicas, two or more, has the breaker open, the minimum of
    /// calls and the number of consecutive failures shrink to this share of what they are.
    #[must_use]
    pub const fn of(quorum: Share, evidence: Share) -> Self {
        Self { quorum, evidence }
    }

    /// From which share of the replicas on.
    #[must_use]
    pub const fn quorum(&self) -> Share {
        self.quorum
    }

    /// A number of calls, shrunk.
    pub(crate) fn shrink(&self, calls: u32) -> u32 {
        ((f64::from(calls) * self.evidence.get()).ceil() as u32).max(1)
    }
}

impl Default for Advice {
    /// From half of the replicas on, a quarter of the evidence.
    fn default() -> Self {
        let share = |part| Share::of(part).unwrap_or(Share::ALL);
        Self::of(share(0.5), share(0.25))
    }
}

impl BreakerConfig {
    /// How many rules there may be.
    pub const MOST_RULES: usize = 8;

    /// Opens when any of these rules holds.
    #[must_use]
    pub fn with_trip(mut self, rules: impl IntoIterator<Item = Trip>) -> Self {
        self.trip = rules.into_iter().collect();
        self
    }

    /// Stays open this long.
    #[must_use]
    pub fn with_open_time(mut self, time: OpenTime) -> Self {
        self.open_time = time;
        self
    }

    /// Finds out like this whether the dependency is well again.
    #[must_use]
    pub const fn with_probing(mut self, probing: Probing) -> Self {
        self.probing = probing;
        self
    }

    /// Lets the calls come back like this; `None` lets all back at once.
    #[must_use]
    pub fn with_ramp(mut self, ramp: impl Into<Option<Ramp>>) -> Self {
        self.ramp = ramp.into();
        self
    }

    /// Times these calls.
    #[must_use]
    pub const fn with_timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Carries refusals out, only counts them, or does so for a share of the calls.
    #[must_use]
    pub const fn with_enforcement(mut self, enforcement: Enforcement) -> Self {
        self.enforcement = enforcement;
        self
    }

    /// Listens to the other replicas like this.
    #[must_use]
    pub const fn with_advice(mut self, advice: Advice) -> Self {
        self.advice = advice;
        self
    }

    /// The rules.
    #[must_use]
    pub fn trip(&self) -> &[Trip] {
        &self.trip
    }

    /// How long it stays open.
    #[must_use]
    pub const fn open_time(&self) -> &OpenTime {
        &self.open_time
    }

    /// How it probes.
    #[must_use]
    pub const fn probing(&self) -> Probing {
        self.probing
    }

    /// How the calls come back.
    #[must_use]
    pub const fn ramp(&self) -> Option<Ramp> {
        self.ramp
    }

    /// Whether refusals are carried out.
    #[must_use]
    pub const fn enforcement(&self) -> Enforcement {
        self.enforcement
    }

    /// How much it listens to the other replicas.
    #[must_use]
    pub const fn advice(&self) -> Advice {
        self.advice
    }

    /// Whether a breaker would take it.
    ///
    /// # Errors
    /// The field, its value and what is allowed.
    pub fn check(&self) -> Result<(), ConfigError> {
        config::in_range("trip", self.trip.len(), 1..=Self::MOST_RULES)?;
        for (place, rule) in self.trip.iter().enumerate() {
            let found = rule.check();
            found.map_err(|error| error.in_field(&format!("trip[{place}]")))?;
            if rule.slower_than().is_some() && rule.slower_than() != self.slower_than() {
                return Err(ConfigError::other(
                    "all rules must agree on what is slow: see `slower_than`",
                )
                .in_field(&format!("trip[{place}]")));
            }
        }
        let within = |field: &'static str| move |error: ConfigError| error.in_field(field);
        self.open_time.check().map_err(within("open_time"))?;
        self.probing.check().map_err(within("probing"))?;
        if let Some(ramp) = &self.ramp {
            ramp.check().map_err(within("ramp"))?;
        }
        for (field, share) in [
            ("advice.quorum", self.advice.quorum),
            ("advice.evidence", self.advice.evidence),
        ] {
            if share == Share::NONE {
                return Err(
                    ConfigError::out_of_range(share, "more than 0%, up to 100%").in_field(field)
                );
            }
        }
        Ok(())
    }

    /// What is slow, if a rule looks for it.
    pub(crate) fn slower_than(&self) -> Option<Duration> {
        self.trip.iter().find_map(Trip::slower_than)
    }

    /// How long a slice of the finest window of time is, if there is one.
    pub(crate) fn slice(&self) -> Option<Duration> {
        let times = self
            .trip
            .iter()
            .filter_map(|rule| match rule.window()?.span() {
                Span::Time(time) => Some(time / Window::SLICES),
                Span::Calls(_) => None,
            });
        times.min()
    }

    /// The share of the calls for which refusals are carried out.
    pub(crate) const fn enforced(&self) -> Share {
        match self.enforcement {
            Enforcement::Dark => Share::NONE,
            Enforcement::Partial(share) => share,
            _ => Share::ALL,
        }
    }
}

impl Default for BreakerConfig {
    fn default() -> Self {
        let half = Share::of(0.5).unwrap_or(Share::ALL);
        Self {
            trip: vec![Trip::failure_rate(half, Window::last(100))],
            open_time: OpenTime::default(),
            probing: Probing::default(),
            ramp: Some(Ramp::default()),
            timing: Timing::default(),
            enforcement: Enforcement::default(),
            advice: Advice::default(),
        }
    }
}
