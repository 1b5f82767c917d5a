//! One attempt: through the guards, then the operation within its limit.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use rs_core::{Call, Failure, Guard, Operation, Outcome, Permit, Rejection};

use crate::timeout::Limits;

pin_project! {
    /// One attempt. Written out, as all of a pipeline is up to the first failure: it folds into one
    /// function, and what is in it is moved as little as possible.
    pub(super) struct Once<'p, 'c, 'o, G, L, O, A, B, F, M>
    where
        G: Guard,
        L: Guard,
    {
        guard: &'p G,
        limit: &'p L,
        call: &'c Call,
        operation: &'o O,
        make: M,
        limits: Limits<'p, 'c>,
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

/// How the parts of an attempt are made when it gets so far.
pub(super) trait Make<A, B, F> {
    fn enter_guard(&self) -> A;
    fn enter_limit(&self) -> B;
    fn run(&self) -> F;
}

impl<A, B, F, K, N, R> Make<A, B, F> for (K, N, R)
where
    K: Fn() -> A,
    N: Fn() -> B,
    R: Fn() -> F,
{
    #[inline]
    fn enter_guard(&self) -> A {
        self.0()
    }

    #[inline]
    fn enter_limit(&self) -> B {
        self.1()
    }

    #[inline(always)]
    fn run(&self) -> F {
        self.2()
    }
}

impl<'p, 'c, 'o, G: Guard, L: Guard, O, A, B, F, M> Once<'p, 'c, 'o, G, L, O, A, B, F, M> {
    #[inline(always)]
    pub(super) fn new(
        (guard, limit): (&'p G, &'p L),
        call: &'c Call,
        operation: &'o O,
        make: M,
        limits: Limits<'p, 'c>,
    ) -> Self
    where
        M: Make<A, B, F>,
    {
        Self {
            guard,
            limit,
            call,
            operation,
            make,
            limits,
            outer: None,
            inner: None,
            outcome: Outcome::Ignored,
            stage: Stage::Start,
        }
    }

    /// What the result said, once there is one.
    #[inline(always)]
    pub(super) fn outcome(self: Pin<&mut Self>) -> Outcome {
        *self.project().outcome
    }
}

impl<G, L, O, A, B, F, M> Once<'_, '_, '_, G, L, O, A, B, F, M>
where
    G: Guard,
    L: Guard,
    A: Future<Output = Result<G::Ticket, Rejection>>,
    B: Future<Output = Result<L::Ticket, Rejection>>,
    M: Make<A, B, F>,
{
    /// Gets to where the operation runs, without waiting if that is possible.
    #[inline(always)]
    fn poll_in(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Rejection>> {
        let mut this = self.project();
        loop {
            match this.stage.as_mut().project() {
                StageProjection::Running { .. } => return Poll::Ready(Ok(())),
                StageProjection::Start => match this.guard.enter_at_once(this.call) {
                    Some(entered) => *this.outer = Some(Permit::new(*this.guard, entered?)),
                    None => {
                        let entering = this.make.enter_guard();
                        this.stage.set(Stage::AtGuard { entering });
                        continue;
                    }
                },
                StageProjection::AtGuard { entering } => {
                    let ticket = ready!(entering.poll(context))?;
                    *this.outer = Some(Permit::new(*this.guard, ticket));
                }
                StageProjection::AtLimit { entering } => {
                    let ticket = ready!(entering.poll(context))?;
                    *this.inner = Some(Permit::new(*this.limit, ticket));
                }
                StageProjection::Over => unreachable!("polled again after it was over"),
            }
            if this.inner.is_none() {
                match this.limit.enter_at_once(this.call) {
                    Some(entered) => *this.inner = Some(Permit::new(*this.limit, entered?)),
                    None => {
                        let entering = this.make.enter_limit();
                        this.stage.set(Stage::AtLimit { entering });
                        continue;
                    }
                }
            }
            let running = this.make.run();
            this.stage.set(Stage::Running { running });
            return Poll::Ready(Ok(()));
        }
    }
}

impl<G, L, O, A, B, F, M> Future for Once<'_, '_, '_, G, L, O, A, B, F, M>
where
    G: Guard,
    L: Guard,
    O: Operation,
    A: Future<Output = Result<G::Ticket, Rejection>>,
    B: Future<Output = Result<L::Ticket, Rejection>>,
    F: Future<Output = Result<O::Output, Failure<O::Error>>>,
    M: Make<A, B, F>,
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
        if polled.is_pending()
            && let Poll::Ready(what) = this.limits.poll_over(context)
        {
            polled = Poll::Ready(Err(what.into()));
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
