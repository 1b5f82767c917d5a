//! What becomes of a call that failed.

use std::{fmt, time::Duration};

use rs_core::{Clock, Failure, Rejection, TimedOut};

/// What a layer makes of the result of a call.
pub trait Concludes<T, E> {
    /// The error of its services.
    type Error;

    /// Of a call that is over.
    ///
    /// # Errors
    /// What the service's own error becomes, and the failures for which there is no response.
    fn conclude(&self, result: Result<T, Failure<E>>) -> Result<T, Self::Error>;

    /// Of a service that failed to become ready.
    fn own(error: E) -> Self::Error;
}

/// The error is a [`Failure`] with the service's own inside: the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AsFailure;

impl<T, E> Concludes<T, E> for AsFailure {
    type Error = Failure<E>;

    fn conclude(&self, result: Result<T, Failure<E>>) -> Result<T, Failure<E>> {
        result
    }

    fn own(error: E) -> Failure<E> {
        Failure::Operation { error, attempts: 1 }
    }
}

/// What the policy itself ended is answered, and the service's own error stays what it is.
#[derive(Clone, Copy)]
pub struct Answered<F>(F);

impl<F> Answered<F> {
    pub(super) const fn by(answer: F) -> Self {
        Self(answer)
    }
}

impl<T, E, F: Fn(Unserved) -> T> Concludes<T, E> for Answered<F> {
    type Error = E;

    fn conclude(&self, result: Result<T, Failure<E>>) -> Result<T, E> {
        match result {
            Ok(response) => Ok(response),
            Err(Failure::Operation { error, .. }) => Err(error),
            Err(Failure::Rejected(why)) => Ok((self.0)(Unserved::Rejected(why))),
            Err(Failure::TimedOut(limit)) => Ok((self.0)(Unserved::TimedOut(limit))),
            Err(_) => unreachable!("a failure is one of these"),
        }
    }

    fn own(error: E) -> E {
        error
    }
}

impl<F> fmt::Debug for Answered<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answered").finish_non_exhaustive()
    }
}

/// Why a policy, and not the service, ended a call.
///
/// As an `http::Response` it is empty and tells the caller nothing about what is inside: 503 with
/// `Retry-After`, or 504. The response has it among its extensions, for those who log.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a policy refuses a call or ends it; there is nothing else that it could do"
)]
pub enum Unserved {
    /// A guard refused it.
    Rejected(Rejection),
    /// A time limit ended it.
    TimedOut(TimedOut),
}

impl Unserved {
    /// As HTTP has it: 503, or 504 for a time limit.
    #[must_use]
    pub const fn status(&self) -> http::StatusCode {
        match self {
            Self::Rejected(_) => http::StatusCode::SERVICE_UNAVAILABLE,
            Self::TimedOut(_) => http::StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// How long after now trying again can succeed, if that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Rejected(why) => why.retry_after(Clock::default().now()),
            Self::TimedOut(_) => None,
        }
    }
}

impl<B: Default> From<Unserved> for http::Response<B> {
    fn from(why: Unserved) -> Self {
        let mut response = Self::new(B::default());
        *response.status_mut() = why.status();
        if let Some(delay) = why.retry_after() {
            // Whole seconds, and none too few.
            let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
            let headers = response.headers_mut();
            headers.insert(http::header::RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(why);
        response
    }
}

impl fmt::Display for Unserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(why) => why.fmt(f),
            Self::TimedOut(limit) => limit.fmt(f),
        }
    }
}

impl std::error::Error for Unserved {}
