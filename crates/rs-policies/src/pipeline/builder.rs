use std::{fmt, sync::Arc};

use rs_core::{Clock, Guard, Name, TimeScope};
use rs_metrics::Surroundings;

use super::{
    Chaos, Given, LimitSlots, Limits, Part, Pipeline, Plan, PlanError, Sketch, With,
    chaos::Struck,
    with::{AddCoalesce, AddFallback, AddHedge, Adds},
};
use crate::{
    AdaptiveConfig, AdaptiveLimit, Budget, BudgetConfig, Bulkhead, BulkheadConfig, Hedge,
    HedgeConfig, LoadShed, LoadShedConfig, RateLimit, RateLimitConfig, Retry, RetryConfig, Timeout,
    TimeoutConfig,
};

/// Puts a [`Pipeline`] together; the order in which its parts are given does not matter.
#[must_use = "a pipeline is made by `build`"]
pub struct PipelineBuilder<G = (), L = Limits, X = ()> {
    common: Common,
    guard: G,
    limits: L,
    with: X,
}

/// What every pipeline may have.
struct Common {
    name: Name,
    around: Option<Surroundings>,
    safe_to_repeat: bool,
    timeout: Option<Given<Timeout, TimeoutConfig>>,
    retry: Option<Given<Retry, RetryConfig>>,
    budget: Option<Given<Budget, BudgetConfig>>,
    attempt_timeout: Option<Given<Timeout, TimeoutConfig>>,
    guarded: Option<Sketch>,
    coalesced: Option<Sketch>,
    fallen_back: Option<Sketch>,
    chaos: Option<Arc<dyn Chaos>>,
}

impl PipelineBuilder {
    pub(super) fn new(name: Name) -> Self {
        Self {
            common: Common {
                name,
                around: None,
                safe_to_repeat: false,
                timeout: None,
                retry: None,
                budget: None,
                attempt_timeout: None,
                guarded: None,
                coalesced: None,
                fallen_back: None,
                chaos: None,
            },
            guard: (),
            limits: Limits::default(),
            with: (),
        }
    }
}

impl<G, L, X> PipelineBuilder<G, L, X> {
    /// Made in these surroundings, not in those of the process.
    pub fn within(mut self, around: &Surroundings) -> Self {
        self.common.around = Some(around.clone());
        self
    }

    /// All its calls may be made twice without harm.
    pub const fn safe_to_repeat(mut self) -> Self {
        self.common.safe_to_repeat = true;
        self
    }

    /// A limit on whole calls.
    pub fn timeout(mut self, limit: impl Into<Given<Timeout, TimeoutConfig>>) -> Self {
        self.common.timeout = Some(limit.into());
        self
    }

    /// Tries failures again.
    pub fn retry(mut self, retry: impl Into<Given<Retry, RetryConfig>>) -> Self {
        self.common.retry = Some(retry.into());
        self
    }

    /// This budget for further attempts and hedges, most often one that others share, and not one of its own.
    /// A retry or a hedge that is given whole has its budget already.
    pub fn budget(mut self, budget: impl Into<Given<Budget, BudgetConfig>>) -> Self {
        self.common.budget = Some(budget.into());
        self
    }

    /// A limit on each attempt.
    pub fn attempt_timeout(mut self, limit: impl Into<Given<Timeout, TimeoutConfig>>) -> Self {
        self.common.attempt_timeout = Some(limit.into());
        self
    }

    /// Does harm to attempts on purpose.
    pub fn chaos(mut self, chaos: impl Chaos + 'static) -> Self {
        self.common.chaos = Some(Arc::new(chaos));
        self
    }

    /// A guard that sees each attempt: a breaker.
    pub fn guard<H: Guard>(mut self, guard: H) -> PipelineBuilder<H, L, X> {
        self.common.guarded = Some(guard.sketch());
        PipelineBuilder {
            common: self.common,
            guard,
            limits: self.limits,
            with: self.with,
        }
    }

    /// Starts another attempt beside one that takes long. All its calls must be
    /// [safe to repeat](PipelineBuilder::safe_to_repeat).
    pub fn hedge(
        self,
        hedge: impl Into<Given<Hedge, HedgeConfig>>,
    ) -> PipelineBuilder<G, L, X::With>
    where
        X: Adds<AddHedge<Given<Hedge, HedgeConfig>>>,
    {
        self.adding(AddHedge(hedge.into()))
    }

    /// Lets calls of one key that come at the same time share one run.
    pub fn coalesce<C: Part>(mut self, coalesce: C) -> PipelineBuilder<G, L, X::With>
    where
        X: Adds<AddCoalesce<C>>,
    {
        self.common.coalesced = Some(coalesce.sketch());
        self.adding(AddCoalesce(coalesce))
    }

