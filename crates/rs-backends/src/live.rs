//! A registry that may be replaced by another while it is used.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use tokio::{select, sync::watch};

use crate::{
    BackendError, ServiceInstance,
    in_force::InForce,
    keeper::Registrar,
    remote::{Registry, Rules},
    station::Station,
    watch::{Answer, Source, WatchRules},
};

/// A registry and the rules that it is used by.
#[derive(Debug)]
pub(crate) struct Setup<R> {
    pub(crate) registry: Arc<R>,
    pub(crate) rules: Rules,
}

/// Registers with whichever is in force.
#[derive(Debug)]
pub(crate) struct Registrars<R> {
    pub(crate) station: Arc<Station>,
    pub(crate) current: Arc<InForce<Setup<R>>>,
}

impl<R> Registrars<R> {
    async fn in_time<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, BackendError>> + Send,
    ) -> Result<T, BackendError> {
        select! {
            biased;
            done = work => done,
            () = self.station.clock().sleep(limit) => Err(BackendError::TimedOut(limit)),
        }
    }
}

#[async_trait]
impl<R: Registry> Registrar for Registrars<R> {
    async fn put(&self, instance: &ServiceInstance) -> Result<(), BackendError> {
        let now = self.current.get();
        let put = now.registry.put(instance);
        self.in_time(now.rules.timeout, put).await
    }

    async fn renew(&self, instance: &ServiceInstance) -> Result<bool, BackendError> {
        let now = self.current.get();
        let renew = now.registry.renew(instance);
        self.in_time(now.rules.timeout, renew).await
    }

    async fn remove(&self, service: &str, id: &str) -> Result<(), BackendError> {
        let now = self.current.get();
        let remove = now.registry.remove(service, id);
        self.in_time(now.rules.timeout, remove).await
    }
}

/// Listens to whichever is in force.
pub(crate) struct Follow<R> {
    station: Arc<Station>,
    service: String,
    current: watch::Receiver<Arc<Setup<R>>>,
    source: Box<dyn Source>,
}

impl<R: Registry> Follow<R> {
    pub(crate) fn new(
        station: &Arc<Station>,
        service: &str,
        mut current: watch::Receiver<Arc<Setup<R>>>,
    ) -> Self {
        let now = Arc::clone(&current.borrow_and_update());
        Self {
            source: Arc::clone(&now.registry).source(station, service),
            station: Arc::clone(station),
            service: service.to_owned(),
            current,
        }
    }
}

#[async_trait]
impl<R: Registry> Source for Follow<R> {
    async fn next(&mut self) -> Result<Answer, BackendError> {
        loop {
            select! {
                biased;
                Ok(()) = self.current.changed() => {}
                answer = self.source.next() => return answer,
            }
            let now = Arc::clone(&self.current.borrow_and_update());
            self.source = Arc::clone(&now.registry).source(&self.station, &self.service);
        }
    }

    fn rules(&self) -> Option<WatchRules> {
        Some(WatchRules::from(&self.current.borrow().rules))
    }
}
