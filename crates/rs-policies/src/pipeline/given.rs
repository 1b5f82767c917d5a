use rs_core::ConfigError;

use super::PlanError;
use crate::{
    AdaptiveConfig, AdaptiveLimit, Budget, BudgetConfig, Bulkhead, BulkheadConfig, Hedge,
    HedgeConfig, LoadShed, LoadShedConfig, RateLimit, RateLimitConfig, Retry, RetryConfig, Timeout,
    TimeoutConfig,
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
    Hedge: HedgeConfig;
    LoadShed: LoadShedConfig;
    RateLimit: RateLimitConfig;
    Bulkhead: BulkheadConfig;
    AdaptiveLimit: AdaptiveConfig;
}

impl<P, C> Given<P, C> {
    pub(super) fn make(
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
