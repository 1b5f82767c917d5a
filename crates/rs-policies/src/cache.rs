use std::{
    fmt,
    hash::Hash,
    sync::Arc,
    time::{Duration, Instant},
};

use rs_core::{ConfigError, Name, config, label_set};
use rs_metrics::{
    Counter, Family, Surroundings,
    pattern::{Checked, Home},
};

use crate::metrics;

label_set! {
    /// What a look into a cache found.
    pub enum Lookup: "result" {
        /// A result that is young enough.
        Hit = "hit",
        /// Nothing, or what is too old.
        Miss = "miss",
    }
}

/// How long results are kept, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct CacheConfig {
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    time: Duration,
    #[cfg_attr(feature = "serde", serde(default = "limit"))]
    limit: u64,
}

const fn limit() -> u64 {
    10_000
}

impl CacheConfig {
    /// Results are kept for this long, from 1 ms to a day, and no more than 10 000 of them.
    #[must_use]
    pub const fn of(time: Duration) -> Self {
        Self {
            time,
            limit: limit(),
        }
    }

    /// No more than this many; those that are asked for least go first.
    #[must_use]
    pub const fn with_limit(mut self, limit: u64) -> Self {
        self.limit = limit;
        self
    }

    /// How long.
    #[must_use]
    pub const fn time(&self) -> Duration {
        self.time
    }

    /// How many.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// Which field is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let day = Duration::from_millis(1)..=Duration::from_secs(24 * 3600);
        config::time_in_range("time", self.time, day)?;
        config::in_range("limit", self.limit, 1..=100_000_000)?;
        Ok(())
    }
}

impl Checked for CacheConfig {
    fn check(&self) -> Result<(), ConfigError> {
        Self::check(self)
    }
}

/// Results of calls, kept for a time: a bounded map whose entries grow old.
///
/// It is a handle: clones are the same cache. Calls that miss at the same time all go to the dependency.
///
/// ```
/// use rs_policies::{Cache, CacheConfig};
/// use std::time::Duration;
///
/// let prices = Cache::new("prices", CacheConfig::of(Duration::from_secs(300)))?;
/// prices.keep("sku-17", 250);
/// assert_eq!(prices.get(&"sku-17"), Some(250));
/// prices.forget(&"sku-17");
/// assert_eq!(prices.get(&"sku-17"), None);
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
pub struct Cache<K, V>(Arc<Inner<K, V>>);

struct Inner<K, V> {
    home: Home,
    config: CacheConfig,
    /// By the clock of the surroundings: the map has one of its own, which tests cannot move.
    kept: moka::sync::Cache<K, (V, Instant)>,
    lookups: Family<Counter, Lookup>,
}

impl<K, V> Cache<K, V>
where
    K: Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// A cache of this name.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`CacheConfig::check`].
    pub fn new(name: impl Into<Name>, config: CacheConfig) -> Result<Self, ConfigError> {
        Self::within(&Surroundings::of_process(), name, config)
    }

    /// The same in these surroundings.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`CacheConfig::check`].
    pub fn within(
        around: &Surroundings,
        name: impl Into<Name>,
        config: CacheConfig,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        let home = Home::new(around, name.into());
        let lookups = metrics::CACHE_LOOKUPS.bind_in(&home.metrics(), home.name);
        Ok(Self(Arc::new(Inner {
            kept: moka::sync::Cache::new(config.limit),
            config,
            lookups,
            home,
        })))
    }

    /// What is kept under this key, if it is young enough.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<V> {
        let found = self.0.kept.get(key).filter(|(_, since)| {
            let now = self.0.home.around.clock().now();
            now.saturating_duration_since(*since) < self.0.config.time
        });
        let lookup = if found.is_some() {
            Lookup::Hit
        } else {
            Lookup::Miss
        };
        self.0.lookups[lookup].increment();
        found.map(|(value, _)| value)
    }

    /// Keeps this from now on.
    pub fn keep(&self, key: K, value: V) {
        let now = self.0.home.around.clock().now();
        self.0.kept.insert(key, (value, now));
    }

    /// Keeps nothing under this key any longer.
    pub fn forget(&self, key: &K) {
        self.0.kept.invalidate(key);
    }

    /// Keeps nothing any longer.
    pub fn clear(&self) {
        self.0.kept.invalidate_all();
    }
}

impl<K, V> Cache<K, V> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.home.name
    }

    /// What it goes by.
    #[must_use]
    pub fn config(&self) -> CacheConfig {
        self.0.config
    }

    /// How many looks found this.
    #[must_use]
    pub fn lookups(&self, result: Lookup) -> u64 {
        self.0.lookups[result].value()
    }
}

impl<K, V> Clone for Cache<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("name", &self.name())
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}
