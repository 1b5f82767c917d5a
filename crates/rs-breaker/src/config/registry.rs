use std::{collections::BTreeMap, time::Duration};

use rs_core::{ConfigError, config};
use wildmatch::WildMatch;

use super::BreakerConfig;

/// The rules by which a [`BreakerRegistry`](crate::BreakerRegistry) makes and keeps its breakers.
///
/// A breaker goes by the configuration of its exact name; else by the first pattern that matches, in
/// which `*` stands for any text and `?` for any character; else by the default.
///
/// ```
/// use rs_breaker::{BreakerConfig, RegistryConfig, Trip};
///
/// let careful = BreakerConfig::default().with_trip([Trip::consecutive_failures(3)]);
/// let rules = RegistryConfig::default()
///     .with_named("payments", careful.clone())
///     .with_matching("bank-*", careful)
///     .with_limit(500);
/// rules.check()?;
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
pub struct RegistryConfig {
    default: BreakerConfig,
    named: BTreeMap<String, BreakerConfig>,
    matching: Vec<Matching>,
    limit: usize,
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    idle: Duration,
}

#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
struct Matching {
    pattern: String,
    config: BreakerConfig,
}

impl RegistryConfig {
    /// The same rules, with this configuration where no other applies.
    #[must_use]
    pub fn with_default(mut self, config: BreakerConfig) -> Self {
        self.default = config;
        self
    }

    /// The same rules, with this configuration for this name.
    #[must_use]
    pub fn with_named(mut self, name: impl Into<String>, config: BreakerConfig) -> Self {
        self.named.insert(name.into(), config);
        self
    }

    /// The same rules, with this configuration for names that match and have none of their own. The
    /// pattern that was given first goes first.
    #[must_use]
    pub fn with_matching(mut self, pattern: impl Into<String>, config: BreakerConfig) -> Self {
        let pattern = pattern.into();
        self.matching.push(Matching { pattern, config });
        self
    }

    /// At most this many breakers are kept.
    #[must_use]
    pub const fn with_limit(mut self, breakers: usize) -> Self {
        self.limit = breakers;
        self
    }

    /// A closed breaker that nobody holds and nobody called for this long makes room.
    #[must_use]
    pub const fn with_idle(mut self, time: Duration) -> Self {
        self.idle = time;
        self
    }

    /// How many breakers are kept.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// How long a breaker may be idle.
    #[must_use]
    pub const fn idle(&self) -> Duration {
        self.idle
    }

    /// The configuration for this name.
    #[must_use]
    pub fn for_name(&self, name: &str) -> &BreakerConfig {
        let matches = |rule: &&Matching| WildMatch::new(&rule.pattern).matches(name);
        self.named
            .get(name)
            .or_else(|| Some(&self.matching.iter().find(matches)?.config))
            .unwrap_or(&self.default)
    }

    /// Whether a registry would take it.
    ///
    /// # Errors
    /// The field, its value and what is allowed.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.default
            .check()
            .map_err(|error| error.in_field("default"))?;
        for (name, config) in &self.named {
            config
                .check()
                .map_err(|error| error.in_field(&format!("named.{name}")))?;
        }
        for (place, Matching { pattern, config }) in self.matching.iter().enumerate() {
            let within = |error: ConfigError| error.in_field(&format!("matching[{place}]"));
            if pattern.is_empty() {
                return Err(within(ConfigError::missing("pattern")));
            }
            config
                .check()
                .map_err(|error| within(error.in_field("config")))?;
        }
        config::in_range("limit", self.limit, 1..=1_000_000)?;
        let allowed = Duration::from_millis(1)..=Duration::from_secs(30 * 24 * 3600);
        config::time_in_range("idle", self.idle, allowed)?;
        Ok(())
    }
}

impl Default for RegistryConfig {
    /// The default configuration for all, 10,000 breakers, an hour idle.
    fn default() -> Self {
        Self {
            default: BreakerConfig::default(),
            named: BTreeMap::new(),
            matching: Vec::new(),
            limit: 10_000,
            idle: Duration::from_secs(3600),
        }
    }
}
