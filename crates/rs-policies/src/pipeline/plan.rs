use std::{fmt, time::Duration};

use rs_core::{Name, humane::show_duration};

use super::{PlanError, Sketch};

/// What a stack of policies does to calls in the worst case, computed from its parts.
///
/// ```
/// use rs_policies::{BulkheadConfig, Pipeline, RetryConfig};
/// use std::time::Duration;
///
/// let payments = Pipeline::named("payments")
///     .timeout(Duration::from_secs(2))
///     .retry(RetryConfig::default())
///     .bulkhead(BulkheadConfig::of(32))
///     .attempt_timeout(Duration::from_millis(500))
///     .build()?;
/// let plan = payments.plan();
/// assert_eq!(plan.longest(), Some(Duration::from_secs(2)));
/// assert_eq!(plan.attempts(), 3);
/// println!("{plan}");
/// # Ok::<(), rs_policies::PlanError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    name: Name,
    parts: Vec<Sketch>,
    longest: Option<Duration>,
    attempts: u32,
    load: f64,
    doubts: Vec<Doubt>,
}

/// Two parts of a stack that go badly together, or one that misses another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    first: &'static str,
    second: &'static str,
    words: String,
}

impl Doubt {
    fn new(first: &'static str, second: &'static str, words: String) -> Self {
        Self {
            first,
            second,
            words,
        }
    }

    /// The parts, the outer one first.
    #[must_use]
    pub const fn parts(&self) -> (&'static str, &'static str) {
        (self.first, self.second)
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} and {}: {}", self.first, self.second, self.words)
    }
}

impl Plan {
    /// The plan of a stack, its outermost part first.
    pub(super) fn of(
        name: Name,
        parts: Vec<Sketch>,
        safe_to_repeat: Option<bool>,
    ) -> Result<Self, PlanError> {
        let mut walk = Walk {
            safe_to_repeat,
            ..Walk::default()
        };
        for part in parts.iter().rev() {
            walk.pass(part);
        }
        if !walk.conflicts.is_empty() {
            return Err(PlanError::Conflicts(name, walk.conflicts));
        }
        Ok(Self {
            name,
            parts,
            longest: walk.longest,
            attempts: walk.attempts,
            load: walk.load,
            doubts: walk.doubts,
        })
    }

    /// The longest that a call can take; `None` if nothing limits it.
    #[must_use]
    pub const fn longest(&self) -> Option<Duration> {
        self.longest
    }

    /// The most attempts that a call can make.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// How many times its load a dependency receives at most that fails completely, apart from what
    /// budgets grant to those who call seldom.
    #[must_use]
    pub const fn load(&self) -> f64 {
        self.load
    }

    /// What is doubtful about the stack, although it works.
    #[must_use]
    pub fn doubts(&self) -> &[Doubt] {
        &self.doubts
    }

    /// The parts, the outermost first.
    #[must_use]
    pub fn parts(&self) -> &[Sketch] {
        &self.parts
    }
}

