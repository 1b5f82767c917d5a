use std::{fmt, sync::Arc};

use rs_core::{ConfigError, Guard, Name, TimeScope};
use rs_metrics::Surroundings;

use super::{Chaos, Part, Pipeline, Plan, PlanError, Sketch, chaos::Struck};
use crate::{
    Budget, BudgetConfig, Bulkhead, BulkheadConfig, Retry, RetryConfig, Timeout, TimeoutConfig,
};

/// A part of a pipeline: the policy itself, shared with others, or the configuration of one of its own.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Given<P, C> {
    /// This policy.
    Policy(P),
    /// One that goes by this.
    Config(C),
}

macro_rules! given {
    ($($policy:ty: $config:ty $(, $more:ty)*;)*) => {$(
        impl From<$policy> for Given<$policy, $config> {
            fn from(policy: $policy) -> Self {
                Self::Policy(policy)
            }
        }

        impl From<$config> for Given<$policy, $config> {
            fn from(config: $config) -> Self {
                Self::Config(config)
            }
        }

        $(impl From<$more> for Given<$policy, $config> {
            fn from(config: $more) -> Self {
                Self::Config(config.into())
            }
        })*
    )*};
}

given! {
    Timeout: TimeoutConfig, std::time::Duration;
    Retry: RetryConfig;
    Budget: BudgetConfig;
    Bulkhead: BulkheadConfig;
}

impl<P, C> Given<P, C> {
    fn make(
        self,
        part: &'static str,
        make: impl FnOnce(C) -> Result<P, ConfigError>,
    ) -> Result<P, PlanError> {
        match self {
            Self::Policy(policy) => Ok(policy),
            Self::Config(config) => make(config).map_err(PlanError::part(part)),
        }
    }
}

/// Puts a [`Pipeline`] together; the order in which its parts are given does not matter.
#[must_use = "a pipeline is made by `build`"]
pub struct PipelineBuilder<G = (), L = ()> {
    name: Name,
    around: Option<Surroundings>,
    safe_to_repeat: bool,
    timeout: Option<Given<Timeout, TimeoutConfig>>,
    retry: Option<Given<Retry, RetryConfig>>,
    budget: Option<Given<Budget, BudgetConfig>>,
    guard: G,
    guarded: Option<Sketch>,
    limit: L,
    attempt_timeout: Option<Given<Timeout, TimeoutConfig>>,
    chaos: Option<Arc<dyn Chaos>>,
}

impl PipelineBuilder {
    pub(super) fn new(name: Name) -> Self {
        Self {
            name,
            around: None,
            safe_to_repeat: false,
            timeout: None,
            retry: None,
            budget: None,
            guard: (),
            guarded: None,
            limit: (),
            attempt_timeout: None,
            chaos: None,
        }
    }
}

impl<G, L> PipelineBuilder<G, L> {
    /// Made in these surroundings, not in those of the process.
    pub fn within(mut self, around: &Surroundings) -> Self {
        self.around = Some(around.clone());
        self
    }

    /// All its calls may be made twice without harm.
    pub const fn safe_to_repeat(mut self) -> Self {
        self.safe_to_repeat = true;
        self
    }

    /// A limit on whole calls.
    pub fn timeout(mut self, limit: impl Into<Given<Timeout, TimeoutConfig>>) -> Self {
        self.timeout = Some(limit.into());
        self
    }

    /// Tries failures again.
    pub fn retry(mut self, retry: impl Into<Given<Retry, RetryConfig>>) -> Self {
        self.retry = Some(retry.into());
        self
    }

    /// This budget for further attempts, most often one that others share, and not one of its own. A retry
    /// that is given whole has its budget already.
    pub fn budget(mut self, budget: impl Into<Given<Budget, BudgetConfig>>) -> Self {
        self.budget = Some(budget.into());
        self
    }

    /// A limit on each attempt.
    pub fn attempt_timeout(mut self, limit: impl Into<Given<Timeout, TimeoutConfig>>) -> Self {
        self.attempt_timeout = Some(limit.into());
        self
    }

    /// Does harm to attempts on purpose.
    pub fn chaos(mut self, chaos: impl Chaos + 'static) -> Self {
        self.chaos = Some(Arc::new(chaos));
        self
    }

