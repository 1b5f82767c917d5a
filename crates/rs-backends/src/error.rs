use std::{fmt, sync::Arc, time::Duration};

use rs_core::{ConfigError, Fault, Outcome, Rejection};

/// Why a backend did not do what it was asked.
///
/// An error says nothing about the instances: a registry that cannot be reached is not an empty one.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum BackendError {
    /// What was given is wrong: a name, a port, a limit.
    Invalid(ConfigError),
    /// This kind of backend cannot do that.
    Unsupported(&'static str),
    /// The registry cannot be reached.
    Unreachable(Arc<str>),
    /// The registry did not answer in this time.
    TimedOut(Duration),
    /// The registry answered that it will not.
    Refused(Arc<str>),
    /// The answer cannot be understood.
    Malformed(Arc<str>),
    /// A policy around the backend did not let it through.
    Rejected(Rejection),
    /// There is more than this of something.
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// The backend was closed.
    Closed,
}

impl BackendError {
    pub(crate) fn unreachable(why: impl fmt::Display) -> Self {
        Self::Unreachable(bounded(why))
    }

    pub(crate) fn refused(why: impl fmt::Display) -> Self {
        Self::Refused(bounded(why))
    }

    pub(crate) fn malformed(why: impl fmt::Display) -> Self {
        Self::Malformed(bounded(why))
    }

    /// Whether the same may succeed later without anybody changing what is asked.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_)
                | Self::TimedOut(_)
                | Self::Refused(_)
                | Self::Malformed(_)
                | Self::Rejected(_)
        )
    }

    /// What it says of the registry, for whoever guards it: what the caller did wrong says nothing.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::TimedOut(_) => Fault::timed_out().into(),
            Self::Unreachable(_) | Self::Refused(_) | Self::Malformed(_) => Outcome::TRANSIENT,
            _ => Outcome::Ignored,
        }
    }
}

/// A registry decides how long its explanation is; we decide how much of it is kept.
fn bounded(why: impl fmt::Display) -> Arc<str> {
    const MOST: usize = 400;
    let why = why.to_string();
    let why = why.trim();
    why.get(..why.floor_char_boundary(MOST))
        .unwrap_or_default()
        .into()
}

impl From<ConfigError> for BackendError {
    fn from(error: ConfigError) -> Self {
        Self::Invalid(error)
    }
}

impl fmt::Display for BackendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(error) => write!(f, "{error}"),
            Self::Unsupported(what) => write!(f, "this backend cannot {what}"),
            Self::Unreachable(why) => write!(f, "the registry cannot be reached: {why}"),
            Self::TimedOut(after) => write!(f, "the registry did not answer in {after:?}"),
            Self::Refused(why) => write!(f, "the registry refused: {why}"),
            Self::Malformed(why) => write!(f, "the answer cannot be understood: {why}"),
            Self::Rejected(rejection) => write!(f, "{rejection}"),
            Self::TooMany { what, limit } => write!(f, "more than {limit} {what}"),
            Self::Closed => f.write_str("the backend is closed"),
        }
    }
}

impl std::error::Error for BackendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Invalid(error) => Some(error),
            _ => None,
        }
    }
}
