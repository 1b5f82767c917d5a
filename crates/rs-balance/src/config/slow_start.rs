use std::time::Duration;

use rs_core::{ConfigError, Curve, Share, config};

/// How an endpoint that joins or comes back gets its share: little by little, so that caches and
/// connections can warm up.
///
/// It is for a newcomer among others: when all endpoints are new, as when the process starts, none of them
/// starts slowly.
///
/// ```
/// use rs_balance::{Curve, SlowStart};
/// use std::time::Duration;
///
/// let gentle = SlowStart::over(Duration::from_secs(60)).starting_at("5%".parse()?).along(Curve::Exponential);
/// assert_eq!(gentle.share_after(Duration::ZERO).to_string(), "5%");
/// assert_eq!(gentle.share_after(Duration::from_secs(60)).to_string(), "100%");
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct SlowStart {
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    over: Duration,
    #[cfg_attr(feature = "serde", serde(default = "tenth"))]
    from: Share,
    #[cfg_attr(feature = "serde", serde(default = "linear"))]
    curve: Curve,
}

fn tenth() -> Share {
    Share::of(0.1).unwrap_or(Share::ALL)
}

const fn linear() -> Curve {
    Curve::Linear
}

impl SlowStart {
    /// Into how many steps the time is cut.
    pub(crate) const STEPS: u32 = 40;

    /// From 10 % to all within this time, by the same amount in the same time.
    #[must_use]
    pub fn over(time: Duration) -> Self {
        Self {
            over: time,
            from: tenth(),
            curve: linear(),
        }
    }

    /// Starting with this part of its share.
    #[must_use]
    pub const fn starting_at(mut self, share: Share) -> Self {
        self.from = share;
        self
    }

    /// Growing along this curve.
    #[must_use]
    pub const fn along(mut self, curve: Curve) -> Self {
        self.curve = curve;
        self
    }

    /// How long it takes.
    #[must_use]
    pub const fn time(&self) -> Duration {
        self.over
    }

    /// The part of its share that an endpoint gets so long after it came.
    #[must_use]
    pub fn share_after(&self, time: Duration) -> Share {
        if time >= self.over {
            return Share::ALL;
        }
        let part = time.as_secs_f64() / self.over.as_secs_f64();
        self.curve.between(self.from, part)
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let allowed = Duration::from_millis(1)..=Duration::from_secs(24 * 3600);
        config::time_in_range("over", self.over, allowed)?;
        config::in_range("from", self.from, Share::of(0.001)?..=Share::ALL)?;
        Ok(())
    }
}
