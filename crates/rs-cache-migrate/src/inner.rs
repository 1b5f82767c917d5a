//! What the clones of a migration share, and how it reads.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64 as Plain, Ordering::Relaxed},
    },
    time::Instant,
};

use rs_core::{Name, hash};
use rs_metrics::{
    Observed,
    pattern::{Home, Rules},
};

use crate::{
    CacheAdapter, CacheError, Capabilities, Entry, Lookup, MigrationConfig, MigrationKey, Side,
    Stage,
    doubt::Doubts,
    fleet::Membership,
    ledger::Ledger,
    limit::{Fallbacks, Limits},
    meter::Meter,
    metrics::{CacheOperation, Counters},
    order::Order,
    pilot::Pilot,
    shadow::Shadow,
    state::{ALL, Word},
    sync::{AtomicU64, Ordering},
};

pub(crate) struct Inner<K, V, L, N> {
    pub(crate) home: Home,
    pub(crate) rules: Rules<MigrationConfig>,
    pub(crate) legacy: L,
    pub(crate) new: N,
    pub(crate) legacy_can: Capabilities,
    pub(crate) new_can: Capabilities,
    pub(crate) word: AtomicU64,
    pub(crate) order: Order,
    pub(crate) doubts: Doubts<K>,
    pub(crate) counters: Counters,
    pub(crate) meter: Meter,
    pub(crate) pilot: Pilot,
    pub(crate) fleet: Membership,
    pub(crate) shadow: Shadow<K, V>,
    /// One read in so many is compared, of 2^32.
    pub(crate) sampled: Plain,
    pub(crate) ledger: Mutex<Ledger>,
    pub(crate) limits: Limits,
    pub(crate) fallbacks: Fallbacks,
    pub(crate) shared: bool,
    pub(crate) born: Instant,
    /// When the last step was taken, in nanoseconds since `born`.
    pub(crate) stepped: Plain,
    pub(crate) stepping: tokio::sync::Mutex<()>,
    pub(crate) salt: u64,
    pub(crate) observed: Mutex<Vec<Observed>>,
}

impl<K, V, L, N> Inner<K, V, L, N> {
    #[inline]
    pub(crate) fn word(&self) -> Word {
        Word(self.word.load(Ordering::Acquire))
    }

    /// Nanoseconds since it was made.
    pub(crate) fn elapsed(&self) -> u64 {
        let now = self.home.around.clock().now();
        let since = now.saturating_duration_since(self.born);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }

    /// An operation of this side, within its limit.
    #[inline]
    pub(crate) fn on<T>(
        &self,
        side: Side,
        operation: impl Future<Output = Result<T, CacheError>> + Send,
    ) -> impl Future<Output = Result<T, CacheError>> + Send
    where
        Self: Sync,
        T: Send,
    {
        self.limits.hold(side, self.home.around.clock(), operation)
    }

    pub(crate) const fn name(&self) -> Name {
        self.home.name
    }
}

