use std::{fmt, sync::Arc};

use async_trait::async_trait;
use http::{HeaderValue, Method, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rs_core::{Clock, ConfigError, Health, Value, config};

use super::{
    KubernetesConfig,
    credentials::Credentials,
    merged::{MOST, Merged},
    names, slice,
    source::Watching,
    wire::{self, Page},
};
use crate::{
    BackendError, ServiceInstance,
    http::{Call, Flow, Http, Reply},
    keeper::Registrar,
    remote::{Listed, Registry, Rules},
    station::Station,
    watch::Source,
};

/// How many slices one answer has.
const PAGE: usize = 500;

/// How many bytes one event of a watch may have: etcd keeps objects of 1.5 MiB.
const EVENT: usize = 8 << 20;

/// How often a list is begun anew because the server had forgotten its beginning.
const RESTARTS: usize = 3;

/// An API server, as it is asked.
pub(super) struct KubernetesRegistry {
    http: Http,
    config: KubernetesConfig,
    credentials: Credentials,
    clock: Clock,
}

/// How new a list must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fresh {
    /// As the server has it in memory, which costs it little; a watch from there catches up.
    Any,
    /// From memory too, and not from before this version, whichever server of the cluster it is.
    Since(String),
    /// As it is now. The server reads all slices of the namespace for it.
    Now,
}

/// A whole list, and what it was true at.
#[derive(Debug)]
pub(super) struct List {
    pub(super) version: String,
    pub(super) items: Vec<serde_json::Value>,
}

impl KubernetesRegistry {
    pub(super) fn new(config: KubernetesConfig, clock: Clock) -> Self {
        Self {
            http: Http::new(config.access.clone(), config.rules.timeout),
            credentials: Credentials::new(config.token.clone()),
            config,
            clock,
        }
    }

    pub(super) const fn config(&self) -> &KubernetesConfig {
        &self.config
    }

    /// The path of the slices, with this after it.
    fn path(&self, rest: &str) -> String {
        let namespace = &self.config.namespace;
        format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices{rest}")
    }

    fn of_service(&self, service: &str, rest: &str) -> String {
        let selector = format!("{}={}", names::SERVICE, names::label(service));
        self.path(&format!("?labelSelector={}{rest}", query(&selector)))
    }

    /// Sends what `call` makes; once more when a token has been replaced meanwhile.
    async fn send(&self, call: impl Fn() -> Call + Send) -> Result<Reply, BackendError> {
        let header = self.credentials.header(self.clock.now()).await?;
        let reply = self.http.send(call().authorization(header)).await?;
        if reply.status != StatusCode::UNAUTHORIZED || !self.credentials.refused() {
            return Ok(reply);
        }
        let header = self.credentials.header(self.clock.now()).await?;
        self.http.send(call().authorization(header)).await
    }

    async fn get(&self, path: &str) -> Result<Reply, BackendError> {
        self.send(|| Call::new(Method::GET, path)).await
    }

    /// All slices of the service, part by part.
    pub(super) async fn all(&self, service: &str, fresh: &Fresh) -> Result<List, BackendError> {
        let fresh = match fresh {
            Fresh::Any => "&resourceVersion=0".to_owned(),
            Fresh::Since(version) => format!(
                "&resourceVersion={}&resourceVersionMatch=NotOlderThan",
                query(version)
            ),
            Fresh::Now => String::new(),
        };
        let (mut items, mut next, mut restarts) = (Vec::new(), None::<String>, 0);
        loop {
            let from = next.map(|next| format!("&continue={}", query(&next)));
            // The rest is of the same version as the beginning: the server knows which.
            let from = from.unwrap_or_else(|| fresh.clone());
            let reply = self
                .get(&self.of_service(service, &format!("&limit={PAGE}{from}")))
                .await?;
            if reply.status == StatusCode::GONE && !items.is_empty() && restarts < RESTARTS {
                // The rest is from another time than what is here.
                (items, next, restarts) = (Vec::new(), None, restarts + 1);
                continue;
            }
            let Page {
                version,
                next: further,
                items: some,
            } = wire::page(&ok(reply)?.body)?;
            items.extend(some);
            if items.len() > MOST {
                return Err(BackendError::TooMany {
                    what: "slices",
                    limit: MOST,
                });
            }
            if further.is_none() {
                return Ok(List { version, items });
            }
            next = further;
        }
    }

