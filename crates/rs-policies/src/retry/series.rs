//! The attempts of one call after the first, whoever makes them.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use rs_core::{Call, Deadline, Failure, FaultKind, Outcome, Severity, SignalKind};

use super::{Inner, RetryConfig, RetryEnd, Retrying};
use crate::backoff::Delays;

/// Where a call is that has failed at least once.
pub(super) struct Series<'r> {
    retry: &'r Inner,
    rules: Arc<RetryConfig>,
    call: Call,
    delays: Delays,
    tried: u32,
    now: Instant,
}

impl Series<'_> {
    /// How long to wait before the next attempt, if there is to be one.
    pub(super) fn pause<T, E>(
        &mut self,
        result: &Result<T, Failure<E>>,
        outcome: Outcome,
    ) -> Option<Duration> {
        let Self {
            retry, rules, call, ..
        } = self;
        let (tried, now) = (self.tried, self.now);
        let next = retry.next(rules, call, tried, result, outcome, &mut self.delays, now);
        match next {
            Ok(delay) => {
                retry.attempts.increment();
                retry.delays.record_time(delay);
                Some(delay)
            }
            Err(end) => {
                retry.ends[end].increment();
                None
            }
        }
    }

    /// The call at its next attempt.
    pub(super) fn next_call(&mut self) -> Call {
        self.tried += 1;
        self.call = self.call.at_attempt(self.call.attempt().saturating_add(1));
        self.call
    }

    /// Whether an attempt that ended so is the last one because it did not fail.
    pub(super) fn is_over<T, E>(
        &mut self,
        result: &Result<T, Failure<E>>,
        outcome: Outcome,
    ) -> bool {
        if !outcome.is_failure() && !matches!(result, Err(Failure::Rejected(_))) {
            self.retry.ends[RetryEnd::Succeeded].increment();
            return true;
        }
        self.now = self.retry.home.around.clock().now();
        false
    }
}

impl Inner {
    /// The attempts of this call, after a first one that began then, or just now.
    pub(super) fn series(&self, call: &Call, begun: Option<Instant>) -> Series<'_> {
        let rules = self.rules.get();
        let now = self.home.around.clock().now();
        let begun = begun.unwrap_or(now);
        let mut call = call.begun_at(begun);
        if let Some(total) = rules.total_time() {
            call = call.by(Deadline::after(begun, total));
        }
        let delays = rules.backoff().delays_by(self.roll());
        Series {
            retry: self,
            rules,
            call,
            delays,
            tried: 1,
            now,
        }
    }

    /// How long to wait before the next attempt, or why there is none.
    #[expect(
        clippy::too_many_arguments,
        reason = "what a decision needs, and no more"
    )]
    fn next<T, E>(
        &self,
        rules: &RetryConfig,
        call: &Call,
        tried: u32,
        result: &Result<T, Failure<E>>,
        outcome: Outcome,
        delays: &mut Delays,
        now: Instant,
    ) -> Result<Duration, RetryEnd> {
        let (kind, fault, hint) = match (result, outcome) {
            (Err(Failure::Rejected(why)), _) if rules.retries_rejections() => {
                (FaultKind::Transient, None, why.retry_after(now))
            }
            (_, Outcome::Failure(fault)) if fault.is_transient() => {
                (fault.kind(), Some(fault), fault.retry_after())
            }
            _ => return Err(RetryEnd::Permanent),
        };
        let unknown = kind == FaultKind::TimedOut && !rules.repeats_timeouts();
        if unknown && !call.is_safe_to_repeat() {
            return Err(RetryEnd::Unsafe);
        }
        if tried >= rules.attempts() {
            return Err(RetryEnd::Exhausted);
        }
        let delay = delays.next().ok_or(RetryEnd::Exhausted)?;
        let delay = match hint {
            Some(hint) => delay.max(hint.min(rules.longest_hint())),
            None => delay,
        };
        if let Some(deadline) = call.deadline()
            && !deadline.leaves(now, delay.saturating_add(rules.shortest_attempt()))
        {
            return Err(RetryEnd::Deadline);
        }
        let retrying = Retrying { call, fault, delay };
        if !self.ask(rules, &retrying) {
            return Err(RetryEnd::Condition);
        }
        match &self.budget {
            Some(budget) if !budget.withdraw(kind) => Err(RetryEnd::Budget),
            _ => Ok(delay),
        }
    }

    /// What the condition says; one that panics says no.
    fn ask(&self, rules: &RetryConfig, retrying: &Retrying<'_>) -> bool {
        let Some(condition) = rules.condition() else {
            return true;
        };
        catch_unwind(AssertUnwindSafe(|| condition(retrying))).unwrap_or_else(|_| {
            self.home
                .record(|| PANICKED.signal(self.home.name).during(retrying.call));
            false
        })
    }
}

static PANICKED: SignalKind = SignalKind::new(
    "retry",
    "condition_panicked",
    Severity::Warning,
    "panicked; the call is not tried again",
);
