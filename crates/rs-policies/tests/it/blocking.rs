//! A retry that blocks decides as one that waits does.

use std::time::Duration;

use proptest::prelude::*;
use rs_core::{Call, Clock, ClockHand, Fault, Outcome, Policy, operation};
use rs_policies::{Backoff, Retry, RetryConfig, RetryEnd, Surroundings};

/// What each attempt comes to, in turn; when there are no more it succeeds.
#[derive(Debug, Clone, Copy)]
enum Step {
    Transient,
    Permanent,
    Throttled(u64),
    Ours,
}

fn judge(result: Result<&u32, &Step>) -> Outcome {
    match result {
        Ok(_) => Outcome::Success,
        Err(Step::Transient) => Outcome::TRANSIENT,
        Err(Step::Permanent) => Outcome::PERMANENT,
        Err(Step::Throttled(millis)) => Fault::throttled()
            .after(Duration::from_millis(*millis))
            .into(),
        Err(Step::Ours) => Outcome::Ignored,
    }
}

fn retry(attempts: u32, total: Option<u64>, seed: u64) -> (Retry, ClockHand) {
    let (clock, hand) = Clock::manual();
    let around = Surroundings::apart().with_clock(clock).with_seed(seed);
    let waits = Backoff::exponential(Duration::from_millis(100));
    let mut rules = RetryConfig::new(attempts, waits);
    if let Some(total) = total {
        rules = rules.with_total_time(Duration::from_millis(total));
    }
    (
        Retry::with_budget(&around, "bank", rules, None).unwrap(),
        hand,
    )
}

fn ends(retry: &Retry) -> Vec<u64> {
    let ends = <RetryEnd as rs_core::Label>::ALL;
    ends.iter().map(|end| retry.ended(*end)).collect()
}

fn attempt(steps: &[Step], call: Call) -> Result<u32, Step> {
    match steps.get(call.attempt() as usize - 1) {
        Some(step) => Err(*step),
        None => Ok(call.attempt()),
    }
}

type Seen = (String, Vec<u64>);

/// Moves the clock in small steps for as long as the future waits.
fn waiting(steps: &[Step], attempts: u32, total: Option<u64>, seed: u64) -> Seen {
    let (retry, hand) = retry(attempts, total, seed);
    let run = operation(async |call: Call| attempt(steps, call)).classified(judge);
    let call = Call::new("call");
    let mut running = std::pin::pin!(retry.run(&call, &run));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let result = loop {
        match running.as_mut().poll(&mut context) {
            std::task::Poll::Ready(result) => break result,
            std::task::Poll::Pending => hand.advance(Duration::from_millis(1)),
        }
    };
    (format!("{result:?}"), ends(&retry))
}

fn blocking(steps: &[Step], attempts: u32, total: Option<u64>, seed: u64) -> Seen {
    let (retry, hand) = retry(attempts, total, seed);
    std::thread::scope(|scope| {
        let running = scope
            .spawn(|| retry.call_blocking(Call::new("call"), judge, |call| attempt(steps, call)));
        while !running.is_finished() {
            hand.advance(Duration::from_millis(1));
            std::thread::yield_now();
        }
        let result = running.join().unwrap();
        (format!("{result:?}"), ends(&retry))
    })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => Just(Step::Transient),
        1 => Just(Step::Permanent),
        2 => (1_u64..400).prop_map(Step::Throttled),
        1 => Just(Step::Ours),
    ];
    prop::collection::vec(step, 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn it_ends_as_one_that_waits(steps in steps(), attempts in 1_u32..6, seed: u64) {
        // No total time: how far the hand of the blocking one has moved meanwhile is chance.
        let (result, ends) = waiting(&steps, attempts, None, seed);
        let (blocking_result, blocking_ends) = blocking(&steps, attempts, None, seed);
        prop_assert_eq!(result, blocking_result);
        prop_assert_eq!(ends, blocking_ends);
    }
}

#[test]
fn no_attempt_begins_after_the_total_time() {
    let slow = [Step::Throttled(400); 5];
    let (result, ends) = blocking(&slow, 6, Some(1_000), 7);
    assert!(result.contains("Throttled"), "{result}");
    assert_eq!(ends, waiting(&slow, 6, Some(1_000), 7).1);
}

#[test]
fn the_total_time_counts_from_the_first_attempt() {
    let (retry, hand) = retry(5, Some(1_000), 7);
    let mut attempts = 0;
    let result = retry.call_blocking("slow", judge, |_call| {
        attempts += 1;
        hand.advance(Duration::from_millis(1_001));
        Err::<u32, _>(Step::Transient)
    });
    result.unwrap_err();
    assert_eq!((attempts, retry.ended(RetryEnd::Deadline)), (1, 1));
}
