//! What all registries behind a network share.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use rs_core::{
    Action, ActionSpec, Backoff, ConfigError, ControlError, Health, Inspect, Mandate, Name, Value,
    config,
};
use rs_metrics::Surroundings;

use crate::{
    BackendError, BackendHealth, InstanceSet, ServiceInstance, Watch,
    in_force::{InForce, RECONFIGURE, obey},
    instance::check_name,
    keeper::{Keeper, Registrar},
    live::{Follow, Registrars, Setup},
    metrics::Operation,
    station::Station,
    watch::{Source, WatchRules},
};

/// A registry that can be asked.
#[async_trait]
pub(crate) trait Registry: Registrar {
    const KIND: &'static str;

    async fn list(&self, service: &str) -> Result<Listed, BackendError>;

    async fn ping(&self) -> Result<Health, BackendError>;

    fn source(self: Arc<Self>, station: &Arc<Station>, service: &str) -> Box<dyn Source>;

    /// What stands in a file for it, read.
    fn read(config: Value) -> Result<(Self, Rules), ConfigError>
    where
        Self: Sized,
    {
        let _ = config;
        Err(ConfigError::other("cannot be given another configuration"))
    }

    /// What may be shown of its configuration.
    fn shown(&self) -> Vec<(&'static str, Value)> {
        Vec::new()
    }
}

/// What a registry lists: the instances, and how many could not be understood.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    pub(crate) instances: Vec<ServiceInstance>,
    pub(crate) skipped: u64,
}

/// What can be said about any of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rules {
    pub(crate) timeout: Duration,
    pub(crate) grace: Duration,
    pub(crate) reconnect: Backoff,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(3),
            grace: Duration::from_secs(30),
            reconnect: Backoff::default(),
        }
    }
}

impl Rules {
    const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

    pub(crate) fn set_timeout(&mut self, timeout: Duration) -> Result<(), ConfigError> {
        let allowed = Duration::from_millis(10)..=Self::LONGEST_TIMEOUT;
        self.timeout = config::time_in_range("timeout", timeout, allowed)?;
        Ok(())
    }

    pub(crate) fn set_grace(&mut self, grace: Duration) -> Result<(), ConfigError> {
        let allowed = Duration::ZERO..=Duration::from_secs(3600);
        self.grace = config::time_in_range("empty_grace", grace, allowed)?;
        Ok(())
    }

    pub(crate) fn set_reconnect(&mut self, reconnect: Backoff) -> Result<(), ConfigError> {
        let checked = reconnect.check();
        checked.map_err(|error| error.in_field("reconnect"))?;
        self.reconnect = reconnect;
        Ok(())
    }
}

impl From<&Rules> for WatchRules {
    fn from(rules: &Rules) -> Self {
        Self {
            grace: rules.grace,
            reconnect: rules.reconnect.clone(),
        }
    }
}

/// Reads those from a file.
macro_rules! read_rules {
    ($config:ident, $written:ident) => {
        if let Some(timeout) = $written.timeout {
            $config = $config.with_timeout(timeout)?;
        }
        if let Some(grace) = $written.empty_grace {
            $config = $config.with_empty_grace(grace)?;
        }
        if let Some(reconnect) = $written.reconnect {
            $config = $config.with_reconnect(reconnect)?;
        }
    };
}
pub(crate) use read_rules;

/// The knobs that every such configuration has.
macro_rules! with_rules {
    () => {
        /// No answer takes longer than this, by default 3 s.
        ///
        /// # Errors
        /// When that is not between 10 ms and a minute.
        pub fn with_timeout(mut self, timeout: Duration) -> Result<Self, ConfigError> {
            self.rules.set_timeout(timeout)?;
            Ok(self)
        }

        /// How long an empty answer after a non-empty one must be repeated before it is believed, by
        /// default 30 s. Zero believes it at once.
        ///
        /// # Errors
        /// When that is more than an hour.
        pub fn with_empty_grace(mut self, grace: Duration) -> Result<Self, ConfigError> {
            self.rules.set_grace(grace)?;
            Ok(self)
        }

        /// How long a watch waits before it asks again after a failure, by default 100 ms, doubling up to
        /// 10 s, with full jitter.
        ///
        /// # Errors
        /// When a wait is out of its range.
        pub fn with_reconnect(mut self, reconnect: Backoff) -> Result<Self, ConfigError> {
            self.rules.set_reconnect(reconnect)?;
            Ok(self)
        }
    };
}
pub(crate) use with_rules;

/// `impl Backend` for a handle around `Arc<Remote<_>>`.
macro_rules! backend_by_remote {
    ($handle:ty) => {
        #[async_trait::async_trait]
        impl $crate::Backend for $handle {
            fn kind(&self) -> &'static str {
                self.0.station().kind()
            }

            fn name(&self) -> rs_core::Name {
                self.0.station().name()
            }

            async fn register(
                &self,
                instance: $crate::ServiceInstance,
            ) -> Result<(), $crate::BackendError> {
                self.0.register(instance).await
            }

            async fn deregister(
                &self,
                service: &str,
                id: &str,
            ) -> Result<(), $crate::BackendError> {
                self.0.deregister(service, id).await
            }

            async fn discover(
                &self,
                service: &str,
            ) -> Result<$crate::InstanceSet, $crate::BackendError> {
                self.0.discover(service).await
            }

            fn watch(&self, service: &str) -> Result<$crate::Watch, $crate::BackendError> {
                self.0.watch(service)
            }

            async fn health_check(&self) -> $crate::BackendHealth {
                self.0.health_check().await
            }

            async fn close(&self) -> Result<(), $crate::BackendError> {
                self.0.close().await
            }
        }
    };
}
pub(crate) use backend_by_remote;

