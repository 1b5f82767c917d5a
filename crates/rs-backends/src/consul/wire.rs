//! How instances are written in Consul, and read from it whoever wrote them.

use std::{collections::BTreeMap, time::Duration};

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{BackendError, InstanceHealth, ServiceInstance, remote::Listed};

const ZONE: &str = "rs_zone";
const VERSION: &str = "rs_version";
const PORTS: &str = "rs_ports";
const TTL: &str = "rs_ttl";
const HEALTH: &str = "rs_health";
/// Before a key of metadata that Consul would not take, in hexadecimal.
const ESCAPED: &str = "rs_x";

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Registration<'a> {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    tags: &'a [String],
    address: &'a str,
    port: u16,
    meta: BTreeMap<String, String>,
    weights: Weights,
    check: TtlCheck,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Weights {
    passing: u16,
    warning: u16,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct TtlCheck {
    #[serde(rename = "TTL")]
    ttl: String,
    status: &'static str,
    deregister_critical_service_after: String,
}

/// A name that the agent reads as one part of a path, and as that part.
pub(super) fn escape(name: &str) -> String {
    if name.bytes().all(|byte| byte == b'.') {
        return "%2E".repeat(name.len());
    }
    let mut escaped = String::with_capacity(name.len());
    for letter in name.chars() {
        match letter {
            '%' => escaped.push_str("%25"),
            '/' => escaped.push_str("%2F"),
            ':' => escaped.push_str("%3A"),
            plain => escaped.push(plain),
        }
    }
    escaped
}

/// An id that is unique at the agent, whose services share one set of ids.
pub(super) fn agent_id(service: &str, id: &str) -> String {
    format!("{}:{}", escape(service), escape(id))
}

/// The status of a check for this health, and what the status cannot say.
const fn status(health: InstanceHealth) -> (&'static str, Option<&'static str>) {
    match health {
        InstanceHealth::Passing => ("passing", None),
        InstanceHealth::Warning => ("warning", None),
        InstanceHealth::Critical => ("critical", None),
        InstanceHealth::Draining => ("warning", Some("draining")),
        InstanceHealth::Unknown => ("passing", Some("unknown")),
    }
}

pub(super) fn registration(
    instance: &ServiceInstance,
    deregister_after: Duration,
) -> Result<Vec<u8>, BackendError> {
    let (status, beside) = status(instance.health());
    let ports: Vec<_> = instance
        .ports()
        .map(|(name, port)| format!("{name}={port}"))
        .collect();
    let mut meta = BTreeMap::from([(TTL.to_owned(), instance.ttl().as_millis().to_string())]);
    let own = [
        (ZONE, instance.zone().map(str::to_owned)),
        (VERSION, instance.version().map(str::to_owned)),
        (PORTS, (!ports.is_empty()).then(|| ports.join(","))),
        (HEALTH, beside.map(str::to_owned)),
    ];
    meta.extend(
        own.into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), value?))),
    );
    let theirs = instance.metadata();
    meta.extend(theirs.map(|(key, value)| (escape_key(key), value.to_owned())));
    let registration = Registration {
        id: agent_id(instance.service(), instance.id()),
        name: escape(instance.service()),
        tags: instance.tags(),
        address: instance.host(),
        port: instance.port(),
        meta,
        weights: Weights {
            passing: instance.weight(),
            warning: instance.weight(),
        },
        check: TtlCheck {
            ttl: format!("{}ms", instance.ttl().as_millis()),
            status,
            deregister_critical_service_after: format!("{}s", deregister_after.as_secs()),
        },
    };
    serde_json::to_vec(&registration).map_err(BackendError::malformed)
}

