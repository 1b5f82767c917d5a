use std::{fmt, iter, sync::Arc, time::Duration};

use crate::{ConfigError, config};
use fastrand::Rng;

/// How long to wait before each further try.
///
/// By default 100 ms, doubling up to 10 s, with full jitter. It does not end: how often to try is said
/// elsewhere.
///
/// ```
/// use rs_core::{Backoff, Jitter};
/// use std::time::Duration;
///
/// let second = Duration::from_secs(1);
/// let plan = Backoff::exponential(second).at_most(8 * second).at_once_first().with_jitter(Jitter::None);
/// let waits: Vec<u64> = plan.delays().map(|wait| wait.as_secs()).take(6).collect();
/// assert_eq!(waits, [0, 1, 2, 4, 8, 8]);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "written::Backoff"))]
pub struct Backoff {
    shape: Shape,
    at_most: Duration,
    at_once_first: bool,
    jitter: Jitter,
}

#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Constant(Duration),
    Linear(Duration),
    Exponential(Duration, f64),
    Fibonacci(Duration),
    Own(Own),
}

/// What the random part of a wait is, so that clients that failed together do not come back together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Jitter {
    /// No random part.
    None,
    /// Anything from nothing to the whole wait.
    #[default]
    Full,
    /// Half of the wait, and anything from nothing to the other half.
    Equal,
    /// Anything from the first wait to three times the last one.
    Decorrelated,
}

#[derive(Clone)]
struct Own(Arc<dyn Fn() -> Box<dyn Iterator<Item = Duration> + Send> + Send + Sync>);

impl PartialEq for Own {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Own")
    }
}

impl Backoff {
    /// The longest wait that may be configured.
    pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

    const AT_MOST: Duration = Duration::from_secs(10);

    /// The same wait every time.
    #[must_use]
    pub const fn constant(wait: Duration) -> Self {
        Self::of(Shape::Constant(wait), wait)
    }

    /// Growing by the first wait each time: 1, 2, 3, 4.
    #[must_use]
    pub const fn linear(first: Duration) -> Self {
        Self::of(Shape::Linear(first), Self::AT_MOST)
    }

    /// Doubling each time, or growing by another factor: [`Backoff::times`].
    #[must_use]
    pub const fn exponential(first: Duration) -> Self {
        Self::of(Shape::Exponential(first, 2.0), Self::AT_MOST)
    }

    /// Each the sum of the two before: 1, 1, 2, 3, 5.
    #[must_use]
    pub const fn fibonacci(first: Duration) -> Self {
        Self::of(Shape::Fibonacci(first), Self::AT_MOST)
    }

