//! How a call is tried, and tried again.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use pin_project_lite::pin_project;
use rs_core::{Call, Failure, Operation, Outcome};

use super::Inner;

type Attempted<O> = Result<<O as Operation>::Output, Failure<<O as Operation>::Error>>;

/// A first attempt that failed.
pub(crate) struct First<T, E> {
    pub(crate) result: Result<T, Failure<E>>,
    pub(crate) outcome: Outcome,
    /// When the call began, if it had to wait.
    pub(crate) begun: Option<Instant>,
}

pin_project! {
    /// A call that is tried, and if need be tried again. Written out, so that the compiler folds it into
    /// one function with what is around it; only what happens after a failure is an async block.
    pub(super) struct Retried<'r, 'c, 'o, O, F, M, A> {
        retry: &'r Inner,
        call: &'c Call,
        operation: &'o O,
        begun: Option<Instant>,
        #[pin]
        state: State<F, M, A>,
    }
}

pin_project! {
    #[project = StateProjection]
    #[project_replace = StateBefore]
    enum State<F, M, A> {
        First { #[pin] attempt: F, go_on: M },
        // Larger than all the rest, and rare.
        Again { going_on: Pin<Box<A>> },
        Over,
    }
}

impl<'r, 'c, 'o, O, F, M, A> Retried<'r, 'c, 'o, O, F, M, A> {
    #[inline(always)]
    pub(super) const fn new(
        retry: &'r Inner,
        call: &'c Call,
        operation: &'o O,
        attempt: F,
        go_on: M,
    ) -> Self
    where
        O: Operation,
        M: FnOnce(First<O::Output, O::Error>) -> A,
    {
        Self {
            retry,
            call,
            operation,
            begun: None,
            state: State::First { attempt, go_on },
        }
    }
}

impl<O, F, M, A> Future for Retried<'_, '_, '_, O, F, M, A>
where
    O: Operation,
    F: Future<Output = Attempted<O>>,
    M: FnOnce(First<O::Output, O::Error>) -> A,
    A: Future<Output = Attempted<O>>,
{
    type Output = Attempted<O>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Attempted<O>> {
        let mut this = self.project();
        let state = this.state.as_mut().project();
        let StateProjection::First { attempt, .. } = state else {
            return poll_again(this.state, context);
        };
        // Looked at where it lies and returned as it is: a result that is taken apart is moved.
        let mut polled = attempt.poll(context);
        match &polled {
            Poll::Pending => {
                if this.begun.is_none() {
                    *this.begun = Some(this.retry.home.around.clock().now());
                }
            }
            Poll::Ready(result) => {
                let outcome = this.operation.classify(this.call, result);
                if !this.retry.is_over(result, outcome) {
                    polled = begin_again(this.state, polled, outcome, *this.begun, context);
                }
            }
        }
        polled
    }
}

#[cold]
#[inline(never)]
fn begin_again<T, E, F, M, A>(
    mut state: Pin<&mut State<F, M, A>>,
    polled: Poll<Result<T, Failure<E>>>,
    outcome: Outcome,
    begun: Option<Instant>,
    context: &mut Context<'_>,
) -> Poll<Result<T, Failure<E>>>
where
    M: FnOnce(First<T, E>) -> A,
    A: Future<Output = Result<T, Failure<E>>>,
{
    if let Poll::Ready(result) = polled
        && let StateBefore::First { go_on, .. } = state.as_mut().project_replace(State::Over)
    {
        let first = First {
            result,
            outcome,
            begun,
        };
        let going_on = Box::pin(go_on(first));
        state.set(State::Again { going_on });
    }
    poll_again(state, context)
}

#[cold]
#[inline(never)]
fn poll_again<T, F, M, A: Future<Output = T>>(
    mut state: Pin<&mut State<F, M, A>>,
    context: &mut Context<'_>,
) -> Poll<T> {
    let StateProjection::Again { going_on } = state.as_mut().project() else {
        unreachable!("polled again after it was over");
    };
    let polled = going_on.as_mut().poll(context);
    if polled.is_ready() {
        state.set(State::Over);
    }
    polled
}

impl Inner {
    /// Whether a first attempt that ended so is the last one. A call that reached the dependency adds to
    /// the budget.
    #[inline]
    pub(crate) fn is_over<T, E>(&self, result: &Result<T, Failure<E>>, outcome: Outcome) -> bool {
        if let Err(Failure::Rejected(_)) = result {
            return !self.rules.get().retries_rejections();
        }
        if let Some(budget) = &self.budget {
            budget.deposit();
        }
        !outcome.is_failure()
    }

    pub(crate) async fn go_on<O: Operation>(
        &self,
        call: &Call,
        operation: &O,
        first: First<O::Output, O::Error>,
    ) -> Attempted<O> {
        let mut series = self.series(call, first.begun);
        let (mut result, mut outcome) = (first.result, first.outcome);
        while let Some(delay) = series.pause(&result, outcome) {
            drop(result);
            if !delay.is_zero() {
                self.home.around.clock().sleep(delay).await;
            }
            let call = series.next_call();
            result = operation.attempt(&call).await;
            outcome = operation.classify(&call, &result);
            if series.is_over(&result, outcome) {
                break;
            }
        }
        result
    }
}
