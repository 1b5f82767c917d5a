use std::collections::BTreeMap;

use rs_core::{ConfigError, Name, Value};

use crate::{
    AdaptiveConfig, BudgetConfig, BulkheadConfig, HedgeConfig, LoadShedConfig, RateLimitConfig,
    RetryConfig, TimeoutConfig,
};

/// Pipelines as a file describes them, and the budgets that they share.
///
/// ```
/// use rs_policies::{BulkheadConfig, PipelineConfig, ResilienceConfig, RetryConfig};
/// use std::time::Duration;
///
/// let payments = PipelineConfig::default()
///     .with_timeout(Duration::from_secs(2))
///     .with_retry(RetryConfig::default())
///     .with_bulkhead(BulkheadConfig::of(32));
/// let config = ResilienceConfig::default().with_pipeline("payments", payments);
/// assert_eq!(config.pipelines().count(), 1);
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
pub struct ResilienceConfig {
    pub(super) budgets: BTreeMap<String, BudgetConfig>,
    pub(super) pipelines: BTreeMap<String, PipelineConfig>,
}

impl ResilienceConfig {
    /// With this pipeline.
    #[must_use]
    pub fn with_pipeline(mut self, name: impl Into<String>, pipeline: PipelineConfig) -> Self {
        self.pipelines.insert(name.into(), pipeline);
        self
    }

    /// With this budget, for all pipelines that name it.
    #[must_use]
    pub fn with_budget(mut self, name: impl Into<String>, budget: BudgetConfig) -> Self {
        self.budgets.insert(name.into(), budget);
        self
    }

    /// The pipelines, by name.
    pub fn pipelines(&self) -> impl Iterator<Item = (&str, &PipelineConfig)> {
        let pipelines = self.pipelines.iter();
        pipelines.map(|(name, pipeline)| (name.as_str(), pipeline))
    }

    /// The budgets that they share, by name.
    pub fn budgets(&self) -> impl Iterator<Item = (&str, &BudgetConfig)> {
        let budgets = self.budgets.iter();
        budgets.map(|(name, budget)| (name.as_str(), budget))
    }
}

/// The parts of a pipeline; each that is left out is not there.
#[derive(Debug, Clone, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default))]
pub struct PipelineConfig {
    pub(super) safe_to_repeat: bool,
    #[cfg_attr(feature = "serde", serde(with = "super::written::limit"))]
    pub(super) timeout: Option<TimeoutConfig>,
    pub(super) retry: Option<RetryConfig>,
    #[cfg_attr(feature = "serde", serde(with = "super::written::budget"))]
    pub(super) budget: Option<BudgetChoice>,
    pub(super) hedge: Option<HedgeConfig>,
    pub(super) load_shed: Option<LoadShedConfig>,
    pub(super) rate_limit: Option<RateLimitConfig>,
    pub(super) bulkhead: Option<BulkheadConfig>,
    pub(super) adaptive_limit: Option<AdaptiveConfig>,
    #[cfg_attr(feature = "serde", serde(with = "super::written::limit"))]
    pub(super) attempt_timeout: Option<TimeoutConfig>,
    /// Of kinds that this crate does not know.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub(super) guards: BTreeMap<String, Value>,
}

/// Whose budget a pipeline spends.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum BudgetChoice {
    /// The one of this name, with others.
    Shared(String),
    /// Its own.
    Own(BudgetConfig),
}

impl PipelineConfig {
    pub(super) const KEYS: [&'static str; 10] = [
        "safe_to_repeat",
        "timeout",
        "retry",
        "budget",
        "hedge",
        "load_shed",
        "rate_limit",
        "bulkhead",
        "adaptive_limit",
        "attempt_timeout",
    ];

    /// All calls may be made twice without harm.
    #[must_use]
    pub const fn safe_to_repeat(mut self) -> Self {
        self.safe_to_repeat = true;
        self
    }

    /// With a limit on whole calls.
    #[must_use]
    pub fn with_timeout(mut self, limit: impl Into<TimeoutConfig>) -> Self {
        self.timeout = Some(limit.into());
        self
    }

    /// With further attempts.
    #[must_use]
    pub fn with_retry(mut self, retry: RetryConfig) -> Self {
        self.retry = Some(retry);
        self
    }

    /// With a budget of its own for further attempts and hedges; by default one as [`BudgetConfig`] has it.
    #[must_use]
    pub fn with_budget(mut self, budget: BudgetConfig) -> Self {
        self.budget = Some(BudgetChoice::Own(budget));
        self
    }

    /// Spends the budget of this name, together with others.
    #[must_use]
    pub fn sharing_budget(mut self, name: impl Into<String>) -> Self {
        self.budget = Some(BudgetChoice::Shared(name.into()));
        self
    }

    /// With hedges.
    #[must_use]
    pub const fn with_hedge(mut self, hedge: HedgeConfig) -> Self {
        self.hedge = Some(hedge);
        self
    }

    /// With client-side throttling.
    #[must_use]
    pub const fn with_load_shed(mut self, shed: LoadShedConfig) -> Self {
        self.load_shed = Some(shed);
        self
    }

    /// With a limit on how many attempts begin in a time.
    #[must_use]
    pub const fn with_rate_limit(mut self, limit: RateLimitConfig) -> Self {
        self.rate_limit = Some(limit);
        self
    }

    /// With a limit on how many attempts run at once.
    #[must_use]
    pub const fn with_bulkhead(mut self, bulkhead: BulkheadConfig) -> Self {
        self.bulkhead = Some(bulkhead);
        self
    }

    /// With a limit on how many attempts run at once that finds itself how many that may be.
    #[must_use]
    pub fn with_adaptive_limit(mut self, limit: AdaptiveConfig) -> Self {
        self.adaptive_limit = Some(limit);
        self
    }

    /// With a limit on each attempt.
    #[must_use]
    pub fn with_attempt_timeout(mut self, limit: impl Into<TimeoutConfig>) -> Self {
        self.attempt_timeout = Some(limit.into());
        self
    }

    /// With a guard of this kind: `breaker`. See [`ResilienceManager::knowing`](crate::ResilienceManager::knowing).
    #[must_use]
    pub fn with_guard(mut self, kind: impl Into<String>, config: Value) -> Self {
        self.guards.insert(kind.into(), config);
        self
    }

    /// What no single part can see.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.bulkhead.is_some() && self.adaptive_limit.is_some() {
            let problem = ConfigError::other("a pipeline has a bulkhead or an adaptive limit");
            return Err(problem.in_field("adaptive_limit"));
        }
        if self.budget.is_some() && self.retry.is_none() && self.hedge.is_none() {
            let problem = ConfigError::other("nothing spends it: there is no retry and no hedge");
            return Err(problem.in_field("budget"));
        }
        Ok(())
    }
}

/// Which pipelines a new configuration changed, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Changes {
    /// Those that are new.
    pub added: Vec<Name>,
    /// Those that go by other rules now, or share a budget that does.
    pub changed: Vec<Name>,
    /// Those that are gone.
    pub removed: Vec<Name>,
    /// Those that stayed as they were.
    pub unchanged: Vec<Name>,
}
