//! Whether what was seen is good enough to go on, or bad enough to go back: pure, and fed by whoever measures.

use std::{collections::VecDeque, fmt, time::Duration};

use rs_core::{ConfigError, Share, config};

/// What was seen of one cache in a window of time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "whoever measures fills it in")]
pub struct SideWindow {
    /// Reads that it was asked.
    pub reads: u64,
    /// Those that it failed.
    pub errors: u64,
    /// Those that it answered.
    pub hits: u64,
    /// Half of them were faster, if their times are known.
    pub p50: Option<Duration>,
    /// 95 % were faster.
    pub p95: Option<Duration>,
    /// 99 % were faster.
    pub p99: Option<Duration>,
    /// What an entry takes, if that is known.
    pub bytes_per_entry: Option<f64>,
}

/// What was seen of both in the same window of time.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "whoever measures fills it in")]
pub struct Window {
    /// The cache that is left: what new is measured by.
    pub legacy: SideWindow,
    /// The cache that is moved to.
    pub new: SideWindow,
}

/// When a migration may go on, and when it must go back.
///
/// New is measured by legacy in the same window, not by what was yesterday.
#[derive(Debug, Clone, PartialEq)]
pub struct GatesConfig {
    errors: Share,
    slower: [f64; 3],
    hit_ratio: f64,
    memory: f64,
    minimum: u64,
    warm_up: u32,
    bad: (usize, usize),
    good: u32,
}

impl Default for GatesConfig {
    /// Errors below 0.1 %; 8, 15 and 30 % slower at p50, p95 and p99; a hit ratio 5 points lower; 15 % more
    /// memory for an entry. Windows of 500 reads and more of each cache count. Three bad ones of the last four
    /// roll back, six good ones advance, the first after a step does not count.
    fn default() -> Self {
        Self {
            errors: Share::of(0.001).unwrap_or(Share::NONE),
            slower: [0.08, 0.15, 0.3],
            hit_ratio: 0.05,
            memory: 0.15,
            minimum: 500,
            warm_up: 1,
            bad: (3, 4),
            good: 6,
        }
    }
}

impl GatesConfig {
    /// New may fail this share of the reads, or what legacy fails, if that is more.
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

    /// The hit ratio of new may be lower by this much: 0.05 is five points.
    #[must_use]
    pub const fn with_hit_ratio_drop(mut self, points: f64) -> Self {
        self.hit_ratio = points;
        self
    }

    /// An entry of new may take more than one of legacy by this part.
    #[must_use]
    pub const fn with_memory(mut self, more: f64) -> Self {
        self.memory = more;
        self
    }

    /// A window with fewer reads of either cache says nothing.
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
        config::in_range("hit_ratio", self.hit_ratio, 0.0..=1.0)?;
        config::in_range("memory", self.memory, 0.0..=100.0)?;
        config::in_range("minimum", self.minimum, 20..=1_000_000_000)?;
        config::in_range("bad of", self.bad.1, 1..=1000)?;
        config::in_range("bad", self.bad.0, 1..=self.bad.1)?;
        config::in_range("good", self.good, 1..=100_000)?;
        Ok(())
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The next step may be taken.
    Advance,
    /// Nothing yet: not enough was seen, or it was neither good nor bad.
    Hold,
    /// It must go back.
    RollBack,
}

/// A verdict and what it rests on.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Judged {
    /// What is to be done.
    pub verdict: Verdict,
    /// The numbers of this window, and how many like it there were.
    pub why: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finding {
    Good,
    Bad,
    Unknown,
}

/// Judges one window after another. No data is never good and never bad.
///
/// ```
/// use rs_cache_migrate::{Gates, GatesConfig, SideWindow, Verdict, Window};
///
/// let mut gates = Gates::new(GatesConfig::default().with_warm_up(0))?;
/// let well = SideWindow { reads: 5_000, hits: 4_500, ..SideWindow::default() };
/// let sick = SideWindow { errors: 400, ..well };
/// for _ in 0..2 {
///     let judged = gates.judge(&Window { legacy: well, new: sick });
///     assert_eq!(judged.verdict, Verdict::Hold);
/// }
/// let judged = gates.judge(&Window { legacy: well, new: sick });
/// assert_eq!(judged.verdict, Verdict::RollBack);
/// assert_eq!(judged.why, "errors 8.00%, limit 0.10%; 3 bad of the last 3");
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Gates {
    config: GatesConfig,
    seen: u32,
    good: u32,
    recent: VecDeque<bool>,
    /// Since the step: one window proves no error rate of a thousandth.
    reads: u64,
    errors: u64,
}