    /// As this iterator says, made anew for each call; when it ends, nothing is tried again.
    #[must_use]
    pub fn own<I>(waits: impl Fn() -> I + Send + Sync + 'static) -> Self
    where
        I: Iterator<Item = Duration> + Send + 'static,
    {
        let waits = Own(Arc::new(move || Box::new(waits())));
        Self::of(Shape::Own(waits), Self::LONGEST).with_jitter(Jitter::None)
    }

    const fn of(shape: Shape, at_most: Duration) -> Self {
        Self {
            shape,
            at_most,
            at_once_first: false,
            jitter: Jitter::Full,
        }
    }

    /// Growing by this factor each time, if it grows exponentially.
    #[must_use]
    pub fn times(mut self, factor: f64) -> Self {
        if let Shape::Exponential(_, known) = &mut self.shape {
            *known = factor;
        }
        self
    }

    /// No wait longer than this, by default 10 s.
    #[must_use]
    pub const fn at_most(mut self, longest: Duration) -> Self {
        self.at_most = longest;
        self
    }

    /// The first time at once, and the first wait before the second.
    #[must_use]
    pub const fn at_once_first(mut self) -> Self {
        self.at_once_first = true;
        self
    }

    /// With this random part.
    #[must_use]
    pub const fn with_jitter(mut self, jitter: Jitter) -> Self {
        self.jitter = jitter;
        self
    }

    /// The longest wait.
    #[must_use]
    pub const fn longest(&self) -> Duration {
        self.at_most
    }

    /// The waits, one after the other, with chance of its own.
    #[must_use]
    pub fn delays(&self) -> Delays {
        self.delays_by(Rng::new())
    }

    /// The waits, one after the other, with this chance.
    #[must_use]
    pub fn delays_by(&self, dice: Rng) -> Delays {
        let waits: Waits = match &self.shape {
            Shape::Constant(wait) => Waits::Constant(*wait),
            Shape::Linear(first) => Waits::Linear {
                first: *first,
                times: 0,
            },
            Shape::Exponential(first, factor) => Waits::Exponential {
                next: first.as_secs_f64(),
                factor: *factor,
            },
            Shape::Fibonacci(first) => Waits::Fibonacci {
                before: Duration::ZERO,
                next: *first,
            },
            Shape::Own(waits) => Waits::Own(waits.0().fuse()),
        };
        Delays {
            waits,
            at_most: self.at_most,
            at_once: self.at_once_first,
            jitter: self.jitter,
            first: None,
            last: Duration::ZERO,
            chance: Chance::Dice(dice),
        }
    }

    /// The longest that the first so many waits can take together.
    #[must_use]
    pub fn longest_total(&self, waits: u32) -> Duration {
        let mut delays = self.delays_by(Rng::with_seed(0));
        delays.chance = Chance::Longest;
        delays
            .take(waits as usize)
            .fold(Duration::ZERO, Duration::saturating_add)
    }

    /// The shortest that the first so many waits can take together.
    #[must_use]
    pub fn shortest_total(&self, waits: u32) -> Duration {
        let mut plain = self.clone();
        let (jitter, waits) = (plain.jitter, waits as usize);
        plain.jitter = Jitter::None;
        let total = plain
            .delays_by(Rng::with_seed(0))
            .take(waits)
            .fold(Duration::ZERO, Duration::saturating_add);
        match jitter {
            Jitter::None => total,
            Jitter::Equal => total / 2,
            Jitter::Full => Duration::ZERO,
            Jitter::Decorrelated => {
                let first = plain
                    .delays_by(Rng::with_seed(0))
                    .find(|wait| !wait.is_zero());
                let random = waits.saturating_sub(usize::from(self.at_once_first));
                let random = u32::try_from(random).unwrap_or(u32::MAX);
                first.unwrap_or_default().saturating_mul(random)
            }
        }
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// Which field is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let range = Duration::ZERO..=Self::LONGEST;
        config::time_in_range("at_most", self.at_most, range.clone())?;
        match &self.shape {
            Shape::Constant(first) | Shape::Linear(first) | Shape::Fibonacci(first) => {
                config::time_in_range("first", *first, range)?;
            }
            Shape::Exponential(first, factor) => {
                config::time_in_range("first", *first, range)?;
                config::in_range("factor", *factor, 1.0..=100.0)?;
            }
            Shape::Own(_) => {}
        }
        Ok(())
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::exponential(Duration::from_millis(100))
    }
}

/// The waits of a [`Backoff`], one after the other.
pub struct Delays {
    waits: Waits,
    at_most: Duration,
    at_once: bool,
    jitter: Jitter,
    /// Of those that have a random part.
    first: Option<Duration>,
    last: Duration,
    chance: Chance,
}

/// How large the random part of a wait is.
enum Chance {
    Dice(Rng),
    /// As large as it can be.
    Longest,
}

impl Chance {
    /// A random part of this time.
    fn part(&mut self, time: Duration) -> Duration {
        match self {
            // What does not fit a duration was rounded up from the longest there is.
            Self::Dice(dice) => {
                let part = time.as_secs_f64() * dice.f64();
                Duration::try_from_secs_f64(part).map_or(time, |part| part.min(time))
            }
            Self::Longest => time,
        }
    }
}

enum Waits {
    Constant(Duration),
    Linear { first: Duration, times: u32 },
    Exponential { next: f64, factor: f64 },
    Fibonacci { before: Duration, next: Duration },
    Own(iter::Fuse<Box<dyn Iterator<Item = Duration> + Send>>),
}

impl Waits {
    fn next(&mut self) -> Option<Duration> {
        match self {
            Self::Constant(wait) => Some(*wait),
            Self::Linear { first, times } => {
                *times = times.saturating_add(1);
                Some(first.saturating_mul(*times))
            }
            Self::Exponential { next, factor } => {
                let wait = Duration::try_from_secs_f64(*next).unwrap_or(Duration::MAX);
                *next *= *factor;
                Some(wait)
            }
            Self::Fibonacci { before, next } => {
                let wait = *next;
                *next = wait.saturating_add(*before);
                *before = wait;
                Some(wait)
            }
            Self::Own(waits) => waits.next(),
        }
    }
}

impl Iterator for Delays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if std::mem::take(&mut self.at_once) {
            return Some(Duration::ZERO);
        }
        let wait = self.waits.next()?.min(self.at_most);
        let first = *self.first.get_or_insert(wait);
        let delay = match self.jitter {
            Jitter::None => wait,
            Jitter::Full => self.chance.part(wait),
            Jitter::Equal => {
                let random = wait / 2;
                wait - random + self.chance.part(random)
            }
            Jitter::Decorrelated => {
                let most = self.last.max(first).saturating_mul(3).min(self.at_most);
                first.min(most) + self.chance.part(most.saturating_sub(first))
            }
        };
        self.last = delay;
        Some(delay)
    }
}

