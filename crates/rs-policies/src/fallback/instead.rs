//! What answers where a call fails.

use std::{
    fmt,
    future::{Future, ready},
};

use rs_core::{Call, Failure};

use super::{Because, FallbackSource};

/// Answers where a call fails; what a [`Fallback`](crate::Fallback) is made of.
///
/// [`OrValue`], [`FromFn`], [`TryFromFn`] and [`OrElse`] do.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no answers of `{T}` for failures with `{E}`",
    note = "it may answer with another type, or expect another error"
)]
pub trait Instead<T, E>: Send + Sync {
    /// As what its answers are counted.
    const SOURCE: FallbackSource;

    /// An answer, or a failure of its own; nothing if it has none for this failure.
    ///
    /// It gets the failure, or the answer that the classifier took for one. A panic is contained, and the call
    /// ends as it would have without a fallback.
    fn answer(
        &self,
        call: &Call,
        why: Because,
        failed: &Result<T, Failure<E>>,
    ) -> impl Future<Output = Option<Result<T, Failure<E>>>> + Send;
}

/// Answers with this value; see [`Fallback::value`](crate::Fallback::value).
#[derive(Debug, Clone, Copy)]
pub struct OrValue<T>(pub T);

/// Answers with what this function makes of the failure, if anything; see
/// [`Fallback::from_fn`](crate::Fallback::from_fn).
#[derive(Clone, Copy)]
pub struct FromFn<F>(pub F);

/// Answers with what this function makes of the failure, which may be another error; see
/// [`Fallback::try_from_fn`](crate::Fallback::try_from_fn).
#[derive(Clone, Copy)]
pub struct TryFromFn<F>(pub F);

/// Asks something else; see [`Fallback::or_else`](crate::Fallback::or_else).
#[derive(Clone, Copy)]
pub struct OrElse<F>(pub F);

type Given<T, E> = Option<Result<T, Failure<E>>>;

impl<T, E> Instead<T, E> for OrValue<T>
where
    T: Clone + Send + Sync,
    E: Send,
{
    const SOURCE: FallbackSource = FallbackSource::Value;

    fn answer(
        &self,
        _call: &Call,
        _why: Because,
        _failed: &Result<T, Failure<E>>,
    ) -> impl Future<Output = Given<T, E>> + Send {
        ready(Some(Ok(self.0.clone())))
    }
}

impl<T, E, F> Instead<T, E> for FromFn<F>
where
    T: Send,
    E: Send,
    F: Fn(&Failure<E>) -> Option<T> + Send + Sync,
{
    const SOURCE: FallbackSource = FallbackSource::Function;

    fn answer(
        &self,
        _call: &Call,
        _why: Because,
        failed: &Result<T, Failure<E>>,
    ) -> impl Future<Output = Given<T, E>> + Send {
        let failure = failed.as_ref().err();
        ready(failure.and_then(&self.0).map(Ok))
    }
}

impl<T, E, F> Instead<T, E> for TryFromFn<F>
where
    T: Send,
    E: Send,
    F: Fn(&Result<T, Failure<E>>, Because) -> Option<Result<T, E>> + Send + Sync,
{
    const SOURCE: FallbackSource = FallbackSource::Function;

    fn answer(
        &self,
        call: &Call,
        why: Because,
        failed: &Result<T, Failure<E>>,
    ) -> impl Future<Output = Given<T, E>> + Send {
        let given = (self.0)(failed, why);
        ready(given.map(|given| own(call, given)))
    }
}

impl<T, E, F, Fut> Instead<T, E> for OrElse<F>
where
    T: Send,
    E: Send,
    F: Fn(Call, Because) -> Fut + Send + Sync,
    Fut: Future<Output = Result<T, E>> + Send,
{
    const SOURCE: FallbackSource = FallbackSource::Operation;

    fn answer(
        &self,
        call: &Call,
        why: Because,
        _failed: &Result<T, Failure<E>>,
    ) -> impl Future<Output = Given<T, E>> + Send {
        let (call, asked) = (*call, (self.0)(*call, why));
        async move { Some(own(&call, asked.await)) }
    }
}

/// An error of its own is one of the call at this attempt.
fn own<T, E>(call: &Call, given: Result<T, E>) -> Result<T, Failure<E>> {
    given.map_err(|error| Failure::Operation {
        error,
        attempts: call.attempt(),
    })
}

macro_rules! debug_by_name {
    ($($name:ident),*) => {$(
        impl<F> fmt::Debug for $name<F> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    )*};
}

debug_by_name!(FromFn, TryFromFn, OrElse);
