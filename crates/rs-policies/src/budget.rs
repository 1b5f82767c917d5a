use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rs_core::{
    ConfigError, FaultKind, Health, Inspect, Measure, Name, Rate, Severity, Share, SignalKind,
    Striped, Unit, Value, config,
};
use rs_metrics::{
    Observed, Surroundings,
    pattern::{Announcements, Checked, Home, Rules},
};

use crate::metrics;

/// How much may be added to the load of a dependency by trying again: a share of the calls.
///
/// Share one between everything that reaches the same dependency, retries and hedges alike: it then
/// never receives more than (1 + share) times its load in any ten seconds, plus a small rate that lets
/// those retry who call seldom. Each further try costs a token, and a dearer one several.
///
/// ```
/// use rs_core::FaultKind;
/// use rs_policies::{Budget, BudgetConfig};
///
/// let budget = Budget::new("payments", BudgetConfig::of("10%".parse()?).at_least("0/s".parse()?))?;
/// for _ in 0..100 {
///     budget.deposit();
/// }
/// assert!((0..10).all(|_| budget.withdraw(FaultKind::Transient)));
/// assert!(!budget.withdraw(FaultKind::Transient));
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct Budget(Arc<Inner>);

/// How large a [`Budget`] is, and what things cost.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
pub struct BudgetConfig {
    ratio: Share,
    at_least: Rate,
    costs: Costs,
}

/// How many tokens it costs to try again after each kind of failure.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
pub struct Costs {
    /// After one that may pass.
    pub transient: f64,
    /// After a time limit: the dependency may still be at work on the first try.
    pub timed_out: f64,
    /// After the dependency asked for fewer calls.
    pub throttled: f64,
}

impl Default for Costs {
    /// 1, 2 and 2.
    fn default() -> Self {
        Self {
            transient: 1.0,
            timed_out: 2.0,
            throttled: 2.0,
        }
    }
}

impl BudgetConfig {
    /// This share of the calls.
    #[must_use]
    pub fn of(ratio: Share) -> Self {
        Self {
            ratio,
            ..Self::default()
        }
    }

    /// At least so many tokens in a time, however few calls there are.
    #[must_use]
    pub const fn at_least(mut self, rate: Rate) -> Self {
        self.at_least = rate;
        self
    }

    /// With these costs.
    #[must_use]
    pub const fn with_costs(mut self, costs: Costs) -> Self {
        self.costs = costs;
        self
    }

    /// The share of the calls.
    #[must_use]
    pub const fn ratio(&self) -> Share {
        self.ratio
    }

    fn cost_of(&self, kind: FaultKind) -> f64 {
        match kind {
            FaultKind::TimedOut => self.costs.timed_out,
            FaultKind::Throttled => self.costs.throttled,
            _ => self.costs.transient,
        }
    }
}

impl Default for BudgetConfig {
    /// A fifth of the calls, and at least one a second.
    fn default() -> Self {
        Self {
            ratio: Share::of(0.2).unwrap_or(Share::NONE),
            #[expect(clippy::expect_used, reason = "one in a second is a rate")]
            at_least: Rate::new(1.0, Duration::from_secs(1)).expect("a rate"),
            costs: Costs::default(),
        }
    }
}

impl Checked for BudgetConfig {
    fn check(&self) -> Result<(), ConfigError> {
        config::in_range("at_least", self.at_least.per_second(), 0.0..=1e6)?;
        let costs = [
            ("transient", self.costs.transient),
            ("timed_out", self.costs.timed_out),
            ("throttled", self.costs.throttled),
        ];
        for (field, cost) in costs {
            config::in_range(field, cost, 0.1..=1000.0).map_err(|error| error.in_field("costs"))?;
        }
        Ok(())
    }
}

struct Inner {
    home: Home,
    rules: Rules<BudgetConfig>,
    /// Calls that were ever counted.
    calls: Striped<AtomicU64>,
    window: Mutex<Window>,
    withdrawn: AtomicU64,
    exhausted: AtomicU64,
    observed: OnceLock<[Observed; 3]>,
}

static ANNOUNCED: Announcements = Announcements::of("budget");
static SPENT: Measure = Measure::new("spent", Unit::Count);
static CALLS: Measure = Measure::new("calls", Unit::Count);
static EXHAUSTED: SignalKind = SignalKind::new(
    "budget",
    "exhausted",
    Severity::Warning,
    "is used up, {spent} spent for {calls} calls in 10s: failures are not tried again",
);

