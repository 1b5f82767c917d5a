//! Caches that can be one side of a migration.

#[cfg(feature = "moka")]
mod modular;
#[cfg(feature = "moka")]
mod moka;
mod stored;
mod ttl;

#[cfg(feature = "moka")]
pub use modular::{ModularCache, ModularCacheConfig};
pub use stored::Stored;
pub use ttl::{DetailedMetrics, TtlCache};
