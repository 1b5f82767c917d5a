//! Where in a text the field stands that an error names.

use std::{borrow::Cow, fmt, ops::Range, path::Path};

use rs_core::{ConfigError, ConfigProblem, Value};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use toml::de::{DeTable, DeValue};

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Toml,
    Json,
}

/// A place in a text, and the line that it is in.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
    text: String,
}

impl Format {
    pub(super) fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "toml" => Some(Self::Toml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    pub(super) fn parse(self, text: &str) -> Result<Value, (Option<Place>, String)> {
        match self {
            Self::Toml => toml::from_str(text).map_err(|error| {
                let place = error.span().map(|span| Place::at(text, span.start));
                (place, error.message().to_owned())
            }),
            Self::Json => serde_json::from_str(text).map_err(|error| {
                let start = line_starts(text).nth(error.line().saturating_sub(1));
                let offset = start.map(|start| start + error.column().saturating_sub(1));
                let whole = error.to_string();
                // It says the place itself, as do we.
                let problem = whole
                    .rsplit_once(" at line ")
                    .map_or(&*whole, |(words, _)| words);
                let place = offset.map(|offset| Place::at(text, offset));
                (place, problem.to_owned())
            }),
        }
    }

    /// Where the field stands, or as much of the way to it as there is.
    pub(super) fn locate(self, text: &str, error: &ConfigError) -> Option<Place> {
        let mut way = error.field().to_owned();
        // The error is found in the table that has the name; the name is what is wrong.
        let wrong_name = match error.problem() {
            ConfigProblem::Unknown { what, name, .. } if what == "field" => Some(name),
            _ => None,
        };
        if let Some(name) = wrong_name {
            let joint = if way.is_empty() { "" } else { "." };
            way = format!("{way}{joint}{name}");
        }
        let offset = match self {
            Self::Toml => {
                let table = DeTable::parse(text).ok()?;
                let (key, value) = in_table(table.get_ref(), &way)?;
                match wrong_name {
                    Some(_) => key.start,
                    None => value.start,
                }
            }
            Self::Json => {
                let value = in_json(text, text, &way)?;
                let key = wrong_name.and_then(|name| text[..value].rfind(&format!("\"{name}\"")));
                key.unwrap_or(value)
            }
        };
        Some(Place::at(text, offset))
    }
}

/// What is left of the way behind this key, if the way begins with it. Keys may have dots.
fn behind<'w>(way: &'w str, key: &str) -> Option<&'w str> {
    let rest = way.strip_prefix(key)?;
    match rest.as_bytes().first() {
        None => Some(rest),
        Some(b'.') => Some(&rest[1..]),
        Some(b'[') => Some(rest),
        Some(_) => None,
    }
}

/// The index that the way begins with, and what is left behind it.
fn index(way: &str) -> Option<(usize, &str)> {
    let (index, rest) = way.strip_prefix('[')?.split_once(']')?;
    Some((index.parse().ok()?, rest.strip_prefix('.').unwrap_or(rest)))
}

/// The key that the way ends at, and its value; or as far as there is a way.
type Found = (Range<usize>, Range<usize>);

fn in_table(table: &DeTable<'_>, way: &str) -> Option<Found> {
    let ways = table.iter().filter_map(|(key, value)| {
        let rest = behind(way, key.get_ref())?;
        Some((key, value, rest))
    });
    let (key, value, rest) = ways.min_by_key(|(_, _, rest)| rest.len())?;
    // Where a whole table is wrong, its name says where it is.
    let shown = match value.get_ref() {
        DeValue::Table(_) | DeValue::Array(_) => key.span(),
        _ => value.span(),
    };
    in_value(value.get_ref(), rest).or_else(|| Some((key.span(), shown)))
}

fn in_value(value: &DeValue<'_>, way: &str) -> Option<Found> {
    match value {
        DeValue::Table(table) => in_table(table, way),
        DeValue::Array(values) => {
            let (index, rest) = index(way)?;
            let value = values.get(index)?;
            in_value(value.get_ref(), rest).or_else(|| Some((value.span(), value.span())))
        }
        _ => None,
    }
}

/// The members of an object, each as it stands in the text.
struct Members<'t>(Vec<(Cow<'t, str>, &'t RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AllMembers;

        impl<'de> Visitor<'de> for AllMembers {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, &RawValue>()? {
                    members.push((Cow::Owned(key), value));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(AllMembers)
    }
}

/// Where in the whole text what is left of the way leads to, from this part of it.
fn in_json(whole: &str, part: &str, way: &str) -> Option<usize> {
    let offset = |part: &str| (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize);
    if way.is_empty() {
        return offset(part);
    }
    if let Some((index, rest)) = index(way) {
        let items: Vec<&RawValue> = serde_json::from_str(part).ok()?;
        let item = items.get(index)?.get();
        return in_json(whole, item, rest).or_else(|| offset(item));
    }
    let Members(members) = serde_json::from_str(part).ok()?;
    let ways = members.iter().filter_map(|(key, value)| {
        let rest = behind(way, key)?;
        Some((value.get(), rest))
    });
    let (value, rest) = ways.min_by_key(|(_, rest)| rest.len())?;
    in_json(whole, value, rest).or_else(|| offset(value))
}

fn line_starts(text: &str) -> impl Iterator<Item = usize> {
    let ends = text.match_indices('\n').map(|(end, _)| end + 1);
    std::iter::once(0).chain(ends)
}

impl Place {
    /// The place of this byte.
    fn at(text: &str, offset: usize) -> Self {
        let offset = (0..=offset.min(text.len()))
            .rev()
            .find(|offset| text.is_char_boundary(*offset))
            .unwrap_or(0);
        let (before, after) = text.split_at(offset);
        let start = before.rfind('\n').map_or(0, |end| end + 1);
        let rest = after.find('\n').map_or(after, |end| &after[..end]);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
            text: format!("{}{}", &before[start..], rest.trim_end()),
        }
    }
}

/// The line, and a mark below the place.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let margin = self.line.to_string().len();
        writeln!(f, "{:margin$} |", "")?;
        writeln!(f, "{} | {}", self.line, self.text)?;
        write!(f, "{:margin$} | {:>2$}", "", "^", self.column)
    }
}
