use std::hash::{BuildHasher, Hash};

use quick_cache::{Lifecycle, Weighter, sync::Cache};
use rs_core::Clock;

use super::Stored;
use crate::{CacheAdapter, CacheError, Capabilities, Entries, Entry};

/// quick_cache, which has no times of its own: the end of an entry travels with it, by the clock of the process.
/// What has expired is not served, and stays until it is evicted or read.
impl<K, V, We, B, L> CacheAdapter<K, V> for Cache<K, Stored<V>, We, B, L>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    We: Weighter<K, Stored<V>> + Clone + Send + Sync + 'static,
    B: BuildHasher + Clone + Send + Sync + 'static,
    L: Lifecycle<K, Stored<V>> + Clone + Send + Sync + 'static,
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
        self.get_at_once(key).unwrap_or(Ok(None))
    }

    #[inline]
    fn get_at_once(&self, key: &K) -> Option<Result<Option<Entry<V>>, CacheError>> {
        let Some(stored) = Self::get(self, key) else {
            return Some(Ok(None));
        };
        let found = stored.entry(|| Clock::tokio().now());
        if found.is_none() {
            // Nobody else removes it. What came meanwhile stays.
            let now = Clock::tokio().now();
            self.remove_if(key, |there| there.has_expired(now));
        }
        Some(Ok(found))
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
        match Stored::new(entry, || Clock::tokio().now()) {
            Some(stored) => self.insert(key.clone(), stored),
            None => drop(self.remove(key)),
        }
        Ok(())
    }

    #[inline]
    fn delete_at_once(&self, key: &K) -> Result<(), CacheError> {
        self.remove(key);
        Ok(())
    }

    async fn clear(&self) -> Result<(), CacheError> {
        Self::clear(self);
        Ok(())
    }

    fn keys(&self) -> Option<Vec<K>> {
        Some(self.iter().map(|(key, _)| key).collect())
    }

    /// What its weighter says. Where each entry weighs 1, that says nothing.
    fn bytes(&self) -> Option<u64> {
        Some(self.weight()).filter(|weight| *weight > self.len() as u64)
    }

    fn entries(&self) -> Entries {
        Entries::about(self.len() as u64)
    }
}
