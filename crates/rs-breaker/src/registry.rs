use std::{
    fmt,
    sync::{
        Arc, LazyLock, Mutex, OnceLock, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use dashmap::{DashMap, Entry};
use rs_core::{ConfigError, Mandate, Name};
use rs_metrics::{Counter, Family, Observed, Surroundings};

use crate::{
    Breaker, BreakerConfig, BreakerState, Forced, RegistryConfig, cause::nanos, group::Retired,
    metrics, shared::Shared, supervisor::Chore, surroundings::Around,
};

/// Breakers by name, each made by the rules of the registry when it is first asked for.
///
/// How many are kept is bounded. A closed breaker that nobody holds and nobody calls makes room after a
/// while; one that is not closed stays. When all places are taken by such, a new name gets a breaker that
/// lets everything through, and `circuit_breaker_not_kept_total` counts it: to mix strangers in one
/// breaker would let one of them cut off the others.
///
/// ```
/// use rs_breaker::{BreakerConfig, BreakerRegistry, RegistryConfig, Trip};
/// use rs_core::Policy;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let rules = RegistryConfig::default().with_matching(
///     "bank-*",
///     BreakerConfig::default().with_trip([Trip::consecutive_failures(3)]),
/// );
/// let breakers = BreakerRegistry::new(rules)?;
///
/// let answer = breakers
///     .get("bank-north")
///     .call("balance", async |_call| Ok::<_, std::io::Error>(250))
///     .await?;
/// assert_eq!(answer, 250);
/// # Ok(()) }
/// ```
///
/// One for each key of one dependency, such as its hosts, exported and listed as one:
///
/// ```
/// use rs_breaker::{BreakerConfig, BreakerRegistry};
///
/// let inventory = BreakerRegistry::keyed("inventory", BreakerConfig::default())?;
/// let breaker = inventory.get("10.0.0.7:8443");
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct BreakerRegistry(Arc<Inner>);

pub(crate) struct Inner {
    around: Around,
    /// For breakers that are not kept: what is ordered of one is nobody else's business.
    apart: Around,
    /// The name under which all are exported and listed as one; `None` if each is by its own.
    pub(crate) group: Option<Name>,
    pub(crate) breakers: DashMap<Box<str>, Kept, foldhash::fast::RandomState>,
    /// How many places are taken; never more than the limit.
    taken: AtomicUsize,
    rules: RwLock<Rules>,
    /// When room was last made because there was none.
    cleared: Mutex<Option<Instant>>,
    /// When the idle were last looked for.
    attended: Mutex<Option<Instant>>,
    not_kept: Family<Counter>,
    /// Of those that were let go: whoever adds up takes this and the breakers at one moment.
    pub(crate) retired: RwLock<Retired>,
    observed: OnceLock<Box<[Observed]>>,
}

struct Rules {
    config: RegistryConfig,
    /// The configurations that are in use, so that breakers share them.
    shared: Vec<Arc<BreakerConfig>>,
}

pub(crate) struct Kept {
    pub(crate) breaker: Arc<Shared>,
    /// How much had happened when somebody last looked, and since when nothing more has.
    seen: u64,
    /// In nanoseconds since the breaker was made.
    since: u64,
}

/// Threads that look up different names meet on one in so many of them; a power of two.
const SHARDS: usize = 64;

impl BreakerRegistry {
    /// How often a full registry looks for idle breakers when it is asked for new ones.
    const PATIENCE: Duration = Duration::from_secs(1);

    /// How long the supervisor waits at most between two looks for idle breakers.
    const LONGEST_PAUSE: Duration = Duration::from_secs(60);

    /// A registry in the [`Surroundings`] of the process, each breaker exported and listed by its name.
    ///
    /// # Errors
    /// When the rules are wrong; see [`RegistryConfig::check`].
    pub fn new(rules: RegistryConfig) -> Result<Self, ConfigError> {
        Self::within(&Surroundings::of_process(), rules)
    }

    /// The same in these surroundings.
    ///
    /// # Errors
    /// When the rules are wrong; see [`RegistryConfig::check`].
    pub fn within(surroundings: &Surroundings, rules: RegistryConfig) -> Result<Self, ConfigError> {
        Self::make(surroundings, None, rules)
    }

    /// A breaker for each key of one dependency, in the [`Surroundings`] of the process. They are
    /// exported as one, with their numbers added up, and listed as one.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`BreakerConfig::check`].
    pub fn keyed(name: impl Into<Name>, config: BreakerConfig) -> Result<Self, ConfigError> {
        let rules = RegistryConfig::default()
            .with_default(config)
            .with_limit(100_000);
        Self::keyed_within(&Surroundings::of_process(), name, rules)
    }

    /// The same in these surroundings, by these rules.
    ///
    /// # Errors
    /// When the rules are wrong; see [`RegistryConfig::check`].
    pub fn keyed_within(
        surroundings: &Surroundings,
        name: impl Into<Name>,
        rules: RegistryConfig,
    ) -> Result<Self, ConfigError> {
        Self::make(surroundings, Some(name.into()), rules)
    }

    /// The registry of the process, by the default rules until [`BreakerRegistry::reconfigure`] gives it
    /// others.
    #[must_use]
    pub fn global() -> &'static Self {
        #[expect(clippy::expect_used, reason = "a test keeps the defaults right")]
        static GLOBAL: LazyLock<BreakerRegistry> = LazyLock::new(|| {
            BreakerRegistry::new(RegistryConfig::default()).expect("the defaults are right")
        });
        &GLOBAL
    }

    fn make(
        surroundings: &Surroundings,
        group: Option<Name>,
        rules: RegistryConfig,
    ) -> Result<Self, ConfigError> {
        rules.check()?;
        let around = Around::of(surroundings);
        let label = group.unwrap_or(Name::of("breakers"));
        let not_kept = match &around.metrics {
            Some(registry) => metrics::NOT_KEPT.bind_in(registry, label),
            None => metrics::NOT_KEPT.bind_in(&rs_metrics::Registry::new(), label),
        };
        let inner = Arc::new(Inner {
            around: around.clone(),
            group,
            breakers: DashMap::with_hasher_and_shard_amount(Default::default(), SHARDS),
            taken: AtomicUsize::new(0),
            rules: RwLock::new(Rules {
                config: rules,
                shared: Vec::new(),
            }),
            cleared: Mutex::new(None),
            attended: Mutex::new(None),
            apart: around.clone().without_fleet(),
            not_kept,
            retired: RwLock::default(),
            observed: OnceLock::new(),
        });
        around.supervisor.attend_to(&inner);
        if let Some(name) = group {
            if let Some(directory) = &around.directory {
                directory.register(&inner);
            }
            if let Some(registry) = &around.metrics {
                let of = Arc::downgrade(&inner);
                inner
                    .observed
                    .get_or_init(|| metrics::observe(registry, name, of));
            }
        }
        Ok(Self(inner))
    }

    /// The breaker of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Breaker {
        match self.0.breakers.get(name) {
            Some(kept) => Breaker::of(Arc::clone(&kept.breaker)),
            None => Breaker::of(self.0.make(name)),
        }
    }

    /// The breaker of this name, if there is one.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Breaker> {
        let kept = self.0.breakers.get(name)?;
        Some(Breaker::of(Arc::clone(&kept.breaker)))
    }

    /// All that are kept, in no order.
    #[must_use]
    pub fn list(&self) -> Vec<Breaker> {
        self.0.all().into_iter().map(Breaker::of).collect()
    }

    /// How many are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.taken.load(Ordering::Relaxed)
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Goes by other rules from now on: breakers whose configuration is another one take it, and keep
    /// their state. With a lower limit, none is thrown out for it.
    ///
    /// # Errors
    /// When the rules are wrong. Nothing has changed then.
    pub fn reconfigure(&self, rules: RegistryConfig) -> Result<(), ConfigError> {
        self.0.reconfigure(rules)
    }

    /// Lets go of breakers that are closed, that nobody holds, and that nobody called for as long as the
    /// rules say. The supervisor does it while it runs.
    pub fn evict_idle(&self) {
        self.0.evict(self.0.around.clock.now(), None);
    }
}

