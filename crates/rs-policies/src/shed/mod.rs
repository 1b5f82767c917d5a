mod config;
mod odds;
mod tally;
mod window;

pub use config::LoadShedConfig;

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rs_core::{
    Call, ConfigError, Criticality, Ending, FaultKind, Guard, Health, Inspect, Label, Measure,
    Name, Outcome, Outline, Reason, Rejection, Severity, Share, SignalKind, Unit, Value,
};
use rs_metrics::{
    Counter, Family, Observed, Surroundings,
    pattern::{Announcements, Home, Rules},
};

use self::{odds::CLASSES, tally::Tally, window::Window};
use crate::metrics::{self, Class};

/// Refuses calls before they are sent to a dependency that refuses too many of them: refusing costs it
/// work, too.
///
/// As in Google's book on site reliability: a call is refused with the probability
/// (requests − K · accepts) / (requests + 1), so that the dependency receives about K calls for each that
/// it accepts, and none is refused while it accepts at least one of K. What is too much is taken from the
/// least critical calls first.
///
/// Calls that the dependency throttled were not accepted. All others that it answered were, also those
/// that failed: the book counts what the dependency took on, and a breaker counts failures. Ignored
/// results and cancelled calls are not counted at all.
///
/// It belongs outside the retry or the breaker only if each attempt passes it; see
/// [`Policy`](rs_core::Policy) for the order. It cannot help when the dependency does not refuse but
/// becomes slow: an [`AdaptiveLimit`](crate::AdaptiveLimit) can.
///
/// ```
/// use rs_core::{Call, Fault, Guard, Outcome};
/// use rs_policies::{LoadShed, LoadShedConfig};
///
/// let shed = LoadShed::new("search", LoadShedConfig::default())?;
/// for _ in 0..1000 {
///     if let Ok(permit) = shed.try_admit(&Call::new("search")) {
///         permit.finish(Fault::throttled().into());
///     }
/// }
/// let refused = std::iter::repeat_with(|| shed.try_admit(&Call::new("search")).err());
/// let refused = refused.take(1000).flatten().next().unwrap();
/// assert!(refused.to_string().starts_with("load_shed `search` refused the call: shed (accepted 0%, limit 50%"));
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
///
/// # Cancel safety
/// A call that is dropped is not counted.
#[derive(Clone)]
pub struct LoadShed(Arc<Inner>);

struct Inner {
    home: Home,
    rules: Rules<LoadShedConfig>,
    tally: Tally,
    known: Mutex<Known>,
    /// The odds of each class, of 2^32; and the share that was accepted, in bits.
    odds: [AtomicU64; CLASSES],
    accepted: AtomicU64,
    counts_timeouts: AtomicBool,
    refused: Family<Counter, Class>,
    dark: Family<Counter, Class>,
    observed: OnceLock<[Observed; 2]>,
}

/// What the odds follow from, and what was said of them.
#[derive(Debug)]
struct Known {
    window: Window,
    /// Whether it was last said that calls are refused, and when.
    said: (bool, Option<Instant>),
}

/// It is not said more often: at the edge the odds come and go.
const QUIET: Duration = Duration::from_secs(10);

static ANNOUNCED: Announcements = Announcements::of("load_shed");
static ACCEPTED: Measure = Measure::new("accepted", Unit::Share);
static SHED: Reason = Reason::new("load_shed", "shed").judging(&ACCEPTED);
static BEGAN: SignalKind = SignalKind::new(
    "load_shed",
    "began",
    Severity::Warning,
    "refuses calls: the dependency accepts {accepted}",
);
static ENDED: SignalKind = SignalKind::new(
    "load_shed",
    "ended",
    Severity::Info,
    "lets all calls through again",
);

/// Certain.
const WHOLE: f64 = 4_294_967_296.0;

/// What an admitted call carries: how critical it is.
#[derive(Debug, Clone, Copy)]
pub struct ShedTicket(Criticality);

impl LoadShed {
    /// One of this name.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`LoadShedConfig::check`].
    pub fn new(name: impl Into<Name>, config: LoadShedConfig) -> Result<Self, ConfigError> {
        Self::within(&Surroundings::of_process(), name, config)
    }