    /// A guard that sees each attempt: a breaker.
    pub fn guard<H: Guard>(self, guard: H) -> PipelineBuilder<H, L> {
        let guarded = Some(guard.sketch());
        let Self {
            name,
            around,
            safe_to_repeat,
            timeout,
            retry,
            budget,
            limit,
            attempt_timeout,
            chaos,
            ..
        } = self;
        PipelineBuilder {
            name,
            around,
            safe_to_repeat,
            timeout,
            retry,
            budget,
            guard,
            guarded,
            limit,
            attempt_timeout,
            chaos,
        }
    }
}

impl<G> PipelineBuilder<G> {
    /// A limit on how many attempts run at once.
    pub fn bulkhead(
        self,
        bulkhead: impl Into<Given<Bulkhead, BulkheadConfig>>,
    ) -> PipelineBuilder<G, Given<Bulkhead, BulkheadConfig>> {
        let Self {
            name,
            around,
            safe_to_repeat,
            timeout,
            retry,
            budget,
            guard,
            guarded,
            attempt_timeout,
            chaos,
            ..
        } = self;
        PipelineBuilder {
            name,
            around,
            safe_to_repeat,
            timeout,
            retry,
            budget,
            guard,
            guarded,
            limit: bulkhead.into(),
            attempt_timeout,
            chaos,
        }
    }
}

/// What limits a pipeline, before it is made and after.
pub trait LimitSlot {
    /// What it is when it is made.
    type Made;

    /// Makes it.
    ///
    /// # Errors
    /// When it is configured wrongly.
    fn make(
        self,
        around: &Surroundings,
        name: Name,
    ) -> Result<(Self::Made, Option<Sketch>), PlanError>;
}

impl LimitSlot for () {
    type Made = ();

    fn make(self, _: &Surroundings, _: Name) -> Result<((), Option<Sketch>), PlanError> {
        Ok(((), None))
    }
}

impl LimitSlot for Given<Bulkhead, BulkheadConfig> {
    type Made = Bulkhead;

    fn make(
        self,
        around: &Surroundings,
        name: Name,
    ) -> Result<(Bulkhead, Option<Sketch>), PlanError> {
        let bulkhead = Self::make(self, "bulkhead", |config| {
            Bulkhead::within(around, name, config)
        })?;
        let sketch = bulkhead.sketch();
        Ok((bulkhead, Some(sketch)))
    }
}

impl<G, L: LimitSlot> PipelineBuilder<G, L> {
    /// The pipeline.
    ///
    /// # Errors
    /// When a part is configured wrongly, or two parts contradict each other.
    pub fn build(self) -> Result<Pipeline<G, L::Made>, PlanError> {
        let around = self.around.unwrap_or_default();
        let name = self.name;
        let limit_of = |scope| {
            let around = around.clone();
            move |config: TimeoutConfig| Timeout::within(&around, name, scope, config)
        };
        let timeout = self.timeout;
        let timeout = timeout.map(|given| given.make("timeout", limit_of(TimeScope::Total)));
        let timeout = timeout.transpose()?;
        let attempt = self.attempt_timeout;
        let attempt =
            attempt.map(|given| given.make("attempt_timeout", limit_of(TimeScope::Attempt)));
        let attempt_timeout = attempt.transpose()?;
        let budget = self
            .budget
            .map(|given| given.make("budget", |config| Budget::within(&around, name, config)));
        let budget = budget.transpose()?;
        let retry = self.retry.map(|given| {
            given.make("retry", |config| match budget {
                Some(budget) => Retry::with_budget(&around, name, config, budget),
                None => Retry::within(&around, name, config),
            })
        });
        let retry = retry.transpose()?;
        let (limit, limited) = self.limit.make(&around, name)?;
        let parts = [
            timeout.as_ref().map(Part::sketch),
            retry.as_ref().map(Part::sketch),
            self.guarded,
            limited,
            attempt_timeout.as_ref().map(Part::sketch),
        ];
        let plan = Plan::of(
            name,
            parts.into_iter().flatten().collect(),
            self.safe_to_repeat,
        )?;
        Ok(Pipeline {
            name,
            clock: around.clock().clone(),
            safe_to_repeat: self.safe_to_repeat,
            timeout,
            retry,
            guard: self.guard,
            limit,
            attempt_timeout,
            chaos: self.chaos.map(|chaos| Struck {
                chaos,
                clock: around.clock().clone(),
            }),
            plan: Arc::new(plan),
        })
    }
}

impl<G, L> fmt::Debug for PipelineBuilder<G, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelineBuilder")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
