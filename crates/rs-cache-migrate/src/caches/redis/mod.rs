mod codec;
pub(crate) mod link;

use std::{fmt, future::Future, sync::Arc, time::Duration};

use redis::{Client, FromRedisValue, RedisError, Script, ToRedisArgs, Value, cmd, pipe};
use rs_core::Deadline;

#[cfg(feature = "json")]
pub use codec::AsJson;
pub use codec::{AsBytes, Codec};
use link::{Link, Open};

use crate::{CacheAdapter, CacheError, Capabilities, Entry};

/// A Redis as one side of a migration: one server, Redis 6.2 or later.
///
/// ```
/// use rs_cache_migrate::{AsBytes, CacheMigration, MigrationConfig, RedisCache};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // As the service wrote it until now: values alone.
/// let old = RedisCache::new("redis://old.internal/", AsBytes)?.with_prefix("prompt:").bare();
/// let new = RedisCache::new("redis://new.internal/", AsBytes)?.with_prefix("prompt:");
/// let config = MigrationConfig::default()
///     .shared_by_processes()
///     .with_propagation(Duration::from_secs(5));
/// let prompts = CacheMigration::<String, String, _, _>::new("prompts", old, new, config)?;
/// # Ok(()) }
/// ```
///
/// It connects when it is first asked, and again when a connection is lost. Every operation has a
/// [limit](Self::with_limit). A change is a script that looks at the server's clock: what was given up is
/// never carried out later, by a server that was only asleep. When a connection is lost, the server drops what
/// it has not read of it before the next one is used, so the changes of a process stay in order.
///
/// Keys and entries, with `prefix` before each:
///
/// | key | holds |
/// |---|---|
/// | `{prefix}{key}` | two bytes that say what it is, four of the epoch, the value; [bare](Self::bare), the value |
/// | `rs-mark:{prefix}{key}` | who is changing the key, for some seconds |
/// | `rs-lease:{prefix}{key}` | who is copying it, for some seconds |
/// | `rs-since:{prefix}` | since when this server forgets nothing |
///
/// Marks must not be evicted while they last, so give the server memory, or a policy that spares what is new.
/// A new server keeps nothing over a restart, or everything (`appendfsync always`): one that comes back as it was
/// a second ago has values again whose marks it has forgotten.
/// Whoever fails over to a replica that has not heard of a mark, or sets the clock of the server forward by
/// seconds, must clear the new cache.
///
/// Its user needs [`RedisCache::COMMANDS`] on these keys. For `rediss://`, hand in a client that can:
/// [`RedisCache::with_client`].
pub struct RedisCache<C = AsBytes>(Arc<Inner<C>>);

struct Inner<C> {
    link: Link,
    codec: C,
    prefix: String,
    limit: Duration,
    bare: bool,
    scripts: Arc<Scripts>,
}

struct Scripts {
    set: Script,
    mark: Script,
    settle: Script,
    lease: Script,
    fill: Script,
}

/// No time is longer: a hundred years, in milliseconds.
const AGE: u128 = 100 * 365 * 86_400_000;

impl RedisCache<()> {
    /// What its user must be allowed to do.
    pub const COMMANDS: &[&str] = &[
        "client|info",
        "client|kill",
        "del",
        "evalsha",
        "exec",
        "get",
        "multi",
        "pexpire",
        "pttl",
        "scan",
        "script|load",
        "set",
        "time",
        "unlink",
        "zadd",
        "zcard",
        "zrem",
        "zremrangebyscore",
        "zscore",
    ];
}

