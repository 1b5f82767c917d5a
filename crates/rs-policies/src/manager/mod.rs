//! Pipelines that are known by their names: made in code, or described by a file.

mod config;
#[cfg(feature = "file")]
mod file;
mod parts;
mod pipelines;
#[cfg(feature = "file")]
mod place;
mod report;
mod resilience;
mod slot;
#[cfg(feature = "serde")]
mod written;

pub use config::{Changes, PipelineConfig, ResilienceConfig};
#[cfg(feature = "file")]
pub use file::{LoadError, LoadProblem};
pub use pipelines::{NamedPipeline, Pipelines};
pub use report::{HealthSummary, PipelineMetrics};
pub use resilience::ResilienceManager;
pub use slot::PipelineEnd;
