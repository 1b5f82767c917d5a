//! What a slice says: read from anybody's, and written for instances that are registered here.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    config::{KubernetesConfig, Owner},
    names,
};
use crate::{BackendError, InstanceHealth, ServiceInstance};

/// Who writes the slices of this backend.
pub(super) const MANAGER: &str = "rs-backends";

const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const INSTANCE: &str = "rs-backends/instance";
const VERSION: &str = "app.kubernetes.io/version";

/// Labels that speak of slices and not of the service.
const ABOUT_SLICES: [&str; 3] = [
    "kubernetes.io/",
    "endpointslice.kubernetes.io/",
    "service.kubernetes.io/",
];

/// An instance that a slice names, and what decides when several name the same.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    /// What it is an instance of: a pod that has several addresses is one.
    pub(super) who: String,
    /// Whether its address is of the other family.
    pub(super) second_choice: bool,
    pub(super) instance: Arc<ServiceInstance>,
}

/// What one slice names, and how many of its endpoints could not be used.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Contents {
    pub(super) candidates: Vec<Candidate>,
    pub(super) skipped: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Slice {
    metadata: Metadata,
    address_type: String,
    #[serde(default)]
    endpoints: Option<Vec<Value>>,
    #[serde(default)]
    ports: Option<Vec<Port>>,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    port: Option<u16>,
    #[serde(default)]
    protocol: Option<String>,
    #[serde(default)]
    app_protocol: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    addresses: Vec<String>,
    #[serde(default)]
    conditions: Option<Conditions>,
    #[serde(default)]
    hostname: Option<String>,
    #[serde(default)]
    node_name: Option<String>,
    #[serde(default)]
    zone: Option<String>,
    #[serde(default)]
    hints: Option<Hints>,
    #[serde(default)]
    target_ref: Option<Target>,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct Conditions {
    #[serde(default)]
    ready: Option<bool>,
    #[serde(default)]
    serving: Option<bool>,
    #[serde(default)]
    terminating: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Hints {
    #[serde(default)]
    for_zones: Option<Vec<Zone>>,
}

#[derive(Deserialize)]
struct Zone {
    name: String,
}

#[derive(Deserialize)]
struct Target {
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    uid: Option<String>,
}

impl Conditions {
    /// Unknown is ready, as the API says. What is ending wants no new calls, whatever else it says.
    fn health(self) -> InstanceHealth {
        let ready = self.ready.unwrap_or(true);
        match (ready, self.terminating.unwrap_or(false)) {
            (true, false) => InstanceHealth::Passing,
            (false, false) => InstanceHealth::Critical,
            (_, true) if self.serving.unwrap_or(ready) => InstanceHealth::Draining,
            (_, true) => InstanceHealth::Critical,
        }
    }

    fn of(health: InstanceHealth) -> Value {
        let (ready, serving) = match health {
            InstanceHealth::Passing | InstanceHealth::Warning | InstanceHealth::Unknown => {
                (true, true)
            }
            InstanceHealth::Draining => (false, true),
            InstanceHealth::Critical => (false, false),
        };
        let terminating = health == InstanceHealth::Draining;
        json!({"ready": ready, "serving": serving, "terminating": terminating})
    }
}

/// What this object says of the service. None of it, if it is a slice of another; that is no mistake.
pub(super) fn read(service: &str, config: &KubernetesConfig, object: Value) -> Contents {
    let unusable = Contents {
        skipped: 1,
        ..Contents::default()
    };
    let Ok(slice) = serde_json::from_value::<Slice>(object) else {
        return unusable;
    };
    let labels = slice.metadata.labels.unwrap_or_default();
    if labels.get(names::SERVICE) != Some(&names::label(service)) {
        return Contents::default();
    }
    let endpoints = slice.endpoints.unwrap_or_default();
    let annotations = slice.metadata.annotations.unwrap_or_default();
    if let Some(written) = annotations.get(INSTANCE) {
        return match own(service, written, endpoints) {
            Some(candidates) => Contents {
                candidates,
                skipped: 0,
            },
            None => unusable,
        };
    }
    let ports = slice.ports.unwrap_or_default();
    let Some(port) = chosen(&ports, config.port_name()) else {
        return Contents {
            skipped: endpoints.len() as u64,
            ..Contents::default()
        };
    };
    let mut contents = Contents::default();
    let reader = Reader {
        service,
        labels: &labels,
        ports: &ports,
        port,
        second_choice: is_second_choice(&slice.address_type, config),
    };
    for endpoint in endpoints {
        match reader.candidate(endpoint) {
            Some(candidate) => contents.candidates.push(candidate),
            None => contents.skipped += 1,
        }
    }
    contents
}

fn is_second_choice(address_type: &str, config: &KubernetesConfig) -> bool {
    match address_type {
        "IPv4" => config.prefers_ipv6(),
        "IPv6" => !config.prefers_ipv6(),
        _ => false,
    }
}

/// The port that calls go to: the one of this name, or else the first for TCP.
fn chosen<'a>(ports: &'a [Port], name: Option<&str>) -> Option<(u16, &'a Port)> {
    let fits = |port: &&Port| match name {
        Some(name) => port.name.as_deref() == Some(name),
        None => port.protocol.as_deref().is_none_or(|word| word == "TCP"),
    };
    let port = ports
        .iter()
        .filter(fits)
        .find(|port| port.port.is_some_and(|number| number > 0))?;
    Some((port.port?, port))
}

/// Reads the endpoints of a slice that others wrote.
struct Reader<'a> {
    service: &'a str,
    labels: &'a BTreeMap<String, String>,
    ports: &'a [Port],
    port: (u16, &'a Port),
    second_choice: bool,
}

impl Reader<'_> {
    fn candidate(&self, endpoint: Value) -> Option<Candidate> {
        let endpoint: Endpoint = serde_json::from_value(endpoint).ok()?;
        let (number, port) = self.port;
        // All addresses of an endpoint are the same to whoever calls it; the API says to take the first.
        let host = endpoint.addresses.into_iter().next()?;
        let health = endpoint.conditions.unwrap_or_default().health();
        let mut builder = ServiceInstance::builder(self.service, &*host, number).health(health);
        if let Some(zone) = endpoint.zone {
            builder = builder.zone(zone);
        }
        if let Some(version) = self.labels.get(VERSION) {
            builder = builder.version(version);
        }
        let further = self
            .ports
            .iter()
            .filter(|other| !std::ptr::eq(*other, port));
        for (name, number) in further
            .filter_map(named)
            .take(ServiceInstance::MAX_ENTRIES / 2)
        {
            builder = builder.port_named(name, number);
        }
        let target = endpoint.target_ref;
        let pod = target
            .as_ref()
            .filter(|target| target.kind.as_deref() == Some("Pod"));
        let zones = endpoint.hints.and_then(|hints| hints.for_zones);
        let zones = zones.map(|zones| zones.into_iter().map(|zone| zone.name).collect::<Vec<_>>());
        let own = [
            ("pod", pod.and_then(|pod| pod.name.clone())),
            ("node", endpoint.node_name),
            ("hostname", endpoint.hostname),
            ("for-zones", zones.map(|zones| zones.join(","))),
            (
                "port-name",
                port.name.clone().filter(|name| !name.is_empty()),
            ),
            ("app-protocol", port.app_protocol.clone()),
        ];
        let own = own
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?)));
        let labels = self.labels.iter().filter(|(key, _)| is_about_service(key));
        let labels = labels.map(|(key, value)| (key.clone(), value.clone()));
        for (key, value) in own
            .chain(labels)
            .filter(fits)
            .take(ServiceInstance::MAX_ENTRIES)
        {
            builder = builder.metadata(key, value);
        }
        let instance = builder.build().ok()?;
        let who = match target.and_then(|target| target.uid) {
            Some(uid) => format!("{uid}:{number}"),
            None => instance.id().to_owned(),
        };
        Some(Candidate {
            who,
            second_choice: self.second_choice,
            instance: Arc::new(instance),
        })
    }
}

