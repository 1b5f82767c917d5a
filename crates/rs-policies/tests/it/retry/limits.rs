//! Deadlines and other limits: none is slept past, and no attempt is begun that cannot end.

use super::*;
use rs_core::{Deadline, TimeScope, TimedOut};

fn by(bench: &Bench, time: Duration) -> Call {
    Call::new("charge").within(time, &bench.clock)
}

fn told_within(config: RetryConfig, time: Duration, acts: &[(u32, Act)]) -> Told {
    let bench = Bench::new();
    let retry = retry(&bench, config);
    let acts = acts.iter().map(|(ms, act)| (*ms * MS, *act));
    let script = Script::slow(&bench, acts);
    let (begin, call) = (bench.now(), by(&bench, time));
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

#[test]
fn a_deadline_is_not_slept_past() {
    let last = bad(Outcome::TRANSIENT, 3);
    // The wait would end when it is too late.
    let told = told_within(plain(), 299 * MS, &[(0, FAIL)]);
    let told = told.check(Some(RetryEnd::Deadline), &[0, 100, 200], last.clone());
    assert_eq!(told.took, 200 * MS);
    // Just in time, but nothing can be done in no time.
    let told = told_within(plain(), 300 * MS, &[(0, FAIL)]);
    told.check(Some(RetryEnd::Deadline), &[0, 100, 200], last);
    // A millisecond is enough by default.
    let told = told_within(plain(), 301 * MS, &[(0, FAIL)]);
    let last = bad(Outcome::TRANSIENT, 4);
    told.check(Some(RetryEnd::Exhausted), &[0, 100, 200, 300], last);
}

#[test]
fn an_attempt_that_cannot_end_is_not_begun() {
    let config = || plain().with_shortest_attempt(50 * MS);
    let told = told_within(config(), 249 * MS, &[(0, FAIL)]);
    let told = told.check(
        Some(RetryEnd::Deadline),
        &[0, 100],
        bad(Outcome::TRANSIENT, 2),
    );
    assert_eq!(told.took, 100 * MS);
    let told = told_within(config(), 250 * MS, &[(0, FAIL)]);
    told.check(
        Some(RetryEnd::Deadline),
        &[0, 100, 200],
        bad(Outcome::TRANSIENT, 3),
    );
}

#[test]
fn a_server_that_asks_for_more_than_there_is_ends_it() {
    let asks = Outcome::from(Fault::throttled().after(SECOND));
    let told = told_within(plain(), SECOND, &[(0, Act::Fail(asks))]);
    let told = told.check(Some(RetryEnd::Deadline), &[0], bad(asks, 1));
    assert_eq!(told.took, Duration::ZERO);
}

/// A machine that slept, or a thread that nobody ran: the wait was longer than it was to be.
#[test]
fn an_attempt_is_not_begun_when_the_wait_took_longer_than_the_deadline() {
    let bench = Bench::new();
    let retry = retry(&bench, plain());
    let script = Script::new(&bench, [FAIL]);
    let call = by(&bench, SECOND);
    let mut running = pin!(retry.run(&call, &script));
    assert!(poll(running.as_mut()).is_pending());
    bench.wait(SECOND);
    let (answer, _) = bench.run(running);
    assert_eq!(script.played(), 1);
    let why = TimedOut::new(TimeScope::Deadline, SECOND);
    assert_eq!(answer, Err(why.into()));
    check_counted(&bench, &retry, Some(RetryEnd::Deadline), 0);
}

#[test]
fn a_limit_in_the_call_counts_from_when_it_first_waits() {
    // The first attempt waits 50 ms: the limit of 300 ms ends at 300.
    let limited = Call::new("charge").limited_to(300 * MS);
    let told = tell(plain(), limited, [(50, FAIL)]);
    let told = told.check(
        Some(RetryEnd::Deadline),
        &[0, 150],
        bad(Outcome::TRANSIENT, 2),
    );
    // The first attempt was told of a limit, the second of a deadline.
    let (begin, first) = told.script.calls()[0];
    assert_eq!(
        (first.limits().call(), first.deadline()),
        (Some(300 * MS), None)
    );
    let (_, second) = told.script.calls()[1];
    let deadline = Deadline::after(begin, 300 * MS);
    assert_eq!(
        (second.limits().call(), second.deadline()),
        (None, Some(deadline))
    );
    // One that never waited begins when it first failed.
    let told = tell(plain(), limited, [(0, FAIL)]);
    told.check(
        Some(RetryEnd::Deadline),
        &[0, 100, 200],
        bad(Outcome::TRANSIENT, 3),
    );
}

/// From the first pending poll, not from when the future was made, and not from the failure.
#[test]
fn a_call_begins_when_it_is_first_polled() {
    let bench = Bench::new();
    let retry = retry(&bench, plain());
    let script = Script::slow(&bench, [(200 * MS, FAIL)]);
    let call = Call::new("charge").limited_to(450 * MS);
    let running = retry.run(&call, &script);
    bench.wait(SECOND);
    let (answer, took) = bench.run(running);
    assert_eq!(answer, bad(Outcome::TRANSIENT, 2));
    // The second would begin at 300, which is in time, and end at 500: nobody here can know.
    // The third would not be in time.
    assert_eq!((script.played(), took), (2, 500 * MS));
}

#[test]
fn no_attempt_begins_after_the_total_time() {
    let last = bad(Outcome::TRANSIENT, 3);
    let config = |ms: u32| plain().with_total_time(ms * MS);
    let check = |ms, end, begun: &[u128], answer| {
        tell(config(ms), Call::new("charge"), [(0, FAIL)]).check(Some(end), begun, answer)
    };
    let told = check(299, RetryEnd::Deadline, &[0, 100, 200], last);
    assert_eq!(told.took, 200 * MS);
    let all = bad(Outcome::TRANSIENT, 4);
    check(300, RetryEnd::Exhausted, &[0, 100, 200, 300], all);
    check(0, RetryEnd::Deadline, &[0], bad(Outcome::TRANSIENT, 1));
}

/// It says when attempts begin; how long they take is no matter of it.
#[test]
fn the_total_time_is_no_deadline() {
    let config = plain().with_total_time(250 * MS);
    let told = tell(
        config,
        Call::new("charge"),
        [(0, FAIL), (1000, Act::Succeed)],
    );
    let told = told.check(Some(RetryEnd::Succeeded), &[0, 100], GOOD);
    assert_eq!(told.took, 1100 * MS);
    assert!(
        told.script
            .calls()
            .iter()
            .all(|(_, call)| call.deadline().is_none())
    );
}

#[test]
fn the_earliest_of_all_limits_counts() {
    let bench = Bench::new();
    let retry = retry(&bench, plain().with_attempts(100).with_total_time(SECOND));
    for (deadline, limit, tries) in [(550, 1000, 6), (1000, 350, 4), (5000, 5000, 11)] {
        let script = Script::new(&bench, [FAIL]);
        let call = by(&bench, deadline * MS).limited_to(limit * MS);
        bench.run(retry.run(&call, &script)).0.unwrap_err();
        assert_eq!(script.played(), tries, "{deadline} {limit}");
    }
    assert_eq!(retry.ended(RetryEnd::Deadline), 3);
}
