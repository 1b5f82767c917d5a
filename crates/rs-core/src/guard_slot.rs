//! Places in a stack where a guard may stand.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::{Call, Ending, Guard, Outline, Rejection};

/// No guard: admits every call.
impl Guard for () {
    type Ticket = ();

    #[inline]
    fn try_enter(&self, _call: &Call) -> Result<(), Rejection> {
        Ok(())
    }

    #[inline]
    fn enter_at_once(&self, _call: &Call) -> Option<Result<(), Rejection>> {
        Some(Ok(()))
    }

    #[inline]
    fn leave(&self, (): (), _ending: Ending) {}

    fn outline(&self) -> Outline {
        Outline::of("nothing")
    }
}

/// The guard, if there is one; else every call is admitted.
impl<G: Guard> Guard for Option<G> {
    type Ticket = Option<G::Ticket>;

    #[inline]
    fn try_enter(&self, call: &Call) -> Result<Self::Ticket, Rejection> {
        self.as_ref().map(|guard| guard.try_enter(call)).transpose()
    }

    #[inline]
    fn enter(&self, call: &Call) -> impl Future<Output = Result<Self::Ticket, Rejection>> + Send {
        match self {
            Some(guard) => EnteringIf::Guarded {
                entering: guard.enter(call),
            },
            None => EnteringIf::Free,
        }
    }

    #[inline]
    fn enter_at_once(&self, call: &Call) -> Option<Result<Self::Ticket, Rejection>> {
        match self {
            Some(guard) => guard.enter_at_once(call).map(|entered| entered.map(Some)),
            None => Some(Ok(None)),
        }
    }

    #[inline]
    fn leave(&self, ticket: Self::Ticket, ending: Ending) {
        if let (Some(guard), Some(ticket)) = (self, ticket) {
            guard.leave(ticket, ending);
        }
    }

    fn outline(&self) -> Outline {
        self.as_ref().map_or(Outline::of("nothing"), Guard::outline)
    }
}

pin_project! {
    #[project = EnteringIfProjection]
    enum EnteringIf<A> {
        Guarded { #[pin] entering: A },
        Free,
    }
}

impl<T, A: Future<Output = Result<T, Rejection>>> Future for EnteringIf<A> {
    type Output = Result<Option<T>, Rejection>;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project() {
            EnteringIfProjection::Guarded { entering } => {
                entering.poll(context).map(|entered| entered.map(Some))
            }
            EnteringIfProjection::Free => Poll::Ready(Ok(None)),
        }
    }
}
