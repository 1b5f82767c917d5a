//! Many breakers as one: how the breakers of a keyed registry are exported and listed.

use std::sync::{Arc, PoisonError};

use rs_core::{
    Action, ActionSpec, ConfigError, ControlError, Inspect, Label, Mandate, Name, Value,
};
use rs_metrics::Distribution;

use crate::{
    BreakerState, control,
    metrics::{Numbers, RequestOutcome, no_times},
    registry::Inner,
    shared::Shared,
    tally::{FailureKind, Refused},
};

/// The numbers of breakers that are no longer kept: a counter never goes back.
#[derive(Default)]
pub(crate) struct Retired {
    requests: [u64; RequestOutcome::ALL.len()],
    failures: [u64; FailureKind::ALL.len()],
    refused: [u64; Refused::ALL.len()],
    state_changes: [u64; BreakerState::ALL.len()],
    dark: u64,
    times: Option<Distribution>,
}

impl Retired {
    pub(crate) fn add(&mut self, breaker: &Shared) {
        add_each(&mut self.requests, |outcome| breaker.requests(outcome));
        add_each(&mut self.failures, |kind| breaker.failures(kind));
        add_each(&mut self.refused, |reason| breaker.refused(reason));
        add_each(&mut self.state_changes, |to| breaker.state_changes(to));
        self.dark += breaker.dark();
        if let Some(times) = Numbers::times(breaker) {
            add_times(self.times.get_or_insert_with(no_times), &times);
        }
    }
}

fn add_each<L: Label>(sums: &mut [u64], of: impl Fn(L) -> u64) {
    for (sum, label) in sums.iter_mut().zip(L::ALL) {
        *sum += of(*label);
    }
}

fn add_times(sum: &mut Distribution, more: &Distribution) {
    for (count, more) in sum.counts.iter_mut().zip(&more.counts) {
        *count += more;
    }
    sum.sum += more.sum;
}

fn get<L: Label>(sums: &[u64], label: L) -> u64 {
    sums.get(label.index()).copied().unwrap_or_default()
}

impl Inner {
    /// Something of the retired, and all that are not among them at that moment: none is missed and none
    /// is counted twice while breakers are let go.
    fn at_once<R>(&self, of_retired: impl FnOnce(&Retired) -> R) -> (R, Vec<Arc<Shared>>) {
        let retired = self.retired.read().unwrap_or_else(PoisonError::into_inner);
        (of_retired(&retired), self.all())
    }

    fn sum(&self, of_retired: impl FnOnce(&Retired) -> u64, of: impl Fn(&Shared) -> u64) -> u64 {
        let (retired, kept) = self.at_once(of_retired);
        retired + kept.iter().map(|breaker| of(breaker)).sum::<u64>()
    }
}

impl Numbers for Inner {
    fn requests(&self, outcome: RequestOutcome) -> u64 {
        self.sum(
            |retired| get(&retired.requests, outcome),
            |breaker| breaker.requests(outcome),
        )
    }

    fn failures(&self, kind: FailureKind) -> u64 {
        self.sum(
            |retired| get(&retired.failures, kind),
            |breaker| breaker.failures(kind),
        )
    }

    fn refused(&self, reason: Refused) -> u64 {
        self.sum(
            |retired| get(&retired.refused, reason),
            |breaker| breaker.refused(reason),
        )
    }

    fn dark(&self) -> u64 {
        self.sum(|retired| retired.dark, Numbers::dark)
    }

    fn state_changes(&self, to: BreakerState) -> u64 {
        self.sum(
            |retired| get(&retired.state_changes, to),
            |breaker| breaker.state_changes(to),
        )
    }

    fn in_state(&self, state: BreakerState) -> u64 {
        self.sum(|_| 0, |breaker| breaker.in_state(state))
    }

    fn times(&self) -> Option<Distribution> {
        let (retired, kept) = self.at_once(|retired| retired.times.clone());
        let mut sum = retired.unwrap_or_else(no_times);
        for breaker in kept {
            if let Some(times) = Numbers::times(&*breaker) {
                add_times(&mut sum, &times);
            }
        }
        Some(sum)
    }
}

/// How many breakers that are not closed a snapshot names.
const SHOWN: usize = 100;

impl Inspect for Inner {
    fn kind(&self) -> &'static str {
        "breakers"
    }

    fn name(&self) -> Name {
        self.group.unwrap_or(Name::OTHER)
    }

    fn snapshot(&self) -> Value {
        let mut states = [0_u64; BreakerState::ALL.len()];
        let mut unwell = Vec::new();
        let kept = self.all();
        for breaker in &kept {
            let state = breaker.state();
            if let Some(count) = states.get_mut(state.index()) {
                *count += 1;
            }
            if state != BreakerState::Closed && unwell.len() < SHOWN {
                unwell.push((breaker.name.as_str(), Value::from(state.as_str())));
            }
        }
        let states = BreakerState::ALL.iter().zip(states);
        let states = states.map(|(state, count)| (state.as_str(), Value::from(count)));
        Value::map([
            ("breakers", Value::from(kept.len())),
            ("states", Value::map(states)),
            ("not_closed", Value::map(unwell)),
        ])
    }

    fn actions(&self) -> &'static [ActionSpec] {
        control::ACTIONS_BY_KEY
    }

    /// Tells the breaker of the key that is given as an argument.
    fn control(&self, action: &Action, mandate: &Mandate) -> Result<(), ControlError> {
        action.check(control::ACTIONS_BY_KEY)?;
        let key = action.argument("key");
        let key = key.ok_or_else(|| ConfigError::missing("key"))?;
        let key = key
            .as_str()
            .ok_or_else(|| ConfigError::other(format_args!("{key} is no text")).in_field("key"))?;
        let breaker = self.breakers.get(key).map(|kept| Arc::clone(&kept.breaker));
        let breaker = breaker.ok_or_else(|| ControlError::NotFound {
            kind: "breaker".to_owned(),
            name: key.to_owned(),
        })?;
        breaker.obey(action, mandate)
    }
}