impl Budget {
    /// Over how long calls and tries are set against each other.
    pub const WINDOW: Duration = Duration::from_secs(10);

    /// A budget of this name.
    ///
    /// # Errors
    /// When the configuration is wrong.
    pub fn new(name: impl Into<Name>, config: BudgetConfig) -> Result<Self, ConfigError> {
        Self::within(&Surroundings::of_process(), name, config)
    }

    /// The same in these surroundings.
    ///
    /// # Errors
    /// When the configuration is wrong.
    pub fn within(
        around: &Surroundings,
        name: impl Into<Name>,
        config: BudgetConfig,
    ) -> Result<Self, ConfigError> {
        let inner = Arc::new(Inner {
            home: Home::new(around, name.into()),
            rules: Rules::new(config)?,
            calls: Striped::new(AtomicU64::default),
            window: Mutex::new(Window::new(around.clock().now())),
            withdrawn: AtomicU64::new(0),
            exhausted: AtomicU64::new(0),
            observed: OnceLock::new(),
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
    pub fn config(&self) -> BudgetConfig {
        *self.0.rules.get()
    }

    /// Goes by this from now on, and keeps what was counted. The version that is in force then.
    ///
    /// # Errors
    /// When it is wrong; the old one stays in force.
    pub fn reconfigure(&self, config: BudgetConfig) -> Result<u64, ConfigError> {
        self.0.reconfigure(config)
    }

    /// Counts a call that reached the dependency for the first time.
    #[inline]
    pub fn deposit(&self) {
        let before = self.0.calls.local().fetch_add(1, Ordering::Relaxed);
        // One in 64 looks at the clock, so that no long stretch of calls is taken for those of a moment.
        if before % 64 == 63 {
            self.0.look();
        }
    }

    /// Takes the tokens for one more try after a failure of this kind, if there are enough.
    #[must_use]
    pub fn withdraw(&self, kind: FaultKind) -> bool {
        self.0.withdraw(kind)
    }

    /// Whether both are handles of one budget.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// How many tokens there are.
    #[must_use]
    pub fn balance(&self) -> f64 {
        self.0.balance()
    }

    /// How many tries it was asked for in vain.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.0.exhausted.load(Ordering::Relaxed)
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that were ever counted.
    fn counted(&self) -> u64 {
        self.calls
            .iter()
            .map(|calls| calls.load(Ordering::Relaxed))
            .sum()
    }

    #[inline(never)]
    fn look(&self) {
        if let Ok(mut window) = self.window.try_lock() {
            let now = self.home.around.clock().now();
            window.count(now, self.counted());
        }
    }

    fn withdraw(&self, kind: FaultKind) -> bool {
        let (now, rules) = (self.home.around.clock().now(), self.rules.get());
        let cost = rules.cost_of(kind);
        let mut window = self.lock();
        window.count(now, self.counted());
        let enough = window.balance(&rules) + Window::LOST >= cost;
        if enough {
            window.spend(cost);
            drop(window);
            self.withdrawn.fetch_add(1, Ordering::Relaxed);
            return true;
        }
        let (spent, calls) = (window.spent(), window.calls());
        let is_news = window.is_news(now);
        drop(window);
        self.exhausted.fetch_add(1, Ordering::Relaxed);
        if is_news {
            self.home.record(|| {
                let signal = EXHAUSTED.signal(self.home.name);
                signal
                    .with(SPENT.at(spent.round()))
                    .with(CALLS.at(calls.round()))
            });
        }
        false
    }

    fn balance(&self) -> f64 {
        let (now, rules) = (self.home.around.clock().now(), self.rules.get());
        let mut window = self.lock();
        window.count(now, self.counted());
        window.balance(&rules).max(0.0)
    }

    fn reconfigure(&self, config: BudgetConfig) -> Result<u64, ConfigError> {
        self.rules.replace(&self.home, &ANNOUNCED, config, |_| ())
    }
}

/// The last ten seconds, in slices.
#[derive(Debug)]
struct Window {
    slices: [Slice; Window::SLICES + 1],
    /// The slice that `now` was in when somebody last looked.
    newest: u64,
    origin: Instant,
    /// When somebody last looked, and how many calls were counted by then.
    looked: Duration,
    counted: u64,
    said: Option<Instant>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slice {
    calls: f64,
    spent: f64,
}

impl Window {
    const SLICES: usize = 20;
    const SLICE: Duration = Duration::from_millis(500);
    /// What may get lost of a token when calls are spread over slices.
    const LOST: f64 = 1e-6;

    fn new(origin: Instant) -> Self {
        Self {
            slices: [Slice::default(); Self::SLICES + 1],
            newest: 0,
            origin,
            looked: Duration::ZERO,
            counted: 0,
            said: None,
        }
    }

    /// So many calls were ever counted by now; those that are new are spread over the time since somebody
    /// last looked.
    fn count(&mut self, now: Instant, counted: u64) {
        let age = now.saturating_duration_since(self.origin).max(self.looked);
        let fresh = counted.saturating_sub(self.counted) as f64;
        let (from, since) = (self.looked, age - self.looked);
        self.advance(slice_of(age));
        (self.looked, self.counted) = (age, counted.max(self.counted));
        if fresh == 0.0 {
            return;
        }
        if since.is_zero() {
            self.slice(self.newest).calls += fresh;
            return;
        }
        let first = slice_of(from).max(self.newest.saturating_sub(Self::SLICES as u64));
        for slice in first..=self.newest {
            let begin = from.max(Self::SLICE * u32::try_from(slice).unwrap_or(u32::MAX));
            let end = age.min(Self::SLICE * u32::try_from(slice + 1).unwrap_or(u32::MAX));
            let part = end.saturating_sub(begin).as_secs_f64() / since.as_secs_f64();
            self.slice(slice).calls += fresh * part;
        }
    }

    fn advance(&mut self, to: u64) {
        let steps = to.saturating_sub(self.newest).min(Self::SLICES as u64 + 1);
        for step in 0..steps {
            *self.slice(to - step) = Slice::default();
        }
        self.newest = self.newest.max(to);
    }

    fn slice(&mut self, number: u64) -> &mut Slice {
        &mut self.slices[number as usize % (Self::SLICES + 1)]
    }

    fn spend(&mut self, cost: f64) {
        self.slice(self.newest).spent += cost;
    }

    /// Of ten seconds at most: the oldest slice is behind them in part, and is left out.
    fn calls(&self) -> f64 {
        let oldest = self.newest + 1;
        let oldest = oldest as usize % (Self::SLICES + 1);
        let all: f64 = self.slices.iter().map(|slice| slice.calls).sum();
        all - self.slices[oldest].calls
    }

    /// Of ten seconds at least.
    fn spent(&self) -> f64 {
        self.slices.iter().map(|slice| slice.spent).sum()
    }

    fn balance(&self, rules: &BudgetConfig) -> f64 {
        let floor = rules.at_least.per_second() * Budget::WINDOW.as_secs_f64();
        self.calls() * rules.ratio.get() + floor - self.spent()
    }

    /// Whether it was not said for ten seconds.
    fn is_news(&mut self, now: Instant) -> bool {
        let is_old = |said: Instant| now.saturating_duration_since(said) >= Budget::WINDOW;
        let news = self.said.is_none_or(is_old);
        if news {
            self.said = Some(now);
        }
        news
    }
}

fn slice_of(age: Duration) -> u64 {
    (age.as_millis() / Window::SLICE.as_millis()) as u64
}

impl Inner {
    /// Exports what it counts anyway.
    fn watch(of: &Arc<Self>) -> [Observed; 3] {
        let home = &of.home;
        [
            home.observe(&metrics::BUDGET_BALANCE, of, |of, ()| of.balance()),
            home.observe(&metrics::BUDGET_WITHDRAWN, of, |of, ()| {
                of.withdrawn.load(Ordering::Relaxed)
            }),
            home.observe(&metrics::BUDGET_EXHAUSTED, of, |of, ()| {
                of.exhausted.load(Ordering::Relaxed)
            }),
        ]
    }
}

impl Inspect for Inner {
    rs_metrics::inspect_rules!("budget");

    fn health(&self) -> Health {
        match self.balance() < 1.0 {
            true => Health::degraded("used up, failures are not tried again"),
            false => Health::UP,
        }
    }

    fn snapshot(&self) -> Value {
        let rules = self.rules.get();
        Value::map([
            ("balance", Value::from(self.balance())),
            ("ratio", rules.ratio.into()),
            ("at_least", rules.at_least.into()),
            ("calls", self.counted().into()),
            ("withdrawn", self.withdrawn.load(Ordering::Relaxed).into()),
            ("refused", self.exhausted.load(Ordering::Relaxed).into()),
            ("config_version", self.rules.version().into()),
        ])
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("name", &self.name())
            .field("balance", &self.balance())
            .finish_non_exhaustive()
    }
}
