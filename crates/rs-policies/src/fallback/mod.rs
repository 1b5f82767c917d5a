mod caught;
mod config;
mod instead;
#[cfg(feature = "cache")]
mod last_good;
mod run;
mod served;

pub use config::FallbackConfig;
pub use instead::{FromFn, Instead, OrElse, OrValue, TryFromFn};
#[cfg(feature = "cache")]
pub use last_good::{LastGood, LastGoodConfig};
pub use served::{Because, Served, Serves};

use std::{fmt, future::Future, sync::Arc};

use rs_core::{
    Call, ConfigError, Failure, Inspect, Label, Name, Operation, Outcome, Policy, Severity,
    SignalKind, Value, label_set,
};
use rs_metrics::{
    Counter, Family, Surroundings,
    pattern::{Announcements, Home, Rules},
};

use self::{
    caught::{Caught, Panicked},
    run::{Backed, Under},
};
use crate::metrics;

label_set! {
    /// Where the answer to a call that failed came from.
    pub enum FallbackSource: "source" {
        /// A value.
        Value = "value",
        /// A function of the failure.
        Function = "function",
        /// Another operation.
        Operation = "operation",
        /// The last good answer.
        LastGood = "last_good",
        /// The last good answer, without asking: it is recent, or being replaced.
        Stale = "stale",
    }
}

label_set! {
    /// Why a call that failed was not answered.
    pub enum Unanswered: "reason" {
        /// There was no answer to this failure.
        Nothing = "nothing",
        /// What was to answer failed itself.
        Failed = "failed",
        /// What was to answer panicked.
        Panicked = "panicked",
        /// It would have been, but for dark mode.
        Dark = "dark",
    }
}

/// Answers where a call fails: with a value, with what a function makes of the failure, or by asking something
/// else.
///
/// It belongs outside of everything else, where a refusal, a timeout and a failure of the last attempt all come
/// by. What failed by the caller's own fault stays a failure; see [`FallbackConfig`]. Whoever must know whether
/// an answer is the real one asks by [`Fallback::serve`].
///
/// ```
/// use rs_core::{Failure, Policy};
/// use rs_policies::{Fallback, Served};
/// # use std::io::Error;
/// # fn away<T>() -> Result<T, Error> { Err(Error::other("away")) }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), rs_core::ConfigError> {
/// let shown = Fallback::value("recommendations", vec!["bestsellers"])?;
/// assert_eq!(shown.call("recommend", async |_call| away()).await.unwrap(), ["bestsellers"]);
///
/// let counted = Fallback::from_fn("stock", |failure: &Failure<Error>| match failure {
///     Failure::Rejected(_) => Some(0),
///     _ => None,
/// })?;
/// assert!(counted.call("count", async |_call| away()).await.is_err());
///
/// let asked = Fallback::or_else("prices", async |call, why| {
///     println!("{}: {why}, asking the replica", call.name());
///     Ok::<_, Error>(250)
/// })?;
/// let served = asked.serve("price", async |_call| away()).await.unwrap();
/// assert!(matches!(served, Served::Instead { value: 250, .. }) && served.is_degraded());
/// # Ok(()) }
/// ```
///
/// # Cancel safety
/// Dropping the future drops the call, or what answers for it.
pub struct Fallback<S> {
    inner: Arc<Inner>,
    source: Arc<S>,
}

pub(crate) struct Inner {
    home: Home,
    rules: Rules<FallbackConfig>,
    answered: Family<Counter, FallbackSource>,
    unanswered: Family<Counter, Unanswered>,
}

static ANNOUNCED: Announcements = Announcements::of("fallback");
static PANICKED: SignalKind = SignalKind::new(
    "fallback",
    "panicked",
    Severity::Warning,
    "panicked; the call ends as it would have without it",
);

impl<T> Fallback<OrValue<T>> {
    /// Answers with copies of this value.
    ///
    /// # Errors
    /// Never: as with all policies, a configuration may be wrong, but the default is not.
    pub fn value(name: impl Into<Name>, value: T) -> Result<Self, ConfigError> {
        Self::new(name, FallbackConfig::default(), OrValue(value))
    }
}