impl<C: Send + Sync + 'static> RedisCache<C> {
    /// The Redis at this URL, such as `redis://user:password@host:6379/0`.
    ///
    /// # Errors
    /// When it is no such URL.
    pub fn new(url: &str, codec: C) -> Result<Self, CacheError> {
        Ok(Self::with_client(Client::open(url).map_err(failed)?, codec))
    }

    /// The Redis of this client.
    #[must_use]
    pub fn with_client(client: Client, codec: C) -> Self {
        Self(Arc::new(Inner {
            link: Link::new(client),
            codec,
            prefix: String::new(),
            limit: Duration::from_secs(1),
            bare: false,
            scripts: Arc::new(Scripts {
                set: Script::new(include_str!("set.lua")),
                mark: Script::new(include_str!("mark.lua")),
                settle: Script::new(include_str!("settle.lua")),
                lease: Script::new(include_str!("lease.lua")),
                fill: Script::new(include_str!("fill.lua")),
            }),
        }))
    }

    /// All of its keys begin with this. Without, clearing it clears the database.
    #[must_use]
    pub fn with_prefix(self, prefix: impl Into<String>) -> Self {
        self.with(|inner| inner.prefix = prefix.into())
    }

    /// An operation may take this long instead of a second, connecting included.
    #[must_use]
    pub fn with_limit(self, limit: Duration) -> Self {
        self.with(|inner| inner.limit = limit.max(Duration::from_millis(1)))
    }

    /// Keeps values alone, as others wrote and will read them: without negative entries, and without the number
    /// of the try, so that as the new cache it is cleared before each.
    #[must_use]
    pub fn bare(self) -> Self {
        self.with(|inner| inner.bare = true)
    }

    fn with(self, change: impl FnOnce(&mut Inner<C>)) -> Self {
        // Nothing has connected yet but clones; they keep theirs.
        match Arc::try_unwrap(self.0) {
            Ok(mut inner) => {
                change(&mut inner);
                Self(Arc::new(inner))
            }
            Err(shared) => Self(shared),
        }
    }

    fn key(&self, key: &impl ToRedisArgs) -> Vec<u8> {
        let mut name = self.0.prefix.clone().into_bytes();
        name.extend(key.to_redis_args().into_iter().flatten());
        name
    }

    /// All the keys of a script that knows marks.
    fn keys_of(&self, key: &impl ToRedisArgs) -> [Vec<u8>; 4] {
        let name = self.key(key);
        let before = |what: &str| [what.as_bytes(), &name].concat();
        let since = format!("rs-since:{}", self.0.prefix).into_bytes();
        [name.clone(), before("rs-mark:"), before("rs-lease:"), since]
    }

    /// What comes of it within the limit.
    async fn ask<T, F>(&self, what: impl FnOnce(Open) -> F + Send) -> Result<T, CacheError>
    where
        F: Future<Output = Result<T, RedisError>> + Send,
    {
        self.0.link.ask(self.0.limit, what).await
    }

    /// Changes a key now or never; whether it did.
    async fn change(
        &self,
        key: &(impl ToRedisArgs + Sync),
        how: &str,
        value: Vec<u8>,
        time: String,
    ) -> Result<bool, CacheError> {
        let inner = &*self.0;
        let latest = Deadline::after(inner.link.now(), inner.limit).moment();
        for _ in 0..2 {
            let (done, now): (i64, i64) = self
                .ask(|mut open| {
                    let mut script = inner.scripts.set.prepare_invoke();
                    script
                        .key(self.key(key))
                        .arg(inner.link.there(&open, latest))
                        .arg(how)
                        .arg(&value)
                        .arg(&time);
                    async move {
                        let answer: (i64, i64) = script.invoke_async(&mut open.connection).await?;
                        inner.link.hear(&open, answer.1);
                        Ok(answer)
                    }
                })
                .await?;
            let _ = now;
            // Too late by the server's clock, which may have been set: that is known better now.
            if done >= 0 {
                return Ok(done == 1);
            }
        }
        Err(CacheError::TookTooLong(inner.limit))
    }

    async fn run(
        &self,
        script: &Script,
        key: &(impl ToRedisArgs + Sync),
        arguments: [&[u8]; 4],
    ) -> Result<bool, CacheError> {
        let done: i64 = self
            .ask(|mut open| {
                let mut script = script.prepare_invoke();
                for key in self.keys_of(key) {
                    script.key(key);
                }
                for argument in arguments {
                    script.arg(argument);
                }
                async move { script.invoke_async(&mut open.connection).await }
            })
            .await?;
        Ok(done == 1)
    }

    /// The entry as it is kept, and for how many milliseconds; `None` if it has no time left.
    fn wrapped<V>(&self, entry: Option<&Entry<V>>) -> Result<Option<(Vec<u8>, String)>, CacheError>
    where
        C: Codec<V>,
    {
        let Some(entry) = entry else { return Ok(None) };
        let time = match entry.remaining.map(|time| time.as_millis().min(AGE)) {
            // Never longer than it should.
            Some(0) => return Ok(None),
            Some(millis) => millis.to_string(),
            None => String::new(),
        };
        let value = codec::wrap(&self.0.codec, entry, self.0.bare)?;
        Ok(Some((value, time)))
    }

    /// All the names that begin with the prefix.
    async fn names(&self) -> Result<Vec<Vec<u8>>, CacheError> {
        let mut all = Vec::new();
        let mut cursor = 0;
        loop {
            let (next, names): (u64, Vec<Vec<u8>>) = self
                .ask(|mut open| {
                    let mut scan = cmd("SCAN");
                    scan.arg(cursor)
                        .arg("MATCH")
                        .arg(pattern(&self.0.prefix))
                        .arg("COUNT")
                        .arg(1000);
                    async move { scan.query_async(&mut open.connection).await }
                })
                .await?;
            all.extend(names.into_iter().filter(|name| !is_ours(name)));
            cursor = next;
            if cursor == 0 {
                // Redis may say a name twice.
                all.sort_unstable();
                all.dedup();
                return Ok(all);
            }
        }
    }
}

/// Marks, where there is no prefix.
fn is_ours(name: &[u8]) -> bool {
    [&b"rs-mark:"[..], b"rs-lease:", b"rs-since:"]
        .iter()
        .any(|ours| name.starts_with(ours))
}

