use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use rs_core::{Backoff, Health, Inspect, Name, Value};
use rs_metrics::Surroundings;
use tokio::sync::watch;

use crate::{
    Backend, BackendError, BackendHealth, InstanceSet, ServiceInstance, Watch,
    instance::check_name,
    metrics::Operation,
    station::Station,
    watch::{Answer, Source, WatchRules},
};

/// A registry within this process.
///
/// What is registered here stays until it is deregistered or the registry is closed; its time to live
/// says nothing, because it cannot crash without the registry. Clones are the same registry. It loses no
/// data, so it is believed at once when it says that a service has no instances.
///
/// It holds up to [`Memory::MAX_SERVICES`] services, with up to [`Memory::MAX_INSTANCES`] instances each.
#[derive(Debug, Clone)]
pub struct Memory(Arc<Inner>);

type Instances = BTreeMap<String, Arc<ServiceInstance>>;

struct Inner {
    station: Arc<Station>,
    services: Arc<Mutex<HashMap<String, Service>>>,
}

/// What is known of a service that has instances or watchers.
struct Service {
    instances: Instances,
    told: watch::Sender<Arc<[Arc<ServiceInstance>]>>,
}

impl Memory {
    /// How many services may have instances or watchers.
    pub const MAX_SERVICES: usize = 10_000;

    /// How many instances a service may have.
    pub const MAX_INSTANCES: usize = 100_000;

    /// A registry of this name.
    #[must_use]
    pub fn new(name: impl Into<Name>) -> Self {
        Self::within(&Surroundings::of_process(), name)
    }

    /// The same in surroundings of one's own.
    #[must_use]
    pub fn within(around: &Surroundings, name: impl Into<Name>) -> Self {
        let station = Arc::new(Station::new(around, "memory", name.into()));
        let inner = Arc::new(Inner {
            station,
            services: Arc::default(),
        });
        inner.station.home().register(&inner);
        Self(inner)
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Service>> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the instances of a service and tells its watchers.
    fn change<T>(
        &self,
        service: &str,
        change: impl FnOnce(&mut Instances) -> Result<T, BackendError>,
    ) -> Result<T, BackendError> {
        let mut services = self.lock();
        let entry = Self::entry(&mut services, service)?;
        let changed = change(&mut entry.instances);
        let all = entry.instances.values().cloned().collect();
        entry.told.send_replace(all);
        if entry.is_idle() {
            services.remove(service);
        }
        changed
    }

    fn entry<'a>(
        services: &'a mut HashMap<String, Service>,
        name: &str,
    ) -> Result<&'a mut Service, BackendError> {
        if !services.contains_key(name) && services.len() >= Memory::MAX_SERVICES {
            services.retain(|_, service| !service.is_idle());
            if services.len() >= Memory::MAX_SERVICES {
                let limit = Memory::MAX_SERVICES;
                return Err(BackendError::TooMany {
                    what: "services",
                    limit,
                });
            }
        }
        Ok(services
            .entry(name.to_owned())
            .or_insert_with(Service::empty))
    }
}

impl Service {
    fn empty() -> Self {
        Self {
            instances: Instances::new(),
            told: watch::Sender::new(Arc::new([])),
        }
    }

    fn is_idle(&self) -> bool {
        self.instances.is_empty() && self.told.receiver_count() == 0
    }
}

#[async_trait]
impl Backend for Memory {
    fn kind(&self) -> &'static str {
        self.0.station.kind()
    }

    fn name(&self) -> Name {
        self.0.station.name()
    }

    async fn register(&self, instance: ServiceInstance) -> Result<(), BackendError> {
        let inner = &*self.0;
        inner.station.open()?;
        let service = instance.service().to_owned();
        let put = async {
            inner.change(&service, |instances| {
                let limit = Memory::MAX_INSTANCES;
                if instances.len() >= limit && !instances.contains_key(instance.id()) {
                    return Err(BackendError::TooMany {
                        what: "instances",
                        limit,
                    });
                }
                instances.insert(instance.id().to_owned(), Arc::new(instance));
                Ok(())
            })
        };
        inner
            .station
            .ask(Operation::Register, Duration::MAX, put)
            .await
    }

    async fn deregister(&self, service: &str, id: &str) -> Result<(), BackendError> {
        let inner = &*self.0;
        inner.station.open()?;
        let remove = async {
            inner.change(service, |instances| {
                instances.remove(id);
                Ok(())
            })
        };
        inner
            .station
            .ask(Operation::Deregister, Duration::MAX, remove)
            .await
    }

    async fn discover(&self, service: &str) -> Result<InstanceSet, BackendError> {
        let inner = &*self.0;
        inner.station.open()?;
        check_name("service", service)?;
        let list = async {
            let services = inner.lock();
            let found = services.get(service);
            let known = found.map(|found| Arc::clone(&found.told.borrow()));
            Ok(known.unwrap_or_else(|| Arc::new([])))
        };
        let known = inner
            .station
            .ask(Operation::Discover, Duration::MAX, list)
            .await?;
        let now = inner.station.clock().now();
        Ok(InstanceSet::known(
            service.into(),
            known,
            crate::Standing::Current,
            now,
        ))
    }

    fn watch(&self, service: &str) -> Result<Watch, BackendError> {
        let open = self.0.station.open()?;
        check_name("service", service)?;
        let mut told = Inner::entry(&mut self.0.lock(), service)?.told.subscribe();
        told.mark_changed();
        let rules = WatchRules {
            grace: Duration::ZERO,
            reconnect: Backoff::default(),
        };
        let station = Arc::clone(&self.0.station);
        let source = Told {
            told,
            _services: Arc::clone(&self.0.services),
        };
        Ok(Watch::new(station, open, service, rules, source))
    }

    async fn health_check(&self) -> BackendHealth {
        let station = &self.0.station;
        let started = station.clock().now();
        let said = station.open().map(|_| Health::UP);
        if said.is_ok() {
            station.contacted(started);
        }
        station.health(started, said)
    }

    async fn close(&self) -> Result<(), BackendError> {
        if self.0.station.close() {
            self.0.lock().clear();
        }
        Ok(())
    }
}

/// Keeps the services, so that a watch ends when the registry is closed and not when its last handle goes.
struct Told {
    told: watch::Receiver<Arc<[Arc<ServiceInstance>]>>,
    _services: Arc<Mutex<HashMap<String, Service>>>,
}

#[async_trait]
impl Source for Told {
    async fn next(&mut self) -> Result<Answer, BackendError> {
        let changed = self.told.changed().await;
        changed.map_err(|_| BackendError::Closed)?;
        Ok(Answer::All(self.told.borrow_and_update().to_vec()))
    }
}

impl Inspect for Inner {
    fn kind(&self) -> &'static str {
        "backend"
    }

    fn name(&self) -> Name {
        self.station.name()
    }

    fn snapshot(&self) -> Value {
        let services = self.lock();
        let instances: usize = services
            .values()
            .map(|service| service.instances.len())
            .sum();
        Value::map([
            ("registry", "memory".into()),
            ("services", services.len().into()),
            ("instances", instances.into()),
        ])
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("name", &self.station.name())
            .field("services", &self.lock().len())
            .finish_non_exhaustive()
    }
}
