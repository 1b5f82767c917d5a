//! Waits: against the arithmetic that anybody would do by hand, and against hostile values.

#[cfg(feature = "serde")]
mod written;

use std::{cell::Cell, iter, time::Duration};

use crate::support::some_cases;
use fastrand::Rng;
use proptest::{prelude::*, test_runner::TestRunner};
use rs_core::{Backoff, Jitter};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

#[derive(Debug, Clone, Copy)]
enum Shape {
    Constant,
    Linear,
    Exponential(f64),
    Fibonacci,
}

#[derive(Debug, Clone, Copy)]
struct Plan {
    shape: Shape,
    first: Duration,
    at_most: Duration,
    at_once: bool,
    jitter: Jitter,
}

impl Plan {
    fn backoff(self) -> Backoff {
        let backoff = match self.shape {
            Shape::Constant => Backoff::constant(self.first),
            Shape::Linear => Backoff::linear(self.first),
            Shape::Exponential(factor) => Backoff::exponential(self.first).times(factor),
            Shape::Fibonacci => Backoff::fibonacci(self.first),
        };
        let backoff = backoff.at_most(self.at_most).with_jitter(self.jitter);
        if self.at_once {
            backoff.at_once_first()
        } else {
            backoff
        }
    }

    /// The wait of this number, the first being 0, in seconds and before chance has its part.
    fn plain(self, number: i32) -> f64 {
        let number = number - i32::from(self.at_once);
        if number < 0 {
            return 0.0;
        }
        let first = self.first.as_secs_f64();
        let grown = match self.shape {
            Shape::Constant => first,
            Shape::Linear => first * f64::from(number + 1),
            Shape::Exponential(factor) => first * factor.powi(number),
            Shape::Fibonacci => {
                let (mut this, mut next) = (1.0, 1.0);
                for _ in 0..number {
                    (this, next) = (next, this + next);
                }
                first * this
            }
        };
        grown.min(self.at_most.as_secs_f64())
    }
}

fn time() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::from_nanos(1)),
        Just(Backoff::LONGEST),
        (0..5000_u64).prop_map(Duration::from_millis),
        (0..Backoff::LONGEST.as_nanos() as u64).prop_map(Duration::from_nanos),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let shape = prop_oneof![
        Just(Shape::Constant),
        Just(Shape::Linear),
        (8..=800_u32).prop_map(|eighths| Shape::Exponential(f64::from(eighths) / 8.0)),
        Just(Shape::Exponential(2.0)),
        Just(Shape::Fibonacci),
    ];
    let jitter = prop_oneof![
        Just(Jitter::None),
        Just(Jitter::Full),
        Just(Jitter::Equal),
        Just(Jitter::Decorrelated),
    ];
    (shape, time(), time(), any::<bool>(), jitter).prop_map(
        |(shape, first, at_most, at_once, jitter)| Plan {
            shape,
            first,
            at_most,
            at_once,
            jitter,
        },
    )
}

/// So much may be lost in the arithmetic.
fn close(found: Duration, expected: f64) -> bool {
    (found.as_secs_f64() - expected).abs() <= 2e-9 + expected * 1e-9
}

fn run<S: Strategy>(some: u32, strategy: S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    TestRunner::new(some_cases(some))
        .run(&strategy, test)
        .unwrap();
}

#[test]
fn without_jitter_the_waits_are_what_one_reckons() {
    run(2000, plan(), |plan| {
        let plan = Plan {
            jitter: Jitter::None,
            ..plan
        };
        prop_assert_eq!(plan.backoff().check(), Ok(()));
        for (number, wait) in plan.backoff().delays().take(60).enumerate() {
            let expected = plan.plain(number as i32);
            prop_assert!(close(wait, expected), "{number}: {wait:?}, not {expected}");
        }
        Ok(())
    });
}

