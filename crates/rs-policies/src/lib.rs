//! Policies for calls that may fail: retry, budget, timeout, bulkhead.
mod backoff;
mod budget;
mod bulkhead;
pub mod metrics;
mod pipeline;
mod queue;
mod retry;
mod rules;
mod sync;
mod timeout;

pub use backoff::{Backoff, Delays, Jitter};
pub use budget::{Budget, BudgetConfig, Costs};
pub use bulkhead::{Bulkhead, BulkheadConfig, Crowded};
pub use pipeline::{
    Chaos, Doubt, DynPipeline, Given, LimitSlot, Part, Parts, Pipeline, PipelineBuilder, Plan,
    PlanError, Sketch, Stack, Strike,
};
pub use retry::{Retry, RetryConfig, RetryEnd, Retrying, retry_after};
pub use rs_metrics::Surroundings;
pub use timeout::{Timeout, TimeoutConfig};