    /// The same in these surroundings.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`LoadShedConfig::check`].
    pub fn within(
        around: &Surroundings,
        name: impl Into<Name>,
        config: LoadShedConfig,
    ) -> Result<Self, ConfigError> {
        let home = Home::new(around, name.into());
        let (name, registry) = (home.name, home.metrics());
        let inner = Arc::new(Inner {
            rules: Rules::new(config)?,
            tally: Tally::new(around.dice(name.as_str())),
            known: Mutex::new(Known {
                window: Window::new(config.window(), around.clock().now()),
                said: (false, None),
            }),
            odds: std::array::from_fn(|_| AtomicU64::new(0)),
            accepted: AtomicU64::new(1.0_f64.to_bits()),
            counts_timeouts: AtomicBool::new(config.counts_timeouts()),
            refused: metrics::SHED_REJECTED.bind_in(&registry, name),
            dark: metrics::SHED_DARK.bind_in(&registry, name),
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
    pub fn config(&self) -> LoadShedConfig {
        *self.0.rules.get()
    }

    /// Goes by this from now on, and keeps what was counted. The version that is in force then.
    ///
    /// # Errors
    /// When it is wrong; the old one stays in force.
    pub fn reconfigure(&self, config: LoadShedConfig) -> Result<u64, ConfigError> {
        self.0.reconfigure(config)
    }

    /// How likely a call of this class is to be refused, from 0 to 1.
    #[must_use]
    pub fn probability(&self, class: Criticality) -> f64 {
        self.0.look();
        self.0.odds_of(class) as f64 / WHOLE
    }

    /// How many calls of this class it refused.
    #[must_use]
    pub fn refused(&self, class: Criticality) -> u64 {
        self.0.refused[Class::from(class)].value()
    }

    /// How many calls of this class it would have refused, but for dark mode.
    #[must_use]
    pub fn would_have_refused(&self, class: Criticality) -> u64 {
        self.0.dark[Class::from(class)].value()
    }
}

impl Inner {
    #[inline]
    fn odds_of(&self, class: Criticality) -> u64 {
        self.odds[class as usize].load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The dice fall for a call that may be refused.
    #[cold]
    fn judge(&self, call: &Call, odds: u64) -> Result<(), Rejection> {
        let class = call.criticality();
        let falls = self.tally.throw() < odds;
        if self.tally.is_one_of(8) {
            self.look();
        }
        if !falls {
            return Ok(());
        }
        let rules = self.rules.get();
        if !rules.enforced().covers(call) {
            self.dark[Class::from(class)].increment();
            return Ok(());
        }
        self.tally.shed(class);
        self.refused[Class::from(class)].increment();
        let accepted = f64::from_bits(self.accepted.load(Ordering::Relaxed));
        let limit = 1.0 / rules.for_each_accepted();
        Err(SHED.reject(self.home.name).because(accepted, limit))
    }

    /// Brings the odds up to date, if nobody else does so at this moment.
    #[cold]
    fn look(&self) {
        let rules = self.rules.get();
        let Ok(mut known) = self.known.try_lock() else {
            return;
        };
        let now = self.home.around.clock().now();
        known.window.count(now, self.tally.totals());
        self.publish(known, &rules, now);
    }

    fn publish(&self, mut known: MutexGuard<'_, Known>, rules: &LoadShedConfig, now: Instant) {
        let came = known.window.came();
        let odds = odds::odds(&came, rules);
        for (known, odds) in self.odds.iter().zip(odds) {
            known.store((odds * WHOLE) as u64, Ordering::Relaxed);
        }
        let requests: f64 = came.iter().map(|class| class.requests).sum();
        let accepts: f64 = came.iter().map(|class| class.accepts).sum();
        let accepted = if requests > 0.0 {
            accepts / requests
        } else {
            1.0
        };
        self.accepted.store(accepted.to_bits(), Ordering::Relaxed);
        let refuses = odds.iter().any(|odds| *odds > 0.0);
        let (said, at) = known.said;
        let is_quiet = at.is_some_and(|at| now.saturating_duration_since(at) < QUIET);
        if refuses == said || is_quiet {
            return;
        }
        known.said = (refuses, Some(now));
        drop(known);
        self.home.record(|| match refuses {
            true => BEGAN.signal(self.home.name).with(ACCEPTED.at(accepted)),
            false => ENDED.signal(self.home.name),
        });
    }

    fn reconfigure(&self, config: LoadShedConfig) -> Result<u64, ConfigError> {
        self.rules
            .replace(&self.home, &ANNOUNCED, config, |config| {
                let timeouts = config.counts_timeouts();
                self.counts_timeouts.store(timeouts, Ordering::Relaxed);
                let (mut known, now) = (self.lock(), self.home.around.clock().now());
                known.window.count(now, self.tally.totals());
                known.window.resize(config.window());
                self.publish(known, config, now);
            })
    }

    /// Whether the dependency took the call on; `None` if that is not known.
    #[inline]
    fn was_accepted(&self, ending: Ending) -> Option<bool> {
        match ending.outcome()? {
            Outcome::Success => Some(true),
            Outcome::Ignored => None,
            Outcome::Failure(fault) => Some(match fault.kind() {
                FaultKind::Throttled => false,
                FaultKind::TimedOut => !self.counts_timeouts.load(Ordering::Relaxed),
                _ => true,
            }),
        }
    }
}

impl Guard for LoadShed {
    type Ticket = ShedTicket;

    #[inline]
    fn try_enter(&self, call: &Call) -> Result<ShedTicket, Rejection> {
        let class = call.criticality();
        match self.0.odds_of(class) {
            0 => {}
            odds => self.0.judge(call, odds)?,
        }
        Ok(ShedTicket(class))
    }

    #[inline]
    fn leave(&self, ShedTicket(class): ShedTicket, ending: Ending) {
        let inner = &*self.0;
        match inner.was_accepted(ending) {
            None => {}
            Some(true) => {
                inner.tally.accepted(class);
                if inner.tally.is_one_of(64) {
                    inner.look();
                }
            }
            Some(false) => {
                inner.tally.throttled(class);
                // The first one matters; when calls are refused already, a few are enough.
                if inner.odds_of(class) == 0 || inner.tally.is_one_of(8) {
                    inner.look();
                }
            }
        }
    }

    #[inline]
    fn enter_at_once(&self, call: &Call) -> Option<Result<ShedTicket, Rejection>> {
        Some(self.try_enter(call))
    }

    fn outline(&self) -> Outline {
        let accepted = self.config().for_each_accepted();
        Outline::of("load_shed").saying(format!("up to {accepted} calls for each that is accepted"))
    }
}

impl Inner {
    /// Exports what it counts anyway.
    fn watch(of: &Arc<Self>) -> [Observed; 2] {
        let home = &of.home;
        [
            home.observe(&metrics::SHED_THROTTLED, of, |of, class| {
                of.tally.throttled_of(class)
            }),
            home.observe(&metrics::SHED_PROBABILITY, of, |of, class| {
                of.probability(class)
            }),
        ]
    }

    fn probability(&self, class: Class) -> f64 {
        self.look();
        self.odds[class.index()].load(Ordering::Relaxed) as f64 / WHOLE
    }
}

impl Inspect for Inner {
    rs_metrics::inspect_rules!("load_shed");

    fn health(&self) -> Health {
        let refused = Class::ALL.iter().map(|class| self.probability(*class));
        match refused.fold(0.0, f64::max) {
            refused if refused > 0.0 => {
                let share = Share::of(refused).unwrap_or(Share::ALL);
                Health::degraded(format!("refuses {share} of the least critical calls"))
            }
            _ => Health::UP,
        }
    }

    fn snapshot(&self) -> Value {
        self.look();
        let (rules, came) = (self.rules.get(), self.lock().window.came());
        let classes = Class::ALL.iter().zip(came).map(|(class, came)| {
            let odds = self.odds[class.index()].load(Ordering::Relaxed) as f64 / WHOLE;
            let shown = Value::map([
                ("calls", Value::from(came.requests.round())),
                ("accepted", came.accepts.round().into()),
                ("probability", odds.into()),
                ("refused", self.refused[*class].value().into()),
                ("would_have_refused", self.dark[*class].value().into()),
            ]);
            (class.as_str(), shown)
        });
        Value::map([
            ("for_each_accepted", Value::from(rules.for_each_accepted())),
            ("window", rules.window().into()),
            ("classes", Value::map(classes)),
            ("config_version", self.rules.version().into()),
        ])
    }
}

impl fmt::Debug for LoadShed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadShed")
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}