/// A registry with everything around it.
pub(crate) struct Remote<R> {
    station: Arc<Station>,
    current: Arc<InForce<Setup<R>>>,
    keeper: Keeper<Registrars<R>>,
}

impl<R: Registry> Remote<R> {
    pub(crate) fn within(
        around: &Surroundings,
        name: Name,
        registry: R,
        rules: Rules,
    ) -> Arc<Self> {
        let station = Arc::new(Station::new(around, R::KIND, name));
        let registry = Arc::new(registry);
        let current = Arc::new(InForce::new(Setup { registry, rules }));
        let registrars = Registrars {
            station: Arc::clone(&station),
            current: Arc::clone(&current),
        };
        // What is in force has a shorter limit.
        let limit = Rules::LONGEST_TIMEOUT;
        let keeper = Keeper::new(Arc::clone(&station), Arc::new(registrars), limit);
        let remote = Arc::new(Self {
            station,
            current,
            keeper,
        });
        remote.station.home().register(&remote);
        remote
    }

    pub(crate) fn station(&self) -> &Station {
        &self.station
    }

    /// Goes by another registry and other rules.
    pub(crate) fn reconfigure(&self, registry: R, rules: Rules) {
        let registry = Arc::new(registry);
        let setup = Setup { registry, rules };
        self.current.replace(self.station.home(), setup);
    }

    pub(crate) async fn register(&self, instance: ServiceInstance) -> Result<(), BackendError> {
        self.station.open()?;
        self.keeper.register(instance).await
    }

    pub(crate) async fn deregister(&self, service: &str, id: &str) -> Result<(), BackendError> {
        self.station.open()?;
        check_name("service", service)?;
        check_name("id", id)?;
        self.keeper.deregister(service, id).await
    }

    pub(crate) async fn discover(&self, service: &str) -> Result<InstanceSet, BackendError> {
        self.station.open()?;
        check_name("service", service)?;
        let now = self.current.get();
        let list = now.registry.list(service);
        let limit = now.rules.timeout;
        let listed = self.station.ask(Operation::Discover, limit, list).await?;
        self.station.skipped(listed.skipped);
        let now = self.station.clock().now();
        Ok(InstanceSet::new(service, listed.instances, now))
    }

    pub(crate) fn watch(&self, service: &str) -> Result<Watch, BackendError> {
        let open = self.station.open()?;
        check_name("service", service)?;
        let source = Follow::new(&self.station, service, self.current.subscribe());
        let rules = WatchRules::from(&self.current.get().rules);
        Ok(Watch::new(
            Arc::clone(&self.station),
            open,
            service,
            rules,
            source,
        ))
    }

    pub(crate) async fn health_check(&self) -> BackendHealth {
        let started = self.station.clock().now();
        let said = match self.station.open() {
            Ok(_) => {
                let now = self.current.get();
                let (limit, ping) = (now.rules.timeout, now.registry.ping());
                self.station.ask(Operation::HealthCheck, limit, ping).await
            }
            Err(closed) => Err(closed),
        };
        self.station.health(started, said)
    }

    pub(crate) async fn close(&self) -> Result<(), BackendError> {
        self.station.close();
        self.keeper.close().await
    }
}

impl<R: Registry> Inspect for Remote<R> {
    fn kind(&self) -> &'static str {
        "backend"
    }

    fn name(&self) -> Name {
        self.station.name()
    }

    fn snapshot(&self) -> Value {
        let now = self.station.clock().now();
        let silence = self.station.last_contact();
        let silence = silence.map(|contact| now.saturating_duration_since(contact));
        let setup = self.current.get();
        let own = [
            ("registry", R::KIND.into()),
            ("registrations", self.keeper.len().into()),
            ("last_contact", silence.into()),
            ("version", self.current.version().into()),
            ("timeout", setup.rules.timeout.into()),
            ("empty_grace", setup.rules.grace.into()),
        ];
        Value::map(own.into_iter().chain(setup.registry.shown()))
    }

    fn health(&self) -> Health {
        self.station.seems()
    }

    fn actions(&self) -> &'static [ActionSpec] {
        RECONFIGURE
    }

    fn control(&self, action: &Action, _mandate: &Mandate) -> Result<(), ControlError> {
        obey(self.station.home(), action, R::read, |(registry, rules)| {
            self.reconfigure(registry, rules);
        })
    }
}

/// What the registry is made of may be secret.
impl<R> fmt::Debug for Remote<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("kind", &self.station.kind())
            .field("name", &self.station.name())
            .finish_non_exhaustive()
    }
}
