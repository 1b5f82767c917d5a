use std::{fmt, str::FromStr};

use super::split_number;
use crate::ConfigError;

/// So many bytes: `"512"`, `"64KiB"`, `"10 MB"`.
///
/// ```
/// use rs_core::Size;
///
/// let buffer: Size = "64KiB".parse()?;
/// assert_eq!(buffer.get(), 65_536);
/// assert_eq!(buffer.to_string(), "64KiB");
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size(u64);

const BINARY: [(&str, u64); 4] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
];

impl Size {
    /// So many bytes.
    #[must_use]
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// As [`FromStr`] reads it back; what is displayed is rounded.
    pub(crate) fn in_full(self) -> String {
        BINARY
            .iter()
            .find(|(_, bytes)| self.0 >= *bytes && self.0.is_multiple_of(*bytes))
            .map_or_else(
                || format!("{}B", self.0),
                |(unit, bytes)| format!("{}{unit}", self.0 / bytes),
            )
    }
}

fn bytes_in(unit: &str) -> Option<u64> {
    match unit.to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "kb" | "k" => Some(1_000),
        "mb" => Some(1_000_000),
        "gb" => Some(1_000_000_000),
        "tb" => Some(1_000_000_000_000),
        unit => BINARY
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))
            .map(|(_, bytes)| *bytes),
    }
}

impl FromStr for Size {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let refused = || {
            ConfigError::malformed(
                text,
                "is not a size",
                "write it like 512, 64KiB, 10MB or 1GiB",
            )
        };
        let (number, unit) = split_number(text).ok_or_else(refused)?;
        let unit = bytes_in(unit).ok_or_else(refused)?;
        number
            .times(unit)
            .and_then(|bytes| u64::try_from(bytes).ok())
            .map(Self)
            .ok_or_else(|| ConfigError::out_of_range(text, "less than 16777216TiB"))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, bytes) in BINARY {
            if self.0 >= bytes {
                let value = self.0 as f64 / bytes as f64;
                return write!(f, "{}{unit}", (value * 100.0).round() / 100.0);
            }
        }
        write!(f, "{}B", self.0)
    }
}

impl fmt::Debug for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
