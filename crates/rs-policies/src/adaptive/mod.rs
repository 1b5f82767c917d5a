mod aimd;
mod algorithm;
mod codel;
mod config;
mod gate;
mod gradient;
mod judge;
mod lanes;
mod look;
mod samples;
mod seeker;
mod vegas;
mod wait;

pub use aimd::Aimd;
pub use algorithm::{Algorithm, FindLimit, OwnAlgorithm, Sample};
pub use config::{AdaptiveConfig, ClassShares, Waiting};
pub use gradient::Gradient;
pub use vegas::Vegas;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rs_core::{
    Call, ConfigError, Criticality, Deadline, Ending, Enforcement, Guard, Inspect, Measure, Name,
    Outcome, Outline, Reason, Rejection, Unit, humane, label_set,
};
use rs_metrics::{
    Counter, Family, Histogram, Observed, Surroundings,
    pattern::{Announcements, Home, Rules},
};

use self::{gate::Gate, samples::Samples, seeker::Seeker, wait::Entering};
use crate::{
    metrics::{self, Class},
    sync::{Mutex, lock},
};

label_set! {
    /// Why an adaptive limit refused a call.
    pub enum Saturated: "reason" {
        /// As many were in flight as its class may fill, and nobody may wait.
        Full = "full",
        /// And the queue was full, or its place there went to a more critical call.
        QueueFull = "queue_full",
        /// It waited as long as it may.
        Waited = "waited",
        /// It waited longer than twice the target in a queue that stands.
        Overdue = "overdue",
    }
}

/// Finds by itself how many calls may be in flight, and refuses the least critical of the others.
///
/// It lets more in while that makes calls no slower and none is dropped, and fewer when it does. Timed
/// out calls and those that the dependency throttled count as dropped; other failures, ignored results
/// and cancelled calls say nothing. It grows only while at least half of it is used.
///
/// Put it inside the retry and the breaker and around the attempt's time limit, instead of a bulkhead.
/// A [`Bulkhead`](crate::Bulkhead) is better where the right number is known, such as that of the
/// connections in a pool.
///
/// ```
/// use rs_core::{Call, Criticality, Guard, Outcome};
/// use rs_policies::{AdaptiveConfig, AdaptiveLimit};
///
/// let limit = AdaptiveLimit::new("search", AdaptiveConfig::default().beginning_at(10))?;
/// let batch = Call::new("reindex").with_criticality(Criticality::Sheddable);
/// let permits: Vec<_> = std::iter::from_fn(|| limit.try_admit(&batch).ok()).collect();
/// assert_eq!(permits.len(), 6);
/// assert_eq!(
///     limit.try_admit(&batch).unwrap_err().to_string(),
///     "adaptive_limit `search` refused the call: full (calls in flight 6, limit 6)",
/// );
/// // What people wait for still has room.
/// limit.try_admit(&Call::new("search"))?.finish(Outcome::Success);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Cancel safety
/// A call that is dropped while it waits leaves the queue, and hands on a place that it was just given.
#[derive(Clone)]
pub struct AdaptiveLimit(Arc<Inner>);

struct Inner {
    home: Home,
    rules: Rules<AdaptiveConfig>,
    gate: Gate,
    samples: Samples,
    seeker: Mutex<Seeker>,
    origin: Instant,
    /// When the window may end, in nanoseconds since the origin.
    due: AtomicU64,
    /// Times that are known before this say nothing, nor do drops of calls that began before that.
    times_from: AtomicU64,
    drops_from: AtomicU64,
    generation: AtomicU64,
    /// Whether some refusals are only counted, for those who are in a hurry.
    is_lenient: AtomicBool,
    found: Found,
    refused: Family<Counter, (Saturated, Class)>,
    dark: Family<Counter>,
    waits: Family<Histogram>,
    observed: OnceLock<[Observed; 6]>,
}

/// What was found last, for those who only look.
#[derive(Debug, Default)]
struct Found {
    limit: AtomicU64,
    /// The bits of seconds.
    time: AtomicU64,
    unloaded: AtomicU64,
    dropped: AtomicU64,
    stale: AtomicU64,
}