    /// Answers where everything else has failed.
    pub fn fallback<F: Part>(mut self, fallback: F) -> PipelineBuilder<G, L, X::With>
    where
        X: Adds<AddFallback<F>>,
    {
        self.common.fallen_back = Some(fallback.sketch());
        self.adding(AddFallback(fallback))
    }

    fn adding<P>(self, policy: P) -> PipelineBuilder<G, L, X::With>
    where
        X: Adds<P>,
    {
        PipelineBuilder {
            common: self.common,
            guard: self.guard,
            limits: self.limits,
            with: self.with.adding(policy),
        }
    }

    fn limited<M>(self, limit: impl FnOnce(L) -> M) -> PipelineBuilder<G, M, X> {
        PipelineBuilder {
            common: self.common,
            guard: self.guard,
            limits: limit(self.limits),
            with: self.with,
        }
    }
}

impl<G, R, C, X> PipelineBuilder<G, Limits<(), R, C>, X> {
    /// Refuses calls here while the dependency refuses many for overload.
    pub fn load_shed(
        self,
        shed: impl Into<Given<LoadShed, LoadShedConfig>>,
    ) -> PipelineBuilder<G, Limits<Given<LoadShed, LoadShedConfig>, R, C>, X> {
        self.limited(|limits| Limits {
            shed: shed.into(),
            rate: limits.rate,
            concurrent: limits.concurrent,
        })
    }
}

impl<G, S, C, X> PipelineBuilder<G, Limits<S, (), C>, X> {
    /// A limit on how many attempts begin in a time.
    pub fn rate_limit(
        self,
        rate: impl Into<Given<RateLimit, RateLimitConfig>>,
    ) -> PipelineBuilder<G, Limits<S, Given<RateLimit, RateLimitConfig>, C>, X> {
        self.limited(|limits| Limits {
            shed: limits.shed,
            rate: rate.into(),
            concurrent: limits.concurrent,
        })
    }
}

impl<G, S, R, X> PipelineBuilder<G, Limits<S, R, ()>, X> {
    /// A limit on how many attempts run at once.
    pub fn bulkhead(
        self,
        bulkhead: impl Into<Given<Bulkhead, BulkheadConfig>>,
    ) -> PipelineBuilder<G, Limits<S, R, Given<Bulkhead, BulkheadConfig>>, X> {
        self.limited(|limits| Limits {
            shed: limits.shed,
            rate: limits.rate,
            concurrent: bulkhead.into(),
        })
    }

    /// A limit on how many attempts run at once that finds itself how many that may be.
    pub fn adaptive_limit(
        self,
        limit: impl Into<Given<AdaptiveLimit, AdaptiveConfig>>,
    ) -> PipelineBuilder<G, Limits<S, R, Given<AdaptiveLimit, AdaptiveConfig>>, X> {
        self.limited(|limits| Limits {
            shed: limits.shed,
            rate: limits.rate,
            concurrent: limit.into(),
        })
    }
}

/// What a pipeline has beside what is built in, being made.
pub trait WithSlots {
    /// What it is when it is made.
    type Made;

    /// Makes it, of this name, and adds what it says of itself.
    ///
    /// # Errors
    /// When it is configured wrongly.
    fn make(
        self,
        around: &Surroundings,
        name: Name,
        retry: Option<&Retry>,
        budget: Option<Budget>,
    ) -> Result<(Self::Made, Option<Sketch>), PlanError>;
}

impl WithSlots for () {
    type Made = ();

    fn make(
        self,
        _: &Surroundings,
        _: Name,
        _: Option<&Retry>,
        _: Option<Budget>,
    ) -> Result<((), Option<Sketch>), PlanError> {
        Ok(((), None))
    }
}

impl<C, F> WithSlots for With<(), C, F> {
    type Made = Self;

    fn make(
        self,
        _: &Surroundings,
        _: Name,
        _: Option<&Retry>,
        _: Option<Budget>,
    ) -> Result<(Self, Option<Sketch>), PlanError> {
        Ok((self, None))
    }
}

impl<C, F> WithSlots for With<Given<Hedge, HedgeConfig>, C, F> {
    type Made = With<Hedge, C, F>;

    fn make(
        self,
        around: &Surroundings,
        name: Name,
        retry: Option<&Retry>,
        budget: Option<Budget>,
    ) -> Result<(With<Hedge, C, F>, Option<Sketch>), PlanError> {
        let shared = budget.or_else(|| retry.and_then(Retry::budget).cloned());
        let hedge = self.hedge.make("hedge", |config| match shared {
            Some(budget) => Hedge::with_budget(around, name, config, budget),
            None => Hedge::within(around, name, config),
        })?;
        let hedge = match retry {
            Some(_) => hedge.inside_retry(),
            None => hedge,
        };
        let sketch = hedge.sketch();
        let with = With {
            hedge,
            coalesce: self.coalesce,
            fallback: self.fallback,
        };
        Ok((with, Some(sketch)))
    }
}

