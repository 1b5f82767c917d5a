use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64 as Plain, Ordering::Relaxed},
    },
    time::Duration,
};

use rs_core::{ConfigError, Mandate, Name, Share, hash};
use rs_metrics::{
    Surroundings,
    pattern::{Announcements, Home, Rules},
};

use crate::{
    Backfill, BackfillConfig, BackfillError, CacheAdapter, CacheError, Comparison, Entry,
    FlagSource, Lookup, MigrationConfig, MigrationKey, MigrationReport, MigrationState, Side,
    Stage, StepRefused,
    doubt::Doubts,
    fleet::{Membership, Ordered},
    inner::{Inner, Shared},
    ledger::Ledger,
    limit::{Fallbacks, Limits},
    meter::Meter,
    metrics::{self, Counters},
    order::Order,
    pilot::Pilot,
    shadow::Shadow,
    state::{Word, hundredths},
    sync::AtomicU64,
};

/// Two caches as one, while traffic moves from the first to the second.
///
/// It is a handle: clones are the same migration. See the [crate's page](crate) for what each stage does.
pub struct CacheMigration<K, V, L, N>(Shared<K, V, L, N>);

static ANNOUNCED: Announcements = Announcements::of("cache_migration");

impl<K, V, L, N> CacheMigration<K, V, L, N>
where
    K: MigrationKey,
    V: Clone + Send + Sync + 'static,
    L: CacheAdapter<K, V>,
    N: CacheAdapter<K, V>,
{
    /// A migration of this name, off. Everything goes through it from now on: what bypasses it is not
    /// written to both.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`MigrationConfig::check`].
    pub fn new(
        name: impl Into<Name>,
        legacy: L,
        new: N,
        config: MigrationConfig,
    ) -> Result<Self, ConfigError> {
        Self::within(&Surroundings::of_process(), name, legacy, new, config)
    }

    /// The same in these surroundings.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`MigrationConfig::check`].
    pub fn within(
        around: &Surroundings,
        name: impl Into<Name>,
        legacy: L,
        new: N,
        config: MigrationConfig,
    ) -> Result<Self, ConfigError> {
        Self::make(
            around,
            name.into(),
            (legacy, new),
            config,
            Shadow::new(None),
        )
    }

    /// The same, and shadow reads compare values. Without, they cannot be told apart and are not compared.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`MigrationConfig::check`].
    pub fn comparing(
        around: &Surroundings,
        name: impl Into<Name>,
        legacy: L,
        new: N,
        config: MigrationConfig,
        same: impl Fn(&V, &V) -> bool + Send + Sync + 'static,
    ) -> Result<Self, ConfigError> {
        let shadow = Shadow::new(Some(Arc::new(same)));
        Self::make(around, name.into(), (legacy, new), config, shadow)
    }

    fn make(
        around: &Surroundings,
        name: Name,
        (legacy, new): (L, N),
        config: MigrationConfig,
        shadow: Shadow<K, V>,
    ) -> Result<Self, ConfigError> {
        let rules = Rules::new(config)?;
        let config = rules.get();
        if config.shared() && !new.capabilities().marks {
            let why = "new cannot hold marks, so processes cannot share it";
            return Err(ConfigError::other(why).in_field("shared"));
        }
        let home = Home::new(around, name);
        let salt = match config.salt() {
            "" => name.as_str(),
            salt => salt,
        };
        let inner = Arc::new(Inner {
            counters: Counters::bind(&home.metrics(), name),
            at_once: !config.shared() && legacy.changes_at_once() && new.changes_at_once(),
            legacy_can: legacy.capabilities(),
            new_can: new.capabilities(),
            word: AtomicU64::new(Word::start(config.epoch()).0),
            order: Order::new(),
            doubts: Doubts::new(),
            meter: Meter::new(),
            fleet: Membership::new(Word::start(config.epoch())),
            pilot: Pilot::new(config.pilot(), around.clock().now()),
            shadow,
            sampled: Plain::new(sampled(config.shadow())),
            ledger: Mutex::new(Ledger::new(around.clock().now())),
            limits: Limits::new(
                config.limit(Side::Legacy).or(legacy.limit()),
                config.limit(Side::New).or(new.limit()),
            ),
            fallbacks: Fallbacks::new(config.fallbacks()),
            shared: config.shared(),
            born: around.clock().now(),
            stepped: Plain::new(0),
            stepping: tokio::sync::Mutex::new(()),
            salt: hash::stable(salt.as_bytes()),
            observed: Mutex::default(),
            legacy,
            new,
            rules,
            home,
        });
        let observed = [
            inner.home.observe(&metrics::STAGE, &inner, |of, stage| {
                f64::from(u8::from(of.word().stage() == stage))
            }),
            inner
                .home
                .observe(&metrics::DOUBTFUL_KEYS, &inner, |of, side| {
                    of.doubts.len(side) as f64
                }),
        ];
        let mut slot = inner
            .observed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        slot.extend(observed);
        drop(slot);
        inner.home.register(&inner);
        Ok(Self(inner))
    }

    /// What is kept under this key.
    ///
    /// # Errors
    /// When the cache that must answer fails. If new fails and legacy is kept up to date, legacy answers.
    ///
    /// # Cancel safety
    /// Dropping it forgets the read; an entry that was on its way to new is doubtful there and is removed.
    #[inline]
    pub fn get<'a>(
        &'a self,
        key: &'a K,
    ) -> impl Future<Output = Result<Lookup<V>, CacheError>> + Send + 'a {
        self.0.get(key)
    }

    /// Keeps this value for this long; for no time at all, removes what is there.
    ///
    /// # Errors
    /// When the cache fails that callers rely on in this stage: legacy until `live`, new from `ramp_down`.
    /// While both are written, none of them serves the value then, nor the one before: what cannot be removed
    /// is doubtful and is not served. While one is written, it is as if that cache stood alone. If only the
    /// other one fails, it is Ok.
    ///
    /// # Cancel safety
    /// Dropped in the middle, the key is doubtful: it is a miss until it is changed again or was removed.
    #[inline]
    pub fn set<'a>(
        &'a self,
        key: &'a K,
        value: V,
        ttl: Duration,
    ) -> impl Future<Output = Result<(), CacheError>> + Send + 'a {
        self.set_entry(key, Entry::of(value).lasting(ttl))
    }

    /// Keeps this entry: for all that [`set`](Self::set) cannot say, such as a negative one.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    ///
    /// # Cancel safety
    /// As [`set`](Self::set).
    #[inline]
    pub fn set_entry<'a>(
        &'a self,
        key: &'a K,
        entry: Entry<V>,
    ) -> impl Future<Output = Result<(), CacheError>> + Send + 'a {
        let has_time = entry.remaining != Some(Duration::ZERO);
        self.0.change(key, has_time.then_some(entry))
    }

    /// Keeps nothing under this key.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    ///
    /// # Cancel safety
    /// As [`set`](Self::set).
    #[inline]
    pub fn delete<'a>(
        &'a self,
        key: &'a K,
    ) -> impl Future<Output = Result<(), CacheError>> + Send + 'a {
        self.0.change(key, None)
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> MigrationState {
        self.0.word().state()
    }

    /// Stands where other processes stand that share the caches. Before anything goes through this one: a
    /// process that is off writes legacy alone, and new would not hear of it.
    ///
    /// # Errors
    /// [`StepRefused::Overtaken`] if a step was taken here already; or the share is none.
    pub fn join(
        &self,
        stage: Stage,
        share: Share,
        epoch: u32,
        mandate: Mandate,
    ) -> Result<MigrationState, StepRefused> {
        self.0.join((stage, share, epoch), mandate.into())
    }

    /// Stands where the other replicas stand from now on, and takes its steps with them: before anything goes
    /// through this one. [`run`](Self::run) keeps it among them.
    ///
    /// A step is taken for all, and only when every live replica has acknowledged the last one: it stands there and
    /// has no change under way that does not know of it. A [rollback](Self::rollback) is taken here at once,
    /// whether the record can be reached or not, and by the others as soon as they hear of it.
    /// While the record cannot be reached, this one stays where it is, and takes no step but a rollback. When that
    /// has lasted three quarters of a lease, the others may go on without it; if the caches are
    /// [shared](MigrationConfig::shared_by_processes), it reads legacy from then on and keeps nothing in new, which
    /// is right wherever they stand, until it hears of them again.
    ///
    /// # Errors
    /// When the lease or the limit is out of its range, a step was taken here already, or it has joined; then
    /// nothing has changed. When the record cannot be reached, it has joined and is cut off, and `run` goes on trying.
    ///
    /// # Cancel safety
    /// Dropped, it has joined or not; if it has, `run` does the rest.
    #[cfg(feature = "redis")]
    pub async fn join_fleet(
        &self,
        fleet: crate::RedisFleet,
    ) -> Result<MigrationState, crate::FleetError> {
        self.0.join_fleet(fleet).await
    }

    /// The replicas that were lost will not come back: somebody has seen to that. How many they were.
    /// Without, the last step waits for them, for they may still write legacy.
    ///
    /// # Errors
    /// When the record cannot be reached, or there is none.
    ///
    /// # Cancel safety
    /// Dropped, they are forgotten or not.
    #[cfg(feature = "redis")]
    pub async fn forget_lost(&self) -> Result<u64, crate::FleetError> {
        self.0.forget_lost().await
    }

    /// Takes the next step, and waits until no change is under way that does not know of it.
    ///
    /// # Errors
    /// When there is none, it was rolled back, or the last one may not be known everywhere yet.
    ///
    /// # Cancel safety
    /// Dropped, it has taken the step or not; [`state`](Self::state) tells. It is settled before the next in
    /// any case.
    pub async fn advance(&self, mandate: Mandate) -> Result<MigrationState, StepRefused> {
        self.0.advance(mandate.into()).await
    }

    /// Takes one step back.
    ///
    /// # Errors
    /// As [`advance`](Self::advance).
    ///
    /// # Cancel safety
    /// As [`advance`](Self::advance).
    pub async fn step_back(&self, mandate: Mandate) -> Result<MigrationState, StepRefused> {
        let at = self.0.word().bare();
        let _one = self.0.stepping.lock().await;
        self.0.settle().await;
        if let Some(joined) = self.0.fleet.joined() {
            let back = self
                .0
                .step_of_fleet(joined, Ordered::Back, at, mandate.into());
            return back.await;
        }
        let state = self.0.step_back(mandate.into())?;
        self.0.settle().await;
        Ok(state)
    }

    /// Reads this share of the keys from new, while it is live.
    ///
    /// # Errors
    /// As [`advance`](Self::advance); or it is not live.
    ///
    /// # Cancel safety
    /// As [`advance`](Self::advance).
    pub async fn set_share(
        &self,
        share: Share,
        mandate: Mandate,
    ) -> Result<MigrationState, StepRefused> {
        let at = self.0.word().bare();
        let _one = self.0.stepping.lock().await;
        self.0.settle().await;
        if let Some(joined) = self.0.fleet.joined() {
            let share = hundredths(share).ok_or(StepRefused::NotAShare)?;
            let step = self
                .0
                .step_of_fleet(joined, Ordered::Share(share), at, mandate.into());
            return step.await;
        }
        let state = self.0.set_share(share, mandate.into())?;
        self.0.settle().await;
        Ok(state)
    }

    /// Sends everything to legacy, at once, and stays there until it is [released](Self::release). Waits for
    /// nobody and needs no network; what is in new will never be read again.
    ///
    /// # Errors
    /// When it is complete, or rolled back already.
    pub fn rollback(&self, mandate: Mandate) -> Result<MigrationState, StepRefused> {
        let why = "ordered".to_owned();
        self.0.roll_back(Some(mandate), why)
    }

    /// It may go on after a rollback; `false` if it was not rolled back, or the record of its fleet cannot be reached.
    #[expect(
        clippy::must_use_candidate,
        reason = "what matters is that it may go on"
    )]
    pub fn release(&self, mandate: Mandate) -> bool {
        self.0.release(mandate)
    }

    /// Goes no further by itself until it may [resume](Self::resume); `false` if it holds already. It still
    /// rolls back by itself if its mode says so, and takes the steps that are ordered. In a fleet it holds this replica
    /// alone, and follows the others; `MIGRATION_HOLD` in flags that all read holds all.
    #[expect(clippy::must_use_candidate, reason = "what matters is that it holds")]
    pub fn hold(&self, mandate: Mandate) -> bool {
        self.0.hold(mandate)
    }

    /// May go on by itself after a [hold](Self::hold); `false` if it did not hold.
    #[expect(
        clippy::must_use_candidate,
        reason = "what matters is that it may go on"
    )]
    pub fn resume(&self, mandate: &Mandate) -> bool {
        self.0.resume(mandate)
    }

    /// Compares what both caches have under this key now, as a shadow read does.
    ///
    /// # Cancel safety
    /// Dropping it forgets the comparison.
    pub async fn compare(&self, key: &K) -> Comparison {
        self.0.compare(key).await
    }

    /// Copies what legacy has now.
    ///
    /// # Errors
    /// When the configuration is wrong, or legacy cannot list its keys.
    pub fn backfill(&self, config: BackfillConfig) -> Result<Backfill<K, V, L, N>, BackfillError> {
        Backfill::new(&self.0, config)
    }

    /// Judges what is measured and takes steps, as far as the [pilot](MigrationConfig::with_pilot) may; compares
    /// what shadow reads brought, removes what is doubtful, settles steps; for ever. Give it to a task or a
    /// worker; a second one waits for the first to end. Without it reads and writes are as right, doubtful keys
    /// stay misses until they are written, nothing is compared and nothing happens by itself.
    ///
    /// # Cancel safety
    /// Dropping it ends it; the next goes on.
    pub async fn run(&self) {
        self.0.run().await;
    }

    /// Goes by these flags, which are looked at so often; for ever. See [`Flags`](crate::Flags) for what they
    /// say. While they cannot be read, what they said last counts, and it goes no further by itself. Run it
    /// beside [`run`](Self::run), once.
    ///
    /// # Cancel safety
    /// Dropping it ends it; what the flags said last stays.
    pub async fn follow(&self, source: impl FlagSource, every: Duration) {
        self.0.follow(source, every).await;
    }

    /// How far it has come, and how.
    #[must_use]
    pub fn report(&self) -> MigrationReport {
        self.0.report()
    }

    /// Goes by other rules. Salt and epoch stay as they are.
    ///
    /// # Errors
    /// When they are wrong, or change what cannot change; the old ones stay in force.
    pub fn reconfigure(&self, config: MigrationConfig) -> Result<u64, ConfigError> {
        self.0.reconfigure(config)
    }

    /// Leaves its fleet, and ends what both caches do in the background, new first.
    ///
    /// # Cancel safety
    /// Dropped, one of them may not have ended yet; doing so twice is doing so once.
    pub async fn shutdown(&self) {
        self.0.leave_fleet().await;
        self.0.new.shutdown().await;
        self.0.legacy.shutdown().await;
    }
}

