use std::fmt;

use super::Signal;
use crate::Name;

/// What can happen to a policy; declared once as a `static` by the policy's crate.
///
/// The words are a sentence about the instance; a measure in braces is replaced by its number, so
/// that the signal reads as people would say it.
///
/// ```
/// use rs_core::{Measure, Name, Severity, SignalKind, Unit};
///
/// static FAILED: Measure = Measure::new("failed", Unit::Count);
/// static CALLS: Measure = Measure::new("calls", Unit::Count);
/// static OPEN_FOR: Measure = Measure::new("open for", Unit::Seconds);
/// static OPENED: SignalKind = SignalKind::new(
///     "breaker",
///     "opened",
///     Severity::Warning,
///     "opened, {failed} of {calls} failed, next probe in {open for}",
/// );
///
/// let signal = OPENED
///     .signal(Name::of("payments"))
///     .with(FAILED.at(11.0))
///     .with(CALLS.at(20.0))
///     .with(OPEN_FOR.at(3.2));
/// assert_eq!(
///     signal.to_string(),
///     "breaker payments: opened, 11 of 20 failed, next probe in 3.2s",
/// );
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct SignalKind {
    policy: &'static str,
    name: &'static str,
    severity: Severity,
    words: &'static str,
}

/// How much a signal matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[expect(
    clippy::exhaustive_enums,
    reason = "three are enough, and observers match on them"
)]
pub enum Severity {
    /// As it should be.
    Info,
    /// Somebody may want to look.
    Warning,
    /// Somebody must look.
    Error,
}

impl SignalKind {
    /// This can happen to that kind of policy.
    #[must_use]
    pub const fn new(
        policy: &'static str,
        name: &'static str,
        severity: Severity,
        words: &'static str,
    ) -> Self {
        Self {
            policy,
            name,
            severity,
            words,
        }
    }

    /// The kind of policy that it happens to: `breaker`.
    #[must_use]
    pub const fn policy(&self) -> &'static str {
        self.policy
    }

    /// Its stable name: `opened`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// How much it matters.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.severity
    }

    /// The words, with measures in braces.
    pub(super) const fn words(&self) -> &'static str {
        self.words
    }

    /// It happened to the instance of that name.
    pub fn signal(&'static self, source: impl Into<Name>) -> Signal {
        Signal::new(self, source.into())
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}
