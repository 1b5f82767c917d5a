//! Who wins, and what becomes of the others.

use super::{Answer, Lanes, MS, bad, check_ends, empty_budget, hedge, now, poll, read, still};
use rs_core::{
    Call, Deadline, Enforcement, Failure, Guard, Name, Policy, Reason, Rejection, operation,
};
use rs_policies::{Hedge, HedgeConfig, HedgeEnd};
use std::{
    pin::pin,
    sync::atomic::{AtomicU32, Ordering::SeqCst},
    task::Poll,
};

static OPEN: Reason = Reason::new("breaker", "open");

fn refused() -> Answer {
    Err(Failure::Rejected(OPEN.reject(Name::of("prices"))))
}

fn after(millis: u32) -> HedgeConfig {
    HedgeConfig::after(MS * millis)
}

#[test]
fn a_call_that_answers_in_time_is_not_hedged() {
    let (hedge, hand) = hedge(after(50));
    let (lanes, call) = (Lanes::default(), read());
    let mut running = pin!(hedge.run(&call, &lanes));
    assert!(poll(running.as_mut()).is_pending());
    hand.advance(MS * 49);
    assert!(poll(running.as_mut()).is_pending());
    assert_eq!(lanes.alive(), [0]);
    lanes.answer(0, Ok(1));
    assert_eq!(poll(running), Poll::Ready(Ok(1)));
    assert_eq!((lanes.begun(), hedge.started()), (1, 0));
    check_ends(&hedge, &[]);
}

#[test]
fn a_hedge_that_is_faster_wins_and_the_first_attempt_is_dropped_at_once() {
    let (hedge, hand) = hedge(after(50));
    let (lanes, call) = (Lanes::default(), read());
    let mut running = pin!(hedge.run(&call, &lanes));
    assert!(poll(running.as_mut()).is_pending());
    hand.advance(MS * 50);
    assert!(poll(running.as_mut()).is_pending());
    assert_eq!(lanes.alive(), [0, 1]);
    assert_eq!(hedge.running(), 1);
    lanes.answer(1, Ok(2));
    // The future itself is not dropped yet.
    assert_eq!(poll(running.as_mut()), Poll::Ready(Ok(2)));
    assert_eq!(lanes.alive(), [0; 0]);
    check_ends(&hedge, &[(HedgeEnd::Won, 1)]);
}

#[test]
fn a_first_attempt_that_is_faster_wins_and_the_hedge_is_dropped_at_once() {
    let (hedge, hand) = hedge(after(50));
    let (lanes, call) = (Lanes::default(), read());
    let mut running = pin!(hedge.run(&call, &lanes));
    assert!(poll(running.as_mut()).is_pending());
    hand.advance(MS * 50);
    assert!(poll(running.as_mut()).is_pending());
    lanes.answer(0, Ok(1));
    lanes.answer(1, Ok(2));
    assert_eq!(poll(running.as_mut()), Poll::Ready(Ok(1)));
    assert_eq!(lanes.alive(), [0; 0]);
    check_ends(&hedge, &[(HedgeEnd::Lost, 1)]);
}

/// The first attempt ends like `first`, then the hedge like `second`.
#[track_caller]
fn check_first_then_hedge(first: Answer, second: Answer, expected: Answer, end: HedgeEnd) {
    let (hedge, hand) = hedge(after(50));
    let (lanes, call) = (Lanes::default(), read());
    let mut running = pin!(hedge.run(&call, &lanes));
    assert!(poll(running.as_mut()).is_pending());
    hand.advance(MS * 50);
    assert!(poll(running.as_mut()).is_pending());
    lanes.answer(0, first);
    assert!(poll(running.as_mut()).is_pending(), "a failure has won");
    assert_eq!(lanes.alive(), [1], "what failed is dropped at once");
    lanes.answer(1, second);
    assert_eq!(poll(running), Poll::Ready(expected));
    check_ends(&hedge, &[(end, 1)]);
}

#[test]
fn a_failure_does_not_win_while_a_hedge_runs() {
    check_first_then_hedge(bad("down"), Ok(2), Ok(2), HedgeEnd::Won);
    check_first_then_hedge(Ok(503), Ok(2), Ok(2), HedgeEnd::Won);
    check_first_then_hedge(refused(), Ok(2), Ok(2), HedgeEnd::Won);
    check_first_then_hedge(bad("down"), bad("mine"), bad("mine"), HedgeEnd::Won);
}

