mod blocking;
mod config;
mod hint;
mod run;

pub use config::RetryConfig;
pub use hint::retry_after;

use std::{
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use rs_core::{
    Call, ConfigError, Failure, Fault, Inspect, Name, Operation, Outcome, Policy, Value, label_set,
};
use rs_metrics::{
    Counter, Family, Histogram, Observed, Surroundings,
    pattern::{Announcements, Home, Rules},
};

pub(crate) use self::run::First;
use self::run::Retried;
use crate::{Budget, metrics};

label_set! {
    /// What became of a call whose first attempt failed.
    pub enum RetryEnd: "result" {
        /// A further attempt succeeded.
        Succeeded = "succeeded",
        /// All attempts failed.
        Exhausted = "exhausted",
        /// The failure is one that trying again cannot mend.
        Permanent = "permanent",
        /// A guard inside refused a further attempt.
        Rejected = "rejected",
        /// It is not known whether the attempt took effect, and the call is not safe to repeat.
        Unsafe = "unsafe",
        /// There was no time left for another attempt.
        Deadline = "deadline",
        /// The budget had nothing left for another attempt.
        Budget = "budget",
        /// The condition said no.
        Condition = "condition",
    }
}

/// Tries again what failed and may succeed the next time.
///
/// Whether it may is said by the operation's classifier: only transient failures are tried again. The
/// waits grow and are random, a server's own wish is respected, a deadline is never slept past, and the
/// [`Budget`] keeps a failing dependency from getting a multiple of its load. See [`RetryConfig`].
///
/// ```
/// use rs_core::Policy;
/// use rs_policies::{Retry, RetryConfig};
/// use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), rs_core::ConfigError> {
/// let retry = Retry::new("payments", RetryConfig::default())?;
///
/// let tries = AtomicU32::new(0);
/// let charged = retry.call("charge", async |call| match tries.fetch_add(1, Relaxed) {
///     0 => Err(std::io::Error::other("the bank hung up")),
///     _ => Ok(format!("charged at attempt {}", call.attempt())),
/// });
/// assert_eq!(charged.await.unwrap(), "charged at attempt 2");
/// # Ok(()) }
/// ```
///
/// # Cancel safety
/// Dropping the future drops the attempt or the wait that it is in. A token that was taken from the
/// budget for the attempt is spent.
#[derive(Clone)]
pub struct Retry(Arc<Inner>);

pub(crate) struct Inner {
    home: Home,
    rules: Rules<RetryConfig>,
    budget: Option<Budget>,
    dice: Mutex<fastrand::Rng>,
    ends: Family<Counter, RetryEnd>,
    attempts: Family<Counter>,
    delays: Family<Histogram>,
    observed: OnceLock<Observed>,
}

/// A further attempt that is about to be made; what a listener hears.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Retrying<'a> {
    /// The call at the attempt that failed.
    pub call: &'a Call,
    /// How it failed; `None` if a guard refused it.
    pub fault: Option<Fault>,
    /// How long to wait before the next attempt.
    pub delay: Duration,
}

static ANNOUNCED: Announcements = Announcements::of("retry");

impl Retry {
    /// A retry of this name, with a [`Budget`] of its own.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`RetryConfig::check`].
    pub fn new(name: impl Into<Name>, config: RetryConfig) -> Result<Self, ConfigError> {
        Self::within(&Surroundings::of_process(), name, config)
    }

    /// The same in these surroundings.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`RetryConfig::check`].
    pub fn within(
        around: &Surroundings,
        name: impl Into<Name>,
        config: RetryConfig,
    ) -> Result<Self, ConfigError> {
        let name = name.into();
        let budget = Budget::within(around, name, crate::BudgetConfig::default())?;
        Self::make(around, name, config, Some(budget))
    }

    /// The same with this budget, shared with others that reach the same dependency, or with none.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`RetryConfig::check`].
    pub fn with_budget(
        around: &Surroundings,
        name: impl Into<Name>,
        config: RetryConfig,
        budget: impl Into<Option<Budget>>,
    ) -> Result<Self, ConfigError> {
        Self::make(around, name.into(), config, budget.into())
    }

