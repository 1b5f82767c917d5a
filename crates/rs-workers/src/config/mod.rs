//! What people say of workers, groups and managers.

mod group;
mod manager;
mod worker;

pub use group::{GroupConfig, Intensity, Strategy};
pub use manager::{ManagerConfig, WhenGivenUp};
pub use worker::{Restart, WhenStuck, WorkerConfig};
