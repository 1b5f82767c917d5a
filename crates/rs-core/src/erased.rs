//! Guards and policies as trait objects, for lists that are put together at run time.

use std::{
    any::Any,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{Call, Ending, Failure, Guard, Operation, Outcome, Outline, Policy, Rejection};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Any guard, its type forgotten: a slot that takes whichever guard the configuration names.
///
/// Admitting boxes the ticket, which allocates unless the ticket is empty.
///
/// ```
/// use rs_core::{AnyGuard, Call, Guard};
/// # use rs_core::{Ending, Rejection};
/// # struct Open;
/// # impl Guard for Open { type Ticket = (); fn try_enter(&self, _: &Call) -> Result<(), Rejection> { Ok(()) } fn leave(&self, (): (), _: Ending) {} }
/// # let (breaker, bulkhead) = (Open, Open);
/// let guards = vec![AnyGuard::new(breaker), AnyGuard::new(bulkhead)];
/// let call = Call::new("charge");
/// let permits: Result<Vec<_>, _> = guards.iter().map(|guard| guard.try_admit(&call)).collect();
/// assert_eq!(permits.unwrap().len(), 2);
/// ```
#[derive(Clone)]
pub struct AnyGuard(Arc<dyn DynGuard>);

impl AnyGuard {
    /// This guard, its type forgotten.
    pub fn new<G>(guard: G) -> Self
    where
        G: Guard<Ticket: 'static> + 'static,
    {
        Self(Arc::new(guard))
    }
}

impl Guard for AnyGuard {
    type Ticket = Box<dyn Any + Send>;

    fn try_enter(&self, call: &Call) -> Result<Self::Ticket, Rejection> {
        self.0.try_enter_dyn(call)
    }

    async fn enter(&self, call: &Call) -> Result<Self::Ticket, Rejection> {
        self.0.enter_dyn(call).await
    }

    fn enter_at_once(&self, call: &Call) -> Option<Result<Self::Ticket, Rejection>> {
        self.0.enter_at_once_dyn(call)
    }

    fn leave(&self, ticket: Self::Ticket, ending: Ending) {
        self.0.leave_dyn(ticket, ending);
    }

    fn outline(&self) -> Outline {
        self.0.outline_dyn()
    }
}

impl fmt::Debug for AnyGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyGuard").finish_non_exhaustive()
    }
}

trait DynGuard: Send + Sync {
    fn try_enter_dyn(&self, call: &Call) -> Result<Box<dyn Any + Send>, Rejection>;
    fn enter_dyn<'a>(&'a self, call: &'a Call)
    -> Boxed<'a, Result<Box<dyn Any + Send>, Rejection>>;
    fn enter_at_once_dyn(&self, call: &Call) -> Option<Result<Box<dyn Any + Send>, Rejection>>;
    fn leave_dyn(&self, ticket: Box<dyn Any + Send>, ending: Ending);
    fn outline_dyn(&self) -> Outline;
}

impl<G> DynGuard for G
where
    G: Guard<Ticket: 'static>,
{
    fn try_enter_dyn(&self, call: &Call) -> Result<Box<dyn Any + Send>, Rejection> {
        self.try_enter(call).map(|ticket| Box::new(ticket) as _)
    }

    fn enter_dyn<'a>(
        &'a self,
        call: &'a Call,
    ) -> Boxed<'a, Result<Box<dyn Any + Send>, Rejection>> {
        Box::pin(async move { self.enter(call).await.map(|ticket| Box::new(ticket) as _) })
    }

    fn enter_at_once_dyn(&self, call: &Call) -> Option<Result<Box<dyn Any + Send>, Rejection>> {
        self.enter_at_once(call)
            .map(|entered| entered.map(|ticket| Box::new(ticket) as _))
    }

    fn leave_dyn(&self, ticket: Box<dyn Any + Send>, ending: Ending) {
        if let Ok(ticket) = ticket.downcast() {
            self.leave(*ticket, ending);
        }
    }

    fn outline_dyn(&self) -> Outline {
        self.outline()
    }
}

