use std::time::Duration;

/// How a call ended, as far as the health of what was called is concerned.
///
/// Three, not two: a call that failed through the caller's own fault says nothing about the
/// dependency, and counting it as either success or failure makes breakers and limits wrong.
/// A call that was dropped before it ended has no outcome at all; see [`Ending::Cancelled`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "three outcomes is the design: every policy matches on all of them"
)]
pub enum Outcome {
    /// The dependency did its work.
    Success,
    /// The dependency failed; the fault says how, and whether trying again can help.
    Failure(Fault),
    /// Says nothing about the dependency: the error is the caller's own, or the caller went away.
    Ignored,
}

impl Outcome {
    /// A failure that may pass: the default for any error.
    pub const TRANSIENT: Self = Self::Failure(Fault::transient());

    /// A failure that trying again cannot mend.
    pub const PERMANENT: Self = Self::Failure(Fault::permanent());

    /// Whether the dependency did its work.
    #[must_use]
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Success)
    }

    /// Whether the dependency failed.
    #[must_use]
    pub const fn is_failure(&self) -> bool {
        matches!(self, Self::Failure(_))
    }

    /// The fault, if the dependency failed.
    #[must_use]
    pub const fn fault(&self) -> Option<Fault> {
        match self {
            Self::Failure(fault) => Some(*fault),
            Self::Success | Self::Ignored => None,
        }
    }
}

/// How a dependency failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    kind: FaultKind,
    retry_after: Option<Duration>,
}

/// The kinds of failure that policies treat differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FaultKind {
    /// It may pass; trying again can help.
    Transient,
    /// It took too long.
    TimedOut,
    /// The dependency asked for fewer calls.
    Throttled,
    /// Trying again cannot help.
    Permanent,
}

impl Fault {
    /// It may pass.
    #[must_use]
    pub const fn transient() -> Self {
        Self::new(FaultKind::Transient)
    }

    /// It took too long.
    #[must_use]
    pub const fn timed_out() -> Self {
        Self::new(FaultKind::TimedOut)
    }

    /// The dependency asked for fewer calls.
    #[must_use]
    pub const fn throttled() -> Self {
        Self::new(FaultKind::Throttled)
    }

    /// Trying again cannot help.
    #[must_use]
    pub const fn permanent() -> Self {
        Self::new(FaultKind::Permanent)
    }

    const fn new(kind: FaultKind) -> Self {
        Self {
            kind,
            retry_after: None,
        }
    }

    /// The same fault, with the delay that the server asked for.
    #[must_use]
    pub const fn after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// The kind.
    #[must_use]
    pub const fn kind(&self) -> FaultKind {
        self.kind
    }

    /// The delay that the server asked for.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// Whether trying again can help.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        !matches!(self.kind, FaultKind::Permanent)
    }
}

impl From<Fault> for Outcome {
    fn from(fault: Fault) -> Self {
        Self::Failure(fault)
    }
}

/// How a permit came back to its guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a permit is finished or dropped, nothing else can happen to it"
)]
pub enum Ending {
    /// The call ended.
    Finished {
        /// How.
        outcome: Outcome,
        /// How long it took, if whoever finished it had measured that already. A guard that needs
        /// the time and is not told it reads its own clock.
        elapsed: Option<Duration>,
    },
    /// The permit was dropped: the caller went away, or panicked. Neither success nor failure.
    Cancelled,
}

impl Ending {
    /// Ended like this; the time was not measured.
    #[must_use]
    pub const fn finished(outcome: Outcome) -> Self {
        Self::Finished {
            outcome,
            elapsed: None,
        }
    }

    /// The outcome, if there is one.
    #[must_use]
    pub const fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Finished { outcome, .. } => Some(*outcome),
            Self::Cancelled => None,
        }
    }

    /// The time, if it was measured.
    #[must_use]
    pub const fn elapsed(&self) -> Option<Duration> {
        match self {
            Self::Finished { elapsed, .. } => *elapsed,
            Self::Cancelled => None,
        }
    }
}
