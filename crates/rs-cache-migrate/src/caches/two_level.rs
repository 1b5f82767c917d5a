use std::{
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    time::Duration,
};

use tokio::sync::Mutex;

use crate::{CacheAdapter, CacheError, CacheStats, Capabilities, Entries, Entry, MigrationKey};

/// A cache in the process before another that is further away, as one side of a migration.
///
/// ```
/// use rs_cache_migrate::{CacheAdapter, Entry, TtlCache, TwoLevel};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), rs_cache_migrate::CacheError> {
/// let (memory, redis) = (TtlCache::new(Duration::MAX), TtlCache::new(Duration::MAX));
/// let both = TwoLevel::new(memory, redis.clone(), Duration::from_secs(5));
/// redis.set("a", 1);
/// assert_eq!(both.get(&"a").await?.map(|entry| entry.near), Some(false));
/// assert_eq!(both.get(&"a").await?.map(|entry| entry.near), Some(true));
/// # Ok(()) }
/// ```
///
/// - An entry is near for no longer than the given time, and never longer than it lives further away.
/// - A change leaves the near level first, then goes to the further, then comes near. What was read further away
///   before or while it changed does not come near.
/// - What an earlier try left near is not read either: the number of the try is in the entry. If one of the two
///   cannot keep it, both are cleared before a try.
/// - A hit says whether it was [near](Entry::near), so that it is not counted for the cache behind.
///
/// What *another process* changes is near here for up to the given time. So it cannot be the new side of a
/// migration that is [shared](crate::MigrationConfig::shared_by_processes).
#[derive(Debug)]
pub struct TwoLevel<A, B> {
    near: A,
    far: B,
    at_most: Duration,
    stripes: Box<[Stripe]>,
}

/// What changes some of the keys.
#[derive(Debug, Default)]
struct Stripe {
    begun: AtomicU64,
    ended: AtomicU64,
    /// Whoever brings something near.
    bringing: Mutex<()>,
}

const STRIPES: usize = 256;

/// A change that is under way. Whoever read before its end must not bring that near.
struct Change<'a>(&'a Stripe);

impl<'a> Change<'a> {
    fn begin(stripe: &'a Stripe) -> Self {
        stripe.begun.fetch_add(1, SeqCst);
        Self(stripe)
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, SeqCst);
    }
}

impl Stripe {
    /// How many changes there were; `None` while there is one.
    fn quiet(&self) -> Option<u64> {
        let ended = self.ended.load(SeqCst);
        (self.begun.load(SeqCst) == ended).then_some(ended)
    }
}

impl<A, B> TwoLevel<A, B> {
    /// `near` before `far`; nothing is near for longer than this.
    #[must_use]
    pub fn new(near: A, far: B, at_most: Duration) -> Self {
        Self {
            near,
            far,
            at_most,
            stripes: (0..STRIPES).map(|_| Stripe::default()).collect(),
        }
    }

    /// The level that is asked first.
    #[must_use]
    pub const fn near(&self) -> &A {
        &self.near
    }

    /// The level that is asked second.
    #[must_use]
    pub const fn far(&self) -> &B {
        &self.far
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "the remainder is less than the length"
    )]
    fn stripe<K: MigrationKey>(&self, key: &K) -> &Stripe {
        &self.stripes[rs_core::hash::spread(key.stable_hash()) as usize % self.stripes.len()]
    }

    fn for_near<V>(&self, entry: Entry<V>) -> Entry<V> {
        let remaining = entry
            .remaining
            .map_or(self.at_most, |left| left.min(self.at_most));
        Entry {
            remaining: Some(remaining),
            ..entry
        }
    }

    /// Changes the further level, with nothing near meanwhile.
    async fn change<K, V, T>(
        &self,
        key: &K,
        far: impl Future<Output = Result<T, CacheError>> + Send,
        near: impl FnOnce(&T) -> Option<Entry<V>> + Send,
    ) -> Result<T, CacheError>
    where
        K: MigrationKey,
        V: Clone + Send + Sync + 'static,
        T: Send + Sync,
        A: CacheAdapter<K, V>,
        B: CacheAdapter<K, V>,
    {
        let stripe = self.stripe(key);
        let change = Change::begin(stripe);
        let one = stripe.bringing.lock().await;
        self.near.delete(key).await?;
        drop(one);
        let done = far.await?;
        if let Some(entry) = near(&done) {
            let _one = stripe.bringing.lock().await;
            // Nothing near is no harm.
            if self.near.set(key, self.for_near(entry)).await.is_err() {
                self.near.delete(key).await?;
            }
        }
        drop(change);
        Ok(done)
    }
}

