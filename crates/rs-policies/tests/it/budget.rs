//! A budget against an exact window, and against everything that makes its counting inexact.

#[cfg(feature = "serde")]
mod written;

use std::{collections::VecDeque, time::Duration};

use crate::support::{Bench, MS, SECOND, cases, percent};
use proptest::{prelude::*, test_runner::TestRunner};
use rs_core::FaultKind;
use rs_policies::{Budget, BudgetConfig, Costs, metrics};

fn config(ratio: u32, at_least: &str) -> BudgetConfig {
    BudgetConfig::of(percent(ratio)).at_least(at_least.parse().unwrap())
}

fn budget(bench: &Bench, config: BudgetConfig) -> Budget {
    Budget::within(&bench.around, "bank", config).unwrap()
}

fn deposit(budget: &Budget, calls: u32) {
    (0..calls).for_each(|_| budget.deposit());
}

/// How many tries of this kind it grants now.
fn granted(budget: &Budget, kind: FaultKind) -> u32 {
    let mut granted = 0;
    while budget.withdraw(kind) {
        granted += 1;
    }
    granted
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u32),
    Deposit(u32),
    Withdraw(FaultKind),
    Reconfigure(u32, u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kind = prop_oneof![
        Just(FaultKind::Transient),
        Just(FaultKind::TimedOut),
        Just(FaultKind::Throttled),
    ];
    let step = prop_oneof![
        3 => (0..3000_u32).prop_map(Step::Wait),
        1 => (9000..12_000_u32).prop_map(Step::Wait),
        3 => (0..200_u32).prop_map(Step::Deposit),
        8 => kind.prop_map(Step::Withdraw),
        1 => (0..100_u32, 0..3_u32).prop_map(|(ratio, rate)| Step::Reconfigure(ratio, rate)),
    ];
    prop::collection::vec(step, 1..120)
}

/// Everything that happened, with its moment.
#[derive(Default)]
struct Exact {
    calls: VecDeque<(Duration, f64)>,
    spent: VecDeque<(Duration, f64)>,
}

/// What happened less than this time ago, or just as long if that counts, too.
fn of_last(list: &VecDeque<(Duration, f64)>, now: Duration, time: Duration, closed: bool) -> f64 {
    let recent = list.iter().filter(|(at, _)| {
        let age = now - *at;
        age < time || closed && age == time
    });
    recent.map(|(_, number)| number).sum()
}

impl Exact {
    /// The balance can be told to half a second: from this to that.
    fn balance(&self, now: Duration, ratio: f64, floor: f64) -> (f64, f64) {
        let slice = Budget::WINDOW / 20;
        let of = |list, time, closed| of_last(list, now, time, closed);
        let least = of(&self.calls, Budget::WINDOW - slice, true) * ratio + floor
            - of(&self.spent, Budget::WINDOW + slice, false);
        let most = of(&self.calls, Budget::WINDOW, false) * ratio + floor
            - of(&self.spent, Budget::WINDOW, true);
        (least, most)
    }
}