static ANNOUNCED: Announcements = Announcements::of("adaptive_limit");
static IN_FLIGHT: Measure = Measure::new("calls in flight", Unit::Count);
static WAITING: Measure = Measure::new("calls waiting", Unit::Count);
static WAITED_FOR: Measure = Measure::new("waited", Unit::Seconds);
static FULL: Reason = Reason::new("adaptive_limit", "full").judging(&IN_FLIGHT);
static QUEUE_FULL: Reason = Reason::new("adaptive_limit", "queue_full").judging(&WAITING);
static WAITED: Reason = Reason::new("adaptive_limit", "waited").judging(&WAITED_FOR);
static OVERDUE: Reason = Reason::new("adaptive_limit", "overdue").judging(&WAITED_FOR);
/// What an admitted call carries: when it began, and under which rules.
#[derive(Debug, Clone, Copy)]
pub struct AdaptiveTicket {
    began: Instant,
    generation: u64,
}

impl AdaptiveLimit {
    /// A limit of this name.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`AdaptiveConfig::check`].
    pub fn new(name: impl Into<Name>, config: AdaptiveConfig) -> Result<Self, ConfigError> {
        Self::within(&Surroundings::of_process(), name, config)
    }

    /// The same in these surroundings.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`AdaptiveConfig::check`].
    pub fn within(
        around: &Surroundings,
        name: impl Into<Name>,
        config: AdaptiveConfig,
    ) -> Result<Self, ConfigError> {
        let home = Home::new(around, name.into());
        let (name, registry, origin) = (home.name, home.metrics(), around.clock().now());
        let rules = Rules::new(config.clone())?;
        let is_lenient = config.enforced() != Enforcement::Full;
        let found = Found::default();
        found
            .limit
            .store(config.initial().into(), Ordering::Relaxed);
        let inner = Arc::new(Inner {
            rules,
            gate: Gate::new(&config),
            samples: Samples::new(),
            due: AtomicU64::new(u64::try_from(config.window().as_nanos()).unwrap_or(u64::MAX)),
            seeker: Mutex::new(Seeker::new(config, origin, around.dice(name.as_str()))),
            origin,
            times_from: AtomicU64::new(0),
            drops_from: AtomicU64::new(0),
            generation: AtomicU64::new(1),
            is_lenient: AtomicBool::new(is_lenient),
            found,
            refused: metrics::ADAPTIVE_REJECTED.bind_in(&registry, name),
            dark: metrics::ADAPTIVE_DARK.bind_in(&registry, name),
            waits: metrics::ADAPTIVE_WAIT.bind_in(&registry, name),
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
    pub fn config(&self) -> AdaptiveConfig {
        (*self.0.rules.get()).clone()
    }

    /// Goes by this from now on, with the limit and the times found so far. Calls that run and wait stay
    /// where they are; results of calls that began before say nothing. The version that is in force then.
    ///
    /// # Errors
    /// When it is wrong; the old one stays in force.
    pub fn reconfigure(&self, config: AdaptiveConfig) -> Result<u64, ConfigError> {
        self.0.reconfigure(config)
    }

    /// How many calls may be in flight, as far as is known.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.0.found.limit.load(Ordering::Relaxed) as u32
    }

    /// How many may be in flight at this moment for a call of this class to be let in. Less than its
    /// share of the limit while unloaded calls are measured.
    #[must_use]
    pub fn limit_for(&self, class: Criticality) -> u32 {
        self.0.gate.limit_for(class)
    }

    /// How many calls are in flight.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.0.gate.in_flight()
    }

    /// How many calls wait.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.0.gate.waiting()
    }

    /// How long a call takes that nobody is before, as last measured.
    #[must_use]
    pub fn unloaded_time(&self) -> Option<Duration> {
        known(&self.0.found.unloaded)
    }

    /// How many calls of this class it refused for this reason.
    #[must_use]
    pub fn refused(&self, reason: Saturated, class: Criticality) -> u64 {
        self.0.refused[(reason, class.into())].value()
    }

    /// How many calls had to wait or would have been refused, but for dark mode.
    #[must_use]
    pub fn would_have_held_up(&self) -> u64 {
        self.0.dark.value()
    }
}

fn known(seconds: &AtomicU64) -> Option<Duration> {
    let seconds = f64::from_bits(seconds.load(Ordering::Relaxed));
    let time = Duration::try_from_secs_f64(seconds).ok()?;
    (!time.is_zero()).then_some(time)
}

impl Inner {
    fn reconfigure(&self, config: AdaptiveConfig) -> Result<u64, ConfigError> {
        self.rules
            .replace(&self.home, &ANNOUNCED, config, |config| {
                let now = self.home.around.clock().now();
                let mut seeker = lock(&self.seeker);
                let is_lenient = config.enforced() != Enforcement::Full;
                self.is_lenient.store(is_lenient, Ordering::Relaxed);
                self.generation.fetch_add(1, Ordering::Relaxed);
                self.samples.take();
                let decision = seeker.reconfigure(config.clone(), now);
                self.gate.reconfigure(config);
                self.publish(&seeker, decision, now);
            })
    }