impl Gates {
    /// Nothing seen.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`GatesConfig::check`].
    pub fn new(config: GatesConfig) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self {
            recent: VecDeque::with_capacity(config.bad.1),
            config,
            seen: 0,
            good: 0,
            reads: 0,
            errors: 0,
        })
    }

    /// A step was taken: what was seen before says nothing any more.
    pub fn begin(&mut self) {
        self.recent.clear();
        (self.seen, self.good, self.reads, self.errors) = (0, 0, 0, 0);
    }

    /// What this window says, with those before it.
    #[must_use]
    pub fn judge(&mut self, window: &Window) -> Judged {
        let hold = |why: String| Judged {
            verdict: Verdict::Hold,
            why,
        };
        self.seen = self.seen.saturating_add(1);
        if self.seen <= self.config.warm_up {
            return hold(format!(
                "warms up, window {} of {}",
                self.seen, self.config.warm_up
            ));
        }
        let (legacy, new) = (window.legacy.reads, window.new.reads);
        let minimum = self.config.minimum;
        if legacy < minimum || new < minimum {
            self.good = 0;
            return hold(format!(
                "{legacy} reads of legacy and {new} of new, {minimum} needed"
            ));
        }
        self.reads += new;
        self.errors += window.new.errors;
        let (finding, numbers) = self.look(window);
        if self.recent.len() == self.config.bad.1 {
            self.recent.pop_front();
        }
        self.recent.push_back(finding == Finding::Bad);
        self.good = match finding {
            Finding::Good => self.good + 1,
            // It may become certain with more reads.
            Finding::Unknown => self.good,
            Finding::Bad => 0,
        };
        let bad = self.recent.iter().filter(|bad| **bad).count();
        let of = self.recent.len();
        if bad >= self.config.bad.0 {
            return Judged {
                verdict: Verdict::RollBack,
                why: format!("{numbers}; {bad} bad of the last {of}"),
            };
        }
        if self.good >= self.config.good && finding == Finding::Good {
            return Judged {
                verdict: Verdict::Advance,
                why: format!("{numbers}; {} good", self.good),
            };
        }
        hold(format!(
            "{numbers}; {bad} bad of the last {of}, {} good",
            self.good
        ))
    }

    fn look(&self, window: &Window) -> (Finding, String) {
        let mut worst = self.errors(window);
        let rules = [
            self.times(window),
            self.hit_ratio(window),
            self.memory(window),
        ];
        for found in rules.into_iter().flatten() {
            worst = match (worst.0, found.0) {
                (Finding::Bad, _) | (Finding::Unknown, Finding::Good) => worst,
                (Finding::Good, Finding::Good) => {
                    (Finding::Good, format!("{}, {}", worst.1, found.1))
                }
                _ => found,
            };
        }
        worst
    }

    /// Bad if this window alone makes it nearly certain; good if all since the step do.
    fn errors(&self, window: &Window) -> (Finding, String) {
        let (new, legacy) = (&window.new, &window.legacy);
        let limit = self
            .config
            .errors
            .get()
            .max(rate(legacy.errors, legacy.reads));
        let now = rate(new.errors, new.reads);
        let alone = wilson(new.errors, new.reads, LIKELY).0;
        let least = alone.max(wilson(self.errors, self.reads, CERTAIN).0);
        let most = wilson(self.errors, self.reads, LIKELY).1;
        let finding = match () {
            () if least > limit => Finding::Bad,
            () if most <= limit => Finding::Good,
            () => Finding::Unknown,
        };
        let numbers = format!("errors {:.2}%, limit {:.2}%", 100.0 * now, 100.0 * limit);
        (finding, numbers)
    }

    fn times(&self, window: &Window) -> Option<(Finding, String)> {
        let (new, legacy) = (&window.new, &window.legacy);
        let times = [
            ("p50", new.p50, legacy.p50),
            ("p95", new.p95, legacy.p95),
            ("p99", new.p99, legacy.p99),
        ];
        let mut worst: Option<(Finding, String)> = None;
        for ((name, new, legacy), allowed) in times.into_iter().zip(self.config.slower) {
            let (Some(new), Some(legacy)) = (new, legacy) else {
                continue;
            };
            let limit = legacy.mul_f64(1.0 + allowed);
            if new > limit {
                return Some((Finding::Bad, format!("{name} {new:?}, limit {limit:?}")));
            }
            worst = Some((Finding::Good, format!("{name} {new:?}, limit {limit:?}")));
        }
        worst
    }

    fn hit_ratio(&self, window: &Window) -> Option<(Finding, String)> {
        let ratio = |side: &SideWindow| rate(side.hits, side.reads);
        let (new, limit) = (
            ratio(&window.new),
            ratio(&window.legacy) - self.config.hit_ratio,
        );
        let numbers = format!("hit ratio {:.1}%, limit {:.1}%", 100.0 * new, 100.0 * limit);
        let finding = match new < limit {
            true => Finding::Bad,
            false => Finding::Good,
        };
        Some((finding, numbers))
    }

    fn memory(&self, window: &Window) -> Option<(Finding, String)> {
        let (new, legacy) = (window.new.bytes_per_entry?, window.legacy.bytes_per_entry?);
        let limit = legacy * (1.0 + self.config.memory);
        let finding = match (new.is_nan() || limit.is_nan(), new > limit) {
            (true, _) => Finding::Unknown,
            (false, true) => Finding::Bad,
            (false, false) => Finding::Good,
        };
        Some((
            finding,
            format!("{new:.0} bytes per entry, limit {limit:.0}"),
        ))
    }
}

fn rate(some: u64, of: u64) -> f64 {
    if of == 0 {
        return 0.0;
    }
    some as f64 / of as f64
}

/// Within 97.5 % on each side.
const LIKELY: f64 = 1.96;
/// For what is looked at again with every window, and stays what it was for long.
const CERTAIN: f64 = 3.3;

/// Between which two the true rate is (Wilson's interval).
fn wilson(some: u64, of: u64, z: f64) -> (f64, f64) {
    if of == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (of as f64, rate(some.min(of), of));
    let middle = p + z * z / (2.0 * n);
    let spread = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let whole = 1.0 + z * z / n;
    ((middle - spread) / whole, (middle + spread) / whole)
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Advance => "advance",
            Self::Hold => "hold",
            Self::RollBack => "roll back",
        })
    }
}
