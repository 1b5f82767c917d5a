use std::{future::Future, ops::Deref, sync::Arc};

use crate::{Call, Failure, Guard, Operation, guarded::Guarded, operation};

/// Runs an operation, perhaps several times, perhaps not at all: retry, timeout, hedge, fallback.
///
/// Every [`Guard`] is a policy, and so is every tuple of policies, the first being outermost:
///
/// ```
/// use rs_core::Policy;
/// # use rs_core::{Call, Ending, Guard, Rejection};
/// # #[derive(Clone, Copy)] struct Open;
/// # impl Guard for Open { type Ticket = (); fn try_enter(&self, _: &Call) -> Result<(), Rejection> { Ok(()) } fn leave(&self, (): (), _: Ending) {} }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # let (timeout, breaker, bulkhead) = (Open, Open, Open);
/// let payments = (timeout, breaker, bulkhead);
/// let answer = payments.call("charge", async |call| {
///     Ok::<_, std::io::Error>(format!("charged at attempt {}", call.attempt()))
/// });
/// assert_eq!(answer.await.unwrap(), "charged at attempt 1");
/// # }
/// ```
///
/// A policy is generic over the result only where it must be: one that makes up a result of its own,
/// as a fallback does, implements it for that result alone.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no policy for results of `{T}` and `{E}`",
    note = "guards are policies, and so are tuples of up to eight policies; an `Arc` of a policy that is no guard is wrapped in `Shared`"
)]
pub trait Policy<T, E>: Send + Sync {
    /// Runs the operation under this policy.
    ///
    /// # Cancel safety
    /// Dropping the future at any point gives back every permit and counts the call as cancelled.
    fn run<O>(
        &self,
        call: &Call,
        operation: &O,
    ) -> impl Future<Output = Result<T, Failure<E>>> + Send
    where
        O: Operation<Output = T, Error = E>;

    /// Runs a closure under this policy; see [`operation`](crate::operation) for one with a
    /// classifier.
    ///
    /// # Cancel safety
    /// As [`Policy::run`].
    fn call<F, Fut>(
        &self,
        call: impl Into<Call>,
        attempt: F,
    ) -> impl Future<Output = Result<T, Failure<E>>> + Send
    where
        F: Fn(Call) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: Send,
    {
        let call = call.into();
        async move { self.run(&call, &operation(attempt)).await }
    }
}

impl<G, T, E> Policy<T, E> for G
where
    G: Guard,
    T: Send,
    E: Send,
{
    #[inline]
    fn run<O>(
        &self,
        call: &Call,
        operation: &O,
    ) -> impl Future<Output = Result<T, Failure<E>>> + Send
    where
        O: Operation<Output = T, Error = E>,
    {
        Guarded::new(
            self,
            call,
            // Without captures: they take no room.
            |guard, call| Self::enter(guard, call),
            operation,
            |operation, call| O::attempt(operation, call),
        )
    }
}

/// A policy that several own; a guard needs no such wrapper, an `Arc` of one is a guard.
///
/// ```
/// use rs_core::{Policy, Shared};
/// # use rs_core::{Call, Ending, Guard, Rejection};
/// # struct Open;
/// # impl Guard for Open { type Ticket = (); fn try_enter(&self, _: &Call) -> Result<(), Rejection> { Ok(()) } fn leave(&self, (): (), _: Ending) {} }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # let (retry, payments, inventory) = (Open, Open, Open);
/// let retry = Shared::new(retry);
/// let to_payments = (retry.clone(), payments);
/// let to_inventory = (retry, inventory);
/// # let answer = to_payments.call("charge", async |_call| Ok::<_, std::io::Error>(1)).await;
/// # assert_eq!(answer.unwrap(), 1);
/// # let _ = to_inventory;
/// # }
/// ```
#[derive(Debug)]
pub struct Shared<P: ?Sized>(Arc<P>);

impl<P> Shared<P> {
    /// This policy, to be owned by several.
    pub fn new(policy: P) -> Self {
        Self(Arc::new(policy))
    }
}

impl<P: ?Sized> Clone for Shared<P> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<P: ?Sized> Deref for Shared<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.0
    }
}

impl<T, E, P: Policy<T, E>> Policy<T, E> for Shared<P>
where
    T: Send,
    E: Send,
{
    #[inline]
    fn run<O>(
        &self,
        call: &Call,
        operation: &O,
    ) -> impl Future<Output = Result<T, Failure<E>>> + Send
    where
        O: Operation<Output = T, Error = E>,
    {
        self.0.run(call, operation)
    }
}

/// The inner part of a stack, as the operation of the outer part: for policies that are made of others.
#[derive(Debug)]
pub struct Stacked<'a, P, O> {
    policy: &'a P,
    operation: &'a O,
}

impl<'a, P, O> Stacked<'a, P, O> {
    /// This policy around that operation.
    #[inline]
    pub const fn new(policy: &'a P, operation: &'a O) -> Self {
        Self { policy, operation }
    }
}

impl<P, O> Operation for Stacked<'_, P, O>
where
    O: Operation,
    P: Policy<O::Output, O::Error>,
{
    type Output = O::Output;
    type Error = O::Error;

    #[inline]
    fn attempt(
        &self,
        call: &Call,
    ) -> impl Future<Output = Result<O::Output, Failure<O::Error>>> + Send {
        self.policy.run(call, self.operation)
    }

    #[inline]
    fn can_repeat(&self) -> bool {
        self.operation.can_repeat()
    }

    #[inline]
    fn classify(
        &self,
        call: &Call,
        result: &Result<O::Output, Failure<O::Error>>,
    ) -> crate::Outcome {
        self.operation.classify(call, result)
    }
}

/// A tuple runs as its first policy around the rest. The second list is the inner policies from the
/// innermost outwards: the order in which they are wrapped.
macro_rules! policy_for_tuple {
    ($outermost:ident [$($inner:ident)*] [$($inside_out:ident)*]) => {
        impl<T, E, $outermost, $($inner,)*> Policy<T, E> for ($outermost, $($inner,)*)
        where
            T: Send,
            E: Send,
            $outermost: Policy<T, E>,
            $($inner: Policy<T, E>,)*
        {
            #[inline]
            #[allow(non_snake_case, reason = "one letter names the type and its value")]
            #[allow(
                clippy::manual_async_fn,
                reason = "an async fn keeps its arguments twice in its future"
            )]
            fn run<O>(
                &self,
                call: &Call,
                operation: &O,
            ) -> impl Future<Output = Result<T, Failure<E>>> + Send
            where
                O: Operation<Output = T, Error = E>,
            {
                async move {
                    let ($outermost, $($inner,)*) = self;
                    $(let operation = &Stacked::new($inside_out, operation);)*
                    $outermost.run(call, operation).await
                }
            }
        }
    };
}

policy_for_tuple!(A [] []);
policy_for_tuple!(A[B][B]);
policy_for_tuple!(A [B C] [C B]);
policy_for_tuple!(A [B C D] [D C B]);
policy_for_tuple!(A [B C D F] [F D C B]);
policy_for_tuple!(A [B C D F G] [G F D C B]);
policy_for_tuple!(A [B C D F G H] [H G F D C B]);
policy_for_tuple!(A [B C D F G H I] [I H G F D C B]);
