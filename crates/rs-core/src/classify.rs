use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::{Call, Failure, Fault, FlightRecorder, Outcome, Severity, Signal, SignalKind};

/// Decides from a result what it says about the dependency.
///
/// Written once per client library and attached to the operation; retry, breaker, hedge, limits and
/// ejection all ask the same one. Closures implement it.
///
/// ```
/// use rs_core::{Classify, Fault, Outcome};
/// # use std::time::Duration;
/// struct Response { status: u16, retry_after: Option<Duration> }
///
/// let http = |result: Result<&Response, &std::io::Error>| match result {
///     Ok(response) => match (response.status, response.retry_after) {
///         (429 | 503, Some(delay)) => Fault::throttled().after(delay).into(),
///         (500.., _) => Outcome::TRANSIENT,
///         (400..500, _) => Outcome::Ignored,
///         _ => Outcome::Success,
///     },
///     Err(_) => Outcome::TRANSIENT,
/// };
/// let not_found = Response { status: 404, retry_after: None };
/// assert_eq!(http.classify(Ok(&not_found)), Outcome::Ignored);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not classify results of `{T}` and `{E}`",
    note = "implement `Classify<{T}, {E}>` or pass a closure `|result: Result<&{T}, &{E}>| -> Outcome`"
)]
pub trait Classify<T, E>: Send + Sync {
    /// What this result says about the dependency.
    fn classify(&self, result: Result<&T, &E>) -> Outcome;

    /// What this result of this call says, for classifiers to which the call matters: its attempt,
    /// whether it is safe to repeat. By default it does not.
    fn classify_for(&self, call: &Call, result: Result<&T, &E>) -> Outcome {
        let _ = call;
        self.classify(result)
    }

    /// What the result of a call through policies says: a rejection by a guard further in says nothing, a
    /// time limit that ended an attempt counts as a failure, and all else is classified.
    #[inline]
    fn judge(&self, call: &Call, result: &Result<T, Failure<E>>) -> Outcome {
        match result {
            Ok(value) => self.classify_for(call, Ok(value)),
            Err(Failure::Operation { error, .. }) => self.classify_for(call, Err(error)),
            Err(Failure::TimedOut(_)) => Fault::timed_out().into(),
            Err(Failure::Rejected(_)) => Outcome::Ignored,
        }
    }
}

impl<T, E, F> Classify<T, E> for F
where
    F: Fn(Result<&T, &E>) -> Outcome + Send + Sync,
{
    fn classify(&self, result: Result<&T, &E>) -> Outcome {
        self(result)
    }
}

/// The default: `Ok` is a success, `Err` a transient failure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ByResult;

impl<T, E> Classify<T, E> for ByResult {
    fn classify(&self, result: Result<&T, &E>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::TRANSIENT,
        }
    }
}

/// Judges by a status as HTTP has it, which this function reads from the result.
///
/// | status | outcome |
/// |---|---|
/// | 5xx | transient failure |
/// | 408, 504 | failure: it took too long |
/// | 429 | failure: the dependency asked for fewer calls |
/// | other 4xx | ignored: the caller's own fault |
/// | others | success |
/// | an error | transient failure |
///
/// ```
/// use rs_core::{ByStatus, Classify, Fault, Outcome};
/// # struct Response { status: u16 }
///
/// let http = ByStatus::read_by(|response: &Response| response.status);
/// let judged = |status| Classify::<_, std::io::Error>::classify(&http, Ok(&Response { status }));
/// assert_eq!(judged(200), Outcome::Success);
/// assert_eq!(judged(404), Outcome::Ignored);
/// assert_eq!(judged(503), Outcome::TRANSIENT);
/// assert_eq!(judged(504), Fault::timed_out().into());
/// ```
#[derive(Debug, Clone, Copy)]
pub struct ByStatus<F>(F);

impl<F> ByStatus<F> {
    /// The status of a response is what this function says.
    pub const fn read_by(status: F) -> Self {
        Self(status)
    }
}

impl ByStatus<()> {
    /// What this status says about the dependency.
    #[must_use]
    pub const fn judge(status: u16) -> Outcome {
        match status {
            408 | 504 => Outcome::Failure(Fault::timed_out()),
            429 => Outcome::Failure(Fault::throttled()),
            500..=599 => Outcome::TRANSIENT,
            400..=499 => Outcome::Ignored,
            _ => Outcome::Success,
        }
    }
}

impl<T, E, F: Fn(&T) -> u16 + Send + Sync> Classify<T, E> for ByStatus<F> {
    fn classify(&self, result: Result<&T, &E>) -> Outcome {
        match result {
            Ok(response) => ByStatus::judge((self.0)(response)),
            Err(_) => Outcome::TRANSIENT,
        }
    }
}

/// A classifier whose panic is contained: the call counts as failed, and a signal says so.
#[derive(Debug, Clone, Copy)]
pub struct Contained<C>(C);

impl<C> Contained<C> {
    /// This classifier, contained.
    pub const fn new(classify: C) -> Self {
        Self(classify)
    }
}

impl<T, E, C: Classify<T, E>> Classify<T, E> for Contained<C> {
    fn classify(&self, result: Result<&T, &E>) -> Outcome {
        contain(|| self.0.classify(result), |signal| signal)
    }

    fn classify_for(&self, call: &Call, result: Result<&T, &E>) -> Outcome {
        contained(&self.0, call, result)
    }
}

/// What this classifier says, if it does not panic.
pub(crate) fn contained<T, E>(
    classify: &impl Classify<T, E>,
    call: &Call,
    result: Result<&T, &E>,
) -> Outcome {
    contain(
        || classify.classify_for(call, result),
        |signal| signal.during(call),
    )
}

fn contain(classify: impl FnOnce() -> Outcome, about: impl FnOnce(Signal) -> Signal) -> Outcome {
    catch_unwind(AssertUnwindSafe(classify)).unwrap_or_else(|panic| {
        FlightRecorder::global().record(|| {
            let signal = about(PANICKED.signal("classifier"));
            match message(&*panic) {
                Some(message) => signal.noting(message),
                None => signal,
            }
        });
        Outcome::TRANSIENT
    })
}

fn message(panic: &(dyn Any + Send)) -> Option<&str> {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
}

static PANICKED: SignalKind = SignalKind::new(
    "operation",
    "classifier_panicked",
    Severity::Warning,
    "panicked; the call counts as failed",
);
