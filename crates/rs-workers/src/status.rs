use std::time::Duration;

use rs_core::{Mandate, Name};

use crate::{RunEnd, metrics::WorkerState};

/// What a worker is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStatus {
    /// Its name.
    pub name: Name,
    /// What it is doing.
    pub state: WorkerState,
    /// The number of its run, while it runs.
    pub run: Option<u64>,
    /// For how long.
    pub running_for: Option<Duration>,
    /// How many tasks it has spawned that still run.
    pub tasks: usize,
    /// How often it was restarted.
    pub restarts: u64,
    /// How often it was found stuck.
    pub stuck: u64,
    /// How its last run ended.
    pub last_end: Option<RunEnd>,
    /// How long ago a run last succeeded: a turn, an item, or else a whole run.
    pub last_success: Option<Duration>,
    /// Where it last said it was.
    pub at: Option<String>,
    /// For how long it has shown no sign of life, if it should.
    pub silent_for: Option<Duration>,
    /// When it is started again, if it is to be.
    pub restarts_in: Option<Duration>,
    /// What has to be ready before it starts.
    pub waits_for: Option<Name>,
    /// By whose order it is paused.
    pub paused: Option<Mandate>,
}
