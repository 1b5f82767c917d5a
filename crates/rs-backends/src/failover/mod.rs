//! A second registry for when the first is away.

mod settings;
mod side;
mod watch;

use std::sync::Arc;

use async_trait::async_trait;
use rs_core::{
    Action, ActionSpec, Condition, ControlError, Health, Inspect, Mandate, Name, Value, config,
};
use rs_metrics::{Counter, Family, Surroundings};

pub use settings::FailoverConfig;

use crate::{
    Backend, BackendError, BackendHealth, InstanceSet, ServiceInstance, Watch,
    in_force::{InForce, RECONFIGURE, obey},
    instance::check_name,
    metrics::{Believed, FAILOVERS},
    part::Part,
    set::Shown,
    several::{close, together},
    station::Station,
    timer::Timer,
};

/// A second registry for when the first is away.
///
/// ```
/// use rs_backends::{Backend, Failover, FailoverConfig, Memory, ServiceInstance, StaticList};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let consul = Memory::new("consul"); // or Consul, or etcd
/// let by_hand = ServiceInstance::builder("payments", "10.0.0.7", 8443).build()?;
/// let by_hand = StaticList::new("by-hand", [by_hand]);
///
/// let config = FailoverConfig::default().with_give_up_after(Duration::from_secs(10))?;
/// let registry = Failover::new("registry", consul, by_hand, config);
/// assert!(registry.discover("payments").await?.is_empty(), "the primary answers");
/// # Ok(()) }
/// ```
///
/// # What it does
///
/// - **A watch** shows what the primary says, also what it said last when it is away, until it has been
///   away for [30 s](FailoverConfig::with_give_up_after). Then it shows what the secondary says, if that
///   answers. A primary that has never answered is given up at its first failure: there is nothing to keep.
/// - **A secondary that knows no instance** of a service is not believed while some are kept.
/// - **The primary is taken again** when it has answered for
///   [10 s](FailoverConfig::with_take_back_after) without an interruption, or at once when the secondary is
///   away. So one that comes and goes is not followed.
/// - **The secondary is asked for nothing** while the primary answers.
/// - **`discover`** asks the primary, and the secondary when that fails. A primary that hangs costs its
///   time limit each time; put a breaker around it ([`Guarded`](crate::Guarded)).
/// - **Instances are registered** with the primary, or with [both](FailoverConfig::with_registering).
///   Who reads from the secondary finds only what was registered there.
///
/// [`Watch::trouble`] is the primary's, also while the secondary is believed.
#[derive(Debug, Clone)]
pub struct Failover(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    station: Arc<Station>,
    parts: [Arc<dyn Backend>; 2],
    config: Arc<InForce<FailoverConfig>>,
    switches: Family<Counter, Believed>,
}

impl Failover {
    /// The primary, and the secondary for when it is away.
    #[must_use]
    pub fn new(
        name: impl Into<Name>,
        primary: impl Backend,
        secondary: impl Backend,
        config: FailoverConfig,
    ) -> Self {
        let around = Surroundings::of_process();
        Self::within(&around, name, primary, secondary, config)
    }

    /// The same in surroundings of one's own.
    #[must_use]
    pub fn within(
        around: &Surroundings,
        name: impl Into<Name>,
        primary: impl Backend,
        secondary: impl Backend,
        config: FailoverConfig,
    ) -> Self {
        let station = Arc::new(Station::new(around, "failover", name.into()));
        let switches = FAILOVERS.bind_in(&station.home().metrics(), station.name());
        let inner = Arc::new(Inner {
            station,
            parts: [Arc::new(primary), Arc::new(secondary)],
            config: Arc::new(InForce::new(config)),
            switches,
        });
        inner.station.home().register(&inner);
        Self(inner)
    }

    /// Goes by another configuration from now on. The directory has this as the
    /// action `reconfigure`.
    pub fn reconfigure(&self, config: FailoverConfig) {
        self.0.config.replace(self.0.station.home(), config);
    }
}

#[async_trait]
impl Backend for Failover {
    fn kind(&self) -> &'static str {
        self.0.station.kind()
    }

    fn name(&self) -> Name {
        self.0.station.name()
    }

    async fn register(&self, instance: ServiceInstance) -> Result<(), BackendError> {
        self.0.station.open()?;
        let register = self.0.config.get().register;
        register.register(&self.0.parts, instance).await
    }

    async fn deregister(&self, service: &str, id: &str) -> Result<(), BackendError> {
        self.0.station.open()?;
        let register = self.0.config.get().register;
        register.deregister(&self.0.parts, service, id).await
    }

    async fn discover(&self, service: &str) -> Result<InstanceSet, BackendError> {
        self.0.station.open()?;
        let [primary, secondary] = &self.0.parts;
        match primary.discover(service).await {
            Err(error) if error.may_pass() || error == BackendError::Closed => {
                let second = secondary.discover(service).await;
                second.map_err(|_| error)
            }
            told => told,
        }
    }

    fn watch(&self, service: &str) -> Result<Watch, BackendError> {
        self.0.station.open()?;
        check_name("service", service)?;
        let [primary, secondary] = &self.0.parts;
        let config = self.0.config.get();
        Ok(Watch::by(watch::Pair {
            station: Arc::clone(&self.0.station),
            service: service.to_owned(),
            primary: Part::new(primary.watch(service)?),
            backup: Arc::clone(secondary),
            secondary: None,
            choice: side::Choice::new(config.give_up_after, config.take_back_after),
            config: Arc::clone(&self.0.config),
            timer: Timer::default(),
            shown: Shown::default(),
            switches: self.0.switches.clone(),
        }))
    }

    async fn health_check(&self) -> BackendHealth {
        let started = self.0.station.clock().now();
        if let Err(closed) = self.0.station.open() {
            return self.0.station.health(started, Err(closed));
        }
        let asked = self.0.parts.iter().map(|part| part.health_check());
        let mut healths = together(asked.collect()).await.into_iter();
        let (Some(first), Some(second)) = (healths.next(), healths.next()) else {
            return self.0.station.health(started, Err(BackendError::Closed));
        };
        let contact = first.last_contact().max(second.last_contact());
        let of = |health: &BackendHealth, part| health.health().clone().of_part(part);
        let (primary, secondary) = (of(&first, "primary"), of(&second, "secondary"));
        match (first.condition(), second.condition()) {
            (Condition::Down, Condition::Down) => BackendHealth::new(primary, None, contact),
            (Condition::Down, _) => {
                let health = Health::degraded(primary.why().to_owned());
                BackendHealth::new(health, second.latency(), contact)
            }
            (_, Condition::Down) => {
                let health = primary.worse_of(Health::degraded(secondary.why().to_owned()));
                BackendHealth::new(health, first.latency(), contact)
            }
            _ => BackendHealth::new(primary.worse_of(secondary), first.latency(), contact),
        }
    }

    async fn close(&self) -> Result<(), BackendError> {
        self.0.station.close();
        close(&self.0.parts).await
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
        let [primary, secondary] = &self.parts;
        let config = self.config.get();
        Value::map([
            ("registry", "failover".into()),
            ("primary", primary.name().into()),
            ("secondary", secondary.name().into()),
            ("give_up_after", config.give_up_after.into()),
            ("take_back_after", config.take_back_after.into()),
        ])
    }

    fn actions(&self) -> &'static [ActionSpec] {
        RECONFIGURE
    }

    fn control(&self, action: &Action, _mandate: &Mandate) -> Result<(), ControlError> {
        let home = self.station.home();
        obey(home, action, config::read, |config| {
            self.config.replace(home, config);
        })
    }
}