#[test]
fn when_all_fail_the_call_ends_as_the_first_attempt_did() {
    check_first_then_hedge(bad("down"), bad("off"), bad("down"), HedgeEnd::Failed);
    check_first_then_hedge(Ok(503), bad("off"), Ok(503), HedgeEnd::Failed);
    check_first_then_hedge(bad("down"), refused(), bad("down"), HedgeEnd::Failed);
}

#[test]
fn a_hedge_that_fails_leaves_the_first_attempt_running() {
    for (last, end) in [(Ok(1), HedgeEnd::Lost), (bad("down"), HedgeEnd::Failed)] {
        for failed in [bad("off"), refused(), Ok(503)] {
            let (hedge, hand) = hedge(after(50));
            let (lanes, call) = (Lanes::default(), read());
            let mut running = pin!(hedge.run(&call, &lanes));
            assert!(poll(running.as_mut()).is_pending());
            hand.advance(MS * 50);
            lanes.answer(1, failed);
            assert!(poll(running.as_mut()).is_pending());
            assert_eq!(lanes.alive(), [0]);
            lanes.answer(0, last.clone());
            assert_eq!(poll(running), Poll::Ready(last.clone()));
            check_ends(&hedge, &[(end, 1)]);
        }
    }
}

#[test]
fn a_first_attempt_that_fails_before_the_delay_ends_the_call() {
    let (hedge, hand) = hedge(after(50));
    let (lanes, call) = (Lanes::default(), read());
    let mut running = pin!(hedge.run(&call, &lanes));
    assert!(poll(running.as_mut()).is_pending());
    hand.advance(MS * 49);
    lanes.answer(0, bad("down"));
    assert_eq!(poll(running), Poll::Ready(bad("down")));
    assert_eq!(hedge.started(), 0);
}

#[test]
fn each_further_hedge_waits_as_long_again() {
    let (hedge, hand) = hedge(after(50).with_hedges(3));
    let (lanes, call) = (Lanes::default(), read());
    let mut running = pin!(hedge.run(&call, &lanes));
    for hedges in 0..4 {
        assert!(poll(running.as_mut()).is_pending());
        let expected: Vec<usize> = (0..=hedges).collect();
        assert_eq!(lanes.alive(), expected);
        hand.advance(MS * 50);
    }
    hand.advance(MS * 1000);
    assert!(poll(running.as_mut()).is_pending());
    assert_eq!(lanes.begun(), 4, "no more than it may have");
    lanes.answer(2, Ok(7));
    assert_eq!(poll(running.as_mut()), Poll::Ready(Ok(7)));
    assert_eq!(lanes.alive(), [0; 0]);
    check_ends(&hedge, &[(HedgeEnd::Won, 1)]);
}

#[test]
fn what_is_not_safe_to_repeat_is_never_hedged() {
    for config in [
        after(1),
        HedgeConfig::at_quantile("50%".parse().unwrap()).with_samples(1),
    ] {
        let (hedge, hand) = hedge(config);
        let lanes = Lanes::default();
        let call = Call::new("charge");
        let mut running = pin!(hedge.run(&call, &lanes));
        for _ in 0..100 {
            assert!(poll(running.as_mut()).is_pending());
            hand.advance(MS * 1000);
        }
        lanes.answer(0, Ok(1));
        assert_eq!(poll(running), Poll::Ready(Ok(1)));
        assert_eq!((lanes.begun(), hedge.started()), (1, 0));
        check_ends(&hedge, &[]);
    }
}

#[test]
fn without_a_token_there_is_no_hedge_and_the_call_goes_on() {
    let (around, hand) = still();
    let budget = empty_budget(&around);
    let hedge = Hedge::with_budget(&around, "prices", after(50), budget.clone()).unwrap();
    let (lanes, call) = (Lanes::default(), read());
    let mut running = pin!(hedge.run(&call, &lanes));
    assert!(poll(running.as_mut()).is_pending());
    hand.advance(MS * 500);
    assert!(poll(running.as_mut()).is_pending());
    assert_eq!((lanes.begun(), budget.refused()), (1, 1));
    // It is asked once.
    hand.advance(MS * 500);
    assert!(poll(running.as_mut()).is_pending());
    assert_eq!(budget.refused(), 1);
    lanes.answer(0, Ok(1));
    assert_eq!(poll(running), Poll::Ready(Ok(1)));
    check_ends(&hedge, &[(HedgeEnd::Refused, 1)]);
}

