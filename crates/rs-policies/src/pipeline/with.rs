//! What a pipeline has beside what is built in: a hedge, a single flight, a fallback.

use std::future::Future;

use rs_core::{Call, Clock, Failure, Guard, Operation, Outcome, Policy, Stacked, TimeLimits};

use super::{Attempt, Pipeline};
use crate::{
    Retry, Served, Serves, Timeout,
    timeout::{Limited, Limits},
};

/// What a pipeline has beside what is built in, `()` where it has nothing: a hedge, a single flight for calls
/// of one key, a fallback.
#[derive(Debug, Clone, Default)]
pub struct With<H = (), C = (), F = ()> {
    pub(super) hedge: H,
    pub(super) coalesce: C,
    pub(super) fallback: F,
}

impl<H> With<H> {
    /// With this hedge alone.
    pub(crate) const fn hedged(hedge: H) -> Self {
        Self {
            hedge,
            coalesce: (),
            fallback: (),
        }
    }
}

impl<H, C, F> With<H, C, F> {
    /// The hedge.
    pub const fn hedge(&self) -> &H {
        &self.hedge
    }

    /// What lets calls of one key share a run.
    pub const fn coalesce(&self) -> &C {
        &self.coalesce
    }

    /// The fallback.
    pub const fn fallback(&self) -> &F {
        &self.fallback
    }
}

/// Has a place where this can be put.
pub trait Adds<P> {
    /// What it is then.
    type With;

    /// With this.
    fn adding(self, policy: P) -> Self::With;
}

/// A hedge that is put into a pipeline.
#[derive(Debug)]
pub struct AddHedge<H>(pub(super) H);

/// A single flight that is put into a pipeline.
#[derive(Debug)]
pub struct AddCoalesce<C>(pub(super) C);

/// A fallback that is put into a pipeline.
#[derive(Debug)]
pub struct AddFallback<F>(pub(super) F);

impl<P> Adds<P> for ()
where
    With: Adds<P>,
{
    type With = <With as Adds<P>>::With;

    fn adding(self, policy: P) -> Self::With {
        With::default().adding(policy)
    }
}

impl<H, C, F> Adds<AddHedge<H>> for With<(), C, F> {
    type With = With<H, C, F>;

    fn adding(self, AddHedge(hedge): AddHedge<H>) -> With<H, C, F> {
        With {
            hedge,
            coalesce: self.coalesce,
            fallback: self.fallback,
        }
    }
}

impl<H, C, F> Adds<AddCoalesce<C>> for With<H, (), F> {
    type With = With<H, C, F>;

    fn adding(self, AddCoalesce(coalesce): AddCoalesce<C>) -> With<H, C, F> {
        With {
            hedge: self.hedge,
            coalesce,
            fallback: self.fallback,
        }
    }
}

impl<H, C, F> Adds<AddFallback<F>> for With<H, C, ()> {
    type With = With<H, C, F>;

    fn adding(self, AddFallback(fallback): AddFallback<F>) -> With<H, C, F> {
        With {
            hedge: self.hedge,
            coalesce: self.coalesce,
            fallback,
        }
    }
}

/// Does this with everything inside the fallback as an operation: a macro, because each part borrows the one
/// before.
macro_rules! within_fallback {
    ($pipeline:expr, $operation:expr, $limits:expr, |$inside:ident| $run:expr) => {{
        let (pipeline, limits) = ($pipeline, $limits);
        let attempt = Attempt {
            pipeline,
            operation: $operation,
            limits,
        };
        let tried = Tried {
            retry: pipeline.retry.as_ref(),
            limits,
            operation: &Stacked::new(&pipeline.with.hedge, &attempt),
        };
        let $inside = Timed {
            timeout: pipeline.timeout.as_ref(),
            clock: &pipeline.clock,
            operation: &Stacked::new(&pipeline.with.coalesce, &tried),
        };
        $run.await
    }};
}

