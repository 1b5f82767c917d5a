//! Backends as a file asks for them.

use std::sync::Arc;

use rs_core::{ConfigError, Name, Value, config};
use rs_metrics::Surroundings;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    Backend, Cached, CachedConfig, Failover, FailoverConfig, File, FileConfig, Memory, Merge,
    RegisterWith, ServiceInstance, StaticList,
};
#[cfg(feature = "consul")]
use crate::{Consul, ConsulConfig};
#[cfg(feature = "dns")]
use crate::{Dns, DnsConfig};
#[cfg(feature = "etcd")]
use crate::{Etcd, EtcdConfig};
#[cfg(feature = "kubernetes")]
use crate::{Kubernetes, KubernetesConfig};
#[cfg(feature = "redis")]
use crate::{Redis, RedisConfig};

/// Which backend it is to be, as a file says it: so people choose the registry without a new program.
///
/// ```
/// use rs_backends::{Backend, BackendConfig};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config: BackendConfig = toml::from_str(r#"
///     kind = "failover"
///     give_up_after = "10s"
///
///     [primary]
///     kind = "file"
///     path = "/etc/app/instances.toml"
///
///     [secondary]
///     kind = "static"
///     instances = [{ service = "payments", host = "10.0.0.7", port = 8443 }]
/// "#)?;
/// let registry = config.build("registry")?; // an Arc<dyn Backend>
/// assert_eq!(registry.discover("payments").await?.len(), 1);
///
/// let misspelt = toml::from_str::<BackendConfig>("kind = \"consol\"").unwrap_err();
/// assert!(misspelt.to_string().contains("unknown name `consol`"));
/// # Ok(()) }
/// ```
///
/// | kind | its keys |
/// |---|---|
/// | `memory` | |
/// | `static` | `instances` |
/// | `file` | `path`, `poll_interval` |
/// | `consul` | `url`, `token`, `wait`, `deregister_after`, `timeout`, `empty_grace`, `reconnect` |
/// | `dns` | `services`, or `addresses` and `port`; `servers`, `ipv6`, `refresh_least`, `refresh_most`, `timeout`, `empty_grace`, `reconnect` |
/// | `etcd` | `urls`, `user`, `password`, `prefix`, `wait`, `timeout`, `empty_grace`, `reconnect` |
/// | `kubernetes` | nothing inside a cluster; `kubeconfig`, `context`; or `url`, `token`, `token_file`; `namespace`, `port_name`, `ipv6`, `wait`, `owner`, `timeout`, `empty_grace`, `reconnect` |
/// | `redis` | `url`, `prefix`, `poll_interval`, `timeout`, `empty_grace`, `reconnect` |
/// | `cached` | `of`: a table like this one; `path`, `write_interval`, `first_answer`, `empty_grace`, `max_age` |
/// | `failover` | `primary`, `secondary`: tables like this one; `give_up_after`, `take_back_after`, `register_with` |
/// | `merge` | `parts`: a list of tables like this one; `register_with`: `first` or `all` |
///
/// Any table may have a `name`; without one it is named after the whole: `registry/primary`. Times are
/// written as people write them, `"1m30s"`. What is not known is refused with the nearest known name. A
/// kind whose feature is not enabled is refused with the name of the feature.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Value")]
pub struct BackendConfig {
    name: Option<String>,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Memory,
    Static(Vec<ServiceInstance>),
    File(FileConfig),
    #[cfg(feature = "consul")]
    Consul(ConsulConfig),
    #[cfg(feature = "dns")]
    Dns(DnsConfig),
    #[cfg(feature = "etcd")]
    Etcd(EtcdConfig),
    #[cfg(feature = "kubernetes")]
    Kubernetes(Box<KubernetesConfig>),
    #[cfg(feature = "redis")]
    Redis(RedisConfig),
    Cached(Box<BackendConfig>, CachedConfig),
    Failover(Box<[BackendConfig; 2]>, FailoverConfig),
    Merge(Vec<BackendConfig>, RegisterWith),
}

impl BackendConfig {
    /// The backend, of this name unless the table has one.
    ///
    /// # Errors
    /// When a merge has no parts or too many.
    pub fn build(&self, name: impl Into<Name>) -> Result<Arc<dyn Backend>, ConfigError> {
        self.build_within(&Surroundings::of_process(), name)
    }