#[test]
fn a_hedge_costs_a_token_and_a_tenth_of_the_calls_may_have_one() {
    let (around, hand) = still();
    let budget = empty_budget(&around);
    let hedge = Hedge::with_budget(&around, "prices", after(50), budget.clone()).unwrap();
    let (good, call) = (Lanes::default(), read());
    good.answer(0, Ok(1));
    for _ in 0..30 {
        assert_eq!(now(hedge.run(&call, &good)), Ok(1));
    }
    assert_eq!(budget.balance(), 3.0);
    for _ in 0..5 {
        let lanes = Lanes::default();
        let mut running = pin!(hedge.run(&call, &lanes));
        assert!(poll(running.as_mut()).is_pending());
        hand.advance(MS * 50);
        assert!(poll(running.as_mut()).is_pending());
    }
    assert_eq!(hedge.started(), 3);
    check_ends(&hedge, &[(HedgeEnd::Cancelled, 3), (HedgeEnd::Refused, 2)]);
}

#[test]
fn a_call_that_got_one_hedge_and_no_second_is_counted_by_how_it_ends() {
    let (around, hand) = still();
    let budget = empty_budget(&around);
    (0..10).for_each(|_| budget.deposit());
    let config = after(50).with_hedges(2);
    let hedge = Hedge::with_budget(&around, "prices", config, budget.clone()).unwrap();
    let (lanes, call) = (Lanes::default(), read());
    let mut running = pin!(hedge.run(&call, &lanes));
    for _ in 0..4 {
        assert!(poll(running.as_mut()).is_pending());
        hand.advance(MS * 50);
    }
    assert_eq!((lanes.alive(), budget.refused()), (vec![0, 1], 1));
    lanes.answer(1, Ok(2));
    assert_eq!(poll(running), Poll::Ready(Ok(2)));
    check_ends(&hedge, &[(HedgeEnd::Won, 1)]);
}

#[test]
fn calls_are_counted_in_the_budget_once() {
    let (around, _hand) = still();
    let deposits = |hedge: &Hedge, call: Call, answer: Answer| {
        let before = hedge.budget().unwrap().balance();
        let lanes = Lanes::default();
        lanes.answer(0, answer);
        let _ = now(hedge.run(&call, &lanes));
        ((hedge.budget().unwrap().balance() - before) * 10.0).round() as u32
    };
    let alone = Hedge::with_budget(&around, "a", after(50), empty_budget(&around)).unwrap();
    assert_eq!(deposits(&alone, read(), Ok(1)), 1);
    assert_eq!(deposits(&alone, read(), bad("down")), 1);
    assert_eq!(deposits(&alone, Call::new("charge"), Ok(1)), 1);
    assert_eq!(deposits(&alone, read(), refused()), 0, "it never got there");
    assert_eq!(
        deposits(&alone, read().at_attempt(2), Ok(1)),
        0,
        "a retry's"
    );
    let inside = alone.clone().inside_retry();
    assert_eq!(deposits(&inside, read(), Ok(1)), 0);
}

#[test]
fn in_the_dark_hedges_are_only_counted() {
    let (hedge, hand) = hedge(after(50).with_enforcement(Enforcement::Dark));
    let (lanes, call) = (Lanes::default(), read());
    let mut running = pin!(hedge.run(&call, &lanes));
    for _ in 0..3 {
        assert!(poll(running.as_mut()).is_pending());
        hand.advance(MS * 50);
    }
    lanes.answer(0, Ok(1));
    assert_eq!(poll(running), Poll::Ready(Ok(1)));
    assert_eq!(lanes.begun(), 1);
    check_ends(&hedge, &[(HedgeEnd::Dark, 1)]);
}

