//! What the shop does besides taking orders; `wiring.rs` says how these are supervised.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Result, bail};
use rs_patterns::core::{Call, humane::show_duration};

use crate::{load::Load, meter::OrderReading, prices::PRODUCTS, shop::Shop};

pub(crate) const REFRESH: &str = "price refresh";
pub(crate) const UNPAID: &str = "unpaid orders";
pub(crate) const SUMMARY: &str = "summary";

/// Where the shop's clerks sit.
pub(crate) struct Desk {
    shop: Arc<Shop>,
    load: Arc<Load>,
    before: Mutex<OrderReading>,
    summary: Mutex<String>,
    refresh_fails: AtomicBool,
}

impl Desk {
    pub(crate) fn new(shop: &Arc<Shop>, load: &Arc<Load>) -> Arc<Self> {
        Arc::new(Self {
            shop: Arc::clone(shop),
            load: Arc::clone(load),
            before: Mutex::new(load.meter.reading()),
            summary: Mutex::new("the first summary comes after ten seconds".to_owned()),
            refresh_fails: AtomicBool::new(false),
        })
    }

    /// Asks for the price of a product; prices change.
    pub(crate) async fn refresh(self: Arc<Self>) -> Result<()> {
        if self.refresh_fails.load(Relaxed) {
            bail!("the price list has a page that nobody can read");
        }
        let (shop, product) = (&self.shop, fastrand::u64(..PRODUCTS));
        // Inventory may be away: the prices that are known are good for a while.
        let _ = shop
            .prices
            .refresh(&Call::new("refresh"), product, &shop.inventory)
            .await;
        Ok(())
    }

    /// From now on the price refresh fails, or does not.
    pub(crate) fn spoil_refresh(&self, fails: bool) {
        self.refresh_fails.store(fails, Relaxed);
    }

    /// Writes down how orders went since it last did.
    pub(crate) async fn sum_up(self: Arc<Self>) {
        let now = self.load.meter.reading();
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        let window = now.since(&before);
        *before = now;
        let summary = format!(
            "{} orders in {}, {} charged later, {} failed",
            window.all(),
            show_duration(Duration::from_secs(window.seconds.round() as u64)),
            window.counts.queued,
            window.counts.refused + window.counts.failed,
        );
        *self.summary.lock().unwrap_or_else(PoisonError::into_inner) = summary;
    }

    /// What it wrote down last.
    pub(crate) fn summary(&self) -> String {
        let summary = self.summary.lock();
        summary.unwrap_or_else(PoisonError::into_inner).clone()
    }
}
