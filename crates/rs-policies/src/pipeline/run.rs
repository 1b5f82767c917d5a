//! A call through a pipeline: its limit, and the attempts within.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use pin_project_lite::pin_project;
use rs_core::{Call, Failure, Guard, Operation, TimeLimits, TimeScope, TimedOut};

use super::{
    Pipeline,
    once::{Make, Once},
};
use crate::{
    retry::First,
    timeout::{Limits, Waited},
};

type Attempted<O> = Result<<O as Operation>::Output, Failure<<O as Operation>::Error>>;

pin_project! {
    /// A call through a pipeline.
    pub(super) struct Run<'p, 'c, 'o, P, O, A, M, R> {
        pipeline: &'p P,
        call: &'c Call,
        operation: &'o O,
        limits: TimeLimits,
        begun: Option<Instant>,
        waited: Waited<'p>,
        #[pin]
        state: State<A, M, R>,
    }
}

pin_project! {
    #[project = StateProjection]
    #[project_replace = StateBefore]
    enum State<A, M, R> {
        First { #[pin] attempt: A, again: M },
        // Larger than all the rest, and rare.
        Again { trying: Pin<Box<R>> },
        Over,
    }
}

impl<'p, 'c, 'o, P, O: Operation, A, M, R> Run<'p, 'c, 'o, P, O, A, M, R> {
    #[inline(always)]
    pub(super) const fn new(
        pipeline: &'p P,
        call: &'c Call,
        operation: &'o O,
        limits: TimeLimits,
        attempt: A,
        again: M,
    ) -> Self
    where
        M: FnOnce(&'p P, &'c Call, &'o O, TimeLimits, First<O::Output, O::Error>) -> R,
    {
        Self {
            pipeline,
            call,
            operation,
            limits,
            begun: None,
            waited: Waited::NOT_YET,
            state: State::First { attempt, again },
        }
    }
}

impl<'p, 'c, 'o, G, L, X, O, EG, EL, F, N, M, R> Future
    for Run<'p, 'c, 'o, Pipeline<G, L, X>, O, Once<'p, 'c, 'o, G, L, X, O, EG, EL, F, N>, M, R>
where
    G: Guard,
    L: Guard,
    O: Operation,
    EG: Future<Output = Result<G::Ticket, rs_core::Rejection>>,
    EL: Future<Output = Result<L::Ticket, rs_core::Rejection>>,
    F: Future<Output = Attempted<O>>,
    N: Make<'p, 'c, 'o, Pipeline<G, L, X>, O, EG, EL, F>,
    M: FnOnce(&'p Pipeline<G, L, X>, &'c Call, &'o O, TimeLimits, First<O::Output, O::Error>) -> R,
    R: Future<Output = Attempted<O>>,
{
    type Output = Attempted<O>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Attempted<O>> {
        let mut this = self.project();
        let (pipeline, call) = (*this.pipeline, *this.call);
        if this.begun.is_none()
            && let Some(deadline) = call.deadline()
        {
            // Too late to begin: whoever has set a deadline has read the clock already.
            let now = *this.begun.insert(pipeline.clock.now());
            if deadline.has_passed(now) {
                this.state.set(State::Over);
                let what = TimedOut::new(TimeScope::Deadline, Duration::ZERO);
                return Poll::Ready(Err(what.into()));
            }
        }
        let mut polled = match this.state.as_mut().project() {
            StateProjection::First { mut attempt, .. } => {
                let mut polled = attempt.as_mut().poll(context);
                if let (Poll::Ready(result), Some(retry)) = (&polled, &pipeline.retry) {
                    let outcome = attempt.outcome();
                    if !retry.is_over(result, outcome) {
                        let begun = *this.begun;
                        let again = |again: M, result| {
                            let first = First {
                                result,
                                outcome,
                                begun,
                            };
                            again(pipeline, call, this.operation, *this.limits, first)
                        };
                        polled = begin_again(this.state.as_mut(), polled, again, context);
                    }
                }
                polled
            }
            StateProjection::Again { trying } => trying.as_mut().poll(context),
            StateProjection::Over => unreachable!("polled again after it was over"),
        };
        let limits = Limits {
            timeout: pipeline.timeout.as_ref(),
            clock: &pipeline.clock,
            call,
        };
        if polled.is_pending() {
            if this.begun.is_none() {
                *this.begun = Some(pipeline.clock.now());
            }
            if let Poll::Ready(what) = this.waited.poll_over(limits, context) {
                this.state.set(State::Over);
                polled = Poll::Ready(Err(what.into()));
            }
        } else {
            this.waited.claim(limits, &mut polled);
        }
        polled
    }
}

#[cold]
#[inline(never)]
fn begin_again<T, E, A, M, R>(
    mut state: Pin<&mut State<A, M, R>>,
    polled: Poll<Result<T, Failure<E>>>,
    go_on: impl FnOnce(M, Result<T, Failure<E>>) -> R,
    context: &mut Context<'_>,
) -> Poll<Result<T, Failure<E>>>
where
    R: Future<Output = Result<T, Failure<E>>>,
{
    let (Poll::Ready(result), StateBefore::First { again, .. }) =
        (polled, state.as_mut().project_replace(State::Over))
    else {
        unreachable!("a first attempt that has failed");
    };
    let mut trying = Box::pin(go_on(again, result));
    let polled = trying.as_mut().poll(context);
    state.set(State::Again { trying });
    polled
}
