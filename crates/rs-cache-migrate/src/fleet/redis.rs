use std::{collections::HashMap, fmt, time::Duration};

use redis::{Client, Script, cmd};
use rs_core::{ConfigError, config};

use super::{Joined, Proposal, Refused, Seen, Standing, Store, Visit, store::Answer};
use crate::{CacheError, FlagSource, Flags, FlagsError, Stage, caches::redis::link::Link};

/// A Redis that keeps where all replicas of a service stand: one server, Redis 6.2 or later. It need not be one of
/// the caches.
///
/// ```
/// use rs_cache_migrate::{CacheMigration, MigrationConfig, RedisFleet, TtlCache};
/// use std::time::Duration;
///
/// # async fn start(old: TtlCache<String, u8>, new: TtlCache<String, u8>) -> Result<(), Box<dyn std::error::Error>> {
/// let prompts = CacheMigration::new("prompts", old, new, MigrationConfig::default())?;
/// let fleet = RedisFleet::new("redis://flags.internal/", "pod-17")?.with_lease(Duration::from_secs(20));
/// prompts.join_fleet(fleet).await?;
/// # Ok(()) }
/// ```
///
/// Each replica has a name of its own; one that is started again may have the name that it had. It says every eighth
/// of a lease, and at least once a second, where it stands. So it hears of a step within that time and the limit of
/// one operation, and no step is taken that a live replica has not acknowledged.
///
/// It may forget what it has as long as a replica runs, which restores it. Where all of them may be gone as well, let it
/// keep its data, or begin with an empty new cache or another [epoch](crate::MigrationConfig::with_epoch): else
/// entries of an earlier try count as those of the first. Who sets its clock forward by seconds makes live replicas look
/// lost before they know.
///
/// | key | holds |
/// |---|---|
/// | `rs-fleet:{migration}` | where all stand: a hash of `revision`, `stage`, `share`, `epoch`, `held`, `why`, `born` |
/// | `rs-fleet-leases:{migration}` | until when each replica is live |
/// | `rs-fleet-acknowledged:{migration}` | what each has acknowledged |
pub struct RedisFleet {
    link: Link,
    replica: String,
    prefix: String,
    lease: Duration,
    limit: Duration,
}

impl RedisFleet {
    /// What its user must be allowed to do on these keys.
    pub const COMMANDS: &[&str] = &[
        "client|info",
        "client|kill",
        "evalsha",
        "hdel",
        "hget",
        "hset",
        "script|load",
        "time",
        "zadd",
        "zcard",
        "zrangebyscore",
        "zrem",
    ];

    /// The Redis at this URL, and the name of this replica.
    ///
    /// # Errors
    /// When it is no such URL.
    pub fn new(url: &str, replica: impl Into<String>) -> Result<Self, CacheError> {
        Ok(Self::with_client(
            Client::open(url).map_err(CacheError::failed)?,
            replica,
        ))
    }

    /// The Redis of this client, and the name of this replica.
    #[must_use]
    pub fn with_client(client: Client, replica: impl Into<String>) -> Self {
        Self {
            link: Link::new(client),
            replica: replica.into(),
            prefix: String::new(),
            lease: Duration::from_secs(30),
            limit: Duration::from_secs(1),
        }
    }

    /// All of its keys begin with this.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// A replica that was not heard of for this long is lost, and is not waited for; it knows that a quarter
    /// earlier. Half a minute unless it is given, and the same for all replicas. So long a new record takes no step,
    /// for there may be replicas that it does not know.
    #[must_use]
    pub const fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// An operation may take this long instead of a second.
    #[must_use]
    pub const fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// Which field is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let lease = Duration::from_millis(200)..=Duration::from_secs(3600);
        config::time_in_range("lease", self.lease, lease)?;
        let limit = Duration::from_millis(1)..=self.lease / 2;
        config::time_in_range("limit", self.limit, limit)?;
        if self.replica.is_empty() {
            return Err(ConfigError::missing("replica"));
        }
        Ok(())
    }

    pub(crate) fn member(self, migration: &str) -> Joined {
        let key = |what: &str| format!("{}rs-fleet{what}:{migration}", self.prefix);
        Joined {
            every: rhythm(self.lease),
            lease: self.lease,
            replica: self.replica,
            store: Box::new(Record {
                keys: [key(""), key("-leases"), key("-acknowledged")],
                visit: Script::new(include_str!("visit.lua")),
                propose: Script::new(include_str!("propose.lua")),
                leave: Script::new(include_str!("leave.lua")),
                limit: self.limit,
                link: self.link,
            }),
        }
    }
}

/// Without the address: it may hold a password.
impl fmt::Debug for RedisFleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisFleet")
            .field("replica", &self.replica)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

/// So often it says where it stands: often enough that one missed visit cuts nobody off.
fn rhythm(lease: Duration) -> Duration {
    (lease / 8).min(Duration::from_secs(1))
}

struct Record {
    link: Link,
    keys: [String; 3],
    limit: Duration,
    visit: Script,
    propose: Script,
    leave: Script,
}

type Visited = ((u64, u8, u16, u32, u8, u32, u32, u32, u8), String);

