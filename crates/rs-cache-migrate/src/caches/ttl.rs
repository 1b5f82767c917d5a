use std::{
    fmt,
    hash::Hash,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use dashmap::DashMap;
use foldhash::fast::RandomState;
use rs_core::{Clock, Striped};
use rs_metrics::Surroundings;
use tokio::sync::Notify;

use super::{Stored, weigher::Weigher};
use crate::{CacheAdapter, CacheError, CacheStats, Capabilities, Entries, Entry};

/// A map in shards whose entries have an end, swept now and then: the shape that caches have before somebody
/// wants to move away from them.
///
/// It is a handle: clones are the same cache. It has no limit on the number of entries.
///
/// ```
/// use rs_cache_migrate::TtlCache;
/// use std::time::Duration;
///
/// let prompts = TtlCache::new(Duration::from_secs(3600));
/// prompts.set("greeting", "Hello!");
/// assert_eq!(prompts.get(&"greeting"), Some("Hello!"));
/// assert_eq!(prompts.size(), 1);
/// prompts.stop();
/// ```
pub struct TtlCache<K, V>(Arc<Inner<K, V>>);

struct Inner<K, V> {
    map: DashMap<K, Stored<V>, RandomState>,
    ttl: Duration,
    clock: Clock,
    counts: Striped<Counts>,
    weigher: Weigher<K, V>,
    stopped: AtomicBool,
    stop: Notify,
}

#[derive(Debug, Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    sets: AtomicU64,
    deletes: AtomicU64,
    expired: AtomicU64,
}

/// What a [`TtlCache`] says of itself.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct DetailedMetrics {
    /// Entries, with those that have expired and were not swept yet.
    pub size: usize,
    /// What it counted.
    pub counts: CacheStats,
    /// Hits of all reads; `None` before the first read.
    pub hit_rate: Option<f64>,
}

