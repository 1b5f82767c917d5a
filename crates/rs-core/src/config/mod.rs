//! Configuration that is refused whole when it is wrong, with an error that says what to write.

mod error;
#[cfg(feature = "serde")]
mod heard;
mod nearest;
#[cfg(feature = "serde")]
mod read;

pub use error::{ConfigError, ConfigProblem};
#[cfg(feature = "serde")]
pub use read::read;

use std::{fmt::Display, ops::RangeInclusive, time::Duration};

use crate::humane::write_duration;

/// This value, if it is in the range.
///
/// # Errors
/// [`ConfigProblem::OutOfRange`], naming the field, the value and the range.
///
/// ```
/// use rs_core::config;
///
/// assert_eq!(config::in_range("probes", 3, 1..=100), Ok(3));
/// assert_eq!(
///     config::in_range("probes", 0, 1..=100).unwrap_err().to_string(),
///     "probes: 0 is out of range; allowed: 1 to 100",
/// );
/// ```
pub fn in_range<V: PartialOrd + Display>(
    field: &str,
    value: V,
    allowed: RangeInclusive<V>,
) -> Result<V, ConfigError> {
    if allowed.contains(&value) {
        return Ok(value);
    }
    let allowed = format!("{} to {}", allowed.start(), allowed.end());
    Err(ConfigError::out_of_range(value, &allowed).in_field(field))
}

/// This time, if it is in the range.
///
/// # Errors
/// [`ConfigProblem::OutOfRange`], naming the field, the time and the range.
///
/// ```
/// use rs_core::config;
/// use std::time::Duration;
///
/// let (least, most) = (Duration::from_millis(10), Duration::from_secs(60));
/// assert_eq!(
///     config::time_in_range("wait", Duration::ZERO, least..=most).unwrap_err().to_string(),
///     "wait: 0s is out of range; allowed: 10ms to 1m",
/// );
/// ```
pub fn time_in_range(
    field: &str,
    time: Duration,
    allowed: RangeInclusive<Duration>,
) -> Result<Duration, ConfigError> {
    if allowed.contains(&time) {
        return Ok(time);
    }
    let (least, most) = (allowed.start(), allowed.end());
    let allowed = format!("{} to {}", write_duration(*least), write_duration(*most));
    Err(ConfigError::out_of_range(write_duration(time), &allowed).in_field(field))
}

/// The member of the list that has this name.
///
/// # Errors
/// [`ConfigProblem::Unknown`], naming the nearest known name.
///
/// ```
/// use rs_core::config;
///
/// let strategies = [("round_robin", 1), ("random", 2)];
/// assert_eq!(config::one_of("strategy", "random", &strategies), Ok(2));
/// assert_eq!(
///     config::one_of("strategy", "round_robbin", &strategies).unwrap_err().to_string(),
///     "strategy: unknown name `round_robbin`, did you mean `round_robin`? known: round_robin, random",
/// );
/// ```
pub fn one_of<V: Copy>(field: &str, name: &str, known: &[(&str, V)]) -> Result<V, ConfigError> {
    known
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, value)| *value)
        .ok_or_else(|| {
            ConfigError::unknown("name", name, known.iter().map(|(known, _)| *known))
                .in_field(field)
        })
}