impl<F> Fallback<FromFn<F>> {
    /// Answers with what this function makes of the failure; one for which it has nothing stays a failure.
    ///
    /// It is not asked for an `Ok` that the classifier took for a failure; see [`Fallback::try_from_fn`].
    ///
    /// # Errors
    /// Never: as with all policies, a configuration may be wrong, but the default is not.
    pub fn from_fn<T, E>(name: impl Into<Name>, function: F) -> Result<Self, ConfigError>
    where
        F: Fn(&Failure<E>) -> Option<T>,
    {
        Self::new(name, FallbackConfig::default(), FromFn(function))
    }
}

impl<F> Fallback<TryFromFn<F>> {
    /// Answers with what this function makes of the result that was taken for a failure: a value, another
    /// error, or nothing.
    ///
    /// # Errors
    /// Never: as with all policies, a configuration may be wrong, but the default is not.
    pub fn try_from_fn<T, E>(name: impl Into<Name>, function: F) -> Result<Self, ConfigError>
    where
        F: Fn(&Result<T, Failure<E>>, Because) -> Option<Result<T, E>>,
    {
        Self::new(name, FallbackConfig::default(), TryFromFn(function))
    }
}

impl<F> Fallback<OrElse<F>> {
    /// Asks this: another dependency, a queue for later. It gets the call and the reason; if it fails, its
    /// error is the one that the call ends with.
    ///
    /// # Errors
    /// Never: as with all policies, a configuration may be wrong, but the default is not.
    pub fn or_else<T, E, Fut>(name: impl Into<Name>, ask: F) -> Result<Self, ConfigError>
    where
        F: Fn(Call, Because) -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        Self::new(name, FallbackConfig::default(), OrElse(ask))
    }
}

impl<S> Fallback<S> {
    /// A fallback of this name that goes by this and answers by that.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`FallbackConfig::check`].
    pub fn new(
        name: impl Into<Name>,
        config: FallbackConfig,
        source: S,
    ) -> Result<Self, ConfigError> {
        Self::within(&Surroundings::of_process(), name, config, source)
    }

    /// The same in these surroundings.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`FallbackConfig::check`].
    pub fn within(
        around: &Surroundings,
        name: impl Into<Name>,
        config: FallbackConfig,
        source: S,
    ) -> Result<Self, ConfigError> {
        let inner = Arc::new(Inner::new(around, name.into(), config)?);
        if let Some(directory) = around.directory() {
            directory.register(&inner);
        }
        let source = Arc::new(source);
        Ok(Self { inner, source })
    }

    /// Answers by that and counts as the one that this is of.
    pub(crate) fn sharing(inner: Arc<Inner>, source: S) -> Self {
        let source = Arc::new(source);
        Self { inner, source }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> Name {
        self.inner.home.name
    }

    /// What it goes by.
    #[must_use]
    pub fn config(&self) -> FallbackConfig {
        *self.inner.rules.get()
    }

    /// Goes by this from the next failure on. The version that is in force then.
    ///
    /// # Errors
    /// When it is wrong; the old one stays in force.
    pub fn reconfigure(&self, config: FallbackConfig) -> Result<u64, ConfigError> {
        self.inner.reconfigure(config)
    }

    /// How many calls it answered.
    #[must_use]
    pub fn answered(&self) -> u64 {
        let sources = FallbackSource::ALL.iter();
        sources
            .map(|source| self.inner.answered[*source].value())
            .sum()
    }

    /// How many calls that failed it did not answer, for this reason.
    #[must_use]
    pub fn unanswered(&self, reason: Unanswered) -> u64 {
        self.inner.unanswered[reason].value()
    }

    /// Calls a closure and says where the answer is from.
    ///
    /// # Errors
    /// The failure for which there is no answer, or that of what was to answer.
    ///
    /// # Cancel safety
    /// As [`Policy::run`].
    pub async fn serve<T, E, F, Fut>(
        &self,
        call: impl Into<Call> + Send,
        attempt: F,
    ) -> Result<Served<T>, Failure<E>>
    where
        S: Instead<T, E>,
        F: Fn(Call) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: Send,
    {
        let operation = rs_core::operation(attempt);
        self.serve_operation(&call.into(), &(), &operation).await
    }

    /// Runs an operation under these policies and says where the answer is from.
    ///
    /// # Errors
    /// The failure for which there is no answer, or that of what was to answer.
    ///
    /// # Cancel safety
    /// As [`Policy::run`].
    pub async fn serve_operation<P, O>(
        &self,
        call: &Call,
        inside: &P,
        operation: &O,
    ) -> Result<Served<O::Output>, Failure<O::Error>>
    where
        S: Instead<O::Output, O::Error>,
        P: Policy<O::Output, O::Error>,
        O: Operation,
    {
        let policy = inside;
        let operation = Under { policy, operation };
        let result = operation.attempt(call).await;
        let outcome = operation.classify(call, &result);
        match self.inner.judge(call, &result, outcome) {
            None => result.map(Served::Fresh),
            Some(why) => self.answer(call, result, why).await,
        }
    }

    /// The answer to a call that failed.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn keeps its arguments twice in its future"
    )]
    fn answer<T, E>(
        &self,
        call: &Call,
        failed: Result<T, Failure<E>>,
        why: Because,
    ) -> impl Future<Output = Result<Served<T>, Failure<E>>> + Send
    where
        S: Instead<T, E>,
        T: Send,
        E: Send,
    {
        async move {
            let given = match Caught::new(|| self.source.answer(call, why, &failed)) {
                Ok(asked) => asked.await,
                Err(panicked) => Err(panicked),
            };
            self.inner.end(call, failed, why, given, S::SOURCE)
        }
    }
}

