//! What a plain breaker remembers of the calls: lists.

use super::plan::{Over, Plan, Rate, Rule};
use std::time::Duration;

/// Time since the breaker was made.
pub(crate) type Age = Duration;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ended {
    pub(crate) failed: bool,
    pub(crate) slow: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) successes: u64,
    pub(crate) failures: u64,
    pub(crate) timeouts: u64,
    pub(crate) ignored: u64,
    pub(crate) cancelled: u64,
    pub(crate) stale: u64,
    pub(crate) rejected: u64,
    pub(crate) dark: u64,
    pub(crate) changes: u64,
    pub(crate) timed: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Memory {
    pub(crate) in_a_row: u32,
    /// All that was counted, oldest first, as long as a window over calls may still see it.
    calls: Vec<Ended>,
    /// For each span of time what ended in it, with the begin of its slice.
    times: Vec<(Duration, Vec<(Age, Ended)>)>,
}

impl Memory {
    pub(crate) fn new(plan: &Plan) -> Self {
        let times = spans(plan).into_iter().map(|span| (span, Vec::new()));
        Self {
            in_a_row: 0,
            calls: Vec::new(),
            times: times.collect(),
        }
    }

    pub(crate) fn push(&mut self, ended: Ended, now: Age) {
        self.in_a_row = if ended.failed { self.in_a_row + 1 } else { 0 };
        self.calls.push(ended);
        // Results are put into the slices of the finest window first.
        let finest = self.times.iter().map(|(span, _)| *span / 20).min();
        for (span, results) in &mut self.times {
            let at = floor(now, finest.unwrap_or_default());
            results.push((floor(at, *span / 20), ended));
        }
    }

    /// What the window of this rate sees.
    pub(crate) fn seen(&self, rate: &Rate, now: Age) -> Vec<Ended> {
        match rate.over {
            Over::Calls(size) => {
                let from = self.calls.len().saturating_sub(size);
                self.calls[from..].to_vec()
            }
            Over::Time(span) => {
                let results = &self.times.iter().find(|(one, _)| *one == span).unwrap().1;
                let now = slice(now, span / 20);
                let seen = results
                    .iter()
                    .filter(|(at, _)| slice(*at, span / 20) + 20 > now);
                seen.map(|(_, ended)| *ended).collect()
            }
        }
    }

    pub(crate) fn forget(&mut self) {
        self.in_a_row = 0;
        self.calls.clear();
        self.times
            .iter_mut()
            .for_each(|(_, results)| results.clear());
    }

    /// The windows of another plan take over from the longest of their kind.
    pub(crate) fn refit(&mut self, old: &Plan, new: &Plan) {
        match longest_count(old) {
            Some(longest) if longest_count(new).is_some() => {
                let from = self.calls.len().saturating_sub(longest);
                self.calls.drain(..from);
            }
            _ => self.calls.clear(),
        }
        let times = std::mem::take(&mut self.times);
        let longest = times.into_iter().max_by_key(|(span, _)| *span);
        let (old_span, results) = longest.unwrap_or_default();
        let newest = results.iter().map(|(at, _)| *at).max().unwrap_or_default();
        let still_held = |at: Age| slice(at, old_span / 20) + 20 > slice(newest, old_span / 20);
        for span in spans(new) {
            let held = results.iter().filter(|(at, _)| still_held(*at));
            let moved = held.map(|(at, ended)| (floor(*at, span / 20), *ended));
            self.times.push((span, moved.collect()));
        }
    }
}

fn longest_count(plan: &Plan) -> Option<usize> {
    let sizes = plan.rules.iter().filter_map(|rule| match rule {
        Rule::Failed(rate) | Rule::Slow(rate) => match rate.over {
            Over::Calls(size) => Some(size),
            Over::Time(_) => None,
        },
        Rule::InARow(_) => None,
    });
    sizes.max()
}

fn spans(plan: &Plan) -> Vec<Duration> {
    let mut spans = Vec::new();
    for rule in &plan.rules {
        if let Rule::Failed(rate) | Rule::Slow(rate) = rule
            && let Over::Time(span) = rate.over
            && !spans.contains(&span)
        {
            spans.push(span);
        }
    }
    spans
}

fn slice(at: Age, length: Duration) -> u128 {
    at.as_nanos() / length.as_nanos()
}

fn floor(at: Age, length: Duration) -> Age {
    length * slice(at, length) as u32
}
