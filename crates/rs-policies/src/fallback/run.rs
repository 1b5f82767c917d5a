//! A call that is answered by something else if it fails.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use rs_core::{Call, Failure, Operation, Outcome, Policy};

use super::{Because, Inner, Served};

type Attempted<O> = Result<<O as Operation>::Output, Failure<<O as Operation>::Error>>;

pin_project! {
    /// Written out, so that the compiler folds it into one function with what is around it; only what happens
    /// after a failure is an async block.
    pub(super) struct Backed<'f, 'c, 'o, O, F, M, A> {
        fallback: &'f Inner,
        call: &'c Call,
        operation: &'o O,
        #[pin]
        state: State<F, M, A>,
    }
}

pin_project! {
    #[project = StateProjection]
    #[project_replace = StateBefore]
    enum State<F, M, A> {
        First { #[pin] attempt: F, instead: M },
        Instead { #[pin] answering: A },
        Over,
    }
}

impl<'f, 'c, 'o, O, F, M, A> Backed<'f, 'c, 'o, O, F, M, A>
where
    O: Operation,
    M: FnOnce(Attempted<O>, Because) -> A,
{
    #[inline(always)]
    pub(super) const fn new(
        fallback: &'f Inner,
        call: &'c Call,
        operation: &'o O,
        attempt: F,
        instead: M,
    ) -> Self {
        Self {
            fallback,
            call,
            operation,
            state: State::First { attempt, instead },
        }
    }
}

impl<O, F, M, A> Future for Backed<'_, '_, '_, O, F, M, A>
where
    O: Operation,
    F: Future<Output = Attempted<O>>,
    M: FnOnce(Attempted<O>, Because) -> A,
    A: Future<Output = Result<Served<O::Output>, Failure<O::Error>>>,
{
    type Output = Attempted<O>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Attempted<O>> {
        let mut this = self.project();
        if let StateProjection::First { attempt, .. } = this.state.as_mut().project() {
            let result = ready!(attempt.poll(context));
            let outcome = this.operation.classify(this.call, &result);
            let before = this.state.as_mut().project_replace(State::Over);
            let Some(why) = this.fallback.judge(this.call, &result, outcome) else {
                return Poll::Ready(result);
            };
            if let StateBefore::First { instead, .. } = before {
                let answering = instead(result, why);
                this.state.set(State::Instead { answering });
            }
        }
        let StateProjection::Instead { answering } = this.state.as_mut().project() else {
            unreachable!("polled again after it was over");
        };
        let served = ready!(answering.poll(context));
        this.state.set(State::Over);
        Poll::Ready(served.map(Served::into_value))
    }
}

/// An operation under other policies, as an operation.
pub(super) struct Under<'u, P, O> {
    pub(super) policy: &'u P,
    pub(super) operation: &'u O,
}

impl<P, O> Operation for Under<'_, P, O>
where
    O: Operation,
    P: Policy<O::Output, O::Error>,
{
    type Output = O::Output;
    type Error = O::Error;

    fn attempt(&self, call: &Call) -> impl Future<Output = Attempted<O>> + Send {
        self.policy.run(call, self.operation)
    }

    fn can_repeat(&self) -> bool {
        self.operation.can_repeat()
    }

    fn classify(&self, call: &Call, result: &Attempted<O>) -> Outcome {
        self.operation.classify(call, result)
    }
}