impl Store for Record {
    fn visit<'a>(&'a self, visit: Visit<'a>) -> Answer<'a, Seen> {
        Box::pin(async move {
            let mut script = self.visit.prepare_invoke();
            let (epoch, why) = visit.rolled_back.unzip();
            script
                .key(&self.keys)
                .arg(visit.replica)
                .arg(visit.lease.as_millis() as u64)
                .arg(visit.revision)
                .arg(u8::from(visit.acknowledges));
            put(&mut script, visit.standing);
            script
                .arg(epoch.map_or(String::new(), |epoch| epoch.to_string()))
                .arg(why.unwrap_or_default());
            let asked = self.link.ask(self.limit, |mut open| async move {
                let answer: Visited = script.invoke_async(&mut open.connection).await?;
                Ok(answer)
            });
            let (numbers, why) = asked.await?;
            let (revision, stage, share, epoch, held, live, waiting, lost, young) = numbers;
            Ok(Seen {
                revision,
                standing: Standing {
                    stage: stage_of(stage),
                    share,
                    epoch,
                    held: held == 1,
                },
                why,
                live,
                waiting,
                lost,
                young: young == 1,
            })
        })
    }

    fn propose<'a>(&'a self, proposal: Proposal<'a>) -> Answer<'a, Result<(), Refused>> {
        Box::pin(async move {
            let mut script = self.propose.prepare_invoke();
            script
                .key(&self.keys)
                .arg(proposal.lease.as_millis() as u64)
                .arg(proposal.revision)
                .arg(u8::from(proposal.at_once));
            put(&mut script, proposal.standing);
            script.arg(proposal.why);
            let asked = self.link.ask(self.limit, |mut open| async move {
                let answer: (u8, u64) = script.invoke_async(&mut open.connection).await?;
                Ok(answer)
            });
            let (code, much) = asked.await?;
            let count = u32::try_from(much).unwrap_or(u32::MAX);
            Ok(match code {
                0 => Ok(()),
                2 => Err(Refused::Waiting(count)),
                3 => Err(Refused::Young(Duration::from_millis(much))),
                4 => Err(Refused::Lost(count)),
                _ => Err(Refused::Overtaken),
            })
        })
    }

    fn leave<'a>(&'a self, replica: &'a str) -> Answer<'a, ()> {
        Box::pin(async move { self.remove(replica).await.map(drop) })
    }

    fn forget(&self) -> Answer<'_, u64> {
        Box::pin(self.remove(""))
    }
}

impl Record {
    async fn remove(&self, replica: &str) -> Result<u64, CacheError> {
        let [_, leases, acknowledged] = &self.keys;
        let mut script = self.leave.prepare_invoke();
        script.key(leases).key(acknowledged).arg(replica);
        let asked = self.link.ask(self.limit, |mut open| async move {
            let gone: u64 = script.invoke_async(&mut open.connection).await?;
            Ok(gone)
        });
        asked.await
    }
}

fn put(script: &mut redis::ScriptInvocation<'_>, standing: Standing) {
    script
        .arg(standing.stage as u8)
        .arg(standing.share)
        .arg(standing.epoch)
        .arg(u8::from(standing.held));
}

fn stage_of(number: u8) -> Stage {
    use rs_core::Label;
    let known = Stage::ALL.get(usize::from(number));
    known.copied().unwrap_or(Stage::Off)
}

/// Flags that all replicas read from a hash in Redis: `HSET migration:flags MIGRATION_PERCENTAGE 25%`.
///
/// [`follow`](crate::CacheMigration::follow) says how often they are looked at; so a flag is in force everywhere
/// within that time and the limit of one operation. While Redis cannot be reached, the last ones count and nothing
/// goes on by itself; see [`Flags`].
pub struct RedisFlags {
    link: Link,
    key: String,
    limit: Duration,
}

impl RedisFlags {
    /// The Redis at this URL, and the key of the hash.
    ///
    /// # Errors
    /// When it is no such URL.
    pub fn new(url: &str, key: impl Into<String>) -> Result<Self, CacheError> {
        Ok(Self::with_client(
            Client::open(url).map_err(CacheError::failed)?,
            key,
        ))
    }

    /// The Redis of this client, and the key of the hash.
    #[must_use]
    pub fn with_client(client: Client, key: impl Into<String>) -> Self {
        Self {
            link: Link::new(client),
            key: key.into(),
            limit: Duration::from_secs(1),
        }
    }

    /// Reading them may take this long instead of a second.
    #[must_use]
    pub const fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }
}

impl fmt::Debug for RedisFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisFlags")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl FlagSource for RedisFlags {
    async fn read(&self, migration: &str) -> Result<Flags, FlagsError> {
        let mut all = cmd("HGETALL");
        all.arg(&self.key);
        let asked = self.link.ask(self.limit, |mut open| async move {
            let all: HashMap<String, String> = all.query_async(&mut open.connection).await?;
            Ok(all)
        });
        let all = asked
            .await
            .map_err(|error| FlagsError::Away(error.to_string()))?;
        Ok(Flags::of(migration, all)?)
    }
}