impl Inner {
    fn make(&self, name: &str) -> Arc<Shared> {
        if let Some(breaker) = self.keep(name) {
            return breaker;
        }
        self.make_room();
        self.keep(name).unwrap_or_else(|| {
            self.not_kept.increment();
            self.passing()
        })
    }

    /// The breaker of this name, which has a place; `None` if there is no room for it.
    fn keep(&self, name: &str) -> Option<Arc<Shared>> {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let limit = rules.config.limit();
        drop(rules);
        if self.taken.load(Ordering::Relaxed) >= limit {
            // Places are taken under the lock of the map, so whoever took the last one for this name
            // has it in there.
            return Some(Arc::clone(&self.breakers.get(name)?.breaker));
        }
        let breaker = match self.breakers.entry(name.into()) {
            Entry::Occupied(kept) => return Some(Arc::clone(&kept.get().breaker)),
            Entry::Vacant(_) if !self.take_place(limit) => return None,
            Entry::Vacant(vacant) => {
                // Asked for here, so that a breaker that other rules do not find has those rules.
                let config = self.config_for(name);
                let breaker = Shared::new(self.around.clone(), Name::new(name), config);
                vacant.insert(Kept {
                    breaker: Arc::clone(&breaker),
                    seen: 0,
                    since: 0,
                });
                breaker
            }
        };
        if self.group.is_none() {
            breaker.list();
        }
        Some(breaker)
    }

    fn take_place(&self, limit: usize) -> bool {
        let more = |taken| (taken < limit).then_some(taken + 1);
        self.taken
            .try_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }

