use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use rs_cache_migrate::{
    CacheAdapter, CacheError, CacheMigration, Capabilities, Entry, MigrationConfig, TtlCache,
};
use rs_core::{Clock, ClockHand, Directory, Mandate};
use rs_metrics::{Registry, Surroundings};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) type Plain = CacheMigration<String, u64, Remote, Remote>;

/// So many runs of a race: 40 in CI, 400 with `cargo xtask test --long`, or as `RACE_RUNS` says.
pub(crate) fn runs(few: u64) -> u64 {
    let asked = std::env::var("RACE_RUNS").ok();
    let asked = asked.and_then(|runs| runs.parse().ok());
    let long = std::env::var_os("RS_PATTERNS_LONG").is_some_and(|set| set == "1");
    asked.unwrap_or(if long { few * 10 } else { few })
}

/// So many cases of a property, a hundred times as many with `cargo xtask test --long`.
pub(crate) fn cases(few: u32) -> proptest::test_runner::Config {
    let long = std::env::var_os("RS_PATTERNS_LONG").is_some_and(|set| set == "1");
    proptest::test_runner::Config::with_cases(if long { few * 100 } else { few })
}

pub(crate) fn by() -> Mandate {
    Mandate::new("anna", "a test")
}

/// A cache that is not in the process: it may be away, slow or limited. Clones are the same cache.
#[derive(Clone)]
pub(crate) struct Remote {
    pub(crate) cache: TtlCache<String, u64>,
    pub(crate) can: Capabilities,
    pub(crate) way: Arc<Way>,
}

#[derive(Default)]
pub(crate) struct Way {
    /// Fails every change.
    pub(crate) no_changes: AtomicBool,
    /// Fails deletes as well.
    pub(crate) no_deletes: AtomicBool,
    pub(crate) no_reads: AtomicBool,
    pub(crate) undecodable: AtomicBool,
    /// Never answers a change.
    pub(crate) hangs: AtomicBool,
    /// Gives way this often on each operation.
    pub(crate) yields: AtomicU32,
    pub(crate) reads: AtomicU32,
}

impl Remote {
    pub(crate) fn new(around: &Surroundings) -> Self {
        Self {
            cache: TtlCache::within(around, HOUR),
            can: Capabilities::ALL,
            way: Arc::default(),
        }
    }

    async fn travel(&self) {
        for _ in 0..self.way.yields.load(Relaxed) {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn peek(&self, key: &str) -> Option<u64> {
        self.cache.get(&key.to_owned())
    }
}

impl CacheAdapter<String, u64> for Remote {
    fn capabilities(&self) -> Capabilities {
        self.can
    }

    async fn get(&self, key: &String) -> Result<Option<Entry<u64>>, CacheError> {
        self.travel().await;
        self.way.reads.fetch_add(1, Relaxed);
        if self.way.no_reads.load(Relaxed) {
            return Err(CacheError::failed("away"));
        }
        if self.way.undecodable.load(Relaxed) {
            return Err(CacheError::Undecodable("rubbish".into()));
        }
        let found = CacheAdapter::get(&self.cache, key).await?;
        self.travel().await;
        Ok(found.map(|entry| Entry {
            remaining: entry.remaining.filter(|_| self.can.reads_ttl),
            epoch: if self.can.epochs { entry.epoch } else { 0 },
            ..entry
        }))
    }

    async fn set(&self, key: &String, entry: Entry<u64>) -> Result<(), CacheError> {
        self.travel().await;
        if self.way.hangs.load(Relaxed) {
            std::future::pending::<()>().await;
        }
        if self.way.no_changes.load(Relaxed) {
            return Err(CacheError::failed("away"));
        }
        CacheAdapter::set(&self.cache, key, entry).await?;
        self.travel().await;
        Ok(())
    }

    async fn delete(&self, key: &String) -> Result<(), CacheError> {
        self.travel().await;
        if self.way.no_deletes.load(Relaxed) {
            return Err(CacheError::failed("away"));
        }
        CacheAdapter::delete(&self.cache, key).await?;
        self.travel().await;
        Ok(())
    }

    async fn clear(&self) -> Result<(), CacheError> {
        if self.way.no_deletes.load(Relaxed) {
            return Err(CacheError::failed("away"));
        }
        CacheAdapter::clear(&self.cache).await
    }

    fn keys(&self) -> Option<Vec<String>> {
        self.can
            .iterate
            .then(|| CacheAdapter::keys(&self.cache))
            .flatten()
    }
}

/// A migration and all that a test wants to turn.
pub(crate) struct Bench {
    pub(crate) migration: Plain,
    pub(crate) legacy: Remote,
    pub(crate) new: Remote,
    pub(crate) hand: ClockHand,
    pub(crate) registry: Registry,
    pub(crate) directory: Directory,
}

pub(crate) fn bench(config: MigrationConfig) -> Bench {
    bench_with(config, Capabilities::ALL, Capabilities::ALL)
}

pub(crate) fn bench_with(
    config: MigrationConfig,
    legacy: Capabilities,
    new: Capabilities,
) -> Bench {
    let (clock, hand) = Clock::manual();
    let (registry, directory) = (Registry::new(), Directory::new());
    let around = Surroundings::apart()
        .with_clock(clock)
        .with_metrics(registry.clone())
        .with_directory(directory.clone());
    let legacy = Remote {
        can: legacy,
        ..Remote::new(&around)
    };
    let new = Remote {
        can: new,
        ..Remote::new(&around)
    };
    let same = |a: &u64, b: &u64| a == b;
    let (left, right) = (legacy.clone(), new.clone());
    let migration =
        CacheMigration::comparing(&around, "prompts", left, right, config, same).unwrap();
    Bench {
        migration,
        legacy,
        new,
        hand,
        registry,
        directory,
    }
}

impl Bench {
    pub(crate) async fn at(self, stage: rs_cache_migrate::Stage) -> Self {
        while self.migration.state().stage != stage {
            self.migration.advance(by()).await.unwrap();
        }
        self
    }

    pub(crate) async fn all_live(self) -> Self {
        let bench = self.at(rs_cache_migrate::Stage::Live).await;
        bench
            .migration
            .set_share(rs_core::Share::ALL, by())
            .await
            .unwrap();
        bench
    }

    pub(crate) async fn get(&self, key: &str) -> Option<u64> {
        self.migration.get(&key.to_owned()).await.unwrap().hit()
    }

    pub(crate) async fn set(&self, key: &str, value: u64) {
        self.migration
            .set(&key.to_owned(), value, HOUR)
            .await
            .unwrap();
    }

    pub(crate) async fn delete(&self, key: &str) {
        self.migration.delete(&key.to_owned()).await.unwrap();
    }
}
