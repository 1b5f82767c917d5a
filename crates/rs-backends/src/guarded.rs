use std::fmt;

use async_trait::async_trait;
use rs_core::{Call, Failure, Name, Outcome, Policy, operation};

use crate::{Backend, BackendError, BackendHealth, InstanceSet, ServiceInstance, Watch};

/// A backend whose operations run under a policy: a breaker, a retry, a limit, a whole pipeline.
///
/// Any [`Policy`] and any [`Guard`](rs_core::Guard) will do, whichever crate it is from, and a tuple of
/// them. `register`, `deregister` and `discover` go through it; what the caller did wrong is ignored by
/// it ([`BackendError::outcome`]). All three may be repeated without harm, and the calls say so.
///
/// A watch does not go through it, because it has a backoff of its own and must go on whatever happens.
/// Neither does `health_check`, because it is how people find out that the registry is back.
///
/// ```
/// use rs_backends::{Backend, BackendError, Guarded, Memory};
/// use rs_core::{Call, Ending, Guard, Name, Reason, Rejection};
///
/// /// Lets nobody in.
/// struct Shut;
///
/// static SHUT: Reason = Reason::new("door", "shut");
///
/// impl Guard for Shut {
///     type Ticket = ();
///
///     fn try_enter(&self, _call: &Call) -> Result<(), Rejection> {
///         Err(SHUT.reject(Name::of("front")))
///     }
///
///     fn leave(&self, (): (), _ending: Ending) {}
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let guarded = Guarded::new(Memory::new("registry"), Shut);
/// let refused = guarded.discover("payments").await;
/// assert!(matches!(refused, Err(BackendError::Rejected(_))));
/// # }
/// ```
#[derive(Clone)]
pub struct Guarded<B, P> {
    inner: B,
    policy: P,
}

/// What can be put around a backend: a policy for what its operations give.
///
/// Every policy that does not make up results of its own is one; nobody implements this.
pub trait BackendPolicy:
    Policy<(), BackendError> + Policy<InstanceSet, BackendError> + 'static
{
}

impl<P> BackendPolicy for P where
    P: Policy<(), BackendError> + Policy<InstanceSet, BackendError> + 'static
{
}

impl<B: Backend, P: BackendPolicy> Guarded<B, P> {
    /// This backend under that policy.
    pub const fn new(inner: B, policy: P) -> Self {
        Self { inner, policy }
    }

    /// The backend itself.
    #[must_use]
    pub const fn get_ref(&self) -> &B {
        &self.inner
    }

    /// The policy.
    #[must_use]
    pub const fn policy(&self) -> &P {
        &self.policy
    }
}

fn judge<T>(result: Result<&T, &BackendError>) -> Outcome {
    result.map_or_else(|error| error.outcome(), |_| Outcome::Success)
}

fn told(failure: Failure<BackendError>) -> BackendError {
    match failure {
        Failure::Operation { error, .. } => error,
        Failure::Rejected(rejection) => BackendError::Rejected(rejection),
        Failure::TimedOut(timed_out) => BackendError::TimedOut(timed_out.limit()),
        other => BackendError::refused(other),
    }
}

#[async_trait]
impl<B: Backend, P: BackendPolicy> Backend for Guarded<B, P> {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn name(&self) -> Name {
        self.inner.name()
    }

    async fn register(&self, instance: ServiceInstance) -> Result<(), BackendError> {
        let call = Call::new("register").safe_to_repeat();
        let register = operation(async |_: Call| self.inner.register(instance.clone()).await);
        let register = register.classified(judge::<()>);
        self.policy.run(&call, &register).await.map_err(told)
    }

    async fn deregister(&self, service: &str, id: &str) -> Result<(), BackendError> {
        let call = Call::new("deregister").safe_to_repeat();
        let deregister = operation(async |_: Call| self.inner.deregister(service, id).await);
        let deregister = deregister.classified(judge::<()>);
        self.policy.run(&call, &deregister).await.map_err(told)
    }

    async fn discover(&self, service: &str) -> Result<InstanceSet, BackendError> {
        let call = Call::new("discover").safe_to_repeat();
        let discover = operation(async |_: Call| self.inner.discover(service).await);
        let discover = discover.classified(judge::<InstanceSet>);
        self.policy.run(&call, &discover).await.map_err(told)
    }

    fn watch(&self, service: &str) -> Result<Watch, BackendError> {
        self.inner.watch(service)
    }

    async fn health_check(&self) -> BackendHealth {
        self.inner.health_check().await
    }

    async fn close(&self) -> Result<(), BackendError> {
        self.inner.close().await
    }
}

impl<B: fmt::Debug, P> fmt::Debug for Guarded<B, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Guarded").field(&self.inner).finish()
    }
}
