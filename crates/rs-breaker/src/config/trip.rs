use std::time::Duration;

use rs_core::{ConfigError, Share, config};

/// A rule that opens the breaker. Several can be combined; the first that holds decides.
///
/// A rule is looked at when a call ends that counts against it: a success cannot open a breaker.
///
/// ```
/// use rs_breaker::{Trip, Window};
/// use std::time::Duration;
///
/// let half = "50%".parse()?;
/// let minute = Duration::from_secs(60);
/// let rules = [
///     Trip::consecutive_failures(8),
///     Trip::failure_rate(half, Window::last(100).after(20)),
///     Trip::slow_rate(half, Duration::from_secs(2), Window::time(minute).after(50)),
/// ];
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Written", into = "Written"))]
#[non_exhaustive]
pub enum Trip {
    /// So many failures in a row.
    ConsecutiveFailures(u32),
    /// At least this share of the calls in the window failed.
    FailureRate {
        /// The share that is too much.
        at_least: Share,
        /// The calls that are looked at.
        window: Window,
    },
    /// At least this share of the calls in the window took longer than this, failed or not.
    SlowRate {
        /// The share that is too much.
        at_least: Share,
        /// What is slow.
        slower_than: Duration,
        /// The calls that are looked at.
        window: Window,
    },
}

impl Trip {
    /// So many failures in a row.
    #[must_use]
    pub const fn consecutive_failures(count: u32) -> Self {
        Self::ConsecutiveFailures(count)
    }

    /// At least this share of the calls in the window failed.
    #[must_use]
    pub const fn failure_rate(at_least: Share, window: Window) -> Self {
        Self::FailureRate { at_least, window }
    }

    /// At least this share of the calls in the window took longer than this, failed or not.
    #[must_use]
    pub const fn slow_rate(at_least: Share, slower_than: Duration, window: Window) -> Self {
        Self::SlowRate {
            at_least,
            slower_than,
            window,
        }
    }

    /// The window, if the rule has one.
    pub(crate) const fn window(&self) -> Option<Window> {
        match self {
            Self::ConsecutiveFailures(_) => None,
            Self::FailureRate { window, .. } | Self::SlowRate { window, .. } => Some(*window),
        }
    }

    /// How many calls in a row make it hold when nothing was counted before, if all of them are bad.
    pub(crate) const fn least_bad_calls(&self) -> u32 {
        match self {
            Self::ConsecutiveFailures(count) => *count,
            Self::FailureRate { window, .. } | Self::SlowRate { window, .. } => window.minimum,
        }
    }

    pub(crate) const fn slower_than(&self) -> Option<Duration> {
        match self {
            Self::SlowRate { slower_than, .. } => Some(*slower_than),
            _ => None,
        }
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        match self {
            Self::ConsecutiveFailures(count) => {
                config::in_range("consecutive_failures", *count, 1..=1_000_000)?;
            }
            Self::FailureRate { at_least, window } => {
                check_rate("failure_rate", *at_least)?;
                window.check()?;
            }
            Self::SlowRate {
                at_least,
                slower_than,
                window,
            } => {
                check_rate("slow_rate", *at_least)?;
                config::time_in_range(
                    "slower_than",
                    *slower_than,
                    Duration::from_micros(1)..=Duration::from_secs(24 * 3600),
                )?;
                window.check()?;
            }
        }
        Ok(())
    }
}

fn check_rate(field: &str, rate: Share) -> Result<(), ConfigError> {
    if rate.get() > 0.0 {
        Ok(())
    } else {
        Err(ConfigError::out_of_range(rate, "more than 0%, up to 100%").in_field(field))
    }
}

/// Which calls a rate is taken over, and from how many calls on it means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    span: Span,
    minimum: u32,
}

/// What a window reaches over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Span {
    /// The last so many calls.
    Calls(u32),
    /// The calls that ended within the last so much time.
    Time(Duration),
}

impl Window {
    /// The minimum of calls unless [`Window::after`] says otherwise, or the window is smaller.
    pub const MINIMUM_CALLS: u32 = 20;

    /// How finely a window of time slides: by this part of it.
    pub const SLICES: u32 = 20;

    /// The last so many calls.
    #[must_use]
    pub const fn last(calls: u32) -> Self {
        let minimum = if calls < Self::MINIMUM_CALLS {
            calls
        } else {
            Self::MINIMUM_CALLS
        };
        Self {
            span: Span::Calls(calls),
            minimum,
        }
    }

    /// The calls that ended within the last so much time. It slides by a twentieth of it.
    #[must_use]
    pub const fn time(time: Duration) -> Self {
        Self {
            span: Span::Time(time),
            minimum: Self::MINIMUM_CALLS,
        }
    }

