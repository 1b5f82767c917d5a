//! Brings over what is not read often enough to come by itself.

use std::{fmt, time::Duration};

use rs_core::{ConfigError, Deadline, Rate, config};

use crate::{CacheAdapter, CacheError, MigrationKey, Side, inner::Shared, metrics::CacheOperation};

/// How fast a [`Backfill`] goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BackfillConfig {
    rate: Rate,
    deadline: Duration,
}

impl BackfillConfig {
    /// No more entries than this; each has a second.
    #[must_use]
    pub const fn at_most(rate: Rate) -> Self {
        Self {
            rate,
            deadline: Duration::from_secs(1),
        }
    }

    /// An entry that takes longer than this is given up.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// Which field is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let minute = Duration::from_millis(1)..=Duration::from_secs(60);
        config::time_in_range("deadline", self.deadline, minute)?;
        Ok(())
    }
}

/// What a [`Backfill`] has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackfillProgress {
    /// Keys that legacy had when it began.
    pub keys: usize,
    /// Keys that were looked at.
    pub done: usize,
    /// Entries that came over. The others were there already, had no time left, or were gone.
    pub copied: usize,
    /// Entries that took too long.
    pub given_up: usize,
}

/// Copies what legacy has to new, one key at a time: each for the time that it has left, under the lock of
/// the key, so that it never beats a change.
///
/// It can be stopped at any time by dropping the future of [`Backfill::run`], and goes on where it was with
/// the next.
pub struct Backfill<K, V, L, N> {
    of: Shared<K, V, L, N>,
    config: BackfillConfig,
    /// `None` until legacy has said.
    keys: Option<Vec<K>>,
    progress: BackfillProgress,
}

impl<K, V, L, N> Backfill<K, V, L, N>
where
    K: MigrationKey,
    V: Clone + Send + Sync + 'static,
    L: CacheAdapter<K, V>,
    N: CacheAdapter<K, V>,
{
    pub(crate) fn new(
        of: &Shared<K, V, L, N>,
        config: BackfillConfig,
    ) -> Result<Self, BackfillError> {
        config.check().map_err(BackfillError::Config)?;
        if !of.legacy_can.iterate {
            let cannot = CacheError::Unsupported("list its keys");
            return Err(BackfillError::Cache(cannot));
        }
        let keys = of.legacy.keys();
        Ok(Self {
            of: Shared::clone(of),
            config,
            progress: BackfillProgress {
                keys: keys.as_ref().map_or(0, Vec::len),
                ..BackfillProgress::default()
            },
            keys,
        })
    }

    /// What it has done.
    #[must_use]
    pub const fn progress(&self) -> BackfillProgress {
        self.progress
    }

    /// Asks legacy for its keys, if it must be asked and was not.
    ///
    /// # Errors
    /// When it does not say.
    ///
    /// # Cancel safety
    /// Dropped, it is asked again by the next.
    pub async fn list(&mut self) -> Result<(), CacheError> {
        if self.keys.is_none() {
            let keys = self.of.legacy.list().await?;
            self.progress.keys = keys.len();
            self.keys = Some(keys);
        }
        Ok(())
    }

    /// Goes on until all keys were looked at, or the migration writes only one cache. Does nothing if legacy
    /// does not say what it has; the next may find out.
    ///
    /// # Cancel safety
    /// Dropping it stops it; the key in hand is taken again by the next.
    pub async fn run(&mut self) -> BackfillProgress {
        let clock = self.of.home.around.clock().clone();
        let pace = Duration::from_secs_f64(1.0 / self.config.rate.per_second().max(1e-3));
        if self.list().await.is_err() {
            let list = CacheOperation::Get;
            self.of.counters.errors[(Side::Legacy, list)].increment();
            return self.progress;
        }
        let keys = self.keys.as_deref().unwrap_or_default();
        while let Some(key) = keys.get(self.progress.done) {
            if !self.of.word().writes_both() {
                break;
            }
            let begun = clock.now();
            let copied = tokio::select! {
                biased;
                copied = self.of.fill(key) => Some(copied),
                () = clock.sleep_until(Deadline::after(begun, self.config.deadline).moment()) => None,
            };
            self.progress.done += 1;
            match copied {
                Some(copied) => self.progress.copied += usize::from(copied),
                None => self.progress.given_up += 1,
            }
            clock
                .sleep_until(Deadline::after(begun, pace).moment())
                .await;
        }
        self.progress
    }
}

impl<K, V, L, N> crate::inner::Inner<K, V, L, N>
where
    K: MigrationKey,
    V: Clone + Send + Sync + 'static,
    L: CacheAdapter<K, V>,
    N: CacheAdapter<K, V>,
{
    async fn fill(&self, key: &K) -> bool {
        let _order = self.order.lock(key).await;
        self.promote(key).await
    }
}

/// A backfill that cannot be.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum BackfillError {
    /// The configuration is wrong.
    Config(ConfigError),
    /// Legacy cannot say what it has.
    Cache(CacheError),
}

impl fmt::Display for BackfillError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => write!(f, "{error}"),
            Self::Cache(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for BackfillError {}

impl<K, V, L, N> fmt::Debug for Backfill<K, V, L, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backfill")
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}
