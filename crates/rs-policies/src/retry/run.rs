//! How a call is tried, and tried again.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use pin_project_lite::pin_project;
use rs_core::{
    Call, Failure, FaultKind, Operation, Outcome, Severity, SignalKind, TimeScope, TimedOut,
};

use super::{Inner, RetryConfig, RetryEnd, Retrying};
use rs_core::Delays;

type Attempted<O> = Result<<O as Operation>::Output, Failure<<O as Operation>::Error>>;

/// A first attempt that failed.
pub(crate) struct First<T, E> {
    pub(crate) result: Result<T, Failure<E>>,
    pub(crate) outcome: Outcome,
    /// When the call began, if it had to wait.
    pub(crate) begun: Option<Instant>,
}

pin_project! {
    /// A call that is tried, and if need be tried again. Written out, so that the compiler folds it into
    /// one function with what is around it; only what happens after a failure is an async block.
    pub(super) struct Retried<'r, 'c, 'o, O, F, M, A> {
        retry: &'r Inner,
        call: &'c Call,
        operation: &'o O,
        begun: Option<Instant>,
        #[pin]
        state: State<F, M, A>,
    }
}

pin_project! {
    #[project = StateProjection]
    #[project_replace = StateBefore]
    enum State<F, M, A> {
        First { #[pin] attempt: F, go_on: M },
        // Larger than all the rest, and rare.
        Again { going_on: Pin<Box<A>> },
        Over,
    }
}

impl<'r, 'c, 'o, O, F, M, A> Retried<'r, 'c, 'o, O, F, M, A> {
    #[inline(always)]
    pub(super) const fn new(
        retry: &'r Inner,
        call: &'c Call,
        operation: &'o O,
        attempt: F,
        go_on: M,
    ) -> Self
    where
        O: Operation,
        M: FnOnce(First<O::Output, O::Error>) -> A,
    {
        Self {
            retry,
            call,
            operation,
            begun: None,
            state: State::First { attempt, go_on },
        }
    }
}

impl<O, F, M, A> Future for Retried<'_, '_, '_, O, F, M, A>
where
    O: Operation,
    F: Future<Output = Attempted<O>>,
    M: FnOnce(First<O::Output, O::Error>) -> A,
    A: Future<Output = Attempted<O>>,
{
    type Output = Attempted<O>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Attempted<O>> {
        let mut this = self.project();
        let state = this.state.as_mut().project();
        let StateProjection::First { attempt, .. } = state else {
            return poll_again(this.state, context);
        };
        // Looked at where it lies and returned as it is: a result that is taken apart is moved.
        let mut polled = attempt.poll(context);
        match &polled {
            Poll::Pending => {
                if this.begun.is_none() {
                    *this.begun = Some(this.retry.home.around.clock().now());
                }
            }
            Poll::Ready(result) => {
                let outcome = this.operation.classify(this.call, result);
                if !this.retry.is_over(result, outcome) {
                    polled = begin_again(this.state, polled, outcome, *this.begun, context);
                }
            }
        }
        polled
    }
}

#[cold]
#[inline(never)]
fn begin_again<T, E, F, M, A>(
    mut state: Pin<&mut State<F, M, A>>,
    polled: Poll<Result<T, Failure<E>>>,
    outcome: Outcome,
    begun: Option<Instant>,
    context: &mut Context<'_>,
) -> Poll<Result<T, Failure<E>>>
where
    M: FnOnce(First<T, E>) -> A,
    A: Future<Output = Result<T, Failure<E>>>,
{
    if let Poll::Ready(result) = polled
        && let StateBefore::First { go_on, .. } = state.as_mut().project_replace(State::Over)
    {
        let first = First {
            result,
            outcome,
            begun,
        };
        let going_on = Box::pin(go_on(first));
        state.set(State::Again { going_on });
    }
    poll_again(state, context)
}

#[cold]
#[inline(never)]
fn poll_again<T, F, M, A: Future<Output = T>>(
    mut state: Pin<&mut State<F, M, A>>,
    context: &mut Context<'_>,
) -> Poll<T> {
    let StateProjection::Again { going_on } = state.as_mut().project() else {
        unreachable!("polled again after it was over");
    };
    let polled = going_on.as_mut().poll(context);
    if polled.is_ready() {
        state.set(State::Over);
    }
    polled
}

impl Inner {
    /// Whether a first attempt that ended so is the last one. A call that reached the dependency adds to
    /// the budget.
    #[inline(always)]
    pub(crate) fn is_over<T, E>(&self, result: &Result<T, Failure<E>>, outcome: Outcome) -> bool {
        if let Err(Failure::Rejected(_)) = result {
            return self.ends_rejected();
        }
        if let Some(budget) = &self.budget {
            budget.deposit();
        }
        !outcome.is_failure()
    }

    /// Whether a first attempt that a guard refused is the last one.
    #[cold]
    fn ends_rejected(&self) -> bool {
        !self.rules.get().retries_rejections()
    }

    pub(crate) async fn go_on<O: Operation>(
        &self,
        call: &Call,
        operation: &O,
        first: First<O::Output, O::Error>,
    ) -> Attempted<O> {
        let clock = self.home.around.clock();
        let mut plan = Plan::new(self, call, first.begun);
        let (mut result, mut outcome) = (first.result, first.outcome);
        while let Some(delay) = plan.pause(&result, outcome, operation.can_repeat()) {
            drop(result);
            if !delay.is_zero() {
                clock.sleep(delay).await;
            }
            let call = plan.begin(delay)?;
            result = operation.attempt(&call).await;
            outcome = operation.classify(&call, &result);
            if plan.is_done(&result, outcome) {
                break;
            }
        }
        result
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

/// What is still to be done for a call that failed, whether or not somebody waits who is async.
pub(super) struct Plan<'r> {
    retry: &'r Inner,
    rules: Arc<RetryConfig>,
    call: Call,
    delays: Delays,
    begun: Instant,
    now: Instant,
    tried: u32,
}

impl<'r> Plan<'r> {
    /// For a call whose first attempt began then, or just now.
    pub(super) fn new(retry: &'r Inner, call: &Call, begun: Option<Instant>) -> Self {
        let rules = retry.rules.get();
        let now = retry.home.around.clock().now();
        let begun = begun.unwrap_or(now);
        Self {
            retry,
            call: call.begun_at(begun),
            delays: rules.backoff().delays_by(retry.roll()),
            rules,
            begun,
            now,
            tried: 0,
        }
    }

    /// How long to wait before the next attempt, if there is to be one.
    pub(super) fn pause<T, E>(
        &mut self,
        result: &Result<T, Failure<E>>,
        outcome: Outcome,
        can_repeat: bool,
    ) -> Option<Duration> {
        let call = self.call;
        let next = match can_repeat {
            true => self.next(&call, result, outcome, self.now),
            false => Err(RetryEnd::Permanent),
        };
        let end = match next {
            Ok(delay) => return Some(delay),
            Err(end) => end,
        };
        self.retry.ends[end].increment();
        None
    }

    /// The call at its next attempt, after this wait.
    pub(super) fn begin(&mut self, delay: Duration) -> Result<Call, TimedOut> {
        // The wait may have been longer than it was to be.
        if !delay.is_zero()
            && let Some(deadline) = self.call.deadline()
            && deadline.has_passed(self.retry.home.around.clock().now())
        {
            self.retry.ends[RetryEnd::Deadline].increment();
            let time = deadline.remaining(self.begun);
            return Err(TimedOut::new(TimeScope::Deadline, time));
        }
        self.retry.attempts.increment();
        self.retry.delays.record_time(delay);
        self.call = self.call.at_attempt(self.call.attempt().saturating_add(1));
        Ok(self.call)
    }

    /// Whether an attempt that ended so is the last one because it succeeded.
    pub(super) fn is_done<T, E>(
        &mut self,
        result: &Result<T, Failure<E>>,
        outcome: Outcome,
    ) -> bool {
        if outcome.is_success() && !matches!(result, Err(Failure::Rejected(_))) {
            self.retry.ends[RetryEnd::Succeeded].increment();
            return true;
        }
        self.now = self.retry.home.around.clock().now();
        false
    }

    /// The rules in force now; waits of other rules go on where they would be.
    fn follow_rules(&mut self) {
        let rules = self.retry.rules.get();
        if Arc::ptr_eq(&rules, &self.rules) {
            return;
        }
        self.delays = rules.backoff().delays_by(self.retry.roll());
        if let Some(passed) = self.tried.checked_sub(2) {
            self.delays.nth(passed as usize);
        }
        self.rules = rules;
    }

    /// How long to wait before the next attempt, or why there is none.
    fn next<T, E>(
        &mut self,
        call: &Call,
        result: &Result<T, Failure<E>>,
        outcome: Outcome,
        now: Instant,
    ) -> Result<Duration, RetryEnd> {
        self.tried += 1;
        self.follow_rules();
        let rules = &self.rules;
        let (kind, fault, hint) = match (result, outcome) {
            (Err(Failure::Rejected(why)), _) if rules.retries_rejections() => {
                (FaultKind::Transient, None, why.retry_after(now))
            }
            (Err(Failure::Rejected(_)), _) => return Err(RetryEnd::Rejected),
            (_, Outcome::Failure(fault)) if fault.is_transient() => {
                (fault.kind(), Some(fault), fault.retry_after())
            }
            _ => return Err(RetryEnd::Permanent),
        };
        let unknown = kind == FaultKind::TimedOut && !rules.repeats_timeouts();
        if unknown && !call.is_safe_to_repeat() {
            return Err(RetryEnd::Unsafe);
        }
        if self.tried >= rules.attempts() {
            return Err(RetryEnd::Exhausted);
        }
        let delay = self.delays.next().ok_or(RetryEnd::Exhausted)?;
        let delay = match hint {
            Some(hint) => delay.max(hint.min(rules.longest_hint())),
            None => delay,
        };
        if !self.is_in_time(call, now, delay) {
            return Err(RetryEnd::Deadline);
        }
        let retrying = Retrying { call, fault, delay };
        if !self.retry.ask(&self.rules, &retrying) {
            return Err(RetryEnd::Condition);
        }
        match &self.retry.budget {
            Some(budget) if !budget.withdraw(kind) => Err(RetryEnd::Budget),
            _ => Ok(delay),
        }
    }

    /// Whether an attempt after this wait begins within the total time and can end by the deadline.
    fn is_in_time(&self, call: &Call, now: Instant, delay: Duration) -> bool {
        let elapsed = now.saturating_duration_since(self.begun);
        let begins = self
            .rules
            .total_time()
            .is_none_or(|total| elapsed.saturating_add(delay) <= total);
        // Nothing can be done in no time.
        let shortest = self.rules.shortest_attempt().max(Duration::from_nanos(1));
        let least = delay.saturating_add(shortest);
        begins
            && call
                .deadline()
                .is_none_or(|deadline| deadline.leaves(now, least))
    }
}

static PANICKED: SignalKind = SignalKind::new(
    "retry",
    "condition_panicked",
    Severity::Warning,
    "panicked; the call is not tried again",
);
