use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use rs_core::{ByResult, Call, Classify, Contained, Failure, Outcome, Rejection};
use tokio::sync::futures::OwnedNotified;
use tower_service::Service;

use super::{BalanceFuture, Services, members::Member};
use crate::{Lease, NoEndpoint};

/// So many services are asked whether they are ready; if none is, those are waited for.
const ASKED: usize = 32;

/// A service that sends each request to one of several; see the [module](super).
///
/// A clone waits for readiness of its own.
pub struct BalanceService<S, C = ByResult> {
    services: Services<S>,
    classify: C,
    next: Option<Next<S>>,
    /// Those that are not ready, asked by clones that only this handle has. Given up as soon as one is:
    /// a place in somebody's queue must not be kept by who does not want it any more.
    waiting: Vec<(Arc<Member<S>>, S)>,
    /// Hears that the set has changed.
    changed: Option<Pin<Box<OwnedNotified>>>,
}

type Leased<S> = Lease<Arc<Member<S>>>;

/// What becomes of the next request.
enum Next<S> {
    Goes(Reserved<S>, S),
    Refused(Rejection),
}

/// A place in the balance that no request has yet: given back unused, it says nothing about the endpoint.
struct Reserved<S>(Option<Leased<S>>);

impl<S> Drop for Reserved<S> {
    fn drop(&mut self) {
        if let Some(lease) = self.0.take() {
            lease.finish(Outcome::Ignored);
        }
    }
}

/// What a look at the services gave.
enum Looked<S> {
    Next(Next<S>),
    /// Nobody is ready; those that were asked will wake who waits.
    Nobody,
}

impl<S> BalanceService<S> {
    pub(crate) fn over(services: &Services<S>) -> Self {
        Self {
            services: services.clone(),
            classify: ByResult,
            next: None,
            waiting: Vec::new(),
            changed: None,
        }
    }
}

impl<S, C> BalanceService<S, C> {
    /// The same, its results judged by this classifier. One that panics is contained: the call counts as
    /// failed.
    #[must_use]
    pub fn classified<D>(self, classify: D) -> BalanceService<S, Contained<D>> {
        BalanceService {
            services: self.services.clone(),
            classify: Contained::new(classify),
            next: None,
            waiting: Vec::new(),
            changed: None,
        }
    }

    /// The services.
    #[must_use]
    pub const fn services(&self) -> &Services<S> {
        &self.services
    }
}

