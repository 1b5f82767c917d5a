use std::{future::Future, time::Duration};

use crate::{CacheError, Entry};

/// A cache as a migration sees it: whatever its methods are called, and whether or not it is in the process.
///
/// The four that every cache has are required. The others say by default that the cache has them not, and
/// [`Capabilities`] say what it has; what a migration does without, each flag explains.
///
/// # Cancel safety
/// The future of a change may be dropped at any await. The migration takes the key as doubtful then, and
/// serves a miss until a change of that key has gone through.
pub trait CacheAdapter<K, V>: Send + Sync + 'static {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// What it keeps under this key. What has expired is not there.
    fn get(&self, key: &K) -> impl Future<Output = Result<Option<Entry<V>>, CacheError>> + Send;

    /// The same for a cache that need not wait: in the process, without a task and without a lock that is held
    /// across an await. `None` if it must wait, and then [`get`](Self::get) is asked. It saves the future of a
    /// read, which is most of what a migration costs beside a cache in the process.
    #[inline]
    fn get_at_once(&self, key: &K) -> Option<Result<Option<Entry<V>>, CacheError>> {
        let _ = key;
        None
    }

    /// Keeps this under the key. What has no time left is removed instead.
    fn set(&self, key: &K, entry: Entry<V>) -> impl Future<Output = Result<(), CacheError>> + Send;

    /// Keeps nothing under this key.
    fn delete(&self, key: &K) -> impl Future<Output = Result<(), CacheError>> + Send;

    /// It changes without waiting: [`set_at_once`](Self::set_at_once) and [`delete_at_once`](Self::delete_at_once)
    /// work. If both caches do, a change has no future to make and cannot be dropped in the middle. Asked once.
    fn changes_at_once(&self) -> bool {
        false
    }

    /// [`set`](Self::set) of a cache that [changes at once](Self::changes_at_once).
    ///
    /// # Errors
    /// As [`set`](Self::set).
    #[inline]
    fn set_at_once(&self, key: &K, entry: Entry<V>) -> Result<(), CacheError> {
        let _ = (key, entry);
        Err(CacheError::Unsupported("change at once"))
    }

    /// [`delete`](Self::delete) of a cache that [changes at once](Self::changes_at_once).
    ///
    /// # Errors
    /// As [`delete`](Self::delete).
    #[inline]
    fn delete_at_once(&self, key: &K) -> Result<(), CacheError> {
        let _ = key;
        Err(CacheError::Unsupported("change at once"))
    }

    /// Keeps nothing at all.
    fn clear(&self) -> impl Future<Output = Result<(), CacheError>> + Send;

    /// Keeps this under the key unless there is something; whether it did. In one step, or not at all.
    fn add(
        &self,
        key: &K,
        entry: Entry<V>,
    ) -> impl Future<Output = Result<bool, CacheError>> + Send {
        let _ = (key, entry);
        async { Err(CacheError::Unsupported("add what is absent")) }
    }

    /// How long it may take for an answer; `None` if it answers at once. What takes longer has failed, and its
    /// key is doubtful. [`with_limit`](crate::MigrationConfig::with_limit) overrides it.
    ///
    /// An adapter with a network in between promises more: what it was asked to change is changed within this
    /// time or never, even if the one who asked has gone away.
    fn limit(&self) -> Option<Duration> {
        None
    }

    /// Says that somebody is about to change this key elsewhere: keeps nothing under it from now on, and lets
    /// nobody but the holder of this mark keep something, nor him if there is another mark; for this long.
    ///
    /// This and the next three are for caches that several processes share: see [`Capabilities::marks`].
    fn mark(
        &self,
        key: &K,
        mark: u64,
        hold: Duration,
    ) -> impl Future<Output = Result<(), CacheError>> + Send {
        let _ = (key, mark, hold);
        async { Err(CacheError::Unsupported("hold marks")) }
    }

    /// Ends a mark. Keeps the entry under the key if there was no other mark beside it since it began, else
    /// nothing; whether it did. Nor if the cache has forgotten all it had within the last `hold`.
    fn settle(
        &self,
        key: &K,
        mark: u64,
        hold: Duration,
        entry: Option<Entry<V>>,
    ) -> impl Future<Output = Result<bool, CacheError>> + Send {
        let _ = (key, mark, hold, entry);
        async { Err(CacheError::Unsupported("hold marks")) }
    }

    /// Asks for leave to copy an entry here that will be read elsewhere from now on; `false` while there is a
    /// mark, an entry, or another who copies. A mark that comes takes it away.
    fn lease(
        &self,
        key: &K,
        lease: u64,
        hold: Duration,
    ) -> impl Future<Output = Result<bool, CacheError>> + Send {
        let _ = (key, lease, hold);
        async { Err(CacheError::Unsupported("hold marks")) }
    }

    /// Keeps the entry if the lease is still there; whether it did. Without an entry, gives the lease back.
    fn fill(
        &self,
        key: &K,
        lease: u64,
        entry: Option<Entry<V>>,
    ) -> impl Future<Output = Result<bool, CacheError>> + Send {
        let _ = (key, lease, entry);
        async { Err(CacheError::Unsupported("hold marks")) }
    }

    /// The keys that it has, the hottest first if it knows. `None` if it cannot say.
    fn keys(&self) -> Option<Vec<K>> {
        None
    }

    /// The same for a cache that must ask somebody: unless it says otherwise, what [`keys`](Self::keys) says.
    fn list(&self) -> impl Future<Output = Result<Vec<K>, CacheError>> + Send
    where
        K: Send,
    {
        let keys = self.keys();
        async { keys.ok_or(CacheError::Unsupported("list its keys")) }
    }

    /// How many entries it has.
    fn entries(&self) -> Entries {
        Entries::UNKNOWN
    }

    /// What its entries take in bytes, if it can say: the gates compare that. An estimate will do, if it counts
    /// for both caches what the other counts.
    fn bytes(&self) -> Option<u64> {
        None
    }

    /// What it counted, if it counts.
    fn stats(&self) -> Option<CacheStats> {
        None
    }

    /// Ends what it does in the background. Doing so twice is doing so once.
    fn shutdown(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// What a cache can do beyond get, set, delete and clear.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "adapters of other people fill it in"
)]
pub struct Capabilities {
    /// It keeps a time for each entry. Without, what is written lives as long as the cache pleases.
    pub ttl: bool,
    /// It says how long an entry still lives. Without, what is promoted *from* it would get a new life: it is
    /// not promoted, unless [`promoting_unaged`](crate::MigrationConfig::promoting_unaged) allows a limit.
    pub reads_ttl: bool,
    /// It keeps negative entries apart from nothing. Without, a negative entry is removed instead.
    pub negative: bool,
    /// It keeps [`Entry::epoch`]. Without, the *new* cache is cleared before every try.
    pub epochs: bool,
    /// It adds what is absent in one step.
    pub add: bool,
    /// It lists its keys. Without, there is no backfill *from* it: entries come over as they are read.
    pub iterate: bool,
    /// It counts.
    pub stats: bool,
    /// It holds marks and leases, in one step each, for all processes that use it. Without, it cannot be the
    /// *new* cache of a migration that is [shared](crate::MigrationConfig::shared_by_processes).
    pub marks: bool,
}

impl Capabilities {
    /// All that a cache in the process can have: all but `marks`.
    pub const ALL: Self = Self {
        ttl: true,
        reads_ttl: true,
        negative: true,
        epochs: true,
        add: true,
        iterate: true,
        stats: true,
        marks: false,
    };
}

/// How many entries a cache has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a number and whether it is right"
)]
pub struct Entries {
    /// This many; `None` if it cannot say.
    pub count: Option<u64>,
    /// Exactly: no expired ones among them, none on the way.
    pub exact: bool,
}

impl Entries {
    /// It cannot say.
    pub const UNKNOWN: Self = Self {
        count: None,
        exact: false,
    };

    /// About this many.
    #[must_use]
    pub const fn about(count: u64) -> Self {
        Self {
            count: Some(count),
            exact: false,
        }
    }
}

/// What a cache counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Reads that found an entry.
    pub hits: u64,
    /// Reads that found none.
    pub misses: u64,
    /// Entries that were written.
    pub sets: u64,
    /// Entries that were removed by order.
    pub deletes: u64,
    /// Entries that went because their time was over.
    pub expired: u64,
}
