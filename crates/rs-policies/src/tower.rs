use std::{
    fmt,
    future::{Future, poll_fn},
    mem,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use rs_core::{ByResult, Call, Classify, Failure, Fault, Name, Operation, Outcome, Policy};
use tower_layer::Layer;
use tower_service::Service;

use crate::sync::lock;

/// Any policy as a tower layer: a retry, a bulkhead, a whole pipeline, a breaker.
///
/// The service's requests must be `Clone`, or [`PolicyLayer::repeating`] says how one is made again, or
/// that it cannot be: then it is not tried again. Errors become [`Failure`]s, with the service's own inside.
///
/// Readiness is not promised twice: the first attempt is made with the service that `poll_ready` was asked
/// of, and each further one with a clone that was asked before it is called.
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
/// # Cancel safety
/// Dropping a response's future drops the attempt that runs, as dropping the policy's own would.
pub struct PolicyLayer<P, M = ByClone, C = ByResult> {
    name: Name,
    policy: Arc<P>,
    manner: Arc<Manner<M, C>>,
}

/// How requests are handled.
struct Manner<M, C> {
    repeat: M,
    classify: C,
}

/// Makes a request again, if that is possible.
pub trait Repeat<Q>: Send + Sync {
    /// Another one like it.
    fn repeat(&self, request: &Q) -> Option<Q>;
}

/// A request is made again by cloning it: the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ByClone;

impl<Q: Clone> Repeat<Q> for ByClone {
    fn repeat(&self, request: &Q) -> Option<Q> {
        Some(request.clone())
    }
}

impl<Q, F: Fn(&Q) -> Option<Q> + Send + Sync> Repeat<Q> for F {
    fn repeat(&self, request: &Q) -> Option<Q> {
        self(request)
    }
}

impl<P> PolicyLayer<P> {
    /// This policy, for calls of this name.
    pub fn new(name: impl Into<Name>, policy: P) -> Self {
        Self {
            name: name.into(),
            policy: Arc::new(policy),
            manner: Arc::new(Manner {
                repeat: ByClone,
                classify: ByResult,
            }),
        }
    }
}

impl<P, M, C> PolicyLayer<P, M, C> {
    /// Requests are made again like this; one that cannot be is not tried again.
    pub fn repeating<N>(self, repeat: N) -> PolicyLayer<P, N, C>
    where
        C: Clone,
    {
        PolicyLayer {
            name: self.name,
            policy: self.policy,
            manner: Arc::new(Manner {
                repeat,
                classify: self.manner.classify.clone(),
            }),
        }
    }

    /// Responses and errors are judged by this.
    pub fn classified<D>(self, classify: D) -> PolicyLayer<P, M, rs_core::Contained<D>>
    where
        M: Clone,
    {
        PolicyLayer {
            name: self.name,
            policy: self.policy,
            manner: Arc::new(Manner {
                repeat: self.manner.repeat.clone(),
                classify: rs_core::Contained::new(classify),
            }),
        }
    }
}

impl<P, M, C> Clone for PolicyLayer<P, M, C> {
    fn clone(&self) -> Self {
        Self {
            name: self.name,
            policy: Arc::clone(&self.policy),
            manner: Arc::clone(&self.manner),
        }
    }
}

impl<S, P, M, C> Layer<S> for PolicyLayer<P, M, C> {
    type Service = PolicyService<S, P, M, C>;

    fn layer(&self, service: S) -> Self::Service {
        PolicyService {
            service,
            layer: self.clone(),
        }
    }
}

impl<P, M, C> fmt::Debug for PolicyLayer<P, M, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyLayer")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A service under a policy; see [`PolicyLayer`].
pub struct PolicyService<S, P, M = ByClone, C = ByResult> {
    service: S,
    layer: PolicyLayer<P, M, C>,
}

impl<S, P, M, C> PolicyService<S, P, M, C> {
    /// The service.
    pub const fn get_ref(&self) -> &S {
        &self.service
    }

    /// The service.
    pub fn into_inner(self) -> S {
        self.service
    }
}

impl<S: Clone, P, M, C> Clone for PolicyService<S, P, M, C> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
            layer: self.layer.clone(),
        }
    }
}