fn named(port: &Port) -> Option<(&str, u16)> {
    let name = port.name.as_deref()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_name = (1..=24).contains(&name.len()) && name.bytes().all(plain);
    let number = port.port.filter(|number| *number > 0)?;
    is_name.then_some((name, number))
}

fn is_about_service(key: &str) -> bool {
    key != VERSION && !ABOUT_SLICES.iter().any(|prefix| key.starts_with(prefix))
}

fn fits((key, value): &(String, String)) -> bool {
    let plain = |text: &str| !text.chars().any(char::is_control);
    (1..=ServiceInstance::MAX_KEY).contains(&key.len())
        && value.len() <= ServiceInstance::MAX_TEXT
        && plain(key)
        && plain(value)
}

/// The instance that was registered here: as it was written, and no better than its conditions, which
/// others may have changed.
fn own(service: &str, written: &str, endpoints: Vec<Value>) -> Option<Vec<Candidate>> {
    let instance: ServiceInstance = serde_json::from_str(written).ok()?;
    if instance.service() != service {
        // Another name with the same fingerprint.
        return Some(Vec::new());
    }
    let endpoint: Endpoint = serde_json::from_value(endpoints.into_iter().next()?).ok()?;
    let said = endpoint.conditions.unwrap_or_default().health();
    let health = said.max(instance.health());
    let instance = instance.to_builder().health(health).build().ok()?;
    Some(vec![Candidate {
        who: instance.id().to_owned(),
        second_choice: false,
        instance: Arc::new(instance),
    }])
}

/// The slice for an instance, as it is applied.
pub(super) fn write(
    instance: &ServiceInstance,
    owner: Option<&Owner>,
) -> Result<Value, BackendError> {
    let host = instance.host();
    let address_type = match (host.parse::<Ipv4Addr>(), host.parse::<Ipv6Addr>()) {
        (Ok(_), _) => "IPv4",
        (_, Ok(_)) => "IPv6",
        _ => "FQDN",
    };
    let mut ports = vec![json!({"port": instance.port(), "protocol": "TCP"})];
    let mut names = vec![String::new()];
    for (name, number) in instance.ports() {
        // Kubernetes has lower case and dashes; where two become one, the annotation still has both.
        let name = name.to_ascii_lowercase().replace('_', "-");
        let name = name.trim_matches('-').to_owned();
        if !names.contains(&name) {
            ports.push(json!({"name": name, "port": number, "protocol": "TCP"}));
            names.push(name);
        }
    }
    let mut endpoint = json!({
        "addresses": [host],
        "conditions": Conditions::of(instance.health()),
    });
    if let Some(zone) = instance.zone() {
        endpoint["zone"] = zone.into();
    }
    let written = serde_json::to_string(instance).map_err(BackendError::malformed)?;
    let mut metadata = json!({
        "name": names::slice(instance.service(), instance.id()),
        "labels": {
            (names::SERVICE): names::label(instance.service()),
            (MANAGED_BY): MANAGER,
        },
        "annotations": {(INSTANCE): written},
    });
    if let Some(Owner { pod, uid }) = owner {
        metadata["ownerReferences"] =
            json!([{"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": uid}]);
    }
    Ok(json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata,
        "addressType": address_type,
        "endpoints": [endpoint],
        "ports": ports,
    }))
}
