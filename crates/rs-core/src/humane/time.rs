use std::{fmt, time::Duration};

use super::split_number;
use crate::ConfigError;

const SECOND: u64 = 1_000_000_000;

fn nanos_in(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" | "sec" | "second" | "seconds" => SECOND,
        "m" | "min" | "minute" | "minutes" => 60 * SECOND,
        "h" | "hour" | "hours" => 3600 * SECOND,
        "d" | "day" | "days" => 86_400 * SECOND,
        _ => return None,
    })
}

/// Reads a time as people write it: `"250ms"`, `"1.5s"`, `"1m30s"`, `"2h"`, `"1d 12h"`.
///
/// A number without a unit is refused, since nobody can know whether it means seconds or
/// milliseconds; only `"0"` needs none.
///
/// # Errors
/// What is wrong with it, and what is allowed.
///
/// ```
/// use rs_core::humane::parse_duration;
/// use std::time::Duration;
///
/// assert_eq!(parse_duration("1m30s"), Ok(Duration::from_secs(90)));
/// assert_eq!(
///     parse_duration("30").unwrap_err().to_string(),
///     "`30` is not a time: no unit; write it like 250ms, 1.5s, 1m30s, 2h or 1d",
/// );
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, ConfigError> {
    let refused = |problem: &str| {
        ConfigError::malformed(
            text,
            &format!("is not a time: {problem}"),
            "write it like 250ms, 1.5s, 1m30s, 2h or 1d",
        )
    };
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(refused("it is empty"));
    }
    let mut total = 0_u128;
    while !rest.is_empty() {
        let (number, after) = split_number(rest).ok_or_else(|| refused("no number"))?;
        let end = after
            .find(|c: char| !c.is_alphabetic())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        if unit.is_empty() {
            return Err(refused("no unit"));
        }
        let nanos =
            nanos_in(unit).ok_or_else(|| refused(&format!("`{unit}` is no unit of time")))?;
        total = number
            .times(nanos)
            .and_then(|part| total.checked_add(part))
            .ok_or_else(|| refused("it is too long"))?;
        rest = after.trim_start();
    }
    let second = u128::from(SECOND);
    let seconds = u64::try_from(total / second).map_err(|_| refused("it is too long"))?;
    Ok(Duration::new(seconds, (total % second) as u32))
}

/// A time as people read it in a message: `3.2s`, `250ms`, `1m30s`, `2h`. It is rounded
/// to three figures, or cut off after the two largest units.
#[must_use]
pub fn show_duration(time: Duration) -> impl fmt::Display + use<> {
    Rounded(time)
}

/// A time in full, as [`parse_duration`] reads it back: `1m30s`, `1s500ms`.
#[must_use]
pub fn write_duration(time: Duration) -> impl fmt::Display + use<> {
    Exact(time)
}

struct Rounded(Duration);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.as_secs() >= 60 {
            return self.clock_time(f);
        }
        let nanos = self.0.as_nanos() as u64;
        for (unit, size) in [("s", SECOND), ("ms", 1_000_000), ("us", 1_000)] {
            // What would be rounded up to one of this unit is said in this unit.
            if nanos >= size - size / 2_000 {
                return write!(f, "{}{unit}", three_figures(nanos as f64 / size as f64));
            }
        }
        match nanos {
            0 => f.write_str("0s"),
            nanos => write!(f, "{nanos}ns"),
        }
    }
}

impl Rounded {
    /// The two largest units say enough.
    fn clock_time(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        parts(self.0)
            .skip_while(|(count, _)| *count == 0)
            .take(2)
            .filter(|(count, _)| *count > 0)
            .try_for_each(|(count, unit)| write!(f, "{count}{unit}"))
    }
}

struct Exact(Duration);

impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() {
            return f.write_str("0s");
        }
        parts(self.0)
            .filter(|(count, _)| *count > 0)
            .try_for_each(|(count, unit)| write!(f, "{count}{unit}"))
    }
}

/// The days, hours and so on down to the nanoseconds of a time.
fn parts(time: Duration) -> impl Iterator<Item = (u64, &'static str)> {
    let (seconds, nanos) = (time.as_secs(), u64::from(time.subsec_nanos()));
    [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
        (nanos / 1_000_000, "ms"),
        (nanos / 1000 % 1000, "us"),
        (nanos % 1000, "ns"),
    ]
    .into_iter()
}

fn three_figures(value: f64) -> f64 {
    let scale = match value {
        100.0.. => 1.0,
        10.0.. => 10.0,
        _ => 100.0,
    };
    (value * scale).round() / scale
}
