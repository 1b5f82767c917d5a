//! What the shop does besides taking orders.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Result, bail};
use rs_patterns::{
    core::humane::show_duration,
    workers::{GroupConfig, Intensity, ManagerConfig, Restart, WorkerManager, periodic, queue},
};
use tokio::sync::mpsc;

use crate::{
    load::Load,
    prices::PRODUCTS,
    shop::{Shop, Unpaid},
};

pub(crate) const REFRESH: &str = "price refresh";
pub(crate) const UNPAID: &str = "unpaid orders";
pub(crate) const SUMMARY: &str = "summary";

/// What the workers tell, and what is wrong with them.
#[derive(Default)]
pub(crate) struct Desk {
    /// How the last ten seconds went.
    pub(crate) summary: Mutex<String>,
    /// The price refresh fails.
    pub(crate) refresh_fails: AtomicBool,
}

/// Puts them together; `start_all` starts them.
pub(crate) fn workers(
    shop: &Arc<Shop>,
    load: &Arc<Load>,
    unpaid: mpsc::Receiver<Unpaid>,
    desk: &Arc<Desk>,
) -> Result<WorkerManager> {
    let workers = WorkerManager::new("shop", ManagerConfig::default())?;

    // What could not be charged when it was ordered, eight at a time.
    let till = Arc::clone(shop);
    workers.register_with(
        queue(UNPAID, unpaid, move |unpaid: Unpaid, ctx| {
            let till = Arc::clone(&till);
            async move { till.charge_later(unpaid, &ctx).await }
        })
        .with_lanes(8),
        |config| config.with_grace(Duration::from_secs(2)),
    )?;

    // Prices change. Should this fail again and again, its group gives up, and no other worker notices.
    let group = GroupConfig::one_for_one()
        .with_intensity(Intensity::of(5, Duration::from_secs(20)))
        .with_restart(Restart::Temporary);
    let refresh = workers.group("refresh", group)?;
    let (buyer, trouble) = (Arc::clone(shop), Arc::clone(desk));
    refresh.register(
        periodic(REFRESH, Duration::from_millis(200), move |_ctx| {
            let (shop, trouble) = (Arc::clone(&buyer), Arc::clone(&trouble));
            async move {
                if trouble.refresh_fails.load(Relaxed) {
                    bail!("the price list has a page that nobody can read");
                }
                // Inventory may be away: the prices that are known are good for a while.
                let _ = shop
                    .prices
                    .refresh(fastrand::u64(..PRODUCTS), &shop.inventory)
                    .await;
                Ok(())
            }
        })
        .failing_after(1),
    )?;

    let (load, told) = (Arc::clone(load), Arc::clone(desk));
    let before = Mutex::new(load.meter.reading());
    workers.register(periodic(SUMMARY, Duration::from_secs(10), move |_ctx| {
        let now = load.meter.reading();
        let mut before = before.lock().unwrap_or_else(PoisonError::into_inner);
        let window = now.since(&before);
        *before = now;
        let summary = format!(
            "{} orders in {}, {} charged later, {} failed",
            window.all(),
            show_duration(Duration::from_secs(window.seconds.round() as u64)),
            window.counts.queued,
            window.counts.refused + window.counts.failed,
        );
        *told.summary.lock().unwrap_or_else(PoisonError::into_inner) = summary;
        async {}
    }))?;
    Ok(workers)
}
