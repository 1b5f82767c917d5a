//! How a migration writes: both caches, one change of a key at a time.

use crate::{
    CacheAdapter, CacheError, Entry, MigrationKey, Side, Stage, event, inner::Inner,
    metrics::CacheOperation, state::Word,
};

impl<K, V, L, N> Inner<K, V, L, N>
where
    K: MigrationKey,
    V: Clone + Send + Sync + 'static,
    L: CacheAdapter<K, V>,
    N: CacheAdapter<K, V>,
{
    /// Both are changed before anybody else can look, or one of them must wait and nothing was done: the entry
    /// comes back.
    #[inline]
    pub(crate) fn write_at_once(
        &self,
        key: &K,
        entry: Option<Entry<V>>,
    ) -> Result<Result<(), CacheError>, Option<Entry<V>>> {
        if !self.at_once {
            return Err(entry);
        }
        let word = self.word();
        if word.stage() == Stage::Complete && word.is_settled() {
            return Ok(self.change_at_once(Side::New, key, entry, word));
        }
        let Some(order) = self.order.try_lock(key) else {
            return Err(entry);
        };
        let word = self.word();
        if word.writes_both() {
            order.count();
        }
        Ok(match word.stage() {
            Stage::Off => self.change_at_once(Side::Legacy, key, entry, word),
            Stage::Complete => self.change_at_once(Side::New, key, entry, word),
            Stage::RampDown => self.change_both_at_once(Side::New, key, entry, word),
            _ => self.change_both_at_once(Side::Legacy, key, entry, word),
        })
    }

    /// As [`apply_to_both`](Self::apply_to_both). Nobody can go away in between, but a cache or a value may panic.
    #[inline(always)]
    fn change_both_at_once(
        &self,
        first: Side,
        key: &K,
        entry: Option<Entry<V>>,
        word: Word,
    ) -> Result<(), CacheError> {
        let panics = Panics(self, key);
        let done = self.change_at_once(first, key, entry.clone(), word);
        let entry = match &done {
            Ok(()) => entry,
            Err(_) => self.empty_at_once(first, key, word),
        };
        if self
            .change_at_once(first.other(), key, entry, word)
            .is_err()
        {
            self.empty_at_once(first.other(), key, word);
        }
        std::mem::forget(panics);
        done
    }

    /// A side that failed shall have nothing, or is doubtful.
    #[cold]
    fn empty_at_once(&self, side: Side, key: &K, word: Word) -> Option<Entry<V>> {
        if self.change_at_once(side, key, None, word).is_err() {
            self.doubt(side, key);
        }
        None
    }

    #[inline(always)]
    fn change_at_once(
        &self,
        side: Side,
        key: &K,
        entry: Option<Entry<V>>,
        word: Word,
    ) -> Result<(), CacheError> {
        let can = match side {
            Side::Legacy => self.legacy_can,
            Side::New => self.new_can,
        };
        let (operation, done) = match (side, entry) {
            (Side::Legacy, Some(entry)) if entry.value.is_some() || can.negative => {
                (CacheOperation::Set, self.legacy.set_at_once(key, entry))
            }
            (Side::New, Some(entry)) if entry.value.is_some() || can.negative => {
                let entry = entry.in_epoch(word.epoch());
                (CacheOperation::Set, self.new.set_at_once(key, entry))
            }
            (Side::Legacy, _) => (CacheOperation::Delete, self.legacy.delete_at_once(key)),
            (Side::New, _) => (CacheOperation::Delete, self.new.delete_at_once(key)),
        };
        match done {
            Ok(()) => self.doubts.resolve(side, key),
            Err(_) => self.counters.errors[(side, operation)].increment(),
        }
        done
    }

    /// Keeps this under the key, or nothing.
    pub(crate) async fn write(&self, key: &K, entry: Option<Entry<V>>) -> Result<(), CacheError> {
        let word = self.word();
        let ended = word.stage() == Stage::Complete && word.is_settled();
        if ended && !(self.shared && self.tells_new(word)) {
            return self.apply_bare(Side::New, key, entry, word).await;
        }
        let order = self.order.lock(key).await;
        // The stage may have changed while the lock was waited for; it decides as it is now. A change of the
        // stage from here on waits for this lock before the next may come.
        let word = self.word();
        if word.writes_both() {
            order.count();
        }
        if self.shared {
            return self.write_shared(key, entry, word).await;
        }
        match word.stage() {
            Stage::Off => self.apply_bare(Side::Legacy, key, entry, word).await,
            Stage::Complete => self.apply_bare(Side::New, key, entry, word).await,
            Stage::RampDown => self.apply_to_both(Side::New, key, entry, word).await,
            _ => self.apply_to_both(Side::Legacy, key, entry, word).await,
        }
    }

    /// First the side that callers rely on. If that fails, the other must not have what nobody was promised.
    async fn apply_to_both(
        &self,
        first: Side,
        key: &K,
        entry: Option<Entry<V>>,
        word: Word,
    ) -> Result<(), CacheError> {
        // A caller that goes away in between leaves the second without the change.
        let mut second = Doubt::raise(self, first.other(), key);
        let done = self.apply(first, key, entry.clone(), word).await;
        let entry = entry.filter(|_| done.is_ok());
        // It knows by itself what to doubt.
        second.dismiss();
        let _ = self.apply(first.other(), key, entry, word).await;
        done
    }

    /// Changes one side. If that fails, the side shall have nothing under the key; if that fails too, or the
    /// caller goes away, the key is doubtful there.
    pub(crate) async fn apply(
        &self,
        side: Side,
        key: &K,
        entry: Option<Entry<V>>,
        word: Word,
    ) -> Result<(), CacheError> {
        let mut doubt = Doubt::raise(self, side, key);
        let done = self.apply_bare(side, key, entry, word).await;
        let knows = match &done {
            Ok(()) => true,
            // It would hang once more, and may do it yet.
            Err(CacheError::TookTooLong(_)) => false,
            Err(_) => self.apply_bare(side, key, None, word).await.is_ok(),
        };
        if knows {
            doubt.dismiss();
        }
        done
    }

    /// Changes one side as if it stood alone.
    pub(crate) async fn apply_bare(
        &self,
        side: Side,
        key: &K,
        entry: Option<Entry<V>>,
        word: Word,
    ) -> Result<(), CacheError> {
        let can = match side {
            Side::Legacy => self.legacy_can,
            Side::New => self.new_can,
        };
        // A negative entry where there is no such thing is nothing.
        let entry = entry.filter(|entry| entry.value.is_some() || can.negative);
        let (operation, done) = match (side, entry) {
            (Side::Legacy, Some(entry)) => {
                let set = self.on(side, self.legacy.set(key, entry));
                (CacheOperation::Set, set.await)
            }
            (Side::New, Some(entry)) => {
                let entry = entry.in_epoch(word.epoch());
                (
                    CacheOperation::Set,
                    self.on(side, self.new.set(key, entry)).await,
                )
            }
            (Side::Legacy, None) => {
                let delete = self.on(side, self.legacy.delete(key));
                (CacheOperation::Delete, delete.await)
            }
            (Side::New, None) => {
                let delete = self.on(side, self.new.delete(key));
                (CacheOperation::Delete, delete.await)
            }
        };
        match done {
            Ok(()) => self.doubts.resolve(side, key),
            Err(_) => self.counters.errors[(side, operation)].increment(),
        }
        done
    }

    /// Nobody knows what this side has under the key.
    pub(crate) fn doubt(&self, side: Side, key: &K) {
        let limit = self.rules.get().doubts();
        if !self.doubts.add(side, key, limit) {
            return;
        }
        match side {
            Side::New => {
                let why = format!("more than {limit} keys are doubtful in new");
                let _ = self.roll_back(None, why);
            }
            Side::Legacy => self.home.record(|| event::legacy_void(self.name(), limit)),
        }
    }
}

