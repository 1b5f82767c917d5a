use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use rs_core::{
    AnyResult, Call, ConfigError, Failure, Health, Inspect, Measure, Name, Policy, Severity,
    SignalKind, Snapshot, Unit, Value,
};
use rs_metrics::{
    Surroundings,
    pattern::{GuardKind, Home},
};

use super::{
    Changes, HealthSummary, NamedPipeline, PipelineMetrics, Pipelines, ResilienceConfig,
    config::BudgetChoice,
    parts::{Maker, PartsOf},
};
use crate::{Budget, DynPipeline, Fallback, Instead, PlanError, Served};

/// All pipelines of a process by name: from code, from a configuration, from a file that may change while
/// calls go on.
///
/// ```
/// use rs_policies::{PipelineConfig, ResilienceConfig, ResilienceManager, RetryConfig};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let manager = ResilienceManager::new();
/// let payments = PipelineConfig::default()
///     .with_timeout(Duration::from_secs(2))
///     .with_retry(RetryConfig::default());
/// manager.apply(ResilienceConfig::default().with_pipeline("payments", payments))?;
///
/// let receipt = manager.execute("payments", async |_call| Ok::<_, std::io::Error>(17)).await?;
/// assert_eq!(receipt, 17);
/// assert_eq!(manager.metrics("payments").unwrap().succeeded, 1);
/// assert!(manager.health().is_up());
/// # Ok(()) }
/// ```
///
/// A new configuration keeps what stays: a part that is in both goes on with its window, its queue and the
/// calls in flight, by the new rules. One that is wrong anywhere is refused whole, and the old one stays in
/// force. The pipelines are those of [`Pipelines::of`] the same surroundings, so attributes find them.
///
/// Guards of other crates take part by a [`GuardKind`]: `ResilienceManager::new().knowing(BreakerKind)`.
///
/// With the feature `file`, `load` reads the configuration from TOML or JSON, and `follow` reads it again
/// whenever the file changes.
#[derive(Clone)]
pub struct ResilienceManager(Arc<Inner>);

pub(super) struct Inner {
    pub(super) home: Home,
    pipelines: Pipelines,
    kinds: RwLock<Vec<Arc<dyn GuardKind>>>,
    managed: Mutex<Managed>,
    #[cfg(feature = "file")]
    pub(super) source: Mutex<Option<super::file::Source>>,
}

/// What came from a configuration.
#[derive(Default)]
struct Managed {
    config: Arc<ResilienceConfig>,
    budgets: BTreeMap<String, Budget>,
    pipelines: BTreeMap<String, PartsOf>,
}

static ADDED: Measure = Measure::new("added", Unit::Count);
static CHANGED: Measure = Measure::new("changed", Unit::Count);
static REMOVED: Measure = Measure::new("removed", Unit::Count);
static TAKEN: SignalKind = SignalKind::new(
    "resilience",
    "reconfigured",
    Severity::Info,
    "has new pipelines: {added} added, {changed} changed, {removed} removed",
);
pub(super) static REFUSED: SignalKind = SignalKind::new(
    "resilience",
    "reconfiguration_refused",
    Severity::Warning,
    "keeps its pipelines, the new configuration is wrong",
);

impl ResilienceManager {
    /// A manager of the pipelines of the process.
    #[must_use]
    pub fn new() -> Self {
        Self::within(&Surroundings::of_process())
    }

    /// A manager of the pipelines of these surroundings.
    #[must_use]
    pub fn within(around: &Surroundings) -> Self {
        let inner = Arc::new(Inner {
            home: Home::new(around, Name::of("resilience")),
            pipelines: Pipelines::of(around),
            kinds: RwLock::default(),
            managed: Mutex::default(),
            #[cfg(feature = "file")]
            source: Mutex::default(),
        });
        inner.home.register(&inner);
        Self(inner)
    }

    /// Knows this kind of guard, too. Pipelines have their guards in the order in which the kinds became
    /// known, the first being outermost.
    #[must_use]
    pub fn knowing(self, kind: impl GuardKind) -> Self {
        let mut kinds = self.0.kinds.write().unwrap_or_else(PoisonError::into_inner);
        kinds.push(Arc::new(kind));
        drop(kinds);
        self
    }

    /// The pipelines, by name.
    #[must_use]
    pub fn pipelines(&self) -> &Pipelines {
        &self.0.pipelines
    }

    /// Adds a pipeline, or any other policy, that code made; the one before, if there was one.
    ///
    /// # Errors
    /// When the configuration has a pipeline of this name.
    pub fn add<P>(
        &self,
        name: impl Into<Name>,
        policy: P,
    ) -> Result<Option<DynPipeline>, ConfigError>
    where
        P: AnyResult + 'static,
    {
        let name = name.into();
        let managed = self.0.managed();
        if managed.pipelines.contains_key(name.as_str()) {
            let problem = format!("the configuration has a pipeline `{name}`");
            return Err(ConfigError::other(problem));
        }
        Ok(self.0.pipelines.register(name, policy))
    }

