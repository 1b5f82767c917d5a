mod both;
mod builder;
mod chaos;
mod erased;
mod error;
mod given;
mod limits;
mod once;
mod part;
mod plan;
mod run;
mod stack;
mod with;

pub use both::Both;
pub(crate) use builder::{Assembly, Said};
pub use builder::{PipelineBuilder, WithSlots};
pub use chaos::{Chaos, Strike};
pub use erased::DynPipeline;
pub use error::PlanError;
pub use given::Given;
pub use limits::{LimitSlot, LimitSlots, Limits, Within};
pub use part::{Part, Parts, Sketch};
pub use plan::{Doubt, Plan};
pub use stack::Stack;
pub use with::{AddCoalesce, AddFallback, AddHedge, Adds, With};

use std::fmt;

use rs_core::{Call, Clock, Failure, Guard, Name, Operation, Outcome, Policy, TimeLimits};

use self::{chaos::Struck, once::Once, run::Run};
use crate::{Retry, Timeout};

/// Policies in the order that is right, however they were written.
///
/// ```text
/// fallback → total timeout → coalesce → retry with budget → hedge → breaker → load shedding → rate limit
///     → bulkhead or adaptive limit → attempt timeout → the operation
/// ```
///
/// So the breaker sees every attempt, a call that waits between attempts holds no place, an attempt that
/// hangs counts as a failure, and the deadline of the call holds for all of it.
///
/// ```
/// use rs_core::Policy;
/// use rs_policies::{BulkheadConfig, Pipeline, RetryConfig};
/// use std::time::Duration;
/// # async fn charge() -> Result<u64, std::io::Error> { Ok(17) }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let payments = Pipeline::named("payments")
///     .timeout(Duration::from_secs(2))
///     .retry(RetryConfig::default())
///     .bulkhead(BulkheadConfig::of(32).with_queue(64, Duration::from_millis(200)))
///     .attempt_timeout(Duration::from_millis(500))
///     .build()?;
///
/// let receipt = payments.call("charge", async |_call| charge().await).await?;
/// assert_eq!(receipt, 17);
/// # Ok(()) }
/// ```
///
/// Its type names what is generic about it, so a struct can hold one: `Pipeline` with nothing but what is
/// built in, `Pipeline<Breaker>` with a breaker, `Pipeline<Breaker, Bulkhead>` with a bulkhead, too,
/// `Pipeline<Breaker, Bulkhead, With<Hedge>>` with a hedge.
/// [`Pipeline::erased`] forgets it.
///
/// # Cancel safety
/// Dropping the future at any point gives back every permit and place; guards hear that the call was
/// cancelled.
#[derive(Clone)]
pub struct Pipeline<G = (), L = (), X = ()> {
    name: Name,
    clock: Clock,
    safe_to_repeat: bool,
    timeout: Option<Timeout>,
    retry: Option<Retry>,
    guard: G,
    limit: L,
    attempt_timeout: Option<Timeout>,
    chaos: Option<Struck>,
    with: X,
    plan: std::sync::Arc<Plan>,
}

impl Pipeline {
    /// A pipeline of this name, to be put together. Its parts have its name, too.
    pub fn named(name: impl Into<Name>) -> PipelineBuilder {
        PipelineBuilder::new(name.into())
    }
}

impl<G, L, X> Pipeline<G, L, X> {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> Name {
        self.name
    }

    /// What it does to calls in the worst case, as it was when it was built.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Its retry.
    #[must_use]
    pub const fn retry(&self) -> Option<&Retry> {
        self.retry.as_ref()
    }

    /// Its limit on whole calls.
    #[must_use]
    pub const fn timeout(&self) -> Option<&Timeout> {
        self.timeout.as_ref()
    }

    /// Its limit on each attempt.
    #[must_use]
    pub const fn attempt_timeout(&self) -> Option<&Timeout> {
        self.attempt_timeout.as_ref()
    }

    /// Its guard.
    #[must_use]
    pub const fn guard(&self) -> &G {
        &self.guard
    }

    /// What limits its calls.
    #[must_use]
    pub const fn limit(&self) -> &L {
        &self.limit
    }

    /// What it has beside what is built in.
    #[must_use]
    pub const fn with(&self) -> &X {
        &self.with
    }

    /// The same pipeline, its type forgotten, to be stored wherever one is wanted. It runs operations of
    /// any result still, and boxes two futures a call.
    #[must_use]
    pub fn erased(self) -> DynPipeline
    where
        Self: rs_core::AnyResult + 'static,
    {
        let plan = std::sync::Arc::clone(&self.plan);
        DynPipeline::new(self).planned(plan)
    }

    /// The same pipeline with a span for each call, and in it one for each attempt.
    #[cfg(feature = "tracing")]
    #[must_use]
    pub const fn traced(self) -> crate::Traced<Self> {
        crate::Traced::new(self)
    }

    /// What its calls are told of its limits.
    #[inline(always)]
    fn limits(&self, call: &Call) -> TimeLimits {
        let mut limits = TimeLimits::NONE;
        if let Some(timeout) = &self.timeout {
            limits = timeout.add_to(limits, call);
        }
        if let Some(timeout) = &self.attempt_timeout {
            limits = timeout.add_to(limits, call);
        }
        limits
    }
}

/// One attempt: a macro, because nobody can write down the type.
macro_rules! once {
    ($pipeline:expr, $call:expr, $operation:expr, $limits:expr) => {
        Once::new(
            $pipeline,
            $call,
            $operation,
            $limits,
            |pipeline, call| pipeline.guard.enter(call),
            |pipeline, call| pipeline.limit.enter(call),
            |pipeline, call, operation, limits| {
                chaos::struck(pipeline.chaos.as_ref(), call, operation, limits)
            },
        )
    };
}

impl<T, E, G, L> Policy<T, E> for Pipeline<G, L>
where
    T: Send,
    E: Send,
    G: Guard,
    L: Guard,
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
        let limits = self.limits(call);
        Run::new(
            self,
            call,
            operation,
            limits,
            once!(self, call, operation, limits),
            |pipeline, call, operation, limits, first| async move {
                let mut call = call.within_limits(limits);
                if pipeline.safe_to_repeat {
                    call = call.safe_to_repeat();
                }
                let attempt = Attempt {
                    pipeline,
                    operation,
                    limits,
                };
                match &pipeline.retry {
                    Some(retry) => retry.go_on(&call, &attempt, first).await,
                    None => first.result,
                }
            },
        )
    }
}

/// An attempt after the first one.
struct Attempt<'p, 'o, G, L, X, O> {
    pipeline: &'p Pipeline<G, L, X>,
    operation: &'o O,
    limits: TimeLimits,
}

impl<G: Guard, L: Guard, X: Sync, O: Operation> Operation for Attempt<'_, '_, G, L, X, O> {
    type Output = O::Output;
    type Error = O::Error;

    fn attempt(
        &self,
        call: &Call,
    ) -> impl Future<Output = Result<O::Output, Failure<O::Error>>> + Send {
        once!(self.pipeline, call, self.operation, self.limits)
    }

    fn can_repeat(&self) -> bool {
        self.operation.can_repeat()
    }

    fn classify(&self, call: &Call, result: &Result<O::Output, Failure<O::Error>>) -> Outcome {
        self.operation.classify(call, result)
    }
}

impl<G, L, X> fmt::Debug for Pipeline<G, L, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("name", &self.name)
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}
