mod config;
mod pace;
mod recent;
mod run;

pub use config::{HedgeConfig, HedgeDelay};

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use rs_core::{
    Call, ConfigError, Failure, FaultKind, Inspect, Label, Name, Operation, Policy, Value,
    label_set,
};
use rs_metrics::{
    Counter, Family, Gauge, Observed, Surroundings,
    pattern::{Announcements, Home, Rules},
};

use self::{pace::Pace, run::Hedged};
use crate::{Budget, BudgetConfig, metrics};

label_set! {
    /// What became of a call that took longer than the delay of its hedge.
    pub enum HedgeEnd: "result" {
        /// A hedge answered first.
        Won = "won",
        /// The first attempt ended the call; the hedges were made in vain.
        Lost = "lost",
        /// All attempts failed.
        Failed = "failed",
        /// The caller went away.
        Cancelled = "cancelled",
        /// It was not hedged: the budget had nothing left.
        Refused = "refused",
        /// It was not hedged: dark mode.
        Dark = "dark",
    }
}

/// Starts another attempt beside one that takes long, and takes the first good answer.
///
/// Only a call that says of itself that it is [safe to repeat](Call::safe_to_repeat) is hedged; all others
/// run as they are, so that a hedge around something that takes effect does no harm. Hedges cost the
/// dependency more work just when it is slow: they take from a [`Budget`], one token each at the price of a
/// transient failure, and a call for which there is none goes on without.
///
/// A failure does not win while another attempt runs. When all have failed, the call ends with the failure
/// of the first attempt. Attempts that lost are dropped before the answer is returned; nobody waits for
/// them. A first attempt that fails before the delay is over ends the call: to try again is for
/// [`Retry`](crate::Retry), which belongs outside.
///
/// A hedge carries the [id](Call::id) and the [attempt number](Call::attempt) of the attempt that it stands
/// beside, and a [number](Call::hedge) of its own, so that the operation can choose another endpoint for it.
///
/// ```
/// use rs_core::{Call, Policy};
/// use rs_policies::{Hedge, HedgeConfig};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), rs_core::ConfigError> {
/// let hedge = Hedge::new("prices", HedgeConfig::after(Duration::from_millis(50)))?;
/// let price = hedge.call(Call::new("price").safe_to_repeat(), async |call| {
///     if call.hedge() == 0 {
///         std::future::pending::<()>().await;
///     }
///     Ok::<_, std::io::Error>(format!("250 from replica {}", call.hedge()))
/// });
/// assert_eq!(price.await.unwrap(), "250 from replica 1");
/// # Ok(()) }
/// ```
///
/// # The delay
/// It is [given](HedgeConfig::after), or [a quantile](HedgeConfig::at_quantile) of how long the first attempts
/// of the calls that may be hedged took in the last minute, those that were good. At the 95th percentile one
/// call in twenty is hedged. A first attempt that was dropped because a hedge was faster, or because the
/// caller went away after the delay, counts with the time that it had taken by then.
///
/// # What it costs
/// An answer that is there at the first poll costs no look at the clock, no timer and no allocation. A call
/// that has to wait costs a timer. The future is the operation's own and eight words: hedges live on the
/// heap, and only those that are started.
///
/// # Cancel safety
/// Dropping the future drops all attempts. A token that was taken from the budget is spent.
#[derive(Clone)]
pub struct Hedge {
    inner: Arc<Inner>,
    deposits: bool,
}

pub(crate) struct Inner {
    home: Home,
    rules: Rules<HedgeConfig>,
    pace: Pace,
    budget: Option<Budget>,
    started: Family<Counter>,
    running: Family<Gauge>,
    ends: Family<Counter, HedgeEnd>,
    observed: OnceLock<Observed>,
}

static ANNOUNCED: Announcements = Announcements::of("hedge");

impl Hedge {
    /// A hedge of this name, with a [`Budget`] of its own.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`HedgeConfig::check`].
    pub fn new(name: impl Into<Name>, config: HedgeConfig) -> Result<Self, ConfigError> {
        Self::within(&Surroundings::of_process(), name, config)
    }

    /// The same in these surroundings.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`HedgeConfig::check`].
    pub fn within(
        around: &Surroundings,
        name: impl Into<Name>,
        config: HedgeConfig,
    ) -> Result<Self, ConfigError> {
        let name = name.into();
        config.check()?;
        let budget = Budget::within(around, name, BudgetConfig::default())?;
        Self::make(around, name, config, Some(budget))
    }

    /// The same with this budget, shared with others that reach the same dependency, or with none.
    ///
    /// Its calls are counted in the budget; see [`Hedge::inside_retry`].
    ///
    /// # Errors
    /// When the configuration is wrong; see [`HedgeConfig::check`].
    pub fn with_budget(
        around: &Surroundings,
        name: impl Into<Name>,
        config: HedgeConfig,
        budget: impl Into<Option<Budget>>,
    ) -> Result<Self, ConfigError> {
        Self::make(around, name.into(), config, budget.into())
    }

    /// The same hedge, for where a retry around it counts the calls in the same budget already: it takes
    /// from the budget and adds nothing.
    #[must_use]
    pub fn inside_retry(mut self) -> Self {
        self.deposits = false;
        self
    }

