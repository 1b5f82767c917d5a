//! Every policy as a tower layer.

mod attempt;
mod failed;
mod requests;

pub use failed::{Answered, AsFailure, Concludes, Unserved};
pub use requests::{ByClone, Once, Reading, Requests, Writing};

use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use rs_core::{ByResult, Call, Classify, Contained, Name, Policy};
use tower_layer::Layer;
use tower_service::Service;

use self::attempt::Requested;

/// Any policy as a tower layer: a retry, a bulkhead, a whole pipeline, a breaker.
///
/// ```
/// use rs_policies::{Pipeline, PolicyLayer, RetryConfig};
/// use std::time::Duration;
/// use tower::{Service, ServiceBuilder, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let payments = Pipeline::named("payments")
///     .timeout(Duration::from_secs(2))
///     .retry(RetryConfig::default())
///     .build()?;
///
/// let mut bank = ServiceBuilder::new()
///     .layer(PolicyLayer::new("charge", payments))
///     .concurrency_limit(8)
///     .service_fn(async |amount: u32| Ok::<_, std::io::Error>(format!("charged {amount}")));
///
/// assert_eq!(bank.ready().await?.call(17).await?, "charged 17");
/// # Ok(()) }
/// ```
///
/// # Requests
/// They are cloned for each attempt, unless [`repeating`](PolicyLayer::repeating) says how one is made again
/// or [`once`](PolicyLayer::once) that none is. What cannot be made again is not tried again. What a request
/// says of its call, such as a deadline or a key, is read by [`reading`](PolicyLayer::reading); what the
/// attempt says to the service is written by [`writing`](PolicyLayer::writing).
///
/// # Failures
/// The error of the service becomes a [`Failure`](rs_core::Failure) with the service's own inside, unless
/// [`answering`](PolicyLayer::answering) makes a response of what the policy itself ended: as servers must,
/// whose services do not fail.
///
/// # Readiness
/// To get the service ready is part of each attempt: it is waited for within the limits of the policy, an
/// open breaker does not wait for it, a retry makes up for it where it fails, and nothing is reserved for a
/// call that waits elsewhere. So the layer itself is always ready.
/// [`with_backpressure`](PolicyLayer::with_backpressure) makes it as ready as the service, for what stands
/// outside and goes by that: a balancer, a load shedder of tower's.
///
/// In either case each attempt is made with a service that was ready, and never with one whose readiness
/// was promised to somebody else: a clone is asked itself.
///
/// # Cancel safety
/// Dropping a response's future drops the attempt that runs, as dropping the policy's own would, and gives
/// back what was reserved for it.
pub struct PolicyLayer<P, M = ByClone, C = ByResult, A = AsFailure> {
    name: Name,
    has_backpressure: bool,
    policy: Arc<P>,
    requests: Arc<M>,
    classify: Arc<C>,
    conclude: A,
}

impl<P> PolicyLayer<P> {
    /// This policy, for calls of this name.
    pub fn new(name: impl Into<Name>, policy: P) -> Self {
        Self {
            name: name.into(),
            has_backpressure: false,
            policy: Arc::new(policy),
            requests: Arc::new(ByClone),
            classify: Arc::new(ByResult),
            conclude: AsFailure,
        }
    }
}

impl<P, M, C, A> PolicyLayer<P, M, C, A> {
    /// Requests are made again like this; one that cannot be is not tried again. A function of the request,
    /// or [`Requests`] of your own.
    #[must_use]
    pub fn repeating<N>(self, requests: N) -> PolicyLayer<P, N, C, A> {
        self.with_requests(|_| Arc::new(requests))
    }

    /// Requests are not made again, so they need not be `Clone`: for servers, and for bodies that stream.
    #[must_use]
    pub fn once(self) -> PolicyLayer<P, Once, C, A> {
        self.repeating(Once)
    }

    /// What the request says of its call: its deadline, its key, whether it is safe to repeat.
    ///
    /// ```
    /// use rs_core::Call;
    /// use rs_policies::{DeadlineHeader, PolicyLayer, RetryConfig, Retry};
    ///
    /// let patient = Retry::new("inventory", RetryConfig::default())?;
    /// let layer = PolicyLayer::new("reserve", patient).reading(|call: Call, request: &http::Request<String>| {
    ///     let header = DeadlineHeader::Grpc;
    ///     let left = request.headers().get(header.name()).and_then(|value| value.to_str().ok());
    ///     let call = match left.and_then(|left| header.decode(left)) {
    ///         Some(left) => call.limited_to(left),
    ///         None => call,
    ///     };
    ///     if request.method().is_idempotent() { call.safe_to_repeat() } else { call }
    /// });
    /// # let _ = layer; Ok::<(), rs_core::ConfigError>(())
    /// ```
    #[must_use]
    pub fn reading<F>(self, read: F) -> PolicyLayer<P, Reading<Arc<M>, F>, C, A> {
        self.with_requests(|requests| Arc::new(Reading(requests, read)))
    }

