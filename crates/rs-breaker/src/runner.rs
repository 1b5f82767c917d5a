use std::{fmt, future::Future};

use rs_core::{Call, Failure, Guard, Operation, Permit, Policy, Rejection};

use crate::Breaker;

impl Breaker {
    /// The same breaker, which answers with this value where it would refuse.
    ///
    /// ```
    /// use rs_breaker::{Breaker, BreakerConfig};
    /// use rs_core::{Mandate, Policy};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), rs_core::ConfigError> {
    /// let recommendations = Breaker::new("recommendations", BreakerConfig::default())?;
    /// recommendations.force_open(Mandate::new("anna", "a drill"));
    ///
    /// let shown = recommendations
    ///     .or_value(vec!["bestsellers"])
    ///     .call("recommend", async |_call| Err(std::io::Error::other("away")))
    ///     .await;
    /// assert_eq!(shown.unwrap(), ["bestsellers"]);
    /// # Ok(()) }
    /// ```
    pub fn or_value<T>(&self, value: T) -> OrValue<T> {
        OrValue {
            breaker: self.clone(),
            value,
        }
    }

    /// The same breaker, which asks this function where it would refuse.
    ///
    /// Only what the breaker itself refuses is asked for: a call that failed, failed. The function gets
    /// the call and the reason, and may fail itself.
    ///
    /// ```
    /// use rs_breaker::{Breaker, BreakerConfig};
    /// use rs_core::{Call, Mandate, Policy, Rejection};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), rs_core::ConfigError> {
    /// let payments = Breaker::new("payments", BreakerConfig::default())?;
    /// payments.force_open(Mandate::new("anna", "a drill"));
    ///
    /// let (queue, _queued) = tokio::sync::mpsc::channel(100);
    /// let later = payments.or_else(move |call: Call, _why: Rejection| {
    ///     let queued = queue.try_send(call.id()).map_err(std::io::Error::other);
    ///     async move { queued.map(|()| "queued") }
    /// });
    /// let charged = later.call("charge", async |_call| Ok::<_, std::io::Error>("charged")).await;
    /// assert_eq!(charged.unwrap(), "queued");
    /// # Ok(()) }
    /// ```
    pub fn or_else<F>(&self, instead: F) -> OrElse<F> {
        OrElse {
            breaker: self.clone(),
            instead,
        }
    }
}

/// A breaker with a value for when it refuses; see [`Breaker::or_value`].
#[derive(Debug, Clone)]
#[must_use = "it does nothing until something is called through it"]
pub struct OrValue<T> {
    breaker: Breaker,
    value: T,
}

/// A breaker with a function for when it refuses; see [`Breaker::or_else`].
#[derive(Clone)]
#[must_use = "it does nothing until something is called through it"]
pub struct OrElse<F> {
    breaker: Breaker,
    instead: F,
}

impl<T, E> Policy<T, E> for OrValue<T>
where
    T: Clone + Send + Sync,
    E: Send,
{
    async fn run<O>(&self, call: &Call, operation: &O) -> Result<T, Failure<E>>
    where
        O: Operation<Output = T, Error = E>,
    {
        match self.breaker.try_admit(call) {
            Ok(permit) => run_admitted(permit, call, operation).await,
            Err(_) => Ok(self.value.clone()),
        }
    }
}

impl<T, E, F, Fut> Policy<T, E> for OrElse<F>
where
    F: Fn(Call, Rejection) -> Fut + Send + Sync,
    Fut: Future<Output = Result<T, E>> + Send,
    T: Send,
    E: Send,
{
    async fn run<O>(&self, call: &Call, operation: &O) -> Result<T, Failure<E>>
    where
        O: Operation<Output = T, Error = E>,
    {
        match self.breaker.try_admit(call) {
            Ok(permit) => run_admitted(permit, call, operation).await,
            Err(why) => (self.instead)(*call, why)
                .await
                .map_err(|error| Failure::Operation {
                    error,
                    attempts: call.attempt(),
                }),
        }
    }
}

/// Runs the operation under a permit that it has.
async fn run_admitted<O: Operation>(
    permit: Permit<&Breaker>,
    call: &Call,
    operation: &O,
) -> Result<O::Output, Failure<O::Error>> {
    let result = operation.attempt(call).await;
    permit.finish(operation.classify(call, &result));
    result
}

impl<F> fmt::Debug for OrElse<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrElse")
            .field("breaker", &self.breaker)
            .finish_non_exhaustive()
    }
}
