//! What products cost: a cache before the inventory service.

use std::time::Duration;

use anyhow::Result;
use rs_patterns::cache_migrate::{CacheMigration, Lookup, MigrationConfig, TtlCache};

use crate::{
    http::post,
    shop::{Refused, Service},
};

/// How long a price is good.
const GOOD_FOR: Duration = Duration::from_secs(30);

/// How many products the shop has.
pub(crate) const PRODUCTS: u64 = 2000;

/// Prices, in the cache that has always been there and in the one that takes over.
pub(crate) struct Prices {
    pub(crate) migration: CacheMigration<u64, u64, TtlCache<u64, u64>, TtlCache<u64, u64>>,
}

impl Prices {
    pub(crate) fn new() -> Result<Self> {
        let (legacy, new) = (TtlCache::new(GOOD_FOR), TtlCache::new(GOOD_FOR));
        let migration = CacheMigration::new("prices", legacy, new, MigrationConfig::default())?;
        Ok(Self { migration })
    }

    /// Where the migration is, in words.
    pub(crate) fn told(&self) -> String {
        format!("{}", self.migration.state())
    }

    /// What a product costs, in cents: from the cache, or from inventory.
    pub(crate) async fn of(&self, product: u64, inventory: &Service) -> Result<u64, Refused> {
        if let Ok(Lookup::Hit(cents)) = self.migration.get(&product).await {
            return Ok(cents);
        }
        self.refresh(product, inventory).await
    }

    /// Asks inventory what a product costs now.
    pub(crate) async fn refresh(&self, product: u64, inventory: &Service) -> Result<u64, Refused> {
        let answer = inventory.call("price", || post("/price").header("product", product));
        let answer = answer
            .await
            .map_err(|failure| Refused::NoInventory(Some(failure)))?;
        let cents = answer.number("price").ok_or(Refused::NoInventory(None))?;
        // A cache that does not take it costs the next order a question, and this one nothing.
        let _ = self.migration.set(&product, cents, GOOD_FOR).await;
        Ok(cents)
    }
}