    /// What happens from this version on, for so many seconds; nothing if the server has forgotten it.
    pub(super) async fn follow(
        &self,
        service: &str,
        version: &str,
        seconds: u64,
    ) -> Result<Option<Flow>, BackendError> {
        let version = query(version);
        let path = self.of_service(
            service,
            &format!(
                "&watch=true&allowWatchBookmarks=true&resourceVersion={version}&timeoutSeconds={seconds}"
            ),
        );
        let header = self.credentials.header(self.clock.now()).await?;
        let call = Call::new(Method::GET, path).authorization(header);
        match self.http.begin(call, EVENT).await? {
            Ok(flow) => Ok(Some(flow)),
            Err(reply) if reply.status == StatusCode::GONE => Ok(None),
            Err(reply) => {
                if reply.status == StatusCode::UNAUTHORIZED {
                    self.credentials.refused();
                }
                Err(wire::refusal(reply.status.as_u16(), &reply.body))
            }
        }
    }
}

/// This as a part of a query.
fn query(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn ok(reply: Reply) -> Result<Reply, BackendError> {
    match reply.status.is_success() {
        true => Ok(reply),
        false => Err(wire::refusal(reply.status.as_u16(), &reply.body)),
    }
}

#[async_trait]
impl Registrar for KubernetesRegistry {
    async fn put(&self, instance: &ServiceInstance) -> Result<(), BackendError> {
        let slice = slice::write(instance, self.config.owner.as_ref())?;
        let body = serde_json::to_vec(&slice).map_err(BackendError::malformed)?;
        let name = names::slice(instance.service(), instance.id());
        // Applied by force: whatever else changed it, the instance knows best what it is.
        let path = self.path(&format!(
            "/{name}?fieldManager={}&force=true",
            slice::MANAGER
        ));
        let apply = HeaderValue::from_static("application/apply-patch+yaml");
        let call = || {
            Call::new(Method::PATCH, &*path)
                .header(header::CONTENT_TYPE, apply.clone())
                .body(body.clone())
        };
        ok(self.send(call).await?).map(drop)
    }

    async fn renew(&self, instance: &ServiceInstance) -> Result<bool, BackendError> {
        let name = names::slice(instance.service(), instance.id());
        // From the server's memory: an instance that was forgotten a moment ago is missed next time.
        let reply = self
            .get(&self.path(&format!("/{name}?resourceVersion=0")))
            .await?;
        match reply.status {
            StatusCode::NOT_FOUND => Ok(false),
            _ => ok(reply).map(|_| true),
        }
    }

    async fn remove(&self, service: &str, id: &str) -> Result<(), BackendError> {
        let path = self.path(&format!("/{}", names::slice(service, id)));
        let reply = self.send(|| Call::new(Method::DELETE, &*path)).await?;
        match reply.status {
            StatusCode::NOT_FOUND => Ok(()),
            _ => ok(reply).map(drop),
        }
    }
}

#[async_trait]
impl Registry for KubernetesRegistry {
    const KIND: &'static str = "kubernetes";

    async fn list(&self, service: &str) -> Result<Listed, BackendError> {
        let (mut merged, mut skipped) = (Merged::default(), 0);
        for item in self.all(service, &Fresh::Now).await?.items {
            skipped += merged.put(service, &self.config, item);
        }
        let instances = merged.instances()?;
        let instances = instances.into_iter().map(Arc::unwrap_or_clone).collect();
        Ok(Listed { instances, skipped })
    }

    async fn ping(&self) -> Result<Health, BackendError> {
        // What everything else needs too: the right to list, and an etcd that answers.
        let reply = self.get(&self.path("?limit=1")).await?;
        wire::page(&ok(reply)?.body)?;
        Ok(Health::UP)
    }

    fn source(self: Arc<Self>, station: &Arc<Station>, service: &str) -> Box<dyn Source> {
        Box::new(Watching::new(self, Arc::clone(station), service))
    }

    fn read(config: Value) -> Result<(Self, Rules), ConfigError> {
        let config: KubernetesConfig = config::read(config)?;
        let rules = config.rules.clone();
        Ok((Self::new(config, Clock::default()), rules))
    }

    fn shown(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("url", self.config.access.to_string().into()),
            ("namespace", self.config.namespace.clone().into()),
            ("wait", self.config.wait.into()),
        ]
    }
}

impl fmt::Debug for KubernetesRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubernetesRegistry")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
