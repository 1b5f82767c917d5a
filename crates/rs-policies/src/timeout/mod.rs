mod limited;

pub(crate) use limited::{Limited, Limits, Timer, Waited};

use std::{
    fmt,
    future::Future,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rs_core::{
    Call, Clock, ConfigError, Enforcement, Failure, Inspect, Name, Operation, Policy, TimeLimits,
    TimeScope, TimedOut, Value, config,
};
use rs_metrics::{
    Observed, Surroundings,
    pattern::{Announcements, Checked, Home, Rules},
};

use crate::metrics;

/// Ends what takes too long: the whole call, or each attempt.
///
/// A call that is done when it is first asked costs no look at the clock and no timer. The limit, and the
/// deadline that came with the call, whichever is earlier, hold for everything inside; what is inside
/// can see them in its [`Call`].
///
/// ```
/// use rs_core::{Failure, Policy};
/// use rs_policies::Timeout;
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), rs_core::ConfigError> {
/// let patience = Timeout::total("payments", Duration::from_secs(2))?;
/// let answer = patience
///     .call("charge", async |_call| Ok::<(), std::io::Error>(std::future::pending().await))
///     .await;
/// assert_eq!(answer.unwrap_err().to_string(), "not done within 2s");
/// # Ok(()) }
/// ```
///
/// # Cancel safety
/// Dropping the future drops the operation. When the time is over the operation is dropped before the
/// failure is returned.
#[derive(Clone)]
pub struct Timeout(Arc<Inner>);

/// How long something may take.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct TimeoutConfig {
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    limit: Duration,
    #[cfg_attr(feature = "serde", serde(default))]
    enforcement: Enforcement,
}

impl TimeoutConfig {
    /// At most this long, from 1 ms to a day.
    #[must_use]
    pub const fn of(limit: Duration) -> Self {
        Self {
            limit,
            enforcement: Enforcement::Full,
        }
    }

    /// Calls that take longer are only counted, or ended for a share of them.
    #[must_use]
    pub const fn with_enforcement(mut self, enforcement: Enforcement) -> Self {
        self.enforcement = enforcement;
        self
    }

    /// How long.
    #[must_use]
    pub const fn limit(&self) -> Duration {
        self.limit
    }

    /// Whether calls that take longer are ended.
    #[must_use]
    pub const fn enforced(&self) -> Enforcement {
        self.enforcement
    }
}

impl From<Duration> for TimeoutConfig {
    fn from(limit: Duration) -> Self {
        Self::of(limit)
    }
}

impl Checked for TimeoutConfig {
    fn check(&self) -> Result<(), ConfigError> {
        let range = Duration::from_millis(1)..=Duration::from_secs(24 * 3600);
        config::time_in_range("limit", self.limit, range).map(drop)
    }
}

struct Inner {
    home: Home,
    scope: TimeScope,
    rules: Rules<TimeoutConfig>,
    /// What the rules say, for those who are in a hurry.
    limit: AtomicU64,
    is_lenient: AtomicU64,
    timed_out: AtomicU64,
    dark: AtomicU64,
    observed: OnceLock<[Observed; 2]>,
}

static ANNOUNCED: Announcements = Announcements::of("timeout");

impl Timeout {
    /// A limit on whole calls, with all their attempts and waits.
    ///
    /// # Errors
    /// When the limit is shorter than a millisecond or longer than a day.
    pub fn total(
        name: impl Into<Name>,
        config: impl Into<TimeoutConfig>,
    ) -> Result<Self, ConfigError> {
        Self::within(&Surroundings::of_process(), name, TimeScope::Total, config)
    }

    /// A limit on each attempt; it belongs inside the retry, and inside the breaker, which thereby counts
    /// a call that hangs as a failure.
    ///
    /// # Errors
    /// When the limit is shorter than a millisecond or longer than a day.
    pub fn attempt(
        name: impl Into<Name>,
        config: impl Into<TimeoutConfig>,
    ) -> Result<Self, ConfigError> {
        Self::within(
            &Surroundings::of_process(),
            name,
            TimeScope::Attempt,
            config,
        )
    }

    /// A limit on this, in these surroundings. What is neither a whole call nor an attempt, such as the
    /// making of a connection, is limited without the call being told.
    ///
    /// # Errors
    /// When the limit is shorter than a millisecond or longer than a day.
    pub fn within(
        around: &Surroundings,
        name: impl Into<Name>,
        scope: TimeScope,
        config: impl Into<TimeoutConfig>,
    ) -> Result<Self, ConfigError> {
        let config = config.into();
        let inner = Arc::new(Inner {
            home: Home::new(around, name.into()),
            scope,
            rules: Rules::new(config)?,
            limit: AtomicU64::new(0),
            is_lenient: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
            dark: AtomicU64::new(0),
            observed: OnceLock::new(),
        });
        inner.publish(&config);
        inner.observed.get_or_init(|| Inner::watch(&inner));
        inner.home.register(&inner);
        Ok(Self(inner))
    }

