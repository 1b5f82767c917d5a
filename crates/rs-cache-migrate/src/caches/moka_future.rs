use std::hash::{BuildHasher, Hash};

use moka::future::Cache;
use rs_core::Clock;

use super::Stored;
use crate::{CacheAdapter, CacheError, Capabilities, Entries, Entry};

/// Moka's cache for asynchronous callers, by the clock of the process.
impl<K, V, S> CacheAdapter<K, V> for Cache<K, Stored<V>, S>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    S: BuildHasher + Clone + Send + Sync + 'static,
{
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            add: false,
            stats: false,
            ..Capabilities::ALL
        }
    }

    #[inline]
    async fn get(&self, key: &K) -> Result<Option<Entry<V>>, CacheError> {
        let found = Self::get(self, key).await;
        Ok(found.and_then(|stored| stored.entry(|| Clock::tokio().now())))
    }

    async fn set(&self, key: &K, entry: Entry<V>) -> Result<(), CacheError> {
        match Stored::new(entry, || Clock::tokio().now()) {
            Some(stored) => self.insert(key.clone(), stored).await,
            None => self.invalidate(key).await,
        }
        Ok(())
    }

    async fn delete(&self, key: &K) -> Result<(), CacheError> {
        self.invalidate(key).await;
        Ok(())
    }

    async fn clear(&self) -> Result<(), CacheError> {
        self.invalidate_all();
        Ok(())
    }

    fn keys(&self) -> Option<Vec<K>> {
        Some(self.iter().map(|(key, _)| (*key).clone()).collect())
    }

    /// What its weigher says. Without one each entry weighs 1, which says nothing.
    fn bytes(&self) -> Option<u64> {
        Some(self.weighted_size()).filter(|size| *size > self.entry_count())
    }

    fn entries(&self) -> Entries {
        Entries::about(self.entry_count())
    }
}
