use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use rs_core::{ConfigError, Health, Value, config};

use super::{
    Dns, DnsConfig,
    config::Names,
    line,
    message::{Domain, Kind, Message, Question, Service},
    source::Looking,
};
use crate::{
    BackendError, ServiceInstance,
    keeper::Registrar,
    remote::{Listed, Registry, Rules},
    station::Station,
    watch::Source,
};

/// Name servers, as they are asked.
pub(super) struct DnsRegistry {
    config: DnsConfig,
    /// Which server answered last.
    current: AtomicUsize,
}

/// What is known, and for how long.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub(super) listed: Listed,
    pub(super) fresh: Option<Duration>,
}

impl DnsRegistry {
    pub(super) fn new(config: DnsConfig) -> Self {
        Self {
            config,
            current: AtomicUsize::new(0),
        }
    }

    pub(super) const fn config(&self) -> &DnsConfig {
        &self.config
    }

    pub(super) async fn resolve(&self, service: &str) -> Result<Resolved, BackendError> {
        match &self.config.names {
            Names::Addresses(pattern, port) => {
                let name = pattern.name(service).ok_or_else(|| impossible(service))?;
                let answers = self.ask(&self.both(&name)).await?;
                let mut hosts = Hosts::default();
                for answer in &answers {
                    hosts.add(name.clone(), answer.addresses(&name));
                }
                let mut all = Instances::new(service);
                for address in hosts.of(&name) {
                    all.add(*address, *port, 1, None);
                }
                Ok(all.resolved(hosts.fresh))
            }
            Names::Services(pattern) => {
                let name = pattern.name(service).ok_or_else(|| impossible(service))?;
                let (srv, mut hosts) = self.services(&name).await?;
                let targets = srv.unknown(&hosts)?;
                let questions: Vec<_> = targets.iter().flat_map(|name| self.both(name)).collect();
                let answers = self.ask(&questions).await?;
                for (question, answer) in questions.iter().zip(&answers) {
                    hosts.add(question.name.clone(), answer.addresses(&question.name));
                }
                Ok(srv.with(service, &hosts))
            }
        }
    }

    async fn services(&self, name: &Domain) -> Result<(Services, Hosts), BackendError> {
        let (name, kind) = (name.clone(), Kind::Srv);
        let question = [Question { name, kind }];
        let answers = self.ask(&question).await?;
        let [question] = &question;
        let answer = answers.first();
        let answer = answer.ok_or_else(|| BackendError::malformed("no answer"))?;
        Ok(Services::new(answer, &question.name, self.config.ipv6))
    }

    /// Its addresses of both kinds.
    fn both(&self, name: &Domain) -> Vec<Question> {
        let kinds: &[Kind] = match self.config.ipv6 {
            true => &[Kind::A, Kind::Aaaa],
            false => &[Kind::A],
        };
        let question = |kind: &Kind| Question {
            name: name.clone(),
            kind: *kind,
        };
        kinds.iter().map(question).collect()
    }