    /// What stands in the directory for it.
    pub(crate) fn entry(&self) -> Arc<dyn Inspect> {
        Arc::clone(&self.0) as Arc<dyn Inspect>
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.home.name
    }

    /// What it limits.
    #[must_use]
    pub fn scope(&self) -> TimeScope {
        self.0.scope
    }

    /// What it goes by.
    #[must_use]
    pub fn config(&self) -> TimeoutConfig {
        *self.0.rules.get()
    }

    /// Goes by this from the next call on. The version that is in force then.
    ///
    /// # Errors
    /// When it is wrong; the old one stays in force.
    pub fn reconfigure(&self, config: impl Into<TimeoutConfig>) -> Result<u64, ConfigError> {
        self.0.reconfigure(config.into())
    }

    /// How many it ended.
    #[must_use]
    pub fn timed_out(&self) -> u64 {
        self.0.timed_out.load(Ordering::Relaxed)
    }

    /// How many it would have ended, but for dark mode.
    #[must_use]
    pub fn would_have_timed_out(&self) -> u64 {
        self.0.dark.load(Ordering::Relaxed)
    }

    pub(crate) fn clock(&self) -> &Clock {
        self.0.home.around.clock()
    }

    pub(crate) fn sleep_until(&self, moment: Instant) -> Timer<'static> {
        let clock = self.clock().clone();
        Box::pin(async move { clock.sleep_until(moment).await })
    }

    /// Something took too long, and was ended or not.
    pub(crate) fn count(&self, what: TimedOut, ends: bool) {
        self.0.count(what, ends);
    }

    /// What a call is told of this limit.
    #[inline]
    pub(crate) fn add_to(&self, limits: TimeLimits, call: &Call) -> TimeLimits {
        let limit = Duration::from_nanos(self.0.limit.load(Ordering::Relaxed));
        if self.0.is_lenient.load(Ordering::Relaxed) != 0 && !self.config().enforcement.covers(call)
        {
            return limits;
        }
        match self.0.scope {
            TimeScope::Total => limits.on_call(limit),
            TimeScope::Attempt => limits.on_attempt(limit),
            _ => limits,
        }
    }
}

impl Inner {
    fn count(&self, what: TimedOut, ends: bool) {
        if !ends {
            self.dark.fetch_add(1, Ordering::Relaxed);
        } else if what.scope() == self.scope {
            self.timed_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn publish(&self, config: &TimeoutConfig) {
        let nanos = u64::try_from(config.limit.as_nanos()).unwrap_or(u64::MAX);
        self.limit.store(nanos, Ordering::Relaxed);
        let lenient = config.enforcement != Enforcement::Full;
        self.is_lenient.store(lenient.into(), Ordering::Relaxed);
    }

    fn reconfigure(&self, config: TimeoutConfig) -> Result<u64, ConfigError> {
        let home = &self.home;
        self.rules
            .replace(home, &ANNOUNCED, config, |config| self.publish(config))
    }
}

impl Inner {
    /// Exports what it counts anyway.
    fn watch(of: &Arc<Self>) -> [Observed; 2] {
        let home = &of.home;
        [
            home.observe(&metrics::TIMEOUTS, of, |of, on| {
                of.counted(&of.timed_out, on)
            }),
            home.observe(&metrics::TIMEOUT_DARK, of, |of, on| {
                of.counted(&of.dark, on)
            }),
        ]
    }

    fn counted(&self, number: &AtomicU64, on: metrics::Limits) -> u64 {
        match metrics::Limits::of(self.scope) == on {
            true => number.load(Ordering::Relaxed),
            false => 0,
        }
    }
}

impl Inspect for Inner {
    rs_metrics::inspect_rules!("timeout");

    fn snapshot(&self) -> Value {
        let config = self.rules.get();
        Value::map([
            (
                "limits",
                Value::from(metrics::Limits::of(self.scope).as_str()),
            ),
            ("limit", config.limit.into()),
            ("timed_out", self.timed_out.load(Ordering::Relaxed).into()),
            (
                "would_have_timed_out",
                self.dark.load(Ordering::Relaxed).into(),
            ),
            ("config_version", self.rules.version().into()),
        ])
    }
}

impl<T, E> Policy<T, E> for Timeout
where
    T: Send,
    E: Send,
{
    #[inline]
    fn run<O>(
        &self,
        call: &Call,
        operation: &O,
    ) -> impl Future<Output = Result<T, Failure<E>>> + Send
    where
        O: Operation<Output = T, Error = E>,
    {
        let limits = self.add_to(TimeLimits::NONE, call);
        let told = Limits {
            timeout: Some(self),
            clock: self.clock(),
            call,
        };
        Limited::new(told, operation.attempt_within(call, limits))
    }
}

impl fmt::Debug for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timeout")
            .field("name", &self.name())
            .field("scope", &self.0.scope)
            .field("limit", &self.config().limit)
            .finish_non_exhaustive()
    }
}
