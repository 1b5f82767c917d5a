//! Retry as stories: what the operation does, what becomes of the call, when, and what is counted.

mod cancel;
mod limits;
mod model;
mod telemetry;

use std::{pin::pin, time::Duration};

use crate::support::{Act, Answer, Bad, Bench, FAIL, MS, SECOND, Script, poll, refusal};
use rs_core::{Call, Failure, Fault, Label, Outcome, Policy};
use rs_policies::{Backoff, Budget, BudgetConfig, Jitter, Retry, RetryConfig, RetryEnd, metrics};

/// Four attempts, a tenth of a second apart, nothing random.
fn plain() -> RetryConfig {
    let waits = Backoff::constant(100 * MS).with_jitter(Jitter::None);
    RetryConfig::new(4, waits)
}

fn retry(bench: &Bench, config: RetryConfig) -> Retry {
    Retry::with_budget(&bench.around, "payments", config, None).unwrap()
}

/// What came of a call.
struct Told {
    bench: Bench,
    retry: Retry,
    script: Script,
    answer: Answer,
    /// When each attempt began, in milliseconds.
    begun: Vec<u128>,
    took: Duration,
}

fn tell(config: RetryConfig, call: Call, acts: impl IntoIterator<Item = (u32, Act)>) -> Told {
    let bench = Bench::new();
    let retry = retry(&bench, config);
    let acts = acts.into_iter().map(|(ms, act)| (ms * MS, act));
    let script = Script::slow(&bench, acts);
    let begin = bench.now();
    let (answer, took) = bench.run(retry.run(&call, &script));
    let begun = script
        .begun(begin)
        .iter()
        .map(Duration::as_millis)
        .collect();
    Told {
        bench,
        retry,
        script,
        answer,
        begun,
        took,
    }
}

/// What is exported says the same as the handle, and this one end was counted, if any.
#[track_caller]
fn check_counted(bench: &Bench, retry: &Retry, end: Option<RetryEnd>, attempts: u64) {
    for known in RetryEnd::ALL {
        let expected = u64::from(end == Some(*known));
        assert_eq!(retry.ended(*known), expected, "{known}");
        let exported = metrics::RETRY_CALLS.read(&bench.registry, retry.name(), *known);
        assert_eq!(exported, Some(expected), "{known}");
    }
    let exported = metrics::RETRY_ATTEMPTS.read(&bench.registry, retry.name(), ());
    assert_eq!(exported, Some(attempts));
}

impl Told {
    #[track_caller]
    fn check(self, end: Option<RetryEnd>, begun: &[u128], answer: Answer) -> Self {
        assert_eq!(self.answer, answer);
        assert_eq!(self.begun, begun);
        check_counted(&self.bench, &self.retry, end, begun.len() as u64 - 1);
        assert_eq!(self.script.alive(), 0);
        self
    }
}

fn bad(outcome: Outcome, attempts: u32) -> Answer {
    let error = Bad(outcome);
    Err(Failure::Operation { error, attempts })
}

const GOOD: Answer = Ok(Outcome::Success);

fn fail_with(fault: Fault) -> Act {
    Act::Fail(fault.into())
}

#[track_caller]
fn check(
    config: RetryConfig,
    acts: &[Act],
    end: impl Into<Option<RetryEnd>>,
    begun: &[u128],
    answer: Answer,
) -> Told {
    let acts = acts.iter().map(|act| (0, *act));
    tell(config, Call::new("charge"), acts).check(end.into(), begun, answer)
}

#[test]
fn the_first_success_is_taken() {
    check(plain(), &[Act::Succeed], None, &[0], GOOD);
    check(
        plain(),
        &[FAIL, Act::Succeed],
        RetryEnd::Succeeded,
        &[0, 100],
        GOOD,
    );
    let last = &[FAIL, FAIL, FAIL, Act::Succeed];
    check(
        plain(),
        last,
        RetryEnd::Succeeded,
        &[0, 100, 200, 300],
        GOOD,
    );
}

#[test]
fn what_never_succeeds_fails_as_it_did_last() {
    let last = Fault::throttled().into();
    let acts = &[FAIL, FAIL, FAIL, Act::Fail(last), Act::Succeed];
    check(
        plain(),
        acts,
        RetryEnd::Exhausted,
        &[0, 100, 200, 300],
        bad(last, 4),
    );
    let once = plain().with_attempts(1);
    check(
        once,
        &[FAIL],
        RetryEnd::Exhausted,
        &[0],
        bad(Outcome::TRANSIENT, 1),
    );
}

