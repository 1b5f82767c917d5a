//! On which call it opens.
//!
//! One thread: on exactly the call after which a rule holds.
//!
//! Several threads: a failure is judged by whoever holds the lock when it ends, or by the next, who comes
//! at once. All calls that end from the first failure that is not yet judged until it is judged count as
//! simultaneous, in any order: as many as end while one or two threads hold the lock. All that ended
//! before count before; where a judge is held up for long, what one thread counted is evenly mixed. So the breaker opens only if some order of simultaneous results would open it, and
//! once all threads have come home it is open if every order would have.

use crate::{
    model::{cases, is_long},
    support::{Bench, percent, plain},
};
use proptest::{prelude::*, test_runner::TestRunner};
use rs_breaker::{BreakerConfig, BreakerState, Probing, Trip, Window};
use rs_core::Outcome;
use std::{
    collections::{HashSet, VecDeque},
    sync::Barrier,
    thread,
};

#[track_caller]
fn check(percent_at_least: u32, window: usize, minimum: usize, results: &[bool]) {
    let over = Window::last(window as u32).after(minimum as u32);
    let rule = Trip::failure_rate(percent(percent_at_least), over);
    let bench = Bench::with(plain().with_trip([rule]));
    for (place, failed) in results.iter().enumerate() {
        bench.call(if *failed {
            Outcome::TRANSIENT
        } else {
            Outcome::Success
        });
        let seen = &results[(place + 1).saturating_sub(window)..=place];
        let bad = seen.iter().filter(|failed| **failed).count();
        let holds = seen.len() >= minimum && 100 * bad >= percent_at_least as usize * seen.len();
        let opens = *failed && holds;
        let expected = if opens {
            BreakerState::Open
        } else {
            BreakerState::Closed
        };
        assert_eq!(
            bench.breaker.state(),
            expected,
            "call {place} of {results:?}"
        );
        if opens {
            return;
        }
    }
}

#[test]
fn half_of_the_last_hundred_opens_on_the_very_call() {
    let with = |failures: &[usize], calls| -> Vec<bool> {
        (0..calls).map(|place| failures.contains(&place)).collect()
    };
    let every_second: Vec<_> = (0..1_000).filter(|place| place % 2 == 1).collect();
    check(50, 100, 100, &with(&every_second, 1_000));
    // 49 failures, and then one more as the hundredth call, the hundred and first, …
    for last in 99..160 {
        let first: Vec<_> = (50..99).chain([last]).collect();
        check(50, 100, 100, &with(&first, 200));
    }
    check(50, 100, 20, &with(&(90..200).collect::<Vec<_>>(), 200));
    check(100, 100, 100, &[true; 100]);
    check(1, 100, 100, &with(&[99], 100));
}

#[test]
fn any_rate_opens_on_the_very_call() {
    let results = prop::collection::vec(prop::bool::weighted(0.45), 0..400);
    let rule = (1_u32..=100, 1_usize..=130)
        .prop_flat_map(|(percent, window)| (Just(percent), Just(window), 1..=window));
    TestRunner::new(cases(1_000))
        .run(&(rule, results), |((percent, window, minimum), results)| {
            check(percent, window, minimum, &results);
            Ok(())
        })
        .unwrap();
}

/// What a breaker may be, as far as its rules look: opened, or the last results and the run of failures.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum May {
    BeOpen,
    HaveSeen { last: VecDeque<bool>, in_a_row: u32 },
}

const WINDOW: usize = 10;
const MINIMUM: usize = 6;
const IN_A_ROW: u32 = 5;

fn rules() -> BreakerConfig {
    let over = Window::last(WINDOW as u32).after(MINIMUM as u32);
    plain().with_trip([
        Trip::failure_rate(percent(60), over),
        Trip::consecutive_failures(IN_A_ROW),
    ])
}

impl May {
    fn begin() -> Self {
        Self::HaveSeen {
            last: VecDeque::new(),
            in_a_row: 0,
        }
    }

    fn after(&self, failed: bool) -> Self {
        let Self::HaveSeen { last, in_a_row } = self else {
            return Self::BeOpen;
        };
        let mut last = last.clone();
        last.push_back(failed);
        if last.len() > WINDOW {
            last.pop_front();
        }
        let in_a_row = if failed { in_a_row + 1 } else { 0 };
        let bad = last.iter().filter(|failed| **failed).count();
        let rate = last.len() >= MINIMUM && 100 * bad >= 60 * last.len();
        if failed && (rate || in_a_row >= IN_A_ROW) {
            Self::BeOpen
        } else {
            Self::HaveSeen { last, in_a_row }
        }
    }

    /// What it may be after so many successes and failures, in whatever order.
    fn after_all(may: &HashSet<Self>, successes: usize, failures: usize) -> HashSet<Self> {
        // After so many failures, by the number of successes.
        let mut before: Vec<HashSet<Self>> = Vec::new();
        for failed in 0..=failures {
            let mut row: Vec<HashSet<Self>> = Vec::new();
            for succeeded in 0..=successes {
                let mut found = HashSet::new();
                if failed == 0 && succeeded == 0 {
                    found.clone_from(may);
                }
                if failed > 0 {
                    found.extend(before[succeeded].iter().map(|may| may.after(true)));
                }
                if succeeded > 0 {
                    found.extend(row[succeeded - 1].iter().map(|may| may.after(false)));
                }
                row.push(found);
            }
            before = row;
        }
        before.pop().unwrap_or_default()
    }
}

