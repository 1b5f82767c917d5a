use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use rs_core::{ByResult, Call, Classify, Contained, Failure, Operation, Outcome};

use super::{Pulse, watch::Watch};
use crate::Timeout;

/// An operation that is ended when it has gone silent; see
/// [`IdleTimeout::watching`](crate::IdleTimeout::watching).
#[must_use = "an operation does nothing until a policy runs it"]
pub struct WatchedFn<F, C = ByResult> {
    timeout: Timeout,
    run: F,
    classify: C,
}

impl<F> WatchedFn<F> {
    pub(super) const fn new(timeout: Timeout, run: F) -> Self {
        Self {
            timeout,
            run,
            classify: ByResult,
        }
    }
}

impl<F, C> WatchedFn<F, C> {
    /// The same operation, its results judged by this classifier.
    ///
    /// A classifier that panics is contained: the call counts as failed, and a signal says so.
    pub fn classified<D>(self, classify: D) -> WatchedFn<F, Contained<D>> {
        WatchedFn {
            timeout: self.timeout,
            run: self.run,
            classify: Contained::new(classify),
        }
    }
}

impl<F, C, Fut, T, E> Operation for WatchedFn<F, C>
where
    F: Fn(Call, Pulse) -> Fut + Send + Sync,
    Fut: Future<Output = Result<T, E>> + Send,
    C: Classify<T, E>,
    T: Send,
    E: Send,
{
    type Output = T;
    type Error = E;

    async fn attempt(&self, call: &Call) -> Result<T, Failure<E>> {
        let pulse = Pulse::new(self.timeout.clock());
        Attempt::Running {
            running: (self.run)(*call, pulse.clone()),
            pulse,
            watch: Watch::new(self.timeout.clone(), *call),
        }
        .await
    }

    fn classify(&self, call: &Call, result: &Result<T, Failure<E>>) -> Outcome {
        self.classify.judge(call, result)
    }
}

impl<F, C> fmt::Debug for WatchedFn<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedFn")
            .field("idle", &self.timeout.name())
            .finish_non_exhaustive()
    }
}

pin_project! {
    #[project = AttemptProjection]
    enum Attempt<F> {
        Running { #[pin] running: F, pulse: Pulse, watch: Watch },
        Over,
    }
}

impl<F, T, E> Future for Attempt<F>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, Failure<E>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let AttemptProjection::Running {
            running,
            pulse,
            watch,
        } = self.as_mut().project()
        else {
            unreachable!("polled again after it was over");
        };
        let attempts = watch.call().attempt();
        let ended = match running.poll(context) {
            Poll::Ready(result) => result.map_err(|error| Failure::Operation { error, attempts }),
            Poll::Pending => match watch.poll_over(pulse.last(), context) {
                Poll::Ready(what) => Err(what.into()),
                Poll::Pending => return Poll::Pending,
            },
        };
        self.set(Attempt::Over);
        Poll::Ready(ended)
    }
}
