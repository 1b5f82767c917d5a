use std::{
    collections::BTreeMap,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use async_trait::async_trait;
use rs_core::{ConfigError, Health, Inspect, Name, Value, config};
use rs_metrics::Surroundings;

use crate::{
    Backend, BackendError, BackendHealth, InstanceSet, RegisterWith, ServiceInstance, Standing,
    Watch,
    instance::check_name,
    part::Part,
    set::Shown,
    several::{close, together},
    station::Station,
    watch::Watching,
};

/// Several registries as one: while services move from one to another, or for several sites.
///
/// ```
/// use rs_backends::{Backend, Memory, Merge, RegisterWith, ServiceInstance, StaticList};
/// use std::sync::Arc;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let old = StaticList::new("old", [ServiceInstance::builder("payments", "10.0.0.7", 8443).build()?]);
/// let new = Memory::new("new");
/// new.register(ServiceInstance::builder("payments", "10.0.0.8", 8443).build()?).await?;
///
/// let registries: [Arc<dyn Backend>; 2] = [Arc::new(new), Arc::new(old)];
/// let both = Merge::new("both", registries, RegisterWith::First)?;
/// assert_eq!(both.discover("payments").await?.len(), 2);
/// # Ok(()) }
/// ```
///
/// # What it does
///
/// - **One id counts once.** Of several instances with the same id the one of a registry that is
///   current wins over one that is kept or doubted, else the earlier registry in the list.
/// - **A registry that is away keeps its part.** The whole is as well known as its worst part:
///   [`Standing::Kept`] with that one's reason, and the age of the oldest.
/// - **The first set** comes when every registry has answered or failed, and one has answered. One that
///   has never answered is missing in it, and the set says so: it is [`Standing::Kept`].
/// - **`discover`** asks all at once and needs an answer of every one: half of the world is not the world.
/// - **Instances are registered** with the first registry alone, or with all.
#[derive(Debug, Clone)]
pub struct Merge(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    station: Arc<Station>,
    parts: Vec<Arc<dyn Backend>>,
    register: RegisterWith,
}

impl Merge {
    /// How many registries may be one.
    pub const MAX_PARTS: usize = 16;

    /// These registries as one, whose instances are registered with the first or with all.
    ///
    /// # Errors
    /// When there are none, or more than [`Merge::MAX_PARTS`].
    pub fn new(
        name: impl Into<Name>,
        parts: impl IntoIterator<Item = Arc<dyn Backend>>,
        register: RegisterWith,
    ) -> Result<Self, ConfigError> {
        Self::within(&Surroundings::of_process(), name, parts, register)
    }

    /// The same in surroundings of one's own.
    ///
    /// # Errors
    /// As [`Merge::new`].
    pub fn within(
        around: &Surroundings,
        name: impl Into<Name>,
        parts: impl IntoIterator<Item = Arc<dyn Backend>>,
        register: RegisterWith,
    ) -> Result<Self, ConfigError> {
        let parts: Vec<_> = parts.into_iter().collect();
        config::in_range("parts", parts.len(), 1..=Self::MAX_PARTS)?;
        let station = Arc::new(Station::new(around, "merge", name.into()));
        let inner = Arc::new(Inner {
            station,
            parts,
            register,
        });
        inner.station.home().register(&inner);
        Ok(Self(inner))
    }
}

#[async_trait]
impl Backend for Merge {
    fn kind(&self) -> &'static str {
        self.0.station.kind()
    }

    fn name(&self) -> Name {
        self.0.station.name()
    }

    async fn register(&self, instance: ServiceInstance) -> Result<(), BackendError> {
        self.0.station.open()?;
        self.0.register.register(&self.0.parts, instance).await
    }

    async fn deregister(&self, service: &str, id: &str) -> Result<(), BackendError> {
        self.0.station.open()?;
        let (parts, register) = (&self.0.parts, self.0.register);
        register.deregister(parts, service, id).await
    }

    async fn discover(&self, service: &str) -> Result<InstanceSet, BackendError> {
        self.0.station.open()?;
        check_name("service", service)?;
        let work = self.0.parts.iter().map(|part| part.discover(service));
        let sets: Result<Vec<_>, _> = together(work.collect()).await.into_iter().collect();
        merge(service, sets?, None).ok_or(BackendError::Closed)
    }

    fn watch(&self, service: &str) -> Result<Watch, BackendError> {
        self.0.station.open()?;
        check_name("service", service)?;
        let parts = self.0.parts.iter().map(|part| part.watch(service));
        let parts: Result<Vec<_>, _> = parts.map(|watch| watch.map(Part::new)).collect();
        Ok(Watch::by(Merging {
            station: Arc::clone(&self.0.station),
            service: service.to_owned(),
            parts: parts?,
            shown: Shown::default(),
        }))
    }

    async fn health_check(&self) -> BackendHealth {
        let started = self.0.station.clock().now();
        if let Err(closed) = self.0.station.open() {
            return self.0.station.health(started, Err(closed));
        }
        let asked = self.0.parts.iter().map(|part| part.health_check());
        let healths = together(asked.collect()).await;
        let contact = healths.iter().filter_map(BackendHealth::last_contact).max();
        let latency = healths.iter().filter_map(BackendHealth::latency).max();
        let all_down = healths
            .iter()
            .all(|health| health.condition() == rs_core::Condition::Down);
        let parts = self.0.parts.iter().zip(&healths);
        let worst = parts
            .map(|(part, health)| health.health().clone().of_part(part.name()))
            .fold(Health::UP, Health::worse_of);
        let health = match worst.condition() {
            rs_core::Condition::Down if !all_down => Health::degraded(worst.why().to_owned()),
            _ => worst,
        };
        BackendHealth::new(health, latency, contact)
    }

    async fn close(&self) -> Result<(), BackendError> {
        self.0.station.close();
        close(&self.0.parts).await
    }
}