const THREADS: usize = 4;
const EACH: usize = 3;

/// Rounds of results that end at the same time. After each, the breaker is what some order of them makes
/// of what it may have been before.
#[test]
fn together_it_is_what_some_order_of_the_results_makes_it() {
    let trials = if is_long() { 20_000 } else { 300 };
    let mut dice = fastrand::Rng::with_seed(3);
    let (mut opened, mut certain) = (0, 0);
    for trial in 0..trials {
        let failing = dice.choice([20, 40, 60]).unwrap_or(40);
        let mut draw = || dice.u8(..100) < failing;
        let rounds: Vec<[[bool; EACH]; THREADS]> = (0..6)
            .map(|_| [(); THREADS].map(|()| [(); EACH].map(|()| draw())))
            .collect();
        let bench = Bench::with(rules());
        let barrier = Barrier::new(THREADS + 1);
        let mut may = HashSet::from([May::begin()]);
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (rounds, barrier, bench) = (&rounds, &barrier, &bench);
                scope.spawn(move || {
                    for round in rounds {
                        barrier.wait();
                        for failed in round[thread] {
                            bench.call(if failed {
                                Outcome::TRANSIENT
                            } else {
                                Outcome::Success
                            });
                        }
                        barrier.wait();
                    }
                });
            }
            for round in &rounds {
                barrier.wait();
                barrier.wait();
                let failures = round.iter().flatten().filter(|failed| **failed).count();
                may = May::after_all(&may, THREADS * EACH - failures, failures);
                let is_open = bench.breaker.state() == BreakerState::Open;
                certain += u32::from(may.iter().all(|may| *may == May::BeOpen));
                may.retain(|may| (*may == May::BeOpen) == is_open);
            }
        });
        let now = bench.breaker.snapshot();
        let fits = may.iter().any(|may| match may {
            May::BeOpen => now.state == BreakerState::Open,
            May::HaveSeen { last, in_a_row } => {
                let bad = last.iter().filter(|failed| **failed).count();
                now.state == BreakerState::Closed
                    && now.window_calls == last.len() as u64
                    && now.consecutive_failures == *in_a_row
                    && (now.failure_rate.get() * last.len() as f64 - bad as f64).abs() < 1e-9
            }
        });
        assert!(fits, "trial {trial}: {now:?} after {rounds:?}");
        opened += u32::from(now.state == BreakerState::Open);
    }
    assert!(
        opened > trials / 10 && certain > 0,
        "{opened} opened, {certain} for certain"
    );
}

/// So many failures at once, and a rule that needs them all, or one more.
#[track_caller]
fn check_all_at_once(rule: impl Fn(u32) -> Trip) {
    const CALLS: u32 = 12;
    const THREADS: u32 = 4;
    let trials = if is_long() { 2_000 } else { 40 };
    for needed in [CALLS * THREADS, CALLS * THREADS + 1] {
        for _ in 0..trials {
            let config = plain()
                .with_trip([rule(needed)])
                .with_probing(Probing::needing(1));
            let bench = Bench::with(config);
            let barrier = Barrier::new(THREADS as usize);
            thread::scope(|scope| {
                for _ in 0..THREADS {
                    scope.spawn(|| {
                        let permits: Vec<_> = (0..CALLS).map(|_| bench.enter().unwrap()).collect();
                        barrier.wait();
                        permits
                            .into_iter()
                            .for_each(|permit| permit.finish(Outcome::TRANSIENT));
                    });
                }
            });
            let expected = match needed > CALLS * THREADS {
                true => BreakerState::Closed,
                false => BreakerState::Open,
            };
            assert_eq!(bench.breaker.state(), expected, "{needed}");
        }
    }
}

#[test]
fn all_together_it_opens_when_there_are_enough_failures_and_not_before() {
    check_all_at_once(Trip::consecutive_failures);
    check_all_at_once(|needed| Trip::failure_rate(percent(100), Window::last(100).after(needed)));
    let minute = std::time::Duration::from_secs(60);
    check_all_at_once(|needed| Trip::failure_rate(percent(1), Window::time(minute).after(needed)));
}

/// Threads that never stop hold each other up: what one counts while the other judges is simultaneous,
/// and must be mixed as it was.
#[test]
fn a_steady_tenth_of_failures_never_looks_like_a_third() {
    const CALLS: u32 = 400_000;
    for threads in [2, 3, 8] {
        let rule = Trip::failure_rate(percent(33), Window::last(100));
        let bench = Bench::with(plain().with_trip([rule]));
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for call in 0..CALLS {
                        let failed = call % 10 == 9;
                        let outcome = [Outcome::Success, Outcome::TRANSIENT][usize::from(failed)];
                        match bench.enter() {
                            Ok(permit) => permit.finish(outcome),
                            Err(why) => panic!("{why}"),
                        }
                    }
                });
            }
        });
        assert_eq!(bench.breaker.state(), BreakerState::Closed);
    }
}
