//! What policies take from the heap: nothing for a call that succeeds at once, nothing for a refusal.

use crate::support::{Bench, MS, SECOND, at_once};
use allocation_counter::measure;
use rs_core::{Call, FaultKind, Guard, Outcome, Policy, TimeScope, operation};
use rs_policies::{
    Backoff, Budget, BudgetConfig, Bulkhead, BulkheadConfig, Jitter, Retry, RetryConfig, Timeout,
};

#[track_caller]
fn check_nothing(run: impl Fn()) {
    // The first run pays for thread locals and lazy statics.
    run();
    let found = measure(|| {
        for _ in 0..100 {
            run();
        }
    });
    assert_eq!(found.count_total, 0);
}

fn succeeds(policy: &impl Policy<u32, ()>) {
    let call = Call::new("charge");
    let done = at_once(policy.run(&call, &operation(async |_: Call| Ok(5))));
    assert_eq!(done, Ok(5));
}

fn retry(bench: &Bench) -> Retry {
    Retry::within(&bench.around, "payments", RetryConfig::default()).unwrap()
}

fn bulkhead(bench: &Bench) -> Bulkhead {
    let config = BulkheadConfig::of(1).with_queue(1, SECOND);
    Bulkhead::within(&bench.around, "bank", config).unwrap()
}

fn timeout(bench: &Bench) -> Timeout {
    Timeout::within(&bench.around, "patience", TimeScope::Total, SECOND).unwrap()
}

#[test]
fn a_call_that_succeeds_at_once_allocates_nothing() {
    let bench = Bench::new();
    let (retry, bulkhead, timeout) = (retry(&bench), bulkhead(&bench), timeout(&bench));
    check_nothing(|| succeeds(&retry));
    check_nothing(|| succeeds(&bulkhead));
    check_nothing(|| succeeds(&timeout));
    let all = (timeout, retry, bulkhead);
    check_nothing(|| succeeds(&all));
}

/// Not even one that the clock counts: a call that has to wait does, so the counter can tell.
#[test]
fn a_call_that_waits_sets_a_timer() {
    let bench = Bench::new();
    let (timeout, call) = (timeout(&bench), Call::new("charge"));
    let waits = operation(async |_: Call| std::future::pending::<Result<(), ()>>().await);
    let found = measure(|| {
        let mut running = std::pin::pin!(timeout.run(&call, &waits));
        assert!(crate::support::poll(running.as_mut()).is_pending());
    });
    assert!(found.count_total > 0);
}

#[test]
fn counting_a_call_and_taking_a_token_allocate_nothing() {
    let bench = Bench::new();
    let budget = Budget::within(&bench.around, "bank", BudgetConfig::default()).unwrap();
    check_nothing(|| {
        budget.deposit();
        let _ = budget.withdraw(FaultKind::Transient);
        bench.wait(MS);
    });
    let _ = (0..1000)
        .filter(|_| budget.withdraw(FaultKind::Transient))
        .count();
    check_nothing(|| assert!(!budget.withdraw(FaultKind::Transient)));
    assert!(budget.refused() > 100);
}

#[test]
fn a_refusal_allocates_nothing() {
    let bench = Bench::new();
    let bulkhead = bulkhead(&bench);
    let call = Call::new("charge");
    let _inside = bulkhead.try_admit(&call).unwrap();
    check_nothing(|| assert!(bulkhead.try_admit(&call).is_err()));
    let mut waiting = Box::pin(bulkhead.admit(&call));
    assert!(crate::support::poll(waiting.as_mut()).is_pending());
    check_nothing(|| assert!(at_once(bulkhead.admit(&call)).is_err()));
    check_nothing(|| {
        let refused = at_once(bulkhead.call(call, async |_| Ok::<(), ()>(())));
        assert!(refused.unwrap_err().is_rejected());
    });
}

/// A failure that is not tried again costs no more than what it says.
#[test]
fn a_failure_that_is_ignored_allocates_nothing() {
    let bench = Bench::new();
    let waits = Backoff::default().with_jitter(Jitter::None);
    let retry = Retry::within(&bench.around, "payments", RetryConfig::new(3, waits)).unwrap();
    let ignored = operation(async |_: Call| Err::<(), ()>(()))
        .classified(|_: Result<&(), &()>| Outcome::Ignored);
    check_nothing(|| {
        let call = Call::new("charge");
        assert!(at_once(retry.run(&call, &ignored)).is_err());
    });
}

/// Memory of a queue is used again.
#[test]
fn a_queue_does_not_grow_by_being_used() {
    let bench = Bench::new();
    let config = BulkheadConfig::of(1).with_queue(50, SECOND);
    let bulkhead = Bulkhead::within(&bench.around, "bank", config).unwrap();
    let call = Call::new("charge");
    let round = || {
        let mut inside = bulkhead.try_admit(&call).unwrap();
        let mut waiting: Vec<_> = (0..50).map(|_| Box::pin(bulkhead.admit(&call))).collect();
        for one in &mut waiting {
            assert!(crate::support::poll(one.as_mut()).is_pending());
        }
        // Half of them get a place, the others go away.
        for one in &mut waiting[..25] {
            drop(inside);
            let std::task::Poll::Ready(Ok(entered)) = crate::support::poll(one.as_mut()) else {
                panic!("it was served");
            };
            inside = entered;
        }
        drop(waiting);
        drop(inside);
    };
    round();
    let found = measure(|| (0..20).for_each(|_| round()));
    assert_eq!(found.bytes_current, 0);
}
