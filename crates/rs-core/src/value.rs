use std::{borrow::Cow, fmt, time::Duration};

use crate::{Name, Rate, Share, Size, humane};

/// A piece of data whose shape is known only when the program runs: what a snapshot shows, what an
/// action takes, what stands in a configuration file.
///
/// With the `serde` feature it is written to and read from any format.
///
/// ```
/// use rs_core::Value;
///
/// let shown = Value::map([("state", Value::from("open")), ("failed", Value::from(11))]);
/// assert_eq!(shown.get("failed"), Some(&Value::Count(11)));
/// assert_eq!(shown.to_string(), "{state: open, failed: 11}");
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Nothing.
    #[default]
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number from zero up.
    Count(u64),
    /// A whole number below zero.
    Integer(i64),
    /// Any number.
    Number(f64),
    /// A text.
    Text(Cow<'static, str>),
    /// Several, in order.
    List(Vec<Value>),
    /// Several by name, in order.
    Map(Vec<(Cow<'static, str>, Value)>),
}

impl Value {
    /// Several values by name.
    #[must_use]
    pub fn map<K: Into<Cow<'static, str>>>(entries: impl IntoIterator<Item = (K, Value)>) -> Self {
        Self::Map(
            entries
                .into_iter()
                .map(|(key, value)| (key.into(), value))
                .collect(),
        )
    }

    /// The value of this name, if this is a map that has it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text, if this is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("-"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Count(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Text(value) => f.write_str(value),
            Self::List(values) => {
                f.write_str("[")?;
                for (place, value) in values.iter().enumerate() {
                    let joint = if place == 0 { "" } else { ", " };
                    write!(f, "{joint}{value}")?;
                }
                f.write_str("]")
            }
            Self::Map(entries) => {
                f.write_str("{")?;
                for (place, (key, value)) in entries.iter().enumerate() {
                    let joint = if place == 0 { "" } else { ", " };
                    write!(f, "{joint}{key}: {value}")?;
                }
                f.write_str("}")
            }
        }
    }
}

macro_rules! value_from {
    ($($from:ty => |$given:ident| $value:expr;)*) => {$(
        impl From<$from> for Value {
            fn from($given: $from) -> Self {
                $value
            }
        }
    )*};
}

value_from! {
    bool => |value| Self::Bool(value);
    u64 => |value| Self::Count(value);
    u32 => |value| Self::Count(value.into());
    u16 => |value| Self::Count(value.into());
    usize => |value| Self::Count(value as u64);
    i64 => |value| u64::try_from(value).map_or(Self::Integer(value), Self::Count);
    i32 => |value| i64::from(value).into();
    f64 => |value| Self::Number(value);
    &'static str => |value| Self::Text(value.into());
    String => |value| Self::Text(value.into());
    Name => |value| Self::Text(value.as_str().into());
    Duration => |value| Self::Text(humane::write_duration(value).to_string().into());
    Share => |value| Self::Text(value.in_full().into());
    Rate => |value| Self::Text(value.in_full().into());
    Size => |value| Self::Text(value.in_full().into());
    Vec<Value> => |value| Self::List(value);
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
