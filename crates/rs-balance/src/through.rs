use std::{fmt, future::Future, time::Instant};

use rs_core::{
    ByResult, Call, Classify, Clock, Contained, Failure, Fault, Guard, Operation, Outcome,
    TimeLimits,
};

use crate::{Balancer, Lease};

/// An operation at an endpoint of a balancer; see [`Balancer::through`].
///
/// An attempt that a time limit around it ends counts as a failure of the endpoint, one whose caller goes away
/// before as cancelled: a server that hangs is ejected like one that refuses.
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
            let attempt = Attempt::begin(lease, &call, self.balancer.clock());
            let result = (self.run)(attempt.value(), call).await;
            attempt.finish(self.classify.classify_for(&call, result.as_ref()));
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
            Err(_) => Fault::timed_out().into(),
        }
    }
}

/// An attempt on its way. Time limits stand around it: whatever they end is dropped here, and only the clock
/// tells it from a caller who went away.
struct Attempt<'b, T, G: Guard> {
    /// `None` when it is finished.
    lease: Option<Lease<T, G>>,
    due: Option<(Instant, &'b Clock)>,
}

impl<'b, T: Clone, G: Guard> Attempt<'b, T, G> {
    fn begin(lease: Lease<T, G>, call: &Call, clock: &'b Clock) -> Self {
        // Without a limit nobody looks at the clock.
        let is_limited = call.deadline().is_some() || call.limits() != TimeLimits::NONE;
        let due = is_limited.then(|| call.deadline_at(clock.now())).flatten();
        Self {
            lease: Some(lease),
            due: due.map(|due| (due.moment(), clock)),
        }
    }

    fn value(&self) -> T {
        match &self.lease {
            Some(lease) => lease.value().clone(),
            None => unreachable!("only `finish` and `drop` take it, and nobody has it afterwards"),
        }
    }

    fn finish(mut self, outcome: Outcome) {
        if let Some(lease) = self.lease.take() {
            lease.finish(outcome);
        }
    }
}

impl<T, G: Guard> Drop for Attempt<'_, T, G> {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else {
            return;
        };
        match self.due {
            Some((due, clock)) if clock.now() >= due => lease.finish(Fault::timed_out().into()),
            _ => drop(lease),
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
