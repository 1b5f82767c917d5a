use std::time::Duration;

use rs_core::{ConfigError, Criticality, Enforcement, Share, config};
use rs_metrics::pattern::Checked;

use super::Algorithm;

/// How the limit is found, and who may use how much of it.
///
/// | | default |
/// |---|---|
/// | algorithm | [`Algorithm::Vegas`] |
/// | limit | begins at 20, from 1 to 1000 |
/// | window | 100 ms, or as long as a call takes, and 10 results |
/// | drops that do not matter | 1 % |
/// | unloaded time is measured | every 30 s |
/// | shares of the classes | 60 %, 80 %, 95 %, 100 % |
/// | queue | none |
///
/// ```
/// use rs_policies::{AdaptiveConfig, Algorithm, Gradient, Waiting};
///
/// let config = AdaptiveConfig::by(Algorithm::Gradient(Gradient::default()))
///     .beginning_at(50)
///     .between(5, 500)
///     .with_queue(Waiting::at_most(100));
/// config.check()?;
/// assert_eq!(
///     config.between(10, 5).check().unwrap_err().to_string(),
///     "maximum: 5 is out of range; allowed: 10 to 1000000",
/// );
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
pub struct AdaptiveConfig {
    algorithm: Algorithm,
    initial: u32,
    minimum: u32,
    maximum: u32,
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    window: Duration,
    results: u32,
    tolerated_drops: Share,
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    remeasure: Duration,
    shares: ClassShares,
    queue: Option<Waiting>,
    enforcement: Enforcement,
}

/// How much of the limit calls of each class may fill. A call is admitted while fewer calls of all
/// classes together are in flight than that, so the least important ones are shed first.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields, default))]
pub struct ClassShares {
    /// Of [`Criticality::Sheddable`].
    pub sheddable: Share,
    /// Of [`Criticality::SheddablePlus`].
    pub sheddable_plus: Share,
    /// Of [`Criticality::Critical`].
    pub critical: Share,
    /// Of [`Criticality::CriticalPlus`].
    pub critical_plus: Share,
}

/// How many calls may wait for a place, and how long.
///
/// While the oldest of a class has waited longer than the target for a whole interval, the queue of that
/// class stands: then the newest are served first, and those that have waited twice the target are
/// refused. A queue that drains within the interval only takes up a burst, and keeps its order.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Waiting {
    length: u32,
    #[cfg_attr(
        feature = "serde",
        serde(default = "second", with = "rs_core::humane::duration")
    )]
    longest: Duration,
    #[cfg_attr(
        feature = "serde",
        serde(default = "target", with = "rs_core::humane::duration")
    )]
    target: Duration,
    #[cfg_attr(
        feature = "serde",
        serde(default = "interval", with = "rs_core::humane::duration")
    )]
    interval: Duration,
}

const fn second() -> Duration {
    Duration::from_secs(1)
}

const fn target() -> Duration {
    Duration::from_millis(5)
}

const fn interval() -> Duration {
    Duration::from_millis(100)
}

impl Waiting {
    /// So many calls may wait, each for a second at most and never past its deadline.
    #[must_use]
    pub const fn at_most(length: u32) -> Self {
        Self {
            length,
            longest: second(),
            target: target(),
            interval: interval(),
        }
    }

    /// For so long at most.
    #[must_use]
    pub const fn for_at_most(mut self, longest: Duration) -> Self {
        self.longest = longest;
        self
    }

    /// The queue stands when the oldest has waited longer than the target for an interval; by default
    /// 5 ms and 100 ms.
    #[must_use]
    pub const fn standing(mut self, target: Duration, interval: Duration) -> Self {
        self.target = target;
        self.interval = interval;
        self
    }

    /// How many may wait.
    #[must_use]
    pub const fn length(&self) -> u32 {
        self.length
    }

    /// How long they may wait.
    #[must_use]
    pub const fn longest(&self) -> Duration {
        self.longest
    }

    /// How long the oldest may have waited.
    #[must_use]
    pub const fn target(&self) -> Duration {
        self.target
    }

    /// For how long it may have waited longer than that.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    fn check(&self) -> Result<(), ConfigError> {
        let time = Duration::from_millis(1)..=Duration::from_secs(3600);
        config::in_range("length", self.length, 1..=1_000_000)?;
        config::time_in_range("longest", self.longest, time.clone())?;
        config::time_in_range("target", self.target, time.clone())?;
        config::time_in_range("interval", self.interval, time)?;
        Ok(())
    }
}

impl ClassShares {
    /// All classes may fill the whole limit.
    pub const EQUAL: Self = Self {
        sheddable: Share::ALL,
        sheddable_plus: Share::ALL,
        critical: Share::ALL,
        critical_plus: Share::ALL,
    };

    /// Of the classes, the least important first.
    pub(super) const fn all(&self) -> [Share; Criticality::ALL.len()] {
        [
            self.sheddable,
            self.sheddable_plus,
            self.critical,
            self.critical_plus,
        ]
    }

    fn check(&self) -> Result<(), ConfigError> {
        let mut least = Share::of(0.01).unwrap_or(Share::NONE);
        let fields = ["sheddable", "sheddable_plus", "critical", "critical_plus"];
        for (field, share) in fields.into_iter().zip(self.all()) {
            config::in_range(field, share, least..=Share::ALL)?;
            least = share;
        }
        Ok(())
    }
}

