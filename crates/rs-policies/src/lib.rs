//! Policies for calls that may fail: retry, budget, timeout, bulkhead.
mod backoff;
mod budget;
mod bulkhead;
mod coalesce;
mod fallback;
mod hedge;
pub mod metrics;
mod queue;
mod retry;
mod rules;
mod sync;
mod timeout;

pub use backoff::{Backoff, Delays, Jitter};
pub use budget::{Budget, BudgetConfig, Costs};
pub use bulkhead::{Bulkhead, BulkheadConfig, Crowded};
pub use coalesce::{Coalesce, CoalesceConfig, CoalesceRole};
pub use fallback::{
    Because, Fallback, FallbackConfig, FallbackSource, FromFn, Instead, OrElse, OrValue, Served,
    TryFromFn, Unanswered,
};
#[cfg(feature = "cache")]
pub use fallback::{LastGood, LastGoodConfig};
pub use hedge::{Hedge, HedgeConfig, HedgeDelay, HedgeEnd};
pub use retry::{Retry, RetryConfig, RetryEnd, Retrying, retry_after};
pub use rs_metrics::Surroundings;
pub use timeout::{Timeout, TimeoutConfig};