impl iter::FusedIterator for Delays {}

impl fmt::Debug for Delays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delays")
            .field("at_most", &self.at_most)
            .field("jitter", &self.jitter)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "serde")]
mod written {
    use std::time::Duration;

    use crate::ConfigError;
    use serde::{Deserialize, Serialize, Serializer, ser::Error};

    use super::{Jitter, Shape};

    /// As it stands in a file: the shape is the field that gives the first wait.
    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(super) struct Backoff {
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "crate::humane::duration::option"
        )]
        constant: Option<Duration>,
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "crate::humane::duration::option"
        )]
        linear: Option<Duration>,
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "crate::humane::duration::option"
        )]
        exponential: Option<Duration>,
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "crate::humane::duration::option"
        )]
        fibonacci: Option<Duration>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        factor: Option<f64>,
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "crate::humane::duration::option"
        )]
        at_most: Option<Duration>,
        #[serde(default)]
        at_once_first: bool,
        #[serde(default)]
        jitter: Jitter,
    }

    impl TryFrom<Backoff> for super::Backoff {
        type Error = ConfigError;

        fn try_from(written: Backoff) -> Result<Self, ConfigError> {
            let shapes = [
                written.constant.map(Self::constant),
                written.linear.map(Self::linear),
                written.exponential.map(Self::exponential),
                written.fibonacci.map(Self::fibonacci),
            ];
            let mut known = shapes.into_iter().flatten();
            let mut backoff = match (known.next(), known.next()) {
                (Some(backoff), None) => backoff,
                (None, None) => Self::default(),
                _ => {
                    return Err(ConfigError::other(
                        "give one of constant, linear, exponential and fibonacci",
                    ));
                }
            };
            if let Some(factor) = written.factor {
                match &mut backoff.shape {
                    Shape::Exponential(_, known) => *known = factor,
                    _ => {
                        return Err(
                            ConfigError::other("belongs to exponential alone").in_field("factor")
                        );
                    }
                }
            }
            if let Some(longest) = written.at_most {
                backoff.at_most = longest;
            }
            backoff.at_once_first = written.at_once_first;
            backoff.jitter = written.jitter;
            Ok(backoff)
        }
    }

    impl Serialize for super::Backoff {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut written = Backoff {
                constant: None,
                linear: None,
                exponential: None,
                fibonacci: None,
                factor: None,
                at_most: Some(self.at_most),
                at_once_first: self.at_once_first,
                jitter: self.jitter,
            };
            match self.shape {
                Shape::Constant(wait) => written.constant = Some(wait),
                Shape::Linear(first) => written.linear = Some(first),
                Shape::Exponential(first, factor) => {
                    written.exponential = Some(first);
                    written.factor = Some(factor);
                }
                Shape::Fibonacci(first) => written.fibonacci = Some(first),
                // Whatever were written instead, it would be read as other waits.
                Shape::Own(_) => {
                    return Err(S::Error::custom(
                        "waits that code makes cannot be written down",
                    ));
                }
            }
            written.serialize(serializer)
        }
    }
}
