use std::fmt;

use serde::{
    Deserializer,
    de::{
        DeserializeOwned, DeserializeSeed, EnumAccess, Error, Expected, MapAccess, SeqAccess,
        Unexpected, VariantAccess, Visitor,
        value::{StrDeserializer, StringDeserializer},
    },
    forward_to_deserialize_any,
};

use super::heard;
use crate::{ConfigError, Value};

/// Reads a typed configuration from a [`Value`], whatever format that was written in.
///
/// The error names the whole path of the field, the value, and for an unknown field the nearest known
/// one. Types of configuration say `#[serde(deny_unknown_fields)]`.
///
/// # Errors
/// What is wrong, where, and what is allowed.
///
/// ```
/// use rs_core::{Share, Value, config};
///
/// #[derive(Debug, serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Trip { failure_rate: Share }
///
/// let written: Value = serde_json::from_str(r#"{ "failure_rte": "50%" }"#)?;
/// assert_eq!(
///     config::read::<Trip>(written).unwrap_err().to_string(),
///     "unknown field `failure_rte`, did you mean `failure_rate`? known: failure_rate",
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn read<T: DeserializeOwned>(value: Value) -> Result<T, ConfigError> {
    T::deserialize(value)
}

/// What is expected, for people who do not write Rust.
fn in_words(expected: &dyn Expected) -> String {
    let expected = expected.to_string();
    let words = match &*expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number from 0 up",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" => "a text",
        "a map" => "a table",
        "a sequence" => "a list",
        nonzero if nonzero.starts_with("a nonzero u") => "a whole number from 1 up",
        table if table.starts_with("struct ") => "a table",
        _ => return expected,
    };
    words.to_owned()
}

impl Error for ConfigError {
    fn custom<M: fmt::Display>(message: M) -> Self {
        heard::error_in(&message).unwrap_or_else(|| Self::other(message))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = in_words(expected);
        match found {
            Unexpected::Unit => Self::other(format_args!("found nothing, expected {expected}")),
            Unexpected::Seq => Self::other(format_args!("found a list, expected {expected}")),
            Unexpected::Map => Self::other(format_args!("found a table, expected {expected}")),
            Unexpected::Signed(number) => {
                Self::other(format_args!("found {number}, expected {expected}"))
            }
            Unexpected::Unsigned(number) => {
                Self::other(format_args!("found {number}, expected {expected}"))
            }
            Unexpected::Float(number) => {
                Self::other(format_args!("found {number}, expected {expected}"))
            }
            Unexpected::Bool(value) => {
                Self::other(format_args!("found {value}, expected {expected}"))
            }
            Unexpected::Str(text) => {
                Self::other(format_args!("found `{text}`, expected {expected}"))
            }
            found => Self::other(format_args!("found {found}, expected {expected}")),
        }
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::unknown("field", field, known.iter().copied())
    }

    fn unknown_variant(name: &str, known: &'static [&'static str]) -> Self {
        Self::unknown("name", name, known.iter().copied())
    }

    fn missing_field(field: &'static str) -> Self {
        Self::missing(field)
    }
}

impl<'de> Deserializer<'de> for Value {
    type Error = ConfigError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        match self {
            Self::Null => visitor.visit_unit(),
            Self::Bool(value) => visitor.visit_bool(value),
            Self::Count(value) => visitor.visit_u64(value),
            Self::Integer(value) => visitor.visit_i64(value),
            Self::Number(value) => visitor.visit_f64(value),
            Self::Text(value) => visitor.visit_string(value.into_owned()),
            Self::List(values) => visitor.visit_seq(Items {
                rest: values.into_iter(),
                next: 0,
            }),
            Self::Map(entries) => visitor.visit_map(Entries {
                rest: entries.into_iter(),
                next: None,
            }),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        match self {
            Self::Null => visitor.visit_none(),
            value => visitor.visit_some(value),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ConfigError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ConfigError> {
        match self {
            Self::Text(name) => visitor.visit_enum(Variant {
                name: name.into_owned(),
                content: None,
            }),
            Self::Map(entries) => {
                let mut entries = entries.into_iter();
                match (entries.next(), entries.next()) {
                    (Some((name, content)), None) => visitor.visit_enum(Variant {
                        name: name.into_owned(),
                        content: Some(content),
                    }),
                    _ => Err(ConfigError::other("expected a table with one entry")),
                }
            }
            other => Err(ConfigError::other(format_args!(
                "found `{other}`, expected a name or a table with one entry"
            ))),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Items {
    rest: std::vec::IntoIter<Value>,
    next: usize,
}

impl<'de> SeqAccess<'de> for Items {
    type Error = ConfigError;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, ConfigError> {
        let Some(value) = self.rest.next() else {
            return Ok(None);
        };
        let place = format!("[{}]", self.next);
        self.next += 1;
        seed.deserialize(value)
            .map(Some)
            .map_err(|error| error.in_field(&place))
    }
}

type Entry = (std::borrow::Cow<'static, str>, Value);

struct Entries {
    rest: std::vec::IntoIter<Entry>,
    next: Option<Entry>,
}

impl<'de> MapAccess<'de> for Entries {
    type Error = ConfigError;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, ConfigError> {
        self.next = self.rest.next();
        self.next
            .as_ref()
            .map(|(key, _)| seed.deserialize(StrDeserializer::new(key)))
            .transpose()
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, ConfigError> {
        let (key, value) = self
            .next
            .take()
            .ok_or_else(|| ConfigError::other("a value without a key"))?;
        seed.deserialize(value)
            .map_err(|error| error.in_field(&key))
    }
}

struct Variant {
    name: String,
    content: Option<Value>,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = ConfigError;
    type Variant = Content;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Content), ConfigError> {
        let name = StringDeserializer::new(self.name.clone());
        let variant = seed.deserialize(name)?;
        Ok((variant, Content(self)))
    }
}

/// What stands behind the name of a variant.
struct Content(Variant);

impl Content {
    fn value(self) -> (String, Value) {
        (self.0.name, self.0.content.unwrap_or(Value::Null))
    }
}

impl<'de> VariantAccess<'de> for Content {
    type Error = ConfigError;

    fn unit_variant(self) -> Result<(), ConfigError> {
        match self.value() {
            (_, Value::Null) => Ok(()),
            (name, _) => Err(ConfigError::other("takes no value").in_field(&name)),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<S::Value, ConfigError> {
        let (name, value) = self.value();
        seed.deserialize(value)
            .map_err(|error| error.in_field(&name))
    }

    fn tuple_variant<V: Visitor<'de>>(
        self,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, ConfigError> {
        let (name, value) = self.value();
        value
            .deserialize_any(visitor)
            .map_err(|error| error.in_field(&name))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ConfigError> {
        let (name, value) = self.value();
        value
            .deserialize_any(visitor)
            .map_err(|error| error.in_field(&name))
    }
}
