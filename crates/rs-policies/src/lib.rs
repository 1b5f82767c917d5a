//! Policies for calls that may fail: retry, budget, timeout, bulkhead.
mod backoff;
mod budget;
mod bulkhead;
pub mod metrics;
mod per_key;
mod queue;
mod rate_limit;
mod retry;
mod rules;
mod sync;
mod timeout;

pub use backoff::{Backoff, Delays, Jitter};
pub use budget::{Budget, BudgetConfig, Costs};
pub use bulkhead::{Bulkhead, BulkheadConfig, Crowded};
pub use per_key::{Keyed, KeyedTicket, PerKey, PerKeyConfig, Resting, WhenFull};
#[cfg(feature = "redis")]
pub use rate_limit::RedisTokens;
pub use rate_limit::{
    Fetched, RateLimit, RateLimitConfig, SharedRateLimit, SharedRateLimitConfig, Taking, TokenAsk,
    TokenStore, TokenStoreError, TokensGiven, TooFast,
};
pub use retry::{Retry, RetryConfig, RetryEnd, Retrying, retry_after};
pub use rs_metrics::Surroundings;
pub use timeout::{Timeout, TimeoutConfig};
