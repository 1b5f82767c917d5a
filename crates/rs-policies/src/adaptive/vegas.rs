use rs_core::{ConfigError, config};

use super::{FindLimit, Sample};

/// After TCP Vegas: what is in flight beyond what unloaded calls would need is queueing somewhere, and
/// a few calls should be, so that the dependency is never idle, but only a few.
///
/// "A few" grows with the logarithm of the limit: by default from 1 to 2 for each power of ten.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
pub struct Vegas {
    fewest: f64,
    most: f64,
    backoff: f64,
}

impl Vegas {
    /// Keeps at least and at most so many queueing for each power of ten of the limit.
    #[must_use]
    pub const fn with_queue(mut self, fewest: f64, most: f64) -> Self {
        self.fewest = fewest;
        self.most = most;
        self
    }

    /// Times this after a window in which too much was dropped, by default 0.9.
    #[must_use]
    pub const fn with_backoff(mut self, factor: f64) -> Self {
        self.backoff = factor;
        self
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        config::in_range("fewest", self.fewest, 0.1..=100.0)?;
        config::in_range("most", self.most, self.fewest..=200.0)?;
        config::in_range("backoff", self.backoff, 0.1..=0.99)?;
        Ok(())
    }
}

impl Default for Vegas {
    fn default() -> Self {
        Self {
            fewest: 1.0,
            most: 2.0,
            backoff: 0.9,
        }
    }
}

impl FindLimit for Vegas {
    fn next(&mut self, sample: &Sample) -> f64 {
        let limit = sample.limit;
        if sample.is_overloaded {
            return limit * self.backoff;
        }
        let Some(slowdown) = sample.slowdown() else {
            return limit;
        };
        let scale = limit.log10().max(1.0);
        // Of what was in flight, not of what might have been.
        let in_flight = f64::from(sample.in_flight);
        let queueing = in_flight * (1.0 - 1.0 / slowdown);
        // Times are known only so well: of many calls a small part seems to queue by chance.
        let (fewest, most) = (
            (self.fewest * scale).max(0.06 * in_flight),
            (self.most * scale).max(0.12 * in_flight),
        );
        if queueing < fewest / 2.0 {
            limit + most
        } else if queueing < fewest {
            limit + scale
        } else if queueing > most {
            // Half the way back: the rest may have gone meanwhile.
            limit - scale.max((queueing - most) / 2.0)
        } else {
            limit
        }
    }
}
