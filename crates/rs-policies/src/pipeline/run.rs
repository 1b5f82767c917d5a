//! A call through a pipeline: its limit, and the attempts within.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use pin_project_lite::pin_project;
use rs_core::{Call, Clock, Failure, Guard, Operation, Outcome, TimeScope, TimedOut};

use super::{
    Pipeline,
    once::{Make, Once},
};
use crate::{
    retry::{First, Retry},
    timeout::Limits,
};

type Attempted<O> = Result<<O as Operation>::Output, Failure<<O as Operation>::Error>>;

pin_project! {
    /// A call through a pipeline.
    pub(super) struct Run<'p, 'c, A, M, R> {
        retry: Option<&'p Retry>,
        clock: &'p Clock,
        limits: Limits<'p, 'c>,
        begun: Option<Instant>,
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

impl<'p, 'c, A, M, R> Run<'p, 'c, A, M, R> {
    #[inline(always)]
    pub(super) fn new<G, L, X>(
        pipeline: &'p Pipeline<G, L, X>,
        call: &'c Call,
        attempt: A,
        again: M,
    ) -> Self {
        Self {
            retry: pipeline.retry.as_ref(),
            clock: &pipeline.clock,
            limits: Limits::new(pipeline.timeout.as_ref(), &pipeline.clock, call),
            begun: None,
            state: State::First { attempt, again },
        }
    }
}

impl<'p, 'c, 'o, G, L, O, EG, EL, F, N, M, R> Future
    for Run<'p, 'c, Once<'p, 'c, 'o, G, L, O, EG, EL, F, N>, M, R>
where
    G: Guard,
    L: Guard,
    O: Operation,
    EG: Future<Output = Result<G::Ticket, rs_core::Rejection>>,
    EL: Future<Output = Result<L::Ticket, rs_core::Rejection>>,
    F: Future<Output = Attempted<O>>,
    N: Make<EG, EL, F>,
    M: FnOnce(First<O::Output, O::Error>) -> R,
    R: Future<Output = Attempted<O>>,
{
    type Output = Attempted<O>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Attempted<O>> {
        let mut this = self.project();
        if this.begun.is_none()
            && let Some(deadline) = this.limits.deadline()
        {
            // Too late to begin: whoever has set a deadline has read the clock already.
            let now = *this.begun.insert(this.clock.now());
            if deadline.has_passed(now) {
                this.state.set(State::Over);
                let what = TimedOut::new(TimeScope::Deadline, Duration::ZERO);
                return Poll::Ready(Err(what.into()));
            }
        }
        let mut polled = match this.state.as_mut().project() {
            StateProjection::First { mut attempt, .. } => {
                let mut polled = attempt.as_mut().poll(context);
                if let (Poll::Ready(result), Some(retry)) = (&polled, this.retry) {
                    let outcome = attempt.outcome();
                    if !retry.is_over(result, outcome) {
                        polled =
                            begin_again(this.state.as_mut(), polled, outcome, *this.begun, context);
                    }
                }
                polled
            }
            StateProjection::Again { trying } => trying.as_mut().poll(context),
            StateProjection::Over => unreachable!("polled again after it was over"),
        };
        if polled.is_pending() {
            if this.begun.is_none() {
                *this.begun = Some(this.clock.now());
            }
            if let Poll::Ready(what) = this.limits.poll_over(context) {
                this.state.set(State::Over);
                polled = Poll::Ready(Err(what.into()));
            }
        } else {
            this.limits.claim(&mut polled);
        }
        polled
    }
}

#[cold]
#[inline(never)]
fn begin_again<T, E, A, M, R>(
    mut state: Pin<&mut State<A, M, R>>,
    polled: Poll<Result<T, Failure<E>>>,
    outcome: Outcome,
    begun: Option<Instant>,
    context: &mut Context<'_>,
) -> Poll<Result<T, Failure<E>>>
where
    M: FnOnce(First<T, E>) -> R,
    R: Future<Output = Result<T, Failure<E>>>,
{
    let (Poll::Ready(result), StateBefore::First { again, .. }) =
        (polled, state.as_mut().project_replace(State::Over))
    else {
        unreachable!("a first attempt that has failed");
    };
    let mut trying = Box::pin(again(First {
        result,
        outcome,
        begun,
    }));
    let polled = trying.as_mut().poll(context);
    state.set(State::Again { trying });
    polled
}
