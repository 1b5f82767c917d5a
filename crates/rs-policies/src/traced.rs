//! Spans for calls and attempts.

use std::sync::atomic::{AtomicU32, Ordering};

use rs_core::{Call, Failure, FaultKind, Operation, Outcome, Policy, TimeLimits, TimeScope};
use rs_metrics::CALL_SPANS;
use tracing::{
    Instrument, Level, Span,
    field::{Empty, display},
};

use crate::{metrics::Limits, seldom::Seldom};

/// A policy or a pipeline with a span for each call, and in it one for each attempt at the operation.
///
/// Where somebody listens a span costs about a microsecond, sampled or not: this is for calls that take longer
/// than that. Where nobody does it costs a branch, and a pipeline without it not even that.
///
/// ```
/// use rs_core::Policy;
/// use rs_policies::{Pipeline, RetryConfig};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let payments = Pipeline::named("payments").retry(RetryConfig::default()).build()?.traced();
/// let receipt = payments.call("charge", async |_call| {
///     tracing::info!("a child of the attempt, which is a child of the call");
///     Ok::<_, std::io::Error>(17)
/// });
/// assert_eq!(receipt.await?, 17);
/// # Ok(()) }
/// ```
///
/// | span | field | |
/// |---|---|---|
/// | `call` | `call`, `otel.name` | the name of the call |
/// | | `correlation_id` | the request that it belongs to, if the call knows |
/// | | `attempts` | how often the operation was begun |
/// | `attempt` | `call`, `attempt` | the name, and the number of the attempt, the first being 1 |
/// | | `hedge` | the number of the hedge, for one that is |
/// | both | `outcome` | `success`, `failure`, `ignored`, `rejected`, `timed_out`, `cancelled`, `panicked` |
/// | | `reason` | what kind of failure, which guard refused and why, or what the limit was set on |
/// | | `otel.status_code` | `ERROR` where it failed, was refused or took too long |
///
/// A call that a guard refuses has no attempt. An attempt is `cancelled` when it is dropped before it is over:
/// because the caller went away, a limit ended it, or a hedge was faster. The span of the call says which.
///
/// The span of the attempt is the current one while the operation runs. So what the operation sends on the wire
/// by `rs_metrics::tracing::write_headers` is the correlation id of the call, and the attempt as the W3C
/// `traceparent`.
///
/// # Cancel safety
/// As the policy's own. A call that is dropped has a span that says so.
#[derive(Debug, Clone, Default)]
pub struct Traced<P> {
    policy: P,
}

impl<P> Traced<P> {
    /// This policy, with spans.
    pub const fn new(policy: P) -> Self {
        Self { policy }
    }

    /// The policy.
    pub const fn get_ref(&self) -> &P {
        &self.policy
    }

    /// The policy.
    pub fn into_inner(self) -> P {
        self.policy
    }
}

impl<T, E, P> Policy<T, E> for Traced<P>
where
    T: Send,
    E: Send,
    P: Policy<T, E>,
{
    #[inline]
    fn run<O>(
        &self,
        call: &Call,
        operation: &O,
    ) -> impl Future<Output = Result<T, Failure<E>>> + Send
    where
        O: Operation<Output = T, Error = E>,
    {
        match tracing::span_enabled!(target: CALL_SPANS, Level::INFO) {
            false => Seldom::Usual {
                running: self.policy.run(call, operation),
            },
            true => Seldom::Other {
                boxed: Box::pin(spanned(&self.policy, call, operation)),
            },
        }
    }
}

async fn spanned<O, P>(
    policy: &P,
    call: &Call,
    operation: &O,
) -> Result<O::Output, Failure<O::Error>>
where
    O: Operation,
    P: Policy<O::Output, O::Error>,
{
    let span = Open::new(call_span(call));
    let attempts = Attempts {
        operation,
        of: &span,
    };
    let run = policy.run(call, &attempts);
    let result = run.instrument(span.span.clone()).await;
    span.close(&result, || operation.classify(call, &result));
    result
}

/// An operation each of whose attempts has a span in that of its call.
struct Attempts<'a, O> {
    operation: &'a O,
    of: &'a Open,
}

