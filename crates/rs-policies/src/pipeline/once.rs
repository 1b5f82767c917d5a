//! One attempt: through the guards, then the operation within its limit.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use rs_core::{Call, Failure, Guard, Operation, Outcome, Permit, Rejection, TimeLimits};

use super::Pipeline;
use crate::timeout::{Limits, Waited};

pin_project! {
    /// One attempt. Written out, as all of a pipeline is up to the first failure: it folds into one
    /// function, and what is in it is moved as little as possible.
    pub(super) struct Once<'p, 'c, 'o, G, L, X, O, A, B, F, M>
    where
        G: Guard,
        L: Guard,
    {
        pipeline: &'p Pipeline<G, L, X>,
        call: &'c Call,
        operation: &'o O,
        limits: TimeLimits,
        make: M,
        waited: Waited<'p>,
        outer: Option<Permit<&'p G>>,
        inner: Option<Permit<&'p L>>,
        // What the result said, for whoever asks next.
        outcome: Outcome,
        #[pin]
        stage: Stage<A, B, F>,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<A, B, F> {
        Start,
        AtGuard { #[pin] entering: A },
        AtLimit { #[pin] entering: B },
        Running { #[pin] running: F },
        Over,
    }
}

/// How the parts of an attempt are made when it gets so far: three functions that keep nothing, because nobody
/// can write down the types of what they make.
pub(super) trait Make<'p, 'c, 'o, P, O, A, B, F> {
    fn enter_guard(&self, pipeline: &'p P, call: &'c Call) -> A;
    fn enter_limit(&self, pipeline: &'p P, call: &'c Call) -> B;
    fn run(&self, pipeline: &'p P, call: &'c Call, operation: &'o O, limits: TimeLimits) -> F;
}

impl<'p, 'c, 'o, P, O, A, B, F, K, N, R> Make<'p, 'c, 'o, P, O, A, B, F> for (K, N, R)
where
    P: 'p,
    O: 'o,
    K: Fn(&'p P, &'c Call) -> A,
    N: Fn(&'p P, &'c Call) -> B,
    R: Fn(&'p P, &'c Call, &'o O, TimeLimits) -> F,
{
    #[inline]
    fn enter_guard(&self, pipeline: &'p P, call: &'c Call) -> A {
        self.0(pipeline, call)
    }

    #[inline]
    fn enter_limit(&self, pipeline: &'p P, call: &'c Call) -> B {
        self.1(pipeline, call)
    }

    #[inline(always)]
    fn run(&self, pipeline: &'p P, call: &'c Call, operation: &'o O, limits: TimeLimits) -> F {
        self.2(pipeline, call, operation, limits)
    }
}

impl<'p, 'c, 'o, G: Guard, L: Guard, X, O, A, B, F, K, N, R>
    Once<'p, 'c, 'o, G, L, X, O, A, B, F, (K, N, R)>
{
    #[inline(always)]
    pub(super) const fn new(
        pipeline: &'p Pipeline<G, L, X>,
        call: &'c Call,
        operation: &'o O,
        limits: TimeLimits,
        enter_guard: K,
        enter_limit: N,
        run: R,
    ) -> Self
    where
        K: Fn(&'p Pipeline<G, L, X>, &'c Call) -> A,
        N: Fn(&'p Pipeline<G, L, X>, &'c Call) -> B,
        R: Fn(&'p Pipeline<G, L, X>, &'c Call, &'o O, TimeLimits) -> F,
    {
        Self {
            pipeline,
            call,
            operation,
            limits,
            make: (enter_guard, enter_limit, run),
            waited: Waited::NOT_YET,
            outer: None,
            inner: None,
            outcome: Outcome::Ignored,
            stage: Stage::Start,
        }
    }
}

impl<'p, 'c, 'o, G: Guard, L: Guard, X, O, A, B, F, M> Once<'p, 'c, 'o, G, L, X, O, A, B, F, M> {
    /// What the result said, once there is one.
    #[inline(always)]
    pub(super) fn outcome(self: Pin<&mut Self>) -> Outcome {
        *self.project().outcome
    }
}

impl<'p, 'c, 'o, G, L, X, O, A, B, F, M> Once<'p, 'c, 'o, G, L, X, O, A, B, F, M>
where
    G: Guard,
    L: Guard,
    A: Future<Output = Result<G::Ticket, Rejection>>,
    B: Future<Output = Result<L::Ticket, Rejection>>,
    M: Make<'p, 'c, 'o, Pipeline<G, L, X>, O, A, B, F>,
{
    /// Gets to where the operation runs, without waiting if that is possible.
    #[inline(always)]
    fn poll_in(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Rejection>> {
        let mut this = self.project();
        let (pipeline, call) = (*this.pipeline, *this.call);
        loop {
            match this.stage.as_mut().project() {
                StageProjection::Running { .. } => return Poll::Ready(Ok(())),
                StageProjection::Start => match pipeline.guard.enter_at_once(call) {
                    Some(entered) => *this.outer = Some(Permit::new(&pipeline.guard, entered?)),
                    None => {
                        let entering = this.make.enter_guard(pipeline, call);
                        this.stage.set(Stage::AtGuard { entering });
                        continue;
                    }
                },
                StageProjection::AtGuard { entering } => {
                    let ticket = ready!(entering.poll(context))?;
                    *this.outer = Some(Permit::new(&pipeline.guard, ticket));
                }
                StageProjection::AtLimit { entering } => {
                    let ticket = ready!(entering.poll(context))?;
                    *this.inner = Some(Permit::new(&pipeline.limit, ticket));
                }
                StageProjection::Over => unreachable!("polled again after it was over"),
            }
            if this.inner.is_none() {
                match pipeline.limit.enter_at_once(call) {
                    Some(entered) => *this.inner = Some(Permit::new(&pipeline.limit, entered?)),
                    None => {
                        let entering = this.make.enter_limit(pipeline, call);
                        this.stage.set(Stage::AtLimit { entering });
                        continue;
                    }
                }
            }
            let running = this.make.run(pipeline, call, this.operation, *this.limits);
            this.stage.set(Stage::Running { running });
            return Poll::Ready(Ok(()));
        }
    }
}

impl<'p, 'c, 'o, G, L, X, O, A, B, F, M> Future for Once<'p, 'c, 'o, G, L, X, O, A, B, F, M>
where
    G: Guard,
    L: Guard,
    O: Operation,
    A: Future<Output = Result<G::Ticket, Rejection>>,
    B: Future<Output = Result<L::Ticket, Rejection>>,
    F: Future<Output = Result<O::Output, Failure<O::Error>>>,
    M: Make<'p, 'c, 'o, Pipeline<G, L, X>, O, A, B, F>,
{
    type Output = Result<O::Output, Failure<O::Error>>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let entered = ready!(self.as_mut().poll_in(context));
        let mut this = self.project();
        // Looked at where it lies and returned as it is: a result that is taken apart is moved.
        let mut polled = match (entered, this.stage.as_mut().project()) {
            (Ok(()), StageProjection::Running { running }) => running.poll(context),
            (Err(why), _) => Poll::Ready(Err(why.into())),
            _ => Poll::Pending,
        };
        if polled.is_pending() {
            let limits = Limits {
                timeout: this.pipeline.attempt_timeout.as_ref(),
                clock: &this.pipeline.clock,
                call: this.call,
            };
            if let Poll::Ready(what) = this.waited.poll_over(limits, context) {
                polled = Poll::Ready(Err(what.into()));
            }
        }
        if let Poll::Ready(result) = &polled {
            let outcome = this.operation.classify(this.call, result);
            *this.outcome = outcome;
            this.stage.set(Stage::Over);
            if let Some(permit) = this.inner.take() {
                permit.finish(outcome);
            }
            if let Some(permit) = this.outer.take() {
                permit.finish(outcome);
            }
        }
        polled
    }
}
