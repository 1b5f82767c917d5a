//! What etcd is asked and what it answers, as its JSON gateway has it.

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::json;

use super::Etcd;
use crate::{BackendError, ServiceInstance, http::Reply};

/// What all keys of a service begin with, and no others.
pub(super) fn folder(prefix: &str, service: &str) -> String {
    format!("{prefix}/{}/", escape(service))
}

pub(super) fn key(prefix: &str, service: &str, id: &str) -> String {
    format!("{}{}", folder(prefix, service), escape(id))
}

/// Without a slash, and no two the same.
fn escape(name: &str) -> String {
    name.replace('%', "%25").replace('/', "%2F")
}

/// All keys in the folder: up to what would follow its slash.
fn span(folder: &str) -> [String; 2] {
    let mut end = folder.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        // A slash, so there is a next one.
        *last = last.saturating_add(1);
    }
    [STANDARD.encode(folder), STANDARD.encode(end)]
}

pub(super) fn list(folder: &str) -> String {
    let [key, end] = span(folder);
    json!({ "key": key, "range_end": end, "limit": Etcd::MAX_INSTANCES + 1 }).to_string()
}

pub(super) fn watch(folder: &str, from: i64) -> String {
    let [key, end] = span(folder);
    let watch = json!({
        "key": key, "range_end": end, "start_revision": from, "progress_notify": true, "fragment": true,
    });
    json!({ "create_request": watch }).to_string()
}

/// Those that have changed since this revision, and how many there are in all.
pub(super) fn news(folder: &str, since: i64) -> String {
    let [key, end] = span(folder);
    let least = since.saturating_add(1);
    json!({ "key": key, "range_end": end, "min_mod_revision": least, "keys_only": true, "limit": 1 }).to_string()
}

/// Whole seconds, and none too few.
pub(super) fn grant(ttl: Duration) -> String {
    let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
    json!({ "TTL": seconds }).to_string()
}

pub(super) fn lease(id: i64) -> String {
    json!({ "ID": id }).to_string()
}

pub(super) fn put(
    key: &str,
    instance: &ServiceInstance,
    lease: i64,
) -> Result<String, BackendError> {
    let text = serde_json::to_vec(instance).map_err(BackendError::malformed)?;
    let (key, value) = (STANDARD.encode(key), STANDARD.encode(text));
    Ok(json!({ "key": key, "value": value, "lease": lease }).to_string())
}

pub(super) fn only(key: &str) -> String {
    json!({ "key": STANDARD.encode(key) }).to_string()
}

pub(super) fn count(key: &str) -> String {
    json!({ "key": STANDARD.encode(key), "count_only": true }).to_string()
}

/// Large numbers are texts.
fn number<'de, D: Deserializer<'de>, T: std::str::FromStr>(read: D) -> Result<T, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Text(String),
        Number(i64),
    }
    let text = match Either::deserialize(read)? {
        Either::Text(text) => text,
        Either::Number(number) => number.to_string(),
    };
    text.parse()
        .map_err(|_| serde::de::Error::custom("no number where one should be"))
}

#[derive(Default, Deserialize)]
struct Header {
    #[serde(default, deserialize_with = "number")]
    cluster_id: u64,
    #[serde(default, deserialize_with = "number")]
    revision: i64,
}

#[derive(Deserialize)]
struct Pair {
    key: String,
    #[serde(default)]
    value: String,
    #[serde(default, deserialize_with = "number")]
    mod_revision: i64,
}

impl Pair {
    fn key(&self) -> Option<String> {
        String::from_utf8(STANDARD.decode(&self.key).ok()?).ok()
    }

