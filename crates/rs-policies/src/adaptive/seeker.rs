//! How the limit moves: what an algorithm wishes for, within bounds that hold for all, and the measuring
//! of unloaded calls. Pure: the time and the results are handed in.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use fastrand::Rng;
use rs_core::Deadline;

use super::{AdaptiveConfig, FindLimit, Sample};

/// What a window of results showed, as it was counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) now: Instant,
    /// Successes, and how long they took on average, in seconds.
    pub(super) timed: u32,
    pub(super) mean: f64,
    pub(super) dropped: u32,
    /// The most that were in flight.
    pub(super) in_flight: u32,
}

/// What is to be done until the next one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Decision {
    /// The limit in force.
    pub(super) limit: u32,
    /// When the next window may end.
    pub(super) due: Instant,
    /// Times that are known before this moment say nothing: those calls met another load.
    pub(super) times_from: Option<Instant>,
    /// Drops of calls that began before this moment say nothing: they were answered already.
    pub(super) drops_from: Option<Instant>,
    pub(super) change: Change,
}

/// What was done, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Grew,
    ShrankByDrops,
    ShrankByTime,
    /// Nothing to do.
    Held,
    /// It would have grown, but it is hardly used.
    Unused,
    Measuring,
    /// The algorithm panicked; the limit stays.
    Panicked,
}

impl Change {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Grew => "grew",
            Self::ShrankByDrops => "shrank: calls were dropped",
            Self::ShrankByTime => "shrank: calls got slower",
            Self::Held => "held",
            Self::Unused => "held: hardly used",
            Self::Measuring => "measuring unloaded calls",
            Self::Panicked => "held: the algorithm panicked",
        }
    }
}

pub(super) struct Seeker {
    rules: AdaptiveConfig,
    algorithm: Box<dyn FindLimit>,
    limit: f64,
    /// How long calls take and how long unloaded ones do, in seconds.
    time: Option<f64>,
    unloaded: Option<f64>,
    /// How many measured calls stand behind that.
    evidence: u32,
    phase: Phase,
    measure_at: Instant,
    pace: Duration,
    /// The limit when unloaded calls were last measured.
    measured_at: f64,
    last: Change,
    dice: Rng,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    Seeking,
    /// The limit is lowered, until the queue that it filled is gone.
    Draining,
    /// Then calls are measured, until this moment at the latest.
    Measuring(Instant),
}

/// So many results say as much as what is known already.
const WEIGHT: f64 = 100.0;
/// So many are taken to measure unloaded calls, if they come soon.
const MEASURED: u32 = 100;
/// The first measurements come soon: what was measured first may have been loaded.
const FIRST_PACE: Duration = Duration::from_secs(1);

impl Seeker {
    pub(super) fn new(rules: AdaptiveConfig, now: Instant, dice: Rng) -> Self {
        let limit = rules.initial().into();
        Self {
            algorithm: rules.algorithm().make(),
            limit,
            time: None,
            unloaded: None,
            evidence: 0,
            phase: Phase::Seeking,
            measure_at: Deadline::after(now, FIRST_PACE).moment(),
            pace: FIRST_PACE,
            measured_at: limit,
            last: Change::Held,
            dice,
            rules,
        }
    }

    /// By other rules from now on, with the limit and the times that were found.
    pub(super) fn reconfigure(&mut self, rules: AdaptiveConfig, now: Instant) -> Decision {
        if rules.algorithm() != self.rules.algorithm() {
            self.algorithm = rules.algorithm().make();
        }
        self.rules = rules;
        self.limit = self.within(self.limit);
        self.phase = Phase::Seeking;
        self.measure_soon(now);
        self.decide(now, Change::Held)
    }

