use std::time::Duration;

use rs_core::{ConfigError, Share, config};

/// When a migration may go on, and when it must go back.
///
/// New is measured by legacy in the same window, not by what was yesterday.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct GatesConfig {
    pub(super) errors: Share,
    /// At p50, p95, p99.
    pub(super) slower: [f64; 3],
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    pub(super) slack: Duration,
    pub(super) throughput: Share,
    pub(super) hit_ratio: f64,
    pub(super) fallbacks: Share,
    pub(super) memory: f64,
    pub(super) differences: Share,
    pub(super) minimum: u64,
    pub(super) warm_up: u32,
    /// So many, of the last so many.
    pub(super) bad: (usize, usize),
    pub(super) good: u32,
}

impl Default for GatesConfig {
    /// Errors below 0.1 %; 8, 15 and 30 % slower at p50, p95 and p99, where it is more than 5 µs; 95 % of the
    /// throughput; a hit ratio 5 points lower; 2 % that falls back; 15 % more memory; one different value in
    /// ten thousand. Windows of 500 reads and more of each cache count. Three bad ones of the last four roll
    /// back, 30 good ones advance, the first after a step does not count.
    fn default() -> Self {
        let share = |part| Share::of(part).unwrap_or(Share::NONE);
        Self {
            errors: share(0.001),
            slower: [0.08, 0.15, 0.3],
            slack: Duration::from_micros(5),
            throughput: share(0.95),
            hit_ratio: 0.05,
            fallbacks: share(0.02),
            memory: 0.15,
            differences: share(0.0001),
            minimum: 500,
            warm_up: 1,
            bad: (3, 4),
            good: 30,
        }
    }
}

impl GatesConfig {
    /// New may fail this share of the reads and changes, or what legacy fails of the reads, if that is more.
    #[must_use]
    pub const fn with_errors(mut self, share: Share) -> Self {
        self.errors = share;
        self
    }

    /// New may be slower than legacy by these parts at p50, p95 and p99: 0.1 is 10 %.
    #[must_use]
    pub const fn with_slower(mut self, p50: f64, p95: f64, p99: f64) -> Self {
        self.slower = [p50, p95, p99];
        self
    }

    /// And slower by this time in any case: a tenth of a microsecond more is much for a cache in the process,
    /// and nothing to its users.
    #[must_use]
    pub const fn with_slack(mut self, time: Duration) -> Self {
        self.slack = time;
        self
    }

    /// What one caller is answered in a second of waiting, new by legacy, must be this much at least.
    #[must_use]
    pub const fn with_throughput(mut self, share: Share) -> Self {
        self.throughput = share;
        self
    }

    /// The hit ratio of new may be lower by this much: 0.05 is five points. While it still rises, as it does
    /// when entries come over, that alone rolls nothing back.
    #[must_use]
    pub const fn with_hit_ratio_drop(mut self, points: f64) -> Self {
        self.hit_ratio = points;
        self
    }

    /// It goes on only if no more of the reads of new than this fall back to legacy.
    #[must_use]
    pub const fn with_fallbacks(mut self, share: Share) -> Self {
        self.fallbacks = share;
        self
    }

    /// An entry of new may take more than one of legacy by this part, and so may all of them.
    #[must_use]
    pub const fn with_memory(mut self, more: f64) -> Self {
        self.memory = more;
        self
    }

    /// Of the compared values, this share may differ.
    #[must_use]
    pub const fn with_differences(mut self, share: Share) -> Self {
        self.differences = share;
        self
    }

    /// A window with fewer reads of either cache says nothing, unless so many of them failed that it does.
    #[must_use]
    pub const fn with_minimum_reads(mut self, reads: u64) -> Self {
        self.minimum = reads;
        self
    }

    /// So many windows after a step do not count.
    #[must_use]
    pub const fn with_warm_up(mut self, windows: u32) -> Self {
        self.warm_up = windows;
        self
    }

    /// Rolls back when this many of the last so many windows were bad.
    #[must_use]
    pub const fn rolling_back_after(mut self, bad: usize, of: usize) -> Self {
        self.bad = (bad, of);
        self
    }

    /// Advances after this many good windows in a row.
    #[must_use]
    pub const fn advancing_after(mut self, good: u32) -> Self {
        self.good = good;
        self
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// Which field is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        for part in self.slower {
            config::in_range("slower", part, 0.0..=100.0)?;
        }
        let hour = Duration::ZERO..=Duration::from_secs(3600);
        config::time_in_range("slack", self.slack, hour)?;
        config::in_range("hit_ratio", self.hit_ratio, 0.0..=1.0)?;
        config::in_range("memory", self.memory, 0.0..=100.0)?;
        config::in_range("minimum", self.minimum, 20..=1_000_000_000)?;
        config::in_range("warm_up", self.warm_up, 0..=100_000)?;
        config::in_range("bad of", self.bad.1, 1..=1000)?;
        config::in_range("bad", self.bad.0, 1..=self.bad.1)?;
        config::in_range("good", self.good, 1..=100_000)?;
        Ok(())
    }

    pub(crate) const fn minimum(&self) -> u64 {
        self.minimum
    }

    pub(crate) const fn warm_up(&self) -> u32 {
        self.warm_up
    }

    pub(crate) const fn good(&self) -> u32 {
        self.good
    }
}
