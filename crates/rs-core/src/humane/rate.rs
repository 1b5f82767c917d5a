use std::{fmt, str::FromStr, time::Duration};

use super::{parse_duration, show_duration, split_number, write_duration};
use crate::ConfigError;

/// So many in a time: `"100/s"`, `"5000/min"`, `"3/10s"`.
///
/// ```
/// use rs_core::Rate;
///
/// let rate: Rate = "600/min".parse()?;
/// assert_eq!(rate.per_second(), 10.0);
/// assert_eq!(rate.to_string(), "600/1m");
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Clone, Copy, PartialEq)]
pub struct Rate {
    count: f64,
    time: Duration,
}

impl Rate {
    /// So many in this time.
    ///
    /// # Errors
    /// When the number is negative or not finite, or the time is zero, or there is no number for how
    /// many that is in a second.
    pub fn new(count: f64, time: Duration) -> Result<Self, ConfigError> {
        if !(count.is_finite() && count >= 0.0) {
            return Err(ConfigError::out_of_range(count, "zero or more"));
        }
        if time.is_zero() {
            return Err(ConfigError::out_of_range("0s", "more than no time"));
        }
        // Adding zero turns minus zero into zero.
        let rate = Self {
            count: count + 0.0,
            time,
        };
        if !rate.per_second().is_finite() {
            return Err(ConfigError::out_of_range(rate, "up to 1e308 in a second"));
        }
        Ok(rate)
    }

    /// The number.
    #[must_use]
    pub const fn count(self) -> f64 {
        self.count
    }

    /// The time.
    #[must_use]
    pub const fn time(self) -> Duration {
        self.time
    }

    /// As [`FromStr`] reads it back; what is displayed is rounded.
    pub(crate) fn in_full(self) -> String {
        if self.time == Duration::from_secs(1) {
            return self.to_string();
        }
        format!("{}/{}", self.count, write_duration(self.time))
    }

    /// How many that is in a second.
    #[must_use]
    pub fn per_second(self) -> f64 {
        self.count / self.time.as_secs_f64()
    }

    /// The time from one to the next; `None` if there is none.
    #[must_use]
    pub fn interval(self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.time.as_secs_f64() / self.count).ok()
    }
}

impl FromStr for Rate {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let refused = || {
            ConfigError::malformed(
                text,
                "is not a rate",
                "write it like 100/s, 5000/min or 3/10s",
            )
        };
        let (count, time) = text.split_once('/').ok_or_else(refused)?;
        let (count, "") = split_number(count).ok_or_else(refused)? else {
            return Err(refused());
        };
        let count = count.to_f64().ok_or_else(refused)?;
        let time = time.trim();
        let time = if time.starts_with(|c: char| c.is_ascii_digit()) {
            parse_duration(time)
        } else {
            parse_duration(&format!("1{time}"))
        };
        Self::new(count, time.map_err(|_| refused())?)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.time == Duration::from_secs(1) {
            return write!(f, "{}/s", self.count);
        }
        write!(f, "{}/{}", self.count, show_duration(self.time))
    }
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