    /// What was done last.
    pub(super) const fn last(&self) -> &'static str {
        self.last.as_str()
    }

    pub(super) const fn rules(&self) -> &AdaptiveConfig {
        &self.rules
    }

    /// The limit that was found; while unloaded calls are measured another is in force.
    pub(super) const fn limit(&self) -> f64 {
        self.limit
    }

    pub(super) const fn time(&self) -> Option<f64> {
        self.time
    }

    pub(super) const fn unloaded(&self) -> Option<f64> {
        self.unloaded
    }

    /// When to look again, if so many results are not enough yet.
    pub(super) fn not_before(&self, now: Instant, results: u32) -> Option<Instant> {
        let enough = match self.phase {
            Phase::Draining => true,
            Phase::Seeking => results >= self.rules.results(),
            Phase::Measuring(until) => {
                results >= MEASURED.max(self.rules.results()) || now >= until
            }
        };
        let soon = self.rules.window() / 4;
        (!enough).then(|| Deadline::after(now, soon).moment())
    }

    pub(super) fn judge(&mut self, window: &Window) -> Decision {
        let decision = self.after(window);
        self.last = decision.change;
        decision
    }

    fn after(&mut self, window: &Window) -> Decision {
        let now = window.now;
        match self.phase {
            Phase::Draining => {
                let longest = Duration::from_secs(1).max(10 * self.call_time());
                self.phase = Phase::Measuring(Deadline::after(now, longest).moment());
                self.decide(now, Change::Measuring)
            }
            Phase::Measuring(_) => {
                self.measured(window);
                self.phase = Phase::Seeking;
                self.settle(now, Change::Held)
            }
            Phase::Seeking => self.seek(window),
        }
    }

    fn seek(&mut self, window: &Window) -> Decision {
        let now = window.now;
        self.learn(window);
        let sample = self.sample(window);
        let algorithm = AssertUnwindSafe(|| self.algorithm.next(&sample));
        let Ok(wish) = catch_unwind(algorithm) else {
            return self.decide(now, Change::Panicked);
        };
        let used = is_used(self.limit, window.in_flight);
        let before = self.limit;
        self.limit = self.bounded(wish, window.in_flight);
        let change = if self.limit > before {
            Change::Grew
        } else if self.limit < before && sample.is_overloaded {
            Change::ShrankByDrops
        } else if self.limit < before {
            Change::ShrankByTime
        } else if wish > before && !used {
            Change::Unused
        } else {
            Change::Held
        };
        // A limit that fell far by slow calls is wrong if it is the calls that got slower.
        let fell_far = self.limit < self.measured_at / 2.0 && change == Change::ShrankByTime;
        let is_due = now >= self.measure_at || fell_far;
        if self.algorithm.compares_times() && is_due && window.timed > 0 {
            if !used {
                self.measured(window);
            } else {
                self.phase = Phase::Draining;
                return self.decide(now, Change::Measuring);
            }
        }
        if self.limit < before {
            self.settle(now, change)
        } else {
            self.decide(now, change)
        }
    }

    fn learn(&mut self, window: &Window) {
        if window.timed == 0 {
            return;
        }
        let is_first = self.time.is_none();
        let time = blend(self.time, window.mean, window.timed, WEIGHT);
        self.time = Some(time);
        if is_first {
            // Of the calls of the first window only the short ones are over.
            return;
        }
        // Chance alone makes some windows faster than others; clearly faster is news. It may be too fast,
        // where the slow calls are not over yet, and is believed until it is measured.
        if self.unloaded.is_none_or(|unloaded| time < 0.8 * unloaded) {
            (self.unloaded, self.evidence) = (Some(time), 0);
        }
    }

    fn measured(&mut self, window: &Window) {
        self.pace *= 2;
        let (mean, calls) = (window.mean, window.timed);
        if calls >= self.rules.results() {
            // Further off than chance takes so many times, though each may differ by as much as it takes.
            let by_chance = 4.0 / f64::from(calls).sqrt();
            let is_news = |unloaded: f64| (mean / unloaded - 1.0).abs() > by_chance;
            if self.unloaded.is_none_or(is_news) {
                // It changed, and may go on changing.
                (self.evidence, self.pace) = (0, FIRST_PACE);
            }
            let evidence = f64::from(self.evidence);
            self.unloaded = Some(blend(self.unloaded, mean, calls, evidence));
            self.evidence = self.evidence.saturating_add(calls).min(2 * MEASURED);
        }
        self.measured_at = self.limit;
        self.measure_soon(window.now);
    }

    /// Jittered: clients that began together do not all step back together.
    fn measure_soon(&mut self, now: Instant) {
        self.pace = self.pace.min(self.rules.remeasure());
        let pace = self.pace.max(50 * self.call_time());
        let pace = pace.mul_f64(0.85 + 0.3 * self.dice.f64());
        self.measure_at = Deadline::after(now, pace).moment();
    }

    fn sample(&self, window: &Window) -> Sample {
        let calls = window.timed.saturating_add(window.dropped);
        let tolerated = self.rules.tolerated_drops().get() * f64::from(calls);
        let duration = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        Sample {
            now: window.now,
            limit: self.limit,
            in_flight: window.in_flight,
            calls,
            dropped: window.dropped,
            is_overloaded: f64::from(window.dropped) > tolerated,
            time: self.time.map(duration),
            unloaded: self.unloaded.map(duration),
        }
    }

    /// A limit that does not bind has proved nothing: it grows as far as it is used, from half of it on,
    /// and while it is not it falls back at most to twice what is used or to where it began.
    fn bounded(&self, wish: f64, in_flight: u32) -> f64 {
        let (wish, in_flight) = (
            if wish.is_finite() { wish } else { self.limit },
            f64::from(in_flight),
        );
        let use_beyond_half = 2.0 * in_flight / self.limit - 1.0;
        if wish > self.limit {
            let growth = (wish - self.limit) * use_beyond_half.clamp(0.0, 1.0);
            return self.within(self.limit + growth);
        }
        if use_beyond_half >= 0.0 {
            return self.within(wish);
        }
        let least = f64::from(self.rules.initial()).max(2.0 * in_flight);
        self.within(wish.max(least).min(self.limit))
    }

    fn within(&self, limit: f64) -> f64 {
        limit.clamp(self.rules.minimum().into(), self.rules.maximum().into())
    }

    fn call_time(&self) -> Duration {
        Duration::try_from_secs_f64(self.time.unwrap_or(0.0)).unwrap_or_default()
    }

    /// One overload is answered once: what was in it already says nothing of the answer.
    fn settle(&self, now: Instant, change: Change) -> Decision {
        let settled = Deadline::after(now, self.call_time()).moment();
        Decision {
            times_from: Some(settled),
            drops_from: Some(now),
            ..self.decide(settled, change)
        }
    }

    fn decide(&self, now: Instant, change: Change) -> Decision {
        let (limit, length) = match self.phase {
            Phase::Seeking => (self.limit, self.rules.window().max(self.call_time())),
            Phase::Draining => (self.within(self.limit / 2.0), 2 * self.call_time()),
            Phase::Measuring(_) => (self.within(self.limit / 2.0), self.call_time()),
        };
        Decision {
            limit: limit.round() as u32,
            due: Deadline::after(now, length).moment(),
            times_from: None,
            drops_from: None,
            change,
        }
    }
}

fn is_used(limit: f64, in_flight: u32) -> bool {
    2.0 * f64::from(in_flight) >= limit
}

/// What is known, moved towards a mean of so many.
fn blend(known: Option<f64>, mean: f64, of: u32, weight: f64) -> f64 {
    match known {
        None => mean,
        Some(known) => known + (mean - known) * f64::from(of) / (f64::from(of) + weight),
    }
}