/// What these say together. `missing` is why a registry that is none of them has never answered.
fn merge(
    service: &str,
    sets: Vec<InstanceSet>,
    missing: Option<BackendError>,
) -> Option<InstanceSet> {
    let confirmed: Instant = sets.iter().map(InstanceSet::confirmed).min()?;
    let mut standing = missing.map_or(Standing::Current, Standing::Kept);
    for set in &sets {
        match (&standing, set.standing()) {
            (Standing::Current, worse) | (Standing::Doubted, worse @ Standing::Kept(_)) => {
                standing = worse.clone();
            }
            _ => {}
        }
    }
    let mut merged: BTreeMap<&str, &Arc<ServiceInstance>> = BTreeMap::new();
    let (current, others): (Vec<_>, Vec<_>) = sets.iter().partition(|set| set.is_current());
    for instance in current
        .into_iter()
        .chain(others)
        .flat_map(|set| set.instances().iter())
    {
        merged.entry(instance.id()).or_insert(instance);
    }
    let instances = merged.into_values().cloned().collect();
    Some(InstanceSet::known(
        service.into(),
        instances,
        standing,
        confirmed,
    ))
}

/// A watch of several registries.
struct Merging {
    station: Arc<Station>,
    service: String,
    parts: Vec<Part>,
    shown: Shown,
}

impl Merging {
    fn view(&self) -> Option<InstanceSet> {
        if !self.parts.iter().all(Part::is_decided) {
            return None;
        }
        let sets = self.parts.iter().filter_map(Part::latest).collect();
        let silent = self.parts.iter().filter(|part| part.latest().is_none());
        let missing = silent.filter_map(Part::trouble).next();
        merge(&self.service, sets, missing)
    }
}

impl Watching for Merging {
    fn poll_news(&mut self, context: &mut Context<'_>) -> Poll<Option<InstanceSet>> {
        for part in &mut self.parts {
            part.poll(context);
        }
        if self.station.open().is_err() || self.parts.iter().all(Part::has_ended) {
            return Poll::Ready(None);
        }
        match self.view().and_then(|set| self.shown.news(set)) {
            Some(set) => {
                self.station.published(*set.standing() == Standing::Doubted);
                Poll::Ready(Some(set))
            }
            None => Poll::Pending,
        }
    }

    fn latest(&self) -> Option<InstanceSet> {
        self.view().map(|set| self.shown.alike(set))
    }

    fn trouble(&self) -> Option<BackendError> {
        self.parts.iter().filter_map(Part::trouble).next()
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
        let parts = self.parts.iter().map(|part| part.name().into()).collect();
        Value::map([("registry", "merge".into()), ("parts", Value::List(parts))])
    }
}
