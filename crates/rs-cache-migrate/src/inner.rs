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

type Found<V> = Result<Option<Entry<V>>, CacheError>;

/// Decides what is timed and what is compared: one draw is cheaper than two.
#[derive(Clone, Copy)]
pub(crate) struct Lot {
    pub(crate) timed: u32,
    compared: u32,
}

impl Lot {
    #[inline]
    pub(crate) fn draw() -> Self {
        let lot = fastrand::u64(..);
        Self {
            timed: (lot >> 32) as u32,
            compared: lot as u32,
        }
    }
}

/// What follows from what new has.
pub(crate) enum After<V> {
    Answer(Result<Lookup<V>, CacheError>),
    FallBack { promote: bool },
}

pub(crate) struct Inner<K, V, L, N> {
    pub(crate) home: Home,
    pub(crate) rules: Rules<MigrationConfig>,
    pub(crate) legacy: L,
    pub(crate) new: N,
    pub(crate) legacy_can: Capabilities,
    pub(crate) new_can: Capabilities,
    /// Both change without waiting, and alone.
    pub(crate) at_once: bool,
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
        found.filter(|entry| !self.is_of_another_try(word, entry))
    }

    #[inline]
    pub(crate) const fn is_of_another_try(&self, word: Word, entry: &Entry<V>) -> bool {
        self.new_can.epochs && entry.epoch != word.epoch()
    }

    /// All of a read, when nobody has been asked yet.
    pub(crate) async fn read(&self, word: Word, key: &K) -> Result<Lookup<V>, CacheError> {
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
        let lot = Lot::draw();
        let clock = self.home.around.clock();
        if !self.is_for_new(word, key) {
            let found = match self.is_doubtful(Side::Legacy, key) {
                true => Ok(None),
                false => {
                    let read = self.on(Side::Legacy, self.legacy.get(key));
                    self.meter.watch(clock, Side::Legacy, lot.timed, read).await
                }
            };
            return self.after_legacy(word, key, lot, found);
        }
        self.fallbacks.count();
        let found = match self.is_doubtful(Side::New, key) {
            true => Ok(None),
            false => {
                let read = self.on(Side::New, self.new.get(key));
                self.meter.watch(clock, Side::New, lot.timed, read).await
            }
        };
        match self.after_new(word, key, lot, found) {
            After::Answer(answer) => answer,
            After::FallBack { promote } => self.fall_back(key, promote).await,
        }
    }

    #[inline]
    pub(crate) fn is_for_new(&self, word: Word, key: &K) -> bool {
        let all = matches!(word.stage(), Stage::RampDown | Stage::Complete)
            || (word.stage() == Stage::Live && word.share() == ALL);
        let none = matches!(word.stage(), Stage::Off | Stage::DualWrite | Stage::Shadow);
        !none && (all || word.reads_new(self.hash(key))) && !self.reads_legacy_anyway(word)
    }

    /// Legacy was asked in the place of both.
    #[inline]
    pub(crate) fn after_legacy(
        &self,
        word: Word,
        key: &K,
        lot: Lot,
        found: Found<V>,
    ) -> Result<Lookup<V>, CacheError> {
        match &found {
            Ok(Some(_)) => self.counters.legacy_hits.increment(),
            Ok(None) => {
                self.counters.misses.increment();
                self.meter.missed(Side::Legacy);
            }
            Err(_) => {
                self.counters.errors[(Side::Legacy, CacheOperation::Get)].increment();
                return found.map(Lookup::from);
            }
        }
        self.maybe_compare(word, key, lot.compared);
        found.map(Lookup::from)
    }

    /// New was asked in the place of both. What it cannot read it does not have.
    #[inline]
    pub(crate) fn after_new(&self, word: Word, key: &K, lot: Lot, found: Found<V>) -> After<V> {
        let found = match found {
            Ok(Some(entry)) if self.is_of_another_try(word, &entry) => Ok(None),
            Ok(found) => Ok(found),
            Err(error) => {
                self.counters.errors[(Side::New, CacheOperation::Get)].increment();
                match error {
                    CacheError::Undecodable(_) => Ok(None),
                    error => Err(error),
                }
            }
        };
        match found {
            Ok(Some(entry)) => {
                self.counters.new_hits.increment();
                self.maybe_compare(word, key, lot.compared);
                After::Answer(Ok(Some(entry).into()))
            }
            Ok(None) => {
                self.meter.missed(Side::New);
                if word.stage() == Stage::Live {
                    return After::FallBack { promote: true };
                }
                self.counters.misses.increment();
                self.maybe_compare(word, key, lot.compared);
                After::Answer(Ok(Lookup::Miss))
            }
            Err(_) if word.stage() == Stage::Live => After::FallBack { promote: false },
            Err(error) => After::Answer(Err(error)),
        }
    }

    /// The others of its fleet may have gone back, and write new no more.
    #[inline]
    fn reads_legacy_anyway(&self, word: Word) -> bool {
        self.shared && word.stage() != Stage::Complete && self.is_cut_off()
    }

    /// What is not in new comes from legacy; and goes to new, unless new is not well.
    pub(crate) async fn fall_back(&self, key: &K, promote: bool) -> Result<Lookup<V>, CacheError> {
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
        if promote && let Some(order) = self.order.try_lock(key) {
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

    fn is_doubtful(&self, side: Side, key: &K) -> bool {
        !self.doubts.are_none() && self.doubts.holds(side, key)
    }

    #[inline]
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
