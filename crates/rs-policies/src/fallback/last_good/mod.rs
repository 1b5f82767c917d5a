mod config;
mod slot;

pub use config::LastGoodConfig;

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use moka::sync::Cache;
use rs_core::{
    Call, ConfigError, Failure, Inspect, Label, Name, Operation, Policy, RoutingKey, Value,
    operation,
};
use rs_metrics::{
    Counter, Family, Surroundings,
    pattern::{Announcements, Home, Rules},
};

use self::slot::{Slot, Turn};
use super::{Because, FallbackSource, Served, Unanswered};
use crate::metrics;

/// Remembers the last good answer of each call, and serves it where the call fails; if wanted, also while it is
/// recent, and while it is being replaced.
///
/// Calls of the same name and [key](Call::with_key) are the same call: where the answer belongs to somebody, make
/// him part of the key. Keys are compared by their 64-bit hash ([`RoutingKey`]), so for secrets of strangers who
/// choose their keys use [`LastGood::serve_for`], which compares text. What is remembered is bounded.
///
/// ```
/// use rs_core::Call;
/// use rs_policies::{LastGood, LastGoodConfig, Served};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let prices = LastGood::new("prices", LastGoodConfig::of(10_000))?;
/// let price = || Call::new("price").with_key("sku-17");
///
/// prices.serve(price(), async |_call| Ok::<_, std::io::Error>(250)).await?;
/// let served = prices.serve(price(), async |_call| Err(std::io::Error::other("away"))).await?;
/// assert!(matches!(served, Served::Kept { value: 250, .. }));
/// println!("{} because {}", served.value(), served.why().unwrap());
/// # Ok(()) }
/// ```
///
/// # Stale while it is replaced
/// After [`refreshing_after`](LastGoodConfig::refreshing_after) the next caller asks the dependency and waits for
/// it, one at a time; all others are served the old answer meanwhile. Nothing runs behind anybody's back. Where
/// not even that one caller should wait, [`LastGood::serve_and_spawn`] hands the refresh to whatever it is given.
///
/// # Cancel safety
/// Dropping the future drops the call. If it was to replace an answer, the next caller does.
pub struct LastGood<T>(Arc<Inner<T>>);

struct Inner<T> {
    home: Home,
    rules: Rules<LastGoodConfig>,
    /// It has a clock of its own, which tests cannot move: ages are counted by ours.
    slots: RwLock<Slots<T>>,
    answered: Family<Counter, FallbackSource>,
    unanswered: Family<Counter, Unanswered>,
}

type Slots<T> = Cache<Key, Arc<Slot<T>>>;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Of(Name, Option<RoutingKey>),
    Text(Name, Box<str>),
}

impl Key {
    const fn of(call: &Call) -> Self {
        Self::Of(call.name(), call.key())
    }
}

static ANNOUNCED: Announcements = Announcements::of("last_good");

