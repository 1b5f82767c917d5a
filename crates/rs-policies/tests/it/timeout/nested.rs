//! Several limits at once: which one is reported, and by whom it is counted.

use super::*;
use rs_policies::{Backoff, Jitter, Retry, RetryConfig, RetryEnd};

fn tries(bench: &Bench, attempts: u32) -> Retry {
    let waits = Backoff::constant(100 * MS).with_jitter(Jitter::None);
    let config = RetryConfig::new(attempts, waits).repeating_timeouts();
    Retry::with_budget(&bench.around, "tries", config, None).unwrap()
}

struct Ways {
    bench: Bench,
    whole: Timeout,
    tries: Retry,
    each: Timeout,
}

impl Ways {
    fn new(whole: u32, attempts: u32, each: u32) -> Self {
        let bench = Bench::new();
        let within = |name, scope, ms| Timeout::within(&bench.around, name, scope, ms * MS);
        Self {
            whole: within("whole", TimeScope::Total, whole).unwrap(),
            tries: tries(&bench, attempts),
            each: within("each", TimeScope::Attempt, each).unwrap(),
            bench,
        }
    }

    fn run(&self, call: Call, script: &Script) -> (Answer, Duration) {
        let pipeline = (self.whole.clone(), self.tries.clone(), self.each.clone());
        self.bench.run(async { pipeline.run(&call, script).await })
    }

    #[track_caller]
    fn check(&self, whole: u64, each: u64) {
        check_counted(&self.bench, &self.whole, whole, 0);
        check_counted(&self.bench, &self.each, each, 0);
    }
}

#[test]
fn each_attempt_has_its_time() {
    let ways = Ways::new(10_000, 3, 200);
    let script = Script::new(&ways.bench, [Act::Hang]);
    let (answer, took) = ways.run(Call::new("x"), &script);
    assert_eq!(answer, ended(TimeScope::Attempt, 200 * MS));
    assert_eq!((script.played(), took), (3, 800 * MS));
    ways.check(0, 3);
    assert_eq!(ways.tries.ended(RetryEnd::Exhausted), 1);
}

/// The last attempt has less than its time: it is the whole that ends it, whoever notices first.
#[test]
fn the_whole_is_reported_when_the_whole_is_over() {
    for whole in [201, 301, 450, 599, 600, 650, 799] {
        let ways = Ways::new(whole, 10, 200);
        let script = Script::new(&ways.bench, [Act::Hang]);
        let (answer, took) = ways.run(Call::new("x"), &script);
        // Where the time ends in a wait, the wait is not begun.
        let in_wait = [201, 301, 599, 600].contains(&whole);
        let ended_early = in_wait && answer == ended(TimeScope::Attempt, 200 * MS);
        if !ended_early {
            assert_eq!(answer, ended(TimeScope::Total, whole * MS), "{whole}");
            assert_eq!(took, whole * MS);
            assert_eq!(ways.whole.timed_out(), 1, "{whole}");
        }
        assert_eq!(script.alive(), 0);
    }
}

#[test]
fn a_first_attempt_with_more_time_than_the_whole() {
    let ways = Ways::new(300, 2, 500);
    let script = Script::new(&ways.bench, [Act::Hang]);
    let (answer, took) = ways.run(Call::new("x"), &script);
    assert_eq!(
        (answer, took),
        (ended(TimeScope::Total, 300 * MS), 300 * MS)
    );
    ways.check(1, 0);
}

/// The caller's deadline is nobody's limit, and nobody counts it.
#[test]
fn the_deadline_of_the_caller_is_reported_as_such() {
    let ways = Ways::new(10_000, 5, 200);
    let script = Script::new(&ways.bench, [Act::Hang]);
    let call = Call::new("x").within(350 * MS, &ways.bench.clock);
    let (answer, took) = ways.run(call, &script);
    assert_eq!(
        (answer, took),
        (ended(TimeScope::Deadline, 50 * MS), 350 * MS)
    );
    ways.check(0, 1);
    // Also when it ends with the whole, as far as anybody can tell.
    let ways = Ways::new(350, 5, 200);
    let call = Call::new("x").within(340 * MS, &ways.bench.clock);
    let script = Script::new(&ways.bench, [Act::Hang]);
    assert_eq!(
        ways.run(call, &script),
        (ended(TimeScope::Deadline, 40 * MS), 340 * MS)
    );
    ways.check(0, 1);
}

#[test]
fn the_inner_of_two_wholes_is_reported_when_it_is_shorter() {
    let bench = Bench::new();
    let within =
        |name, ms: u32| Timeout::within(&bench.around, name, TimeScope::Total, ms * MS).unwrap();
    for (outer, inner, counted) in [(500, 300, (0, 1)), (300, 500, (1, 0))] {
        let (outer, inner) = (within("outer", outer), within("inner", inner));
        let script = Script::new(&bench, [Act::Hang]);
        let pipeline = (outer.clone(), inner.clone());
        let (answer, took) = bench.run(pipeline.run(&Call::new("x"), &script));
        assert_eq!(
            (answer, took),
            (ended(TimeScope::Total, 300 * MS), 300 * MS)
        );
        assert_eq!((outer.timed_out(), inner.timed_out()), counted);
    }
}

/// A deadline that only something inside knows of is not taken for one's own limit.
#[test]
fn a_deadline_of_something_inside_is_passed_on() {
    let bench = Bench::new();
    for (after, claimed) in [(10, false), (997, false), (1000, true)] {
        let timeout = total(&bench, SECOND);
        let why = ended(TimeScope::Deadline, 10 * MS);
        let late = operation(async |_: Call| {
            bench.clock.sleep(after * MS).await;
            Ok::<_, Bad>(Outcome::Success)
        });
        let inner = EndsBy(why.clone());
        let pipeline = (timeout.clone(), inner);
        let (answer, _) = bench.run(pipeline.run(&Call::new("x"), &late));
        let expected = if claimed {
            ended(TimeScope::Total, SECOND)
        } else {
            why
        };
        assert_eq!(answer, expected, "after {after} ms");
        assert_eq!(timeout.timed_out(), u64::from(claimed));
    }
}

/// Runs the operation, and says that it ended so.
struct EndsBy(Answer);

impl Policy<Outcome, Bad> for EndsBy {
    async fn run<O>(&self, call: &Call, operation: &O) -> Answer
    where
        O: rs_core::Operation<Output = Outcome, Error = Bad>,
    {
        let _ = operation.attempt(call).await;
        self.0.clone()
    }
}
