use std::{fmt, net::IpAddr, time::Duration};

use rs_core::{ConfigError, config};
use serde::{Deserialize, Serialize};

use crate::entries::Entries;

/// One instance of a service: where it is and what is known about it.
///
/// ```
/// use rs_backends::{InstanceHealth, ServiceInstance};
/// use std::time::Duration;
///
/// let instance = ServiceInstance::builder("payments", "10.0.0.7", 8443)
///     .zone("eu-1a")
///     .tag("canary")
///     .metadata("build", "1.4.2")
///     .ttl(Duration::from_secs(15))
///     .build()?;
/// assert_eq!(instance.id(), "10.0.0.7:8443");
/// assert_eq!(instance.health(), InstanceHealth::Passing);
///
/// let wrong = ServiceInstance::builder("payments", "10.0.0.7", 0).build();
/// assert_eq!(wrong.unwrap_err().to_string(), "port: 0 is out of range; allowed: 1 to 65535");
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct ServiceInstance(Box<Written>);

/// What a registry says about an instance, or an instance about itself.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum InstanceHealth {
    /// It does what it should.
    #[default]
    Passing,
    /// It does less than it should, and may be called.
    Warning,
    /// The registry uses a word that is not known here; it may be called.
    Unknown,
    /// It finishes what it has and wants nothing new.
    Draining,
    /// It must not be called.
    Critical,
}

impl InstanceHealth {
    /// Whether calls may go there.
    #[must_use]
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Passing | Self::Warning | Self::Unknown)
    }
}

/// How an instance is written in files and registries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    service: String,
    #[serde(default)]
    id: String,
    host: String,
    port: u16,
    #[serde(default, skip_serializing_if = "Entries::is_empty")]
    ports: Entries<u16>,
    #[serde(default = "one")]
    weight: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(default, skip_serializing_if = "Entries::is_empty")]
    metadata: Entries<String>,
    #[serde(default)]
    health: InstanceHealth,
    #[serde(with = "rs_core::humane::duration", default = "ttl")]
    ttl: Duration,
}

const fn one() -> u16 {
    1
}

const fn ttl() -> Duration {
    ServiceInstance::TTL
}

impl ServiceInstance {
    /// How long a registry keeps an instance that has fallen silent, unless it says otherwise.
    pub const TTL: Duration = Duration::from_secs(15);

    /// How many bytes the name of a service or the id of an instance may have.
    pub const MAX_NAME: usize = 255;

    /// How many further ports, tags and entries of metadata there may be.
    pub const MAX_ENTRIES: usize = 32;

    /// How many bytes a tag, a zone, a version or a value of metadata may have.
    pub const MAX_TEXT: usize = 256;

    /// How many bytes a key of metadata may have.
    pub const MAX_KEY: usize = 60;

    /// An instance of this service, there. Its id is `host:port` unless it says otherwise: an instance
    /// that comes back replaces itself.
    pub fn builder(
        service: impl Into<String>,
        host: impl Into<String>,
        port: u16,
    ) -> ServiceInstanceBuilder {
        ServiceInstanceBuilder(Written {
            service: service.into(),
            id: String::new(),
            host: host.into(),
            port,
            ports: Entries::new(),
            weight: 1,
            zone: None,
            version: None,
            tags: Vec::new(),
            metadata: Entries::new(),
            health: InstanceHealth::Passing,
            ttl: Self::TTL,
        })
    }

    /// The service.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.0.service
    }

    /// Which of the service's instances it is.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.0.id
    }

    /// Its address: a host name or an IP address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// `host:port`, with brackets around an IPv6 address.
    #[must_use]
    pub fn authority(&self) -> String {
        authority(&self.0.host, self.0.port)
    }

    /// Its further port of this name.
    #[must_use]
    pub fn port_named(&self, name: &str) -> Option<u16> {
        self.0.ports.get(name).copied()
    }

    /// Its further ports by name.
    pub fn ports(&self) -> impl Iterator<Item = (&str, u16)> {
        self.0.ports.iter().map(|(name, port)| (name, *port))
    }

    /// Its share of the calls, beside others of the service.
    #[must_use]
    pub fn weight(&self) -> u16 {
        self.0.weight
    }

    /// Where it runs.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        self.0.zone.as_deref()
    }

    /// What version of the service it is.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.0.version.as_deref()
    }

    /// Its tags.
    #[must_use]
    pub fn tags(&self) -> &[String] {
        &self.0.tags
    }

    /// Whether it has this tag.
    #[must_use]
    pub fn has_tag(&self, tag: &str) -> bool {
        self.0.tags.iter().any(|known| known == tag)
    }

    /// What else it says about itself, sorted by key.
    #[must_use]
    pub fn metadata(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        let entries = self.0.metadata.iter();
        entries.map(|(key, value)| (key, value.as_str()))
    }

    /// What it says about itself under this key.
    #[must_use]
    pub fn metadata_of(&self, key: &str) -> Option<&str> {
        self.0.metadata.get(key).map(String::as_str)
    }

    /// How it is.
    #[must_use]
    pub fn health(&self) -> InstanceHealth {
        self.0.health
    }

    /// How long a registry keeps it when it has fallen silent.
    #[must_use]
    pub fn ttl(&self) -> Duration {
        self.0.ttl
    }

    /// The same instance, as a builder.
    pub fn to_builder(&self) -> ServiceInstanceBuilder {
        ServiceInstanceBuilder((*self.0).clone())
    }
}