impl<T: Clone + Send + Sync + 'static> LastGood<T> {
    /// One of this name.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`LastGoodConfig::check`].
    pub fn new(name: impl Into<Name>, config: LastGoodConfig) -> Result<Self, ConfigError> {
        Self::within(&Surroundings::of_process(), name, config)
    }

    /// The same in these surroundings.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`LastGoodConfig::check`].
    pub fn within(
        around: &Surroundings,
        name: impl Into<Name>,
        config: LastGoodConfig,
    ) -> Result<Self, ConfigError> {
        let home = Home::new(around, name.into());
        let (name, registry) = (home.name, home.metrics());
        let inner = Arc::new(Inner {
            rules: Rules::new(config)?,
            slots: RwLock::new(Cache::new(config.entries())),
            answered: metrics::FALLBACK_CALLS.bind_in(&registry, name),
            unanswered: metrics::FALLBACK_UNANSWERED.bind_in(&registry, name),
            home,
        });
        if let Some(directory) = around.directory() {
            directory.register(&inner);
        }
        Ok(Self(inner))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.home.name
    }

    /// What it goes by.
    #[must_use]
    pub fn config(&self) -> LastGoodConfig {
        *self.0.rules.get()
    }

    /// Goes by this from the next call on, and keeps what it remembers, as far as there is room. The version
    /// that is in force then.
    ///
    /// # Errors
    /// When it is wrong; the old one stays in force.
    pub fn reconfigure(&self, config: LastGoodConfig) -> Result<u64, ConfigError> {
        self.0.reconfigure(config)
    }

    /// How many answers are remembered, more or less.
    #[must_use]
    pub fn kept(&self) -> u64 {
        self.0.kept()
    }

    /// How many calls were answered from there.
    #[must_use]
    pub fn answered(&self, source: FallbackSource) -> u64 {
        self.0.answered[source].value()
    }

    /// How many calls that failed were not answered, for this reason.
    #[must_use]
    pub fn unanswered(&self, reason: Unanswered) -> u64 {
        self.0.unanswered[reason].value()
    }

    /// Calls a closure and says whether the answer is fresh.
    ///
    /// # Errors
    /// The failure, if nothing is remembered for this call or it is too old.
    ///
    /// # Cancel safety
    /// Dropping the future drops the call.
    pub async fn serve<E, F, Fut>(
        &self,
        call: impl Into<Call> + Send,
        attempt: F,
    ) -> Result<Served<T>, Failure<E>>
    where
        F: Fn(Call) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
        E: Send,
    {
        let call = call.into();
        self.serve_operation(&call, &operation(attempt)).await
    }

    /// The same, for the call of this text, which is compared letter by letter, and not by the call's key.
    ///
    /// # Errors
    /// The failure, if nothing is remembered for this call or it is too old.
    ///
    /// # Cancel safety
    /// Dropping the future drops the call.
    pub async fn serve_for<E, F, Fut>(
        &self,
        text: &str,
        call: impl Into<Call> + Send,
        attempt: F,
    ) -> Result<Served<T>, Failure<E>>
    where
        F: Fn(Call) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
        E: Send,
    {
        let call = call.into();
        let key = Key::Text(call.name(), text.into());
        self.0.serve(key, &call, &operation(attempt)).await
    }

    /// Runs an operation and says whether the answer is fresh.
    ///
    /// # Errors
    /// The failure, if nothing is remembered for this call or it is too old.
    ///
    /// # Cancel safety
    /// Dropping the future drops the call.
    pub async fn serve_operation<O>(
        &self,
        call: &Call,
        operation: &O,
    ) -> Result<Served<T>, Failure<O::Error>>
    where
        O: Operation<Output = T>,
    {
        self.0.serve(Key::of(call), call, operation).await
    }

    /// As [`LastGood::serve`], but the caller that would refresh an answer is served the old one too: the
    /// refresh is handed to `spawn`, `tokio::spawn` for example, which runs it or drops it.
    ///
    /// A refresh that fails, panics or is dropped changes nothing; the next caller starts another. It carries
    /// the call as it is, its deadline included.
    ///
    /// # Errors
    /// The failure, if nothing is remembered for this call or it is too old.
    ///
    /// # Cancel safety
    /// Dropping the future drops the call. A refresh that was handed over goes on.
    pub async fn serve_and_spawn<E, F, Fut>(
        &self,
        call: impl Into<Call> + Send,
        attempt: F,
        spawn: impl FnOnce(Pin<Box<dyn Future<Output = ()> + Send>>) + Send,
    ) -> Result<Served<T>, Failure<E>>
    where
        F: Fn(Call) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<T, E>> + Send + 'static,
        E: Send + 'static,
    {
        let (call, operation) = (call.into(), operation(attempt));
        let key = Key::of(&call);
        let begun = self.0.home.around.clock().now();
        match self.0.look(&key, &call, begun) {
            Looked::Serve(served) => Ok(served),
            Looked::Ask(None) => self.0.ask(key, &call, &operation, begun, None).await,
            Looked::Ask(Some((turn, value, age))) => {
                let inner = Arc::clone(&self.0);
                spawn(Box::pin(async move {
                    let result = operation.attempt(&call).await;
                    inner.hear(key, &call, &operation, &result, begun);
                    drop(turn);
                }));
                Ok(self.0.stale(value, age, Because::Refreshing))
            }
        }
    }
}

/// What is to be done for a call before anybody is asked.
enum Looked<T> {
    Serve(Served<T>),
    /// Asks; if it is to replace an answer, with the turn to do so and the answer.
    Ask(Option<(Turn<T>, Arc<T>, Duration)>),
}

