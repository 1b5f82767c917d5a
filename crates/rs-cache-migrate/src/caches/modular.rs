use std::{
    fmt,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use foldhash::fast::RandomState;
use moka::{Expiry, sync::Cache};
use rs_core::{Clock, ConfigError, Striped, config};
use rs_metrics::Surroundings;

use super::{Stored, weigher::Weigher};
use crate::{CacheAdapter, CacheError, CacheStats, Capabilities, Entries, Entry};

/// A bounded cache in three parts, each with one job: moka stores, the TTL manager says how long, the metrics
/// count.
///
/// It is a handle: clones are the same cache. When it is full, what is asked for least goes first.
///
/// ```
/// use rs_cache_migrate::{ModularCache, ModularCacheConfig};
/// use std::time::Duration;
///
/// let config = ModularCacheConfig::of(10_000).with_ttl(Duration::from_secs(300));
/// let responses = ModularCache::new(config)?;
/// responses.set("GET /", "200 OK");
/// assert_eq!(responses.get(&"GET /"), Some("200 OK"));
/// assert_eq!(responses.get_stats().hits, 1);
/// responses.shutdown();
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
pub struct ModularCache<K, V>(Arc<Inner<K, V>>);

struct Inner<K, V> {
    storage: Cache<K, Stored<V>, RandomState>,
    ttl: TtlManager,
    metrics: Striped<Counts>,
    weigher: Weigher<K, V>,
}

/// How many entries a [`ModularCache`] keeps, and how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModularCacheConfig {
    capacity: u64,
    ttl: Option<Duration>,
}

impl ModularCacheConfig {
    /// No more than this many entries, without end unless they are given one.
    #[must_use]
    pub const fn of(capacity: u64) -> Self {
        Self {
            capacity,
            ttl: None,
        }
    }

    /// For this long unless they are given another time.
    #[must_use]
    pub const fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// Which field is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        config::in_range("capacity", self.capacity, 1..=1_000_000_000)?;
        let century = Duration::from_millis(1)..=Duration::from_secs(100 * 365 * 86_400);
        if let Some(ttl) = self.ttl {
            config::time_in_range("ttl", ttl, century)?;
        }
        Ok(())
    }
}

/// Says how long entries live, and whether one still does.
#[derive(Debug)]
struct TtlManager {
    usual: Option<Duration>,
    clock: Clock,
}

/// Tells the storage when it may drop an entry. It counts by its own clock, which tests cannot move: it
/// gives memory back, and the TTL manager decides what is served.
struct Reclaim(Clock);

impl Reclaim {
    fn left<V>(&self, stored: &Stored<V>) -> Option<Duration> {
        let until = stored.until()?;
        Some(until.saturating_duration_since(self.0.now()))
    }
}

impl<K, V> Expiry<K, Stored<V>> for Reclaim {
    fn expire_after_create(&self, _: &K, stored: &Stored<V>, _: Instant) -> Option<Duration> {
        self.left(stored)
    }

    fn expire_after_update(
        &self,
        _: &K,
        stored: &Stored<V>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        self.left(stored)
    }
}

#[derive(Debug, Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    sets: AtomicU64,
    deletes: AtomicU64,
}