impl<K, V, A, B> CacheAdapter<K, V> for TwoLevel<A, B>
where
    K: MigrationKey,
    V: Clone + Send + Sync + 'static,
    A: CacheAdapter<K, V>,
    B: CacheAdapter<K, V>,
{
    fn capabilities(&self) -> Capabilities {
        let (near, far) = (self.near.capabilities(), self.far.capabilities());
        Capabilities {
            ttl: near.ttl && far.ttl,
            reads_ttl: far.reads_ttl,
            negative: near.negative && far.negative,
            epochs: near.epochs && far.epochs,
            // What others change is near here for a while.
            marks: false,
            ..far
        }
    }

    fn limit(&self) -> Option<Duration> {
        self.far.limit()
    }

    /// What is near says how long it is near, which is less than it lives.
    async fn get(&self, key: &K) -> Result<Option<Entry<V>>, CacheError> {
        if let Ok(Some(entry)) = self.near.get(key).await {
            return Ok(Some(Entry {
                near: true,
                ..entry
            }));
        }
        let stripe = self.stripe(key);
        let quiet = stripe.quiet();
        let found = self.far.get(key).await?;
        if let (Some(entry), Some(_)) = (&found, quiet)
            && let Ok(_one) = stripe.bringing.try_lock()
            && stripe.quiet() == quiet
        {
            let _ = self.near.set(key, self.for_near(entry.clone())).await;
        }
        Ok(found)
    }

    /// What is near.
    fn get_at_once(&self, key: &K) -> Option<Result<Option<Entry<V>>, CacheError>> {
        let Ok(Some(entry)) = self.near.get_at_once(key)? else {
            return None;
        };
        let near = true;
        Some(Ok(Some(Entry { near, ..entry })))
    }

    async fn set(&self, key: &K, entry: Entry<V>) -> Result<(), CacheError> {
        let near = entry.clone();
        let far = self.far.set(key, entry);
        self.change(key, far, |()| Some(near)).await
    }

    async fn delete(&self, key: &K) -> Result<(), CacheError> {
        self.change(key, self.far.delete(key), |()| None).await
    }

    async fn clear(&self) -> Result<(), CacheError> {
        let changes: Vec<_> = self.stripes.iter().map(Change::begin).collect();
        self.far.clear().await?;
        // Those who look whether it is quiet, do so with this in hand.
        for stripe in &self.stripes {
            drop(stripe.bringing.lock().await);
        }
        let cleared = self.near.clear().await;
        drop(changes);
        cleared
    }

    async fn add(&self, key: &K, entry: Entry<V>) -> Result<bool, CacheError> {
        let near = entry.clone();
        let far = self.far.add(key, entry);
        self.change(key, far, |added| added.then_some(near)).await
    }

    fn keys(&self) -> Option<Vec<K>> {
        self.far.keys()
    }

    async fn list(&self) -> Result<Vec<K>, CacheError> {
        self.far.list().await
    }

    fn bytes(&self) -> Option<u64> {
        self.far.bytes()
    }

    fn entries(&self) -> Entries {
        self.far.entries()
    }

    fn stats(&self) -> Option<CacheStats> {
        self.far.stats()
    }

    async fn shutdown(&self) {
        self.near.shutdown().await;
        self.far.shutdown().await;
    }
}