    /// The same in surroundings of one's own.
    ///
    /// # Errors
    /// As [`BackendConfig::build`].
    pub fn build_within(
        &self,
        around: &Surroundings,
        name: impl Into<Name>,
    ) -> Result<Arc<dyn Backend>, ConfigError> {
        let given = self.name.as_deref().map(Name::new);
        let name = given.unwrap_or_else(|| name.into());
        let part = |what: &str| Name::new(&format!("{name}/{what}"));
        Ok(match &self.kind {
            Kind::Memory => Arc::new(Memory::within(around, name)),
            Kind::Static(all) => Arc::new(StaticList::within(around, name, all.clone())),
            Kind::File(config) => Arc::new(File::within(around, name, config.clone())),
            #[cfg(feature = "consul")]
            Kind::Consul(config) => Arc::new(Consul::within(around, name, config.clone())),
            #[cfg(feature = "dns")]
            Kind::Dns(config) => Arc::new(Dns::within(around, name, config.clone())),
            #[cfg(feature = "etcd")]
            Kind::Etcd(config) => Arc::new(Etcd::within(around, name, config.clone())),
            #[cfg(feature = "kubernetes")]
            Kind::Kubernetes(config) => {
                Arc::new(Kubernetes::within(around, name, (**config).clone()))
            }
            #[cfg(feature = "redis")]
            Kind::Redis(config) => Arc::new(Redis::within(around, name, config.clone())),
            Kind::Cached(of, config) => {
                let of = of.build_within(around, name)?;
                Arc::new(Cached::within(around, of, config.clone()))
            }
            Kind::Failover(parts, config) => {
                let [primary, secondary] = &**parts;
                let primary = primary.build_within(around, part("primary"))?;
                let secondary = secondary.build_within(around, part("secondary"))?;
                let config = config.clone();
                Arc::new(Failover::within(around, name, primary, secondary, config))
            }
            Kind::Merge(parts, register) => {
                let parts = parts.iter().enumerate();
                let parts: Result<Vec<_>, _> = parts
                    .map(|(place, config)| config.build_within(around, part(&place.to_string())))
                    .collect();
                Arc::new(Merge::within(around, name, parts?, *register)?)
            }
        })
    }
}

/// A table of which some keys have been taken.
struct Table(Vec<(std::borrow::Cow<'static, str>, Value)>);

impl Table {
    fn take<T: DeserializeOwned>(&mut self, key: &str) -> Result<T, ConfigError> {
        let place = self.0.iter().position(|(known, _)| known == key);
        let value = match place {
            Some(place) => self.0.remove(place).1,
            None => return Err(ConfigError::missing(key)),
        };
        config::read(value).map_err(|error| error.in_field(key))
    }

    fn take_if_there<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>, ConfigError> {
        match self.0.iter().any(|(known, _)| known == key) {
            true => self.take(key).map(Some),
            false => Ok(None),
        }
    }

    /// All that is left, of which nothing may be unknown.
    fn read<T: DeserializeOwned>(self) -> Result<T, ConfigError> {
        config::read(Value::Map(self.0))
    }

    fn nothing_more(self, known: &[&str]) -> Result<(), ConfigError> {
        match self.0.first() {
            Some((key, _)) => Err(ConfigError::unknown("field", key, known.iter().copied())),
            None => Ok(()),
        }
    }
}

type Read = fn(Table) -> Result<Kind, ConfigError>;

const KINDS: &[(&str, Read)] = &[
    ("memory", |table| {
        table.nothing_more(&["kind", "name"])?;
        Ok(Kind::Memory)
    }),
    ("static", |mut table| {
        let all = table.take("instances")?;
        table.nothing_more(&["kind", "name", "instances"])?;
        Ok(Kind::Static(all))
    }),
    ("file", |table| table.read().map(Kind::File)),
    #[cfg(feature = "consul")]
    ("consul", |table| table.read().map(Kind::Consul)),
    #[cfg(not(feature = "consul"))]
    ("consul", |_| Err(needs("consul"))),
    #[cfg(feature = "dns")]
    ("dns", |table| table.read().map(Kind::Dns)),
    #[cfg(not(feature = "dns"))]
    ("dns", |_| Err(needs("dns"))),
    #[cfg(feature = "etcd")]
    ("etcd", |table| table.read().map(Kind::Etcd)),
    #[cfg(not(feature = "etcd"))]
    ("etcd", |_| Err(needs("etcd"))),
    #[cfg(feature = "kubernetes")]
    ("kubernetes", |table| {
        table.read().map(Box::new).map(Kind::Kubernetes)
    }),
    #[cfg(not(feature = "kubernetes"))]
    ("kubernetes", |_| Err(needs("kubernetes"))),
    #[cfg(feature = "redis")]
    ("redis", |table| table.read().map(Kind::Redis)),
    #[cfg(not(feature = "redis"))]
    ("redis", |_| Err(needs("redis"))),
    ("cached", |mut table| {
        let of = table.take("of")?;
        Ok(Kind::Cached(Box::new(of), table.read()?))
    }),
    ("failover", |mut table| {
        let parts = [table.take("primary")?, table.take("secondary")?];
        Ok(Kind::Failover(Box::new(parts), table.read()?))
    }),
    ("merge", |mut table| {
        let parts: Vec<BackendConfig> = table.take("parts")?;
        config::in_range("parts", parts.len(), 1..=Merge::MAX_PARTS)?;
        let register = table.take_if_there("register_with")?;
        table.nothing_more(&["kind", "name", "parts", "register_with"])?;
        Ok(Kind::Merge(parts, register.unwrap_or_default()))
    }),
];

#[cfg(not(all(
    feature = "consul",
    feature = "dns",
    feature = "etcd",
    feature = "kubernetes",
    feature = "redis"
)))]
fn needs(feature: &str) -> ConfigError {
    let missing = format_args!("needs the feature `{feature}` of rs-backends");
    ConfigError::other(missing).in_field("kind")
}

impl TryFrom<Value> for BackendConfig {
    type Error = ConfigError;

    fn try_from(value: Value) -> Result<Self, ConfigError> {
        let Value::Map(entries) = value else {
            return Err(ConfigError::other("expected a table"));
        };
        let mut table = Table(entries);
        let kind: String = table.take("kind")?;
        let name = table.take_if_there("name")?;
        let read = config::one_of("kind", &kind, KINDS)?;
        let kind = read(table)?;
        Ok(Self { name, kind })
    }
}
