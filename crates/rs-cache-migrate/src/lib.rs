//! Moves live traffic from one cache to another, and never serves a wrong value on the way.
//!
//! A cache is easy to replace and hard to replace under load: two caches that are both written drift apart,
//! a copier brings deleted keys back, a rollback serves what was right an hour ago. Here changes of a key
//! reach both caches in one order, what may be wrong is not read, and the way back is one atomic store.
//!
//! ```
//! use rs_cache_migrate::{CacheMigration, Lookup, MigrationConfig, TtlCache};
//! use rs_core::Mandate;
//! use std::time::Duration;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let old = TtlCache::new(Duration::from_secs(3600));
//! let new = TtlCache::new(Duration::from_secs(3600));
//! let prompts = CacheMigration::new("prompts", old, new, MigrationConfig::default())?;
//!
//! // What used to go to the old cache goes through the migration, and nothing around it.
//! let key = "greeting".to_owned();
//! prompts.set(&key, "Hello!", Duration::from_secs(3600)).await?;
//!
//! // off -> dual_write -> shadow -> live 10% -> 25% -> 50% -> 100% -> ramp_down -> complete
//! while !prompts.is_complete() {
//!     prompts.advance(Mandate::new("anna", "the metrics look well")).await?;
//!     assert_eq!(prompts.get(&key).await?, Lookup::Hit("Hello!"));
//! }
//! println!("{}", prompts.report());
//! # Ok(()) }
//! ```
//!
//! And back, from any stage but the last, whatever is broken:
//!
//! ```
//! # use rs_cache_migrate::{CacheMigration, MigrationConfig, Stage, TtlCache};
//! # use rs_core::Mandate;
//! # use std::time::Duration;
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (old, new) = (TtlCache::<String, u8>::new(Duration::MAX), TtlCache::new(Duration::MAX));
//! # let prompts = CacheMigration::new("prompts", old, new, MigrationConfig::default())?;
//! # prompts.advance(Mandate::new("anna", "")).await?;
//! let state = prompts.rollback(Mandate::new("anna", "p99 doubled"))?;
//! assert_eq!(state.stage, Stage::Off);
//! # Ok(()) }
//! ```
//!
//! # When not
//!
//! - A cache that may start empty: switch, and let it fill. A migration is for a hit ratio that may not drop.
//! - Data that must not be lost: a cache may lose entries, and where this crate does not know it says miss.
//! - A cache in each process on one side and one for all on the other: they never had the same.
//!
//! # Stages
//!
//! | stage | reads | writes and deletes | a change is Ok if |
//! |---|---|---|---|
//! | `off` | legacy | legacy | legacy says so |
//! | `dual_write` | legacy | both | legacy says so |
//! | `shadow` | legacy; a sample is compared | both | legacy says so |
//! | `live` | a share of the keys from new, what is missing from legacy, which promotes it | both | legacy says so |
//! | `ramp_down` | new | both | new says so |
//! | `complete` | new | new | new says so |
//!
//! Steps go to a neighbour only. A step waits until no change is under way that does not know of the last one,
//! and for [`with_propagation`](MigrationConfig::with_propagation) where several processes must hear of it. A
//! rollback waits for nobody, leads to `off`, and stays there until somebody releases it. `complete` is the
//! end: legacy may be thrown away then.
//!
//! Shares follow from a salted hash that is the same in every process and version: the keys of 10 % are among
//! those of 25 %. They gate reads only.
//!
//! # Why nothing wrong is served
//!
//! - Changes of one key exclude each other, over both caches. A promotion and a backfill are such changes, and
//!   read legacy again under the key's lock: they cannot bring back what was deleted, or renew what was.
//! - What is promoted lives for the time that it has left, never longer.
//! - Each try has a number, the *epoch*, that every entry of new carries. After a rollback it is another, and
//!   what was left in new is not read. A cache that cannot keep it is cleared before the next try.
//! - If a cache fails in the middle of a change, it shall have nothing under the key. If that fails too, or the
//!   caller goes away, the key is *doubtful* there and is not read there until a change got through.
//!   More than [`with_doubts`](MigrationConfig::with_doubts) of them in new roll the migration back; in legacy,
//!   it is read as empty until it was cleared.
//! - A negative entry ([`Lookup::Absent`]) is an answer: legacy is not asked.
//!
//! A read that overlaps a change may see the value before or after it, as with any cache.
//!
//! # Several processes
//!
//! Where several processes write the same keys of the same two caches, a lock in one of them orders nothing.
//! [`shared_by_processes`](MigrationConfig::shared_by_processes) keeps the caches alike without a common clock and
//! without versions in legacy, which stays as it is and orders the changes by itself:
//!
//! 1. New is told that the key will change: it drops the entry and keeps a *mark* for some seconds.
//! 2. Legacy is changed, now or never: what is late by the clock of its server is not carried out.
//! 3. New gets the value and drops the mark. If two marks met, it keeps nothing until the key is promoted.
//!
//! A promotion takes a *lease* in new before it reads legacy, and a mark takes the lease away. So what new has
//! under a key is what legacy has, at every moment and for every process.
//!
//! | what happens in the middle | what others see |
//! |---|---|
//! | a process dies, hangs, is cut off | the key is a miss in new until the mark lapses; legacy has the value before or after |
//! | new is down, asleep or cut off | reads fall back; a change fails and nothing has changed. After as many keys as [`with_doubts`](MigrationConfig::with_doubts) says, the process rolls back |
//! | legacy is down, asleep or cut off | a change fails, and may have happened or not: within its limit or never |
//! | new is started again without its data | it takes changes and copies only when every mark it may have forgotten has lapsed |
//! | after a rollback | for the propagation bound, or until the fleet has acknowledged it, a change is still announced to new, which others may read |
//!
//! A read sees the value before or after a change that it overlaps, and no process sees an older one after
//! another has seen a newer. What is promised stands on three things: every process hears of a step within
//! [`with_propagation`](MigrationConfig::with_propagation), one that starts later [joins](CacheMigration::join) where
//! the others stand, and new forgets no mark that it has acknowledged and remembers what was there before: it
//! evicts none, and keeps either nothing over a restart or, with `appendfsync always`, everything. Where legacy
//! forgets what it acknowledged, it does so with and without a migration.
//!
//! # A fleet
//!
//! With [`join_fleet`](CacheMigration::join_fleet) all replicas of a service stand where a record in a Redis says
//! (`RedisFleet`, feature `redis`), and [`CacheMigration::run`] keeps each among them:
//!
//! - A step is taken for all, by whomever it is ordered. It is refused until every live replica has acknowledged
//!   the last one, which it does when no change is under way that does not know of it. So two are never further apart
//!   than one step, and nobody has to guess how long the news takes.
//! - A replica hears of a step within an eighth of a lease, at most a second, and the limit of one operation.
//! - A rollback is taken at once where it is decided, with the record or without, and by all when they hear of it. It
//!   stays until one of them is told to release it.
//! - While the record is away, all stay where they are, and every step but a rollback is refused.
//! - A replica that does not reach the record is *cut off* after three quarters of a lease, by its own clock; after a
//!   whole one the others go on without it. If the caches are shared, it reads legacy then and keeps nothing in new,
//!   which is right wherever they stand. Only the last step could make it wrong, and that waits until who was
//!   lost comes back, or somebody [forgets](CacheMigration::forget_lost) them.
//! - A record that was lost is restored by whoever is left, and takes no step for one lease.
//!
//! Each replica measures by itself: the first that has seen enough steps on for all, and the first that has seen too
//! much goes back for all.
//!
//! # Caches
//!
//! | | TTL | says what is left | negative | epoch | adds | lists keys | counts | bytes |
//! |---|---|---|---|---|---|---|---|---|
//! | [`TtlCache`]: map in shards with a sweep | yes | yes | yes | yes | yes | yes | yes | [weighed](TtlCache::weighing) |
//! | `ModularCache`: storage, TTL manager, metrics; on moka | yes | yes | yes | yes | no | yes | yes | weighed |
//! | `moka::sync::Cache<K, Stored<V>>`, `moka::future::Cache<K, Stored<V>>` | yes | yes | yes | yes | no | yes | no | its weigher |
//! | `quick_cache::sync::Cache<K, Stored<V>>` | in the entry | yes | yes | yes | no | yes | no | its weighter |
//! | `dashmap::DashMap<K, Stored<V>>` | in the entry | yes | yes | yes | yes | yes | no | no |
//! | `RedisCache`: a server, with a codec | yes | yes | yes | yes | yes | yes | no | no |
//! | `RedisCache::bare`: values as others wrote them | yes | yes | no | no | yes | yes | no | no |
//! | [`TwoLevel`]: one of these before another | both | near: how long it is near | both | both | far | far | far | far |
//! | your own | [`Capabilities`] say so | | | | | | | [`bytes`](CacheAdapter::bytes) |
//!
//! | what the legacy shape says | what the modular shape says | what callers say |
//! |---|---|---|
//! | `stop` | `shutdown` | [`CacheMigration::shutdown`] |
//! | `size` | `keys().len()` | [`CacheAdapter::entries`] |
//! | `get_detailed_metrics` | `get_stats` | [`CacheAdapter::stats`] |
//! | `TtlCache::new(ttl)` | `ModularCache::new(config)` | [`CacheMigration::new`] |
//!
//! What a cache cannot do costs something, and each flag of [`Capabilities`] says what.
//!
//! # Defaults
//!
//! | | default | set by |
//! |---|---|---|
//! | steps of `live` | 10, 25, 50, 100 % | [`with_steps`](MigrationConfig::with_steps), in hundredths of a per cent |
//! | salt | the name | [`with_salt`](MigrationConfig::with_salt) |
//! | first epoch | 1 | [`with_epoch`](MigrationConfig::with_epoch) |
//! | other processes hear of a step within | 0 s: there are none | [`with_propagation`](MigrationConfig::with_propagation) |
//! | not worth promoting | less than 100 ms left | [`with_promotion_floor`](MigrationConfig::with_promotion_floor) |
//! | reads that are compared | 1 % | [`with_shadow`](MigrationConfig::with_shadow) |
//! | an operation may take | what the cache says: no limit in the process, 1 s for Redis | [`with_limit`](MigrationConfig::with_limit) |
//! | reads that may fall back | all | [`with_fallbacks`](MigrationConfig::with_fallbacks) |
//! | does by itself | says what it would do | [`with_pilot`](MigrationConfig::with_pilot) |
//! | doubtful keys | 4096 in each cache | [`with_doubts`](MigrationConfig::with_doubts) |
//!
//! # In the background
//!
//! [`CacheMigration::run`] judges what is measured, compares what shadow reads brought (a queue of 256; what comes to a full one is
//! dropped and counted), removes what is doubtful and settles steps. Give it to a task. Without it nothing is
//! wrong, but doubtful keys stay misses until they are written. [`CacheMigration::backfill`] copies at a given
//! rate what is not read often enough to come by itself. It can be stopped and goes on where it was.
//!
//! A comparison needs to know when values are the same: [`CacheMigration::comparing`]. A difference is looked at
//! again under the key's lock before it counts.
//!
//! # Who decides
//!
//! Somebody does, in code or through the [`Directory`](rs_core::Directory): `advance`, `step_back`, `set_share`,
//! `rollback`, `release`, `hold`, `resume`, each with author and reason. Or the migration does while it
//! [runs](CacheMigration::run): it counts what both caches are asked, times some of it, and [`Gates`] judge one
//! window after another. [`PilotConfig`] says how much it may do by itself:
//!
//! ```
//! use rs_cache_migrate::{MigrationConfig, PilotConfig, PilotMode};
//!
//! let by_itself = PilotConfig::default().with_mode(PilotMode::Automatic);
//! let config = MigrationConfig::default().with_pilot(by_itself);
//! # config.check()?;
//! # Ok::<(), rs_core::ConfigError>(())
//! ```
//!
//! | mode | goes on | rolls back |
//! |---|---|---|
//! | `DryRun`, the default | says that it would | says that it would |
//! | `Guard` | by order | by itself |
//! | `Automatic` | by itself, up to [`up_to`](PilotConfig::up_to) | by itself |
//!
//! | rule | new, in this window and since the step | goes back | goes on |
//! |---|---|---|---|
//! | errors | reads that it failed, by all that it was asked | surely above 0.1 %, or what legacy fails | surely below |
//! | failed changes | the same of sets and deletes | surely above | surely below, in `dual_write` |
//! | times | p50, p95, p99 by those of legacy | surely 8, 15, 30 % and 5 µs slower | not slower than that |
//! | throughput | what a caller is answered in a second of waiting | surely below 95 % of legacy | not below |
//! | hit ratio | what legacy would have had as well | surely 5 points lower, and not rising | not lower |
//! | fallbacks | what legacy had to answer | | below 2 % |
//! | memory | bytes of an entry and of all, if [known](CacheAdapter::bytes) | 15 % above legacy | not above |
//! | different values | of those compared | surely above 0.01 % | |
//!
//! New is measured by legacy at the same time: where callers ask both, by that; where they ask one only, by the
//! shadow reads, which ask both for the same key. *Surely* means beyond chance, so it takes longer to
//! find 10 % than 50 %. Three bad windows of ten seconds of the last four roll back, 30 good ones in a row
//! advance; the first after a step does not count, and no data holds. A few reads that all fail need no minimum.
//! [`MigrationReport`] says what was seen at each stage, what was decided, when, by whom, on what evidence, and
//! how long it will still take.
//!
//! [`Flags`] such as `MIGRATION_USE_NEW_CACHE` and `MIGRATION_PERCENTAGE` bound all that from outside: from the
//! environment ([`EnvFlags`]), a file ([`FileFlags`]), a hash in Redis that all replicas read (`RedisFlags`) or any
//! [`FlagSource`], looked at again and again by
//! [`CacheMigration::follow`]. What stands beyond them goes back; they take nothing further. While they cannot be
//! read, the last ones count and nothing goes on by itself.
//!
//! # What it costs
//!
//! One thread, [`TtlCache`], keys of 24 bytes, thin LTO, the best of 30 rounds in nanoseconds, several runs on a shared
//! machine of two processors: a hit of the bare cache 63, in `off` 60, `complete` 62 to 65, `dual_write` 73 to 79, `shadow`
//! with one read in a hundred compared 73 to 80, `live` with all keys and `ramp_down` 87 to 100, with half of the keys 112,
//! for a key is hashed in the same way everywhere (15). A change of both bare caches 150, through the migration 190, in `complete` 87
//! where the bare cache takes 72. Reads take no lock; `off` and `complete` read two words and count nothing.
//! A cache that [need not wait](CacheAdapter::get_at_once) is asked without a future; for others a read and a change
//! allocate one.
//!
//! # Metrics
//!
//! | metric | kind | labels | what it says |
//! |---|---|---|---|
//! | `migration_legacy_hits_total` | counter | `migration` | reads that legacy answered; not counted while off |
//! | `migration_new_hits_total` | counter | `migration` | reads that new answered; not counted once complete |
//! | `migration_misses_total` | counter | `migration` | reads that nobody answered who was asked |
//! | `migration_fallbacks_total` | counter | `migration` | reads that new could not answer and legacy did |
//! | `migration_fallbacks_refused_total` | counter | `migration` | reads that new could not answer while too many fell back |
//! | `migration_promotions_total` | counter | `migration` | entries that came over |
//! | `migration_errors_total` | counter | `migration`, `side`, `operation` | what a cache did not do |
//! | `migration_shadow_reads_total` | counter | `migration`, `comparison` | compared reads |
//! | `migration_shadow_dropped_total` | counter | `migration` | reads that were not compared: too many waited |
//! | `migration_rollbacks_total` | counter | `migration` | rollbacks |
//! | `migration_windows_total` | counter | `migration`, `finding` | windows that the gates judged |
//! | `migration_stage` | gauge | `migration`, `stage` | 1 for the stage it is in |
//! | `migration_doubtful_keys` | gauge | `migration`, `side` | keys that a cache may be wrong about |
//!
//! # Signals
//!
//! | signal | severity | words |
//! |---|---|---|
//! | `stepped` | info | took a step, 25% of the keys are read from new |
//! | `rolled_back` | warning | rolled back, everything goes to legacy; the next try has number 2 |
//! | `released` | info | may go on after a rollback |
//! | `would_advance`, `would_roll_back` | info, warning | would roll back, but for the dry run |
//! | `holds`, `resumed` | info | goes no further by itself |
//! | `flags_changed`, `flags_away` | info, warning | cannot read its flags, goes by the last and no further |
//! | `record_away`, `record_back` | warning, info | cannot reach the record of its fleet, stays where it is and goes no further |
//! | `cut_off` | warning | has not reached the record of its fleet for most of a lease |
//! | `legacy_void` | warning | cannot believe the legacy cache any more, more than 4096 keys are doubtful |
//! | `legacy_cleared` | info | cleared the legacy cache and believes it again |
//! | `reconfigured`, `reconfiguration_refused` | info, warning | has new rules, version 2 |
//!
//! # Cancel safety
//!
//! Every future may be dropped at any await. A read that is dropped is forgotten. A change that is dropped
//! before it began has not happened; in the middle, its key is a miss until it is changed again or was removed.
//!
//! A cache over a network may still carry out a change whose future was dropped, after later ones. An adapter
//! must send the changes of a key in order, as one connection does.
//!
//! # Not yet
//!
//! - **Two levels for several processes**: nobody tells the memory of one what another changed.
//! - **Which loss was it?** With servers that are killed, paused and cut off, the race of two processes ended with
//!   one wrong value in one of three runs on Redis with `appendfsync everysec`, and in none of three with `always`,
//!   which its test uses. That the server had forgotten what it acknowledged is likely and not shown.
//! - **A dual write at 1.15 times the two caches.** It takes 1.25 times: the lock of the key is two atomic exchanges and a
//!   hash, and the rest is not found.
//! - **The same in every program**: it depends on what the compiler folds into the caller. Without link-time optimisation a hit
//!   in `off` took 69 beside 73 of the bare cache in one program, and 87 beside 65 in another.
//! - **95 % of the bare cache's throughput at every stage**, for hits in the process: `off` and `complete` do that with link-time optimisation,
//!   `live` does two thirds.
//! - **Bytes of a Redis, and of a bare DashMap**: the memory gate says nothing there.
//! - **One verdict of a fleet**: each replica judges what it has measured itself.
//!
//! # Features
//!
//! | feature | gives |
//! |---|---|
//! | `serde` | configuration from files, `reconfigure` through the directory |
//! | `moka` | `ModularCache`, and moka's `sync` and `future` caches as a side of a migration |
//! | `quick-cache` | quick_cache's cache as a side of a migration |
//! | `redis` | `RedisCache`, migrations that several processes share, fleets, flags in Redis |
//! | `json` | the codec `AsJson` |
mod adapter;
mod backfill;
mod caches;
mod config;
mod control;
mod doubt;
mod error;
mod event;
mod flags;
mod fleet;
mod gates;
mod hot;
mod inner;
mod key;
mod ledger;
mod limit;
mod lookup;
mod meter;
pub mod metrics;
mod migration;
mod order;
mod pilot;
mod report;
mod shadow;
mod shared;
mod state;
mod steps;
mod sync;
mod tend;
mod write;