impl Default for ClassShares {
    /// 60 %, 80 %, 95 % and all.
    fn default() -> Self {
        let share = |part| Share::of(part).unwrap_or(Share::ALL);
        Self {
            sheddable: share(0.6),
            sheddable_plus: share(0.8),
            critical: share(0.95),
            critical_plus: Share::ALL,
        }
    }
}

impl AdaptiveConfig {
    /// By this algorithm.
    #[must_use]
    pub fn by(algorithm: Algorithm) -> Self {
        Self {
            algorithm,
            ..Self::default()
        }
    }

    /// Begins with this limit. It does not fall below it while it is hardly used.
    #[must_use]
    pub const fn beginning_at(mut self, limit: u32) -> Self {
        self.initial = limit;
        self
    }

    /// The limit stays in this range; where it begins does, too.
    #[must_use]
    pub fn between(mut self, minimum: u32, maximum: u32) -> Self {
        self.initial = self.initial.min(maximum).max(minimum);
        (self.minimum, self.maximum) = (minimum, maximum);
        self
    }

    /// Decides at most once in this time, and not before so many results.
    #[must_use]
    pub const fn with_window(mut self, time: Duration, results: u32) -> Self {
        self.window = time;
        self.results = results;
        self
    }

    /// Drops up to this share say nothing: a few always are.
    #[must_use]
    pub const fn tolerating_drops(mut self, share: Share) -> Self {
        self.tolerated_drops = share;
        self
    }

    /// Measures the time of an unloaded call this often. A limit that is in use is halved meanwhile, for
    /// a few times as long as a call takes.
    #[must_use]
    pub const fn remeasuring_every(mut self, time: Duration) -> Self {
        self.remeasure = time;
        self
    }

    /// The classes may fill these shares.
    #[must_use]
    pub const fn with_shares(mut self, shares: ClassShares) -> Self {
        self.shares = shares;
        self
    }

    /// Calls may wait for a place.
    #[must_use]
    pub const fn with_queue(mut self, queue: Waiting) -> Self {
        self.queue = Some(queue);
        self
    }

    /// Calls for which there is no place are only counted, or held up and refused for a share of them.
    #[must_use]
    pub const fn with_enforcement(mut self, enforcement: Enforcement) -> Self {
        self.enforcement = enforcement;
        self
    }

    /// How the limit is found.
    #[must_use]
    pub const fn algorithm(&self) -> &Algorithm {
        &self.algorithm
    }

    /// Where it begins.
    #[must_use]
    pub const fn initial(&self) -> u32 {
        self.initial
    }

    /// The least that it can be.
    #[must_use]
    pub const fn minimum(&self) -> u32 {
        self.minimum
    }

    /// The most that it can be.
    #[must_use]
    pub const fn maximum(&self) -> u32 {
        self.maximum
    }

    /// How long a window is at least.
    #[must_use]
    pub const fn window(&self) -> Duration {
        self.window
    }

    /// How many results it has at least.
    #[must_use]
    pub const fn results(&self) -> u32 {
        self.results
    }

    /// The share of drops that says nothing.
    #[must_use]
    pub const fn tolerated_drops(&self) -> Share {
        self.tolerated_drops
    }

    /// How often the time of an unloaded call is measured.
    #[must_use]
    pub const fn remeasure(&self) -> Duration {
        self.remeasure
    }

    /// What the classes may fill.
    #[must_use]
    pub const fn shares(&self) -> ClassShares {
        self.shares
    }

    /// Who may wait, if anybody may.
    #[must_use]
    pub const fn queue(&self) -> Option<Waiting> {
        self.queue
    }

    /// Whether calls for which there is no place are held up.
    #[must_use]
    pub const fn enforced(&self) -> Enforcement {
        self.enforcement
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// Which field is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        config::in_range("minimum", self.minimum, 1..=1_000_000)?;
        config::in_range("maximum", self.maximum, self.minimum..=1_000_000)?;
        config::in_range("initial", self.initial, self.minimum..=self.maximum)?;
        let window = Duration::from_millis(1)..=Duration::from_secs(60);
        config::time_in_range("window", self.window, window)?;
        config::in_range("results", self.results, 1..=10_000)?;
        let remeasure = Duration::from_millis(100)..=Duration::from_secs(3600);
        config::time_in_range("remeasure", self.remeasure, remeasure)?;
        let part = |error: ConfigError, field| error.in_field(field);
        self.algorithm
            .check()
            .map_err(|error| part(error, "algorithm"))?;
        self.shares.check().map_err(|error| part(error, "shares"))?;
        if let Some(queue) = &self.queue {
            queue.check().map_err(|error| part(error, "queue"))?;
        }
        Ok(())
    }
}

impl Checked for AdaptiveConfig {
    fn check(&self) -> Result<(), ConfigError> {
        Self::check(self)
    }
}

impl Default for AdaptiveConfig {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::default(),
            initial: 20,
            minimum: 1,
            maximum: 1000,
            window: Duration::from_millis(100),
            results: 10,
            tolerated_drops: Share::of(0.01).unwrap_or(Share::NONE),
            remeasure: Duration::from_secs(30),
            shares: ClassShares::default(),
            queue: None,
            enforcement: Enforcement::Full,
        }
    }
}
