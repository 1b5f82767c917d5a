use std::{
    fmt,
    future::Future,
    time::{Duration, Instant},
};

use moka::sync::Cache;
use rs_core::{Call, Failure, Guard, Name, Operation, Policy, Rejection, RoutingKey, operation};

use crate::Breaker;

/// A breaker that remembers the last good result of each call, and serves it with its age where it would
/// refuse.
///
/// Calls of the same name and key are the same call: where the answer belongs to somebody, make him part of
/// the key. Keys are compared by their 64-bit hash ([`RoutingKey`]), so this is not for secrets of strangers
/// who choose their keys. What is remembered is bounded.
///
/// ```
/// use rs_breaker::{Breaker, BreakerConfig, LastGood, Served};
/// use rs_core::{Call, Mandate};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let breaker = Breaker::new("prices", BreakerConfig::default())?;
/// let prices = LastGood::new(&breaker, 10_000);
/// let price = || Call::new("price").with_key("sku-17");
///
/// prices.serve(price(), async |_call| Ok::<_, std::io::Error>(250)).await?;
/// breaker.force_open(Mandate::new("anna", "a drill"));
///
/// let served = prices.serve(price(), async |_call| Ok::<_, std::io::Error>(999)).await?;
/// assert!(matches!(served, Served::Kept { value: 250, .. }));
/// println!("{} as of {:?} ago", served.value(), served.age());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct LastGood<T> {
    breaker: Breaker,
    kept: Cache<(Name, Option<RoutingKey>), Good<T>>,
    /// By the breaker's clock: the cache has one of its own, which tests cannot move.
    at_most: Duration,
}

#[derive(Clone)]
struct Good<T> {
    value: T,
    since: Instant,
}

/// A result, fresh or remembered.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a value is fresh or it is not")]
pub enum Served<T> {
    /// From the dependency, now.
    Fresh(T),
    /// The last good one, because the breaker refused.
    Kept {
        /// The value.
        value: T,
        /// How long ago it was fresh.
        age: Duration,
        /// Why it is not fresh.
        why: Rejection,
    },
}

impl<T> Served<T> {
    /// The value.
    #[must_use]
    pub const fn value(&self) -> &T {
        match self {
            Self::Fresh(value) | Self::Kept { value, .. } => value,
        }
    }

    /// The value.
    #[must_use]
    pub fn into_value(self) -> T {
        match self {
            Self::Fresh(value) | Self::Kept { value, .. } => value,
        }
    }

    /// How long ago it was fresh.
    #[must_use]
    pub const fn age(&self) -> Duration {
        match self {
            Self::Fresh(_) => Duration::ZERO,
            Self::Kept { age, .. } => *age,
        }
    }
}

impl<T: Clone + Send + Sync + 'static> LastGood<T> {
    /// Remembers the results of this many calls, each until another takes its place.
    #[must_use]
    pub fn new(breaker: &Breaker, capacity: u64) -> Self {
        Self::keeping_for(breaker, capacity, Duration::MAX)
    }

    /// Remembers the results of this many calls, and serves none that is older than this.
    #[must_use]
    pub fn keeping_for(breaker: &Breaker, capacity: u64, time: Duration) -> Self {
        Self {
            breaker: breaker.clone(),
            kept: Cache::new(capacity),
            at_most: time,
        }
    }

    /// Calls a closure and says whether the result is fresh.
    ///
    /// # Errors
    /// The operation's own failure, or the rejection when nothing is remembered for this call.
    ///
    /// # Cancel safety
    /// Dropping the future gives back the permit; the call counts as cancelled.
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
        self.serve_operation(&call.into(), &operation(attempt))
            .await
    }

    /// Runs an operation and says whether the result is fresh.
    ///
    /// # Errors
    /// The operation's own failure, or the rejection when nothing is remembered for this call.
    ///
    /// # Cancel safety
    /// Dropping the future gives back the permit; the call counts as cancelled.
    pub async fn serve_operation<O>(
        &self,
        call: &Call,
        operation: &O,
    ) -> Result<Served<T>, Failure<O::Error>>
    where
        O: Operation<Output = T>,
    {
        let key = (call.name(), call.key());
        match self.breaker.try_admit(call) {
            Ok(permit) => {
                let result = operation.attempt(call).await;
                let outcome = operation.classify(call, &result);
                permit.finish(outcome);
                let value = result?;
                // An `Ok` may still be bad news, such as a response with status 503.
                if outcome.is_success() {
                    let (value, since) = (value.clone(), self.breaker.clock().now());
                    self.kept.insert(key, Good { value, since });
                }
                Ok(Served::Fresh(value))
            }
            Err(why) => match self.kept(&key) {
                Some((value, age)) => Ok(Served::Kept { value, age, why }),
                None => Err(Failure::Rejected(why)),
            },
        }
    }

    fn kept(&self, key: &(Name, Option<RoutingKey>)) -> Option<(T, Duration)> {
        let Good { value, since } = self.kept.get(key)?;
        let age = self.breaker.clock().now().saturating_duration_since(since);
        (age <= self.at_most).then_some((value, age))
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

impl<T> fmt::Debug for LastGood<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastGood")
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}