/// A cache panicked in the middle of a change: nobody knows what either has. Forgotten when all went well.
struct Panics<'a, K, V, L, N>(&'a Inner<K, V, L, N>, &'a K)
where
    K: MigrationKey,
    V: Clone + Send + Sync + 'static,
    L: CacheAdapter<K, V>,
    N: CacheAdapter<K, V>;

impl<K, V, L, N> Drop for Panics<'_, K, V, L, N>
where
    K: MigrationKey,
    V: Clone + Send + Sync + 'static,
    L: CacheAdapter<K, V>,
    N: CacheAdapter<K, V>,
{
    #[cold]
    fn drop(&mut self) {
        for side in [Side::Legacy, Side::New] {
            self.0.doubt(side, self.1);
        }
    }
}

/// The key is doubtful there, unless this is dismissed.
struct Doubt<'a, K, V, L, N>
where
    K: MigrationKey,
    V: Clone + Send + Sync + 'static,
    L: CacheAdapter<K, V>,
    N: CacheAdapter<K, V>,
{
    of: &'a Inner<K, V, L, N>,
    side: Side,
    key: &'a K,
    holds: bool,
}

impl<'a, K, V, L, N> Doubt<'a, K, V, L, N>
where
    K: MigrationKey,
    V: Clone + Send + Sync + 'static,
    L: CacheAdapter<K, V>,
    N: CacheAdapter<K, V>,
{
    const fn raise(of: &'a Inner<K, V, L, N>, side: Side, key: &'a K) -> Self {
        Self {
            of,
            side,
            key,
            holds: true,
        }
    }

    const fn dismiss(&mut self) {
        self.holds = false;
    }
}

impl<K, V, L, N> Drop for Doubt<'_, K, V, L, N>
where
    K: MigrationKey,
    V: Clone + Send + Sync + 'static,
    L: CacheAdapter<K, V>,
    N: CacheAdapter<K, V>,
{
    fn drop(&mut self) {
        if self.holds {
            self.of.doubt(self.side, self.key);
        }
    }
}
