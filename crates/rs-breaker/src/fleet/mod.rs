//! What the replicas of a service share about their breakers.

mod book;
mod config;
mod contact;
mod standing;
mod status;

pub use config::FleetConfig;
pub use status::FleetStatus;

use std::{
    collections::HashSet,
    fmt,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use rs_core::{Clock, ConfigError, FlightRecorder, Inspect, Mandate, Name, Value, humane, unless};
use rs_metrics::{Counter, Family, Surroundings};
use tokio::sync::Notify;

use self::{book::Book, contact::Contact, standing::Standing};
use crate::{
    BreakerState, Forced, Report, Storage, StorageError, View,
    metrics::{self, Exchanged},
    shared::Shared,
};

/// What the replicas of a service share about their breakers, through a [`Storage`].
///
/// - **Advice.** Each replica tells which breakers it has open. When enough of the others have one
///   open, a replica needs less evidence to open its own: [`Advice`](crate::Advice) says how many are
///   enough, at least two, and how much less. No breaker opens because others did.
/// - **Orders.** What is forced on one replica is forced on all, with its author, its reason and the time
///   that it has left, until it is lifted anywhere. Of two orders to one breaker the later holds. A
///   replica that starts takes the orders that stand, and a breaker that is made later takes them at
///   once.
///
/// Calls never wait for it. One future does all, [`Fleet::run`], which you spawn beside
/// [`Supervisor::run`](crate::Supervisor::run): an exchange a second, and one soon after something has
/// changed.
///
/// Without its storage each replica decides alone. Orders stay as they are and new ones are delivered
/// later; advice is withdrawn when it is older than [`FleetConfig::keep`]. The loss is signalled once, and
/// so is the return; [`Fleet::status`], and the directory under `fleet`, show how old the view is. A
/// storage that comes back empty is told again what is in force.
///
/// Breakers take part that are made in [`Surroundings`] that were given the fleet, under their names; those of
/// a keyed registry do not.
///
/// ```
/// use rs_breaker::{
///     Breaker, BreakerConfig, BreakerState, Fleet, FleetConfig, MemoryStorage, Surroundings,
/// };
/// use rs_core::Mandate;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), rs_core::ConfigError> {
/// let storage = MemoryStorage::new();
/// let replica = || -> Result<_, rs_core::ConfigError> {
///     let fleet = Fleet::new(storage.clone(), FleetConfig::default())?;
///     tokio::spawn(fleet.run());
///     Breaker::within(
///         &Surroundings::apart().with(fleet),
///         "payments",
///         BreakerConfig::default(),
///     )
/// };
/// let (here, there) = (replica()?, replica()?);
///
/// here.force_open(Mandate::new("anna", "the bank asked us to stop"));
/// while there.state() != BreakerState::ForcedOpen {
///     tokio::time::sleep(std::time::Duration::from_millis(10)).await;
/// }
/// # Ok(()) }
/// ```
///
/// Through Redis, with the feature `redis`:
///
/// ```no_run
/// # #[cfg(feature = "redis")]
/// # async fn service() -> Result<(), Box<dyn std::error::Error>> {
/// use rs_breaker::{
///     BreakerRegistry, Fleet, FleetConfig, RedisStorage, RegistryConfig, Surroundings,
/// };
///
/// let storage = RedisStorage::new("redis://breakers:secret@redis:6379")?.with_prefix("checkout");
/// let fleet = Fleet::new(storage, FleetConfig::default().with_replica("checkout-7"))?;
/// let around = Surroundings::of_process().with(fleet.clone());
/// let breakers = BreakerRegistry::within(&around, RegistryConfig::default())?;
///
/// tokio::spawn(fleet.run());
/// # Ok(()) }
/// # fn main() {}
/// ```
#[derive(Clone)]
pub struct Fleet(Arc<Inner>);

struct Inner {
    name: Name,
    replica: String,
    config: FleetConfig,
    storage: Box<dyn Storage>,
    clock: Clock,
    recorder: FlightRecorder,
    exchanges: Family<Counter, Exchanged>,
    book: Mutex<Book>,
    contact: Mutex<Contact>,
    dice: Mutex<fastrand::Rng>,
    /// Something has changed that the others should hear of soon.
    bell: Notify,
    /// One runs it at a time.
    turn: tokio::sync::Mutex<()>,
}

impl Fleet {
    /// A replica of the fleet that meets there, in the [`Surroundings`] of the process.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`FleetConfig::check`].
    pub fn new(storage: impl Storage + 'static, config: FleetConfig) -> Result<Self, ConfigError> {
        Self::within(&Surroundings::of_process(), storage, config)
    }

    /// The same in these surroundings: it takes the time from their clock, and is recorded, listed and
    /// exported where they say.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`FleetConfig::check`].
    pub fn within(
        surroundings: &Surroundings,
        storage: impl Storage + 'static,
        config: FleetConfig,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        let name = Name::new(config.name());
        let replica = match config.replica() {
            Some(replica) => replica.to_owned(),
            None => format!("{:016x}", fastrand::u64(..)),
        };
        let inner = Arc::new(Inner {
            name,
            replica,
            config,
            storage: Box::new(storage),
            clock: surroundings.clock().clone(),
            recorder: surroundings.recorder().clone(),
            exchanges: match surroundings.metrics() {
                Some(registry) => metrics::FLEET_EXCHANGES.bind_in(registry, name),
                None => metrics::FLEET_EXCHANGES.bind_in(&rs_metrics::Registry::new(), name),
            },
            book: Mutex::default(),
            contact: Mutex::default(),
            dice: Mutex::new(
                surroundings
                    .seed()
                    .map_or_else(fastrand::Rng::new, fastrand::Rng::with_seed),
            ),
            bell: Notify::new(),
            turn: tokio::sync::Mutex::new(()),
        });
        if let Some(directory) = surroundings.directory() {
            directory.register(&inner);
        }
        Ok(Self(inner))
    }

    /// Keeps in touch until it is dropped. A second run waits until the first has ended.
    ///
    /// # Cancel safety
    /// Dropping the future ends the touch between two steps: orders stay as they are, advice is
    /// withdrawn. Whether the last report arrived is not known; running again makes another.
    pub fn run(&self) -> impl Future<Output = ()> + Send + use<> {
        let Self(fleet) = self.clone();
        async move {
            let _turn = fleet.turn.lock().await;
            let _running = Running::begin(&fleet);
            loop {
                fleet.exchange().await;
                fleet.rest().await;
            }
        }
    }

    /// How it keeps in touch.
    #[must_use]
    pub fn status(&self) -> FleetStatus {
        self.0.status()
    }

    /// This breaker is part of the fleet from now on, as long as it lives.
    pub(crate) fn join(&self, breaker: &Arc<Shared>) {
        // Breakers that had no room for a name of their own have nothing in common.
        if breaker.name == Name::OTHER {
            return;
        }
        let (member, task) = self.0.book().greet(breaker, self.0.clock.now());
        if let Some(task) = task {
            task.carry_out();
        }
        self.0.book().join(breaker.name, member);
        self.wake();
    }

    /// Somebody here has forced this breaker to be that.
    pub(crate) fn ordered(&self, breaker: &Shared, forced: Forced, mandate: &Arc<Mandate>) {
        self.spread(breaker, Some(forced), mandate);
    }

    /// Somebody here has lifted the order that this breaker was under.
    pub(crate) fn released(&self, breaker: &Shared, mandate: &Arc<Mandate>) {
        self.spread(breaker, None, mandate);
    }

    fn spread(&self, breaker: &Shared, forced: Option<Forced>, mandate: &Arc<Mandate>) {
        let order = Standing::given(forced, mandate, self.0.clock.now());
        if self.0.book().ordered(breaker, order) {
            self.wake();
        }
    }

    /// The others should hear of something soon.
    pub(crate) fn wake(&self) {
        self.0.bell.notify_one();
    }
}

impl Inner {
    /// By which part times are longer or shorter, so that replicas do not move in step.
    const JITTER: f64 = 0.1;

    async fn exchange(&self) {
        let report = self.report();
        let asked = unless(
            self.clock.sleep(self.config.time_limit()),
            self.ask(&report),
        )
        .await;
        let answer = asked.unwrap_or_else(|| {
            let limit = humane::show_duration(self.config.time_limit());
            Err(StorageError::new(format!("no answer within {limit}")))
        });
        match answer {
            Ok(view) => self.heard(&report, &view),
            Err(error) => self.heard_nothing(error),
        }
    }

    fn report(&self) -> Report {
        let mut report = Report::new(self.replica.clone(), self.config.keep());
        let breakers = self.book().breakers();
        let open = breakers
            .iter()
            .filter(|breaker| breaker.state() == BreakerState::Open);
        let open: HashSet<Name> = open.map(|breaker| breaker.name).take(Book::MOST).collect();
        report.open.extend(open);
        report.orders = self.book().untold(self.clock.now());
        report
    }

    /// A storage that panics has not answered.
    async fn ask(&self, report: &Report) -> Result<View, StorageError> {
        let mut asked = Box::pin(async { self.storage.exchange(report).await });
        poll_fn(|context| {
            let polled = catch_unwind(AssertUnwindSafe(|| asked.as_mut().poll(context)));
            polled.unwrap_or_else(|panic| Poll::Ready(Err(StorageError::panicked(&*panic))))
        })
        .await
    }

    fn heard(&self, report: &Report, view: &View) {
        let now = self.clock.now();
        self.exchanges[Exchanged::Ok].increment();
        let signal = self.contact().reached(self.name, view.replicas, now);
        if let Some(signal) = signal {
            self.recorder.record(|| signal);
        }
        self.book().told(report, view, now);
        self.carry_out_orders();
        self.advise(view);
    }

    fn heard_nothing(&self, error: StorageError) {
        let now = self.clock.now();
        self.exchanges[Exchanged::Failed].increment();
        let mut contact = self.contact();
        let signal = contact.failed(self.name, error, now);
        let too_old = contact
            .age(now)
            .is_some_and(|age| age >= self.config.keep());
        drop(contact);
        if let Some(signal) = signal {
            self.recorder.record(|| signal);
        }
        self.carry_out_orders();
        if too_old {
            self.withdraw_advice();
        }
    }

    fn carry_out_orders(&self) {
        let tasks = self.book().orders(self.clock.now());
        for task in tasks {
            task.carry_out();
        }
    }

    fn advise(&self, view: &View) {
        let concerned = self.book().concerned(view);
        for (breaker, open) in concerned {
            breaker.advise(|quorum| {
                // The product may be a hair above a whole number.
                let enough = (quorum.get() * f64::from(view.replicas) - 1e-9).ceil();
                open >= 2 && f64::from(open) >= enough
            });
        }
    }

    fn withdraw_advice(&self) {
        self.advise(&View::default());
    }

    /// Until it is time for the next exchange. While the storage is away nobody can ring for one.
    async fn rest(&self) {
        let failures = self.contact().failures();
        let interval = self.config.interval();
        if failures > 0 {
            return self
                .clock
                .sleep(self.jittered(self.config.pause_after(failures)))
                .await;
        }
        let rung = unless(
            self.clock.sleep(self.jittered(interval)),
            self.bell.notified(),
        )
        .await;
        if rung.is_some() {
            // What else happens in this moment goes with it.
            self.clock.sleep(self.jittered(interval / 10)).await;
        }
    }

    fn jittered(&self, time: Duration) -> Duration {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        time.mul_f64(1.0 - Self::JITTER + 2.0 * Self::JITTER * dice.f64())
    }

    fn status(&self) -> FleetStatus {
        let waiting = self.book().waiting();
        let contact = self.contact();
        FleetStatus {
            replica: self.replica.clone(),
            running: contact.running,
            replicas: contact.replicas,
            age: contact.age(self.clock.now()),
            lost: contact.why_lost().map(ToString::to_string),
            waiting,
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn contact(&self) -> MutexGuard<'_, Contact> {
        self.contact.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says that it runs, until it is dropped; then nobody keeps the advice fresh.
struct Running<'a>(&'a Inner);

impl<'a> Running<'a> {
    fn begin(fleet: &'a Inner) -> Self {
        fleet.contact().running = true;
        Self(fleet)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.contact().running = false;
        self.0.withdraw_advice();
    }
}

impl Inspect for Inner {
    fn kind(&self) -> &'static str {
        "fleet"
    }

    fn name(&self) -> Name {
        self.name
    }

    fn snapshot(&self) -> Value {
        self.status().to_value()
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet")
            .field("name", &self.0.name)
            .field("replica", &self.0.replica)
            .field("storage", &self.0.storage)
            .finish_non_exhaustive()
    }
}
