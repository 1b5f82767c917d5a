//! Moves live traffic from one cache to another, and never serves a wrong value on the way.
mod adapter;
mod backfill;
mod caches;
mod config;
mod control;
mod doubt;
mod error;
mod event;
mod inner;
mod key;
mod ledger;
mod lookup;
pub mod metrics;
mod migration;
mod order;
mod shadow;
mod state;
mod steps;
mod sync;
mod tend;
mod write;

pub use adapter::{CacheAdapter, CacheStats, Capabilities, Entries};
pub use backfill::{Backfill, BackfillConfig, BackfillError, BackfillProgress};
pub use caches::{DetailedMetrics, Stored, TtlCache};
#[cfg(feature = "moka")]
pub use caches::{ModularCache, ModularCacheConfig};
pub use config::MigrationConfig;
pub use doubt::Side;
pub use error::CacheError;
pub use key::MigrationKey;
pub use ledger::{Decision, MigrationReport};
pub use lookup::{Entry, Lookup};
pub use migration::CacheMigration;
pub use shadow::Comparison;
pub use state::{MigrationState, Stage, StepRefused};
