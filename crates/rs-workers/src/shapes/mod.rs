//! Workers of the usual shapes, made from closures.

#[cfg(feature = "cron")]
mod cron;
mod leader;
mod once;
mod periodic;
mod places;
mod plain;
mod queue;
mod timetable;

#[cfg(feature = "cron")]
pub use cron::{Cron, Misfire, WallClock, cron};
pub use leader::{LeaderConfig, LeaderOnly, leader_only};
pub use once::{Once, once};
pub use periodic::{Late, Periodic, periodic};
pub use places::{Place, Places};
pub use plain::{Plain, worker};
pub use queue::{Queue, Source, queue};
