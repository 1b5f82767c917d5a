use std::time::Duration;

use rs_core::{ConfigError, Curve, Share, config};

/// How the calls come back after the probes have succeeded: a share that grows, so that a dependency
/// that has just got up is not run over.
///
/// ```
/// use rs_breaker::{Curve, Ramp};
/// use std::time::Duration;
///
/// let gentle = Ramp::over(Duration::from_secs(60)).starting_at("1%".parse()?).along(Curve::Linear);
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Ramp {
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    over: Duration,
    #[cfg_attr(feature = "serde", serde(default = "Ramp::default_from"))]
    from: Share,
    #[cfg_attr(feature = "serde", serde(default = "Ramp::default_curve"))]
    curve: Curve,
}

impl Ramp {
    /// Into how many steps the time is cut.
    pub const STEPS: u32 = 20;

    /// From 5 % to all within this time.
    #[must_use]
    pub fn over(time: Duration) -> Self {
        Self {
            over: time,
            from: Self::default_from(),
            curve: Self::default_curve(),
        }
    }

    /// Starting with this share of the calls.
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

    /// The share of the calls that is let through at this step.
    #[must_use]
    pub fn share_at(&self, step: u32) -> Share {
        if step >= Self::STEPS {
            return Share::ALL;
        }
        let part = f64::from(step) / f64::from(Self::STEPS);
        self.curve.between(self.from, part)
    }

    /// How long after the start this step begins.
    pub(crate) fn begin_of(&self, step: u32) -> Duration {
        self.over.mul_f64(f64::from(step) / f64::from(Self::STEPS))
    }

    /// The step that it is at so long after the start.
    pub(crate) fn step_after(&self, time: Duration) -> u32 {
        let reached = |step: &u32| self.begin_of(*step) <= time;
        (1..=Self::STEPS).take_while(reached).last().unwrap_or(0)
    }

    const fn default_curve() -> Curve {
        Curve::Exponential
    }

    fn default_from() -> Share {
        Share::of(0.05).unwrap_or(Share::ALL)
    }

    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let allowed = Duration::from_millis(1)..=Duration::from_secs(24 * 3600);
        config::time_in_range("over", self.over, allowed)?;
        config::in_range("from", self.from, Share::of(0.0001)?..=Share::ALL)?;
        Ok(())
    }
}

impl Default for Ramp {
    /// From 5 % to all within 10 s, exponentially.
    fn default() -> Self {
        Self::over(Duration::from_secs(10))
    }
}

/// A ramp, or `off`: where nothing stands, the default applies, and TOML has no other nothing.
#[cfg(feature = "serde")]
pub(super) mod or_off {
    use std::fmt;

    use serde::{
        Deserialize, Deserializer, Serialize, Serializer,
        de::{Error, MapAccess, Unexpected, Visitor, value::MapAccessDeserializer},
    };

    use super::Ramp;

    const OFF: &str = "off";

    pub(crate) fn serialize<S: Serializer>(ramp: &Option<Ramp>, to: S) -> Result<S::Ok, S::Error> {
        match ramp {
            Some(ramp) => ramp.serialize(to),
            None => to.serialize_str(OFF),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Ramp>, D::Error> {
        from.deserialize_any(RampOrOff)
    }

    struct RampOrOff;

    impl<'de> Visitor<'de> for RampOrOff {
        type Value = Option<Ramp>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a ramp or \"off\"")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<Ramp>, A::Error> {
            Ramp::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Option<Ramp>, E> {
            if text == OFF {
                Ok(None)
            } else {
                Err(E::invalid_value(Unexpected::Str(text), &self))
            }
        }

        fn visit_unit<E: Error>(self) -> Result<Option<Ramp>, E> {
            Ok(None)
        }
    }
}
