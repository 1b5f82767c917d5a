use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use http::{HeaderName, Method};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rs_core::{ConfigError, Health, Value, config};

use super::{ConsulConfig, source::Blocking, wire};
use crate::{
    BackendError, ServiceInstance,
    http::{Call, Http, Reply},
    keeper::Registrar,
    remote::{Listed, Registry, Rules},
    station::Station,
    watch::Source,
};

/// What a part of a path may have as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// An agent, as it is asked.
pub(super) struct ConsulRegistry {
    http: Http,
    config: ConsulConfig,
}

impl ConsulRegistry {
    pub(super) fn new(config: ConsulConfig) -> Self {
        let http = Http::new(config.access.clone(), config.rules.timeout);
        Self { http, config }
    }

    async fn put_to(&self, path: String, body: Vec<u8>) -> Result<Reply, BackendError> {
        self.send(Call::new(Method::PUT, path).body(body)).await
    }

    async fn get(&self, path: String) -> Result<Reply, BackendError> {
        self.send(Call::new(Method::GET, path)).await?.ok()
    }

    async fn send(&self, call: Call) -> Result<Reply, BackendError> {
        let call = match &self.config.token {
            Some(token) => call.header(HeaderName::from_static("x-consul-token"), token.clone()),
            None => call,
        };
        self.http.send(call).await
    }

    /// All instances, when they are no longer as they were at this index, or after so long.
    pub(super) async fn query(
        &self,
        service: &str,
        since: Option<(u64, Duration)>,
    ) -> Result<Reply, BackendError> {
        let service = part(&wire::escape(service));
        let blocking =
            since.map(|(index, wait)| format!("?index={index}&wait={}ms", wait.as_millis()));
        let query = blocking.unwrap_or_default();
        self.get(format!("/v1/health/service/{service}{query}"))
            .await
    }

    pub(super) const fn config(&self) -> &ConsulConfig {
        &self.config
    }
}

#[async_trait]
impl Registrar for ConsulRegistry {
    async fn put(&self, instance: &ServiceInstance) -> Result<(), BackendError> {
        let body = wire::registration(instance, self.config.deregister_after)?;
        let path = "/v1/agent/service/register?replace-existing-checks=true";
        self.put_to(path.to_owned(), body).await?.ok().map(drop)
    }

    async fn renew(&self, instance: &ServiceInstance) -> Result<bool, BackendError> {
        let id = wire::agent_id(instance.service(), instance.id());
        let path = format!("/v1/agent/check/update/{}", part(&format!("service:{id}")));
        let reply = self.put_to(path, wire::renewal(instance)).await?;
        match reply.status.as_u16() {
            200..300 => Ok(true),
            404 => Ok(false),
            // Consul before 1.11 says so with a 500.
            500 if reply.text().contains("does not have associated TTL") => Ok(false),
            _ => Err(reply.refusal()),
        }
    }

    async fn remove(&self, service: &str, id: &str) -> Result<(), BackendError> {
        let id = part(&wire::agent_id(service, id));
        let reply = self
            .put_to(format!("/v1/agent/service/deregister/{id}"), Vec::new())
            .await?;
        match reply.status.as_u16() {
            200..300 | 404 => Ok(()),
            _ => Err(reply.refusal()),
        }
    }
}

#[async_trait]
impl Registry for ConsulRegistry {
    const KIND: &'static str = "consul";

    async fn list(&self, service: &str) -> Result<Listed, BackendError> {
        wire::read(service, &self.query(service, None).await?.body)
    }

    async fn ping(&self) -> Result<Health, BackendError> {
        let leader = self.get("/v1/status/leader".to_owned()).await?;
        Ok(match leader.text().trim_matches('"') {
            "" => Health::degraded("the cluster has no leader"),
            _ => Health::UP,
        })
    }

    fn source(self: Arc<Self>, station: &Arc<Station>, service: &str) -> Box<dyn Source> {
        Box::new(Blocking::new(self, Arc::clone(station), service))
    }

    fn read(config: Value) -> Result<(Self, Rules), ConfigError> {
        let config: ConsulConfig = config::read(config)?;
        let rules = config.rules.clone();
        Ok((Self::new(config), rules))
    }

    fn shown(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("url", self.config.access.to_string().into()),
            ("wait", self.config.wait.into()),
            ("deregister_after", self.config.deregister_after.into()),
        ]
    }
}

/// This as one part of a path.
fn part(name: &str) -> String {
    utf8_percent_encode(name, PLAIN).to_string()
}

impl fmt::Debug for ConsulRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsulRegistry")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
