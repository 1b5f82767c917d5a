//! Policies for calls that may fail: retry, budget, timeout, bulkhead.
mod adaptive;
mod backoff;
mod budget;
mod bulkhead;
pub mod metrics;
mod queue;
mod retry;
mod rules;
mod shed;
mod sync;
mod timeout;

pub use adaptive::{
    AdaptiveConfig, AdaptiveLimit, AdaptiveTicket, Aimd, Algorithm, ClassShares, FindLimit,
    Gradient, OwnAlgorithm, Sample, Saturated, Vegas, Waiting,
};
pub use backoff::{Backoff, Delays, Jitter};
pub use budget::{Budget, BudgetConfig, Costs};
pub use bulkhead::{Bulkhead, BulkheadConfig, Crowded};
pub use retry::{Retry, RetryConfig, RetryEnd, Retrying, retry_after};
pub use rs_metrics::Surroundings;
pub use shed::{LoadShed, LoadShedConfig, ShedTicket};
pub use timeout::{Timeout, TimeoutConfig};