#[test]
fn chance_keeps_within_its_bounds() {
    run(2000, (plan(), any::<u64>()), |(plan, seed)| {
        let waits: Vec<_> = plan
            .backoff()
            .delays_by(Rng::with_seed(seed))
            .take(60)
            .collect();
        prop_assert_eq!(waits.len(), 60);
        let slack = Duration::from_nanos(2);
        let mut last = Duration::ZERO;
        for (number, wait) in waits.into_iter().enumerate() {
            prop_assert!(wait <= plan.at_most);
            if plan.at_once && number == 0 {
                prop_assert_eq!(wait, Duration::ZERO);
                continue;
            }
            let whole = Duration::from_secs_f64(plan.plain(number as i32));
            let (least, most) = match plan.jitter {
                Jitter::None => (whole, whole),
                Jitter::Full => (Duration::ZERO, whole),
                Jitter::Equal => (whole / 2, whole),
                Jitter::Decorrelated => {
                    let first = plan.first.min(plan.at_most);
                    (first, (last.max(first) * 3).min(plan.at_most))
                }
                _ => unreachable!("there are four"),
            };
            let part = Duration::from_secs_f64(whole.as_secs_f64() * 1e-9) + slack;
            prop_assert!(
                least.saturating_sub(part) <= wait && wait <= most + part,
                "{number}: {wait:?} is not from {least:?} to {most:?}"
            );
            last = wait;
        }
        Ok(())
    });
}

#[test]
fn a_seed_repeats_the_waits_and_another_does_not() {
    for jitter in [Jitter::Full, Jitter::Equal, Jitter::Decorrelated] {
        let plan = Backoff::exponential(SECOND).with_jitter(jitter);
        let waits = |seed| -> Vec<_> { plan.delays_by(Rng::with_seed(seed)).take(20).collect() };
        assert_eq!(waits(7), waits(7));
        assert_ne!(waits(7), waits(8));
        assert_ne!(
            plan.delays().take(20).collect::<Vec<_>>(),
            plan.delays().take(20).collect::<Vec<_>>()
        );
    }
}

/// The whole of the range is used, and no part of it more than others.
#[test]
fn chance_is_even() {
    #[track_caller]
    fn check(jitter: Jitter, least: Duration, most: Duration) {
        let plan = Backoff::exponential(SECOND).with_jitter(jitter);
        let mut tenths = [0_u32; 10];
        for seed in 0..10_000 {
            let wait = plan.delays_by(Rng::with_seed(seed)).next().unwrap();
            let part = (wait - least).as_secs_f64() / (most - least).as_secs_f64();
            tenths[((part * 10.0) as usize).min(9)] += 1;
        }
        assert!(
            tenths.iter().all(|count| (850..1150).contains(count)),
            "{jitter:?}: {tenths:?}"
        );
    }
    check(Jitter::Full, Duration::ZERO, SECOND);
    check(Jitter::Equal, SECOND / 2, SECOND);
    check(Jitter::Decorrelated, SECOND, 3 * SECOND);
}

#[test]
fn no_chance_takes_longer_than_the_longest_total() {
    run(
        1000,
        (plan(), any::<u64>(), 0..40_u32),
        |(plan, seed, waits)| {
            let backoff = plan.backoff();
            let longest = backoff.longest_total(waits);
            let taken: Duration = backoff
                .delays_by(Rng::with_seed(seed))
                .take(waits as usize)
                .sum();
            prop_assert!(taken <= longest, "{taken:?} is longer than {longest:?}");
            prop_assert!(longest <= plan.at_most * waits);
            Ok(())
        },
    );
}

/// An upper bound that nothing comes near is of no use to whoever plans with it.
#[test]
fn the_longest_total_is_not_much_longer_than_what_happens() {
    for jitter in [
        Jitter::None,
        Jitter::Full,
        Jitter::Equal,
        Jitter::Decorrelated,
    ] {
        let plan = Backoff::exponential(100 * MS)
            .at_once_first()
            .with_jitter(jitter);
        let longest = plan.longest_total(3);
        let taken = |seed| -> Duration { plan.delays_by(Rng::with_seed(seed)).take(3).sum() };
        let most = (0..20_000).map(taken).max().unwrap();
        assert!(
            most <= longest && longest <= most * 11 / 10,
            "{jitter:?}: {most:?} of {longest:?}"
        );
    }
    assert_eq!(Backoff::default().longest_total(0), Duration::ZERO);
    let decorrelated = Backoff::default().with_jitter(Jitter::Decorrelated);
    assert_eq!(decorrelated.longest_total(3), (300 + 900 + 2700) * MS);
}

