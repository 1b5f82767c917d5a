//! Everything that runs, in one place.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Result;
use rs_patterns::{metrics::Exported, workers::WorkerManager};
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    args::Options, control, fleet::Fleet, gateway, load::Load, shop::Shop, wiring, workers::Desk,
};

/// So many orders can be unpaid before others are refused.
const MOST_UNPAID: usize = 100_000;

/// The shop, what it calls, its customers and its workers.
pub(crate) struct Demo {
    pub(crate) shop: Arc<Shop>,
    pub(crate) fleet: Fleet,
    pub(crate) load: Arc<Load>,
    pub(crate) workers: WorkerManager,
    pub(crate) desk: Arc<Desk>,
    pub(crate) gateway: SocketAddr,
    pub(crate) folder: PathBuf,
    metrics: Option<SocketAddr>,
}

impl Demo {
    /// Starts everything but the customers.
    pub(crate) async fn start(
        options: &Options,
        metrics: &Exported,
        tasks: &mut JoinSet<()>,
    ) -> Result<Arc<Self>> {
        // What can be refused is asked for first.
        let listener = gateway::listen(options.port).await?;
        let gateway = listener.local_addr()?;

        let folder = control::folder()?;
        let fleet = Fleet::start(&folder)?;
        let (unpaid, queue) = mpsc::channel(MOST_UNPAID);
        let shop = Arc::new(Shop::new(&fleet, unpaid)?);
        let load = Load::new(gateway);
        let desk = Desk::new(&shop, &load);
        let workers = wiring::workers(&shop, &desk, queue)?;
        workers.start_all().await?;

        tasks.spawn(gateway::serve(listener, Arc::clone(&shop)));
        tasks.spawn(Arc::clone(&load).run());
        let moving = Arc::clone(&shop);
        tasks.spawn(async move { moving.prices.migration.run().await });
        for service in shop.services() {
            tasks.spawn(service.balancer.keep());
        }
        let demo = Arc::new(Self {
            shop,
            fleet,
            load,
            workers,
            desk,
            gateway,
            folder,
            metrics: metrics.address(),
        });
        control::listen(&demo, tasks)?;
        Ok(demo)
    }

    /// The page of metrics.
    pub(crate) fn metrics(&self) -> String {
        let address = self
            .metrics
            .map(|address| format!("http://{address}/metrics"));
        address.unwrap_or_default()
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        crate::fleet::ledger(&self.folder)
    }

    /// The customers go, the workers end what they do, and the processes are gone when this returns.
    pub(crate) async fn stop(&self, tasks: &mut JoinSet<()>) {
        self.load.settle().await;
        self.workers.drain_all(Duration::from_secs(2)).await;
        tasks.shutdown().await;
        self.fleet.stop();
    }
}