impl<T, E, G, L, H, C, F> Policy<T, E> for Pipeline<G, L, With<H, C, F>>
where
    T: Send,
    E: Send,
    G: Guard,
    L: Guard,
    H: Policy<T, E>,
    C: Policy<T, E>,
    F: Policy<T, E>,
{
    fn run<O>(
        &self,
        call: &Call,
        operation: &O,
    ) -> impl Future<Output = Result<T, Failure<E>>> + Send
    where
        O: Operation<Output = T, Error = E>,
    {
        let limits = self.limits(call);
        let mut call = call.within_limits(TimeLimits::NONE);
        if self.safe_to_repeat {
            call = call.safe_to_repeat();
        }
        async move {
            let fallback = &self.with.fallback;
            within_fallback!(self, operation, limits, |timed| fallback.run(&call, &timed))
        }
    }
}

impl<G, L, H, C, F> Pipeline<G, L, With<H, C, F>> {
    /// Calls a closure and says where the answer is from: whether the fallback gave it, and why.
    ///
    /// ```
    /// use rs_policies::{Fallback, Pipeline};
    /// # use std::io::Error;
    /// # async fn price() -> Result<u32, Error> { Err(Error::other("away")) }
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let prices = Pipeline::named("prices").fallback(Fallback::value("prices", 250)?).build()?;
    /// let served = prices.serve("price", async |_call| price().await).await?;
    /// assert!(served.is_degraded());
    /// println!("{} because {}", served.value(), served.why().unwrap());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The failure for which there is no answer, or that of what was to answer.
    ///
    /// # Cancel safety
    /// As [`Policy::run`].
    pub async fn serve<T, E, A, Fut>(
        &self,
        call: impl Into<Call> + Send,
        attempt: A,
    ) -> Result<Served<T>, Failure<E>>
    where
        A: Fn(Call) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: Send,
        G: Guard,
        L: Guard,
        H: Policy<T, E>,
        C: Policy<T, E>,
        F: Serves<T, E>,
    {
        let operation = &rs_core::operation(attempt);
        let call = call.into();
        let limits = self.limits(&call);
        let mut call = call.within_limits(TimeLimits::NONE);
        if self.safe_to_repeat {
            call = call.safe_to_repeat();
        }
        let fallback = &self.with.fallback;
        within_fallback!(self, operation, limits, |timed| {
            fallback.serve_operation(&call, &timed)
        })
    }
}

/// An operation that is tried again, if there is a retry.
struct Tried<'p, O> {
    retry: Option<&'p Retry>,
    limits: TimeLimits,
    operation: &'p O,
}

impl<O: Operation> Operation for Tried<'_, O> {
    type Output = O::Output;
    type Error = O::Error;

    async fn attempt(&self, call: &Call) -> Result<O::Output, Failure<O::Error>> {
        // The retry must see what it has time for.
        let call = &call.within_limits(self.limits);
        match self.retry {
            Some(retry) => retry.run(call, self.operation).await,
            None => self.operation.attempt(call).await,
        }
    }

    fn can_repeat(&self) -> bool {
        self.operation.can_repeat()
    }

    fn classify(&self, call: &Call, result: &Result<O::Output, Failure<O::Error>>) -> Outcome {
        self.operation.classify(call, result)
    }
}

/// An operation with a limit on the whole of it.
struct Timed<'p, O> {
    timeout: Option<&'p Timeout>,
    clock: &'p Clock,
    operation: &'p O,
}

impl<O: Operation> Operation for Timed<'_, O> {
    type Output = O::Output;
    type Error = O::Error;

    async fn attempt(&self, call: &Call) -> Result<O::Output, Failure<O::Error>> {
        let limits = Limits {
            timeout: self.timeout,
            clock: self.clock,
            call,
        };
        Limited::new(limits, self.operation.attempt(call)).await
    }

    fn can_repeat(&self) -> bool {
        self.operation.can_repeat()
    }

    fn classify(&self, call: &Call, result: &Result<O::Output, Failure<O::Error>>) -> Outcome {
        self.operation.classify(call, result)
    }
}
