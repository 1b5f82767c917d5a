use std::{fmt, future::Future};

use rs_core::{ByResult, Call, Classify, Contained, Failure, Guard, Operation, Outcome};

use crate::Balancer;

/// An operation at an endpoint of a balancer; see [`Balancer::through`].
#[must_use = "an operation does nothing until a policy runs it"]
pub struct Through<'b, T, G, F, C = ByResult> {
    balancer: &'b Balancer<T, G>,
    run: F,
    classify: C,
}

impl<'b, T, G, F> Through<'b, T, G, F> {
    pub(crate) const fn new(balancer: &'b Balancer<T, G>, run: F) -> Self {
        Self {
            balancer,
            run,
            classify: ByResult,
        }
    }

    /// The same operation, its results judged by this classifier.
    ///
    /// A classifier that panics is contained: the call counts as failed, and a signal says so.
    pub fn classified<C>(self, classify: C) -> Through<'b, T, G, F, Contained<C>> {
        Through {
            balancer: self.balancer,
            run: self.run,
            classify: Contained::new(classify),
        }
    }
}

impl<T, G, F, C, Fut, R, E> Operation for Through<'_, T, G, F, C>
where
    T: Clone + Send + Sync + 'static,
    G: Guard + 'static,
    F: Fn(T, Call) -> Fut + Send + Sync,
    Fut: Future<Output = Result<R, E>> + Send,
    C: Classify<R, E>,
    R: Send,
    E: Send,
{
    type Output = R;
    type Error = E;

    fn attempt(&self, call: &Call) -> impl Future<Output = Result<R, Failure<E>>> + Send {
        let call = *call;
        async move {
            let lease = self.balancer.try_pick(&call)?;
            let result = (self.run)(lease.value().clone(), call).await;
            lease.finish(self.classify.classify_for(&call, result.as_ref()));
            result.map_err(|error| Failure::Operation {
                error,
                attempts: call.attempt(),
            })
        }
    }

    fn classify(&self, call: &Call, result: &Result<R, Failure<E>>) -> Outcome {
        match result {
            Ok(value) => self.classify.classify_for(call, Ok(value)),
            Err(Failure::Operation { error, .. }) => self.classify.classify_for(call, Err(error)),
            Err(Failure::Rejected(_)) => Outcome::Ignored,
            Err(_) => rs_core::Fault::timed_out().into(),
        }
    }
}

impl<T, G, F, C> fmt::Debug for Through<'_, T, G, F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Through")
            .field("balancer", self.balancer)
            .finish_non_exhaustive()
    }
}
