//! How the API server writes lists, events and errors.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::BackendError;

/// A part of a list.
#[derive(Debug)]
pub(super) struct Page {
    /// What the list was true at; a watch goes on from there.
    pub(super) version: String,
    /// Where the next part begins.
    pub(super) next: Option<String>,
    pub(super) items: Vec<Value>,
}

/// What a watch says.
#[derive(Debug, PartialEq)]
pub(super) enum Event {
    /// This object is so now.
    Is { version: String, object: Value },
    /// This object is no more.
    Gone { version: String, object: Value },
    /// Nothing until this version.
    Bookmark { version: String },
    /// What the watch went on from has been forgotten.
    Expired,
    /// The watch ends for this reason.
    Failed(String),
    /// Something that newer servers say.
    Unknown,
}

#[derive(Deserialize)]
struct WrittenPage {
    metadata: ListMeta,
    #[serde(deserialize_with = "null_is_empty")]
    items: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
    #[serde(default)]
    r#continue: Option<String>,
}

#[derive(Deserialize)]
struct WrittenEvent {
    r#type: String,
    object: Value,
}

/// What the server says instead of doing something.
#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    code: u16,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

pub(super) fn page(body: &[u8]) -> Result<Page, BackendError> {
    let WrittenPage { metadata, items } =
        serde_json::from_slice(body).map_err(BackendError::malformed)?;
    if metadata.resource_version.is_empty() {
        return Err(BackendError::malformed("a list without a version"));
    }
    Ok(Page {
        version: metadata.resource_version,
        next: metadata.r#continue.filter(|next| !next.is_empty()),
        items,
    })
}

pub(super) fn event(line: &[u8]) -> Result<Event, BackendError> {
    let WrittenEvent { r#type, object } =
        serde_json::from_slice(line).map_err(BackendError::malformed)?;
    if r#type == "ERROR" {
        let status: Status = serde_json::from_value(object).map_err(BackendError::malformed)?;
        return Ok(match status.code {
            410 => Event::Expired,
            code => Event::Failed(format!("{code} {}", status.message)),
        });
    }
    let version = object["metadata"]["resourceVersion"].as_str();
    let version = version.unwrap_or_default().to_owned();
    if version.is_empty() {
        return Err(BackendError::malformed("an event without a version"));
    }
    Ok(match r#type.as_str() {
        "ADDED" | "MODIFIED" => Event::Is { version, object },
        "DELETED" => Event::Gone { version, object },
        "BOOKMARK" => Event::Bookmark { version },
        _ => Event::Unknown,
    })
}

/// What an answer that is no success says: the sentence of a `Status`, or whatever it is.
pub(super) fn refusal(code: u16, body: &[u8]) -> BackendError {
    let status: Option<Status> = serde_json::from_slice(body).ok();
    let said = status.map(|status| match status.message.is_empty() {
        true => status.reason,
        false => status.message,
    });
    match said.filter(|said| !said.is_empty()) {
        Some(said) => BackendError::refused(format_args!("{code} {said}")),
        None => {
            let shown = body.get(..body.len().min(400)).unwrap_or_default();
            let shown = String::from_utf8_lossy(shown);
            BackendError::refused(format_args!("{code} {}", shown.trim()))
        }
    }
}

/// Whether `new` is from before `old`: where versions are numbers they grow, unless the cluster was
/// restored from a backup or began anew.
pub(super) fn went_back(old: &str, new: &str) -> bool {
    let numbers = old.parse::<u64>().ok().zip(new.parse::<u64>().ok());
    numbers.is_some_and(|(old, new)| new < old)
}

fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Value>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
