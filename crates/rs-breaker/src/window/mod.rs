//! What the rules look at: the last calls, or the calls of the last time.

mod count;
mod time;

use std::time::{Duration, Instant};

pub(crate) use count::CountWindow;
pub(crate) use time::TimeWindow;

use crate::{BreakerConfig, Span, Trip};

/// How calls ended, as far as the rules are concerned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Results {
    /// Succeeded in time.
    pub(crate) fine: u64,
    /// Succeeded, but slowly.
    pub(crate) slow: u64,
    /// Failed in time.
    pub(crate) failed: u64,
    /// Failed slowly.
    pub(crate) slow_failed: u64,
}

impl Results {
    pub(crate) const fn failures(&self) -> u64 {
        self.failed + self.slow_failed
    }

    pub(crate) const fn successes(&self) -> u64 {
        self.fine + self.slow
    }

    pub(crate) const fn slow_calls(&self) -> u64 {
        self.slow + self.slow_failed
    }

    pub(crate) const fn calls(&self) -> u64 {
        self.successes() + self.failures()
    }

    /// How many of them can make a rule hold.
    pub(crate) const fn against(&self) -> u64 {
        self.slow + self.failures()
    }

    /// In which order they count, as (failed, slow, how many in a row).
    ///
    /// Of calls that are told together only their numbers are known. When one of them speaks against the
    /// dependency it ended last, for it made its thread tell: that is exact. When several do, another
    /// thread was telling for so long, and they count evenly mixed, ending with the bad ones; only the
    /// last `most` are given then, for more do not matter to whoever asks.
    pub(crate) fn mixed(&self, most: u64, mut give: impl FnMut(bool, bool, u64)) {
        let kinds = [
            (false, false, self.fine),
            (false, true, self.slow),
            (true, false, self.failed),
            (true, true, self.slow_failed),
        ];
        if self.against() <= 1 {
            for (failed, slow, count) in kinds {
                if count > 0 {
                    give(failed, slow, count);
                }
            }
            return;
        }
        let calls = self.calls();
        // Each step gives one on average; rounding holds back at most one of each kind.
        let first = calls.saturating_sub(most + kinds.len() as u64);
        for step in first..calls {
            for (failed, slow, count) in kinds {
                let given = |steps: u64| u128::from(count) * u128::from(steps) / u128::from(calls);
                if given(step + 1) > given(step) {
                    give(failed, slow, 1);
                }
            }
        }
    }
}

impl std::ops::AddAssign for Results {
    fn add_assign(&mut self, more: Self) {
        self.fine += more.fine;
        self.slow += more.slow;
        self.failed += more.failed;
        self.slow_failed += more.slow_failed;
    }
}

/// All windows of a breaker and the run of failures: one window for each span that a rule names.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    origin: Instant,
    run: u32,
    // Boxed, for a vector makes room for four at once.
    calls: Box<[CountWindow]>,
    times: Box<[TimeWindow]>,
}

impl Record {
    pub(crate) fn new(config: &BreakerConfig, origin: Instant) -> Self {
        let spans = spans(config);
        Self {
            origin,
            run: 0,
            calls: collected(&spans, |span| match span {
                Span::Calls(size) => Some(CountWindow::new(size)),
                Span::Time(_) => None,
            }),
            times: collected(&spans, |span| match span {
                Span::Time(time) => Some(TimeWindow::new(time)),
                Span::Calls(_) => None,
            }),
        }
    }

    /// The same record under other rules, as far as it fits: a window takes over from the one of the
    /// same kind that reached furthest.
    pub(crate) fn refit(&self, config: &BreakerConfig) -> Self {
        let mut refitted = Self::new(config, self.origin);
        refitted.run = self.run;
        if let Some(longest) = self.calls.iter().max_by_key(|window| window.size()) {
            refitted
                .calls
                .iter_mut()
                .for_each(|window| window.take_over(longest));
        }
        if let Some(longest) = self.times.iter().max_by_key(|window| window.span()) {
            refitted
                .times
                .iter_mut()
                .for_each(|window| window.take_over(longest));
        }
        refitted
    }

    pub(crate) fn clear(&mut self) {
        self.run = 0;
        self.calls.iter_mut().for_each(CountWindow::clear);
        self.times.iter_mut().for_each(TimeWindow::clear);
    }

    /// These calls ended at that time.
    pub(crate) fn push(&mut self, at: Instant, results: Results) {
        self.run = self.run_after(results);
        for window in &mut self.calls {
            window.push(results);
        }
        let age = at.saturating_duration_since(self.origin);
        for window in &mut self.times {
            window.push(age, results);
        }
    }

    fn run_after(&self, results: Results) -> u32 {
        let more =
            |run: u32, count: u64| run.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
        let Some(calls_a_success) = results.calls().checked_div(results.successes()) else {
            return more(self.run, results.failures());
        };
        // Far enough back to see a success.
        let mut run = 0;
        results.mixed(calls_a_success + 1, |failed, _, count| {
            run = if failed { more(run, count) } else { 0 };
        });
        run
    }

    /// Failures in a row.
    pub(crate) const fn run(&self) -> u32 {
        self.run
    }

    /// What this rule sees.
    pub(crate) fn seen_by(&self, rule: &Trip, now: impl Fn() -> Instant) -> Results {
        match rule.window().map(|window| window.span()) {
            None => Results::default(),
            Some(span) => self.over(span, now),
        }
    }

    fn over(&self, span: Span, now: impl Fn() -> Instant) -> Results {
        match span {
            Span::Calls(size) => {
                let window = self.calls.iter().find(|window| window.size() == size);
                window.map(CountWindow::results).unwrap_or_default()
            }
            Span::Time(time) => {
                let age = now().saturating_duration_since(self.origin);
                let window = self.times.iter().find(|window| window.span() == time);
                window.map(|window| window.results(age)).unwrap_or_default()
            }
        }
    }
}

fn collected<T>(spans: &[Span], window: impl Fn(Span) -> Option<T>) -> Box<[T]> {
    spans.iter().filter_map(|span| window(*span)).collect()
}

fn spans(config: &BreakerConfig) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for window in config.trip.iter().filter_map(Trip::window) {
        if !spans.contains(&window.span()) {
            spans.push(window.span());
        }
    }
    spans
}

/// Time since the breaker was made.
type Age = Duration;
