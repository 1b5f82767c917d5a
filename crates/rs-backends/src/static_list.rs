use std::{future, sync::Arc, time::Duration};

use async_trait::async_trait;
use rs_core::{Backoff, Health, Inspect, Name, Value};
use rs_metrics::Surroundings;

use crate::{
    Backend, BackendError, BackendHealth, InstanceSet, ServiceInstance, Standing, Watch,
    instance::check_name,
    listing::Listing,
    metrics::Operation,
    station::Station,
    watch::{Answer, Source, WatchRules},
};

/// Instances that are written in the program and never change.
///
/// ```
/// use rs_backends::{Backend, ServiceInstance, StaticList};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let only = ServiceInstance::builder("payments", "10.0.0.7", 8443).build()?;
/// let list = StaticList::new("by-hand", [only]);
/// assert_eq!(list.discover("payments").await?.len(), 1);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct StaticList(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    station: Arc<Station>,
    listing: Listing,
}

impl StaticList {
    /// These instances. Of several with the same service and id the first is kept.
    #[must_use]
    pub fn new(
        name: impl Into<Name>,
        instances: impl IntoIterator<Item = ServiceInstance>,
    ) -> Self {
        Self::within(&Surroundings::of_process(), name, instances)
    }

    /// The same in surroundings of one's own.
    #[must_use]
    pub fn within(
        around: &Surroundings,
        name: impl Into<Name>,
        instances: impl IntoIterator<Item = ServiceInstance>,
    ) -> Self {
        let station = Arc::new(Station::new(around, "static", name.into()));
        let (listing, twice) = Listing::new(instances);
        station.skipped(twice);
        let inner = Arc::new(Inner { station, listing });
        inner.station.home().register(&inner);
        Self(inner)
    }
}

#[async_trait]
impl Backend for StaticList {
    fn kind(&self) -> &'static str {
        self.0.station.kind()
    }

    fn name(&self) -> Name {
        self.0.station.name()
    }

    async fn register(&self, _instance: ServiceInstance) -> Result<(), BackendError> {
        self.0.station.open()?;
        Err(BackendError::Unsupported("register: its list is fixed"))
    }

    async fn deregister(&self, _service: &str, _id: &str) -> Result<(), BackendError> {
        self.0.station.open()?;
        Err(BackendError::Unsupported("deregister: its list is fixed"))
    }

    async fn discover(&self, service: &str) -> Result<InstanceSet, BackendError> {
        let station = &self.0.station;
        station.open()?;
        check_name("service", service)?;
        let list = async { Ok(self.0.listing.of(service)) };
        let known = station
            .ask(Operation::Discover, Duration::MAX, list)
            .await?;
        let now = station.clock().now();
        Ok(InstanceSet::known(
            service.into(),
            known,
            Standing::Current,
            now,
        ))
    }

    fn watch(&self, service: &str) -> Result<Watch, BackendError> {
        let open = self.0.station.open()?;
        check_name("service", service)?;
        let once = Once(Some(self.0.listing.of(service).to_vec()));
        let rules = WatchRules {
            grace: Duration::ZERO,
            reconnect: Backoff::default(),
        };
        Ok(Watch::new(
            Arc::clone(&self.0.station),
            open,
            service,
            rules,
            once,
        ))
    }

    async fn health_check(&self) -> BackendHealth {
        let station = &self.0.station;
        let started = station.clock().now();
        station.health(started, station.open().map(|_| Health::UP))
    }

    async fn close(&self) -> Result<(), BackendError> {
        self.0.station.close();
        Ok(())
    }
}

struct Once(Option<Vec<Arc<ServiceInstance>>>);

#[async_trait]
impl Source for Once {
    async fn next(&mut self) -> Result<Answer, BackendError> {
        match self.0.take() {
            Some(all) => Ok(Answer::All(all)),
            None => future::pending().await,
        }
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
        Value::map([
            ("registry", "static".into()),
            ("instances", self.listing.len().into()),
        ])
    }
}