    /// The answers of the first server that has them all.
    async fn ask(&self, questions: &[Question]) -> Result<Vec<Message>, BackendError> {
        if questions.is_empty() {
            return Ok(Vec::new());
        }
        let servers = self.servers().await?;
        let count = servers.len().max(1);
        let first = self.current.load(Ordering::Relaxed);
        // A service is asked for, and then its hosts.
        let limit = self.config.rules.timeout / 2 / u32::try_from(count).unwrap_or(1);
        let mut failure = BackendError::unreachable("no name server is known");
        for next in 0..servers.len() {
            let at = first.wrapping_add(next) % count;
            let Some(server) = servers.get(at) else {
                continue;
            };
            let answers = line::ask(*server, questions, limit).await;
            let answers = answers.and_then(|answers| {
                answers.iter().try_for_each(Message::check)?;
                Ok(answers)
            });
            match answers {
                Ok(answers) => {
                    self.current.store(at, Ordering::Relaxed);
                    return Ok(answers);
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn servers(&self) -> Result<Vec<SocketAddr>, BackendError> {
        if !self.config.servers.is_empty() {
            return Ok(self.config.servers.clone());
        }
        let text = tokio::fs::read_to_string("/etc/resolv.conf").await;
        Ok(system(&text.map_err(BackendError::unreachable)?))
    }
}

/// The servers that a `resolv.conf` names.
pub(super) fn system(text: &str) -> Vec<SocketAddr> {
    let words = text.lines().map(str::split_ascii_whitespace);
    let named = words.filter_map(|mut words| {
        let server = (words.next() == Some("nameserver")).then(|| words.next())??;
        let address: IpAddr = server.parse().ok()?;
        Some(SocketAddr::new(address, 53))
    });
    named.take(DnsConfig::MOST_SERVERS).collect()
}

fn impossible(service: &str) -> BackendError {
    let hint = "letters, digits, dashes and dots, 63 bytes between dots";
    let problem = "cannot be a name in DNS";
    ConfigError::malformed(service.escape_debug(), problem, hint)
        .in_field("service")
        .into()
}

/// The addresses of hosts, and how long all of them hold.
#[derive(Debug, Default)]
struct Hosts {
    known: BTreeMap<Domain, BTreeSet<IpAddr>>,
    fresh: Option<Duration>,
}

impl Hosts {
    fn add(&mut self, name: Domain, found: super::message::Found<IpAddr>) {
        self.known.entry(name).or_default().extend(found.all);
        self.fresh = shorter(self.fresh, found.fresh);
    }

    fn of(&self, name: &Domain) -> impl Iterator<Item = &IpAddr> {
        self.known.get(name).into_iter().flatten()
    }
}

fn shorter(one: Option<Duration>, other: Option<Duration>) -> Option<Duration> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Those of the best priority.
#[derive(Debug)]
struct Services {
    best: Vec<Service>,
    skipped: u64,
    fresh: Option<Duration>,
}

impl Services {
    /// With what the answer says about its targets on the side.
    fn new(answer: &Message, name: &Domain, ipv6: bool) -> (Self, Hosts) {
        let found = answer.services(name);
        let mut best = found.all;
        // It says that there is no such service.
        best.retain(|one| !one.target.is_root());
        let priority = best.iter().map(|one| one.priority).min();
        best.retain(|one| Some(one.priority) == priority);
        let count = best.len();
        best.retain(|one| one.port > 0);
        let skipped = (count - best.len()) as u64;
        let mut hosts = Hosts::default();
        for service in &best {
            let mut glue = answer.glue(&service.target);
            glue.all.retain(|address| ipv6 || address.is_ipv4());
            if !glue.all.is_empty() {
                hosts.add(service.target.clone(), glue);
            }
        }
        let services = Self {
            best,
            skipped,
            fresh: found.fresh,
        };
        (services, hosts)
    }

    /// The targets that nothing is known of yet.
    fn unknown(&self, hosts: &Hosts) -> Result<BTreeSet<&Domain>, BackendError> {
        let targets = self.best.iter().map(|one| &one.target);
        let unknown: BTreeSet<_> = targets
            .filter(|target| !hosts.known.contains_key(*target))
            .collect();
        match unknown.len() <= Dns::MAX_TARGETS {
            true => Ok(unknown),
            false => Err(BackendError::TooMany {
                what: "targets",
                limit: Dns::MAX_TARGETS,
            }),
        }
    }

    fn with(&self, service: &str, hosts: &Hosts) -> Resolved {
        let mut all = Instances::new(service);
        all.listed.skipped = self.skipped;
        for one in &self.best {
            let target = one.target.text();
            let mut addresses = hosts.of(&one.target).peekable();
            if addresses.peek().is_none() {
                all.listed.skipped += 1;
            }
            for address in addresses {
                all.add(*address, one.port, one.weight.max(1), target.as_deref());
            }
        }
        all.resolved(shorter(self.fresh, hosts.fresh))
    }
}

struct Instances<'a> {
    service: &'a str,
    listed: Listed,
}

impl<'a> Instances<'a> {
    fn new(service: &'a str) -> Self {
        Self {
            service,
            listed: Listed::default(),
        }
    }

    fn add(&mut self, address: IpAddr, port: u16, weight: u16, target: Option<&str>) {
        let mut one = ServiceInstance::builder(self.service, address.to_string(), port);
        one = one.weight(weight);
        if let Some(target) = target {
            one = one.metadata("target", target);
        }
        match one.build() {
            Ok(one) => self.listed.instances.push(one),
            Err(_) => self.listed.skipped += 1,
        }
    }

    fn resolved(self, fresh: Option<Duration>) -> Resolved {
        Resolved {
            listed: self.listed,
            fresh,
        }
    }
}

/// What one answer says about the service `a`, when its hosts are known from the side alone.
#[cfg(any(fuzzing, test))]
pub(crate) fn read(answer: &Message, name: &Domain) -> Vec<ServiceInstance> {
    let (services, hosts) = Services::new(answer, name, true);
    let mut all = services.with("a", &hosts).listed.instances;
    let mut addresses = Instances::new("a");
    for address in answer.addresses(name).all {
        addresses.add(address, 80, 1, None);
    }
    all.extend(addresses.listed.instances);
    all
}

#[async_trait]
impl Registrar for DnsRegistry {
    async fn put(&self, _instance: &ServiceInstance) -> Result<(), BackendError> {
        Err(BackendError::Unsupported("register: DNS is only read"))
    }

    async fn renew(&self, instance: &ServiceInstance) -> Result<bool, BackendError> {
        self.put(instance).await.map(|()| false)
    }

    async fn remove(&self, _service: &str, _id: &str) -> Result<(), BackendError> {
        Err(BackendError::Unsupported("deregister: DNS is only read"))
    }
}

#[async_trait]
impl Registry for DnsRegistry {
    const KIND: &'static str = "dns";

    async fn list(&self, service: &str) -> Result<Listed, BackendError> {
        self.resolve(service).await.map(|resolved| resolved.listed)
    }

    /// Whether there is anybody who answers, whatever that is.
    async fn ping(&self) -> Result<Health, BackendError> {
        let (Names::Addresses(pattern, _) | Names::Services(pattern)) = &self.config.names;
        let name = pattern.name("a").ok_or_else(|| impossible("a"))?;
        let kind = Kind::A;
        match self.ask(&[Question { name, kind }]).await {
            Ok(_) => Ok(Health::UP),
            Err(BackendError::Refused(why)) => Ok(Health::degraded(why.to_string())),
            Err(error) => Err(error),
        }
    }

    fn source(self: Arc<Self>, station: &Arc<Station>, service: &str) -> Box<dyn Source> {
        Box::new(Looking::new(self, Arc::clone(station), service))
    }

    fn read(config: Value) -> Result<(Self, Rules), ConfigError> {
        let config: DnsConfig = config::read(config)?;
        let rules = config.rules.clone();
        Ok((Self::new(config), rules))
    }

    fn shown(&self) -> Vec<(&'static str, Value)> {
        let servers = self.config.servers.iter();
        let servers: Vec<Value> = servers.map(|one| one.to_string().into()).collect();
        let asked = match &self.config.names {
            Names::Services(pattern) => ("services", pattern.text().into()),
            Names::Addresses(pattern, _) => ("addresses", pattern.text().into()),
        };
        vec![asked, ("servers", servers.into())]
    }
}

impl fmt::Debug for DnsRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DnsRegistry")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