    /// The same window, which means something from this many calls on.
    #[must_use]
    pub const fn after(mut self, minimum_calls: u32) -> Self {
        self.minimum = minimum_calls;
        self
    }

    /// What it reaches over.
    #[must_use]
    pub const fn span(&self) -> Span {
        self.span
    }

    /// From how many calls on its rates mean something.
    #[must_use]
    pub const fn minimum_calls(&self) -> u32 {
        self.minimum
    }

    fn check(&self) -> Result<(), ConfigError> {
        config::in_range("minimum_calls", self.minimum, 1..=1_000_000)?;
        match self.span {
            Span::Calls(calls) => {
                config::in_range("of_last", calls, 1..=10_000)?;
                if calls < self.minimum {
                    let allowed = format!("1 to {calls}, the calls in the window");
                    let error = ConfigError::out_of_range(self.minimum, &allowed);
                    return Err(error.in_field("minimum_calls"));
                }
            }
            Span::Time(time) => {
                config::time_in_range(
                    "within",
                    time,
                    Duration::from_millis(100)..=Duration::from_secs(24 * 3600),
                )?;
            }
        }
        Ok(())
    }
}

#[cfg(feature = "serde")]
pub(super) use written::Written;

#[cfg(feature = "serde")]
mod written {
    use super::{ConfigError, Duration, Share, Span, Trip, Window};

    /// A rule as people write it: `{ failure_rate = "50%", of_last = 100, minimum_calls = 20 }`.
    #[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(unnameable_types, reason = "named only by serde's attributes")]
    pub struct Written {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        consecutive_failures: Option<u32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure_rate: Option<Share>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        slow_rate: Option<Share>,
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "rs_core::humane::duration::option"
        )]
        slower_than: Option<Duration>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        of_last: Option<u32>,
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "rs_core::humane::duration::option"
        )]
        within: Option<Duration>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        minimum_calls: Option<u32>,
    }

    impl Written {
        fn window(&self) -> Result<Window, ConfigError> {
            let window = match (self.of_last, self.within) {
                (Some(calls), None) => Window::last(calls),
                (None, Some(time)) => Window::time(time),
                _ => {
                    return Err(ConfigError::other(
                        "a rate needs either `of_last` (a number of calls) or `within` (a time)",
                    ));
                }
            };
            Ok(match self.minimum_calls {
                Some(minimum) => window.after(minimum),
                None => window,
            })
        }
    }

    impl TryFrom<Written> for Trip {
        type Error = ConfigError;

        fn try_from(written: Written) -> Result<Self, ConfigError> {
            let rule = match &written {
                Written {
                    consecutive_failures: Some(count),
                    failure_rate: None,
                    slow_rate: None,
                    slower_than: None,
                    of_last: None,
                    within: None,
                    minimum_calls: None,
                } => Self::ConsecutiveFailures(*count),
                Written {
                    consecutive_failures: None,
                    failure_rate: Some(at_least),
                    slow_rate: None,
                    slower_than: None,
                    ..
                } => Self::failure_rate(*at_least, written.window()?),
                Written {
                    consecutive_failures: None,
                    failure_rate: None,
                    slow_rate: Some(at_least),
                    slower_than: Some(slower_than),
                    ..
                } => Self::slow_rate(*at_least, *slower_than, written.window()?),
                Written {
                    slow_rate: Some(_),
                    slower_than: None,
                    ..
                } => return Err(ConfigError::missing("slower_than")),
                _ => {
                    return Err(ConfigError::other(
                        "a rule is one of `consecutive_failures`, `failure_rate` with its window, \
                         and `slow_rate` with `slower_than` and its window",
                    ));
                }
            };
            Ok(rule)
        }
    }

    impl From<Trip> for Written {
        fn from(rule: Trip) -> Self {
            let mut written = Self::default();
            match rule {
                Trip::ConsecutiveFailures(count) => written.consecutive_failures = Some(count),
                Trip::FailureRate { at_least, .. } => written.failure_rate = Some(at_least),
                Trip::SlowRate {
                    at_least,
                    slower_than,
                    ..
                } => {
                    written.slow_rate = Some(at_least);
                    written.slower_than = Some(slower_than);
                }
            }
            if let Some(window) = rule.window() {
                written.minimum_calls = Some(window.minimum);
                match window.span {
                    Span::Calls(calls) => written.of_last = Some(calls),
                    Span::Time(time) => written.within = Some(time),
                }
            }
            written
        }
    }
}
