use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use rs_core::{ByResult, Call, Classify, Contained, Failure, Guard, Permit, Rejection};
use tower_layer::Layer;
use tower_service::Service;

use crate::Breaker;

/// A breaker as a tower layer: every service that it wraps is guarded by the same breaker.
///
/// The error of the service becomes a [`Failure`]: its own error, or the rejection. Where the breaker
/// refuses, the service is neither asked nor waited for. A service that fails to become ready has not been
/// called: that counts for nothing here.
///
/// ```
/// use rs_breaker::{Breaker, BreakerConfig, BreakerLayer};
/// use rs_core::{Failure, Mandate};
/// use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let breaker = Breaker::new("payments", BreakerConfig::default())?;
/// let mut payments = ServiceBuilder::new()
///     .layer(BreakerLayer::new(&breaker))
///     .service(service_fn(async |amount: u32| Ok::<_, std::io::Error>(amount)));
/// assert_eq!(payments.ready().await?.call(250).await?, 250);
///
/// breaker.force_open(Mandate::new("anna", "a drill"));
/// let refused = payments.ready().await?.call(250).await;
/// assert!(matches!(refused, Err(Failure::Rejected(_))));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct BreakerLayer<C = ByResult> {
    breaker: Breaker,
    classify: C,
}

impl BreakerLayer {
    /// Guarded by this breaker; any `Err` of the service counts as a failure.
    #[must_use]
    pub fn new(breaker: &Breaker) -> Self {
        Self {
            breaker: breaker.clone(),
            classify: ByResult,
        }
    }
}

impl<C> BreakerLayer<C> {
    /// The same, its results judged by this classifier. One that panics is contained: the call counts as
    /// failed.
    #[must_use]
    pub fn classified<D>(self, classify: D) -> BreakerLayer<Contained<D>> {
        BreakerLayer {
            breaker: self.breaker,
            classify: Contained::new(classify),
        }
    }
}

impl<S, C: Clone> Layer<S> for BreakerLayer<C> {
    type Service = BreakerService<S, C>;

    fn layer(&self, inner: S) -> Self::Service {
        BreakerService {
            inner,
            breaker: self.breaker.clone(),
            classify: self.classify.clone(),
            refused: None,
        }
    }
}

/// A service guarded by a breaker; see [`BreakerLayer`].
#[derive(Debug)]
pub struct BreakerService<S, C = ByResult> {
    inner: S,
    breaker: Breaker,
    classify: C,
    /// The next call is refused: the service was not ready, and would not be asked anyway.
    refused: Option<Rejection>,
}

impl<S, C> BreakerService<S, C> {
    /// The service inside.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The service inside.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The service inside.
    pub fn into_inner(self) -> S {
        self.inner
    }

    fn new_call(&self) -> Call {
        Call::new(self.breaker.name())
    }
}

/// A clone has not been refused anything yet.
impl<S: Clone, C: Clone> Clone for BreakerService<S, C> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            breaker: self.breaker.clone(),
            classify: self.classify.clone(),
            refused: None,
        }
    }
}

impl<S, C, R> Service<R> for BreakerService<S, C>
where
    S: Service<R>,
    C: Classify<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = Failure<S::Error>;
    type Future = BreakerFuture<S::Future, C>;

    /// Ready when the service is, or when the breaker refuses: an open breaker does not wait for what is
    /// broken.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.refused = None;
        match self.inner.poll_ready(context) {
            Poll::Ready(ready) => Poll::Ready(ready.map_err(own_error)),
            Poll::Pending => {
                self.refused = self.breaker.shared().why_shut();
                if self.refused.is_some() {
                    Poll::Ready(Ok(()))
                } else {
                    Poll::Pending
                }
            }
        }
    }

    fn call(&mut self, request: R) -> Self::Future {
        let call = self.new_call();
        let admitted = match self.refused.take() {
            Some(rejection) => {
                self.breaker.shared().was_refused(&rejection);
                Err(rejection)
            }
            None => self.breaker.try_enter(&call),
        };
        let state = match admitted {
            Ok(ticket) => State::Running {
                // The permit first: if the service panics, it goes back.
                permit: Some(Permit::new(self.breaker.clone(), ticket)),
                running: self.inner.call(request),
                classify: self.classify.clone(),
                call,
            },
            Err(rejection) => State::Refused { rejection },
        };
        BreakerFuture { state }
    }
}

pin_project! {
    /// A call through a [`BreakerService`].
    #[must_use = "futures do nothing unless polled"]
    pub struct BreakerFuture<F, C> {
        #[pin]
        state: State<F, C>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, C> {
        Running { #[pin] running: F, permit: Option<Permit<Breaker>>, classify: C, call: Call },
        Refused { rejection: Rejection },
    }
}

impl<F, C, T, E> Future for BreakerFuture<F, C>
where
    F: Future<Output = Result<T, E>>,
    C: Classify<T, E>,
{
    type Output = Result<T, Failure<E>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProjection::Refused { rejection } => {
                Poll::Ready(Err(Failure::Rejected(*rejection)))
            }
            StateProjection::Running {
                running,
                permit,
                classify,
                call,
            } => {
                let result = ready!(running.poll(context));
                if let Some(permit) = permit.take() {
                    permit.finish(classify.classify_for(call, result.as_ref()));
                }
                Poll::Ready(result.map_err(own_error))
            }
        }
    }
}

const fn own_error<E>(error: E) -> Failure<E> {
    Failure::Operation { error, attempts: 1 }
}

impl<F, C> fmt::Debug for BreakerFuture<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerFuture").finish_non_exhaustive()
    }
}