    /// What it says, if its key says the same.
    fn instance(&self, service: &str, key: &str) -> Option<ServiceInstance> {
        let text = STANDARD.decode(&self.value).ok()?;
        let found: ServiceInstance = serde_json::from_slice(&text).ok()?;
        let last = key.rsplit('/').next()?;
        (found.service() == service && escape(found.id()) == last).then_some(found)
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, BackendError> {
    serde_json::from_slice(body).map_err(BackendError::malformed)
}

/// All that is known of a service, by key, and when that was so.
#[derive(Debug)]
pub(crate) struct Range {
    pub(crate) cluster: u64,
    pub(crate) revision: i64,
    pub(crate) known: BTreeMap<String, ServiceInstance>,
    pub(crate) skipped: u64,
}

/// What `kv/range` answered.
pub(crate) fn read_range(service: &str, folder: &str, body: &[u8]) -> Result<Range, BackendError> {
    #[derive(Deserialize)]
    struct Answer {
        header: Header,
        #[serde(default)]
        kvs: Vec<serde_json::Value>,
    }
    let answer: Answer = read(body)?;
    let limit = Etcd::MAX_INSTANCES;
    if answer.kvs.len() > limit {
        let what = "instances";
        return Err(BackendError::TooMany { what, limit });
    }
    let (mut known, mut skipped) = (BTreeMap::new(), 0);
    for pair in answer.kvs {
        let pair: Option<Pair> = serde_json::from_value(pair).ok();
        let found = pair.and_then(|pair| {
            let key = pair.key().filter(|key| key.starts_with(folder))?;
            let instance = pair.instance(service, &key)?;
            Some((key, instance))
        });
        match found {
            Some((key, instance)) if !known.contains_key(&key) => {
                known.insert(key, instance);
            }
            _ => skipped += 1,
        }
    }
    Ok(Range {
        cluster: answer.header.cluster_id,
        revision: answer.header.revision,
        known,
        skipped,
    })
}

/// How it is now: where, how many keys there are in all, and whether the question found any.
pub(super) struct Glance {
    pub(super) cluster: u64,
    pub(super) revision: i64,
    pub(super) count: u64,
    pub(super) found: bool,
}

pub(super) fn read_glance(body: &[u8]) -> Result<Glance, BackendError> {
    #[derive(Deserialize)]
    struct Answer {
        header: Header,
        #[serde(default, deserialize_with = "number")]
        count: u64,
        #[serde(default)]
        kvs: Vec<serde::de::IgnoredAny>,
    }
    let answer: Answer = read(body)?;
    Ok(Glance {
        cluster: answer.header.cluster_id,
        revision: answer.header.revision,
        count: answer.count,
        found: !answer.kvs.is_empty(),
    })
}

/// A line of a watch.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) cluster: u64,
    pub(crate) revision: i64,
    pub(crate) what: Said,
}

#[derive(Debug)]
pub(crate) enum Said {
    /// It goes on from here, or nothing has changed up to here.
    Begun,
    /// The keys that changed, at which revision, and whether more of this follows.
    Changes {
        changes: Vec<(String, i64, Change)>,
        more: bool,
    },
    /// What was asked for is no longer known.
    Compacted,
    Cancelled(String),
    Failed(String),
}

#[derive(Debug)]
pub(crate) enum Change {
    Put(ServiceInstance),
    Gone,
    /// It cannot be understood.
    Skipped,
}

/// What a watch of the service said.
pub(crate) fn read_watch(service: &str, line: &[u8]) -> Result<Watched, BackendError> {
    #[derive(Deserialize)]
    struct Line {
        result: Option<Told>,
        error: Option<serde_json::Value>,
    }
    #[derive(Deserialize)]
    struct Told {
        header: Header,
        #[serde(default)]
        canceled: bool,
        #[serde(default)]
        cancel_reason: String,
        #[serde(default, deserialize_with = "number")]
        compact_revision: i64,
        #[serde(default)]
        fragment: bool,
        #[serde(default)]
        events: Vec<Event>,
    }
    #[derive(Deserialize)]
    struct Event {
        #[serde(default, rename = "type")]
        kind: String,
        kv: Pair,
    }
    let told = match read::<Line>(line)? {
        Line {
            result: Some(told), ..
        } => told,
        Line { error, .. } => {
            let error = error.ok_or_else(|| BackendError::malformed("nothing is said"))?;
            let message = error.get("message").and_then(serde_json::Value::as_str);
            let why = message.map_or_else(|| error.to_string(), str::to_owned);
            return Ok(Watched {
                cluster: 0,
                revision: 0,
                what: Said::Failed(why),
            });
        }
    };
    let what = if told.compact_revision > 0 {
        Said::Compacted
    } else if told.canceled {
        Said::Cancelled(told.cancel_reason)
    } else if told.events.is_empty() && !told.fragment {
        Said::Begun
    } else {
        let changes = told.events.into_iter().map(|event| {
            let key = event.kv.key();
            let key = key.ok_or_else(|| BackendError::malformed("a key that is no text"))?;
            let change = match event.kind.as_str() {
                "DELETE" => Change::Gone,
                _ => match event.kv.instance(service, &key) {
                    Some(instance) => Change::Put(instance),
                    None => Change::Skipped,
                },
            };
            Ok((key, event.kv.mod_revision, change))
        });
        Said::Changes {
            changes: changes.collect::<Result<_, BackendError>>()?,
            more: told.fragment,
        }
    };
    Ok(Watched {
        cluster: told.header.cluster_id,
        revision: told.header.revision,
        what,
    })
}

/// The lease that was granted.
pub(super) fn read_lease(body: &[u8]) -> Result<i64, BackendError> {
    #[derive(Deserialize)]
    struct Granted {
        #[serde(rename = "ID", deserialize_with = "number")]
        id: i64,
    }
    read::<Granted>(body).map(|granted| granted.id)
}

/// Whether a lease is alive: one that is gone has no time left, and that is no error.
pub(super) fn read_kept(body: &[u8]) -> Result<bool, BackendError> {
    #[derive(Deserialize)]
    struct Kept {
        result: Left,
    }
    #[derive(Deserialize)]
    struct Left {
        #[serde(default, rename = "TTL", deserialize_with = "number")]
        ttl: i64,
    }
    read::<Kept>(body).map(|kept| kept.result.ttl > 0)
}

/// Whether there is anything.
pub(super) fn read_count(body: &[u8]) -> Result<bool, BackendError> {
    #[derive(Deserialize)]
    struct Counted {
        #[serde(default, deserialize_with = "number")]
        count: u64,
    }
    read::<Counted>(body).map(|counted| counted.count > 0)
}

/// Whether the cluster has a leader.
pub(super) fn read_leader(body: &[u8]) -> Result<bool, BackendError> {
    #[derive(Deserialize)]
    struct Status {
        #[serde(default, deserialize_with = "number")]
        leader: u64,
    }
    read::<Status>(body).map(|status| status.leader != 0)
}

pub(super) fn read_token(body: &[u8]) -> Result<String, BackendError> {
    #[derive(Deserialize)]
    struct Token {
        token: String,
    }
    // What is wrong with it is not repeated: it may hold the token.
    let token: Result<Token, _> = serde_json::from_slice(body);
    let token = token.map_err(|_| BackendError::malformed("no token where one should be"))?;
    Ok(token.token)
}

/// Whether etcd knows no such lease.
pub(super) fn is_gone(reply: &Reply) -> bool {
    #[derive(Deserialize)]
    struct Refusal {
        code: i64,
    }
    let refusal = serde_json::from_slice::<Refusal>(&reply.body);
    !reply.status.is_success() && refusal.is_ok_and(|refusal| refusal.code == 5)
}
