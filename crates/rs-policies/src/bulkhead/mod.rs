mod config;
mod seats;
mod wait;

pub use config::BulkheadConfig;

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rs_core::{
    Call, ConfigError, Ending, Enforcement, Guard, Health, Inspect, Measure, Name, Outline, Reason,
    Rejection, Unit, Value, label_set,
};
use rs_metrics::{
    Counter, Family, Histogram, Observed, Surroundings,
    pattern::{Announcements, Home, Rules},
};

use self::{seats::Seats, wait::Entering};
use crate::metrics;

label_set! {
    /// Why a bulkhead refused a call.
    pub enum Crowded: "reason" {
        /// All places were taken, and nobody may wait.
        Full = "full",
        /// All places were taken, and so was the queue.
        QueueFull = "queue_full",
        /// It waited as long as it may.
        Waited = "waited",
    }
}

/// Lets so many calls run at once, and so many wait, in order, for so long.
///
/// ```
/// use rs_core::{Failure, Policy};
/// use rs_policies::{Bulkhead, BulkheadConfig};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), rs_core::ConfigError> {
/// let bank = Bulkhead::new("bank", BulkheadConfig::of(1).with_queue(1, Duration::from_millis(50)))?;
/// let slow = || bank.call("charge", async |_call| {
///     tokio::time::sleep(Duration::from_secs(1)).await;
///     Ok::<_, std::io::Error>(())
/// });
/// let (first, second, third) = tokio::join!(slow(), slow(), slow());
/// assert!(first.is_ok());
/// assert_eq!(
///     second.unwrap_err().to_string(),
///     "bulkhead `bank` refused the call: waited (waited 50ms, limit 50ms)",
/// );
/// assert_eq!(
///     third.unwrap_err().to_string(),
///     "bulkhead `bank` refused the call: queue_full (calls waiting 1, limit 1)",
/// );
/// # Ok(()) }
/// ```
///
/// # Cancel safety
/// A call that is dropped while it waits leaves the queue, and hands on a place that it was just given.
#[derive(Clone)]
pub struct Bulkhead(Arc<Inner>);

struct Inner {
    home: Home,
    rules: Rules<BulkheadConfig>,
    /// Whether the rules let in some for whom there is no place.
    is_lenient: AtomicBool,
    seats: Seats,
    refused: Family<Counter, Crowded>,
    dark: Family<Counter>,
    waits: Family<Histogram>,
    observed: OnceLock<[Observed; 3]>,
}

static ANNOUNCED: Announcements = Announcements::of("bulkhead");
static IN_FLIGHT: Measure = Measure::new("calls in flight", Unit::Count);
static WAITING: Measure = Measure::new("calls waiting", Unit::Count);
static WAITED_FOR: Measure = Measure::new("waited", Unit::Seconds);
static FULL: Reason = Reason::new("bulkhead", "full").judging(&IN_FLIGHT);
static QUEUE_FULL: Reason = Reason::new("bulkhead", "queue_full").judging(&WAITING);
static WAITED: Reason = Reason::new("bulkhead", "waited").judging(&WAITED_FOR);

impl Bulkhead {
    /// A bulkhead of this name.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`BulkheadConfig::check`].
    pub fn new(name: impl Into<Name>, config: BulkheadConfig) -> Result<Self, ConfigError> {
        Self::within(&Surroundings::of_process(), name, config)
    }

    /// The same in these surroundings.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`BulkheadConfig::check`].
    pub fn within(
        around: &Surroundings,
        name: impl Into<Name>,
        config: BulkheadConfig,
    ) -> Result<Self, ConfigError> {
        let home = Home::new(around, name.into());
        let (name, registry) = (home.name, home.metrics());
        let inner = Arc::new(Inner {
            seats: Seats::new(&config),
            is_lenient: AtomicBool::new(config.enforced() != Enforcement::Full),
            rules: Rules::new(config)?,
            refused: metrics::BULKHEAD_REJECTED.bind_in(&registry, name),
            dark: metrics::BULKHEAD_DARK.bind_in(&registry, name),
            waits: metrics::BULKHEAD_WAIT.bind_in(&registry, name),
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
    pub fn config(&self) -> BulkheadConfig {
        *self.0.rules.get()
    }

    /// Goes by this from now on. Calls that run and wait stay where they are; new places go to those who
    /// wait. The version that is in force then.
    ///
    /// # Errors
    /// When it is wrong; the old one stays in force.
    pub fn reconfigure(&self, config: BulkheadConfig) -> Result<u64, ConfigError> {
        self.0.reconfigure(config)
    }

    /// How many calls run.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.0.seats.taken()
    }

    /// How many calls wait.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.0.seats.waiting()
    }

    /// How many calls it refused for this reason.
    #[must_use]
    pub fn refused(&self, reason: Crowded) -> u64 {
        self.0.refused[reason].value()
    }

    /// How many calls had to wait or would have been refused, but for dark mode.
    #[must_use]
    pub fn would_have_held_up(&self) -> u64 {
        self.0.dark.value()
    }
}

impl Inner {
    fn reconfigure(&self, config: BulkheadConfig) -> Result<u64, ConfigError> {
        self.rules
            .replace(&self.home, &ANNOUNCED, config, |config| {
                let lenient = config.enforced() != Enforcement::Full;
                self.is_lenient.store(lenient, Ordering::Relaxed);
                self.seats.resize(config);
            })
    }