#[test]
fn waits_that_end_end_it() {
    let waits = Backoff::own(|| [10 * MS, 20 * MS].into_iter());
    let told = check(
        plain().with_attempts(1000).with_backoff(waits),
        &[FAIL],
        RetryEnd::Exhausted,
        &[0, 10, 30],
        bad(Outcome::TRANSIENT, 3),
    );
    assert_eq!(told.took, 30 * MS);
}

#[test]
fn what_cannot_be_mended_is_not_tried_again() {
    let permanent = Outcome::PERMANENT;
    check(
        plain(),
        &[Act::Fail(permanent)],
        RetryEnd::Permanent,
        &[0],
        bad(permanent, 1),
    );
    let acts = &[FAIL, Act::Fail(permanent)];
    check(
        plain(),
        acts,
        RetryEnd::Permanent,
        &[0, 100],
        bad(permanent, 2),
    );
}

/// An error that is the caller's own is no failure, and no success either.
#[test]
fn what_says_nothing_is_not_tried_again() {
    let ignored = Outcome::Ignored;
    check(plain(), &[Act::Fail(ignored)], None, &[0], bad(ignored, 1));
    let acts = &[FAIL, Act::Fail(ignored)];
    check(
        plain(),
        acts,
        RetryEnd::Permanent,
        &[0, 100],
        bad(ignored, 2),
    );
    check(plain(), &[Act::Answer(ignored)], None, &[0], Ok(ignored));
}

/// The classifier decides, not whether it is an `Err`.
#[test]
fn an_answer_may_be_a_failure_and_an_error_a_success() {
    let acts = &[Act::Answer(Outcome::TRANSIENT), Act::Fail(Outcome::Success)];
    check(
        plain(),
        acts,
        RetryEnd::Succeeded,
        &[0, 100],
        bad(Outcome::Success, 2),
    );
    let acts = &[Act::Answer(Outcome::TRANSIENT)];
    let told = check(
        plain(),
        acts,
        RetryEnd::Exhausted,
        &[0, 100, 200, 300],
        Ok(Outcome::TRANSIENT),
    );
    assert_eq!(told.script.played(), 4);
}

#[test]
fn a_refusal_inside_is_passed_on() {
    let refuse = Act::Refuse(refusal());
    check(
        plain(),
        &[refuse, Act::Succeed],
        None,
        &[0],
        Err(refusal().into()),
    );
    let acts = &[FAIL, refuse, Act::Succeed];
    check(
        plain(),
        acts,
        RetryEnd::Rejected,
        &[0, 100],
        Err(refusal().into()),
    );
}

#[test]
fn a_refusal_inside_is_tried_again_when_the_guard_says() {
    let bench = Bench::new();
    let refuse = refusal().try_at(bench.now() + 2 * SECOND);
    let retry = retry(&bench, plain().retrying_rejections());
    let script = Script::new(
        &bench,
        [Act::Refuse(refuse), Act::Refuse(refusal()), Act::Succeed],
    );
    let begin = bench.now();
    let (answer, _) = bench.run(retry.run(&Call::new("x"), &script));
    assert_eq!(answer, GOOD);
    let begun = [0, 2000, 2100].map(Duration::from_millis);
    assert_eq!(script.begun(begin), begun);
    check_counted(&bench, &retry, Some(RetryEnd::Succeeded), 2);
    // And gives up like any other.
    let script = Script::new(&bench, [Act::Refuse(refusal())]);
    let (answer, _) = bench.run(retry.run(&Call::new("x"), &script));
    assert_eq!(answer, Err(refusal().into()));
    assert_eq!((script.played(), retry.ended(RetryEnd::Exhausted)), (4, 1));
}

#[test]
fn what_a_server_asks_for_is_the_least_wait_and_has_a_limit() {
    let asks = |delay| fail_with(Fault::throttled().after(delay));
    let acts = [
        asks(2 * SECOND),
        asks(50 * MS),
        asks(3600 * SECOND),
        Act::Succeed,
    ];
    let begun = [0, 2000, 2100, 32_100];
    check(plain(), &acts, RetryEnd::Succeeded, &begun, GOOD);
    let short = plain().honouring_hints_up_to(SECOND);
    check(
        short,
        &acts,
        RetryEnd::Succeeded,
        &[0, 1000, 1100, 2100],
        GOOD,
    );
    let deaf = plain().honouring_hints_up_to(Duration::ZERO);
    check(deaf, &acts, RetryEnd::Succeeded, &[0, 100, 200, 300], GOOD);
    // A permanent failure stays one, whatever it asks for.
    let never = Fault::permanent().after(SECOND);
    check(
        plain(),
        &[fail_with(never)],
        RetryEnd::Permanent,
        &[0],
        bad(never.into(), 1),
    );
    // A wish that no clock can meet ends in the limit.
    let acts = [asks(Duration::MAX), Act::Succeed];
    check(plain(), &acts, RetryEnd::Succeeded, &[0, 30_000], GOOD);
}

