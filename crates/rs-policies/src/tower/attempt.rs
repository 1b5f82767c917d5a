use std::{
    future::poll_fn,
    mem,
    sync::{Arc, Mutex},
};

use rs_core::{Call, Classify, Failure, Operation, Outcome, Reason};
use tower_service::Service;

use super::Requests;
use crate::sync::lock;

/// A request to a service, as an operation that can be tried.
pub(super) struct Requested<S, Q, M, C> {
    service: Mutex<Kept<S>>,
    /// Gone once it was used and could not be made again.
    request: Mutex<Option<Q>>,
    requests: Arc<M>,
    classify: Arc<C>,
}

/// The service for the next attempt.
struct Kept<S> {
    service: S,
    is_ready: bool,
}

impl<S: Clone, Q, M, C> Requested<S, Q, M, C> {
    pub(super) const fn new(
        service: S,
        is_ready: bool,
        request: Q,
        requests: Arc<M>,
        classify: Arc<C>,
    ) -> Self {
        Self {
            service: Mutex::new(Kept { service, is_ready }),
            request: Mutex::new(Some(request)),
            requests,
            classify,
        }
    }

    /// A service for an attempt, and whether it is ready. What is left for the next attempt is a clone,
    /// which has promised nothing.
    fn take_service(&self) -> (S, bool) {
        let mut kept = lock(&self.service);
        let another = kept.service.clone();
        let service = mem::replace(&mut kept.service, another);
        (service, mem::take(&mut kept.is_ready))
    }

    /// The request of one attempt, if there can be one more.
    fn take_request<T>(&self, repeat: impl FnOnce(&Q) -> Option<Q>, then: T) -> Option<Q>
    where
        T: FnOnce(&mut Q),
    {
        let mut kept = lock(&self.request);
        let again = kept.as_ref().and_then(repeat);
        let mut request = again.or_else(|| kept.take())?;
        drop(kept);
        then(&mut request);
        Some(request)
    }
}

impl<S, Q, M, C> Operation for Requested<S, Q, M, C>
where
    S: Service<Q, Future: Send, Response: Send, Error: Send> + Clone + Send,
    Q: Send,
    M: Requests<Q>,
    C: Classify<S::Response, S::Error>,
{
    type Output = S::Response;
    type Error = S::Error;

    async fn attempt(&self, call: &Call) -> Result<S::Response, Failure<S::Error>> {
        let failed = |error| Failure::Operation {
            error,
            attempts: call.attempt(),
        };
        let (mut service, is_ready) = self.take_service();
        if !is_ready {
            let ready = poll_fn(|context| service.poll_ready(context));
            ready.await.map_err(failed)?;
        }
        let request = self.take_request(
            |request| self.requests.repeat(request),
            |request| self.requests.write(call, request),
        );
        match request {
            Some(request) => service.call(request).await.map_err(failed),
            None => Err(USED_UP.reject(call.name()).into()),
        }
    }

    fn can_repeat(&self) -> bool {
        lock(&self.request).is_some()
    }

    fn classify(&self, call: &Call, result: &Result<S::Response, Failure<S::Error>>) -> Outcome {
        self.classify.judge(call, result)
    }
}

/// A policy that does not ask has tried a request once more that can be sent only once.
static USED_UP: Reason = Reason::new("request", "cannot_be_made_again");
