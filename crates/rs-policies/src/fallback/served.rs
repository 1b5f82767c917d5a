use std::{fmt, future::Future, time::Duration};

use rs_core::{Call, Failure, Fault, FaultKind, Operation, Outcome, Policy, Rejection, TimedOut};

use super::{Fallback, Instead};

/// A policy that answers where a call fails, and can say that it did.
pub trait Serves<T, E>: Policy<T, E> {
    /// Runs an operation and says where the answer is from.
    fn serve_operation<O>(
        &self,
        call: &Call,
        operation: &O,
    ) -> impl Future<Output = Result<Served<T>, Failure<E>>> + Send
    where
        O: Operation<Output = T, Error = E>;
}

impl<T, E, S> Serves<T, E> for Fallback<S>
where
    S: Instead<T, E>,
    T: Send,
    E: Send,
{
    fn serve_operation<O>(
        &self,
        call: &Call,
        operation: &O,
    ) -> impl Future<Output = Result<Served<T>, Failure<E>>> + Send
    where
        O: Operation<Output = T, Error = E>,
    {
        Self::serve_operation(self, call, &(), operation)
    }
}

#[cfg(feature = "cache")]
impl<T, E> Serves<T, E> for super::LastGood<T>
where
    T: Clone + Send + Sync + 'static,
    E: Send,
{
    fn serve_operation<O>(
        &self,
        call: &Call,
        operation: &O,
    ) -> impl Future<Output = Result<Served<T>, Failure<E>>> + Send
    where
        O: Operation<Output = T, Error = E>,
    {
        Self::serve_operation(self, call, operation)
    }
}

/// A result, fresh or not.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a value is fresh, kept or made up, nothing else"
)]
pub enum Served<T> {
    /// From the dependency, now.
    Fresh(T),
    /// The last good one.
    Kept {
        /// The value.
        value: T,
        /// How long ago it was fresh.
        age: Duration,
        /// Why it is not fresh.
        why: Because,
    },
    /// Something else, from elsewhere.
    Instead {
        /// The value.
        value: T,
        /// Why it is not from the dependency.
        why: Because,
    },
}

impl<T> Served<T> {
    /// The value.
    #[must_use]
    pub const fn value(&self) -> &T {
        match self {
            Self::Fresh(value) | Self::Kept { value, .. } | Self::Instead { value, .. } => value,
        }
    }

    /// The value.
    #[must_use]
    pub fn into_value(self) -> T {
        match self {
            Self::Fresh(value) | Self::Kept { value, .. } | Self::Instead { value, .. } => value,
        }
    }

    /// Why it is not fresh.
    #[must_use]
    pub const fn why(&self) -> Option<&Because> {
        match self {
            Self::Fresh(_) => None,
            Self::Kept { why, .. } | Self::Instead { why, .. } => Some(why),
        }
    }

    /// Whether the dependency failed to give it, so that it may be less than what was asked for.
    #[must_use]
    pub const fn is_degraded(&self) -> bool {
        matches!(
            self.why(),
            Some(
                Because::Rejected(_) | Because::TimedOut(_) | Because::Failed(_) | Because::Ignored
            )
        )
    }
}

/// Why a value is not fresh.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Because {
    /// A guard refused the call.
    Rejected(Rejection),
    /// A time limit ended the call.
    TimedOut(TimedOut),
    /// The call failed.
    Failed(Fault),
    /// The call failed by the caller's own fault.
    Ignored,
    /// The one that is kept is recent enough.
    Recent,
    /// The one that is kept is being replaced.
    Refreshing,
}

impl Because {
    /// Why this result is not what was asked for; `None` if it is.
    pub(super) const fn of<T, E>(result: &Result<T, Failure<E>>, outcome: Outcome) -> Option<Self> {
        match (result, outcome) {
            (Err(Failure::Rejected(why)), _) => Some(Self::Rejected(*why)),
            (Err(Failure::TimedOut(what)), _) => Some(Self::TimedOut(*what)),
            // An `Ok` may still be bad news, such as a response with status 503.
            (_, Outcome::Failure(fault)) => Some(Self::Failed(fault)),
            (Err(_), Outcome::Ignored) => Some(Self::Ignored),
            (Ok(_), Outcome::Ignored) | (_, Outcome::Success) => None,
        }
    }
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(why) => write!(f, "{why}"),
            Self::TimedOut(what) => write!(f, "{what}"),
            Self::Failed(fault) => f.write_str(match fault.kind() {
                FaultKind::TimedOut => "it took too long",
                FaultKind::Throttled => "it asked for fewer calls",
                FaultKind::Permanent => "it failed for good",
                _ => "it failed",
            }),
            Self::Ignored => f.write_str("the call was wrong"),
            Self::Recent => f.write_str("it is recent enough"),
            Self::Refreshing => f.write_str("it is being replaced"),
        }
    }
}