#[test]
fn what_may_have_taken_effect_is_repeated_only_when_that_does_no_harm() {
    for act in [Act::TimeOut, fail_with(Fault::timed_out())] {
        let acts = || [(5, act), (0, Act::Succeed)];
        let once = tell(plain(), Call::new("charge"), acts());
        let answer = once.answer.clone();
        assert!(answer.is_err());
        once.check(Some(RetryEnd::Unsafe), &[0], answer);
        let again = |told: Told| told.check(Some(RetryEnd::Succeeded), &[0, 105], GOOD);
        again(tell(plain(), Call::new("charge").safe_to_repeat(), acts()));
        again(tell(
            plain().repeating_timeouts(),
            Call::new("charge"),
            acts(),
        ));
    }
    // What is known to have failed is another matter.
    check(
        plain(),
        &[FAIL, Act::Succeed],
        RetryEnd::Succeeded,
        &[0, 100],
        GOOD,
    );
}

#[test]
fn the_condition_has_the_last_word() {
    let config = plain().with_condition(|retrying| {
        assert_eq!(retrying.delay, 100 * MS);
        assert_eq!(retrying.fault, Some(Fault::transient()));
        retrying.call.attempt() < 2
    });
    check(
        config,
        &[FAIL],
        RetryEnd::Condition,
        &[0, 100],
        bad(Outcome::TRANSIENT, 2),
    );
    let config = plain()
        .retrying_rejections()
        .with_condition(|retrying| retrying.fault.is_some());
    let acts = &[FAIL, Act::Refuse(refusal())];
    check(
        config,
        acts,
        RetryEnd::Condition,
        &[0, 100],
        Err(refusal().into()),
    );
    // It is not asked in vain.
    let config = plain().with_condition(|_| panic!("nobody asks"));
    check(config.clone(), &[Act::Succeed], None, &[0], GOOD);
    let permanent = Outcome::PERMANENT;
    let acts = &[Act::Fail(permanent)];
    check(config, acts, RetryEnd::Permanent, &[0], bad(permanent, 1));
}

#[test]
fn a_condition_that_panics_says_no() {
    let config = plain().with_condition(|_| panic!("out of order"));
    let told = check(
        config,
        &[FAIL],
        RetryEnd::Condition,
        &[0],
        bad(Outcome::TRANSIENT, 1),
    );
    assert_eq!(
        told.bench.said(),
        ["retry payments: panicked; the call is not tried again"]
    );
}

/// What an operation sends on the wire and an endpoint is chosen by.
#[test]
fn attempts_are_numbered() {
    let told = check(
        plain(),
        &[FAIL, FAIL, Act::Succeed],
        RetryEnd::Succeeded,
        &[0, 100, 200],
        GOOD,
    );
    assert_eq!(told.script.attempts(), [1, 2, 3]);
    let ids: Vec<_> = told
        .script
        .calls()
        .iter()
        .map(|(_, call)| call.id())
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "one call");
    // Numbers go on from where whoever is outside was.
    let third = Call::new("charge").at_attempt(3);
    let told = tell(plain(), third, [(0, FAIL)]);
    assert_eq!(told.script.attempts(), [3, 4, 5, 6]);
    assert_eq!(told.answer, bad(Outcome::TRANSIENT, 6));
    let last = Call::new("charge").at_attempt(u32::MAX);
    assert_eq!(tell(plain(), last, [(0, FAIL)]).script.played(), 4);
}

#[test]
fn retries_in_retries_multiply() {
    let bench = Bench::new();
    let waits = Backoff::constant(Duration::ZERO);
    let outer = retry(&bench, RetryConfig::new(3, waits.clone()));
    let inner = Retry::with_budget(&bench.around, "inner", RetryConfig::new(4, waits), None);
    let inner = inner.unwrap();
    let script = Script::new(&bench, [FAIL]);
    let (answer, took) = bench.run(nested(&outer, &inner, &script));
    assert!(answer.is_err());
    assert_eq!((script.played(), took), (12, Duration::ZERO));
    check_counted(&bench, &outer, Some(RetryEnd::Exhausted), 2);
    assert_eq!(inner.ended(RetryEnd::Exhausted), 3);
    // One budget for both keeps them in bounds.
    let config = BudgetConfig::of("20%".parse().unwrap()).at_least("0.5/s".parse().unwrap());
    let budget = Budget::within(&bench.around, "shared", config).unwrap();
    let both = ["a", "b"].map(|name| {
        let config = RetryConfig::new(4, Backoff::constant(Duration::ZERO));
        Retry::with_budget(&bench.around, name, config, budget.clone()).unwrap()
    });
    let [outer, inner] = both;
    let script = Script::new(&bench, [FAIL]);
    let (_, _) = bench.run(nested(&outer, &inner, &script));
    assert_eq!(script.played(), 6, "five tokens, and the first attempt");
}