/// What came of asking for an answer.
type Given<T, E> = Result<Option<Result<T, Failure<E>>>, Panicked>;

impl Inner {
    pub(crate) fn new(
        around: &Surroundings,
        name: Name,
        config: FallbackConfig,
    ) -> Result<Self, ConfigError> {
        let home = Home::new(around, name);
        let registry = home.metrics();
        Ok(Self {
            rules: Rules::new(config)?,
            answered: metrics::FALLBACK_CALLS.bind_in(&registry, name),
            unanswered: metrics::FALLBACK_UNANSWERED.bind_in(&registry, name),
            home,
        })
    }

    fn reconfigure(&self, config: FallbackConfig) -> Result<u64, ConfigError> {
        self.rules.replace(&self.home, &ANNOUNCED, config, |_| ())
    }

    /// How a call ends that failed and for which this was given.
    fn end<T, E>(
        &self,
        call: &Call,
        failed: Result<T, Failure<E>>,
        why: Because,
        given: Given<T, E>,
        source: FallbackSource,
    ) -> Result<Served<T>, Failure<E>> {
        let reason = match given {
            Ok(Some(Ok(value))) => {
                self.answered[source].increment();
                return Ok(Served::Instead { value, why });
            }
            Ok(Some(Err(failure))) => {
                self.unanswered[Unanswered::Failed].increment();
                return Err(failure);
            }
            Ok(None) => Unanswered::Nothing,
            Err(Panicked) => {
                let home = &self.home;
                home.record(|| PANICKED.signal(home.name).during(call));
                Unanswered::Panicked
            }
        };
        self.unanswered[reason].increment();
        failed.map(Served::Fresh)
    }

    /// Why this result is to be replaced, if it is.
    #[inline]
    fn judge<T, E>(
        &self,
        call: &Call,
        result: &Result<T, Failure<E>>,
        outcome: Outcome,
    ) -> Option<Because> {
        let why = Because::of(result, outcome)?;
        self.covers(call, &why).then_some(why)
    }

    #[inline(never)]
    fn covers(&self, call: &Call, why: &Because) -> bool {
        let rules = self.rules.get();
        if !rules.covers(why) {
            return false;
        }
        let is_enforced = rules.enforced().covers(call);
        if !is_enforced {
            self.unanswered[Unanswered::Dark].increment();
        }
        is_enforced
    }
}

impl<T, E, S> Policy<T, E> for Fallback<S>
where
    S: Instead<T, E>,
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
        let instead = move |failed, why| self.answer(call, failed, why);
        Backed::new(&self.inner, call, operation, attempt, instead)
    }
}

impl Inspect for Inner {
    rs_metrics::inspect_rules!("fallback");

    fn snapshot(&self) -> Value {
        let answered = FallbackSource::ALL.iter();
        let answered = answered.map(|from| (from.as_str(), self.answered[*from].value().into()));
        let unanswered = Unanswered::ALL.iter();
        let unanswered = unanswered.map(|why| (why.as_str(), self.unanswered[*why].value().into()));
        Value::map([
            ("answered", Value::map(answered)),
            ("unanswered", Value::map(unanswered)),
            ("config_version", self.rules.version().into()),
        ])
    }
}

impl<S> Clone for Fallback<S> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            source: Arc::clone(&self.source),
        }
    }
}

impl<S> fmt::Debug for Fallback<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback")
            .field("name", &self.name())
            .field("config", &self.config())
            .finish_non_exhaustive()
    }
}