    #[inline]
    fn ticket(&self) -> AdaptiveTicket {
        self.ticket_at(self.home.around.clock().now())
    }

    #[inline]
    fn ticket_at(&self, now: Instant) -> AdaptiveTicket {
        AdaptiveTicket {
            began: now,
            generation: self.generation.load(Ordering::Relaxed),
        }
    }

    #[inline]
    fn nanos(&self, moment: Instant) -> u64 {
        let age = moment.saturating_duration_since(self.origin).as_nanos();
        u64::try_from(age).unwrap_or(u64::MAX)
    }

    /// In the dark whoever finds no place is let in nevertheless.
    #[cold]
    fn is_let_in(&self, call: &Call) -> bool {
        let let_in =
            self.is_lenient.load(Ordering::Relaxed) && !self.rules.get().enforced().covers(call);
        if let_in {
            self.gate.take_anyway();
            self.dark.increment();
        }
        let_in
    }

    #[cold]
    fn refuse(&self, why: Saturated, call: &Call, observed: f64, limit: f64) -> Rejection {
        self.refused[(why, call.criticality().into())].increment();
        let reason = match why {
            Saturated::Full => &FULL,
            Saturated::QueueFull => &QUEUE_FULL,
            Saturated::Waited => &WAITED,
            Saturated::Overdue => &OVERDUE,
        };
        reason
            .reject(self.home.name)
            .because(observed, limit)
            .in_generation(self.generation.load(Ordering::Relaxed))
    }

    fn refuse_full(&self, call: &Call) -> Rejection {
        let limit = self.gate.limit_for(call.criticality()).into();
        self.refuse(Saturated::Full, call, self.gate.in_flight().into(), limit)
    }

    fn refuse_queue_full(&self, call: &Call) -> Rejection {
        let (waiting, length) = (self.gate.waiting(), self.gate.length());
        self.refuse(Saturated::QueueFull, call, waiting.into(), length.into())
    }

    fn refuse_waited(
        &self,
        why: Saturated,
        call: &Call,
        waited: Duration,
        limit: Duration,
    ) -> Rejection {
        self.refuse(why, call, waited.as_secs_f64(), limit.as_secs_f64())
    }
}

impl Guard for AdaptiveLimit {
    type Ticket = AdaptiveTicket;

    #[inline]
    fn try_enter(&self, call: &Call) -> Result<AdaptiveTicket, Rejection> {
        if self.0.gate.try_take(call.criticality()) || self.0.is_let_in(call) {
            return Ok(self.0.ticket());
        }
        Err(self.0.refuse_full(call))
    }

    #[inline]
    fn enter(&self, call: &Call) -> impl Future<Output = Result<AdaptiveTicket, Rejection>> + Send {
        Entering::new(&self.0, call)
    }

    #[inline]
    fn leave(&self, ticket: AdaptiveTicket, ending: Ending) {
        let inner = &*self.0;
        let clock = inner.home.around.clock();
        match ending {
            Ending::Finished { outcome, elapsed } if outcome != Outcome::Ignored => {
                let now = match elapsed {
                    Some(elapsed) => Deadline::after(ticket.began, elapsed).moment(),
                    None => clock.now(),
                };
                let in_flight = inner.gate.give_back(|| now);
                inner.ended(ticket, outcome, now, in_flight);
            }
            _ => {
                inner.gate.give_back(|| clock.now());
            }
        }
    }

    #[inline]
    fn enter_at_once(&self, call: &Call) -> Option<Result<AdaptiveTicket, Rejection>> {
        let taken = self.0.gate.try_take(call.criticality());
        taken.then(|| Ok(self.0.ticket()))
    }

    fn outline(&self) -> Outline {
        let config = self.config();
        let (least, most) = (config.minimum(), config.maximum());
        let said = format!("{least} to {most} at once, as it finds");
        let outline = Outline::of("adaptive_limit");
        match config.queue() {
            None => outline.saying(said),
            Some(queue) => {
                let (length, wait) = (queue.length(), queue.longest());
                let shown = humane::show_duration(wait);
                outline
                    .saying(format!("{said}, {length} wait up to {shown}"))
                    .waiting_up_to(wait)
            }
        }
    }
}