impl<K, V> ModularCache<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// An empty one.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`ModularCacheConfig::check`].
    pub fn new(config: ModularCacheConfig) -> Result<Self, ConfigError> {
        Self::within(&Surroundings::of_process(), config)
    }

    /// The same by the clock of these surroundings.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`ModularCacheConfig::check`].
    pub fn within(around: &Surroundings, config: ModularCacheConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let clock = around.clock().clone();
        let storage = Cache::builder()
            .max_capacity(config.capacity)
            .expire_after(Reclaim(clock.clone()))
            .build_with_hasher(RandomState::default());
        Ok(Self(Arc::new(Inner {
            storage,
            ttl: TtlManager {
                usual: config.ttl,
                clock,
            },
            metrics: Striped::new(Counts::default),
            weigher: Weigher::none(),
        })))
    }

    /// Says what key and value own outside of the entry, in bytes, so that the gates can compare
    /// [what entries take](CacheAdapter::bytes). The first that is given counts. What moka keeps beside an entry is
    /// not known and not in it.
    #[must_use]
    pub fn weighing(self, weigh: impl Fn(&K, &V) -> usize + Send + Sync + 'static) -> Self {
        self.0.weigher.set(weigh);
        self
    }

    /// The value under this key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<V> {
        self.entry(key).and_then(|entry| entry.value)
    }

    /// Keeps this value for the usual time.
    pub fn set(&self, key: K, value: V) {
        let entry = Entry {
            remaining: self.0.ttl.usual,
            ..Entry::of(value)
        };
        self.put(key, entry);
    }

    /// Keeps this value for this long; for no time at all, it removes what was there.
    pub fn set_for(&self, key: K, value: V, ttl: Duration) {
        self.put(key, Entry::of(value).lasting(ttl));
    }

    /// Keeps nothing under this key.
    pub fn delete(&self, key: &K) {
        self.0.metrics.local().deletes.fetch_add(1, Relaxed);
        self.0.storage.invalidate(key);
    }

    /// The keys that it has; their number is what `size` was.
    #[must_use]
    pub fn keys(&self) -> Vec<K> {
        self.0
            .storage
            .iter()
            .map(|(key, _)| (*key).clone())
            .collect()
    }

    /// What it counted. What expired goes unseen.
    #[must_use]
    pub fn get_stats(&self) -> CacheStats {
        let mut stats = CacheStats::default();
        for counts in self.0.metrics.iter() {
            stats.hits += counts.hits.load(Relaxed);
            stats.misses += counts.misses.load(Relaxed);
            stats.sets += counts.sets.load(Relaxed);
            stats.deletes += counts.deletes.load(Relaxed);
        }
        stats
    }

    /// Does the storage's pending work. It has no task of its own, so nothing else is to end.
    pub fn shutdown(&self) {
        self.0.storage.run_pending_tasks();
    }

    #[inline]
    fn entry(&self, key: &K) -> Option<Entry<V>> {
        let found = self.0.storage.get(key);
        let found = found.and_then(|stored| stored.entry(|| self.0.ttl.clock.now()));
        let counts = self.0.metrics.local();
        let count = match found {
            Some(_) => &counts.hits,
            None => &counts.misses,
        };
        count.fetch_add(1, Relaxed);
        found
    }

    fn put(&self, key: K, entry: Entry<V>) {
        match Stored::new(entry, || self.0.ttl.clock.now()) {
            Some(stored) => self.0.storage.insert(key, stored),
            None => self.0.storage.invalidate(&key),
        }
        self.0.metrics.local().sets.fetch_add(1, Relaxed);
    }
}

impl<K, V> CacheAdapter<K, V> for ModularCache<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            add: false,
            ..Capabilities::ALL
        }
    }

    #[inline]
    async fn get(&self, key: &K) -> Result<Option<Entry<V>>, CacheError> {
        Ok(self.entry(key))
    }

    #[inline]
    fn get_at_once(&self, key: &K) -> Option<Result<Option<Entry<V>>, CacheError>> {
        Some(Ok(self.entry(key)))
    }

    async fn set(&self, key: &K, entry: Entry<V>) -> Result<(), CacheError> {
        self.set_at_once(key, entry)
    }

    async fn delete(&self, key: &K) -> Result<(), CacheError> {
        self.delete_at_once(key)
    }

    fn changes_at_once(&self) -> bool {
        true
    }

    #[inline]
    fn set_at_once(&self, key: &K, entry: Entry<V>) -> Result<(), CacheError> {
        self.put(key.clone(), entry);
        Ok(())
    }

    #[inline]
    fn delete_at_once(&self, key: &K) -> Result<(), CacheError> {
        Self::delete(self, key);
        Ok(())
    }

    async fn clear(&self) -> Result<(), CacheError> {
        self.0.storage.invalidate_all();
        Ok(())
    }

    fn keys(&self) -> Option<Vec<K>> {
        Some(Self::keys(self))
    }

    fn entries(&self) -> Entries {
        Entries::about(self.0.storage.entry_count())
    }

    fn bytes(&self) -> Option<u64> {
        let storage = &self.0.storage;
        let owned = self.0.weigher.average(storage.iter(), |weigh, entry| {
            let (key, stored) = entry;
            stored.value().map_or(0, |value| weigh(&key, value))
        });
        let each = owned? + size_of::<(K, Stored<V>)>() as f64;
        Some((each * storage.entry_count() as f64) as u64)
    }

    fn stats(&self) -> Option<CacheStats> {
        Some(self.get_stats())
    }

    async fn shutdown(&self) {
        Self::shutdown(self);
    }
}

impl<K, V> Clone for ModularCache<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V> fmt::Debug for ModularCache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModularCache")
            .field("ttl", &self.0.ttl)
            .finish_non_exhaustive()
    }
}