async fn nested(outer: &Retry, inner: &Retry, script: &Script) -> Answer {
    let both = (outer.clone(), inner.clone());
    both.run(&Call::new("charge"), script).await
}

#[test]
fn without_a_budget_left_the_last_failure_is_returned() {
    let bench = Bench::new();
    let config = BudgetConfig::of("0%".parse().unwrap()).at_least("0.2/s".parse().unwrap());
    let budget = Budget::within(&bench.around, "bank", config).unwrap();
    let retry = Retry::with_budget(&bench.around, "payments", plain(), budget.clone()).unwrap();
    let script = Script::new(&bench, [FAIL]);
    let (answer, took) = bench.run(retry.run(&Call::new("charge"), &script));
    assert_eq!((answer, took), (bad(Outcome::TRANSIENT, 3), 200 * MS));
    check_counted(&bench, &retry, Some(RetryEnd::Budget), 2);
    assert_eq!((budget.balance(), budget.refused()), (0.0, 1));
}

/// A call that is already being tried again goes by the new rules from its next failure on.
#[test]
fn new_rules_hold_from_the_next_failure_on() {
    let bench = Bench::new();
    let retry = retry(&bench, plain().with_attempts(1000));
    let script = Script::new(&bench, [FAIL]);
    let call = Call::new("charge");
    let mut running = pin!(retry.run(&call, &script));
    for _ in 0..250 {
        assert!(poll(running.as_mut()).is_pending());
        bench.wait(MS);
    }
    assert_eq!(script.played(), 3);
    let waits = Backoff::constant(500 * MS).with_jitter(Jitter::None);
    assert_eq!(retry.reconfigure(RetryConfig::new(5, waits)), Ok(2));
    let (answer, took) = bench.run(running);
    assert_eq!(answer, bad(Outcome::TRANSIENT, 5));
    // The wait that it was in, and one as long as the new rules say.
    assert_eq!((script.played(), took), (5, 550 * MS));
    // Wrong rules are refused whole.
    let error = retry.reconfigure(plain().with_attempts(0)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "attempts: 0 is out of range; allowed: 1 to 1000"
    );
    assert_eq!(retry.config().attempts(), 5);
}

/// An exponential wait goes on growing from where it was.
#[test]
fn new_rules_do_not_begin_the_waits_anew() {
    let bench = Bench::new();
    let doubling = Backoff::exponential(100 * MS).with_jitter(Jitter::None);
    let retry = retry(&bench, RetryConfig::new(9, doubling.clone()));
    let script = Script::new(&bench, [FAIL]);
    let (call, begin) = (Call::new("charge"), bench.now());
    let mut running = pin!(retry.run(&call, &script));
    for _ in 0..301 {
        assert!(poll(running.as_mut()).is_pending());
        bench.wait(MS);
    }
    retry.reconfigure(RetryConfig::new(5, doubling)).unwrap();
    bench.run(running).0.unwrap_err();
    let begun = [0, 100, 300, 700, 1500].map(Duration::from_millis);
    assert_eq!(script.begun(begin), begun);
}

/// A run can be repeated, and no two calls of it wait alike.
#[test]
fn the_seed_of_the_surroundings_decides_the_waits() {
    let waits = |seed| {
        let bench = Bench::new();
        let around = bench.around.clone().with_seed(seed);
        let config = RetryConfig::new(4, Backoff::constant(SECOND));
        let retry = Retry::with_budget(&around, "payments", config, None).unwrap();
        let calls: [_; 2] = std::array::from_fn(|_| {
            let (begin, script) = (bench.now(), Script::new(&bench, [FAIL]));
            bench
                .run(retry.run(&Call::new("charge"), &script))
                .0
                .unwrap_err();
            script.begun(begin)
        });
        assert_ne!(calls[0], calls[1]);
        calls
    };
    assert_eq!(waits(7), waits(7));
    assert_ne!(waits(7), waits(8));
}
