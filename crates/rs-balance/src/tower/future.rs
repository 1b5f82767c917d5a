use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use pin_project_lite::pin_project;
use rs_core::{Call, Classify, Clock, Failure, Rejection};

use super::members::Member;
use crate::Lease;

pin_project! {
    /// A response that is on its way: its endpoint counts it until it is there, or this is dropped.
    #[must_use = "futures do nothing unless they are awaited"]
    pub struct BalanceFuture<S, F, C> {
        #[pin]
        way: Way<S, F>,
        call: Call,
        clock: Clock,
        classify: C,
    }
}

pin_project! {
    #[project = WayProjection]
    enum Way<S, F> {
        Running {
            #[pin]
            response: F,
            lease: Option<Lease<Arc<Member<S>>>>,
            begun: Instant,
        },
        Refused { rejection: Rejection },
    }
}

impl<S, F, C> BalanceFuture<S, F, C> {
    pub(crate) fn running(
        response: F,
        lease: Lease<Arc<Member<S>>>,
        begun: Instant,
        (call, clock, classify): (Call, Clock, C),
    ) -> Self {
        let way = Way::Running {
            response,
            lease: Some(lease),
            begun,
        };
        Self {
            way,
            call,
            clock,
            classify,
        }
    }

    pub(crate) fn refused(rejection: Rejection, (call, clock, classify): (Call, Clock, C)) -> Self {
        let way = Way::Refused { rejection };
        Self {
            way,
            call,
            clock,
            classify,
        }
    }
}

impl<S, F, R, E, C> Future for BalanceFuture<S, F, C>
where
    F: Future<Output = Result<R, E>>,
    C: Classify<R, E>,
{
    type Output = Result<R, Failure<E>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.way.project() {
            WayProjection::Running {
                response,
                lease,
                begun,
            } => {
                let result = ready!(response.poll(context));
                if let Some(lease) = lease.take() {
                    let elapsed = this.clock.now().saturating_duration_since(*begun);
                    let outcome = this.classify.classify_for(this.call, result.as_ref());
                    lease.finish_after(outcome, elapsed);
                }
                Poll::Ready(result.map_err(|error| Failure::Operation {
                    error,
                    attempts: this.call.attempt(),
                }))
            }
            WayProjection::Refused { rejection } => Poll::Ready(Err((*rejection).into())),
        }
    }
}

impl<S, F, C> fmt::Debug for BalanceFuture<S, F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BalanceFuture")
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}
