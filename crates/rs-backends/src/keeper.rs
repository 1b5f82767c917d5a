//! Keeps registrations alive: one task for each, which ends with it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use rs_core::{Backoff, Severity, SignalKind};
use rs_metrics::{Counter, Family, Gauge};
use tokio::{select, sync::oneshot, task::JoinHandle};

use crate::{
    BackendError, ServiceInstance,
    metrics::{KEPT, Operation, REREGISTRATIONS},
    station::Station,
};

static FORGOTTEN: SignalKind = SignalKind::new(
    "backend",
    "forgotten",
    Severity::Warning,
    "had forgotten an instance and was told of it again",
);

/// How many instances one backend keeps known.
const LIMIT: usize = 4096;

/// What keeping a registration alive needs of a registry.
#[async_trait]
pub(crate) trait Registrar: Send + Sync + 'static {
    async fn put(&self, instance: &ServiceInstance) -> Result<(), BackendError>;

    /// Whether the registry knew it.
    async fn renew(&self, instance: &ServiceInstance) -> Result<bool, BackendError>;

    async fn remove(&self, service: &str, id: &str) -> Result<(), BackendError>;
}

#[derive(Debug)]
pub(crate) struct Keeper<R> {
    station: Arc<Station>,
    registrar: Arc<R>,
    limit: Duration,
    kept: Mutex<HashMap<(String, String), Kept>>,
    count: Family<Gauge>,
    told_again: Family<Counter>,
}

#[derive(Debug)]
struct Kept {
    /// Dropped, it tells the task to deregister and end: so does dropping the whole keeper.
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), BackendError>>,
}

impl<R: Registrar> Keeper<R> {
    pub(crate) fn new(station: Arc<Station>, registrar: Arc<R>, limit: Duration) -> Self {
        let (registry, name) = (station.home().metrics(), station.name());
        Self {
            count: KEPT.bind_in(&registry, name),
            told_again: REREGISTRATIONS.bind_in(&registry, name),
            station,
            registrar,
            limit,
            kept: Mutex::default(),
        }
    }

    pub(crate) async fn register(&self, instance: ServiceInstance) -> Result<(), BackendError> {
        let key = (instance.service().to_owned(), instance.id().to_owned());
        let (known, count) = {
            let mut kept = self.lock();
            (kept.remove(&key), kept.len())
        };
        if count >= LIMIT {
            return Err(BackendError::TooMany {
                what: "registrations",
                limit: LIMIT,
            });
        }
        if let Some(Kept { stop, task }) = known {
            // Replaced, not removed: nobody must miss it meanwhile.
            let _ = stop.send(());
            let _ = task.await;
        }
        let (station, registrar, limit) = (
            Arc::clone(&self.station),
            Arc::clone(&self.registrar),
            self.limit,
        );
        let put = async { registrar.put(&instance).await };
        station.ask(Operation::Register, limit, put).await?;
        self.keep(key, instance)
    }

    /// Starts to keep what the registry has just taken.
    #[expect(
        clippy::disallowed_methods,
        reason = "a registration that nobody polls must stay alive; its handle ends the task"
    )]
    fn keep(&self, key: (String, String), instance: ServiceInstance) -> Result<(), BackendError> {
        let (stop, stopped) = oneshot::channel();
        let life = Life {
            station: Arc::clone(&self.station),
            registrar: Arc::clone(&self.registrar),
            limit: self.limit,
            instance,
            told_again: self.told_again.clone(),
        };
        let mut kept = self.lock();
        let open = self.station.open().map(drop);
        let task = tokio::spawn(life.run(stopped));
        if open.is_ok() {
            if let Some(Kept { stop, .. }) = kept.insert(key, Kept { stop, task }) {
                // Somebody registered the same meanwhile: it is replaced, not removed.
                let _ = stop.send(());
            }
            self.count.set(kept.len() as f64);
        }
        open
    }

    pub(crate) async fn deregister(&self, service: &str, id: &str) -> Result<(), BackendError> {
        let key = (service.to_owned(), id.to_owned());
        let known = {
            let mut kept = self.lock();
            let known = kept.remove(&key);
            self.count.set(kept.len() as f64);
            known
        };
        match known {
            Some(kept) => kept.end().await,
            None => {
                let remove = self.registrar.remove(service, id);
                self.station
                    .ask(Operation::Deregister, self.limit, remove)
                    .await
            }
        }
    }

    /// Deregisters all; the last error, if there was one.
    pub(crate) async fn close(&self) -> Result<(), BackendError> {
        let all: Vec<Kept> = {
            let mut kept = self.lock();
            self.count.set(0.0);
            kept.drain().map(|(_, kept)| kept).collect()
        };
        // All are told before any is waited for.
        let tasks: Vec<_> = all.into_iter().map(|Kept { task, .. }| task).collect();
        let mut result = Ok(());
        for task in tasks {
            result = ended(task).await.and(result);
        }
        result
    }

    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    async fn end(self) -> Result<(), BackendError> {
        drop(self.stop);
        ended(self.task).await
    }
}

async fn ended(task: JoinHandle<Result<(), BackendError>>) -> Result<(), BackendError> {
    task.await
        .unwrap_or_else(|error| Err(BackendError::unreachable(error)))
}

/// One registration, from the moment the registry has taken it.
struct Life<R> {
    station: Arc<Station>,
    registrar: Arc<R>,
    limit: Duration,
    instance: ServiceInstance,
    told_again: Family<Counter>,
}

impl<R: Registrar> Life<R> {
    /// Keeps it alive until it is stopped. A message leaves the registry as it is, a closed channel
    /// deregisters: so a backend that is dropped tells the registry if the runtime still runs.
    async fn run(self, mut stopped: oneshot::Receiver<()>) -> Result<(), BackendError> {
        let third = self.instance.ttl() / 3;
        let mut retries = None;
        loop {
            let wait = match &mut retries {
                None => self.station.spread(third),
                Some(delays) => Iterator::next(delays).unwrap_or(third),
            };
            let told = select! {
                biased;
                told = &mut stopped => Some(told),
                () = self.station.clock().sleep(wait) => None,
            };
            match told {
                Some(Ok(())) => return Ok(()),
                Some(Err(_)) => return self.remove().await,
                None => {}
            }
            // A step is finished before a stop is heard: a renewal under way could otherwise arrive
            // after the removal. Each has a time limit.
            match self.renew(third).await {
                Ok(()) => retries = None,
                Err(_) => {
                    let first = Duration::from_millis(100).min(third);
                    let plan = Backoff::exponential(first).at_most(third);
                    retries.get_or_insert_with(|| plan.delays());
                }
            }
        }
    }

    async fn renew(&self, third: Duration) -> Result<(), BackendError> {
        let limit = self.limit.min(third.max(Duration::from_millis(500)));
        let renew = self.registrar.renew(&self.instance);
        if self.station.ask(Operation::Renew, limit, renew).await? {
            return Ok(());
        }
        let put = self.registrar.put(&self.instance);
        self.station.ask(Operation::Register, limit, put).await?;
        self.told_again.increment();
        let home = self.station.home();
        home.record(|| FORGOTTEN.signal(home.name));
        Ok(())
    }

    async fn remove(&self) -> Result<(), BackendError> {
        let (service, id) = (self.instance.service(), self.instance.id());
        let remove = self.registrar.remove(service, id);
        self.station
            .ask(Operation::Deregister, self.limit, remove)
            .await
    }
}
