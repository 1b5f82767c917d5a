//! `#[serde(with = "rs_core::humane::duration")]` for a [`Duration`] written as `"30s"`.

use std::{borrow::Cow, time::Duration};

use serde::{Deserialize, Deserializer, Serializer, de::Error};

use super::{parse_duration, write_duration};

/// Writes the time in full.
///
/// # Errors
/// Those of the serializer.
pub fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&write_duration(*time))
}

/// Reads a time as people write it.
///
/// # Errors
/// Those of the deserializer, and what is wrong with the text.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    parse_duration(&text).map_err(D::Error::custom)
}

/// `#[serde(with = "rs_core::humane::duration::option", default)]` for an `Option<Duration>`.
pub mod option {
    use super::{Cow, Deserialize, Deserializer, Duration, Error, Serializer, parse_duration};

    /// Writes the time in full, or nothing.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(
        time: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => super::serialize(time, serializer),
            None => serializer.serialize_none(),
        }
    }

    /// Reads a time as people write it, or nothing.
    ///
    /// # Errors
    /// Those of the deserializer, and what is wrong with the text.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        Option::<Cow<str>>::deserialize(deserializer)?
            .map(|text| parse_duration(&text).map_err(D::Error::custom))
            .transpose()
    }
}