pub(crate) fn sampled(share: Share) -> u64 {
    (share.get() * 4_294_967_296.0) as u64
}

impl<K, V, L, N> Inner<K, V, L, N>
where
    L: CacheAdapter<K, V>,
    N: CacheAdapter<K, V>,
{
    pub(crate) fn reconfigure(&self, config: MigrationConfig) -> Result<u64, ConfigError> {
        let now = self.rules.get();
        let own = |side| match side {
            Side::Legacy => self.legacy.limit(),
            Side::New => self.new.limit(),
        };
        if config.shared() != now.shared() {
            return Err(ConfigError::other("cannot change").in_field("shared"));
        }
        if config.salt() != now.salt() {
            return Err(ConfigError::other("cannot change").in_field("salt"));
        }
        if config.epoch() != now.epoch() {
            return Err(ConfigError::other("cannot change").in_field("epoch"));
        }
        self.rules
            .replace(&self.home, &ANNOUNCED, config, |config| {
                self.sampled.store(sampled(config.shadow()), Relaxed);
                self.fallbacks.set(config.fallbacks());
                for side in [Side::Legacy, Side::New] {
                    self.limits.set(side, config.limit(side).or(own(side)));
                }
                let now = self.home.around.clock().now();
                self.pilot.course().reconfigure(config.pilot(), now);
            })
    }
}

