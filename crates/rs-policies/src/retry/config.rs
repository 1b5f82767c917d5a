use std::{fmt, sync::Arc, time::Duration};

use rs_core::{ConfigError, config};
use rs_metrics::pattern::Checked;

use super::Retrying;
use crate::Backoff;

/// How often to try, and how long to wait in between.
///
/// | | default |
/// |---|---|
/// | attempts | 3, the first included |
/// | waits | 100 ms, doubling up to 10 s, full jitter |
/// | total time | as the call's deadline says |
/// | a server's own wish | respected up to 30 s |
/// | refusals by a guard inside | not tried again |
/// | attempts that a time limit ended | tried again if the call is safe to repeat |
///
/// ```
/// use rs_policies::{Backoff, RetryConfig};
/// use std::time::Duration;
///
/// // At once, then after 1 s, 2 s, 4 s and 8 s.
/// let plan = RetryConfig::new(6, Backoff::exponential(Duration::from_secs(1)).at_most(Duration::from_secs(8)).at_once_first());
/// ```
#[derive(Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
pub struct RetryConfig {
    attempts: u32,
    backoff: Backoff,
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration::option"))]
    total_time: Option<Duration>,
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    honour_hints_up_to: Duration,
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    shortest_attempt: Duration,
    rejections: bool,
    timeouts: bool,
    #[cfg_attr(feature = "serde", serde(skip))]
    condition: Option<Condition>,
}

type Condition = Arc<dyn Fn(&Retrying<'_>) -> bool + Send + Sync>;

impl RetryConfig {
    /// So many attempts, the first included, with these waits in between.
    #[must_use]
    pub fn new(attempts: u32, backoff: Backoff) -> Self {
        Self {
            attempts,
            backoff,
            ..Self::default()
        }
    }

    /// So many attempts, the first included.
    #[must_use]
    pub const fn with_attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// With these waits in between.
    #[must_use]
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// No attempt begins later than this after the first one.
    #[must_use]
    pub const fn with_total_time(mut self, time: Duration) -> Self {
        self.total_time = Some(time);
        self
    }

    /// Waits as long as the server asks for, if that is longer than it would wait anyway, up to this.
    #[must_use]
    pub const fn honouring_hints_up_to(mut self, longest: Duration) -> Self {
        self.honour_hints_up_to = longest;
        self
    }

    /// An attempt needs at least this long: where less is left, it is not begun.
    #[must_use]
    pub const fn with_shortest_attempt(mut self, time: Duration) -> Self {
        self.shortest_attempt = time;
        self
    }

    /// Tries again, too, what a guard inside refused, when the guard says that it can succeed. An open
    /// breaker is there to keep calls away: think twice.
    #[must_use]
    pub const fn retrying_rejections(mut self) -> Self {
        self.rejections = true;
        self
    }

    /// Tries again what a time limit ended even if the call is not known to be safe to repeat: it may
    /// take effect twice.
    #[must_use]
    pub const fn repeating_timeouts(mut self) -> Self {
        self.timeouts = true;
        self
    }

    /// Asks this before each further attempt, and hears of it thereby. One that panics says no.
    #[must_use]
    pub fn with_condition(
        mut self,
        condition: impl Fn(&Retrying<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.condition = Some(Arc::new(condition));
        self
    }

    /// How many attempts, the first included.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The waits.
    #[must_use]
    pub const fn backoff(&self) -> &Backoff {
        &self.backoff
    }

    /// How long after the first attempt others may begin.
    #[must_use]
    pub const fn total_time(&self) -> Option<Duration> {
        self.total_time
    }

    /// How long a server may ask it to wait.
    #[must_use]
    pub const fn longest_hint(&self) -> Duration {
        self.honour_hints_up_to
    }

    pub(super) const fn shortest_attempt(&self) -> Duration {
        self.shortest_attempt
    }

    pub(super) const fn retries_rejections(&self) -> bool {
        self.rejections
    }

    pub(crate) const fn repeats_timeouts(&self) -> bool {
        self.timeouts
    }

    #[cfg(feature = "serde")]
    pub(super) fn keeping_condition_of(self, before: &Self) -> Self {
        Self {
            condition: before.condition.clone(),
            ..self
        }
    }

    pub(super) fn condition(&self) -> Option<&Condition> {
        self.condition.as_ref()
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// Which field is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        config::in_range("attempts", self.attempts, 1..=1000)?;
        self.backoff
            .check()
            .map_err(|error| error.in_field("backoff"))?;
        let day = Duration::ZERO..=Backoff::LONGEST;
        if let Some(time) = self.total_time {
            config::time_in_range("total_time", time, day.clone())?;
        }
        config::time_in_range("honour_hints_up_to", self.honour_hints_up_to, day.clone())?;
        config::time_in_range("shortest_attempt", self.shortest_attempt, day)?;
        Ok(())
    }
}

impl Checked for RetryConfig {
    fn check(&self) -> Result<(), ConfigError> {
        Self::check(self)
    }
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            attempts: 3,
            backoff: Backoff::default(),
            total_time: None,
            honour_hints_up_to: Duration::from_secs(30),
            shortest_attempt: Duration::from_millis(1),
            rejections: false,
            timeouts: false,
            condition: None,
        }
    }
}

impl PartialEq for RetryConfig {
    fn eq(&self, other: &Self) -> bool {
        let condition = |it: &Self| it.condition.as_ref().map(Arc::as_ptr).map(<*const _>::addr);
        let plain = |it: &Self| {
            (
                it.attempts,
                it.total_time,
                it.honour_hints_up_to,
                it.shortest_attempt,
                it.rejections,
                it.timeouts,
            )
        };
        plain(self) == plain(other)
            && self.backoff == other.backoff
            && condition(self) == condition(other)
    }
}

impl fmt::Debug for RetryConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryConfig")
            .field("attempts", &self.attempts)
            .field("backoff", &self.backoff)
            .field("total_time", &self.total_time)
            .field("honour_hints_up_to", &self.honour_hints_up_to)
            .field("shortest_attempt", &self.shortest_attempt)
            .field("rejections", &self.rejections)
            .field("timeouts", &self.timeouts)
            .field("condition", &self.condition.is_some())
            .finish()
    }
}
