use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use rs_core::{ConfigError, Health, Value, config};

use super::{
    EtcdConfig,
    session::Session,
    source::Listening,
    wire::{self, Glance, Range},
};
use crate::{
    BackendError, ServiceInstance,
    http::{Flow, Reply},
    keeper::Registrar,
    remote::{Listed, Registry, Rules},
    station::Station,
    watch::Source,
};

/// An etcd, as it is asked.
pub(super) struct EtcdRegistry {
    session: Session,
    config: EtcdConfig,
    /// By the key, for what was put from here.
    leases: Mutex<HashMap<String, i64>>,
}

impl EtcdRegistry {
    pub(super) fn new(config: EtcdConfig) -> Self {
        Self {
            session: Session::new(&config),
            config,
            leases: Mutex::default(),
        }
    }

    pub(super) const fn config(&self) -> &EtcdConfig {
        &self.config
    }

    pub(super) const fn session(&self) -> &Session {
        &self.session
    }

    /// All that is known of the service now.
    pub(super) async fn range(&self, service: &str) -> Result<Range, BackendError> {
        let folder = wire::folder(&self.config.prefix, service);
        let reply = self.ask("kv/range", wire::list(&folder)).await?;
        wire::read_range(service, &folder, &reply.body)
    }

    /// Whether anything has changed since this revision, without what it is.
    pub(super) async fn glance(&self, service: &str, since: i64) -> Result<Glance, BackendError> {
        let folder = wire::folder(&self.config.prefix, service);
        let reply = self.ask("kv/range", wire::news(&folder, since)).await?;
        wire::read_glance(&reply.body)
    }

    /// What happens to the service from this revision on.
    pub(super) async fn follow(&self, service: &str, from: i64) -> Result<Flow, BackendError> {
        let folder = wire::folder(&self.config.prefix, service);
        let watch = wire::watch(&folder, from);
        self.session.open("watch", watch).await
    }

    async fn ask(&self, path: &str, body: String) -> Result<Reply, BackendError> {
        self.session.ask(path, body).await?.ok()
    }

    async fn revoke(&self, lease: i64) -> Result<(), BackendError> {
        let reply = self.session.ask("lease/revoke", wire::lease(lease));
        let reply = reply.await?;
        match wire::is_gone(&reply) {
            true => Ok(()),
            false => reply.ok().map(drop),
        }
    }

    fn leases(&self) -> MutexGuard<'_, HashMap<String, i64>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Registrar for EtcdRegistry {
    async fn put(&self, instance: &ServiceInstance) -> Result<(), BackendError> {
        let key = wire::key(&self.config.prefix, instance.service(), instance.id());
        let granted = self.ask("lease/grant", wire::grant(instance.ttl())).await?;
        let lease = wire::read_lease(&granted.body)?;
        self.ask("kv/put", wire::put(&key, instance, lease)?)
            .await?;
        let before = self.leases().insert(key, lease);
        if let Some(before) = before {
            // Nothing hangs on it any more; if it is not heard it ends by itself.
            let _ = self.revoke(before).await;
        }
        Ok(())
    }

    async fn renew(&self, instance: &ServiceInstance) -> Result<bool, BackendError> {
        let key = wire::key(&self.config.prefix, instance.service(), instance.id());
        let Some(lease) = self.leases().get(&key).copied() else {
            return Ok(false);
        };
        let kept = self.ask("lease/keepalive", wire::lease(lease)).await?;
        if !wire::read_kept(&kept.body)? {
            self.leases().remove(&key);
            return Ok(false);
        }
        // The lease may outlive the key, which anybody can delete.
        let counted = self.ask("kv/range", wire::count(&key)).await?;
        wire::read_count(&counted.body)
    }

    async fn remove(&self, service: &str, id: &str) -> Result<(), BackendError> {
        let key = wire::key(&self.config.prefix, service, id);
        let lease = self.leases().remove(&key);
        match lease {
            // What somebody else has put there since stays.
            Some(lease) => self.revoke(lease).await,
            None => self.ask("kv/deleterange", wire::only(&key)).await.map(drop),
        }
    }
}

#[async_trait]
impl Registry for EtcdRegistry {
    const KIND: &'static str = "etcd";

    async fn list(&self, service: &str) -> Result<Listed, BackendError> {
        let range = self.range(service).await?;
        Ok(Listed {
            skipped: range.skipped,
            instances: range.known.into_values().collect(),
        })
    }

    async fn ping(&self) -> Result<Health, BackendError> {
        let status = self.ask("maintenance/status", "{}".to_owned()).await?;
        Ok(match wire::read_leader(&status.body)? {
            true => Health::UP,
            false => Health::degraded("the cluster has no leader"),
        })
    }

    fn source(self: Arc<Self>, station: &Arc<Station>, service: &str) -> Box<dyn Source> {
        Box::new(Listening::new(self, Arc::clone(station), service))
    }

    fn read(config: Value) -> Result<(Self, Rules), ConfigError> {
        let config: EtcdConfig = config::read(config)?;
        let rules = config.rules.clone();
        Ok((Self::new(config), rules))
    }

    fn shown(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("urls", self.config.access.to_string().into()),
            ("prefix", self.config.prefix.clone().into()),
            ("wait", self.config.wait.into()),
        ]
    }
}

impl fmt::Debug for EtcdRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdRegistry")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