/// A list of policies that is put together at run time, the first being outermost. A policy itself.
///
/// Each policy in it costs a boxed future per call; a tuple of policies costs none. The list runs
/// operations of any result, borrowed ones included, so it can be kept in a struct or a map. It takes
/// the policies that work for any result: all guards, retries, timeouts.
///
/// ```
/// use rs_core::{Policy, PolicyList};
/// # use rs_core::{Call, Ending, Guard, Rejection};
/// # struct Open;
/// # impl Guard for Open { type Ticket = (); fn try_enter(&self, _: &Call) -> Result<(), Rejection> { Ok(()) } fn leave(&self, (): (), _: Ending) {} }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # let (breaker, bulkhead) = (Open, Open);
/// let mut policies = PolicyList::new();
/// policies.push(breaker);
/// policies.push(bulkhead);
///
/// let order = String::from("order 17");
/// let charged = policies.call("charge", async |_call| Ok::<_, std::io::Error>(order.as_str()));
/// assert_eq!(charged.await.unwrap(), "order 17");
/// # }
/// ```
#[derive(Clone, Default)]
pub struct PolicyList(Vec<Arc<dyn DynPolicy>>);

impl PolicyList {
    /// No policy: runs the operation as it is.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a policy as the new innermost one.
    pub fn push<P>(&mut self, policy: P)
    where
        P: AnyResult + 'static,
    {
        self.0.push(Arc::new(policy));
    }

    /// How many policies there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no policy.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for PolicyList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyList")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

/// A policy that works for any result, because it makes up none of its own. Implemented for every
/// such policy.
pub trait AnyResult: Policy<Held, Held> {}

impl<P: Policy<Held, Held>> AnyResult for P {}

/// Stands for a result while it passes through policies whose types are forgotten.
///
/// The results themselves wait beside the operation, so they may be of any type and lifetime.
#[derive(Debug)]
pub struct Held(usize);

impl<T, E> Policy<T, E> for PolicyList
where
    T: Send,
    E: Send,
{
    async fn run<O>(&self, call: &Call, operation: &O) -> Result<T, Failure<E>>
    where
        O: Operation<Output = T, Error = E>,
    {
        let cloakroom = Cloakroom {
            operation,
            kept: Mutex::new(Vec::new()),
        };
        let through = Rest {
            policies: &self.0,
            operation: &cloakroom,
        };
        match through.attempt_dyn(call).await {
            Ok(held) => cloakroom.redeem(&held),
            Err(Failure::Operation { error, attempts }) => match cloakroom.redeem(&error) {
                Err(Failure::Operation { error, .. }) => {
                    Err(Failure::Operation { error, attempts })
                }
                other => other,
            },
            Err(Failure::Rejected(rejection)) => Err(Failure::Rejected(rejection)),
            Err(Failure::TimedOut(limit)) => Err(Failure::TimedOut(limit)),
        }
    }
}

/// Keeps the typed results of one call while its policies pass [`Held`] around.
///
/// A result that a policy dropped stays until the call is over: as many as it had attempts.
struct Cloakroom<'a, O: Operation> {
    operation: &'a O,
    kept: Mutex<Vec<Option<Attempted<O>>>>,
}

type Attempted<O> = Result<<O as Operation>::Output, Failure<<O as Operation>::Error>>;

impl<O: Operation> Cloakroom<'_, O> {
    fn keep(&self, result: Attempted<O>) -> Held {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(Some(result));
        Held(kept.len() - 1)
    }

    fn take(&self, held: &Held) -> Option<Attempted<O>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get_mut(held.0).and_then(Option::take)
    }

    fn redeem(&self, held: &Held) -> Attempted<O> {
        match self.take(held) {
            Some(result) => result,
            None => unreachable!("a policy gave back a result that is not of this call"),
        }
    }

    fn put_back(&self, held: &Held, result: Attempted<O>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = kept.get_mut(held.0) {
            *place = Some(result);
        }
    }

    /// What the result says, asked of the operation without holding the lock.
    fn classify_held(&self, call: &Call, held: &Held) -> Outcome {
        match self.take(held) {
            Some(result) => {
                let outcome = self.operation.classify(call, &result);
                self.put_back(held, result);
                outcome
            }
            None => Outcome::Ignored,
        }
    }
}

