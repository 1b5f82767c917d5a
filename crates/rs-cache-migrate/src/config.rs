use std::{borrow::Cow, time::Duration};

use rs_core::{ConfigError, Share, config};
use rs_metrics::pattern::Checked;

use crate::{
    PilotConfig, Side,
    state::{ALL, hundredths},
};

/// How a migration goes.
///
/// ```
/// use rs_cache_migrate::MigrationConfig;
/// use rs_core::Share;
/// use std::time::Duration;
///
/// let carefully = MigrationConfig::default()
///     .with_steps([Share::percent(0.01)?, Share::percent(1.0)?, Share::percent(25.0)?, Share::ALL])
///     .with_propagation(Duration::from_secs(5));
/// carefully.check()?;
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct MigrationConfig {
    steps: Vec<Share>,
    salt: Cow<'static, str>,
    epoch: u32,
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    propagation: Duration,
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    promotion_floor: Duration,
    #[cfg_attr(
        feature = "serde",
        serde(
            skip_serializing_if = "Option::is_none",
            with = "rs_core::humane::duration::option"
        )
    )]
    unaged: Option<Duration>,
    shadow: Share,
    doubts: usize,
    #[cfg_attr(
        feature = "serde",
        serde(
            skip_serializing_if = "Option::is_none",
            with = "rs_core::humane::duration::option"
        )
    )]
    legacy_limit: Option<Duration>,
    #[cfg_attr(
        feature = "serde",
        serde(
            skip_serializing_if = "Option::is_none",
            with = "rs_core::humane::duration::option"
        )
    )]
    new_limit: Option<Duration>,
    fallbacks: Share,
    shared: bool,
    pilot: PilotConfig,
}

impl Default for MigrationConfig {
    /// 10, 25, 50, 100 %, one process, shadow reads for one read in a hundred.
    fn default() -> Self {
        let share = |part| Share::of(part).unwrap_or(Share::ALL);
        Self {
            steps: vec![share(0.1), share(0.25), share(0.5), Share::ALL],
            salt: Cow::Borrowed(""),
            epoch: 1,
            propagation: Duration::ZERO,
            promotion_floor: Duration::from_millis(100),
            unaged: None,
            shadow: share(0.01),
            doubts: 4096,
            legacy_limit: None,
            new_limit: None,
            fallbacks: Share::ALL,
            shared: false,
            pilot: PilotConfig::default(),
        }
    }
}

impl MigrationConfig {
    /// The shares of the keys that are read from new, step by step; rising, the last is all.
    #[must_use]
    pub fn with_steps(mut self, steps: impl Into<Vec<Share>>) -> Self {
        self.steps = steps.into();
        self
    }

    /// Which keys come first follows from this. The name of the migration unless it is given; it must be the
    /// same in all processes, and cannot change while the migration lives.
    #[must_use]
    pub fn with_salt(mut self, salt: impl Into<Cow<'static, str>>) -> Self {
        self.salt = salt.into();
        self
    }

    /// The first try has this number. For a new cache that outlives the process: one more than the last that
    /// was used there.
    #[must_use]
    pub const fn with_epoch(mut self, epoch: u32) -> Self {
        self.epoch = epoch;
        self
    }

    /// So long it may take until all processes have heard of a step; there is no other before. Zero for one
    /// process, whose own operations are waited for in any case.
    #[must_use]
    pub const fn with_propagation(mut self, bound: Duration) -> Self {
        self.propagation = bound;
        self
    }

    /// What has less time left than this is not promoted.
    #[must_use]
    pub const fn with_promotion_floor(mut self, floor: Duration) -> Self {
        self.promotion_floor = floor;
        self
    }

    /// Where legacy keeps times but cannot say how long an entry still lives: promotes it for this long. It
    /// may then live that much longer than it should. Without, nothing is promoted from there.
    #[must_use]
    pub const fn promoting_unaged(mut self, at_most: Duration) -> Self {
        self.unaged = Some(at_most);
        self
    }

    /// This share of the reads is compared in the stages `shadow` and `live`.
    #[must_use]
    pub const fn with_shadow(mut self, share: Share) -> Self {
        self.shadow = share;
        self
    }

    /// So many keys may be doubtful: changed in one cache, and perhaps not in the other. One more, and the
    /// migration rolls back.
    #[must_use]
    pub const fn with_doubts(mut self, limit: usize) -> Self {
        self.doubts = limit;
        self
    }

