use std::time::Duration;

use rs_core::{ConfigError, config, label_set};

use crate::{GatesConfig, Stage};

label_set! {
    /// What a migration does by itself.
    pub enum PilotMode: "mode" {
        /// Nothing: it says what it would do.
        DryRun = "dry_run",
        /// It rolls back; somebody else advances.
        Guard = "guard",
        /// It advances and rolls back.
        Automatic = "automatic",
    }
}

/// What a migration does by itself, and by which rules.
///
/// ```
/// use rs_cache_migrate::{GatesConfig, PilotConfig, PilotMode, Stage};
/// use std::time::Duration;
///
/// let pilot = PilotConfig::default()
///     .with_mode(PilotMode::Automatic)
///     .up_to(Stage::Live)
///     .with_window(Duration::from_secs(5))
///     .with_gates(GatesConfig::default().advancing_after(60));
/// pilot.check()?;
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct PilotConfig {
    #[cfg_attr(feature = "serde", serde(with = "by_name"))]
    pub(crate) mode: PilotMode,
    #[cfg_attr(feature = "serde", serde(with = "by_name"))]
    pub(crate) up_to: Stage,
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    pub(crate) window: Duration,
    pub(crate) gates: GatesConfig,
}

impl Default for PilotConfig {
    /// A dry run with windows of ten seconds; not up to `complete`, from where there is no way back.
    fn default() -> Self {
        Self {
            mode: PilotMode::DryRun,
            up_to: Stage::RampDown,
            window: Duration::from_secs(10),
            gates: GatesConfig::default(),
        }
    }
}

impl PilotConfig {
    /// What it does by itself.
    #[must_use]
    pub const fn with_mode(mut self, mode: PilotMode) -> Self {
        self.mode = mode;
        self
    }

    /// It advances up to this stage.
    #[must_use]
    pub const fn up_to(mut self, stage: Stage) -> Self {
        self.up_to = stage;
        self
    }

    /// So long is a window; up to six times as long if there are few reads.
    #[must_use]
    pub const fn with_window(mut self, time: Duration) -> Self {
        self.window = time;
        self
    }

    /// What is good and what is bad.
    #[must_use]
    pub const fn with_gates(mut self, gates: GatesConfig) -> Self {
        self.gates = gates;
        self
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// Which field is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let allowed = Duration::from_millis(10)..=Duration::from_secs(3600);
        config::time_in_range("window", self.window, allowed)?;
        let gates = self.gates.check();
        gates.map_err(|error| error.in_field("gates"))
    }
}

/// A member of a closed set that is written by its name.
pub(crate) trait Named: rs_core::Label {
    fn named(text: &str) -> Result<Self, ConfigError> {
        let known = Self::VALUES.iter().zip(Self::ALL);
        let known: Vec<_> = known.map(|(name, member)| (*name, *member)).collect();
        config::one_of("", text, &known)
    }
}

impl Named for PilotMode {}
impl Named for Stage {}

#[cfg(feature = "serde")]
mod by_name {
    use std::borrow::Cow;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::Named;

    pub(super) fn serialize<T: Named, S: Serializer>(
        member: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(T::VALUES.get(member.index()).copied().unwrap_or_default())
    }

    pub(super) fn deserialize<'de, T: Named, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        T::named(&text).map_err(D::Error::custom)
    }
}
