//! What workers export. They count themselves; these read it when somebody looks.

use std::sync::{Arc, atomic::Ordering};

use rs_core::{Unit, label_set};
use rs_metrics::{Catalogue, Counter, Gauge, Histogram, Metric, Observed, pattern::Home};

use crate::slot::Slot;

label_set! {
    /// How a run ended: a turn of a periodic worker, an item of a queue, or else the whole of it.
    pub enum RunOutcome: "outcome" {
        /// It did what it should.
        Succeeded = "succeeded",
        /// It returned an error, or took too long.
        Failed = "failed",
        /// It panicked.
        Panicked = "panicked",
        /// It was cut short.
        Aborted = "aborted",
    }
}

label_set! {
    /// What a worker is doing.
    pub enum WorkerState: "state" {
        /// It is off.
        Off = "off",
        /// It starts when something else is ready.
        Waiting = "waiting",
        /// It ended, and is started again after a while.
        Delayed = "delayed",
        /// It runs and is not ready.
        Starting = "starting",
        /// It runs.
        Ready = "ready",
        /// It runs and was told to pause.
        Paused = "paused",
        /// It runs and shows no sign of life.
        Stuck = "stuck",
        /// It is being stopped.
        Stopping = "stopping",
        /// It was aborted and goes on: it blocks its thread.
        Lost = "lost",
    }
}

/// Runs, by how they ended.
pub static RUNS: Metric<Counter, RunOutcome, 1> = Metric::counter(
    "worker_runs_total",
    "Runs, by how they ended: turns of a periodic worker, items of a queue, or else whole runs.",
)
.by(["worker"]);

/// How long runs took.
pub static RUN_TIME: Metric<Histogram, (), 1> = Metric::histogram(
    "worker_run_duration_seconds",
    "How long runs took.",
    Unit::Seconds,
    &[
        0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0,
    ],
)
.by(["worker"]);

/// Restarts.
pub static RESTARTS: Metric<Counter, (), 1> =
    Metric::counter("worker_restarts_total", "Restarts of a worker that ended.").by(["worker"]);

/// How often it was found stuck.
pub static STUCK: Metric<Counter, (), 1> = Metric::counter(
    "worker_stuck_total",
    "How often a worker showed no sign of life for longer than it may.",
)
.by(["worker"]);

/// How often it held its thread for too long.
pub static HOGS: Metric<Counter, (), 1> = Metric::counter(
    "worker_hogs_total",
    "Polls in which a worker held its executor thread for longer than it may.",
)
.by(["worker"]);

/// How long ago the last success was.
pub static LAST_SUCCESS: Metric<Gauge, (), 1> = Metric::gauge(
    "worker_last_success_age_seconds",
    "How long ago the last run succeeded, or else how long ago the worker was registered.",
    Unit::Seconds,
)
.by(["worker"]);

/// What it is doing.
pub static STATE: Metric<Gauge, WorkerState, 1> = Metric::gauge(
    "worker_state",
    "1 for what the worker is doing, 0 for all else.",
    Unit::Count,
)
.by(["worker"]);

/// Places that are taken.
pub static PLACES_TAKEN: Metric<Gauge, (), 1> = Metric::gauge(
    "worker_places_taken",
    "Places of a limit that workers share which are taken.",
    Unit::Count,
)
.by(["places"]);

/// How many wait for one.
pub static PLACES_WAITING: Metric<Gauge, (), 1> = Metric::gauge(
    "worker_places_waiting",
    "Runs that wait for a place of a limit that workers share.",
    Unit::Count,
)
.by(["places"]);

/// What this crate exports.
pub static CATALOGUE: Catalogue = Catalogue::new(
    "workers",
    &[
        &RUNS,
        &RUN_TIME,
        &RESTARTS,
        &STUCK,
        &HOGS,
        &LAST_SUCCESS,
        &STATE,
        &PLACES_TAKEN,
        &PLACES_WAITING,
    ],
);

/// Exports the numbers of this worker, while it lives.
pub(crate) fn observe(home: &Home, slot: &Arc<Slot>) -> Box<[Observed]> {
    let home = Home::new(&home.around, slot.name);
    let clock = home.around.clock().clone();
    Box::new([
        home.observe(&RUNS, slot, |slot, outcome| slot.numbers.runs(outcome)),
        home.observe(&RESTARTS, slot, |slot, ()| {
            slot.numbers.restarts.load(Ordering::Relaxed)
        }),
        home.observe(&STUCK, slot, |slot, ()| {
            slot.numbers.stuck.load(Ordering::Relaxed)
        }),
        home.observe(&HOGS, slot, |slot, ()| {
            slot.numbers.hogs.load(Ordering::Relaxed)
        }),
        home.observe(&LAST_SUCCESS, slot, move |slot, ()| {
            slot.numbers
                .last_success_ago(&slot.vital, clock.now())
                .as_secs_f64()
        }),
        home.observe(&STATE, slot, |slot, state| {
            f64::from(u8::from(slot.state() == state))
        }),
    ])
}