    /// In the dark whoever finds no place is let in nevertheless.
    #[cold]
    fn is_let_in(&self, call: &Call) -> bool {
        let let_in =
            self.is_lenient.load(Ordering::Relaxed) && !self.rules.get().enforced().covers(call);
        if let_in {
            self.seats.take_anyway();
            self.dark.increment();
        }
        let_in
    }

    #[cold]
    fn refuse(&self, why: Crowded, observed: f64, limit: f64) -> Rejection {
        self.refused[why].increment();
        let reason = match why {
            Crowded::Full => &FULL,
            Crowded::QueueFull => &QUEUE_FULL,
            Crowded::Waited => &WAITED,
        };
        reason.reject(self.home.name).because(observed, limit)
    }

    fn refuse_full(&self) -> Rejection {
        let limit = self.seats.limit().into();
        self.refuse(Crowded::Full, self.seats.taken().into(), limit)
    }

    fn refuse_queue_full(&self) -> Rejection {
        match self.seats.queue() {
            0 => self.refuse_full(),
            queue => self.refuse(
                Crowded::QueueFull,
                self.seats.waiting().into(),
                queue.into(),
            ),
        }
    }

    fn refuse_waited(&self, waited: Duration, limit: Duration) -> Rejection {
        self.refuse(Crowded::Waited, waited.as_secs_f64(), limit.as_secs_f64())
    }
}

impl Guard for Bulkhead {
    type Ticket = ();

    #[inline]
    fn try_enter(&self, call: &Call) -> Result<(), Rejection> {
        if self.0.seats.try_take() || self.0.is_let_in(call) {
            return Ok(());
        }
        Err(self.0.refuse_full())
    }

    #[inline]
    fn enter(&self, call: &Call) -> impl Future<Output = Result<(), Rejection>> + Send {
        Entering::new(&self.0, call)
    }

    #[inline]
    fn enter_at_once(&self, _call: &Call) -> Option<Result<(), Rejection>> {
        self.0.seats.try_take().then_some(Ok(()))
    }

    #[inline]
    fn leave(&self, (): (), _ending: Ending) {
        self.0.seats.give_back();
    }

    fn outline(&self) -> Outline {
        let config = self.config();
        let (limit, queue) = (config.limit(), config.queue());
        let outline = Outline::of("bulkhead");
        if queue == 0 {
            return outline.saying(format!("{limit} at once"));
        }
        let wait = config.longest_wait();
        let shown = rs_core::humane::show_duration(wait);
        outline
            .saying(format!("{limit} at once, {queue} wait up to {shown}"))
            .waiting_up_to(wait)
    }
}

impl Inner {
    /// Exports what it counts anyway.
    fn watch(of: &Arc<Self>) -> [Observed; 3] {
        let home = &of.home;
        [
            home.observe(&metrics::BULKHEAD_CONCURRENT, of, |of, ()| {
                of.seats.taken().into()
            }),
            home.observe(&metrics::BULKHEAD_LIMIT, of, |of, ()| {
                of.seats.limit().into()
            }),
            home.observe(&metrics::BULKHEAD_QUEUE, of, |of, ()| {
                of.seats.waiting().into()
            }),
        ]
    }
}

impl Inspect for Inner {
    rs_metrics::inspect_rules!("bulkhead");

    fn health(&self) -> Health {
        let (running, waiting) = (self.seats.taken(), self.seats.waiting());
        let rules = self.rules.get();
        match running >= rules.limit() && waiting >= rules.queue() {
            true => Health::degraded(format!("full, {running} run and {waiting} wait")),
            false => Health::UP,
        }
    }

    fn snapshot(&self) -> Value {
        let rules = self.rules.get();
        let refused = <Crowded as rs_core::Label>::ALL.iter();
        let refused = refused.map(|why| (why.as_str(), self.refused[*why].value().into()));
        Value::map([
            ("in_flight", Value::from(self.seats.taken())),
            ("limit", rules.limit().into()),
            ("waiting", self.seats.waiting().into()),
            ("queue", rules.queue().into()),
            ("longest_wait", rules.longest_wait().into()),
            ("refused", Value::map(refused)),
            ("would_have_held_up", self.dark.value().into()),
            ("config_version", self.rules.version().into()),
        ])
    }
}

impl fmt::Debug for Bulkhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bulkhead")
            .field("name", &self.name())
            .field("in_flight", &self.in_flight())
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}
