use std::{fmt, future::Future};

use crate::{ByResult, Call, Classify, Failure, Outcome, TimeLimits, classify::Contained};

/// What policies run: once, several times, or not at all.
///
/// People write closures, see [`operation`]. A stack of policies hands its inner half to its outer
/// half as an operation, so that any of them composes with any other without boxing.
pub trait Operation: Send + Sync {
    /// What it gives when it succeeds.
    type Output: Send;
    /// Its own error.
    type Error: Send;

    /// Tries once.
    fn attempt(
        &self,
        call: &Call,
    ) -> impl Future<Output = Result<Self::Output, Failure<Self::Error>>> + Send;

    /// Tries once, within limits of which the call does not know yet.
    ///
    /// A stack tells its operation of its limits by this, without a copy of the call for each of them.
    fn attempt_within(
        &self,
        call: &Call,
        limits: TimeLimits,
    ) -> impl Future<Output = Result<Self::Output, Failure<Self::Error>>> + Send {
        let call = call.within_limits(limits);
        async move { self.attempt(&call).await }
    }

    /// Whether it can be tried once more: an operation may have used up what it works on. Asked before a
    /// further attempt; one that wraps another asks that.
    fn can_repeat(&self) -> bool {
        true
    }

    /// What a result of this call says about the dependency. A rejection by a guard further in says
    /// nothing; a time limit that ended an attempt counts as a failure.
    fn classify(&self, call: &Call, result: &Result<Self::Output, Failure<Self::Error>>)
    -> Outcome;
}

/// An operation from a closure, judged by [`ByResult`] unless [`OperationFn::classified`] says
/// otherwise.
///
/// The closure may borrow what it needs, as an `async` closure does, or own it. One that owns gives
/// each attempt its share, `move |call| { let body = Arc::clone(&body); async move { … } }`: an
/// `async move` closure would lend its own to one attempt alone, and the compiler refuses it.
///
/// ```
/// use rs_core::{Call, Outcome, Policy, operation};
/// # use rs_core::{Ending, Guard, Rejection};
/// # struct Open;
/// # impl Guard for Open { type Ticket = (); fn try_enter(&self, _: &Call) -> Result<(), Rejection> { Ok(()) } fn leave(&self, (): (), _: Ending) {} }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # let policy = Open;
/// let body = String::from("…");
/// let length = operation(async |_call: Call| Ok::<_, std::io::Error>(body.len()))
///     .classified(|result: Result<&usize, &std::io::Error>| match result {
///         Ok(0) => Outcome::TRANSIENT,
///         Ok(_) => Outcome::Success,
///         Err(_) => Outcome::Ignored,
///     });
/// assert_eq!(policy.run(&Call::new("measure"), &length).await.unwrap(), 3);
/// # }
/// ```
pub const fn operation<F>(run: F) -> OperationFn<F> {
    OperationFn {
        run,
        classify: ByResult,
    }
}

/// See [`operation`].
#[derive(Clone, Copy)]
#[must_use = "an operation does nothing until a policy runs it"]
pub struct OperationFn<F, C = ByResult> {
    run: F,
    classify: C,
}

impl<F, C> OperationFn<F, C> {
    /// The same operation, its results judged by this classifier.
    ///
    /// A classifier that panics is contained: the call counts as failed, and a signal says so.
    pub fn classified<D>(self, classify: D) -> OperationFn<F, Contained<D>> {
        OperationFn {
            run: self.run,
            classify: Contained::new(classify),
        }
    }
}

impl<F, C> fmt::Debug for OperationFn<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperationFn").finish_non_exhaustive()
    }
}

impl<F, C, Fut, T, E> Operation for OperationFn<F, C>
where
    F: Fn(Call) -> Fut + Send + Sync,
    Fut: Future<Output = Result<T, E>> + Send,
    C: Classify<T, E>,
    T: Send,
    E: Send,
{
    type Output = T;
    type Error = E;

    #[inline]
    fn attempt(&self, call: &Call) -> impl Future<Output = Result<T, Failure<E>>> + Send {
        self.attempt_within(call, TimeLimits::NONE)
    }

    #[inline]
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn keeps its arguments twice in its future"
    )]
    fn attempt_within(
        &self,
        call: &Call,
        limits: TimeLimits,
    ) -> impl Future<Output = Result<T, Failure<E>>> + Send {
        async move {
            match (self.run)(call.within_limits(limits)).await {
                Ok(value) => Ok(value),
                Err(error) => Err(Failure::Operation {
                    error,
                    attempts: call.attempt(),
                }),
            }
        }
    }

    #[inline]
    fn classify(&self, call: &Call, result: &Result<T, Failure<E>>) -> Outcome {
        self.classify.judge(call, result)
    }
}
