mod config;
mod keyed;
mod of_policies;
mod shelf;

pub use config::{PerKeyConfig, WhenFull};
pub use keyed::{Keyed, KeyedTicket};

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rs_core::{
    Call, ConfigError, Ending, Guard, Inspect, Measure, Name, Reason, Rejection, RoutingKey,
    Severity, SignalKind, Unit, Value,
};
use rs_metrics::{
    Counter, Family, Observed, Surroundings,
    pattern::{Announcements, Home, Rules},
};

use self::shelf::{Kept, Look, SHELVES, Shelves};
use crate::metrics;

/// A guard for each key: a rate limit for each customer, a bulkhead for each host.
///
/// ```
/// use rs_core::{Call, Guard};
/// use rs_policies::{PerKey, PerKeyConfig, RateLimitConfig};
///
/// let each = RateLimitConfig::gcra("10/s".parse()?).with_burst(2);
/// let customers = PerKey::rate_limits("customers", PerKeyConfig::default(), each)?;
///
/// let of_anna = Call::new("search").with_key("anna");
/// let of_ben = Call::new("search").with_key("ben");
/// assert!(customers.try_admit(&of_anna).is_ok());
/// assert!(customers.try_admit(&of_anna).is_ok());
/// assert!(customers.try_admit(&of_anna).is_err());
/// assert!(customers.try_admit(&of_ben).is_ok());
///
/// // The same limit, by its key.
/// assert!(customers.of("anna").try_admit(&Call::new("export")).is_err());
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
///
/// As a guard it takes the key from the call; see [`Call::with_key`]. Calls without a key have a guard too,
/// one for all of them. Keys are told apart by their [`RoutingKey`], a hash that anybody can compute:
/// who chooses their own key can choose one that falls together with another's. Let keys be ones that you
/// gave out.
///
/// How many keys have a guard is bounded. A guard that rests, see [`Resting`], and that nobody asked for
/// some time makes room; one that is in use, or in debt, does not. What becomes of a call whose key finds no
/// room is for [`PerKeyConfig`] to say.
///
/// Guards are made by a closure that is told the key: the text that was given to [`of`](PerKey::of), or
/// the sixteen hexadecimal digits of the call's key. Whatever it makes is used and counted under one name.
///
/// ```
/// use rs_policies::{Bulkhead, BulkheadConfig, PerKey, PerKeyConfig, Surroundings};
///
/// let hosts = PerKey::new("hosts", PerKeyConfig::default(), |host| {
///     let calls = if host.starts_with("10.") { 64 } else { 8 };
///     Bulkhead::within(&Surroundings::apart(), "host", BulkheadConfig::of(calls))
/// })?;
/// assert_eq!(hosts.of("10.0.0.7").guard().unwrap().config().limit(), 64);
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
///
/// # Cancel safety
/// That of the guards. A call that waits at one holds it: it is not forgotten meanwhile.
pub struct PerKey<G>(Arc<Inner<G>>);

/// A guard that knows whether it may be forgotten.
pub trait Resting: Guard {
    /// Whether nothing is in use and nothing is owed, so that one made anew would decide alike.
    fn is_resting(&self) -> bool;
}

impl<G: Resting + ?Sized> Resting for Arc<G> {
    fn is_resting(&self) -> bool {
        (**self).is_resting()
    }
}

type Make<G> = Box<dyn Fn(&str) -> Result<G, ConfigError> + Send + Sync>;

pub(crate) struct Inner<G> {
    home: Home,
    rules: Rules<PerKeyConfig>,
    make: Make<G>,
    /// What is done with a guard once it is kept.
    then: fn(&G),
    shelves: Shelves<G>,
    refused: Family<Counter>,
    not_kept: Family<Counter>,
    evicted: Family<Counter>,
    /// Whether it was said that guards cannot be made.
    said: AtomicBool,
    observed: OnceLock<Observed>,
}

static ANNOUNCED: Announcements = Announcements::of("per_key");
static KEYS: Measure = Measure::new("keys", Unit::Count);
static FULL: Reason = Reason::new("per_key", "full").judging(&KEYS);
static NOT_MADE: SignalKind = SignalKind::new(
    "per_key",
    "not_made",
    Severity::Warning,
    "cannot make a guard for a key; calls of such keys are treated as if there were no room",
);

