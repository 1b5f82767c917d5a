//! Policies for calls that may fail: retry, budget, timeout, bulkhead.
mod backoff;
mod budget;
mod bulkhead;
#[cfg(feature = "contract")]
pub mod contract;
pub mod metrics;
mod queue;
mod retry;
mod rules;
mod sync;
mod timeout;

pub use backoff::{Backoff, Delays, Jitter};
pub use budget::{Budget, BudgetConfig, Costs};
pub use bulkhead::{Bulkhead, BulkheadConfig, Crowded};
pub use retry::{Retry, RetryConfig, RetryEnd, Retrying, retry_after};
pub use rs_metrics::Surroundings;
pub use timeout::{Timeout, TimeoutConfig};