/// Also what no policy would take does not bring a thread down.
#[test]
fn hostile_values_saturate() {
    let shapes: [fn(Duration) -> Backoff; 4] = [
        Backoff::constant,
        Backoff::linear,
        Backoff::exponential,
        Backoff::fibonacci,
    ];
    for shape in shapes {
        for jitter in [
            Jitter::None,
            Jitter::Full,
            Jitter::Equal,
            Jitter::Decorrelated,
        ] {
            for factor in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300] {
                let plan = shape(Duration::MAX)
                    .times(factor)
                    .at_most(Duration::MAX)
                    .with_jitter(jitter);
                for seed in 0..50 {
                    let waits = plan.delays_by(Rng::with_seed(seed)).take(100);
                    assert_eq!(waits.count(), 100);
                }
                let _ = plan.longest_total(100);
            }
        }
    }
    // The largest chance that there is must not round up beyond what a duration holds.
    let plan = Backoff::constant(Duration::MAX);
    assert!(
        plan.delays()
            .take(100_000)
            .all(|wait| wait <= Duration::MAX)
    );
}

#[test]
fn waits_that_end() {
    let plan = Backoff::own(|| [1, 20, 3].map(Duration::from_secs).into_iter());
    let waits = |plan: &Backoff| plan.delays().map(|wait| wait.as_secs()).collect::<Vec<_>>();
    assert_eq!(waits(&plan), [1, 20, 3]);
    assert_eq!(waits(&plan), [1, 20, 3], "made anew for each");
    assert_eq!(waits(&plan.clone().at_most(10 * SECOND)), [1, 10, 3]);
    assert_eq!(waits(&plan.clone().at_once_first()), [0, 1, 20, 3]);
    assert_eq!(plan.longest_total(2), 21 * SECOND);
    assert_eq!(plan.longest_total(1_000_000), 24 * SECOND);
    let none = Backoff::own(iter::empty);
    assert_eq!(none.delays().next(), None);
    assert_eq!(none.longest_total(5), Duration::ZERO);
    // A copy is equal, another of the same waits is not known to be.
    assert_eq!(none, none.clone());
    assert_ne!(none, Backoff::own(iter::empty));
}

/// It says that it is fused: once it has ended, it stays so.
#[test]
fn an_end_is_the_end() {
    thread_local! { static TURN: Cell<u32> = const { Cell::new(0) }; }
    let plan = Backoff::own(|| {
        iter::from_fn(|| {
            TURN.with(|turn| turn.set(turn.get() + 1));
            (TURN.get() % 2 == 1).then_some(SECOND)
        })
    });
    let mut delays = plan.delays();
    assert_eq!(delays.next(), Some(SECOND));
    assert_eq!(delays.next(), None);
    assert_eq!(delays.next(), None);
}

#[test]
fn wrong_plans_are_refused() {
    #[track_caller]
    fn check(plan: Backoff, expected: &str) {
        assert_eq!(plan.check().unwrap_err().to_string(), expected);
    }
    let day = "is out of range; allowed: 0s to 1d";
    check(
        Backoff::constant(25 * 3600 * SECOND).at_most(SECOND),
        &format!("first: 1d1h {day}"),
    );
    check(
        Backoff::default().at_most(25 * 3600 * SECOND),
        &format!("at_most: 1d1h {day}"),
    );
    check(
        Backoff::default().times(0.9),
        "factor: 0.9 is out of range; allowed: 1 to 100",
    );
    check(
        Backoff::default().times(f64::NAN),
        "factor: NaN is out of range; allowed: 1 to 100",
    );
    check(
        Backoff::default().times(101.0),
        "factor: 101 is out of range; allowed: 1 to 100",
    );
    assert_eq!(
        Backoff::linear(SECOND).times(0.0).check(),
        Ok(()),
        "it has no factor"
    );
}