/// What everything lives in; see its own page.
pub use rs_metrics::Surroundings;

pub use adapter::{CacheAdapter, CacheStats, Capabilities, Entries};
pub use backfill::{Backfill, BackfillConfig, BackfillError, BackfillProgress};
#[cfg(feature = "json")]
pub use caches::AsJson;
#[cfg(feature = "redis")]
pub use caches::{AsBytes, Codec, RedisCache};
pub use caches::{DetailedMetrics, Stored, TtlCache, TwoLevel};
#[cfg(feature = "moka")]
pub use caches::{ModularCache, ModularCacheConfig};
pub use config::MigrationConfig;
pub use doubt::Side;
pub use error::CacheError;
pub use flags::{EnvFlags, FileFlags, FlagSource, Flags, FlagsError};
pub use fleet::FleetReport;
#[cfg(feature = "redis")]
pub use fleet::{FleetError, RedisFlags, RedisFleet};
pub use gates::{Finding, Gates, GatesConfig, Judged, Ruling, SideWindow, Verdict, Window};
pub use key::MigrationKey;
pub use ledger::Decision;
pub use lookup::{Entry, Lookup};
pub use meter::Times;
pub use migration::CacheMigration;
pub use pilot::{PilotConfig, PilotMode, StageSeen};
pub use report::{MigrationReport, PilotReport};
pub use shadow::Comparison;
pub use state::{MigrationState, Stage, StepRefused};