impl<K, V> TtlCache<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// An empty one whose entries live for this long unless they are given another time.
    #[must_use]
    pub fn new(ttl: Duration) -> Self {
        Self::within(&Surroundings::of_process(), ttl)
    }

    /// The same by the clock of these surroundings.
    #[must_use]
    pub fn within(around: &Surroundings, ttl: Duration) -> Self {
        Self(Arc::new(Inner {
            map: DashMap::with_hasher(RandomState::default()),
            ttl,
            clock: around.clock().clone(),
            counts: Striped::new(Counts::default),
            weigher: Weigher::none(),
            stopped: AtomicBool::new(false),
            stop: Notify::new(),
        }))
    }

    /// Says what key and value own outside of the map, in bytes, so that the gates can compare
    /// [what entries take](CacheAdapter::bytes). The first that is given counts.
    ///
    /// ```
    /// # use rs_cache_migrate::{CacheAdapter, TtlCache};
    /// # use std::time::Duration;
    /// let prompts = TtlCache::new(Duration::from_secs(3600))
    ///     .weighing(|key: &String, value: &Vec<u8>| key.capacity() + value.capacity());
    /// prompts.set("greeting".to_owned(), vec![0; 10_000]);
    /// assert!(prompts.bytes() > Some(10_000));
    /// ```
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
        self.set_for(key, value, self.0.ttl);
    }

    /// Keeps this value for this long; for no time at all, it removes what was there.
    pub fn set_for(&self, key: K, value: V, ttl: Duration) {
        self.put(key, Entry::of(value).lasting(ttl));
    }

    /// Keeps nothing under this key; whether there was something.
    pub fn delete(&self, key: &K) -> bool {
        self.0.counts.local().deletes.fetch_add(1, Relaxed);
        self.0.map.remove(key).is_some()
    }

    /// How many entries there are, with those that have expired and were not swept yet.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.map.len()
    }

    /// What it counted.
    #[must_use]
    pub fn get_detailed_metrics(&self) -> DetailedMetrics {
        let counts = self.counts();
        let reads = counts.hits + counts.misses;
        DetailedMetrics {
            size: self.size(),
            counts,
            hit_rate: (reads > 0).then(|| counts.hits as f64 / reads as f64),
        }
    }

    /// Removes what has expired; how many that were.
    #[expect(clippy::must_use_candidate, reason = "mostly it does not matter")]
    pub fn sweep(&self) -> usize {
        let now = self.0.clock.now();
        let mut swept = 0;
        self.0.map.retain(|_, stored| {
            let expired = stored.has_expired(now);
            swept += usize::from(expired);
            !expired
        });
        let count = &self.0.counts.local().expired;
        count.fetch_add(swept as u64, Relaxed);
        swept
    }

    /// Sweeps this often until it is stopped. Give it to a task or a worker.
    ///
    /// # Cancel safety
    /// Dropping it ends the sweeping; what has expired is still not served.
    pub async fn sweep_every(&self, time: Duration) {
        loop {
            let stop = self.0.stop.notified();
            if self.0.stopped.load(Relaxed) {
                return;
            }
            tokio::select! {
                () = stop => return,
                () = self.0.clock.sleep(time) => drop(self.sweep()),
            }
        }
    }

    /// Ends the sweeping. Doing so twice is doing so once; entries stay and are served.
    pub fn stop(&self) {
        self.0.stopped.store(true, Relaxed);
        self.0.stop.notify_waiters();
    }

    #[inline]
    fn entry(&self, key: &K) -> Option<Entry<V>> {
        let found = self
            .0
            .map
            .get(key)
            .and_then(|stored| stored.entry(|| self.0.clock.now()));
        let counts = self.0.counts.local();
        let count = match found {
            Some(_) => &counts.hits,
            None => &counts.misses,
        };
        count.fetch_add(1, Relaxed);
        found
    }

    #[inline]
    fn put(&self, key: K, entry: Entry<V>) {
        match Stored::new(entry, || self.0.clock.now()) {
            Some(stored) => drop(self.0.map.insert(key, stored)),
            None => drop(self.0.map.remove(&key)),
        }
        self.0.counts.local().sets.fetch_add(1, Relaxed);
    }

    fn counts(&self) -> CacheStats {
        let mut stats = CacheStats::default();
        for counts in self.0.counts.iter() {
            stats.hits += counts.hits.load(Relaxed);
            stats.misses += counts.misses.load(Relaxed);
            stats.sets += counts.sets.load(Relaxed);
            stats.deletes += counts.deletes.load(Relaxed);
            stats.expired += counts.expired.load(Relaxed);
        }
        stats
    }
}

impl<K, V> CacheAdapter<K, V> for TtlCache<K, V>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
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
        self.0.map.clear();
        Ok(())
    }

    async fn add(&self, key: &K, entry: Entry<V>) -> Result<bool, CacheError> {
        use dashmap::Entry::{Occupied, Vacant};
        let now = self.0.clock.now();
        let Some(stored) = Stored::new(entry, || now) else {
            return Ok(false);
        };
        Ok(match self.0.map.entry(key.clone()) {
            Occupied(mut there) if there.get().has_expired(now) => {
                there.insert(stored);
                true
            }
            Occupied(_) => false,
            Vacant(place) => {
                place.insert(stored);
                true
            }
        })
    }

    fn keys(&self) -> Option<Vec<K>> {
        Some(self.0.map.iter().map(|entry| entry.key().clone()).collect())
    }

    fn entries(&self) -> Entries {
        Entries::about(self.size() as u64)
    }

    /// The places of the map, used or not, and what some entries own on average, for all.
    fn bytes(&self) -> Option<u64> {
        let map = &self.0.map;
        let owned = self.0.weigher.average(map.iter(), |weigh, entry| {
            let value = entry.value().value();
            value.map_or(0, |value| weigh(entry.key(), value))
        });
        // A byte for each place is the map's own.
        let places = map.capacity() * (size_of::<(K, Stored<V>)>() + 1);
        Some(places as u64 + (owned? * map.len() as f64) as u64)
    }

    fn stats(&self) -> Option<CacheStats> {
        Some(self.counts())
    }

    async fn shutdown(&self) {
        self.stop();
    }
}

impl<K, V> Clone for TtlCache<K, V> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V> fmt::Debug for TtlCache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TtlCache")
            .field("ttl", &self.0.ttl)
            .finish_non_exhaustive()
    }
}
