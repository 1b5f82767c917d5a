//! Whether what was seen is good enough to go on, or bad enough to go back: pure, and fed by whoever measures.

pub(crate) mod certainty;
mod config;
mod rules;
mod window;

use std::{collections::VecDeque, fmt};

use rs_core::{ConfigError, label_set};

use self::rules::Seen;
pub use self::{
    config::GatesConfig,
    window::{SideWindow, Window},
};

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

label_set! {
    /// What a rule found in a window, with all since the last step.
    pub enum Finding: "finding" {
        /// It is as it should be.
        Good = "good",
        /// It is not.
        Bad = "bad",
        /// More must be seen, or it gets better by itself.
        Unsure = "unsure",
    }
}

/// What one rule found, and the numbers that it rests on.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Ruling {
    /// Which rule: `errors`, `times`, `throughput`, and so on.
    pub rule: &'static str,
    /// What it found.
    pub finding: Finding,
    /// The numbers, and the limit.
    pub numbers: String,
}

impl Ruling {
    const fn new(rule: &'static str, finding: Finding, numbers: String) -> Self {
        Self {
            rule,
            finding,
            numbers,
        }
    }
}

/// A verdict and what it rests on.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Judged {
    /// What is to be done.
    pub verdict: Verdict,
    /// What the window was, all in all.
    pub finding: Finding,
    /// The numbers of this window, and how many like it there were.
    pub why: String,
    /// What each rule found.
    pub evidence: Vec<Ruling>,
}

impl Judged {
    const fn hold(why: String) -> Self {
        Self {
            verdict: Verdict::Hold,
            finding: Finding::Unsure,
            why,
            evidence: Vec::new(),
        }
    }
}

/// Judges one window after another. No data is never good and never bad.
///
/// ```
/// use rs_cache_migrate::{Gates, GatesConfig, SideWindow, Verdict, Window};
///
/// let mut gates = Gates::new(GatesConfig::default().with_warm_up(0))?;
/// let well = SideWindow { reads: 5_000, hits: 4_500, ..SideWindow::default() };
/// let sick = SideWindow { errors: 400, ..well.clone() };
/// let window = Window { legacy: well, new: sick, ..Window::default() };
/// for _ in 0..2 {
///     assert_eq!(gates.judge(&window).verdict, Verdict::Hold);
/// }
/// let judged = gates.judge(&window);
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
    /// Since the step: one window proves no error rate of a thousandth, and no tenth at p50.
    all: Window,
    /// What the hit ratio lacked lately: an average that forgets.
    lacked: Option<f64>,
}

impl Gates {
    /// Nothing seen.
    ///
    /// # Errors
    /// When the configuration is wrong; see [`GatesConfig::check`].
    pub fn new(config: GatesConfig) -> Result<Self, ConfigError> {
        config.check()?;
        Ok(Self::checked(config))
    }

    pub(crate) fn checked(config: GatesConfig) -> Self {
        Self {
            recent: VecDeque::new(),
            config,
            seen: 0,
            good: 0,
            all: Window::default(),
            lacked: None,
        }
    }

    pub(crate) const fn config(&self) -> &GatesConfig {
        &self.config
    }

    /// How many good windows in a row there were.
    pub(crate) const fn good(&self) -> u32 {
        self.good
    }

    /// A step was taken: what was seen before says nothing any more.
    pub fn begin(&mut self) {
        self.recent.clear();
        (self.seen, self.good, self.lacked) = (0, 0, None);
        self.all = Window::default();
    }

    /// Whether it is worth judging: there are enough reads, or too many of them failed.
    #[must_use]
    pub fn is_enough(&self, window: &Window) -> bool {
        let least = window.legacy.reads.min(window.new.reads);
        match window.stage {
            crate::Stage::DualWrite => window.changes > 0,
            _ => least >= self.config.minimum || self.is_alarming(window),
        }
    }

    /// So many failed that it needs no minimum.
    fn is_alarming(&self, window: &Window) -> bool {
        let (new, least) = (&window.new, 5);
        let surely = certainty::wilson(new.errors, new.reads, certainty::CERTAIN).0;
        new.errors >= least
            && surely > self.config.errors.get()
            && surely > certainty::rate(window.legacy.errors, window.legacy.reads)
    }

    /// What this window says, with those before it.
    #[must_use]
    pub fn judge(&mut self, window: &Window) -> Judged {
        self.seen = self.seen.saturating_add(1);
        if self.seen <= self.config.warm_up {
            let of = self.config.warm_up;
            return Judged::hold(format!("warms up, window {} of {of}", self.seen));
        }
        if !self.is_enough(window) {
            self.good = 0;
            let (legacy, new) = (window.legacy.reads, window.new.reads);
            let minimum = self.config.minimum;
            return Judged::hold(match window.stage {
                crate::Stage::DualWrite => "no changes were seen".to_owned(),
                _ => format!("{legacy} reads of legacy and {new} of new, {minimum} needed"),
            });
        }
        self.all.merge(window);
        let seen = Seen {
            config: &self.config,
            now: window,
            all: &self.all,
            lacked: self.lacked,
        };
        let evidence = seen.look();
        if let Some(lacks) = seen.lacks() {
            let before = self.lacked.unwrap_or(lacks);
            self.lacked = Some(before + 0.2 * (lacks - before));
        }
        self.weigh(evidence)
    }

    fn weigh(&mut self, evidence: Vec<Ruling>) -> Judged {
        let those = |finding| {
            let found = evidence.iter().filter(move |one| one.finding == finding);
            let numbers: Vec<&str> = found.map(|one| one.numbers.as_str()).collect();
            (!numbers.is_empty()).then(|| numbers.join(", "))
        };
        let (finding, numbers) = match (those(Finding::Bad), those(Finding::Unsure)) {
            (Some(bad), _) => (Finding::Bad, bad),
            (None, Some(unsure)) => (Finding::Unsure, unsure),
            (None, None) => match those(Finding::Good) {
                Some(good) => (Finding::Good, good),
                None => return Judged::hold("nothing is measured in this stage".to_owned()),
            },
        };
        if self.recent.len() == self.config.bad.1 {
            self.recent.pop_front();
        }
        self.recent.push_back(finding == Finding::Bad);
        self.good = match finding {
            Finding::Good => self.good.saturating_add(1),
            // It may become certain with more reads.
            Finding::Unsure => self.good,
            Finding::Bad => 0,
        };
        let bad = self.recent.iter().filter(|bad| **bad).count();
        let (of, good) = (self.recent.len(), self.good);
        let (verdict, count) = match () {
            () if bad >= self.config.bad.0 => {
                (Verdict::RollBack, format!("{bad} bad of the last {of}"))
            }
            () if good >= self.config.good && finding == Finding::Good => {
                (Verdict::Advance, format!("{good} good"))
            }
            () => (
                Verdict::Hold,
                format!("{bad} bad of the last {of}, {good} good"),
            ),
        };
        Judged {
            verdict,
            finding,
            why: format!("{numbers}; {count}"),
            evidence,
        }
    }
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
