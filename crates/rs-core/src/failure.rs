use std::{
    error::Error,
    fmt,
    time::{Duration, Instant},
};

use crate::{Rejection, humane};

/// Why a call through a policy did not give a result.
///
/// The operation's own error stays what it was: policies stack without wrapping it again.
///
/// ```
/// use rs_core::Failure;
/// # use rs_core::{Name, Reason};
/// # #[derive(Debug)] struct Declined;
/// # static OPEN: Reason = Reason::new("breaker", "open");
/// # let outcome: Result<(), Failure<Declined>> = Err(Failure::Rejected(OPEN.reject(Name::of("payments"))));
/// match outcome {
///     Ok(receipt) => println!("paid: {receipt:?}"),
///     Err(Failure::Operation { error, attempts }) => println!("{error:?} after {attempts} attempts"),
///     Err(Failure::Rejected(why)) => println!("later: {why}"),
///     Err(other) => println!("{}", other),
/// }
/// # impl std::fmt::Display for Declined { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("declined") } }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Failure<E> {
    /// The operation ran and failed.
    Operation {
        /// Its own error.
        error: E,
        /// The number of the attempt that failed with it: how often it was tried, the first time
        /// included.
        attempts: u32,
    },
    /// A guard refused the call; the operation did not run, or did not run again.
    Rejected(Rejection),
    /// A time limit ended the call; the operation was dropped.
    TimedOut(TimedOut),
}

impl<E> Failure<E> {
    /// The operation's own error, if it ran and failed.
    #[must_use]
    pub const fn operation(&self) -> Option<&E> {
        match self {
            Self::Operation { error, .. } => Some(error),
            Self::Rejected(_) | Self::TimedOut(_) => None,
        }
    }

    /// The rejection, if a guard refused the call.
    #[must_use]
    pub const fn rejection(&self) -> Option<&Rejection> {
        match self {
            Self::Rejected(rejection) => Some(rejection),
            Self::Operation { .. } | Self::TimedOut(_) => None,
        }
    }

    /// The operation's own error, if it ran and failed.
    ///
    /// # Errors
    /// The failure itself when it is of another kind.
    pub fn into_inner(self) -> Result<E, Self> {
        match self {
            Self::Operation { error, .. } => Ok(error),
            other => Err(other),
        }
    }

    /// The same failure with the operation's error turned into another.
    #[must_use]
    pub fn map<F>(self, turn: impl FnOnce(E) -> F) -> Failure<F> {
        match self {
            Self::Operation { error, attempts } => Failure::Operation {
                error: turn(error),
                attempts,
            },
            Self::Rejected(rejection) => Failure::Rejected(rejection),
            Self::TimedOut(limit) => Failure::TimedOut(limit),
        }
    }

    /// How long after `now` trying again can succeed, if a rejection says so.
    #[must_use]
    pub fn retry_after(&self, now: Instant) -> Option<Duration> {
        self.rejection()?.retry_after(now)
    }

    /// Whether a time limit ended the call.
    #[must_use]
    pub const fn is_timed_out(&self) -> bool {
        matches!(self, Self::TimedOut(_))
    }

    /// Whether a guard refused the call.
    #[must_use]
    pub const fn is_rejected(&self) -> bool {
        matches!(self, Self::Rejected(_))
    }
}

impl<E> From<Rejection> for Failure<E> {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl<E> From<TimedOut> for Failure<E> {
    fn from(limit: TimedOut) -> Self {
        Self::TimedOut(limit)
    }
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operation { error, attempts: 1 } => write!(f, "{error}"),
            Self::Operation { error, attempts } => write!(f, "{error} (attempt {attempts})"),
            Self::Rejected(rejection) => write!(f, "{rejection}"),
            Self::TimedOut(limit) => write!(f, "{limit}"),
        }
    }
}

// `E: Error` would be the stricter bound, but boxed errors do not meet it and must stack too.
impl<E: fmt::Debug + fmt::Display> Error for Failure<E> {}

/// Which time limit ended a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimedOut {
    limit: Duration,
    scope: TimeScope,
}

/// What a time limit was set on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeScope {
    /// The whole call, with all its attempts and waits.
    Total,
    /// One attempt.
    Attempt,
    /// The time between two signs of life.
    Idle,
    /// The deadline that came with the call.
    Deadline,
    /// The wait for a permit.
    Queue,
    /// The making of a connection.
    Connect,
    /// A read.
    Read,
    /// A write.
    Write,
}

impl TimedOut {
    /// This limit on that scope ended the call.
    #[must_use]
    pub const fn new(scope: TimeScope, limit: Duration) -> Self {
        Self { limit, scope }
    }

    /// The limit.
    #[must_use]
    pub const fn limit(&self) -> Duration {
        self.limit
    }

    /// What the limit was set on.
    #[must_use]
    pub const fn scope(&self) -> TimeScope {
        self.scope
    }
}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = humane::show_duration(self.limit);
        match self.scope {
            TimeScope::Total => write!(f, "not done within {limit}"),
            TimeScope::Attempt => write!(f, "the attempt was not done within {limit}"),
            TimeScope::Idle => write!(f, "no sign of life for {limit}"),
            TimeScope::Deadline => write!(f, "the call's deadline passed, {limit} after it began"),
            TimeScope::Queue => write!(f, "no permit within {limit}"),
            TimeScope::Connect => write!(f, "not connected within {limit}"),
            TimeScope::Read => write!(f, "nothing read within {limit}"),
            TimeScope::Write => write!(f, "nothing written within {limit}"),
        }
    }
}

impl Error for TimedOut {}
