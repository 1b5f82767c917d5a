use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

pin_project! {
    /// What is done usually, or something larger that is done seldom. That is boxed, so that whoever
    /// never does it is no larger for it.
    #[project = SeldomProjection]
    pub(crate) enum Seldom<A, B> {
        Usual { #[pin] running: A },
        Other { boxed: Pin<Box<B>> },
    }
}

impl<A: Future, B: Future<Output = A::Output>> Future for Seldom<A, B> {
    type Output = A::Output;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<A::Output> {
        match self.project() {
            SeldomProjection::Usual { running } => running.poll(context),
            SeldomProjection::Other { boxed } => boxed.as_mut().poll(context),
        }
    }
}