    /// Goes by this configuration from now on. Pipelines that were added by code stay.
    ///
    /// # Errors
    /// What is wrong and where. Nothing has changed then.
    pub fn apply(&self, config: ResilienceConfig) -> Result<Changes, ConfigError> {
        self.0.apply(config).inspect_err(|error| {
            let home = &self.0.home;
            home.record(|| REFUSED.signal(home.name).noting(error.to_string()));
        })
    }

    /// What it goes by.
    #[must_use]
    pub fn config(&self) -> Arc<ResilienceConfig> {
        Arc::clone(&self.0.managed().config)
    }

    /// Whichever pipeline has this name when a call is made.
    #[must_use]
    pub fn named(&self, name: impl Into<Name>) -> NamedPipeline {
        self.0.pipelines.named(name)
    }

    /// Calls through the pipeline of this name.
    ///
    /// # Errors
    /// The failure that the pipeline could not prevent; a rejection if there is no such pipeline.
    ///
    /// # Cancel safety
    /// As that of the pipeline.
    pub async fn execute<T, E, F, Fut>(
        &self,
        name: impl Into<Name> + Send,
        attempt: F,
    ) -> Result<T, Failure<E>>
    where
        F: Fn(Call) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: Send,
    {
        let name = name.into();
        self.named(name).call(Call::new(name), attempt).await
    }

    /// The same, with what to answer where the call fails; the answer says where it is from.
    ///
    /// ```
    /// use rs_policies::{OrValue, Pipeline, ResilienceManager};
    /// # use std::io::Error;
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let manager = ResilienceManager::new();
    /// manager.add("prices", Pipeline::named("prices").build()?)?;
    ///
    /// let away = async |_call| Err(Error::other("away"));
    /// let price = manager.execute_or("prices", away, OrValue(250)).await?;
    /// assert!(price.is_degraded());
    /// assert_eq!(price.into_value(), 250);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The failure for which there was no answer, or that of what was to answer.
    ///
    /// # Cancel safety
    /// As that of the pipeline.
    pub async fn execute_or<T, E, F, Fut, S>(
        &self,
        name: impl Into<Name> + Send,
        attempt: F,
        instead: S,
    ) -> Result<Served<T>, Failure<E>>
    where
        F: Fn(Call) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
        S: Instead<T, E>,
        T: Send,
        E: Send,
    {
        let name = name.into();
        let pipeline = self.named(name);
        let fallback = Fallback::sharing(self.0.pipelines.slot(name).fallback(), instead);
        let operation = rs_core::operation(attempt);
        fallback
            .serve_operation(&Call::new(name), &pipeline, &operation)
            .await
    }

    /// What became of the calls of this pipeline; `None` if there is none.
    #[must_use]
    pub fn metrics(&self, name: impl Into<Name>) -> Option<PipelineMetrics> {
        let name = name.into();
        let slot = self.0.pipelines.known(name)?;
        slot.get().map(|_| PipelineMetrics::of(name, &slot))
    }

    /// What became of the calls of all pipelines, by name.
    #[must_use]
    pub fn all_metrics(&self) -> BTreeMap<Name, PipelineMetrics> {
        let registered = self.0.pipelines.registered().into_iter();
        registered
            .map(|(name, slot)| (name, PipelineMetrics::of(name, &slot)))
            .collect()
    }

    /// How all pipelines are.
    #[must_use]
    pub fn health(&self) -> HealthSummary {
        self.0.health_of_all()
    }

    #[cfg(feature = "file")]
    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }
}

impl Inner {
    fn managed(&self) -> MutexGuard<'_, Managed> {
        self.managed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn health_of_all(&self) -> HealthSummary {
        let registered = self.pipelines.registered().into_iter();
        let each = registered.map(|(name, slot)| (name, Snapshot::of(&*slot).health));
        HealthSummary::of(each.collect())
    }

    /// First everything is made apart, just to see whether it is right; then what stays is given its new
    /// rules, and what is new is made.
    pub(super) fn apply(&self, config: ResilienceConfig) -> Result<Changes, ConfigError> {
        let kinds = self.kinds.read().unwrap_or_else(PoisonError::into_inner);
        let kinds = kinds.clone();
        let mut managed = self.managed();
        self.check(&managed, &kinds, &config)?;

        let around = &self.home.around;
        let budgets = managed.budgets_by(around, &config)?;
        let mut changes = Changes::default();
        let mut pipelines = BTreeMap::new();
        for (written, wanted) in &config.pipelines {
            let name = Name::new(written);
            let before = managed.pipelines.get(written);
            let maker = Maker {
                around,
                name,
                budgets: &budgets,
                kinds: &kinds,
            };
            let of_this = |error: ConfigError| in_pipeline(error, written);
            let parts = PartsOf::by(before, wanted.clone(), &maker).map_err(of_this)?;
            match before {
                None => changes.added.push(name),
                Some(before) if managed.is_same(before, &config, wanted) => {
                    changes.unchanged.push(name);
                }
                Some(_) => changes.changed.push(name),
            }
            if !changes.unchanged.contains(&name) {
                let pipeline = parts
                    .pipeline(&maker)
                    .map_err(|error| of_this(error.into()))?;
                self.pipelines.put(name, pipeline, Some(parts.entries()));
            }
            pipelines.insert(written.clone(), parts);
        }
        let gone = managed.pipelines.keys();
        for written in gone.filter(|written| !pipelines.contains_key(*written)) {
            let name = Name::new(written);
            self.pipelines.remove(name);
            changes.removed.push(name);
        }
        *managed = Managed {
            config: Arc::new(config),
            budgets,
            pipelines,
        };
        drop(managed);
        self.announce(&changes);
        Ok(changes)
    }