impl<G, L: LimitSlots, X: WithSlots> PipelineBuilder<G, L, X> {
    /// The pipeline.
    ///
    /// # Errors
    /// When a part is configured wrongly, or two parts contradict each other.
    pub fn build(self) -> Result<Pipeline<G, L::Made, X::Made>, PlanError> {
        let common = self.common;
        let around = common.around.unwrap_or_default();
        let name = common.name;
        let limit = |part, scope, given: Option<Given<Timeout, TimeoutConfig>>| {
            let make = |config: TimeoutConfig| Timeout::within(&around, name, scope, config);
            given.map(|given| given.make(part, make)).transpose()
        };
        let timeout = limit("timeout", TimeScope::Total, common.timeout)?;
        let attempt_timeout = limit(
            "attempt_timeout",
            TimeScope::Attempt,
            common.attempt_timeout,
        )?;
        let budget = common
            .budget
            .map(|given| given.make("budget", |config| Budget::within(&around, name, config)));
        let budget = budget.transpose()?;
        let retry = common.retry.map(|given| {
            given.make("retry", |config| match budget.clone() {
                Some(budget) => Retry::with_budget(&around, name, config, budget),
                None => Retry::within(&around, name, config),
            })
        });
        let retry = retry.transpose()?;
        let (with, hedged) = self.with.make(&around, name, retry.as_ref(), budget)?;
        let mut limits = Vec::new();
        let limit = self.limits.make(&around, name, &mut limits)?;
        let assembly = Assembly {
            name,
            clock: around.clock().clone(),
            safe_to_repeat: common.safe_to_repeat,
            timeout,
            retry,
            guard: self.guard,
            limit,
            attempt_timeout,
            chaos: common.chaos,
            with,
            said: Said {
                fallback: common.fallen_back,
                coalesce: common.coalesced,
                hedge: hedged,
                guards: common.guarded.into_iter().collect(),
                limits,
            },
        };
        assembly.build()
    }
}

/// All the parts of a pipeline, made.
pub(crate) struct Assembly<G, L, X> {
    pub(crate) name: Name,
    pub(crate) clock: Clock,
    pub(crate) safe_to_repeat: bool,
    pub(crate) timeout: Option<Timeout>,
    pub(crate) retry: Option<Retry>,
    pub(crate) guard: G,
    pub(crate) limit: L,
    pub(crate) attempt_timeout: Option<Timeout>,
    pub(crate) chaos: Option<Arc<dyn Chaos>>,
    pub(crate) with: X,
    pub(crate) said: Said,
}

/// What parts say of themselves whose types the pipeline does not know.
#[derive(Default)]
pub(crate) struct Said {
    pub(crate) fallback: Option<Sketch>,
    pub(crate) coalesce: Option<Sketch>,
    pub(crate) hedge: Option<Sketch>,
    pub(crate) guards: Vec<Sketch>,
    pub(crate) limits: Vec<Sketch>,
}

impl<G, L> Assembly<G, L, ()> {
    /// The same with this beside what is built in.
    pub(crate) fn with<X>(self, with: X) -> Assembly<G, L, X> {
        Assembly {
            name: self.name,
            clock: self.clock,
            safe_to_repeat: self.safe_to_repeat,
            timeout: self.timeout,
            retry: self.retry,
            guard: self.guard,
            limit: self.limit,
            attempt_timeout: self.attempt_timeout,
            chaos: self.chaos,
            with,
            said: self.said,
        }
    }
}

impl<G, L, X> Assembly<G, L, X> {
    /// The pipeline, if its parts agree.
    pub(crate) fn build(self) -> Result<Pipeline<G, L, X>, PlanError> {
        let said = self.said;
        let mut parts = Vec::from_iter(said.fallback);
        parts.extend(self.timeout.as_ref().map(Part::sketch));
        parts.extend(said.coalesce);
        parts.extend(self.retry.as_ref().map(Part::sketch));
        parts.extend(said.hedge);
        parts.extend(said.guards);
        parts.extend(said.limits);
        parts.extend(self.attempt_timeout.as_ref().map(Part::sketch));
        let plan = Plan::of(self.name, parts, Some(self.safe_to_repeat))?;
        let chaos = self.chaos.map(|chaos| Struck {
            chaos,
            clock: self.clock.clone(),
        });
        Ok(Pipeline {
            name: self.name,
            clock: self.clock,
            safe_to_repeat: self.safe_to_repeat,
            timeout: self.timeout,
            retry: self.retry,
            guard: self.guard,
            limit: self.limit,
            attempt_timeout: self.attempt_timeout,
            chaos,
            with: self.with,
            plan: Arc::new(plan),
        })
    }
}

impl<G, L, X> fmt::Debug for PipelineBuilder<G, L, X> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelineBuilder")
            .field("name", &self.common.name)
            .finish_non_exhaustive()
    }
}
