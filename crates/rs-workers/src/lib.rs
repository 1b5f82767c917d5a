//! Background work that is supervised, observable, and stops cleanly.
mod config;
mod contain;
mod context;
mod error;
mod event;
mod lease;
mod manager;
pub mod metrics;
#[cfg(all(feature = "signal", unix))]
mod process;
mod race;
mod report;
mod run;
mod shapes;
mod slot;
mod status;
mod tree;
mod worker;

/// What everything lives in; see its own page.
pub use rs_metrics::Surroundings;

pub use config::{
    GroupConfig, Intensity, ManagerConfig, Restart, Strategy, WhenGivenUp, WhenStuck, WorkerConfig,
};
pub use context::{Woken, WorkerContext};
pub use error::{GaveUp, ManagerError};
#[cfg(feature = "redis")]
pub use lease::RedisLease;
pub use lease::{Claim, Epoch, Lease, LeaseError, LeaseFuture, MemoryLease};
pub use manager::{Group, WorkerManager};
pub use metrics::{RunOutcome, WorkerState};
#[cfg(all(feature = "signal", unix))]
pub use process::Stopped;
pub use report::{HowStopped, StopReport, StoppedWorker};
#[cfg(feature = "cron")]
pub use shapes::{Cron, Misfire, WallClock, cron};
pub use shapes::{
    Late, LeaderConfig, LeaderOnly, Once, Periodic, Place, Places, Plain, Queue, Source,
    leader_only, once, periodic, queue, worker,
};
pub use status::WorkerStatus;
pub use worker::{IntoWorkerResult, RunEnd, Worker, WorkerError, WorkerFuture, WorkerResult};
