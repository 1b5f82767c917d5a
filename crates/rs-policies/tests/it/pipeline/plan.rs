//! What is refused, what is doubted, and what a plan says.

use super::{MILLI, SECOND, Spy};
use rs_core::{Call, Ending, Guard, Outline, Rejection};
use rs_policies::{
    Backoff, BulkheadConfig, Jitter, Pipeline, PlanError, Retry, RetryConfig, Stack, Surroundings,
    Timeout,
};

/// Opens after so many failures in a row.
#[derive(Clone)]
struct Wary(u32);

impl Guard for Wary {
    type Ticket = ();

    fn try_enter(&self, _call: &Call) -> Result<(), Rejection> {
        Ok(())
    }

    fn leave(&self, (): (), _ending: Ending) {}

    fn outline(&self) -> Outline {
        Outline::of("breaker").refusing_after(self.0)
    }
}

fn plain(attempts: u32) -> RetryConfig {
    RetryConfig::new(
        attempts,
        Backoff::constant(100 * MILLI).with_jitter(Jitter::None),
    )
    .honouring_hints_up_to(100 * MILLI)
}

#[track_caller]
fn refused<P>(built: Result<P, PlanError>, expected: &str) {
    match built {
        Ok(_) => panic!("it was built"),
        Err(error) => assert_eq!(error.to_string(), expected),
    }
}

fn named() -> rs_policies::PipelineBuilder {
    Pipeline::named("payments").within(&Surroundings::apart())
}

#[test]
fn what_cannot_work_is_refused_and_both_parts_are_named() {
    refused(
        named().timeout(SECOND).attempt_timeout(2 * SECOND).build(),
        "pipeline `payments` cannot work: total timeout and attempt timeout: 2s inside 1s is never reached",
    );
    refused(
        named()
            .retry(plain(5))
            .guard(Wary(5))
            .attempt_timeout(SECOND)
            .build(),
        "pipeline `payments` cannot work: retry and breaker: 5 attempts of a single call are enough for the \
         guard, which refuses after 5 failures",
    );
    refused(
        named().retry(plain(0)).build(),
        "retry.attempts: 0 is out of range; allowed: 1 to 1000",
    );
    refused(
        named().timeout(SECOND / 10_000).build(),
        "timeout.limit: 100us is out of range; allowed: 1ms to 1d",
    );
    refused(
        named().bulkhead(BulkheadConfig::of(0)).build(),
        "bulkhead.limit: 0 is out of range; allowed: 1 to 1000000",
    );
}

#[test]
fn all_conflicts_are_said_at_once() {
    let built = named()
        .timeout(SECOND)
        .retry(plain(5))
        .guard(Wary(3))
        .attempt_timeout(SECOND)
        .build();
    let conflicts = built.unwrap_err().conflicts().to_vec();
    let parts: Vec<_> = conflicts.iter().map(|conflict| conflict.parts()).collect();
    assert_eq!(
        parts,
        [("retry", "breaker"), ("total timeout", "attempt timeout")]
    );
}

#[test]
fn what_is_doubtful_is_built_and_said() {
    let doubts = |builder: Result<Pipeline, PlanError>| -> Vec<String> {
        let pipeline = builder.unwrap();
        pipeline
            .plan()
            .doubts()
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(
        doubts(named().timeout(SECOND).retry(plain(3)).build()),
        [""; 0]
    );
    let tight = named()
        .safe_to_repeat()
        .timeout(SECOND)
        .retry(plain(3))
        .attempt_timeout(500 * MILLI)
        .build();
    assert_eq!(
        doubts(tight),
        [
            "total timeout and retry: 3 attempts that reach their limit take 1.7s, it ends them after 1s"
        ]
    );
    let once = named().retry(plain(3)).attempt_timeout(500 * MILLI).build();
    assert_eq!(
        doubts(once),
        [
            "retry and attempt timeout: what it ends is tried again only for calls that are safe to repeat"
        ]
    );
    let blind = named().guard(Wary(50)).build().unwrap();
    assert_eq!(
        blind.plan().doubts()[0].to_string(),
        "breaker and attempt timeout: a call that hangs never counts as a failure"
    );
    let patient = named()
        .timeout(SECOND)
        .bulkhead(BulkheadConfig::of(1).with_queue(1, SECOND))
        .build()
        .unwrap();
    assert_eq!(
        patient.plan().doubts()[0].to_string(),
        "total timeout and bulkhead: a wait of 1s inside 1s is never waited to its end"
    );
    let around = Surroundings::apart();
    let retry = Retry::with_budget(&around, "r", plain(3), None).unwrap();
    let greedy = named().timeout(SECOND).retry(retry).build().unwrap();
    assert_eq!(
        greedy.plan().doubts()[0].to_string(),
        "retry and budget: without one a failing dependency receives 3 times its load"
    );
    assert_eq!(greedy.plan().load(), 3.0);
}

#[test]
fn a_plan_adds_up_what_can_happen() {
    let pipeline = named()
        .retry(plain(3))
        .guard(Spy::default())
        .bulkhead(BulkheadConfig::of(8).with_queue(4, 200 * MILLI))
        .attempt_timeout(500 * MILLI)
        .build()
        .unwrap();
    let plan = pipeline.plan();
    // Three times a wait and an attempt, two waits in between.
    assert_eq!(plan.longest(), Some(3 * 700 * MILLI + 200 * MILLI));
    assert_eq!(plan.attempts(), 3);
    assert!((plan.load() - 1.2).abs() < 1e-9);
    let said = plan.to_string();
    println!("{said}");
    assert_eq!(
        said,
        "payments\n  \
         retry            3 attempts, waits up to 200ms in all, budget 20%\n  \
         guard\n  \
         bulkhead         8 at once, 4 wait up to 200ms\n  \
         attempt timeout  500ms\n\
         at worst: 2.3s, 3 attempts, 1.20 times the load\n\
         doubtful: retry and attempt timeout: what it ends is tried again only for calls that are safe to repeat"
    );
    assert_eq!(named().build().unwrap().plan().longest(), None);
}

#[test]
fn an_order_of_ones_own_is_checked_as_well() {
    let around = Surroundings::apart();
    let total = Timeout::within(&around, "t", rs_core::TimeScope::Total, SECOND).unwrap();
    let attempt = Timeout::within(&around, "a", rs_core::TimeScope::Attempt, 2 * SECOND).unwrap();
    let retry = Retry::within(&around, "r", plain(5)).unwrap();
    refused(
        Stack::of("odd", (total.clone(), attempt)),
        "pipeline `odd` cannot work: total timeout and attempt timeout: 2s inside 1s is never reached",
    );
    // A breaker around the retry sees a call, not its attempts.
    let outside = Stack::of("odd", (Wary(5), retry.clone(), total.clone())).unwrap();
    assert_eq!(outside.plan().attempts(), 5);
    assert!(Stack::of("odd", (retry, Wary(5), total)).is_err());
}
