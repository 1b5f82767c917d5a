use std::{
    fmt,
    time::{Duration, Instant},
};

use crate::{Clock, Measure, Name, humane};

/// Why a policy may refuse a call; declared once as a `static` by the policy's crate.
///
/// The code is a member of a small closed set, so it serves as a metric label.
///
/// ```
/// use rs_core::{Measure, Name, Reason, Unit};
///
/// static IN_FLIGHT: Measure = Measure::new("calls in flight", Unit::Count);
/// static FULL: Reason = Reason::new("bulkhead", "full").judging(&IN_FLIGHT);
///
/// let refused = FULL.reject(Name::of("payments")).because(32.0, 32.0);
/// assert_eq!(
///     refused.to_string(),
///     "bulkhead `payments` refused the call: full (calls in flight 32, limit 32)",
/// );
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Reason {
    policy: &'static str,
    code: &'static str,
    measure: Option<&'static Measure>,
}

impl Reason {
    /// A reason that this kind of policy may have.
    #[must_use]
    pub const fn new(policy: &'static str, code: &'static str) -> Self {
        Self {
            policy,
            code,
            measure: None,
        }
    }

    /// The same reason, decided by comparing this measure with a limit.
    #[must_use]
    pub const fn judging(mut self, measure: &'static Measure) -> Self {
        self.measure = Some(measure);
        self
    }

    /// The kind of policy: `breaker`, `bulkhead`.
    #[must_use]
    pub const fn policy(&self) -> &'static str {
        self.policy
    }

    /// The reason in a word or two: `open`, `full`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }

    /// What was compared with the limit, if anything was.
    #[must_use]
    pub const fn measure(&self) -> Option<&'static Measure> {
        self.measure
    }

    /// A rejection for this reason by the instance of that name.
    pub const fn reject(&'static self, instance: Name) -> Rejection {
        Rejection {
            reason: self,
            instance,
            observed: f64::NAN,
            limit: f64::NAN,
            generation: 0,
            retry_at: None,
        }
    }
}

/// A call was refused, and this is why: a rejection explains itself.
///
/// It is `Copy` and one cache line long, so that refusing costs no allocation.
#[derive(Clone, Copy)]
#[must_use = "a rejection that nobody hears explains nothing"]
pub struct Rejection {
    reason: &'static Reason,
    instance: Name,
    observed: f64,
    limit: f64,
    generation: u64,
    retry_at: Option<Instant>,
}

impl Rejection {
    /// The numbers that decided: what was observed, and the limit it was compared with, in the unit
    /// of the reason's measure.
    pub const fn because(mut self, observed: f64, limit: f64) -> Self {
        self.observed = observed;
        self.limit = limit;
        self
    }

    /// The generation of the state that refused.
    pub const fn in_generation(mut self, generation: u64) -> Self {
        self.generation = generation;
        self
    }

    /// From when on trying again can succeed. A moment, not a delay, so that refusing a call need not
    /// read the clock.
    pub const fn try_at(mut self, moment: Instant) -> Self {
        self.retry_at = Some(moment);
        self
    }

    /// Why.
    #[must_use]
    pub const fn reason(&self) -> &'static Reason {
        self.reason
    }

    /// Which instance refused.
    #[must_use]
    pub const fn instance(&self) -> Name {
        self.instance
    }

    /// What was observed, if the reason compares a measure with a limit.
    #[must_use]
    pub const fn observed(&self) -> Option<f64> {
        known(self.observed)
    }

    /// The limit that the observed value was compared with.
    #[must_use]
    pub const fn limit(&self) -> Option<f64> {
        known(self.limit)
    }

    /// The generation of the state that refused.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// From when on trying again can succeed, if that is known.
    #[must_use]
    pub const fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// How long after `now` trying again can succeed, if that is known.
    #[must_use]
    pub fn retry_after(&self, now: Instant) -> Option<Duration> {
        let moment = self.retry_at?;
        Some(moment.saturating_duration_since(now))
    }
}

const fn known(value: f64) -> Option<f64> {
    if value.is_nan() { None } else { Some(value) }
}

impl PartialEq for Rejection {
    fn eq(&self, other: &Self) -> bool {
        self.reason == other.reason
            && self.instance == other.instance
            && self.observed() == other.observed()
            && self.limit() == other.limit()
            && self.generation == other.generation
            && self.retry_at == other.retry_at
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("policy", &self.reason.policy)
            .field("reason", &self.reason.code)
            .field("instance", &self.instance)
            .field("observed", &self.observed())
            .field("limit", &self.limit())
            .field("generation", &self.generation)
            .field("retry_at", &self.retry_at)
            .finish()
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Reason { policy, code, .. } = self.reason;
        write!(f, "{policy} `{}` refused the call: {code}", self.instance)?;
        if let (Some(measure), Some(observed), Some(limit)) =
            (self.reason.measure, self.observed(), self.limit())
        {
            let (name, observed, limit) =
                (measure.name(), measure.show(observed), measure.show(limit));
            write!(f, " ({name} {observed}, limit {limit})")?;
        }
        if let Some(delay) = self.retry_after(Clock::default().now()) {
            write!(f, "; try again in {}", humane::show_duration(delay))?;
        }
        Ok(())
    }
}

impl std::error::Error for Rejection {}