impl<G: Resting + 'static> PerKey<G> {
    /// Guards of this name, made by this closure.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`PerKeyConfig::check`].
    pub fn new(
        name: impl Into<Name>,
        config: PerKeyConfig,
        make: impl Fn(&str) -> Result<G, ConfigError> + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        Self::within(&Surroundings::of_process(), name, config, make)
    }

    /// The same in these surroundings.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`PerKeyConfig::check`].
    pub fn within(
        around: &Surroundings,
        name: impl Into<Name>,
        config: PerKeyConfig,
        make: impl Fn(&str) -> Result<G, ConfigError> + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        Self::making(around, name.into(), config, Box::new(make), |_| ())
    }

    fn making(
        around: &Surroundings,
        name: Name,
        config: PerKeyConfig,
        make: Make<G>,
        then: fn(&G),
    ) -> Result<Self, ConfigError> {
        let home = Home::new(around, name);
        let registry = home.metrics();
        let inner = Arc::new(Inner {
            rules: Rules::new(config)?,
            make,
            then,
            shelves: Shelves::new(),
            refused: metrics::PER_KEY_REJECTED.bind_in(&registry, name),
            not_kept: metrics::PER_KEY_NOT_KEPT.bind_in(&registry, name),
            evicted: metrics::PER_KEY_EVICTED.bind_in(&registry, name),
            said: AtomicBool::new(false),
            observed: OnceLock::new(),
            home,
        });
        inner.observed.get_or_init(|| Inner::watch(&inner));
        inner.home.register(&inner);
        Ok(Self(inner))
    }

    /// The guard of this key, which is the one that calls with this text as their key meet. It holds the
    /// guard: it is not forgotten meanwhile.
    #[must_use]
    pub fn of(&self, key: &str) -> Keyed<G> {
        let number = RoutingKey::of(key).get();
        Keyed {
            kept: self.0.find_or_make(number, || key.to_owned()),
            of: self.clone(),
        }
    }

    /// Lets go of guards that rest and that nobody asked for as long as the configuration says. New keys
    /// do so by themselves, some of the guards at a time; this is for when there are none.
    pub fn evict_idle(&self) {
        let rules = self.0.rules.get();
        self.0.evict_all(rules.idle());
    }

    /// Goes by this from now on. With a lower limit none is thrown out for it. The version that is in
    /// force then.
    ///
    /// # Errors
    /// When it is wrong; the old one stays in force.
    pub fn reconfigure(&self, config: PerKeyConfig) -> Result<u64, ConfigError> {
        self.0.reconfigure(config)
    }
}

impl<G> PerKey<G> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.home.name
    }

    /// What it goes by.
    #[must_use]
    pub fn config(&self) -> PerKeyConfig {
        *self.0.rules.get()
    }

    /// How many keys have a guard.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.shelves.len()
    }

    /// Whether none has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many calls were refused by the guard of their key, or for want of room.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.0.refused.value()
    }

    /// How many calls found no guard for their key, and no room for one.
    #[must_use]
    pub fn not_kept(&self) -> u64 {
        self.0.not_kept.value()
    }
}

impl<G: Resting> Inner<G> {
    /// How often a full one looks at one shelf for guards that rest.
    const PATIENCE: Duration = Duration::from_secs(1);

    /// How often one shelf is looked at while there is room.
    const LONGEST_PAUSE: Duration = Duration::from_secs(60);

    /// `None` if there is no room.
    #[inline]
    fn find_or_make(&self, key: u64, text: impl FnOnce() -> String) -> Option<Arc<Kept<G>>> {
        match self.shelves.get(key) {
            Some(kept) => Some(kept),
            None => self.make(key, &text()),
        }
    }

    #[cold]
    fn make(&self, key: u64, text: &str) -> Option<Arc<Kept<G>>> {
        let (rules, now) = (self.rules.get(), self.home.around.clock().now());
        let limit = rules.limit() as usize;
        let pause = (rules.idle() / 8).min(Self::LONGEST_PAUSE);
        self.evict_from(key, now, pause, rules.idle());
        if self.shelves.len() >= limit {
            self.make_room(key, now);
        }
        if self.shelves.len() >= limit {
            return self.shelves.get(key);
        }
        match (self.make)(text) {
            Ok(guard) => {
                let kept = self.shelves.keep(key, guard, limit, now)?;
                (self.then)(&kept.guard);
                Some(kept)
            }
            Err(error) => {
                if !self.said.swap(true, Ordering::Relaxed) {
                    let name = self.home.name;
                    self.home
                        .record(|| NOT_MADE.signal(name).noting(error.to_string()));
                }
                None
            }
        }
    }

