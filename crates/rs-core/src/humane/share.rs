use std::{fmt, str::FromStr};

use super::split_number;
use crate::ConfigError;

/// A part of a whole, from none to all: `"50%"` or `0.5`.
///
/// ```
/// use rs_core::Share;
///
/// let half: Share = "50%".parse()?;
/// assert_eq!(half, Share::of(0.5)?);
/// assert_eq!(half.to_string(), "50%");
/// assert!(Share::percent(150.0).is_err());
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    /// Nothing.
    pub const NONE: Self = Self(0.0);
    /// The whole.
    pub const ALL: Self = Self(1.0);

    /// A part from 0 to 1.
    ///
    /// # Errors
    /// When the number is not from 0 to 1.
    pub fn of(part: f64) -> Result<Self, ConfigError> {
        if (0.0..=1.0).contains(&part) {
            // Adding zero turns minus zero into zero.
            Ok(Self(part + 0.0))
        } else {
            Err(ConfigError::out_of_range(part, "0 to 1, or 0% to 100%"))
        }
    }

    /// So many per cent.
    ///
    /// # Errors
    /// When the number is not from 0 to 100.
    pub fn percent(percent: f64) -> Result<Self, ConfigError> {
        Self::of(percent / 100.0)
            .map_err(|_| ConfigError::out_of_range(format!("{percent}%"), "0% to 100%"))
    }

    /// The part, from 0 to 1.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// As [`FromStr`] reads it back; what is displayed is rounded.
    pub(crate) fn in_full(self) -> String {
        let shown = self.to_string();
        if shown.parse() == Ok(self) {
            shown
        } else {
            self.0.to_string()
        }
    }

    /// Whether this share of all hashes includes this one. The hashes of a smaller share are among
    /// those of a larger one, so that what is included stays so while the share grows.
    #[must_use]
    pub fn covers(self, hash: u64) -> bool {
        // 2^64 as a float: a share of 1 covers every hash, a share of 0 none.
        (hash as f64) < self.0 * 18_446_744_073_709_551_616.0 || self.0 >= 1.0
    }
}

impl FromStr for Share {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let written = split_number(text).and_then(|(number, unit)| Some((number.to_f64()?, unit)));
        match written {
            Some((percent, "%")) => Self::percent(percent),
            Some((part, "")) => Self::of(part),
            _ => Err(ConfigError::malformed(
                text,
                "is not a share",
                "write it like 50% or 0.5",
            )),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", (self.0 * 1e6).round() / 1e4)
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
