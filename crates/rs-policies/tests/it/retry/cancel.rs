//! A call that is dropped, wherever it is.

use super::*;
use crate::support::poll_and_drop;

#[test]
fn a_call_dropped_anywhere_leaves_nothing_behind() {
    // An attempt of 3 ms, a wait of 100 ms, and again: 4 times 3, and 3 times 100.
    let whole = 4 * 3 + 3 * 100 + 1;
    let mut finished = 0;
    for polls in 0..whole + 3 {
        let bench = Bench::new();
        let config = BudgetConfig::default();
        let budget = Budget::within(&bench.around, "bank", config).unwrap();
        let retry = Retry::with_budget(&bench.around, "payments", plain(), budget.clone()).unwrap();
        let script = Script::slow(&bench, [(3 * MS, FAIL)]);
        let call = Call::new("charge");
        let done = poll_and_drop(&bench, retry.run(&call, &script), polls, MS);
        finished += usize::from(done);
        assert_eq!(script.alive(), 0, "after {polls}");
        let expected = done.then_some(RetryEnd::Exhausted);
        // An attempt is counted when it is begun, not when it is planned.
        let further = script.played().saturating_sub(1) as u64;
        check_counted(&bench, &retry, expected, further);
        let delays = metrics::RETRY_DELAY.read(&bench.registry, retry.name(), ());
        assert_eq!(delays.unwrap().count(), further, "after {polls}");
        // The token of an attempt that was not made is spent, no other.
        let spent = metrics::BUDGET_WITHDRAWN
            .read(&bench.registry, budget.name(), ())
            .unwrap();
        assert!((further..=further + 1).contains(&spent), "after {polls}");
    }
    assert_eq!(finished, 3, "the last polls see it through");
}

#[test]
fn a_call_that_was_never_polled_did_nothing() {
    let bench = Bench::new();
    let retry = retry(&bench, plain());
    let script = Script::new(&bench, [FAIL]);
    drop(retry.run(&Call::new("charge"), &script));
    assert_eq!(script.played(), 0);
    check_counted(&bench, &retry, None, 0);
}

/// An operation that panics takes the call with it, and nothing else.
#[test]
fn an_attempt_that_panics() {
    let bench = Bench::new();
    let retry = retry(&bench, plain());
    let script = Script::new(&bench, [FAIL, Act::Panic, Act::Succeed]);
    let call = Call::new("charge");
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        bench.run(retry.run(&call, &script))
    }));
    assert!(caught.is_err());
    assert_eq!(script.alive(), 0);
    check_counted(&bench, &retry, None, 1);
    assert_eq!(bench.run(retry.run(&call, &script)).0, GOOD);
}
