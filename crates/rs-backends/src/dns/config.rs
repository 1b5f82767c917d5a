use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use rs_core::{Backoff, ConfigError, config};

use super::message::Domain;
use crate::remote::{Rules, with_rules};

/// What is asked of which name servers. Without servers, those of `/etc/resolv.conf` are asked.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[serde(try_from = "super::written::Written")]
pub struct DnsConfig {
    pub(super) names: Names,
    pub(super) servers: Vec<SocketAddr>,
    pub(super) ipv6: bool,
    pub(super) least: Duration,
    pub(super) most: Duration,
    pub(super) rules: Rules,
}

/// What is asked about a service.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Names {
    Services(Pattern),
    Addresses(Pattern, u16),
}

/// A name with the service in it: what is before and after.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pattern(String, String);

impl Pattern {
    fn new(field: &str, text: &str) -> Result<Self, ConfigError> {
        let wrong = |problem: &str| {
            let hint = "write {service}.example.org or _{service}._tcp.example.org";
            ConfigError::malformed(text.escape_debug(), problem, hint).in_field(field)
        };
        let Some((before, after)) = text.split_once("{service}") else {
            return Err(wrong("does not say where the service stands"));
        };
        let pattern = Self(before.to_owned(), after.to_owned());
        match pattern.name("a") {
            Some(_) => Ok(pattern),
            None => Err(wrong("is no name in DNS")),
        }
    }

    /// None when there can be no such name.
    pub(super) fn name(&self, service: &str) -> Option<Domain> {
        Domain::new(&format!("{}{service}{}", self.0, self.1))
    }

    pub(super) fn text(&self) -> String {
        format!("{}{{service}}{}", self.0, self.1)
    }
}

impl DnsConfig {
    /// How many servers there may be.
    pub(super) const MOST_SERVERS: usize = 8;

    /// SRV records of this name, in which `{service}` is the service: `_{service}._tcp.example.org`, or
    /// `{service}.service.consul`. They say the ports and the weights.
    ///
    /// # Errors
    /// When that is no name with `{service}` in it.
    pub fn services(name: &str) -> Result<Self, ConfigError> {
        Pattern::new("services", name).map(|pattern| Self::of(Names::Services(pattern)))
    }

    /// Addresses of this name, in which `{service}` is the service, each with this port.
    ///
    /// # Errors
    /// When that is no name with `{service}` in it, or the port is 0.
    pub fn addresses(name: &str, port: u16) -> Result<Self, ConfigError> {
        let pattern = Pattern::new("addresses", name)?;
        let port = config::in_range("port", port, 1..=u16::MAX)?;
        Ok(Self::of(Names::Addresses(pattern, port)))
    }

    fn of(names: Names) -> Self {
        Self {
            names,
            servers: Vec::new(),
            ipv6: true,
            least: Duration::from_secs(1),
            most: Duration::from_secs(60),
            rules: Rules::default(),
        }
    }

    /// Asks these servers: `10.0.0.53`, `10.0.0.53:8600` or `[fd00::53]:53`, at most 8. The one that
    /// answered last is asked first.
    ///
    /// # Errors
    /// When one is no such address, or there is none.
    pub fn with_servers<'a>(
        mut self,
        servers: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, ConfigError> {
        let servers = servers.into_iter().map(|text| {
            let alone = || text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
            text.parse().or_else(|_| alone()).map_err(|_| {
                let (problem, hint) = ("is no address of a server", "write 10.0.0.53:53");
                ConfigError::malformed(text.escape_debug(), problem, hint).in_field("servers")
            })
        });
        self.servers = servers.collect::<Result<_, _>>()?;
        config::in_range("servers", self.servers.len(), 1..=Self::MOST_SERVERS)?;
        Ok(self)
    }

    /// Whether IPv6 addresses are asked for too, by default yes. An answer counts when both are known.
    #[must_use]
    pub const fn with_ipv6(mut self, ipv6: bool) -> Self {
        self.ipv6 = ipv6;
        self
    }

    /// A watch asks again when the time of a record is over, but not more often than after the first of
    /// these times and not more seldom than after the second: by default 1 s and 60 s.
    ///
    /// # Errors
    /// When they are not between 50 ms and a day, or the wrong way round.
    pub fn with_refresh(mut self, least: Duration, most: Duration) -> Result<Self, ConfigError> {
        let day = Duration::from_secs(86_400);
        let shortest = Duration::from_millis(50);
        self.least = config::time_in_range("refresh_least", least, shortest..=day)?;
        self.most = config::time_in_range("refresh_most", most, least..=day)?;
        Ok(self)
    }

    with_rules!();
}
