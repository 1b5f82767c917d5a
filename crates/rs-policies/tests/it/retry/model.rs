//! Retry against a model that anybody can follow: whatever the rules, the call and the script, it begins
//! the same attempts at the same times and ends in the same way.

use super::*;
use crate::support::cases;
use proptest::{prelude::*, test_runner::TestRunner};

#[derive(Debug, Clone)]
struct Plan {
    attempts: u32,
    wait: u32,
    first_at_once: bool,
    total: Option<u32>,
    hints: u32,
    shortest: u32,
    rejections: bool,
    timeouts: bool,
    deadline: Option<u32>,
    limit: Option<u32>,
    safe: bool,
    acts: Vec<(u32, Step)>,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Succeed,
    Transient,
    Permanent,
    Ignored,
    TimedOut,
    Asks(u32),
    Refuse,
}

impl Step {
    fn act(self) -> Act {
        match self {
            Self::Succeed => Act::Succeed,
            Self::Transient => FAIL,
            Self::Permanent => Act::Fail(Outcome::PERMANENT),
            Self::Ignored => Act::Fail(Outcome::Ignored),
            Self::TimedOut => fail_with(Fault::timed_out()),
            Self::Asks(ms) => fail_with(Fault::throttled().after(ms * MS)),
            Self::Refuse => Act::Refuse(refusal()),
        }
    }
}

fn plan() -> impl Strategy<Value = Plan> {
    let step = prop_oneof![
        1 => Just(Step::Succeed),
        8 => Just(Step::Transient),
        1 => Just(Step::Permanent),
        1 => Just(Step::Ignored),
        2 => Just(Step::TimedOut),
        2 => (0..120_u32).prop_map(Step::Asks),
        1 => Just(Step::Refuse),
    ];
    let acts = prop::collection::vec((prop_oneof![Just(0), 1..40_u32], step), 1..8);
    let rules = (
        1..8_u32,
        0..60_u32,
        any::<bool>(),
        prop::option::of(0..400_u32),
        0..100_u32,
        0..30_u32,
    );
    let call = (
        any::<bool>(),
        any::<bool>(),
        prop::option::of(0..400_u32),
        prop::option::of(0..400_u32),
        any::<bool>(),
    );
    (rules, call, acts).prop_map(|(rules, call, acts)| {
        let (attempts, wait, first_at_once, total, hints, shortest) = rules;
        let (rejections, timeouts, deadline, limit, safe) = call;
        Plan {
            attempts,
            wait,
            first_at_once,
            total,
            hints,
            shortest,
            rejections,
            timeouts,
            deadline,
            limit,
            safe,
            acts,
        }
    })
}

impl Plan {
    fn config(&self) -> RetryConfig {
        let mut waits = Backoff::constant(self.wait * MS).with_jitter(Jitter::None);
        if self.first_at_once {
            waits = waits.at_once_first();
        }
        let mut config = RetryConfig::new(self.attempts, waits)
            .honouring_hints_up_to(self.hints * MS)
            .with_shortest_attempt(self.shortest * MS);
        if let Some(total) = self.total {
            config = config.with_total_time(total * MS);
        }
        if self.rejections {
            config = config.retrying_rejections();
        }
        if self.timeouts {
            config = config.repeating_timeouts();
        }
        config
    }

    /// When the attempts begin, in milliseconds, and how it ends.
    fn expected(&self) -> (Vec<u128>, Option<RetryEnd>) {
        let deadline = [self.deadline, self.limit].into_iter().flatten().min();
        let (mut now, mut begun) = (0, Vec::new());
        for tried in 1.. {
            begun.push(now.into());
            let (time, step) = self.acts[(tried - 1).min(self.acts.len() - 1)];
            now += time;
            let asked = match step {
                Step::Succeed => return (begun, (tried > 1).then_some(RetryEnd::Succeeded)),
                Step::Ignored if tried == 1 => return (begun, None),
                Step::Refuse if !self.rejections => {
                    return (begun, (tried > 1).then_some(RetryEnd::Rejected));
                }
                Step::Ignored | Step::Permanent => return (begun, Some(RetryEnd::Permanent)),
                Step::TimedOut if !self.timeouts && !self.safe => {
                    return (begun, Some(RetryEnd::Unsafe));
                }
                Step::Asks(time) => time.min(self.hints),
                _ => 0,
            };
            if tried as u32 == self.attempts {
                return (begun, Some(RetryEnd::Exhausted));
            }
            let wait = if tried == 1 && self.first_at_once {
                0
            } else {
                self.wait
            };
            let next = now + wait.max(asked);
            let late = deadline.is_some_and(|end| next + self.shortest.max(1) > end);
            if late || self.total.is_some_and(|total| next > total) {
                return (begun, Some(RetryEnd::Deadline));
            }
            now = next;
        }
        unreachable!("it ends")
    }
}

#[test]
fn it_does_what_the_model_does() {
    let mut seen = std::collections::BTreeMap::<_, u32>::new();
    let counted = std::cell::RefCell::new(&mut seen);
    TestRunner::new(cases(1500))
        .run(&plan(), |plan| {
            let bench = Bench::new();
            let mut call = Call::new("charge");
            if let Some(deadline) = plan.deadline {
                call = call.within(deadline * MS, &bench.clock);
            }
            if let Some(limit) = plan.limit {
                call = call.limited_to(limit * MS);
            }
            if plan.safe {
                call = call.safe_to_repeat();
            }
            let retry = retry(&bench, plan.config());
            let acts = plan.acts.iter().map(|(ms, step)| (*ms * MS, step.act()));
            let (begin, script) = (bench.now(), Script::slow(&bench, acts));
            let (_, _) = bench.run(retry.run(&call, &script));
            let begun: Vec<_> = script
                .begun(begin)
                .iter()
                .map(Duration::as_millis)
                .collect();
            let (expected, end) = plan.expected();
            prop_assert_eq!(begun, expected);
            check_counted(&bench, &retry, end, script.played() as u64 - 1);
            prop_assert_eq!(script.alive(), 0);
            *counted.borrow_mut().entry(end).or_default() += 1;
            Ok(())
        })
        .unwrap();
    // Every end was met often enough to mean something.
    assert!(
        seen.len() == 7 && seen.values().all(|times| *times > 5),
        "{seen:?}"
    );
}
