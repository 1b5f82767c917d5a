use std::sync::Arc;

use crate::{CacheError, Entry};

/// How values become bytes and values again.
pub trait Codec<V>: Send + Sync + 'static {
    /// The value as bytes.
    ///
    /// # Errors
    /// When it cannot be written.
    fn encode(&self, value: &V) -> Result<Vec<u8>, CacheError>;

    /// The value of these bytes.
    ///
    /// # Errors
    /// [`CacheError::Undecodable`] when they are none; it counts as a miss in the new cache.
    fn decode(&self, bytes: &[u8]) -> Result<V, CacheError>;
}

/// Values that are bytes, or text.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing in it")]
pub struct AsBytes;

impl Codec<Vec<u8>> for AsBytes {
    fn encode(&self, value: &Vec<u8>) -> Result<Vec<u8>, CacheError> {
        Ok(value.clone())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Vec<u8>, CacheError> {
        Ok(bytes.to_vec())
    }
}

impl Codec<Arc<[u8]>> for AsBytes {
    fn encode(&self, value: &Arc<[u8]>) -> Result<Vec<u8>, CacheError> {
        Ok(value.to_vec())
    }

    fn decode(&self, bytes: &[u8]) -> Result<Arc<[u8]>, CacheError> {
        Ok(bytes.into())
    }
}

impl Codec<String> for AsBytes {
    fn encode(&self, value: &String) -> Result<Vec<u8>, CacheError> {
        Ok(value.clone().into_bytes())
    }

    fn decode(&self, bytes: &[u8]) -> Result<String, CacheError> {
        let text = std::str::from_utf8(bytes);
        text.map(str::to_owned).map_err(undecodable)
    }
}

/// Values that serde can write as JSON.
#[cfg(feature = "json")]
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing in it")]
pub struct AsJson;

#[cfg(feature = "json")]
impl<V: serde::Serialize + serde::de::DeserializeOwned> Codec<V> for AsJson {
    fn encode(&self, value: &V) -> Result<Vec<u8>, CacheError> {
        serde_json::to_vec(value).map_err(CacheError::failed)
    }

    fn decode(&self, bytes: &[u8]) -> Result<V, CacheError> {
        // What the parser says may quote the value.
        serde_json::from_slice(bytes).map_err(|error| {
            undecodable(format!(
                "{:?} in column {}",
                error.classify(),
                error.column()
            ))
        })
    }
}

fn undecodable(why: impl ToString) -> CacheError {
    CacheError::Undecodable(why.to_string().into())
}

/// Marks what was written here. No text begins like this, and no JSON.
const MAGIC: u8 = 0xc1;
const VALUE: u8 = 0;
const NEGATIVE: u8 = 1;

/// `MAGIC`, kind, epoch, value. `bare` is the value alone, as others wrote it.
pub(super) fn wrap<V>(
    codec: &impl Codec<V>,
    entry: &Entry<V>,
    bare: bool,
) -> Result<Vec<u8>, CacheError> {
    let value = entry.value.as_ref();
    let value = value.map(|value| codec.encode(value)).transpose()?;
    if bare {
        return value.ok_or(CacheError::Unsupported("keep negative entries"));
    }
    let kind = if value.is_some() { VALUE } else { NEGATIVE };
    let value = value.unwrap_or_default();
    let mut bytes = Vec::with_capacity(6 + value.len());
    bytes.extend([MAGIC, kind]);
    bytes.extend(entry.epoch.to_le_bytes());
    bytes.extend(value);
    Ok(bytes)
}

pub(super) fn unwrap<V>(
    codec: &impl Codec<V>,
    bytes: &[u8],
    bare: bool,
) -> Result<Entry<V>, CacheError> {
    if bare {
        return Ok(Entry::of(codec.decode(bytes)?));
    }
    let Some((&[MAGIC, kind, a, b, c, d], value)) = bytes.split_first_chunk() else {
        return Err(undecodable("somebody else wrote it"));
    };
    let value = match kind {
        VALUE => Some(codec.decode(value)?),
        NEGATIVE => None,
        kind => return Err(undecodable(format!("entries of kind {kind} are unknown"))),
    };
    Ok(Entry {
        value,
        ..Entry::absent().in_epoch(u32::from_le_bytes([a, b, c, d]))
    })
}
