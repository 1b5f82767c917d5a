use rs_core::{ConfigError, Share, config};

use super::{FindLimit, Sample};

/// Follows the ratio of the unloaded to the present time of a call: while calls are hardly slower the limit
/// grows by a part of its square root, and when they are it falls as far as they are slower.
///
/// The ratio is to the time that was measured without load, not to a long average: an average follows a
/// mild overload until the overload looks normal, and the limit drifts up for ever.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
pub struct Gradient {
    tolerance: f64,
    growth: f64,
    smoothing: Share,
    backoff: f64,
}

impl Gradient {
    /// Calls may take so many times as long as unloaded ones before the limit falls, by default 1.07.
    #[must_use]
    pub const fn with_tolerance(mut self, factor: f64) -> Self {
        self.tolerance = factor;
        self
    }

    /// Grows by so many times the square root of the limit, by default 1.
    #[must_use]
    pub const fn with_growth(mut self, roots: f64) -> Self {
        self.growth = roots;
        self
    }

    /// Goes this part of the way in each window, by default half.
    #[must_use]
    pub const fn with_smoothing(mut self, part: Share) -> Self {
        self.smoothing = part;
        self
    }

    /// Times this after a window in which too much was dropped, by default 0.9.
    #[must_use]
    pub const fn with_backoff(mut self, factor: f64) -> Self {
        self.backoff = factor;
        self
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        config::in_range("tolerance", self.tolerance, 1.0..=10.0)?;
        config::in_range("growth", self.growth, 0.01..=10.0)?;
        config::in_range("smoothing", self.smoothing.get(), 0.01..=1.0)?;
        config::in_range("backoff", self.backoff, 0.1..=0.99)?;
        Ok(())
    }
}

impl Default for Gradient {
    fn default() -> Self {
        Self {
            tolerance: 1.07,
            growth: 1.0,
            smoothing: Share::of(0.5).unwrap_or(Share::ALL),
            backoff: 0.9,
        }
    }
}

impl FindLimit for Gradient {
    fn next(&mut self, sample: &Sample) -> f64 {
        let limit = sample.limit;
        if sample.is_overloaded {
            return limit * self.backoff;
        }
        let Some(slowdown) = sample.slowdown() else {
            return limit;
        };
        let gradient = self.tolerance / slowdown;
        let next = if gradient > 1.0 {
            limit + self.growth * limit.sqrt()
        } else {
            // One window never takes more than half.
            limit * gradient.max(0.5)
        };
        limit + self.smoothing.get() * (next - limit)
    }
}
