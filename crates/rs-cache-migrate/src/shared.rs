//! Changes where other processes change the same keys of the same two caches.
//!
//! What new has under a key is what legacy has: before legacy is changed, new is told, has nothing from then on,
//! and takes nothing but what the last change brings. A process that dies in between leaves a miss. There is no
//! order among processes but that of legacy; where two of them met, new stays empty until the key is promoted.
//! A promotion takes a lease before it reads legacy, and any change takes it away.

use std::time::Duration;

use crate::{
    CacheAdapter, CacheError, Entry, MigrationKey, Side, Stage, inner::Inner,
    metrics::CacheOperation, state::Word,
};

/// For clocks that do not go alike, and for the way.
const SLACK: Duration = Duration::from_millis(500);

impl<K, V, L, N> Inner<K, V, L, N> {
    /// Other processes may not have heard of the last step yet: those of a fleet say so, others have so long.
    fn is_news(&self, word: Word) -> bool {
        if self.fleet.is_joined() {
            return !self.fleet.agrees(word) || self.is_cut_off();
        }
        let now = self.elapsed();
        let since = now.saturating_sub(self.stepped.load(std::sync::atomic::Ordering::Acquire));
        u128::from(since) < self.rules.get().propagation().as_nanos()
    }

    /// Nobody writes legacy alone any more, and nobody has stopped writing new.
    fn keeps_in_new(&self, word: Word) -> bool {
        match word.stage() {
            Stage::Off => false,
            Stage::DualWrite => !self.is_news(word),
            Stage::Complete => true,
            // Somebody may have gone back.
            _ => !self.is_cut_off(),
        }
    }

    /// Somebody may read new.
    pub(crate) fn tells_new(&self, word: Word) -> bool {
        let alone = !self.fleet.is_joined();
        match word.stage() {
            Stage::Off if alone && word.epoch() == self.rules.get().epoch() => false,
            Stage::Off => self.is_news(word),
            // Somebody may go back yet, and read legacy.
            Stage::Complete => !alone && !self.fleet.agrees(word),
            _ => true,
        }
    }
}

impl<K, V, L, N> Inner<K, V, L, N>
where
    K: MigrationKey,
    V: Clone + Send + Sync + 'static,
    L: CacheAdapter<K, V>,
    N: CacheAdapter<K, V>,
{
    /// A mark outlives the change that it announces: so long may it take until legacy has carried it out.
    fn marked_for(&self) -> Duration {
        let longest =
            |side, limit: Option<Duration>| self.limits.get(side).max(limit.unwrap_or_default());
        let to_new = longest(Side::New, self.new.limit());
        to_new + longest(Side::Legacy, self.legacy.limit()) + SLACK
    }

    /// One change, under the lock of its key, which orders the changes of this process.
    pub(crate) async fn write_shared(
        &self,
        key: &K,
        entry: Option<Entry<V>>,
        word: Word,
    ) -> Result<(), CacheError> {
        if !self.tells_new(word) {
            let side = match word.stage() {
                Stage::Complete => Side::New,
                _ => Side::Legacy,
            };
            return self.apply_bare(side, key, entry, word).await;
        }
        let (hold, mark) = (self.marked_for(), fastrand::u64(..));
        let began = self.elapsed();
        let marked = self.new.mark(key, mark, hold);
        if let Err(error) = self.on(Side::New, marked).await {
            self.counters.errors[(Side::New, CacheOperation::Set)].increment();
            // Nothing has changed. If that is so for too many keys, new is left.
            self.doubt(Side::New, key);
            return Err(error);
        }
        self.doubts.resolve(Side::New, key);
        let late = Duration::from_nanos(self.elapsed().saturating_sub(began));
        if late + SLACK / 2 > hold.saturating_sub(self.longest_of_legacy()) {
            // This process was asleep: the mark may lapse before legacy is done.
            return Err(CacheError::TookTooLong(late));
        }
        // If it fails nobody knows whether it will be carried out: until it cannot be any more, the mark holds.
        self.apply_bare(Side::Legacy, key, entry.clone(), word)
            .await?;
        let entry = entry
            .filter(|_| self.keeps_in_new(self.word()))
            .filter(|entry| entry.value.is_some() || self.new_can.negative)
            .map(|entry| entry.in_epoch(word.epoch()));
        let settled = self.new.settle(key, mark, hold, entry);
        match self.on(Side::New, settled).await {
            Ok(_) => Ok(()),
            Err(error) => {
                self.counters.errors[(Side::New, CacheOperation::Set)].increment();
                match word.stage() {
                    Stage::RampDown | Stage::Complete => Err(error),
                    // The mark holds, and then legacy is asked.
                    _ => Ok(()),
                }
            }
        }
    }

    fn longest_of_legacy(&self) -> Duration {
        let limit = self.legacy.limit().unwrap_or_default();
        self.limits.get(Side::Legacy).max(limit)
    }

    /// Copies what legacy has under a lease.
    pub(crate) async fn fill_shared(&self, key: &K, word: Word) -> bool {
        if !self.keeps_in_new(word) {
            return false;
        }
        let lease = fastrand::u64(..);
        let leased = self.new.lease(key, lease, self.marked_for());
        if !matches!(self.on(Side::New, leased).await, Ok(true)) {
            return false;
        }
        let found = self.ask_legacy(key).await.ok().flatten();
        let entry = found.and_then(|entry| self.worth_promoting(entry));
        let entry = entry
            .filter(|entry| entry.value.is_some() || self.new_can.negative)
            // A step back and forth would be another try.
            .filter(|_| self.word().epoch() == word.epoch())
            .map(|entry| entry.in_epoch(word.epoch()));
        let filled = self.new.fill(key, lease, entry);
        matches!(self.on(Side::New, filled).await, Ok(true))
    }
}