impl<K, V, L, N> CacheMigration<K, V, L, N> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.name()
    }

    /// What it goes by.
    #[must_use]
    pub fn config(&self) -> Arc<MigrationConfig> {
        self.0.rules.get()
    }

    /// The cache that is left.
    #[must_use]
    pub fn legacy(&self) -> &L {
        &self.0.legacy
    }

    /// The cache that is moved to.
    #[must_use]
    pub fn new_cache(&self) -> &N {
        &self.0.new
    }

    /// Whether this key is read from new now.
    #[must_use]
    pub fn reads_new(&self, key: &K) -> bool
    where
        K: MigrationKey,
    {
        let hash = hash::spread(key.stable_hash() ^ self.0.salt);
        self.0.word().reads_new(hash)
    }

    /// How many keys this cache may be wrong about.
    #[must_use]
    pub fn doubtful(&self, side: Side) -> usize
    where
        K: MigrationKey,
    {
        self.0.doubts.len(side)
    }

    /// How many stages there are still to come, this one included.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.0.word().stage() == Stage::Complete
    }
}

impl<K, V, L, N> Clone for CacheMigration<K, V, L, N> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, V, L, N> fmt::Debug for CacheMigration<K, V, L, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheMigration")
            .field("name", &self.name())
            .field("state", &self.0.word().state())
            .finish_non_exhaustive()
    }
}
