//! Reads and changes that need not wait: what a migration costs where both caches are in the process.
//!
//! Written out rather than `async`. What an async function of the whole way costs is not the way but its
//! future: made, moved, asked through a call with all registers saved, and dropped. A cache in the process answers
//! at once, so its future is never made; what must wait is one boxed future, small beside what it waits for.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use crate::{
    CacheAdapter, CacheError, Entry, Lookup, MigrationKey, Side, Stage,
    inner::{After, Inner, Lot},
    state::Word,
};

type Answer<V> = Result<Lookup<V>, CacheError>;
type Waiting<'a, T> = Pin<Box<dyn Future<Output = Result<T, CacheError>> + Send + 'a>>;

/// Decides when it is first asked, and not before: it may be held for long until then.
pub(crate) struct Read<'a, K, V, L, N> {
    of: &'a Inner<K, V, L, N>,
    key: &'a K,
    waits: Option<Waiting<'a, Lookup<V>>>,
}

/// What is left to do.
enum Rest {
    All,
    FallBack { promote: bool },
}

impl<K, V, L, N> Future for Read<'_, K, V, L, N>
where
    K: MigrationKey,
    V: Clone + Send + Sync + 'static,
    L: CacheAdapter<K, V>,
    N: CacheAdapter<K, V>,
{
    type Output = Answer<V>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.waits.is_some() {
            return self.wait(context);
        }
        let word = self.of.word();
        match self.of.read_at_once(word, self.key) {
            Ok(answer) => Poll::Ready(answer),
            Err(rest) => {
                let Self { of, key, .. } = *self;
                self.waits = Some(Box::pin(async move {
                    match rest {
                        Rest::All => of.read(word, key).await,
                        Rest::FallBack { promote } => of.fall_back(key, promote).await,
                    }
                }));
                self.wait(context)
            }
        }
    }
}

impl<K, V, L, N> Read<'_, K, V, L, N> {
    #[inline(never)]
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<Answer<V>> {
        match &mut self.waits {
            Some(waits) => waits.as_mut().poll(context),
            None => Poll::Pending,
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
    #[inline]
    pub(crate) const fn get<'a>(&'a self, key: &'a K) -> Read<'a, K, V, L, N> {
        Read {
            of: self,
            key,
            waits: None,
        }
    }

    /// The answer, or what it takes to find it.
    #[inline(always)]
    fn read_at_once(&self, word: Word, key: &K) -> Result<Answer<V>, Rest> {
        if !self.doubts.are_none() {
            return Err(Rest::All);
        }
        match word.stage() {
            Stage::Off => {
                let found = self.legacy.get_at_once(key).ok_or(Rest::All)?;
                Ok(found.map(Lookup::from))
            }
            Stage::Complete => {
                let found = self.new.get_at_once(key).ok_or(Rest::All)?;
                // Looked at where it lies: to move it costs as much as all the rest.
                match &found {
                    Ok(Some(entry)) if self.is_of_another_try(word, entry) => Ok(Ok(Lookup::Miss)),
                    _ => Ok(found.map(Lookup::from)),
                }
            }
            _ => self.count_at_once(word, key),
        }
    }

    #[inline(never)]
    fn count_at_once(&self, word: Word, key: &K) -> Result<Answer<V>, Rest> {
        let lot = Lot::draw();
        let clock = self.home.around.clock();
        if !self.is_for_new(word, key) {
            let read = || self.legacy.get_at_once(key);
            let found = self
                .meter
                .watch_at_once(clock, Side::Legacy, lot.timed, read);
            return Ok(self.after_legacy(word, key, lot, found.ok_or(Rest::All)?));
        }
        let read = || self.new.get_at_once(key);
        let found: Option<Result<Option<Entry<V>>, _>> =
            self.meter.watch_at_once(clock, Side::New, lot.timed, read);
        let found = found.ok_or(Rest::All)?;
        self.fallbacks.count();
        match self.after_new(word, key, lot, found) {
            After::Answer(answer) => Ok(answer),
            After::FallBack { promote } => Err(Rest::FallBack { promote }),
        }
    }
}

/// A change; it begins when it is first asked.
pub(crate) struct Change<'a, K, V, L, N> {
    of: &'a Inner<K, V, L, N>,
    key: &'a K,
    entry: Option<Entry<V>>,
    waits: Option<Waiting<'a, ()>>,
}

/// Nothing in it is pinned but what is boxed.
impl<K, V, L, N> Unpin for Change<'_, K, V, L, N> {}

impl<K, V, L, N> Future for Change<'_, K, V, L, N>
where
    K: MigrationKey,
    V: Clone + Send + Sync + 'static,
    L: CacheAdapter<K, V>,
    N: CacheAdapter<K, V>,
{
    type Output = Result<(), CacheError>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.waits.is_none() {
            match this.of.write_at_once(this.key, this.entry.take()) {
                Ok(done) => return Poll::Ready(done),
                Err(entry) => this.waits = Some(Box::pin(this.of.write(this.key, entry))),
            }
        }
        this.wait(context)
    }
}

impl<K, V, L, N> Change<'_, K, V, L, N> {
    #[inline(never)]
    fn wait(&mut self, context: &mut Context<'_>) -> Poll<Result<(), CacheError>> {
        match &mut self.waits {
            Some(waits) => waits.as_mut().poll(context),
            None => Poll::Pending,
        }
    }
}

impl<K, V, L, N> Inner<K, V, L, N> {
    #[inline]
    pub(crate) const fn change<'a>(
        &'a self,
        key: &'a K,
        entry: Option<Entry<V>>,
    ) -> Change<'a, K, V, L, N> {
        Change {
            of: self,
            key,
            entry,
            waits: None,
        }
    }
}
