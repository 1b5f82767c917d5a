//! Caches that can be one side of a migration.

mod map;
#[cfg(feature = "moka")]
mod modular;
#[cfg(feature = "moka")]
mod moka_future;
#[cfg(feature = "moka")]
mod moka_sync;
#[cfg(feature = "quick-cache")]
mod quick;
#[cfg(feature = "redis")]
pub(crate) mod redis;
mod stored;
mod ttl;
mod two_level;
mod weigher;

#[cfg(feature = "moka")]
pub use modular::{ModularCache, ModularCacheConfig};
#[cfg(feature = "json")]
pub use redis::AsJson;
#[cfg(feature = "redis")]
pub use redis::{AsBytes, Codec, RedisCache};
pub use stored::Stored;
pub use ttl::{DetailedMetrics, TtlCache};
pub use two_level::TwoLevel;
