use std::time::{Duration, Instant};

use crate::{Trip, window::Record, window::Results};

/// Why a breaker opened, with the numbers that decided.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Cause {
    /// The rule that held.
    pub kind: CauseKind,
    /// What was observed: a number of failures, or a share of the calls.
    pub observed: f64,
    /// The limit that it reached.
    pub limit: f64,
    /// How many calls were looked at.
    pub calls: u64,
    /// How many of them failed, or were slow.
    pub bad: u64,
}

/// What opens a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum CauseKind {
    /// So many failures in a row.
    ConsecutiveFailures,
    /// Too large a share of the calls failed.
    FailureRate,
    /// Too large a share of the calls was slow.
    SlowRate,
    /// The probes failed.
    Probes,
}

impl CauseKind {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConsecutiveFailures => "consecutive_failures",
            Self::FailureRate => "failure_rate",
            Self::SlowRate => "slow_rate",
            Self::Probes => "probes",
        }
    }
}

/// What the rules are read with while the breaker asks them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leniency {
    /// Shrinks the evidence that a rule asks for, by advice of the fleet.
    pub(crate) advice: Option<crate::Advice>,
    /// A minimum of calls that is lowered to this while a ramp is watched.
    pub(crate) at_most: Option<u32>,
}

impl Leniency {
    fn ask(&self, calls: u32) -> u32 {
        let shrunk = self.advice.map_or(calls, |advice| advice.shrink(calls));
        self.at_most.map_or(shrunk, |most| shrunk.min(most))
    }
}

impl Cause {
    /// Whether this rule holds, and why.
    pub(crate) fn of(
        rule: &Trip,
        record: &Record,
        now: impl Fn() -> Instant,
        how: Leniency,
    ) -> Option<Self> {
        let seen = record.seen_by(rule, now);
        match rule {
            Trip::ConsecutiveFailures(count) => {
                let limit = how.advice.map_or(*count, |advice| advice.shrink(*count));
                (record.run() >= limit).then(|| Self {
                    kind: CauseKind::ConsecutiveFailures,
                    observed: record.run().into(),
                    limit: limit.into(),
                    calls: record.run().into(),
                    bad: record.run().into(),
                })
            }
            Trip::FailureRate { at_least, window } => Self::rate(
                CauseKind::FailureRate,
                seen.failures(),
                seen,
                at_least.get(),
                how.ask(window.minimum_calls()),
            ),
            Trip::SlowRate {
                at_least, window, ..
            } => Self::rate(
                CauseKind::SlowRate,
                seen.slow_calls(),
                seen,
                at_least.get(),
                how.ask(window.minimum_calls()),
            ),
        }
    }

    fn rate(kind: CauseKind, bad: u64, seen: Results, limit: f64, minimum: u32) -> Option<Self> {
        let calls = seen.calls();
        let observed = share(bad, calls);
        (calls >= minimum.into() && bad > 0 && observed >= limit).then_some(Self {
            kind,
            observed,
            limit,
            calls,
            bad,
        })
    }
}

/// This part of the whole; none of nothing.
pub(crate) fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// A time in nanoseconds, up to the 584 years that fit.
#[inline]
pub(crate) const fn nanos(time: Duration) -> u64 {
    let whole = time.as_secs().saturating_mul(1_000_000_000);
    whole.saturating_add(time.subsec_nanos() as u64)
}
