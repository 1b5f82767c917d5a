//! Operations that own what they work on.

use std::{
    fmt,
    future::Future,
    sync::{Mutex, PoisonError},
};

use crate::{
    ByResult, Call, Classify, Contained, Failure, Name, Operation, Outcome, Reason, TimeLimits,
};

/// An operation that can be tried once, because it uses up what it owns.
///
/// A retry does not repeat it, and a policy that does not ask is refused.
///
/// ```
/// use rs_core::{Call, Policy, operation_once};
/// # use rs_core::{Ending, Guard, Rejection};
/// # struct Open;
/// # impl Guard for Open { type Ticket = (); fn try_enter(&self, _: &Call) -> Result<(), Rejection> { Ok(()) } fn leave(&self, (): (), _: Ending) {} }
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// # let policy = Open;
/// let body = vec![1, 2, 3];
/// let send = operation_once(move |_call| async move { Ok::<_, std::io::Error>(body) });
/// assert_eq!(policy.run(&Call::new("send"), &send).await.unwrap(), [1, 2, 3]);
/// assert!(policy.run(&Call::new("send"), &send).await.unwrap_err().is_rejected());
/// # }
/// ```
pub const fn operation_once<F>(run: F) -> OperationOnce<F> {
    OperationOnce {
        run: Mutex::new(Some(run)),
        classify: ByResult,
    }
}

/// See [`operation_once`].
#[must_use = "an operation does nothing until a policy runs it"]
pub struct OperationOnce<F, C = ByResult> {
    run: Mutex<Option<F>>,
    classify: C,
}

static DONE: Reason = Reason::new("operation", "done_before");

impl<F, C> OperationOnce<F, C> {
    /// The same operation, its result judged by this classifier.
    ///
    /// A classifier that panics is contained: the call counts as failed, and a signal says so.
    pub fn classified<D>(self, classify: D) -> OperationOnce<F, Contained<D>> {
        OperationOnce {
            run: self.run,
            classify: Contained::new(classify),
        }
    }

    fn take(&self) -> Option<F> {
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        run.take()
    }
}

impl<F, C> fmt::Debug for OperationOnce<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperationOnce").finish_non_exhaustive()
    }
}

impl<F, C, Fut, T, E> Operation for OperationOnce<F, C>
where
    F: FnOnce(Call) -> Fut + Send,
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
            let Some(run) = self.take() else {
                return Err(DONE.reject(Name::of("operation_once")).into());
            };
            match run(call.within_limits(limits)).await {
                Ok(value) => Ok(value),
                Err(error) => Err(Failure::Operation {
                    error,
                    attempts: call.attempt(),
                }),
            }
        }
    }

    fn can_repeat(&self) -> bool {
        let run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        run.is_some()
    }

    #[inline]
    fn classify(&self, call: &Call, result: &Result<T, Failure<E>>) -> Outcome {
        self.classify.judge(call, result)
    }
}

/// What an operation owns and each attempt uses up: every attempt gets a clone.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is passed by value and cannot be cloned for each attempt",
    label = "each attempt needs its own `{Self}`",
    note = "pass it by reference, share it as `Arc<{Self}>`, or derive `Clone` for it"
)]
pub trait PerAttempt: Sized {
    /// That of the next attempt.
    #[must_use]
    fn for_attempt(&self) -> Self;
}

#[diagnostic::do_not_recommend]
impl<A: Clone> PerAttempt for A {
    #[inline]
    fn for_attempt(&self) -> Self {
        self.clone()
    }
}