impl<T: Clone + Send + Sync + 'static> Inner<T> {
    fn reconfigure(&self, config: LastGoodConfig) -> Result<u64, ConfigError> {
        self.rules
            .replace(&self.home, &ANNOUNCED, config, |config| {
                self.resize(config.entries());
            })
    }

    fn slots(&self) -> Slots<T> {
        let slots = self.slots.read();
        slots.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn resize(&self, entries: u64) {
        let mut slots = self.slots.write().unwrap_or_else(PoisonError::into_inner);
        if slots.policy().max_capacity() == Some(entries) {
            return;
        }
        let resized = Cache::new(entries);
        for (key, slot) in &*slots {
            resized.insert(Key::clone(&key), slot);
        }
        *slots = resized;
    }

    fn kept(&self) -> u64 {
        let slots = self.slots();
        slots.run_pending_tasks();
        slots.entry_count()
    }

    async fn serve<O>(
        &self,
        key: Key,
        call: &Call,
        operation: &O,
    ) -> Result<Served<T>, Failure<O::Error>>
    where
        O: Operation<Output = T>,
    {
        let begun = self.home.around.clock().now();
        let turn = match self.look(&key, call, begun) {
            Looked::Serve(served) => return Ok(served),
            Looked::Ask(turn) => turn.map(|(turn, ..)| turn),
        };
        self.ask(key, call, operation, begun, turn).await
    }

    fn look(&self, key: &Key, call: &Call, now: Instant) -> Looked<T> {
        let rules = self.rules.get();
        let Some(refresh_after) = rules.refresh_after() else {
            return Looked::Ask(None);
        };
        let slot = self.slots().get(key);
        let good = slot.and_then(|slot| {
            let (value, age) = slot.good(now, rules.at_most())?;
            Some((slot, value, age))
        });
        let Some((slot, value, age)) = good else {
            return Looked::Ask(None);
        };
        if !rules.on().enforced().covers(call) {
            self.unanswered[Unanswered::Dark].increment();
            return Looked::Ask(None);
        }
        if age < refresh_after {
            return Looked::Serve(self.stale(value, age, Because::Recent));
        }
        match slot.refresh(now, rules.longest_refresh()) {
            Some(turn) => Looked::Ask(Some((turn, value, age))),
            None => Looked::Serve(self.stale(value, age, Because::Refreshing)),
        }
    }

    fn stale(&self, value: Arc<T>, age: Duration, why: Because) -> Served<T> {
        self.answered[FallbackSource::Stale].increment();
        let value = Arc::unwrap_or_clone(value);
        Served::Kept { value, age, why }
    }

    async fn ask<O>(
        &self,
        key: Key,
        call: &Call,
        operation: &O,
        begun: Instant,
        turn: Option<Turn<T>>,
    ) -> Result<Served<T>, Failure<O::Error>>
    where
        O: Operation<Output = T>,
    {
        let result = operation.attempt(call).await;
        let why = self.hear(key.clone(), call, operation, &result, begun);
        drop(turn);
        let Some(why) = why else {
            return result.map(Served::Fresh);
        };
        let rules = self.rules.get();
        if !rules.on().covers(&why) {
            return result.map(Served::Fresh);
        }
        let now = self.home.around.clock().now();
        let slot = self.slots().get(&key);
        let Some((value, age)) = slot.and_then(|slot| slot.good(now, rules.at_most())) else {
            self.unanswered[Unanswered::Nothing].increment();
            return result.map(Served::Fresh);
        };
        if !rules.on().enforced().covers(call) {
            self.unanswered[Unanswered::Dark].increment();
            return result.map(Served::Fresh);
        }
        self.answered[FallbackSource::LastGood].increment();
        let value = Arc::unwrap_or_clone(value);
        Ok(Served::Kept { value, age, why })
    }

    /// Keeps a good answer; why it is not what was asked for, if it is not.
    fn hear<O>(
        &self,
        key: Key,
        call: &Call,
        operation: &O,
        result: &Result<T, Failure<O::Error>>,
        begun: Instant,
    ) -> Option<Because>
    where
        O: Operation<Output = T>,
    {
        let outcome = operation.classify(call, result);
        if let Ok(value) = result
            && outcome.is_success()
        {
            let (value, now) = (value.clone(), self.home.around.clock().now());
            let slot = self.slots().get_with(key, || Arc::new(Slot::new()));
            slot.keep(value, begun, now);
        }
        Because::of(result, outcome)
    }
}

impl<T, E> Policy<T, E> for LastGood<T>
where
    T: Clone + Send + Sync + 'static,
    E: Send,
{
    async fn run<O>(&self, call: &Call, operation: &O) -> Result<T, Failure<E>>
    where
        O: Operation<Output = T, Error = E>,
    {
        let served = self.serve_operation(call, operation).await;
        served.map(Served::into_value)
    }
}

impl<T: Clone + Send + Sync + 'static> Inspect for Inner<T> {
    rs_metrics::inspect_rules!("last_good");

    fn snapshot(&self) -> Value {
        let rules = self.rules.get();
        let answered = FallbackSource::ALL.iter();
        let answered = answered.map(|from| (from.as_str(), self.answered[*from].value().into()));
        let unanswered = Unanswered::ALL.iter();
        let unanswered = unanswered.map(|why| (why.as_str(), self.unanswered[*why].value().into()));
        Value::map([
            ("kept", Value::from(self.kept())),
            ("entries", rules.entries().into()),
            ("at_most", rules.at_most().into()),
            ("refresh_after", rules.refresh_after().into()),
            ("answered", Value::map(answered)),
            ("unanswered", Value::map(unanswered)),
            ("config_version", self.rules.version().into()),
        ])
    }
}

impl<T> Clone for LastGood<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> fmt::Debug for LastGood<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastGood")
            .field("name", &self.0.home.name)
            .field("config", &self.0.rules.get())
            .finish_non_exhaustive()
    }
}
