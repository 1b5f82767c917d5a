//! Why a breaker refuses.

use rs_core::{Measure, Reason, Unit};

use crate::{BreakerState, CauseKind, tally::Refused};

static IN_A_ROW: Measure = Measure::new("failures in a row", Unit::Count);
static FAILURE_RATE: Measure = Measure::new("failure rate", Unit::Share);
static SLOW_RATE: Measure = Measure::new("slow-call rate", Unit::Share);
static FAILED_PROBES: Measure = Measure::new("failed probes", Unit::Count);
static PROBES_OUT: Measure = Measure::new("probes out", Unit::Count);
static LET_THROUGH: Measure = Measure::new("share of calls let through", Unit::Share);

static OPEN: Reason = Reason::new("breaker", "open");
static OPEN_BY_RUN: Reason = Reason::new("breaker", "open").judging(&IN_A_ROW);
static OPEN_BY_FAILURES: Reason = Reason::new("breaker", "open").judging(&FAILURE_RATE);
static OPEN_BY_SLOWNESS: Reason = Reason::new("breaker", "open").judging(&SLOW_RATE);
static OPEN_BY_PROBES: Reason = Reason::new("breaker", "open").judging(&FAILED_PROBES);
static HALF_OPEN: Reason = Reason::new("breaker", "half_open").judging(&PROBES_OUT);
static RAMPING: Reason = Reason::new("breaker", "ramping").judging(&LET_THROUGH);
static FORCED_OPEN: Reason = Reason::new("breaker", "forced_open");
static ISOLATED: Reason = Reason::new("breaker", "isolated");

/// Why it refuses, as far as the gate tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Why {
    Open,
    Run,
    Failures,
    Slowness,
    Probes,
    HalfOpen,
    Ramping,
    ForcedOpen,
    Isolated,
}

impl Why {
    pub(crate) const fn of(state: BreakerState, cause: Option<CauseKind>) -> Self {
        match (state, cause) {
            (BreakerState::HalfOpen, _) => Self::HalfOpen,
            (BreakerState::Ramping, _) => Self::Ramping,
            (BreakerState::ForcedOpen, _) => Self::ForcedOpen,
            (BreakerState::Isolated, _) => Self::Isolated,
            (_, Some(CauseKind::ConsecutiveFailures)) => Self::Run,
            (_, Some(CauseKind::FailureRate)) => Self::Failures,
            (_, Some(CauseKind::SlowRate)) => Self::Slowness,
            (_, Some(CauseKind::Probes)) => Self::Probes,
            (_, None) => Self::Open,
        }
    }
}

/// What is said and counted of a refusal.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) reason: &'static Reason,
    pub(crate) counted_as: Refused,
    /// Whether what is due is the time from which on calls may go through.
    pub(crate) says_when: bool,
    /// Whether dark mode does not soften it.
    pub(crate) by_order: bool,
}

const fn refusal(
    reason: &'static Reason,
    counted_as: Refused,
    says_when: bool,
    by_order: bool,
) -> Refusal {
    Refusal {
        reason,
        counted_as,
        says_when,
        by_order,
    }
}

/// In the order of [`Why`], and filled up to what four bits can say.
pub(crate) static REFUSALS: [Refusal; 16] = [
    refusal(&OPEN, Refused::Open, true, false),
    refusal(&OPEN_BY_RUN, Refused::Open, true, false),
    refusal(&OPEN_BY_FAILURES, Refused::Open, true, false),
    refusal(&OPEN_BY_SLOWNESS, Refused::Open, true, false),
    refusal(&OPEN_BY_PROBES, Refused::Open, true, false),
    refusal(&HALF_OPEN, Refused::HalfOpen, false, false),
    refusal(&RAMPING, Refused::Ramping, false, false),
    refusal(&FORCED_OPEN, Refused::ForcedOpen, true, true),
    refusal(&ISOLATED, Refused::Isolated, true, true),
    refusal(&OPEN, Refused::Open, true, false),
    refusal(&OPEN, Refused::Open, true, false),
    refusal(&OPEN, Refused::Open, true, false),
    refusal(&OPEN, Refused::Open, true, false),
    refusal(&OPEN, Refused::Open, true, false),
    refusal(&OPEN, Refused::Open, true, false),
    refusal(&OPEN, Refused::Open, true, false),
];