impl<K, V, L, N> Inner<K, V, L, N>
where
    K: MigrationKey,
    V: Clone + Send + Sync + 'static,
    L: CacheAdapter<K, V>,
    N: CacheAdapter<K, V>,
{
    /// The same in every process and version that has the same salt.
    #[inline]
    pub(crate) fn hash(&self, key: &K) -> u64 {
        hash::spread(key.stable_hash() ^ self.salt)
    }

    /// What an earlier try left there is not read.
    #[inline]
    pub(crate) fn of_this_try(&self, word: Word, found: Option<Entry<V>>) -> Option<Entry<V>> {
        found.filter(|entry| !self.new_can.epochs || entry.epoch == word.epoch())
    }

    #[inline]
    pub(crate) async fn get(&self, key: &K) -> Result<Lookup<V>, CacheError> {
        let word = self.word();
        if self.doubts.are_none() {
            match word.stage() {
                Stage::Off => return Ok(self.on(Side::Legacy, self.legacy.get(key)).await?.into()),
                Stage::Complete => {
                    let found = self.on(Side::New, self.new.get(key)).await?;
                    return Ok(self.of_this_try(word, found).into());
                }
                _ => {}
            }
        }
        self.read(word, key).await
    }

    async fn read(&self, word: Word, key: &K) -> Result<Lookup<V>, CacheError> {
        let all = matches!(word.stage(), Stage::RampDown | Stage::Complete)
            || (word.stage() == Stage::Live && word.share() == ALL);
        // Decides what is timed and what is compared: one draw is cheaper than two.
        let lot = fastrand::u64(..);
        let (timed, compared) = ((lot >> 32) as u32, lot as u32);
        let clock = self.home.around.clock();
        if !(all || word.reads_new(self.hash(key))) || self.reads_legacy_anyway(word) {
            let read = self.ask_legacy(key);
            let found = self.meter.watch(clock, Side::Legacy, timed, read).await?;
            match found {
                Some(_) => self.counters.legacy_hits.increment(),
                None => {
                    self.counters.misses.increment();
                    self.meter.missed(Side::Legacy);
                }
            }
            self.maybe_compare(word, key, compared);
            return Ok(found.into());
        }
        self.fallbacks.count();
        let read = self.ask_new(word, key);
        let found = self.meter.watch(clock, Side::New, timed, read).await;
        match found {
            Ok(Some(entry)) => {
                self.counters.new_hits.increment();
                self.maybe_compare(word, key, compared);
                Ok(Some(entry).into())
            }
            Ok(None) if word.stage() != Stage::Live => {
                self.counters.misses.increment();
                self.meter.missed(Side::New);
                self.maybe_compare(word, key, compared);
                Ok(Lookup::Miss)
            }
            Err(error) if word.stage() != Stage::Live => Err(error),
            found => {
                if found.is_ok() {
                    self.meter.missed(Side::New);
                }
                self.fall_back(key, found.is_ok()).await
            }
        }
    }

    /// The others may have gone back, and write new no more.
    #[inline]
    fn reads_legacy_anyway(&self, word: Word) -> bool {
        self.shared
            && self.fleet.is_joined()
            && word.stage() != Stage::Complete
            && self.is_cut_off()
    }

    /// What is not in new comes from legacy; and goes to new, unless new is not well.
    async fn fall_back(&self, key: &K, promote: bool) -> Result<Lookup<V>, CacheError> {
        if !self.fallbacks.take() {
            self.counters.fallbacks_refused.increment();
            self.counters.misses.increment();
            return Ok(Lookup::Miss);
        }
        let Some(entry) = self.ask_legacy(key).await? else {
            self.counters.misses.increment();
            return Ok(Lookup::Miss);
        };
        self.counters.fallbacks.increment();
        self.counters.legacy_hits.increment();
        // Whoever holds the lock changes or promotes it; nobody waits for that.
        if promote && let Some(order) = self.order.try_lock(self.hash(key)) {
            self.promote(key).await;
            drop(order);
        }
        Ok(Some(entry).into())
    }

    /// What legacy has under the key, unless that is doubtful.
    pub(crate) async fn ask_legacy(&self, key: &K) -> Result<Option<Entry<V>>, CacheError> {
        if self.is_doubtful(Side::Legacy, key) {
            return Ok(None);
        }
        let found = self.on(Side::Legacy, self.legacy.get(key)).await;
        if found.is_err() {
            self.counters.errors[(Side::Legacy, CacheOperation::Get)].increment();
        }
        found
    }

    /// The same of new. What it cannot read it does not have.
    async fn ask_new(&self, word: Word, key: &K) -> Result<Option<Entry<V>>, CacheError> {
        if self.is_doubtful(Side::New, key) {
            return Ok(None);
        }
        match self.on(Side::New, self.new.get(key)).await {
            Ok(found) => Ok(self.of_this_try(word, found)),
            Err(error) => {
                self.counters.errors[(Side::New, CacheOperation::Get)].increment();
                match error {
                    CacheError::Undecodable(_) => Ok(None),
                    error => Err(error),
                }
            }
        }
    }

    fn is_doubtful(&self, side: Side, key: &K) -> bool {
        !self.doubts.are_none() && self.doubts.holds(side, key)
    }

    fn maybe_compare(&self, word: Word, key: &K, lot: u32) {
        let comparing = matches!(word.stage(), Stage::Shadow | Stage::Live | Stage::RampDown);
        if !comparing || !self.shadow.is_wanted() {
            return;
        }
        if u64::from(lot) < self.sampled.load(Relaxed) && !self.shadow.offer(key.clone()) {
            self.counters.shadow_dropped.increment();
        }
    }

    /// Copies what legacy has now to new, for the time that is left, if new has nothing. Under the lock of
    /// the key, so that it beats no change; whether it did.
    pub(crate) async fn promote(&self, key: &K) -> bool {
        // As it is now, under the lock.
        let word = self.word();
        if !word.writes_both() || self.is_doubtful(Side::New, key) {
            return false;
        }
        let new = self.on(Side::New, self.new.get(key)).await;
        if !matches!(new, Ok(None) | Err(CacheError::Undecodable(_))) {
            let there = new.map(|found| self.of_this_try(word, found));
            if !matches!(there, Ok(None)) {
                return false;
            }
        }
        let promoted = match self.shared {
            true => self.fill_shared(key, word).await,
            false => self.copy(key, word).await,
        };
        if promoted {
            self.counters.promotions.increment();
        }
        promoted
    }

    /// Nobody else changes either of them.
    async fn copy(&self, key: &K, word: Word) -> bool {
        let Ok(Some(entry)) = self.ask_legacy(key).await else {
            return false;
        };
        let Some(entry) = self.worth_promoting(entry) else {
            return false;
        };
        self.apply(Side::New, key, Some(entry), word).await.is_ok()
    }

    pub(crate) fn worth_promoting(&self, entry: Entry<V>) -> Option<Entry<V>> {
        let rules = self.rules.get();
        let can = self.legacy_can;
        let remaining = match entry.remaining {
            None if can.ttl && !can.reads_ttl => Some(rules.unaged()?),
            remaining => remaining,
        };
        if remaining.is_some_and(|left| left < rules.promotion_floor() || left.is_zero()) {
            return None;
        }
        Some(Entry { remaining, ..entry })
    }
}

/// Something that must live as long as the migration.
pub(crate) type Shared<K, V, L, N> = Arc<Inner<K, V, L, N>>;
