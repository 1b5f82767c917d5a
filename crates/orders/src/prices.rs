//! What products cost: a cache before the inventory service, which is moving to another cache.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::Result;
use rs_patterns::{
    cache_migrate::{
        CacheAdapter, CacheError, CacheMigration, Capabilities, Entries, Entry, GatesConfig,
        Lookup, MigrationConfig, PilotConfig, PilotMode, Stage, Surroundings, TtlCache,
    },
    core::{Call, Clock, Share},
};

use crate::{
    http::post,
    shop::{Refused, Service},
};

/// How long a price is good.
const GOOD_FOR: Duration = Duration::from_secs(300);

/// How many products the shop has.
pub(crate) const PRODUCTS: u64 = 200;

/// Prices, in the cache that has always been there and in the one that takes over.
pub(crate) struct Prices {
    pub(crate) migration: CacheMigration<u64, u64, TtlCache<u64, u64>, Troubled>,
    pub(crate) trouble: Trouble,
}

impl Prices {
    pub(crate) fn new() -> Result<Self> {
        let (legacy, trouble) = (TtlCache::new(GOOD_FOR), Trouble::default());
        let new = Troubled {
            cache: TtlCache::new(GOOD_FOR),
            trouble: trouble.clone(),
        };
        // What both have is compared: a price that differs is worse than one that is not there.
        let same = |legacy: &u64, new: &u64| legacy == new;
        let around = Surroundings::of_process();
        let config = rules(PilotMode::DryRun)?;
        let migration = CacheMigration::comparing(&around, "prices", legacy, new, config, same)?;
        Ok(Self { migration, trouble })
    }

    /// It moves to the new cache from now on, by itself: as the gates say.
    pub(crate) fn migrate(&self) -> Result<()> {
        self.migration.reconfigure(rules(PilotMode::Automatic)?)?;
        Ok(())
    }

    /// What a product costs, in cents: from the cache, or from inventory.
    pub(crate) async fn of(
        &self,
        call: &Call,
        product: u64,
        inventory: &Service,
    ) -> Result<u64, Refused> {
        if let Ok(Lookup::Hit(cents)) = self.migration.get(&product).await {
            return Ok(cents);
        }
        self.refresh(call, product, inventory).await
    }

    /// What customers who looked at this looked at, too, as far as the cache knows what that costs.
    pub(crate) async fn beside(&self, product: u64) -> u64 {
        let mut known = 0;
        for other in (1..=8).map(|step| (product + step) % PRODUCTS) {
            known += u64::from(matches!(
                self.migration.get(&other).await,
                Ok(Lookup::Hit(_))
            ));
        }
        known
    }

    /// Asks inventory what a product costs now.
    pub(crate) async fn refresh(
        &self,
        call: &Call,
        product: u64,
        inventory: &Service,
    ) -> Result<u64, Refused> {
        let answer = inventory.call(call.child("price"), || {
            post("/price").header("product", product)
        });
        let answer = answer
            .await
            .map_err(|failure| Refused::NoInventory(Some(failure)))?;
        let cents = answer.number("price").ok_or(Refused::NoInventory(None))?;
        // A cache that does not take it costs the next order a question, and this one nothing.
        let _ = self.migration.set(&product, cents, GOOD_FOR).await;
        Ok(cents)
    }

    /// Where the migration is, and what speaks against the next step, in words.
    pub(crate) fn told(&self) -> String {
        let report = self.migration.report();
        if report.pilot.mode == PilotMode::DryRun && report.state.stage == Stage::Off {
            return "all from the legacy cache, until `do cache migrate`".to_owned();
        }
        let against = report.pilot.against.as_deref();
        let left = against.unwrap_or("all gates are good");
        format!(
            "{}: {} from legacy, {} from new, {} fell back, {left}",
            report.state, report.legacy_hits, report.new_hits, report.fallbacks
        )
    }
}

/// A few seconds for each step where a real migration takes minutes, and so coarser gates: with little to go by,
/// only a large difference is surely one.
fn rules(mode: PilotMode) -> Result<MigrationConfig> {
    let percent = |percent| Share::percent(percent);
    let gates = GatesConfig::default()
        .with_errors(percent(5.0)?)
        .with_differences(percent(1.0)?)
        .with_slower(1.0, 2.0, 4.0)
        .with_slack(Duration::from_millis(2))
        .with_throughput(percent(10.0)?)
        .with_hit_ratio_drop(0.5)
        .with_fallbacks(Share::ALL)
        .with_memory(1.0)
        .with_minimum_reads(20)
        .with_warm_up(0)
        .rolling_back_after(2, 3)
        .advancing_after(2);
    let pilot = PilotConfig::default()
        .with_mode(mode)
        .up_to(Stage::Complete)
        .with_window(Duration::from_millis(500))
        .with_gates(gates);
    Ok(MigrationConfig::default()
        .with_steps([percent(10.0)?, percent(50.0)?, Share::ALL])
        .with_shadow(percent(50.0)?)
        .with_pilot(pilot))
}

/// What is wrong with the new cache.
#[derive(Clone, Default)]
pub(crate) struct Trouble(Arc<AtomicU8>);

impl Trouble {
    /// `ok`, `fail`, `slow` or `wrong`; whether there is such a trouble.
    pub(crate) fn set(&self, trouble: &str) -> bool {
        let known = ["ok", "fail", "slow", "wrong"]
            .iter()
            .position(|known| *known == trouble);
        let Some(at) = known.and_then(|at| u8::try_from(at).ok()) else {
            return false;
        };
        self.0.store(at, Relaxed);
        true
    }

    async fn meet(&self) -> Result<(), CacheError> {
        match self.0.load(Relaxed) {
            1 => Err(CacheError::failed("the new cache is not there")),
            2 => {
                Clock::default().sleep(Duration::from_millis(20)).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Sometimes a wrong one.
    fn spoil(&self, cents: u64) -> u64 {
        let is_wrong = self.0.load(Relaxed) == 3 && fastrand::u8(..4) == 0;
        if is_wrong { cents + 1 } else { cents }
    }
}

/// The new cache, with what is wrong with it.
pub(crate) struct Troubled {
    cache: TtlCache<u64, u64>,
    trouble: Trouble,
}

impl CacheAdapter<u64, u64> for Troubled {
    fn capabilities(&self) -> Capabilities {
        self.cache.capabilities()
    }

    async fn get(&self, key: &u64) -> Result<Option<Entry<u64>>, CacheError> {
        self.trouble.meet().await?;
        let found = CacheAdapter::get(&self.cache, key).await?;
        Ok(found.map(|mut entry| {
            entry.value = entry.value.map(|cents| self.trouble.spoil(cents));
            entry
        }))
    }

    async fn set(&self, key: &u64, entry: Entry<u64>) -> Result<(), CacheError> {
        self.trouble.meet().await?;
        CacheAdapter::set(&self.cache, key, entry).await
    }

    async fn delete(&self, key: &u64) -> Result<(), CacheError> {
        self.trouble.meet().await?;
        CacheAdapter::delete(&self.cache, key).await
    }

    async fn clear(&self) -> Result<(), CacheError> {
        CacheAdapter::clear(&self.cache).await
    }

    async fn add(&self, key: &u64, entry: Entry<u64>) -> Result<bool, CacheError> {
        self.trouble.meet().await?;
        CacheAdapter::add(&self.cache, key, entry).await
    }

    fn keys(&self) -> Option<Vec<u64>> {
        CacheAdapter::keys(&self.cache)
    }

    fn entries(&self) -> Entries {
        CacheAdapter::entries(&self.cache)
    }
}
