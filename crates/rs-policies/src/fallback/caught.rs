use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

pin_project! {
    /// A future whose panic is an error. It is not polled again after that.
    pub(super) struct Caught<F> {
        #[pin]
        future: F,
    }
}

/// It panicked.
#[derive(Debug)]
pub(super) struct Panicked;

impl<F> Caught<F> {
    /// What `make` makes, if it does not panic either.
    pub(super) fn new(make: impl FnOnce() -> F) -> Result<Self, Panicked> {
        let made = catch_unwind(AssertUnwindSafe(make));
        made.map(|future| Self { future }).map_err(|_| Panicked)
    }
}

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.project().future;
        let polled = catch_unwind(AssertUnwindSafe(|| future.poll(context)));
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    }
}