    fn make(
        around: &Surroundings,
        name: Name,
        config: RetryConfig,
        budget: Option<Budget>,
    ) -> Result<Self, ConfigError> {
        let home = Home::new(around, name);
        let registry = home.metrics();
        let inner = Arc::new(Inner {
            rules: Rules::new(config)?,
            budget,
            dice: Mutex::new(around.dice(name.as_str())),
            ends: metrics::RETRY_CALLS.bind_in(&registry, name),
            attempts: metrics::RETRY_ATTEMPTS.bind_in(&registry, name),
            delays: metrics::RETRY_DELAY.bind_in(&registry, name),
            observed: OnceLock::new(),
            home,
        });
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

    /// What it goes by.
    #[must_use]
    pub fn config(&self) -> Arc<RetryConfig> {
        self.0.rules.get()
    }

    /// Its budget.
    #[must_use]
    pub fn budget(&self) -> Option<&Budget> {
        self.0.budget.as_ref()
    }

    /// Goes by this from the next failure on. The version that is in force then.
    ///
    /// # Errors
    /// When it is wrong; the old one stays in force.
    pub fn reconfigure(&self, config: RetryConfig) -> Result<u64, ConfigError> {
        self.0.replace(config)
    }

    /// How many calls whose first attempt failed ended like this.
    #[must_use]
    pub fn ended(&self, how: RetryEnd) -> u64 {
        self.0.ends[how].value()
    }
}

impl Retry {
    /// Whether a first attempt that ended so is the last one.
    #[inline]
    pub(crate) fn is_over<T, E>(&self, result: &Result<T, Failure<E>>, outcome: Outcome) -> bool {
        self.0.is_over(result, outcome)
    }

    /// What comes after a first attempt that failed.
    pub(crate) async fn go_on<O: Operation>(
        &self,
        call: &Call,
        operation: &O,
        first: First<O::Output, O::Error>,
    ) -> Result<O::Output, Failure<O::Error>> {
        self.0.go_on(call, operation, first).await
    }
}

impl Inner {
    /// As the directory tells it. What cannot be written down stays: the condition.
    #[cfg(feature = "serde")]
    fn reconfigure(&self, config: RetryConfig) -> Result<u64, ConfigError> {
        self.replace(config.keeping_condition_of(&self.rules.get()))
    }

    fn replace(&self, config: RetryConfig) -> Result<u64, ConfigError> {
        self.rules.replace(&self.home, &ANNOUNCED, config, |_| ())
    }

    fn roll(&self) -> fastrand::Rng {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        dice.fork()
    }

    /// The share of the calls whose first attempt failed that succeeded in the end.
    pub(crate) fn success_rate(&self) -> f64 {
        let ends = <RetryEnd as rs_core::Label>::ALL;
        let all: u64 = ends.iter().map(|end| self.ends[*end].value()).sum();
        let succeeded = self.ends[RetryEnd::Succeeded].value();
        if all == 0 {
            1.0
        } else {
            succeeded as f64 / all as f64
        }
    }
}

impl<T, E> Policy<T, E> for Retry
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
        Retried::new(&self.0, call, operation, operation.attempt(call), |first| {
            self.0.go_on(call, operation, first)
        })
    }
}

impl Inner {
    /// Exports what it counts anyway.
    fn watch(of: &Arc<Self>) -> Observed {
        let home = &of.home;
        home.observe(&metrics::RETRY_SUCCESS_RATE, of, |of, ()| of.success_rate())
    }
}

impl Inspect for Inner {
    rs_metrics::inspect_rules!("retry");

    fn snapshot(&self) -> Value {
        let rules = self.rules.get();
        let ends = <RetryEnd as rs_core::Label>::ALL;
        let ended = ends
            .iter()
            .map(|end| (end.as_str(), self.ends[*end].value().into()));
        Value::map([
            ("attempts", Value::from(rules.attempts())),
            ("retries", self.attempts.value().into()),
            ("ended", Value::map(ended)),
            ("budget", self.budget.as_ref().map(Budget::balance).into()),
            ("config_version", self.rules.version().into()),
        ])
    }
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("name", &self.name())
            .field("config", &self.config())
            .finish_non_exhaustive()
    }
}
