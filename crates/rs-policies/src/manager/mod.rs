//! Pipelines that are known by their names.
mod pipelines;

pub use pipelines::{NamedPipeline, Pipelines};