    /// What each attempt says to the service: the time that it has, the request that it belongs to.
    #[must_use]
    pub fn writing<F>(self, write: F) -> PolicyLayer<P, Writing<Arc<M>, F>, C, A> {
        self.with_requests(|requests| Arc::new(Writing(requests, write)))
    }

    /// Responses and errors are judged by this. A classifier that panics is contained.
    #[must_use]
    pub fn classified<D>(self, classify: D) -> PolicyLayer<P, M, Contained<D>, A> {
        PolicyLayer {
            name: self.name,
            has_backpressure: self.has_backpressure,
            policy: self.policy,
            requests: self.requests,
            classify: Arc::new(Contained::new(classify)),
            conclude: self.conclude,
        }
    }

    /// Calls that the policy refuses or ends get this response, and the error of the service stays what it
    /// is.
    ///
    /// An [`Unserved`] knows how HTTP says it, so `http::Response::from` will do; see the
    /// [crate page](crate#with-tower).
    #[must_use]
    pub fn answering<F>(self, answer: F) -> PolicyLayer<P, M, C, Answered<F>> {
        PolicyLayer {
            name: self.name,
            has_backpressure: self.has_backpressure,
            policy: self.policy,
            requests: self.requests,
            classify: self.classify,
            conclude: Answered::by(answer),
        }
    }

    /// Ready only when the service is. What it reserves by that is for the first attempt, which keeps it
    /// while the call waits elsewhere.
    ///
    /// The wait is outside of the policy then: no limit ends it, and an open breaker does not shorten it.
    #[must_use]
    pub fn with_backpressure(mut self) -> Self {
        self.has_backpressure = true;
        self
    }

    fn with_requests<N>(self, requests: impl FnOnce(Arc<M>) -> Arc<N>) -> PolicyLayer<P, N, C, A> {
        PolicyLayer {
            name: self.name,
            has_backpressure: self.has_backpressure,
            policy: self.policy,
            requests: requests(self.requests),
            classify: self.classify,
            conclude: self.conclude,
        }
    }
}

impl<P, M, C, A: Clone> Clone for PolicyLayer<P, M, C, A> {
    fn clone(&self) -> Self {
        Self {
            name: self.name,
            has_backpressure: self.has_backpressure,
            policy: Arc::clone(&self.policy),
            requests: Arc::clone(&self.requests),
            classify: Arc::clone(&self.classify),
            conclude: self.conclude.clone(),
        }
    }
}

impl<S, P, M, C, A: Clone> Layer<S> for PolicyLayer<P, M, C, A> {
    type Service = PolicyService<S, P, M, C, A>;

    fn layer(&self, service: S) -> Self::Service {
        PolicyService {
            service,
            is_ready: false,
            layer: self.clone(),
        }
    }
}

impl<P, M, C, A> fmt::Debug for PolicyLayer<P, M, C, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyLayer")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A service under a policy; see [`PolicyLayer`].
pub struct PolicyService<S, P, M = ByClone, C = ByResult, A = AsFailure> {
    service: S,
    /// Whether it was asked, and has said so.
    is_ready: bool,
    layer: PolicyLayer<P, M, C, A>,
}

impl<S, P, M, C, A> PolicyService<S, P, M, C, A> {
    /// The service.
    pub const fn get_ref(&self) -> &S {
        &self.service
    }

    /// The service.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.service
    }

    /// The service.
    pub fn into_inner(self) -> S {
        self.service
    }
}

/// What a service has promised, its clone has not.
impl<S: Clone, P, M, C, A: Clone> Clone for PolicyService<S, P, M, C, A> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
            is_ready: false,
            layer: self.layer.clone(),
        }
    }
}

impl<S: fmt::Debug, P, M, C, A> fmt::Debug for PolicyService<S, P, M, C, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyService")
            .field("service", &self.service)
            .field("layer", &self.layer)
            .finish_non_exhaustive()
    }
}

impl<S, Q, P, M, C, A> Service<Q> for PolicyService<S, P, M, C, A>
where
    S: Service<Q, Future: Send, Response: Send, Error: Send> + Clone + Send + 'static,
    Q: Send + 'static,
    P: Policy<S::Response, S::Error> + 'static,
    M: Requests<Q> + 'static,
    C: Classify<S::Response, S::Error> + 'static,
    A: Concludes<S::Response, S::Error> + Clone + Send + 'static,
{
    type Response = S::Response;
    type Error = A::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, A::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), A::Error>> {
        if self.layer.has_backpressure {
            let ready = ready!(self.service.poll_ready(context));
            ready.map_err(A::own)?;
            self.is_ready = true;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Q) -> Self::Future {
        // The one that was asked makes the call; its clone is asked before the next.
        let another = self.service.clone();
        let service = mem::replace(&mut self.service, another);
        let PolicyLayer {
            name,
            policy,
            requests,
            classify,
            conclude,
            ..
        } = self.layer.clone();
        let call = requests.read(Call::new(name), &request);
        let is_ready = mem::take(&mut self.is_ready);
        let requested = Requested::new(service, is_ready, request, requests, classify);
        Box::pin(async move {
            let result = policy.run(&call, &requested).await;
            conclude.conclude(result)
        })
    }
}