impl<O> Attempts<'_, O> {
    fn begin(&self, call: &Call) -> Open {
        let of = &self.of.span;
        if of.is_disabled() {
            return Open::new(Span::none());
        }
        self.of.attempts.fetch_add(1, Ordering::Relaxed);
        Open::new(attempt_span(of, call))
    }
}

impl<O: Operation> Operation for Attempts<'_, O> {
    type Output = O::Output;
    type Error = O::Error;

    async fn attempt(&self, call: &Call) -> Result<O::Output, Failure<O::Error>> {
        self.attempt_within(call, TimeLimits::NONE).await
    }

    async fn attempt_within(
        &self,
        call: &Call,
        limits: TimeLimits,
    ) -> Result<O::Output, Failure<O::Error>> {
        let span = self.begin(call);
        let attempt = self.operation.attempt_within(call, limits);
        let result = attempt.instrument(span.span.clone()).await;
        span.close(&result, || self.operation.classify(call, &result));
        result
    }

    fn can_repeat(&self) -> bool {
        self.operation.can_repeat()
    }

    fn classify(&self, call: &Call, result: &Result<O::Output, Failure<O::Error>>) -> Outcome {
        self.operation.classify(call, result)
    }
}

fn call_span(call: &Call) -> Span {
    let span = tracing::info_span!(
        target: CALL_SPANS,
        "call",
        otel.name = call.name().as_str(),
        call = call.name().as_str(),
        correlation_id = Empty,
        attempts = Empty,
        outcome = Empty,
        reason = Empty,
        otel.status_code = Empty,
    );
    if let Some(correlation) = call.correlation()
        && !span.is_disabled()
    {
        span.record("correlation_id", display(correlation));
    }
    span
}

fn attempt_span(of: &Span, call: &Call) -> Span {
    let span = tracing::info_span!(
        target: CALL_SPANS,
        parent: of,
        "attempt",
        call = call.name().as_str(),
        attempt = call.attempt(),
        hedge = Empty,
        outcome = Empty,
        reason = Empty,
        otel.status_code = Empty,
    );
    if call.hedge() > 0 {
        span.record("hedge", call.hedge());
    }
    span
}

/// A span of which it is not known yet how it ends.
struct Open {
    span: Span,
    attempts: AtomicU32,
    is_over: bool,
}

impl Open {
    const fn new(span: Span) -> Self {
        Self {
            span,
            attempts: AtomicU32::new(0),
            is_over: false,
        }
    }

    fn close<T, E>(mut self, result: &Result<T, Failure<E>>, outcome: impl FnOnce() -> Outcome) {
        self.is_over = true;
        if self.span.is_disabled() {
            return;
        }
        let (word, reason) = match result {
            Err(Failure::Rejected(why)) => {
                let reason = why.reason();
                let reason = format_args!("{} {}", reason.policy(), reason.code());
                self.span.record("reason", display(reason));
                ("rejected", None)
            }
            Err(Failure::TimedOut(what)) => ("timed_out", Some(scope(what.scope()))),
            _ => match outcome() {
                Outcome::Success => ("success", None),
                Outcome::Ignored => ("ignored", None),
                Outcome::Failure(fault) => ("failure", Some(kind(fault.kind()))),
            },
        };
        if let Some(reason) = reason {
            self.span.record("reason", reason);
        }
        if !matches!(word, "success" | "ignored") {
            self.span.record("otel.status_code", "ERROR");
        }
        self.span.record("outcome", word);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let attempts = *self.attempts.get_mut();
        if attempts > 0 {
            self.span.record("attempts", attempts);
        }
        if !self.is_over {
            let word = match std::thread::panicking() {
                true => "panicked",
                false => "cancelled",
            };
            self.span.record("outcome", word);
        }
    }
}

const fn kind(kind: FaultKind) -> &'static str {
    match kind {
        FaultKind::Transient => "transient",
        FaultKind::TimedOut => "timed_out",
        FaultKind::Throttled => "throttled",
        FaultKind::Permanent => "permanent",
        _ => "other",
    }
}

const fn scope(scope: TimeScope) -> &'static str {
    match scope {
        TimeScope::Deadline => "deadline",
        TimeScope::Queue => "queue",
        scope => Limits::of(scope).as_str(),
    }
}