impl<S: fmt::Debug, P, M, C> fmt::Debug for PolicyService<S, P, M, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyService")
            .field("service", &self.service)
            .field("layer", &self.layer)
            .finish()
    }
}

impl<S, Q, P, M, C> Service<Q> for PolicyService<S, P, M, C>
where
    S: Service<Q, Future: Send, Response: Send, Error: Send> + Clone + Send + 'static,
    Q: Send + 'static,
    P: Policy<S::Response, S::Error> + 'static,
    M: Repeat<Q> + 'static,
    C: Classify<S::Response, S::Error> + 'static,
{
    type Response = S::Response;
    type Error = Failure<S::Error>;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Failure<S::Error>>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let ready = self.service.poll_ready(context);
        ready.map_err(|error| Failure::Operation { error, attempts: 1 })
    }

    fn call(&mut self, request: Q) -> Self::Future {
        // The one that is ready makes the call, and a clone of it waits for the next.
        let spare = self.service.clone();
        let ready = mem::replace(&mut self.service, spare.clone());
        let policy = Arc::clone(&self.layer.policy);
        let call = Call::new(self.layer.name);
        let requested = Requested {
            services: Mutex::new((Some(ready), spare)),
            request: Mutex::new(Some(request)),
            manner: Arc::clone(&self.layer.manner),
        };
        Box::pin(async move { policy.run(&call, &requested).await })
    }
}

/// A request to a service, as an operation that can be tried.
struct Requested<S, Q, M, C> {
    /// The one that is ready, until it is used; and one to make others of.
    services: Mutex<(Option<S>, S)>,
    /// Gone once it was used and could not be made again.
    request: Mutex<Option<Q>>,
    manner: Arc<Manner<M, C>>,
}

impl<S, Q, M, C> Operation for Requested<S, Q, M, C>
where
    S: Service<Q, Future: Send, Response: Send, Error: Send> + Clone + Send,
    Q: Send,
    M: Repeat<Q>,
    C: Classify<S::Response, S::Error>,
{
    type Output = S::Response;
    type Error = S::Error;

    async fn attempt(&self, call: &Call) -> Result<S::Response, Failure<S::Error>> {
        let failed = |error| Failure::Operation {
            error,
            attempts: call.attempt(),
        };
        let (mut service, is_ready) = {
            let mut services = lock(&self.services);
            match services.0.take() {
                Some(ready) => (ready, true),
                None => (services.1.clone(), false),
            }
        };
        if !is_ready {
            poll_fn(|context| service.poll_ready(context))
                .await
                .map_err(failed)?;
        }
        let request = {
            let mut request = lock(&self.request);
            let again = request
                .as_ref()
                .and_then(|it| self.manner.repeat.repeat(it));
            again.or_else(|| request.take())
        };
        match request {
            Some(request) => service.call(request).await.map_err(failed),
            None => unreachable!("what cannot be made again is not tried again"),
        }
    }

    /// A request that is gone cannot be tried again, whatever the failure.
    fn classify(&self, call: &Call, result: &Result<S::Response, Failure<S::Error>>) -> Outcome {
        let classify = &self.manner.classify;
        let outcome = match result {
            Ok(response) => classify.classify_for(call, Ok(response)),
            Err(Failure::Operation { error, .. }) => classify.classify_for(call, Err(error)),
            Err(Failure::TimedOut(_)) => Fault::timed_out().into(),
            Err(_) => Outcome::Ignored,
        };
        if outcome.is_failure() && lock(&self.request).is_none() {
            return Outcome::PERMANENT;
        }
        outcome
    }
}