    fn announce(&self, changes: &Changes) {
        let [added, changed, removed] =
            [&changes.added, &changes.changed, &changes.removed].map(|names| names.len() as f64);
        if added + changed + removed > 0.0 {
            self.home.record(|| {
                let signal = TAKEN.signal(self.home.name).with(ADDED.at(added));
                signal.with(CHANGED.at(changed)).with(REMOVED.at(removed))
            });
        }
    }

    fn check(
        &self,
        managed: &Managed,
        kinds: &[Arc<dyn GuardKind>],
        config: &ResilienceConfig,
    ) -> Result<(), ConfigError> {
        let apart = Surroundings::apart().with_clock(self.home.around.clock().clone());
        let budgets = Managed::default().budgets_by(&apart, config)?;
        for (written, wanted) in &config.pipelines {
            let name = Name::new(written);
            let of_this = |error: ConfigError| in_pipeline(error, written);
            if !managed.pipelines.contains_key(written) && self.pipelines.get(name).is_some() {
                let problem = "code has added a pipeline of this name";
                return Err(of_this(ConfigError::other(problem)));
            }
            let maker = Maker {
                around: &apart,
                name,
                budgets: &budgets,
                kinds,
            };
            let parts = PartsOf::by(None, wanted.clone(), &maker).map_err(of_this)?;
            parts
                .pipeline(&maker)
                .map_err(|error| of_this(error.into()))?;
        }
        Ok(())
    }
}

fn in_pipeline(error: ConfigError, written: &str) -> ConfigError {
    error.in_field(written).in_field("pipelines")
}

impl Managed {
    /// The shared budgets by this configuration; those that were there before stay.
    fn budgets_by(
        &self,
        around: &Surroundings,
        config: &ResilienceConfig,
    ) -> Result<BTreeMap<String, Budget>, ConfigError> {
        let wanted = config.budgets.iter();
        let made = wanted.map(|(written, wanted)| {
            let made = match self.budgets.get(written) {
                None => Budget::within(around, Name::new(written), *wanted),
                Some(known) if known.config() == *wanted => Ok(known.clone()),
                Some(known) => known.reconfigure(*wanted).map(|_| known.clone()),
            };
            let made = made.map_err(|error| error.in_field(written).in_field("budgets"))?;
            Ok((written.clone(), made))
        });
        made.collect()
    }

    /// Whether this pipeline stays as it is, its shared budget included.
    fn is_same(
        &self,
        before: &PartsOf,
        config: &ResilienceConfig,
        wanted: &super::PipelineConfig,
    ) -> bool {
        let budget = match &wanted.budget {
            Some(BudgetChoice::Shared(name)) => {
                self.config.budgets.get(name) == config.budgets.get(name)
            }
            _ => true,
        };
        budget && before.config() == wanted
    }
}

impl From<PlanError> for ConfigError {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Part(error) => *error,
            conflicts @ PlanError::Conflicts(..) => Self::other(conflicts),
        }
    }
}

impl Default for ResilienceManager {
    fn default() -> Self {
        Self::new()
    }
}

impl Inspect for Inner {
    fn kind(&self) -> &'static str {
        "resilience"
    }

    fn name(&self) -> Name {
        self.home.name
    }

    fn snapshot(&self) -> Value {
        let registered = self.pipelines.registered().into_iter();
        let names = registered.map(|(name, _)| Value::from(name)).collect();
        let shown = [("pipelines", Value::List(names))];
        #[cfg(feature = "file")]
        let shown = shown.into_iter().chain(self.shown_source());
        Value::map(shown)
    }

    fn health(&self) -> Health {
        let summary = self.health_of_all();
        let worst = summary
            .pipelines
            .into_iter()
            .find(|(_, health)| health.condition() == summary.condition);
        match worst {
            Some((name, health)) => health.of_part(name),
            None => Health::UP,
        }
    }

    #[cfg(feature = "file")]
    fn actions(&self) -> &'static [rs_core::ActionSpec] {
        super::file::ACTIONS
    }

    #[cfg(feature = "file")]
    fn control(
        &self,
        action: &rs_core::Action,
        _mandate: &rs_core::Mandate,
    ) -> Result<(), rs_core::ControlError> {
        self.obey(action)
    }
}

impl fmt::Debug for ResilienceManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResilienceManager")
            .field("pipelines", &self.0.pipelines)
            .finish_non_exhaustive()
    }
}