/// From the innermost part outwards.
struct Walk {
    /// Whether calls are safe to repeat; where nobody says, each call does.
    safe_to_repeat: Option<bool>,
    longest: Option<Duration>,
    attempts: u32,
    load: f64,
    /// The limit that is nearest to the attempts.
    limit: Option<(&'static str, Duration)>,
    /// A guard that failures make refuse, and after how many.
    wary: Option<(&'static str, u32)>,
    /// Tries one after the other: how many, and how long they take at least if each is ended by its limit.
    again: Option<(u32, Option<Duration>)>,
    waiting: Option<(&'static str, Duration)>,
    conflicts: Vec<Doubt>,
    doubts: Vec<Doubt>,
}

impl Default for Walk {
    fn default() -> Self {
        Self {
            safe_to_repeat: None,
            longest: None,
            attempts: 1,
            load: 1.0,
            limit: None,
            wary: None,
            again: None,
            waiting: None,
            conflicts: Vec::new(),
            doubts: Vec::new(),
        }
    }
}

impl Walk {
    fn conflict(&mut self, first: &'static str, second: &'static str, words: String) {
        self.conflicts.push(Doubt::new(first, second, words));
    }

    fn doubt(&mut self, first: &'static str, second: &'static str, words: String) {
        self.doubts.push(Doubt::new(first, second, words));
    }

    fn pass(&mut self, part: &Sketch) {
        match part {
            Sketch::Guard(outline) => {
                let wait = outline.longest_wait();
                self.longest = self.longest.map(|time| time.saturating_add(wait));
                if !wait.is_zero() {
                    self.waiting = Some((outline.kind(), wait));
                }
                if let Some(failures) = outline.refuses_after() {
                    self.wary = Some((outline.kind(), failures));
                    if self.limit.is_none() {
                        let words = "a call that hangs never counts as a failure".to_owned();
                        self.doubt(outline.kind(), "attempt timeout", words);
                    }
                }
            }
            Sketch::Limit { name, time } => self.limit_to(name, *time),
            Sketch::Again {
                attempts,
                waits,
                budget,
                repeats_timeouts,
            } => self.again(*attempts, *waits, *budget, *repeats_timeouts),
            Sketch::Beside {
                attempts,
                delay,
                budget,
            } => self.beside(*attempts, *delay, *budget),
            Sketch::Other { .. } => {}
        }
    }

    fn limit_to(&mut self, name: &'static str, time: Duration) {
        let shown = show_duration(time);
        if let Some((inner, limit)) = self.limit
            && limit >= time
        {
            let limit = show_duration(limit);
            self.conflict(
                name,
                inner,
                format!("{limit} inside {shown} is never reached"),
            );
        } else if let Some((attempts, Some(least))) = self.again
            && least > time
        {
            let least = show_duration(least);
            let words = format!(
                "{attempts} attempts that reach their limit take {least}, it ends them after {shown}"
            );
            self.doubt(name, "retry", words);
        }
        if let Some((inner, wait)) = self.waiting
            && wait >= time
        {
            let wait = show_duration(wait);
            self.doubt(
                name,
                inner,
                format!("a wait of {wait} inside {shown} is never waited to its end"),
            );
        }
        self.longest = Some(self.longest.map_or(time, |longest| longest.min(time)));
        self.limit = Some((name, time));
    }

    fn again(
        &mut self,
        attempts: u32,
        (least, most): (Duration, Duration),
        budget: Option<f64>,
        repeats_timeouts: bool,
    ) {
        let tries = self.attempts.saturating_mul(attempts);
        if attempts > 1 {
            if let Some((guard, failures)) = self.wary
                && tries >= failures
            {
                let words = format!(
                    "{tries} attempts of a single call are enough for the guard, which refuses after {failures} failures"
                );
                self.conflict("retry", guard, words);
            }
            if let Some((limit, _)) = self.limit
                && !repeats_timeouts
                && self.safe_to_repeat != Some(true)
            {
                let words =
                    "what it ends is tried again only for calls that are safe to repeat".to_owned();
                self.doubt("retry", limit, words);
            }
            if budget.is_none() {
                let words =
                    format!("without one a failing dependency receives {tries} times its load");
                self.doubt("retry", "budget", words);
            }
            self.again = Some((
                attempts,
                self.limit
                    .map(|(_, time)| time.saturating_mul(attempts).saturating_add(least)),
            ));
        }
        self.longest = self
            .longest
            .map(|time| time.saturating_mul(attempts).saturating_add(most));
        self.load = self.load.max(load(tries, budget));
        self.attempts = tries;
    }

    fn beside(&mut self, attempts: u32, delay: Duration, budget: Option<f64>) {
        match self.safe_to_repeat {
            Some(true) => {}
            Some(false) => {
                let words = "the pipeline's calls are not declared safe to repeat".to_owned();
                self.conflict("hedge", "calls", words);
            }
            None => {
                let words =
                    "only those that say that they are safe to repeat are hedged".to_owned();
                self.doubt("hedge", "calls", words);
            }
        }
        if let Some((limit, time)) = self.limit
            && time <= delay
        {
            let (delay, time) = (show_duration(delay), show_duration(time));
            self.conflict(
                "hedge",
                limit,
                format!("it begins after {delay}, when {time} are over"),
            );
        }
        if budget.is_none() {
            let words = format!("without one a slow dependency receives {attempts} times its load");
            self.doubt("hedge", "budget", words);
        }
        let last = delay.saturating_mul(attempts - 1);
        self.longest = self.longest.map(|time| time.saturating_add(last));
        self.attempts = self.attempts.saturating_mul(attempts);
        self.load = self.load.max(load(self.attempts, budget));
    }
}

fn load(attempts: u32, budget: Option<f64>) -> f64 {
    let attempts = f64::from(attempts);
    budget.map_or(attempts, |ratio| attempts.min(1.0 + ratio))
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.name)?;
        for part in &self.parts {
            let (name, words) = said(part);
            match words.is_empty() {
                true => writeln!(f, "  {name}")?,
                false => writeln!(f, "  {name:<16} {words}")?,
            }
        }
        let longest = self.longest.map(|time| show_duration(time).to_string());
        let longest = longest.as_deref().unwrap_or("unlimited");
        write!(
            f,
            "at worst: {longest}, {} attempts, {:.2} times the load",
            self.attempts, self.load
        )?;
        for doubt in &self.doubts {
            write!(f, "\ndoubtful: {doubt}")?;
        }
        Ok(())
    }
}

fn said(part: &Sketch) -> (&'static str, String) {
    match part {
        Sketch::Guard(outline) => (outline.kind(), outline.words().to_owned()),
        Sketch::Limit { name, time } => (name, show_duration(*time).to_string()),
        Sketch::Again {
            attempts,
            waits,
            budget,
            ..
        } => {
            let budget = match budget {
                Some(ratio) => format!("budget {}%", (ratio * 100.0).round()),
                None => "no budget".to_owned(),
            };
            let most = show_duration(waits.1);
            (
                "retry",
                format!("{attempts} attempts, waits up to {most} in all, {budget}"),
            )
        }
        Sketch::Beside {
            attempts, delay, ..
        } => {
            let delay = show_duration(*delay);
            (
                "hedge",
                format!("up to {attempts} at once, each after {delay}"),
            )
        }
        Sketch::Other { name, words } => (name, words.clone()),
    }
}