    /// Guards that rest do not stay until they are idle when others need the room. No call looks at many
    /// more than a thousand of them.
    fn make_room(&self, key: u64, now: Instant) {
        let mut looked = 0;
        for next in 0..SHELVES {
            let shelf = key.wrapping_add(next as u64);
            let look = self.evict_from(shelf, now, Self::PATIENCE, Duration::ZERO);
            looked += look.at;
            if look.gone > 0 || looked > 1000 {
                return;
            }
        }
    }

    fn evict_from(&self, key: u64, now: Instant, pause: Duration, idle: Duration) -> Look {
        let look = self
            .shelves
            .tidy_shelf(key, now, pause, idle, G::is_resting);
        self.evicted.add(look.gone as u64);
        look
    }

    fn evict_all(&self, idle: Duration) {
        let now = self.home.around.clock().now();
        let gone = self.shelves.tidy_all(now, idle, G::is_resting);
        self.evicted.add(gone as u64);
    }

    /// A call whose key has no guard.
    #[cold]
    fn without_guard(&self) -> Result<(), Rejection> {
        self.not_kept.increment();
        let rules = self.rules.get();
        match rules.does_when_full() {
            WhenFull::LetThrough => Ok(()),
            WhenFull::Refuse => {
                self.refused.increment();
                let keys = self.shelves.len() as f64;
                Err(FULL
                    .reject(self.home.name)
                    .because(keys, rules.limit().into()))
            }
        }
    }

    fn reconfigure(&self, config: PerKeyConfig) -> Result<u64, ConfigError> {
        self.rules.replace(&self.home, &ANNOUNCED, config, |_| ())
    }
}

impl<G> Inner<G> {
    fn all(&self) -> Vec<Arc<Kept<G>>> {
        self.shelves.all()
    }
}

/// The key of calls that have none.
fn key_of(call: &Call) -> u64 {
    call.key().map_or(0, RoutingKey::get)
}

impl<G: Resting + 'static> Guard for PerKey<G> {
    type Ticket = KeyedTicket<G>;

    #[inline]
    fn try_enter(&self, call: &Call) -> Result<KeyedTicket<G>, Rejection> {
        let key = key_of(call);
        let kept = self.0.find_or_make(key, || format!("{key:016x}"));
        self.0.try_enter(kept, call)
    }

    async fn enter(&self, call: &Call) -> Result<KeyedTicket<G>, Rejection> {
        let key = key_of(call);
        let kept = self.0.find_or_make(key, || format!("{key:016x}"));
        self.0.enter(kept, call).await
    }

    #[inline]
    fn leave(&self, ticket: KeyedTicket<G>, ending: Ending) {
        ticket.leave(ending);
    }
}

impl<G: Resting + 'static> Inspect for Inner<G> {
    rs_metrics::inspect_rules!("per_key");

    fn snapshot(&self) -> Value {
        let rules = self.rules.get();
        Value::map([
            ("keys", Value::from(self.shelves.len())),
            ("limit", rules.limit().into()),
            ("idle", rules.idle().into()),
            ("refused", self.refused.value().into()),
            ("not_kept", self.not_kept.value().into()),
            ("evicted", self.evicted.value().into()),
            ("config_version", self.rules.version().into()),
        ])
    }
}

impl<G: Send + Sync + 'static> Inner<G> {
    /// Exports what it counts anyway.
    fn watch(of: &Arc<Self>) -> Observed {
        let home = &of.home;
        home.observe(&metrics::PER_KEY_KEYS, of, |of, ()| of.shelves.len() as f64)
    }
}

impl<G> Clone for PerKey<G> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<G> fmt::Debug for PerKey<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerKey")
            .field("name", &self.name())
            .field("keys", &self.len())
            .finish_non_exhaustive()
    }
}