    /// Whoever was not called since the last look goes, so that there is room; not more often than now
    /// and then, for it looks at all.
    fn make_room(&self) {
        let now = self.around.clock.now();
        let lately =
            |last: Instant| now.saturating_duration_since(last) < BreakerRegistry::PATIENCE;
        let mut cleared = self.cleared.lock().unwrap_or_else(PoisonError::into_inner);
        if cleared.is_some_and(lately) {
            return;
        }
        *cleared = Some(now);
        // Callbacks may run.
        drop(cleared);
        self.evict(now, Some(Duration::ZERO));
    }

    fn evict(&self, now: Instant, idle: Option<Duration>) {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let idle = idle.unwrap_or(rules.config.idle());
        drop(rules);
        let (mut gone, mut due) = (Vec::new(), Vec::new());
        let mut retired = self.retired.write().unwrap_or_else(PoisonError::into_inner);
        self.breakers.retain(|_, kept| {
            let stays = kept.stays(now, idle);
            if !stays {
                gone.push(Arc::clone(&kept.breaker));
                self.taken.fetch_sub(1, Ordering::Relaxed);
            } else if kept.breaker.due().is_some_and(|due| due <= now) {
                due.push(Arc::clone(&kept.breaker));
            }
            stays
        });
        gone.iter().for_each(|breaker| retired.add(breaker));
        drop(retired);
        // Callbacks may run, and may ask this registry: no lock is held. Who is well by now goes the
        // next time.
        due.iter().for_each(|breaker| breaker.tick(now));
    }

    /// For a name that there is no room for: a breaker that lets everything through. One for all of them
    /// would let one of them give orders to the others.
    fn passing(&self) -> Arc<Shared> {
        let now = self.around.clock.now();
        let config = Arc::new(BreakerConfig::default());
        let passing = Shared::new(self.apart.clone(), Name::OTHER, config);
        let why = Arc::new(Mandate::new("the registry", "it is full"));
        passing.act(now, |machine| {
            machine.force(Forced::Closed, why, now);
            // The metric says it; a flood of names would fill the recorder.
            machine.take_news()
        });
        passing
    }

    /// All that are kept, for whoever asks them something: a callback may run and ask this registry,
    /// which it must not find locked.
    pub(crate) fn all(&self) -> Vec<Arc<Shared>> {
        let kept = self.breakers.iter();
        kept.map(|kept| Arc::clone(&kept.breaker)).collect()
    }

    fn config_for(&self, name: &str) -> Arc<BreakerConfig> {
        let mut rules = self.rules.write().unwrap_or_else(PoisonError::into_inner);
        let Rules { config, shared } = &mut *rules;
        let config = config.for_name(name);
        match shared.iter().find(|shared| ***shared == *config) {
            Some(shared) => Arc::clone(shared),
            None => {
                shared.push(Arc::new(config.clone()));
                shared.last().map(Arc::clone).unwrap_or_default()
            }
        }
    }

    fn reconfigure(&self, rules: RegistryConfig) -> Result<(), ConfigError> {
        rules.check()?;
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = Rules {
            config: rules,
            shared: Vec::new(),
        };
        let kept = self.breakers.iter();
        // By the key: the name of a breaker is cut short if it is long.
        let kept: Vec<(Box<str>, _)> = kept
            .map(|kept| (kept.key().clone(), Arc::clone(&kept.breaker)))
            .collect();
        for (name, breaker) in kept {
            let config = self.config_for(&name);
            let now = breaker.clock().now();
            if breaker.act(now, |machine| *machine.config() != config) {
                breaker.reconfigure(config, None)?;
            }
        }
        Ok(())
    }
}

impl Kept {
    fn stays(&mut self, now: Instant, idle: Duration) -> bool {
        let done = self.breaker.activity();
        if done != self.seen {
            (self.seen, self.since) = (done, self.breaker.age(now));
            return true;
        }
        // The map holds one.
        Arc::strong_count(&self.breaker) > 1
            || self.breaker.last_state() != BreakerState::Closed
            || self.breaker.age(now).saturating_sub(self.since) < nanos(idle)
    }
}

impl Chore for Inner {
    /// It looks at all, so not each time: several times while a breaker may be idle is enough.
    fn attend(&self, now: Instant) {
        let rules = self.rules.read().unwrap_or_else(PoisonError::into_inner);
        let pause = (rules.config.idle() / 8).min(BreakerRegistry::LONGEST_PAUSE);
        drop(rules);
        let mut attended = self.attended.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = |last: Instant| now.saturating_duration_since(last) < pause;
        if !attended.is_some_and(lately) {
            *attended = Some(now);
            drop(attended);
            self.evict(now, None);
        }
    }
}

impl fmt::Debug for BreakerRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerRegistry")
            .field("group", &self.0.group)
            .field("breakers", &self.len())
            .finish_non_exhaustive()
    }
}