trait DynOperation: Send + Sync {
    fn attempt_dyn<'a>(&'a self, call: &'a Call) -> Boxed<'a, Result<Held, Failure<Held>>>;
    fn can_repeat_dyn(&self) -> bool;
    fn classify_dyn(&self, call: &Call, result: &Result<Held, Failure<Held>>) -> Outcome;
}

impl<O: Operation> DynOperation for Cloakroom<'_, O> {
    fn attempt_dyn<'a>(&'a self, call: &'a Call) -> Boxed<'a, Result<Held, Failure<Held>>> {
        Box::pin(async move {
            match self.operation.attempt(call).await {
                Ok(value) => Ok(self.keep(Ok(value))),
                Err(Failure::Rejected(rejection)) => Err(Failure::Rejected(rejection)),
                Err(Failure::TimedOut(limit)) => Err(Failure::TimedOut(limit)),
                Err(Failure::Operation { error, attempts }) => Err(Failure::Operation {
                    error: self.keep(Err(Failure::Operation { error, attempts })),
                    attempts,
                }),
            }
        })
    }

    fn can_repeat_dyn(&self) -> bool {
        self.operation.can_repeat()
    }

    fn classify_dyn(&self, call: &Call, result: &Result<Held, Failure<Held>>) -> Outcome {
        match result {
            Ok(held) | Err(Failure::Operation { error: held, .. }) => {
                self.classify_held(call, held)
            }
            Err(Failure::Rejected(why)) => {
                self.operation.classify(call, &Err(Failure::Rejected(*why)))
            }
            Err(Failure::TimedOut(limit)) => self
                .operation
                .classify(call, &Err(Failure::TimedOut(*limit))),
        }
    }
}

/// The policies that are still to be passed, then the operation.
struct Rest<'a> {
    policies: &'a [Arc<dyn DynPolicy>],
    operation: &'a dyn DynOperation,
}

impl DynOperation for Rest<'_> {
    fn attempt_dyn<'a>(&'a self, call: &'a Call) -> Boxed<'a, Result<Held, Failure<Held>>> {
        let Some((outermost, policies)) = self.policies.split_first() else {
            return self.operation.attempt_dyn(call);
        };
        Box::pin(async move {
            let rest = Rest {
                policies,
                operation: self.operation,
            };
            outermost.run_dyn(call, &rest).await
        })
    }

    fn can_repeat_dyn(&self) -> bool {
        self.operation.can_repeat_dyn()
    }

    fn classify_dyn(&self, call: &Call, result: &Result<Held, Failure<Held>>) -> Outcome {
        self.operation.classify_dyn(call, result)
    }
}

impl Operation for Rest<'_> {
    type Output = Held;
    type Error = Held;

    async fn attempt(&self, call: &Call) -> Result<Held, Failure<Held>> {
        self.attempt_dyn(call).await
    }

    fn can_repeat(&self) -> bool {
        self.can_repeat_dyn()
    }

    fn classify(&self, call: &Call, result: &Result<Held, Failure<Held>>) -> Outcome {
        self.classify_dyn(call, result)
    }
}

trait DynPolicy: Send + Sync {
    fn run_dyn<'a>(
        &'a self,
        call: &'a Call,
        rest: &'a Rest<'_>,
    ) -> Boxed<'a, Result<Held, Failure<Held>>>;
}

impl<P: AnyResult> DynPolicy for P {
    fn run_dyn<'a>(
        &'a self,
        call: &'a Call,
        rest: &'a Rest<'_>,
    ) -> Boxed<'a, Result<Held, Failure<Held>>> {
        Box::pin(self.run(call, rest))
    }
}