fn authority(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

/// Makes a [`ServiceInstance`]; what is wrong is said by [`build`](Self::build).
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it builds"]
pub struct ServiceInstanceBuilder(Written);

impl ServiceInstanceBuilder {
    /// Known by this id among the instances of the service.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.0.id = id.into();
        self
    }

    /// With one more port.
    pub fn port_named(mut self, name: impl Into<String>, port: u16) -> Self {
        self.0.ports.insert(name.into(), port);
        self
    }

    /// With this share of the calls, by default 1.
    pub fn weight(mut self, weight: u16) -> Self {
        self.0.weight = weight;
        self
    }

    /// In this zone.
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.0.zone = Some(zone.into());
        self
    }

    /// Of this version.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.0.version = Some(version.into());
        self
    }

    /// With one more tag.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.0.tags.push(tag.into());
        self
    }

    /// With one more entry of metadata.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.metadata.insert(key.into(), value.into());
        self
    }

    /// In this health, by default passing.
    pub fn health(mut self, health: InstanceHealth) -> Self {
        self.0.health = health;
        self
    }

    /// Forgotten by the registry after so much silence, by default 15 s.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.0.ttl = ttl;
        self
    }

    /// The instance.
    ///
    /// # Errors
    /// Which field is wrong, what it says and what it may say.
    pub fn build(self) -> Result<ServiceInstance, ConfigError> {
        self.0.try_into()
    }
}

impl TryFrom<Written> for ServiceInstance {
    type Error = ConfigError;

    fn try_from(mut written: Written) -> Result<Self, ConfigError> {
        check_name("service", &written.service)?;
        check_host(&written.host)?;
        config::in_range("port", written.port, 1..=u16::MAX)?;
        if written.id.is_empty() {
            written.id = authority(&written.host, written.port);
        }
        check_name("id", &written.id)?;
        config::in_range("weight", written.weight, 1..=u16::MAX)?;
        let most = ServiceInstance::MAX_ENTRIES;
        config::in_range("ports", written.ports.len(), 0..=most / 2)?;
        config::in_range("tags", written.tags.len(), 0..=most)?;
        config::in_range("metadata", written.metadata.len(), 0..=most)?;
        for (name, port) in written.ports.iter() {
            check_port_name(name)?;
            config::in_range("ports", *port, 1..=u16::MAX)?;
        }
        for tag in &written.tags {
            check_text("tags", tag)?;
        }
        for (field, text) in [("zone", &written.zone), ("version", &written.version)] {
            if let Some(text) = text {
                check_text(field, text)?;
            }
        }
        for (key, value) in written.metadata.iter() {
            config::in_range("metadata", key.len(), 1..=ServiceInstance::MAX_KEY)?;
            check_text("metadata", key)?;
            check_text("metadata", value)?;
        }
        let (least, longest) = (Duration::from_secs(1), Duration::from_secs(86_400));
        config::time_in_range("ttl", written.ttl, least..=longest)?;
        written.tags.shrink_to_fit();
        written.ports.shrink_to_fit();
        written.metadata.shrink_to_fit();
        Ok(Self(Box::new(written)))
    }
}

impl From<ServiceInstance> for Written {
    fn from(instance: ServiceInstance) -> Self {
        *instance.0
    }
}

/// Whether this can be the name of a service or an id: anything that people can read.
pub(crate) fn check_name(field: &str, name: &str) -> Result<(), ConfigError> {
    let length = config::in_range(field, name.len(), 1..=ServiceInstance::MAX_NAME);
    length.map_err(|_| {
        let allowed = format!("1 to {} bytes", ServiceInstance::MAX_NAME);
        ConfigError::out_of_range(format_args!("{} bytes", name.len()), &allowed).in_field(field)
    })?;
    check_printable(field, name)
}

fn check_text(field: &str, text: &str) -> Result<(), ConfigError> {
    if text.len() > ServiceInstance::MAX_TEXT {
        let allowed = format!("0 to {} bytes", ServiceInstance::MAX_TEXT);
        let found = format_args!("{} bytes", text.len());
        return Err(ConfigError::out_of_range(found, &allowed).in_field(field));
    }
    check_printable(field, text)
}

fn check_printable(field: &str, text: &str) -> Result<(), ConfigError> {
    match text.chars().any(char::is_control) {
        true => Err(malformed(
            field,
            text,
            "has a control character",
            "leave it out",
        )),
        false => Ok(()),
    }
}

fn check_host(host: &str) -> Result<(), ConfigError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_name = !host.is_empty() && host.len() <= 253 && host.bytes().all(plain);
    match is_name || host.parse::<IpAddr>().is_ok() {
        true => Ok(()),
        false => Err(malformed(
            "host",
            host,
            "is neither a host name nor an IP address",
            "write 10.0.0.7, fd00::7 or db.example",
        )),
    }
}

fn check_port_name(name: &str) -> Result<(), ConfigError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    match (1..=24).contains(&name.len()) && name.bytes().all(plain) {
        true => Ok(()),
        false => Err(malformed(
            "ports",
            name,
            "is not a name for a port",
            "up to 24 letters, digits and dashes",
        )),
    }
}

fn malformed(field: &str, value: &str, problem: &str, hint: &str) -> ConfigError {
    let shown = value
        .get(..value.floor_char_boundary(80))
        .unwrap_or_default();
    ConfigError::malformed(shown.escape_debug(), problem, hint).in_field(field)
}

impl fmt::Display for InstanceHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Passing => "passing",
            Self::Warning => "warning",
            Self::Unknown => "unknown",
            Self::Draining => "draining",
            Self::Critical => "critical",
        })
    }
}
