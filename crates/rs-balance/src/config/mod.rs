mod outliers;
mod slow_start;
mod spread;
mod strategy;
#[cfg(feature = "serde")]
mod written;

pub use outliers::{Outliers, SlowOutliers, SuccessRate};
pub use slow_start::SlowStart;
pub use spread::{Subset, Zones};
pub use strategy::{HashTable, Hashing, Latency, Strategy};

use std::time::Duration;

use rs_core::{ConfigError, Share, config};
use rs_metrics::pattern::Checked;

/// How a [`Balancer`](crate::Balancer) chooses, and whom it trusts.
///
/// | | default |
/// |---|---|
/// | [`Outliers`] | ejected after 5 failures in a row, or for a success rate far below the others' |
/// | panic threshold | health is not believed when fewer than 50 % of the endpoints look well |
/// | [`SlowStart`] | off: a newcomer gets its share at once |
/// | change of a weight | at once |
/// | [`Zones`], [`Subset`] | off |
/// | endpoints asked in one pick | 3, where each has a guard of its own |
///
/// ```
/// use rs_balance::{BalancerConfig, SlowStart, Strategy};
/// use std::time::Duration;
///
/// let config = BalancerConfig::new(Strategy::LeastConnections)
///     .with_slow_start(SlowStart::over(Duration::from_secs(30)))
///     .with_panic_below("30%".parse()?);
/// config.check()?;
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct BalancerConfig {
    strategy: Strategy,
    #[cfg_attr(
        feature = "serde",
        serde(default = "outliers", with = "written::or_off")
    )]
    outliers: Option<Outliers>,
    #[cfg_attr(feature = "serde", serde(default = "half"))]
    panic_below: Share,
    #[cfg_attr(feature = "serde", serde(default, with = "written::or_off"))]
    slow_start: Option<SlowStart>,
    #[cfg_attr(feature = "serde", serde(default, with = "rs_core::humane::duration"))]
    weight_change: Duration,
    #[cfg_attr(feature = "serde", serde(default))]
    zones: Option<Zones>,
    #[cfg_attr(feature = "serde", serde(default))]
    subset: Option<Subset>,
    #[cfg_attr(feature = "serde", serde(default = "three"))]
    tries: u8,
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the default of a field that may be off"
)]
fn outliers() -> Option<Outliers> {
    Some(Outliers::default())
}

fn half() -> Share {
    Share::of(0.5).unwrap_or(Share::NONE)
}

const fn three() -> u8 {
    3
}

impl BalancerConfig {
    /// Chooses by this strategy; everything else is as the table says.
    #[must_use]
    pub fn new(strategy: Strategy) -> Self {
        Self {
            strategy,
            outliers: outliers(),
            panic_below: half(),
            slow_start: None,
            weight_change: Duration::ZERO,
            zones: None,
            subset: None,
            tries: three(),
        }
    }

    /// Chooses by another strategy.
    #[must_use]
    pub fn with_strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Ejects endpoints by these rules.
    #[must_use]
    pub fn with_outliers(mut self, outliers: Outliers) -> Self {
        self.outliers = Some(outliers);
        self
    }

    /// Ejects nobody by itself.
    #[must_use]
    pub fn without_outliers(mut self) -> Self {
        self.outliers = None;
        self
    }

    /// When less than this share of the endpoints looks well, no health is believed: it is more likely
    /// that the checks are wrong, and the few that look well could not carry everything. 0% always believes
    /// it, and calls are refused when nobody is well.
    #[must_use]
    pub const fn with_panic_below(mut self, share: Share) -> Self {
        self.panic_below = share;
        self
    }

    /// An endpoint that joins or comes back gets its share little by little.
    #[must_use]
    pub const fn with_slow_start(mut self, slow_start: SlowStart) -> Self {
        self.slow_start = Some(slow_start);
        self
    }

    /// A weight that an update changes moves to the new one within this time.
    #[must_use]
    pub const fn with_weight_change_over(mut self, time: Duration) -> Self {
        self.weight_change = time;
        self
    }

    /// Prefers endpoints of its own zone as far as they can carry it.
    #[must_use]
    pub fn with_zones(mut self, zones: Zones) -> Self {
        self.zones = Some(zones);
        self
    }

    /// Uses only a part of the endpoints: this client's.
    #[must_use]
    pub fn with_subset(mut self, subset: Subset) -> Self {
        self.subset = Some(subset);
        self
    }

    /// So many endpoints are asked within one pick when their guards refuse, from 1 to 16.
    #[must_use]
    pub const fn with_tries(mut self, tries: u8) -> Self {
        self.tries = tries;
        self
    }

    /// How it chooses.
    #[must_use]
    pub const fn strategy(&self) -> &Strategy {
        &self.strategy
    }

    /// Whom it ejects.
    #[must_use]
    pub const fn outliers(&self) -> Option<&Outliers> {
        self.outliers.as_ref()
    }

    /// From which share of endpoints that look well their health is believed.
    #[must_use]
    pub const fn panic_below(&self) -> Share {
        self.panic_below
    }

    /// How newcomers begin.
    #[must_use]
    pub const fn slow_start(&self) -> Option<&SlowStart> {
        self.slow_start.as_ref()
    }

    /// How long a weight takes to change.
    #[must_use]
    pub const fn weight_change(&self) -> Duration {
        self.weight_change
    }

    /// Which zone it prefers.
    #[must_use]
    pub const fn zones(&self) -> Option<&Zones> {
        self.zones.as_ref()
    }

    /// Which part of the endpoints it uses.
    #[must_use]
    pub const fn subset(&self) -> Option<&Subset> {
        self.subset.as_ref()
    }

    /// How many endpoints are asked in one pick.
    #[must_use]
    pub const fn tries(&self) -> u8 {
        self.tries
    }

    /// Whether calls have to be timed.
    pub(crate) fn is_timed(&self) -> bool {
        matches!(self.strategy, Strategy::LatencyBased(_))
            || self
                .outliers
                .as_ref()
                .is_some_and(|outliers| outliers.latency().is_some())
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// Which field is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let within = |field: &'static str| move |error: ConfigError| error.in_field(field);
        self.strategy.check().map_err(within("strategy"))?;
        if let Some(outliers) = &self.outliers {
            outliers.check().map_err(within("outliers"))?;
        }
        if let Some(slow_start) = &self.slow_start {
            slow_start.check().map_err(within("slow_start"))?;
        }
        let day = Duration::ZERO..=Duration::from_secs(24 * 3600);
        config::time_in_range("weight_change", self.weight_change, day)?;
        if let Some(zones) = &self.zones {
            zones.check().map_err(within("zones"))?;
        }
        if let Some(subset) = &self.subset {
            subset.check().map_err(within("subset"))?;
        }
        config::in_range("tries", self.tries, 1..=16)?;
        Ok(())
    }
}

impl Default for BalancerConfig {
    /// The least connected of two.
    fn default() -> Self {
        Self::new(Strategy::LeastConnections)
    }
}

impl Checked for BalancerConfig {
    fn check(&self) -> Result<(), ConfigError> {
        Self::check(self)
    }
}