#[test]
fn it_grants_what_an_exact_window_would() {
    let mut seen = [0_u32; 3];
    let counted = std::cell::RefCell::new(&mut seen);
    TestRunner::new(cases(250))
        .run(&steps(), |steps| {
            let bench = Bench::new();
            let (mut ratio, mut rate) = (20, 1);
            let budget = budget(&bench, config(ratio, "1/s"));
            let (mut exact, mut now) = (Exact::default(), Duration::ZERO);
            let (mut withdrawn, mut refused) = (0, 0);
            for step in steps {
                match step {
                    Step::Wait(ms) => {
                        now += ms * MS;
                        bench.wait(ms * MS);
                        // Somebody looks, so that what comes next is known to come now.
                        let _ = budget.balance();
                    }
                    Step::Deposit(calls) => {
                        deposit(&budget, calls);
                        let _ = budget.balance();
                        exact.calls.push_back((now, calls.into()));
                    }
                    Step::Reconfigure(percent, per_second) => {
                        (ratio, rate) = (percent, per_second);
                        let rate = format!("{rate}/s");
                        budget.reconfigure(config(ratio, &rate)).unwrap();
                    }
                    Step::Withdraw(kind) => {
                        let cost = if kind == FaultKind::Transient {
                            1.0
                        } else {
                            2.0
                        };
                        let ratio = f64::from(ratio) / 100.0;
                        let (least, most) = exact.balance(now, ratio, f64::from(rate) * 10.0);
                        let balance = budget.balance();
                        prop_assert!(
                            (least - 1e-6..=most.max(0.0) + 1e-6).contains(&balance)
                                || balance == 0.0,
                            "{balance} is not from {least} to {most}"
                        );
                        let granted = budget.withdraw(kind);
                        prop_assert!(granted || least < cost - 1e-9, "{least} for {cost}");
                        prop_assert!(!granted || most >= cost - 1e-6, "{most} for {cost}");
                        if granted {
                            exact.spent.push_back((now, cost));
                            withdrawn += 1;
                        } else {
                            refused += 1;
                        }
                        let unclear = least < cost && most >= cost;
                        counted.borrow_mut()[if unclear { 2 } else { usize::from(granted) }] += 1;
                    }
                }
            }
            prop_assert_eq!(budget.refused(), refused);
            let read = |metric: &rs_metrics::Metric<rs_metrics::Counter, (), 1>| {
                metric.read(&bench.registry, budget.name(), ()).unwrap()
            };
            prop_assert_eq!(read(&metrics::BUDGET_WITHDRAWN), withdrawn);
            prop_assert_eq!(read(&metrics::BUDGET_EXHAUSTED), refused);
            Ok(())
        })
        .unwrap();
    let [refused, granted, unclear] = seen;
    assert!(
        refused > 100 && granted > 500 && unclear < granted,
        "{seen:?}"
    );
}

/// A tenth of a hundred is ten, however the hundred lies over the slices.
#[test]
fn shares_do_not_get_lost_in_the_arithmetic() {
    for ms in (1..9000).step_by(7) {
        let bench = Bench::new();
        let budget = budget(&bench, config(10, "0/s"));
        bench.wait(ms * MS / 3);
        assert_eq!(budget.balance(), 0.0);
        // Nobody looks while they come: they are spread over the time.
        deposit(&budget, 50);
        bench.wait(ms * MS);
        assert_eq!(granted(&budget, FaultKind::Transient), 5, "after {ms} ms");
    }
}

#[test]
fn each_kind_has_its_cost() {
    let bench = Bench::new();
    let budget = budget(&bench, config(0, "1/s"));
    assert_eq!(granted(&budget, FaultKind::Transient), 10);
    bench.wait(11 * SECOND);
    assert_eq!(granted(&budget, FaultKind::TimedOut), 5);
    bench.wait(11 * SECOND);
    assert_eq!(granted(&budget, FaultKind::Throttled), 5);
    bench.wait(11 * SECOND);
    let costs = Costs {
        transient: 0.5,
        timed_out: 3.0,
        throttled: 10.0,
    };
    budget
        .reconfigure(config(0, "1/s").with_costs(costs))
        .unwrap();
    assert_eq!(granted(&budget, FaultKind::Throttled), 1);
    bench.wait(11 * SECOND);
    assert_eq!(granted(&budget, FaultKind::TimedOut), 3);
    assert_eq!(granted(&budget, FaultKind::Transient), 2);
    assert_eq!(budget.balance(), 0.0);
    // One that is dearer than all there is is never granted, a cheap one is.
    let dear = Costs {
        throttled: 11.0,
        ..costs
    };
    budget
        .reconfigure(config(0, "1/s").with_costs(dear))
        .unwrap();
    bench.wait(11 * SECOND);
    assert!(!budget.withdraw(FaultKind::Throttled));
    assert!(budget.withdraw(FaultKind::Transient));
}

#[test]
fn new_rules_keep_what_was_counted() {
    let bench = Bench::new();
    let budget = budget(&bench, config(10, "0/s"));
    deposit(&budget, 100);
    assert_eq!(granted(&budget, FaultKind::Transient), 10);
    assert_eq!(budget.reconfigure(config(30, "0/s")), Ok(2));
    assert_eq!(granted(&budget, FaultKind::Transient), 20);
    assert_eq!(budget.reconfigure(config(5, "0/s")), Ok(3));
    assert_eq!(budget.balance(), 0.0, "never below nothing");
    assert!(!budget.withdraw(FaultKind::Transient));
    assert_eq!(budget.reconfigure(config(31, "0/s")), Ok(4));
    assert_eq!(granted(&budget, FaultKind::Transient), 1);
    let error = budget.reconfigure(config(31, "2000000/s")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "at_least: 2000000 is out of range; allowed: 0 to 1000000"
    );
    assert_eq!(budget.config().ratio(), percent(31));
}