#[test]
fn no_hedge_begins_after_the_deadline_and_its_time_counts_from_the_beginning() {
    let (around, hand) = still();
    let hedge = Hedge::with_budget(&around, "prices", after(50).with_hedges(2), None).unwrap();
    let clock = around.clock();
    let lanes = Lanes::default();
    let late = read().by(Deadline::after(clock.now(), MS * 70));
    let mut running = pin!(hedge.run(&late, &lanes));
    for _ in 0..5 {
        assert!(poll(running.as_mut()).is_pending());
        hand.advance(MS * 50);
    }
    assert_eq!(lanes.begun(), 2);

    // A limit that nobody had looked at yet.
    let left = AtomicU32::new(0);
    let call = read().limited_to(MS * 70);
    let told = operation(async |call: Call| {
        if call.hedge() == 0 {
            return std::future::pending::<Result<(), ()>>().await;
        }
        let remaining = call.remaining(clock.now()).unwrap();
        left.store(remaining.as_millis() as u32, SeqCst);
        Ok(())
    });
    let mut running = pin!(hedge.run(&call, &told));
    assert!(poll(running.as_mut()).is_pending());
    hand.advance(MS * 50);
    assert!(poll(running).is_ready());
    assert_eq!(left.load(SeqCst), 20);
}

#[test]
fn the_operation_can_tell_its_attempts_apart() {
    let (hedge, hand) = hedge(after(50).with_hedges(2));
    let seen = std::sync::Mutex::new(Vec::new());
    let call = read().at_attempt(3);
    let asked = operation(async |call: Call| {
        seen.lock()
            .unwrap()
            .push((call.id(), call.attempt(), call.hedge()));
        std::future::pending::<Result<(), ()>>().await
    });
    {
        let mut running = pin!(hedge.run(&call, &asked));
        for _ in 0..3 {
            assert!(poll(running.as_mut()).is_pending());
            hand.advance(MS * 50);
        }
    }
    let expected = [0, 1, 2].map(|hedge| (call.id(), 3, hedge));
    assert_eq!(*seen.lock().unwrap(), expected);
}

/// Lets the first attempt of a call in, and refuses its hedges.
struct OncePerCall;

impl Guard for OncePerCall {
    type Ticket = ();

    fn try_enter(&self, call: &Call) -> Result<(), Rejection> {
        match call.hedge() {
            0 => Ok(()),
            _ => Err(OPEN.reject(Name::of("prices"))),
        }
    }

    fn leave(&self, (): (), _ending: rs_core::Ending) {}
}

#[test]
fn guards_inside_see_every_attempt_and_their_refusal_is_no_answer() {
    let (hedge, hand) = hedge(after(50));
    let (lanes, call) = (Lanes::default(), read());
    let stack = (hedge.clone(), OncePerCall);
    let mut running = pin!(stack.run(&call, &lanes));
    assert!(poll(running.as_mut()).is_pending());
    hand.advance(MS * 50);
    assert!(poll(running.as_mut()).is_pending());
    assert_eq!((hedge.started(), lanes.begun()), (1, 1));
    lanes.answer(0, Ok(1));
    assert_eq!(poll(running), Poll::Ready(Ok(1)));
    check_ends(&hedge, &[(HedgeEnd::Lost, 1)]);
}

#[test]
fn dropped_at_any_moment_nothing_is_left() {
    for polls in 0..6 {
        let (hedge, hand) = hedge(after(50).with_hedges(3));
        let (lanes, call) = (Lanes::default(), read());
        {
            let mut running = pin!(hedge.run(&call, &lanes));
            for _ in 0..polls {
                assert!(poll(running.as_mut()).is_pending());
                hand.advance(MS * 50);
            }
        }
        assert_eq!(lanes.alive(), [0; 0]);
        let hedged = polls > 1;
        check_ends(&hedge, &[(HedgeEnd::Cancelled, hedged.into())]);
        assert_eq!(hedge.started(), u64::min(polls.max(1) - 1, 3));
    }
}

#[tokio::test(start_paused = true)]
async fn it_wakes_by_itself_when_the_delay_is_over() {
    let around = rs_policies::Surroundings::apart();
    let hedge = Hedge::with_budget(&around, "prices", after(50), None).unwrap();
    let answer = hedge.call(read(), async |call: Call| {
        if call.hedge() == 0 {
            std::future::pending::<()>().await;
        }
        Ok::<_, &str>(call.hedge())
    });
    let begun = around.clock().now();
    assert_eq!(answer.await, Ok(1));
    let took = around.clock().now() - begun;
    assert!((MS * 50..MS * 52).contains(&took), "{took:?}");
}