    fn make(
        around: &Surroundings,
        name: Name,
        config: HedgeConfig,
        budget: Option<Budget>,
    ) -> Result<Self, ConfigError> {
        let home = Home::new(around, name);
        let registry = home.metrics();
        let inner = Arc::new(Inner {
            rules: Rules::new(config)?,
            pace: Pace::new(around.clock().now(), &config),
            budget,
            started: metrics::HEDGE_STARTED.bind_in(&registry, name),
            running: metrics::HEDGE_RUNNING.bind_in(&registry, name),
            ends: metrics::HEDGE_CALLS.bind_in(&registry, name),
            observed: OnceLock::new(),
            home,
        });
        inner.observed.get_or_init(|| Inner::watch(&inner));
        inner.home.register(&inner);
        Ok(Self {
            inner,
            deposits: true,
        })
    }

    /// What stands in the directory for it.
    pub(crate) fn entry(&self) -> Arc<dyn Inspect> {
        Arc::clone(&self.inner) as Arc<dyn Inspect>
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> Name {
        self.inner.home.name
    }

    /// What it goes by.
    #[must_use]
    pub fn config(&self) -> HedgeConfig {
        *self.inner.rules.get()
    }

    /// Its budget.
    #[must_use]
    pub fn budget(&self) -> Option<&Budget> {
        self.inner.budget.as_ref()
    }

    /// Goes by this from now on, and keeps what was measured. Calls that wait already keep their delay. The
    /// version that is in force then.
    ///
    /// # Errors
    /// When it is wrong; the old one stays in force.
    pub fn reconfigure(&self, config: HedgeConfig) -> Result<u64, ConfigError> {
        self.inner.reconfigure(config)
    }

    /// After how long a hedge is started; `None` as long as too few answers are known for a quantile.
    #[must_use]
    pub fn delay(&self) -> Option<Duration> {
        self.inner.delay()
    }

    /// How many hedges were started.
    #[must_use]
    pub fn started(&self) -> u64 {
        self.inner.started.value()
    }

    /// How many hedges run.
    #[must_use]
    pub fn running(&self) -> u64 {
        self.inner.running.value() as u64
    }

    /// How many calls that took longer than the delay ended like this.
    #[must_use]
    pub fn ended(&self, how: HedgeEnd) -> u64 {
        self.inner.ends[how].value()
    }
}

impl Inner {
    fn reconfigure(&self, config: HedgeConfig) -> Result<u64, ConfigError> {
        let now = self.home.around.clock().now();
        self.rules
            .replace(&self.home, &ANNOUNCED, config, |config| {
                self.pace.publish(now, config);
            })
    }

    pub(crate) fn delay(&self) -> Option<Duration> {
        let now = self.home.around.clock().now();
        self.pace.delay(now, || *self.rules.get())
    }

    /// A first attempt that began then was good, or is dropped.
    fn hear(&self, now: Instant, begun: Instant) {
        let took = now.saturating_duration_since(begun);
        self.pace.add(now, took, || *self.rules.get());
    }

    /// Whether a call that has had so many may have another hedge; if so, it is paid for.
    fn may_start(&self, call: &Call, started: u8) -> bool {
        let why_not = if !self.rules.get().enforced().covers(call) {
            HedgeEnd::Dark
        } else if self
            .budget
            .as_ref()
            .is_some_and(|budget| !budget.withdraw(FaultKind::Transient))
        {
            HedgeEnd::Refused
        } else {
            return true;
        };
        // One that was hedged before is counted by how it ends.
        if started == 0 {
            self.ends[why_not].increment();
        }
        false
    }
}

impl<T, E> Policy<T, E> for Hedge
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
        let attempt = operation.attempt(call);
        let another = move |call: Call| async move { operation.attempt(&call).await };
        Hedged::new(
            &self.inner,
            self.deposits,
            call,
            operation,
            attempt,
            another,
        )
    }
}

impl Inner {
    /// Exports what it counts anyway.
    fn watch(of: &Arc<Self>) -> Observed {
        let home = &of.home;
        home.observe(&metrics::HEDGE_DELAY, of, |of, ()| {
            of.delay().unwrap_or_default().as_secs_f64()
        })
    }
}

impl Inspect for Inner {
    rs_metrics::inspect_rules!("hedge");

    fn snapshot(&self) -> Value {
        let rules = self.rules.get();
        let ended = HedgeEnd::ALL.iter();
        let ended = ended.map(|end| (end.as_str(), self.ends[*end].value().into()));
        Value::map([
            ("delay", Value::from(self.delay())),
            ("hedges", u32::from(rules.hedges()).into()),
            ("started", self.started.value().into()),
            ("running", (self.running.value() as u64).into()),
            ("ended", Value::map(ended)),
            ("budget", self.budget.as_ref().map(Budget::balance).into()),
            ("config_version", self.rules.version().into()),
        ])
    }
}

impl fmt::Debug for Hedge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hedge")
            .field("name", &self.name())
            .field("config", &self.config())
            .finish_non_exhaustive()
    }
}