    /// An operation of this cache has failed when it takes longer than this, and leaves its key doubtful. Without,
    /// what the cache says of itself: nothing for one in the process, a second for Redis.
    #[must_use]
    pub const fn with_limit(mut self, side: Side, limit: Duration) -> Self {
        match side {
            Side::Legacy => self.legacy_limit = Some(limit),
            Side::New => self.new_limit = Some(limit),
        }
        self
    }

    /// No more than this share of the reads of new may fall back, and a thousand after a quiet time: a new cache
    /// that is empty or down must not break legacy, too. What may not is a miss. All of them unless it is given.
    #[must_use]
    pub const fn with_fallbacks(mut self, share: Share) -> Self {
        self.fallbacks = share;
        self
    }

    /// Several processes write the same keys of the same two caches. New must hold
    /// [marks](crate::Capabilities::marks); a change takes three round trips instead of two, and fails if new
    /// cannot be told of it. [`with_propagation`](Self::with_propagation) must be true. Cannot change while the
    /// migration lives.
    #[must_use]
    pub const fn shared_by_processes(mut self) -> Self {
        self.shared = true;
        self
    }

    /// What it does by itself while it [runs](crate::CacheMigration::run).
    #[must_use]
    pub fn with_pilot(mut self, pilot: PilotConfig) -> Self {
        self.pilot = pilot;
        self
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// Which field is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let of = |share: &Share| hundredths(*share);
        let steps: Option<Vec<u16>> = self.steps.iter().map(of).collect();
        let steps = steps.ok_or_else(|| {
            ConfigError::other("a step is 0.01% to 100%, in steps of 0.01%").in_field("steps")
        })?;
        if !steps.is_sorted_by(|a, b| a < b) || steps.last() != Some(&ALL) {
            return Err(ConfigError::other("they rise, and the last is 100%").in_field("steps"));
        }
        let hour = Duration::ZERO..=Duration::from_secs(3600);
        config::time_in_range("propagation", self.propagation, hour.clone())?;
        config::time_in_range("promotion_floor", self.promotion_floor, hour)?;
        if let Some(time) = self.unaged {
            let day = Duration::from_millis(1)..=Duration::from_secs(86_400);
            config::time_in_range("unaged", time, day)?;
        }
        let minute = Duration::from_millis(1)..=Duration::from_secs(60);
        for (field, limit) in [
            ("legacy_limit", self.legacy_limit),
            ("new_limit", self.new_limit),
        ] {
            if let Some(limit) = limit {
                config::time_in_range(field, limit, minute.clone())?;
            }
        }
        config::in_range("doubts", self.doubts, 1..=1_000_000)?;
        let pilot = self.pilot.check();
        pilot.map_err(|error| error.in_field("pilot"))
    }

    /// The steps of the live stage.
    #[must_use]
    pub fn steps(&self) -> &[Share] {
        &self.steps
    }

    /// How long a step may take to be known everywhere.
    #[must_use]
    pub const fn propagation(&self) -> Duration {
        self.propagation
    }

    pub(crate) fn shares(&self) -> Vec<u16> {
        self.steps
            .iter()
            .filter_map(|step| hundredths(*step))
            .collect()
    }

    pub(crate) fn salt(&self) -> &str {
        &self.salt
    }

    pub(crate) const fn epoch(&self) -> u32 {
        self.epoch
    }

    pub(crate) const fn promotion_floor(&self) -> Duration {
        self.promotion_floor
    }

    pub(crate) const fn unaged(&self) -> Option<Duration> {
        self.unaged
    }

    pub(crate) const fn shadow(&self) -> Share {
        self.shadow
    }

    pub(crate) const fn limit(&self, side: Side) -> Option<Duration> {
        match side {
            Side::Legacy => self.legacy_limit,
            Side::New => self.new_limit,
        }
    }

    pub(crate) const fn fallbacks(&self) -> Share {
        self.fallbacks
    }

    pub(crate) const fn shared(&self) -> bool {
        self.shared
    }

    /// What it does by itself.
    #[must_use]
    pub const fn pilot(&self) -> &PilotConfig {
        &self.pilot
    }

    pub(crate) const fn doubts(&self) -> usize {
        self.doubts
    }
}

impl Checked for MigrationConfig {
    fn check(&self) -> Result<(), ConfigError> {
        Self::check(self)
    }
}