#[test]
fn calls_of_many_threads_are_all_counted() {
    let bench = Bench::new();
    let budget = budget(&bench, config(10, "0/s"));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| deposit(&budget, 10_000));
        }
    });
    assert!((budget.balance() - 8000.0).abs() < 1e-6);
}

/// Threads that take at once do not take more than there is.
#[test]
fn tokens_are_given_once() {
    let bench = Bench::new();
    let budget = budget(&bench, config(10, "0/s"));
    deposit(&budget, 10_000);
    let granted: u32 = std::thread::scope(|scope| {
        let taking = (0..8).map(|_| scope.spawn(|| granted(&budget, FaultKind::Transient)));
        let taking: Vec<_> = taking.collect();
        taking.into_iter().map(|one| one.join().unwrap()).sum()
    });
    assert_eq!((granted, budget.refused()), (1000, 8));
}

#[test]
fn a_long_pause_does_not_turn_old_calls_into_tokens() {
    for calls in [1, 63, 64, 65, 1000, 100_000] {
        for pause in [
            11 * SECOND,
            60 * SECOND,
            3600 * SECOND,
            365 * 24 * 3600 * SECOND,
        ] {
            let bench = Bench::new();
            let budget = budget(&bench, config(100, "0/s"));
            assert_eq!(budget.balance(), 0.0);
            deposit(&budget, calls);
            bench.wait(pause);
            // What was counted last may be anywhere in between: fewer than 64 on each stripe.
            let most = 64.0 * Budget::WINDOW.as_secs_f64() / pause.as_secs_f64();
            let found = budget.balance();
            assert!(found <= most, "{calls} and {pause:?}: {found}");
        }
    }
}

/// Whoever calls two dependencies in turn: each budget hears of the time by its own calls.
#[test]
fn budgets_that_are_used_in_turn_know_when_calls_came() {
    for others in 0..4 {
        let bench = Bench::new();
        let make =
            |name: &&'static str| Budget::within(&bench.around, *name, config(100, "0/s")).unwrap();
        let budgets: Vec<_> = ["a", "b", "c", "d"][..=others].iter().map(make).collect();
        // A hundred calls in a second for two minutes, and then nothing for 9 seconds.
        for _ in 0..12_000 {
            budgets.iter().for_each(Budget::deposit);
            bench.wait(10 * MS);
        }
        bench.wait(9 * SECOND);
        for (place, budget) in budgets.iter().enumerate() {
            let found = budget.balance();
            assert!(found <= 100.0 + 64.0, "{place} of {others}: {found}");
        }
    }
}

#[test]
fn the_end_is_announced_at_most_once_in_ten_seconds() {
    let bench = Bench::new();
    let budget = budget(&bench, config(20, "0/s"));
    deposit(&budget, 10);
    assert_eq!(granted(&budget, FaultKind::Transient), 2);
    assert_eq!(
        bench.said(),
        ["budget bank: is used up, 2 spent for 10 calls in 10s: failures are not tried again"]
    );
    for _ in 0..99 {
        assert!(!budget.withdraw(FaultKind::Transient));
        bench.wait(100 * MS);
    }
    assert_eq!(bench.said().len(), 1);
    bench.wait(100 * MS);
    assert!(!budget.withdraw(FaultKind::Transient));
    assert_eq!(bench.said().len(), 2);
    assert_eq!(budget.refused(), 101);
}

#[test]
fn the_balance_is_exported_and_shown() {
    let bench = Bench::new();
    let budget = budget(&bench, config(20, "1/s"));
    let gauge = || {
        metrics::BUDGET_BALANCE
            .read(&bench.registry, "bank", ())
            .unwrap()
    };
    assert_eq!(gauge(), 10.0);
    deposit(&budget, 100);
    assert_eq!(gauge(), 30.0);
    assert!(budget.withdraw(FaultKind::TimedOut));
    assert_eq!((gauge(), budget.balance()), (28.0, 28.0));
    bench.wait(11 * SECOND);
    assert_eq!(gauge(), 10.0);
    let shown = bench.directory.find("budget", "bank").unwrap().snapshot();
    assert_eq!(shown.get("withdrawn"), Some(&rs_core::Value::Count(1)));
    assert_eq!(shown.get("calls"), Some(&rs_core::Value::Count(100)));
    assert!(format!("{budget:?}").contains("balance: 10"));
}