/// All that begins with this, whatever is in it.
fn pattern(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len() + 1);
    for letter in prefix.chars() {
        if matches!(letter, '*' | '?' | '[' | ']' | '\\' | '^') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('*');
    pattern
}

fn failed(error: RedisError) -> CacheError {
    CacheError::failed(error)
}

fn millis(time: Duration) -> String {
    time.as_millis().to_string()
}

impl<K, V, C> CacheAdapter<K, V> for RedisCache<C>
where
    K: ToRedisArgs + FromRedisValue + Clone + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
    C: Codec<V>,
{
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            negative: !self.0.bare,
            epochs: !self.0.bare,
            stats: false,
            marks: true,
            ..Capabilities::ALL
        }
    }

    fn limit(&self) -> Option<Duration> {
        Some(self.0.limit)
    }

    async fn get(&self, key: &K) -> Result<Option<Entry<V>>, CacheError> {
        let name = self.key(key);
        let (value, left): (Option<Vec<u8>>, i64) = self
            .ask(|mut open| {
                let mut both = pipe();
                both.atomic().cmd("GET").arg(&name).cmd("PTTL").arg(&name);
                async move { both.query_async(&mut open.connection).await }
            })
            .await?;
        let Some(value) = value else { return Ok(None) };
        let entry = codec::unwrap(&self.0.codec, &value, self.0.bare)?;
        let remaining = match left {
            -1 => None,
            // It ends while we look.
            0 | -2 => return Ok(None),
            left => Some(Duration::from_millis(left.unsigned_abs())),
        };
        Ok(Some(Entry { remaining, ..entry }))
    }

    async fn set(&self, key: &K, entry: Entry<V>) -> Result<(), CacheError> {
        match self.wrapped(Some(&entry))? {
            Some((value, time)) => self.change(key, "set", value, time).await.map(drop),
            None => CacheAdapter::<K, V>::delete(self, key).await,
        }
    }

    async fn delete(&self, key: &K) -> Result<(), CacheError> {
        let change = self.change(key, "delete", Vec::new(), String::new());
        change.await.map(drop)
    }

    async fn add(&self, key: &K, entry: Entry<V>) -> Result<bool, CacheError> {
        match self.wrapped(Some(&entry))? {
            Some((value, time)) => self.change(key, "add", value, time).await,
            None => Ok(false),
        }
    }

    async fn clear(&self) -> Result<(), CacheError> {
        for names in self.names().await?.chunks(1000) {
            let () = self
                .ask(|mut open| {
                    let mut unlink = cmd("UNLINK");
                    unlink.arg(names);
                    async move { unlink.query_async(&mut open.connection).await }
                })
                .await?;
        }
        Ok(())
    }

    async fn mark(&self, key: &K, mark: u64, hold: Duration) -> Result<(), CacheError> {
        let (mark, hold) = (mark.to_string(), millis(hold));
        let arguments = [mark.as_bytes(), hold.as_bytes(), b"", b""];
        self.run(&self.0.scripts.mark, key, arguments)
            .await
            .map(drop)
    }

    async fn settle(
        &self,
        key: &K,
        mark: u64,
        hold: Duration,
        entry: Option<Entry<V>>,
    ) -> Result<bool, CacheError> {
        let (value, time) = self.wrapped(entry.as_ref())?.unwrap_or_default();
        let (mark, hold) = (mark.to_string(), millis(hold));
        let arguments = [mark.as_bytes(), hold.as_bytes(), &value, time.as_bytes()];
        self.run(&self.0.scripts.settle, key, arguments).await
    }

    async fn lease(&self, key: &K, lease: u64, hold: Duration) -> Result<bool, CacheError> {
        let (lease, hold) = (lease.to_string(), millis(hold));
        let arguments = [lease.as_bytes(), hold.as_bytes(), b"", b""];
        self.run(&self.0.scripts.lease, key, arguments).await
    }

    async fn fill(&self, key: &K, lease: u64, entry: Option<Entry<V>>) -> Result<bool, CacheError> {
        let (value, time) = self.wrapped(entry.as_ref())?.unwrap_or_default();
        let lease = lease.to_string();
        let arguments = [lease.as_bytes(), &value, time.as_bytes(), b""];
        self.run(&self.0.scripts.fill, key, arguments).await
    }

    async fn list(&self) -> Result<Vec<K>, CacheError> {
        let names = self.names().await?.into_iter();
        let keys = names.filter_map(|name| {
            let key = name.get(self.0.prefix.len()..)?.to_vec();
            // Somebody else's, if it is no key of this kind.
            K::from_redis_value(Value::BulkString(key)).ok()
        });
        Ok(keys.collect())
    }
}

impl<C> Clone for RedisCache<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Without the address: it may hold a password.
impl<C> fmt::Debug for RedisCache<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisCache")
            .field("prefix", &self.0.prefix)
            .field("limit", &self.0.limit)
            .field("bare", &self.0.bare)
            .finish_non_exhaustive()
    }
}
