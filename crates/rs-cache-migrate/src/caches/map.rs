use std::hash::{BuildHasher, Hash};

use dashmap::{DashMap, Entry::Occupied, Entry::Vacant};
use rs_core::Clock;

use super::Stored;
use crate::{CacheAdapter, CacheError, Capabilities, Entries, Entry};

/// A bare map, by the clock of the process. What has expired is not served, and goes when it is read or
/// written; nothing else ever goes by itself.
impl<K, V, S> CacheAdapter<K, V> for DashMap<K, Stored<V>, S>
where
    K: Hash + Eq + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    S: BuildHasher + Clone + Send + Sync + 'static,
{
    fn capabilities(&self) -> Capabilities {
        Capabilities {
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
        drop(stored);
        if found.is_none() {
            let now = Clock::tokio().now();
            self.remove_if(key, |_, there| there.has_expired(now));
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
            Some(stored) => drop(self.insert(key.clone(), stored)),
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

    async fn add(&self, key: &K, entry: Entry<V>) -> Result<bool, CacheError> {
        let now = Clock::tokio().now();
        let Some(stored) = Stored::new(entry, || now) else {
            return Ok(false);
        };
        Ok(match self.entry(key.clone()) {
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
        Some(self.iter().map(|entry| entry.key().clone()).collect())
    }

    fn entries(&self) -> Entries {
        Entries::about(self.len() as u64)
    }
}