/// What keeps the check of an instance as it is.
pub(super) fn renewal(instance: &ServiceInstance) -> Vec<u8> {
    format!(r#"{{"Status":"{}"}}"#, status(instance.health()).0).into_bytes()
}

fn escape_key(key: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let reserved = key.starts_with("rs_") || key.starts_with("consul-");
    if !reserved && key.bytes().all(plain) {
        return key.to_owned();
    }
    let hex = key.bytes().map(|byte| format!("{byte:02x}"));
    format!("{ESCAPED}{}", hex.collect::<String>())
}

fn unescape_key(key: &str) -> Option<String> {
    let hex = key.strip_prefix(ESCAPED)?;
    let pairs = hex.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    String::from_utf8(pairs.collect::<Option<_>>()?).ok()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    #[serde(default)]
    node: Node,
    service: Service,
    #[serde(default)]
    checks: Option<Vec<Check>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    #[serde(default)]
    address: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Service {
    #[serde(rename = "ID")]
    id: String,
    service: String,
    #[serde(default)]
    tags: Option<Vec<String>>,
    #[serde(default)]
    address: String,
    port: u16,
    #[serde(default)]
    meta: Option<BTreeMap<String, String>>,
    #[serde(default)]
    weights: Option<Weights>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Check {
    status: String,
}

/// What `/v1/health/service/…` answered.
pub(crate) fn read(service: &str, body: &[u8]) -> Result<Listed, BackendError> {
    let entries: Vec<&RawValue> = serde_json::from_slice(body).map_err(BackendError::malformed)?;
    let mut listed = Listed::default();
    let name = escape(service);
    for entry in entries {
        let entry: Option<Entry> = serde_json::from_str(entry.get()).ok();
        match entry.and_then(|entry| instance(service, &name, entry)) {
            Some(instance) => listed.instances.push(instance),
            None => listed.skipped += 1,
        }
    }
    Ok(listed)
}

fn instance(service: &str, name: &str, entry: Entry) -> Option<ServiceInstance> {
    let Entry {
        node,
        service: known,
        checks,
    } = entry;
    if known.service != name {
        return None;
    }
    let host = if known.address.is_empty() {
        node.address
    } else {
        known.address
    };
    let own = known
        .id
        .strip_prefix(name)
        .and_then(|id| id.strip_prefix(':'));
    let id = match own {
        Some(id) => percent_decode_str(id).decode_utf8().ok()?.into_owned(),
        None => known.id,
    };
    let mut builder = ServiceInstance::builder(service, host, known.port).id(id);
    if let Some(weights) = known.weights {
        builder = builder.weight(weights.passing);
    }
    for tag in known.tags.unwrap_or_default() {
        builder = builder.tag(tag);
    }
    let mut beside = None;
    for (key, value) in known.meta.unwrap_or_default() {
        builder = match key.as_str() {
            ZONE => builder.zone(value),
            VERSION => builder.version(value),
            TTL => builder.ttl(Duration::from_millis(value.parse().ok()?)),
            PORTS => value.split(',').try_fold(builder, |builder, port| {
                let (name, port) = port.split_once('=')?;
                Some(builder.port_named(name, port.parse().ok()?))
            })?,
            HEALTH => {
                beside = Some(value);
                builder
            }
            _ => builder.metadata(unescape_key(&key).unwrap_or(key), value),
        };
    }
    let health = health(checks.unwrap_or_default(), beside.as_deref());
    builder.health(health).build().ok()
}

/// The worst of its checks, and what the instance says beside them.
fn health(checks: Vec<Check>, beside: Option<&str>) -> InstanceHealth {
    let said = checks.iter().map(|check| match check.status.as_str() {
        "passing" => InstanceHealth::Passing,
        "warning" => InstanceHealth::Warning,
        "critical" | "maintenance" => InstanceHealth::Critical,
        _ => InstanceHealth::Unknown,
    });
    match (said.max().unwrap_or_default(), beside) {
        (InstanceHealth::Critical, _) => InstanceHealth::Critical,
        (_, Some("draining")) => InstanceHealth::Draining,
        (InstanceHealth::Passing, Some("unknown")) => InstanceHealth::Unknown,
        (health, _) => health,
    }
}