impl<S, C> BalanceService<S, C>
where
    S: Clone + Send + 'static,
{
    /// A ready service, asked in the order in which the balancer chooses.
    fn look<Q>(&mut self, context: &mut Context<'_>) -> Looked<S>
    where
        S: Service<Q>,
    {
        let services = self.services.clone();
        let balancer = services.balancer();
        let call = Call::new(balancer.name());
        let mut before = std::mem::take(&mut self.waiting);
        before.retain(|(member, _)| !member.is_gone());
        let mut asked: Vec<Arc<Member<S>>> = Vec::new();
        let mut refusal = None;
        while asked.len() < ASKED {
            let is_asked =
                |member: &Arc<Member<S>>| asked.iter().any(|one| Arc::ptr_eq(one, member));
            let lease = if asked.is_empty() {
                balancer.try_pick(&call)
            } else if asked.len() >= balancer.len() {
                break;
            } else {
                balancer.try_pick_but(&call, |_, member| is_asked(member))
            };
            let lease = match lease {
                Ok(lease) => lease,
                Err(refused) => {
                    refusal = Some(refused);
                    break;
                }
            };
            let member = Arc::clone(lease.value());
            asked.push(Arc::clone(&member));
            let known = before.iter().position(|(one, _)| Arc::ptr_eq(one, &member));
            let mut service = match known {
                Some(place) => before.swap_remove(place).1,
                None => member.take_clone(),
            };
            match service.poll_ready(context) {
                Poll::Ready(Ok(())) => {
                    self.waiting.clear();
                    return Looked::Next(Next::Goes(Reserved(Some(lease)), service));
                }
                Poll::Ready(Err(_)) => lease.finish(Outcome::TRANSIENT),
                Poll::Pending => {
                    lease.finish(Outcome::Ignored);
                    self.waiting.push((member, service));
                }
            }
        }
        if let Some(next) = self.look_again(context, before, &call) {
            return Looked::Next(next);
        }
        // Nobody is there yet, or somebody may become ready: wait. Else say why not.
        match refusal.or_else(|| {
            asked
                .last()
                .map(|_| NoEndpoint::Refused.reject(balancer.name()))
        }) {
            Some(refusal)
                if self.waiting.is_empty()
                    && NoEndpoint::of(&refusal) != Some(NoEndpoint::Empty) =>
            {
                Looked::Next(Next::Refused(refusal))
            }
            _ => Looked::Nobody,
        }
    }

    fn is_ready<E>(&mut self, next: Next<S>) -> Poll<Result<(), E>> {
        self.next = Some(next);
        self.changed = None;
        Poll::Ready(Ok(()))
    }

    /// Asks those that were waited for before and not chosen this time.
    fn look_again<Q>(
        &mut self,
        context: &mut Context<'_>,
        before: Vec<(Arc<Member<S>>, S)>,
        call: &Call,
    ) -> Option<Next<S>>
    where
        S: Service<Q>,
    {
        for (member, mut service) in before {
            if self.waiting.len() >= 2 * ASKED {
                break;
            }
            match service.poll_ready(context) {
                Poll::Ready(Ok(())) => {
                    let others = |_: &str, one: &Arc<Member<S>>| !Arc::ptr_eq(one, &member);
                    if let Ok(lease) = self.services.balancer().try_pick_but(call, others) {
                        self.waiting.clear();
                        return Some(Next::Goes(Reserved(Some(lease)), service));
                    }
                }
                Poll::Ready(Err(_)) => {}
                Poll::Pending => self.waiting.push((member, service)),
            }
        }
        None
    }
}

impl<S, C, Q> Service<Q> for BalanceService<S, C>
where
    S: Service<Q> + Clone + Send + 'static,
    C: Classify<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = Failure<S::Error>;
    type Future = BalanceFuture<S, S::Future, C>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        match &self.next {
            Some(Next::Goes(Reserved(Some(lease)), _)) if !lease.is_gone() => {
                return Poll::Ready(Ok(()));
            }
            Some(Next::Refused(_)) => return Poll::Ready(Ok(())),
            _ => self.next = None,
        }
        if let Looked::Next(next) = self.look(context) {
            return self.is_ready(next);
        }
        // Listens before it looks again, so that no change is missed in between.
        loop {
            let services = &self.services;
            let changed = self
                .changed
                .get_or_insert_with(|| Box::pin(services.changed().notified_owned()));
            if changed.as_mut().poll(context).is_ready() {
                self.changed = None;
                continue;
            }
            return match self.look(context) {
                Looked::Next(next) => self.is_ready(next),
                Looked::Nobody => Poll::Pending,
            };
        }
    }

    fn call(&mut self, request: Q) -> Self::Future {
        let clock = self.services.clock();
        let call = Call::new(self.services.balancer().name());
        let about = (call, clock.clone(), self.classify.clone());
        match self.next.take() {
            Some(Next::Goes(mut reserved, mut service)) => match reserved.0.take() {
                Some(lease) => {
                    let response = service.call(request);
                    BalanceFuture::running(response, lease, clock.now(), about)
                }
                None => BalanceFuture::refused(NoEndpoint::Refused.reject(call.name()), about),
            },
            Some(Next::Refused(refusal)) => BalanceFuture::refused(refusal, about),
            // Called without having been ready: the contract of tower is broken, and nobody is asked.
            None => BalanceFuture::refused(NoEndpoint::Refused.reject(call.name()), about),
        }
    }
}

impl<S, C: Clone> Clone for BalanceService<S, C> {
    fn clone(&self) -> Self {
        Self {
            services: self.services.clone(),
            classify: self.classify.clone(),
            next: None,
            waiting: Vec::new(),
            changed: None,
        }
    }
}

impl<S, C> fmt::Debug for BalanceService<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BalanceService")
            .field("services", &self.services)
            .field("is_ready", &self.next.is_some())
            .finish_non_exhaustive()
    }
}
