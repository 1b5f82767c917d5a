use std::{fmt, time::Duration};

use crate::humane;

/// A number that a policy looks at, and how people read it: `failure rate`, in percent.
///
/// Declared once as a `static` by the crate that measures it; rejections and signals point at it.
///
/// ```
/// use rs_core::{Measure, Unit};
///
/// static FAILURE_RATE: Measure = Measure::new("failure rate", Unit::Share);
/// assert_eq!(FAILURE_RATE.show(0.55).to_string(), "55%");
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Measure {
    name: &'static str,
    unit: Unit,
}

/// What the numbers of a [`Measure`] count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unit {
    /// Things: calls, places in a queue.
    Count,
    /// A part of a whole, 0 to 1, read as per cent.
    Share,
    /// Time, in seconds.
    Seconds,
    /// Things in a second.
    PerSecond,
    /// Bytes.
    Bytes,
}

impl Measure {
    /// A measure of this name and unit.
    #[must_use]
    pub const fn new(name: &'static str, unit: Unit) -> Self {
        Self { name, unit }
    }

    /// Its name, as people say it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its unit.
    #[must_use]
    pub const fn unit(&self) -> Unit {
        self.unit
    }

    /// A value of this measure, as people read it.
    #[must_use]
    pub fn show(&self, value: f64) -> impl fmt::Display + use<> {
        Shown(self.unit, value)
    }

    /// A value of this measure, as evidence for what happened.
    #[must_use]
    pub const fn at(&'static self, value: f64) -> Evidence {
        Evidence {
            measure: self,
            value,
        }
    }
}

/// A number that explains what happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    measure: &'static Measure,
    value: f64,
}

impl Evidence {
    /// What was measured.
    #[must_use]
    pub const fn measure(&self) -> &'static Measure {
        self.measure
    }

    /// The number.
    #[must_use]
    pub const fn value(&self) -> f64 {
        self.value
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Shown(self.measure.unit, self.value))
    }
}

struct Shown(Unit, f64);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(unit, value) = *self;
        match unit {
            Unit::Count => write!(f, "{}", Rounded(value)),
            Unit::Share => write!(f, "{}%", Rounded(value * 100.0)),
            Unit::Seconds => match Duration::try_from_secs_f64(value) {
                Ok(time) => write!(f, "{}", humane::show_duration(time)),
                Err(_) => write!(f, "{value} s"),
            },
            Unit::PerSecond => write!(f, "{}/s", Rounded(value)),
            Unit::Bytes => write!(f, "{}", crate::Size::bytes(value.max(0.0) as u64)),
        }
    }
}

/// At most two decimals, and none that are zero.
struct Rounded(f64);

impl fmt::Display for Rounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Adding zero turns minus zero into zero.
        write!(f, "{}", (self.0 * 100.0).round() / 100.0 + 0.0)
    }
}
