//! Background work that is supervised, observable, and stops cleanly.
//!
//! A service does more than answer calls: it checks health, clears away what has expired, relays what is
//! in an outbox, sends reports at night. Such a worker is started when what it needs is ready, restarted
//! when it fails as a supervisor of Erlang/OTP would, watched for signs of life, and told to stop; and
//! somebody can say at any time what it is doing.
//!
//! ```
//! use rs_workers::{ManagerConfig, WorkerContext, WorkerManager, once, periodic, queue};
//! use std::time::Duration;
//! use tokio::sync::mpsc;
//! # async fn migrate() -> std::io::Result<()> { Ok(()) }
//! # async fn delete_expired() -> std::io::Result<()> { Ok(()) }
//! # async fn send(_: String) -> std::io::Result<()> { Ok(()) }
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let (outbox, mails) = mpsc::channel(100);
//! let workers = WorkerManager::new("shop", ManagerConfig::default())?;
//!
//! workers.register(once("migrate", |_ctx: WorkerContext| migrate()))?;
//! workers.register_with(
//!     periodic("cleanup", Duration::from_secs(60), |_ctx: WorkerContext| delete_expired()),
//!     |config| config.after("migrate"),
//! )?;
//! workers.register_with(
//!     queue("mailer", mails, |mail: String, _ctx| send(mail)).with_lanes(4),
//!     |config| config.after("migrate").with_grace(Duration::from_secs(30)),
//! )?;
//!
//! workers.start_all().await?; // returns when all are ready
//! outbox.send("hello".to_owned()).await?;
//!
//! let report = workers.drain_all(Duration::from_secs(5)).await;
//! assert_eq!(report.to_string(), "stopped 2 workers in 0s: 2 returned");
//! # Ok(()) }
//! ```
//!
//! What is said of one that did not obey:
//!
//! ```text
//! stopped 3 workers in 11s: 1 returned, 1 aborted, 1 blocked and still there
//!   mailer: was aborted at `waiting for the server` after 10s
//!   import: goes on, in spawn_blocking `parsing prices` for 42s, after 11s
//! ```
//!
//! # When not
//!
//! - A task that belongs to one call belongs to that call: await it there.
//! - Jobs that have to survive the process belong in a database or a broker. A [`queue`] hands out what is
//!   in memory, and what is being handled when the process dies is gone.
//!
//! # Shapes
//!
//! | made by | what it does | by default |
//! |---|---|---|
//! | [`worker`] | what the closure says, until it returns | restarted always |
//! | [`periodic`] | a turn each interval, never two at once; jitter, late turns skipped, caught up or shifted | first after one interval, late turns skipped |
//! | [`queue`] | one item after the other, on several lanes if wanted | one lane; off when the queue ends |
//! | [`once`] | one thing, tried again with waits; ready when done | one attempt; restarted if it fails |
//! | `cron` | turns by a cron expression in a time zone, with a rule for missed ones | one turn for all that were missed |
//! | [`leader_only`] | any of these, on one replica at a time, fenced by an [`Epoch`] | a lease of 15 s, renewed each third of it |
//! | [`Worker`] | anything | |
//!
//! [`Places`] are a limit that several share.
//!
//! # Supervision
//!
//! Workers are in groups, and groups in groups; the outermost is the manager's own.
//!
//! | | here | OTP |
//! |---|---|---|
//! | strategies | [`Strategy`]: one for one, one for all, rest for one | the same |
//! | restarts | [`Restart`]: permanent, transient, temporary | the same |
//! | too many | [`Intensity`], by default 100 within 1 min: the group stops and fails in turn | 1 within 5 s |
//! | waits before restarts | 100 ms doubling up to 10 s, full jitter; anew after 1 min of health | none |
//! | when the outermost gives up | [`WhenGivenUp`]: all stop and [`WorkerManager::ended`] says why, or the process exits | the application ends |
//! | start | as soon as what it is `after` is ready; in a rest-for-one group, one after the other | one after the other |
//! | stop | backwards; side by side where nobody depends on the other | one after the other, backwards |
//! | a group that gave up, as a transient member | has failed, and is restarted | has ended normally, and is not |
//! | a worker that was stopped by order, when its group restarts | stays off | is started |
//!
//! A worker that returns, one that fails and one that panics are three things. Each is announced with what
//! it said, with where it last was, and with when it is started again. A restart never overlaps the run
//! before it: that is over when its task, all that it spawned by its context, and all its blocking work
//! are gone.
//!
//! # Defaults
//!
//! | | default | set by |
//! |---|---|---|
//! | grace to stop, then abort | 10 s | [`WorkerConfig::with_grace`] |
//! | named as blocking after an abort | 1 s | [`ManagerConfig::with_lost_after`] |
//! | ready | when it runs | [`WorkerConfig::ready_within`] |
//! | a start waits for all to be ready | 1 min | [`ManagerConfig::with_start_within`] |
//! | stuck | not watched | [`WorkerConfig::stuck_after`] |
//! | hogs its thread | polls of 250 ms | [`WorkerConfig::hogs_after`] |
//! | workers and groups | 100,000 | [`ManagerConfig::with_limit`] |
//!
//! # What it costs
//!
//! A manager is one task, and each worker another; nothing else is spawned, and all of it runs where the
//! first start was made or where [`WorkerManager::on`] says. A poll of a worker reads the clock twice.
//! Signs of life take no lock that another worker can hold.
//!
//! # Metrics
//!
//! | metric | kind | labels | what it says |
//! |---|---|---|---|
//! | `worker_runs_total` | counter | `worker`, `outcome` | turns, items, or else whole runs, by how they ended |
//! | `worker_run_duration_seconds` | histogram | `worker` | how long they took |
//! | `worker_restarts_total` | counter | `worker` | restarts after an end |
//! | `worker_stuck_total` | counter | `worker` | how often it was found stuck |
//! | `worker_hogs_total` | counter | `worker` | polls that held the thread for too long |
//! | `worker_last_success_age_seconds` | gauge | `worker` | how long ago a run succeeded, or else since when it is registered |
//! | `worker_state` | gauge | `worker`, `state` | 1 for what it is doing: ready, stuck, paused, … |
//! | `worker_places_taken`, `worker_places_waiting` | gauge | `places` | of a shared limit |
//!
//! The last success is an age and not a moment: a clock that jumps does not spoil it.
//!
//! # Signals
//!
//! | signal | severity | words |
//! |---|---|---|
//! | `returned` | info | returned, starts again in 93ms |
//! | `failed` | warning | failed (2 in a row), starts again in 183ms: connection refused; last at `fetching`, 1.2s before |
//! | `panicked` | error | panicked (1 in a row), starts again in 93ms: index out of bounds |
//! | `stays_off` | warning | stays off: failed: … |
//! | `run_failed` | warning | a run failed (3 in a row): … |
//! | `not_ready`, `not_stopped`, `aborted` | warning | was not ready within 30s, starts again |
//! | `stuck`, `recovered` | warning, info | has shown no sign of life for 1m: last at `asking the bank` |
//! | `hogs`, `lost` | warning, error | held its thread for 300ms |
//! | `group_restarts`, `gave_up` | warning, error | gives up: 101 restarts within 1m: the last of `mailer`, which failed: … |
//! | `paused`, `resumed` | info | pauses, by anna (the database is moved) for 10m |
//! | `elected`, `deposed` | info, warning | leads, epoch 17 |
//! | `skipped` | info | missed its time and skips it: 3h late |
//!
//! In the [`Directory`](rs_core::Directory) each worker is a `worker` that can be told `pause`, `resume`,
//! `run_now`, `restart`, `start` and `stop`; the manager is a `worker_manager`.
//!
//! # Cancel safety
//!
//! A start or stop that is no longer waited for goes on. A worker's future is dropped only when it is
//! aborted, or when it no longer leads. When the last handle of a manager is dropped, all its tasks are
//! aborted.
//!
//! # Features
//!
//! | feature | gives |
//! |---|---|
//! | `cron` | `cron`: cron expressions with time zones |
//! | `etcd` | `EtcdLease`: replicas agree on a leader through etcd |
//! | `redis` | `RedisLease`: replicas agree on a leader through Redis |
//! | `serde` | configuration from files |
//! | `signal` | `WorkerManager::run`: until SIGTERM or SIGINT; a second one means now |
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
#[cfg(feature = "etcd")]
pub use lease::EtcdLease;
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
