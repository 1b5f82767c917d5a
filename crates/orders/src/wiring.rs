//! The wiring: what stands between the shop and what it calls, and what the shop does besides taking orders.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use rs_patterns::{
    balance::{Balancer, BalancerConfig, Endpoint, Latency, Outliers, Strategy},
    breaker::{Breaker, BreakerConfig, OpenTime, Ramp},
    core::Share,
    policies::{Backoff, Bulkhead, BulkheadConfig, Pipeline, RetryConfig},
    workers::{GroupConfig, Intensity, ManagerConfig, Restart, WorkerManager, periodic, queue},
};
use tokio::sync::mpsc::Receiver;

use crate::{
    fleet::Process,
    service::Kind,
    shop::{Service, Shop, Unpaid},
    workers::{Desk, REFRESH, SUMMARY, UNPAID},
};

const SECOND: Duration = Duration::from_secs(1);

/// A service as the shop calls it. An attempt has `patience`, a call up to three within four times that.
pub(crate) fn service(kind: Kind, all: Vec<Arc<Process>>, patience: Duration) -> Result<Service> {
    // Calls go to the faster instance, and what was slow is tried again after some seconds. One that fails is
    // left alone for one second at first, then longer; half of them may be out at once.
    let fastest = Strategy::LatencyBased(Latency::default().with_decay(2 * SECOND));
    let outliers = Outliers::default()
        .with_at_most(Share::percent(50.0)?)
        .with_ejection(SECOND, 10 * SECOND);
    let balance = BalancerConfig::new(fastest).with_outliers(outliers);
    let balancer = Balancer::new(kind.name(), balance)?;
    let endpoints = all
        .into_iter()
        .map(|one| Endpoint::new(one.name.clone(), one));
    balancer.update(endpoints);

    // If the service as a whole fails it is left alone, too, and comes back step by step.
    let breaker = BreakerConfig::default()
        .with_open_time(OpenTime::exponential(SECOND, 10 * SECOND))
        .with_ramp(Ramp::over(2 * SECOND));
    let breaker = Breaker::new(kind.name(), breaker)?;

    // However it is written: timeout, retry with a budget, breaker, bulkhead, attempt timeout.
    let backoff = Backoff::exponential(Duration::from_millis(5));
    let pipeline = Pipeline::named(kind.name())
        .timeout(patience * 4)
        .retry(RetryConfig::new(3, backoff))
        .guard(breaker.clone())
        .bulkhead(BulkheadConfig::of(256))
        .attempt_timeout(patience)
        .safe_to_repeat() // each request carries its order, and takes effect once for it
        .build()?;
    Ok(Service::new(kind, balancer, breaker, pipeline))
}

/// Not too many orders at once: a burst waits in line, an overload is refused at the door.
pub(crate) fn door() -> Result<Bulkhead> {
    let line = BulkheadConfig::of(128).with_queue(2048, Duration::from_millis(500));
    Ok(Bulkhead::new("orders", line)?)
}

/// The shop's workers; `start_all` starts them, and one that ends otherwise than it should is started again.
pub(crate) fn workers(
    shop: &Arc<Shop>,
    desk: &Arc<Desk>,
    unpaid: Receiver<Unpaid>,
) -> Result<WorkerManager> {
    let workers = WorkerManager::new("shop", ManagerConfig::default())?;

    // What could not be charged when it was ordered, eight at a time. When the shop closes it has two seconds.
    let till = Arc::clone(shop);
    let charge = move |order, worker| Arc::clone(&till).charge_later(order, worker);
    let charge = queue(UNPAID, unpaid, charge).with_lanes(8);
    workers.register_with(charge, |config| config.with_grace(2 * SECOND))?;

    // Should this fail six times within 20 s, its group gives up, and no other worker notices.
    let group = GroupConfig::one_for_one()
        .with_intensity(Intensity::of(5, 20 * SECOND))
        .with_restart(Restart::Temporary);
    let buyer = Arc::clone(desk);
    let refresh = move |_worker| Arc::clone(&buyer).refresh();
    let refresh = periodic(REFRESH, SECOND / 5, refresh).failing_after(1);
    workers.group("refresh", group)?.register(refresh)?;

    let clerk = Arc::clone(desk);
    let summary = move |_worker| Arc::clone(&clerk).sum_up();
    workers.register(periodic(SUMMARY, 10 * SECOND, summary))?;
    Ok(workers)
}
