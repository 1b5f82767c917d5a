//! Who runs, and who gets what.

use super::{Answer, Door, MS, bad, check_calls, coalesce, poll, price};
use rs_core::{Call, Failure, Policy, TimeScope, TimedOut};
use rs_policies::{Coalesce, CoalesceConfig, CoalesceRole as Role, Surroundings};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

#[test]
fn a_hundred_callers_make_one_run() {
    for answer in [Ok(7), bad("down")] {
        let (prices, _hand) = coalesce(CoalesceConfig::default());
        let (door, call) = (Door::default(), price());
        let mut all: Vec<_> = (0..100)
            .map(|_| Box::pin(prices.run(&call, &door)))
            .collect();
        for one in &mut all {
            assert!(poll(one.as_mut()).is_pending());
        }
        assert_eq!((prices.running(), prices.waiting()), (1, 99));
        door.answer(answer.clone());
        for one in &mut all {
            assert_eq!(poll(one.as_mut()), Poll::Ready(answer.clone()));
        }
        assert_eq!(door.begun(), 1);
        check_calls(&prices, &[(Role::Leader, 1), (Role::Follower, 99)]);
    }
}

#[test]
fn other_keys_and_names_and_calls_without_a_key_run_by_themselves() {
    let (prices, _hand) = coalesce(CoalesceConfig::default());
    let door = Door::default();
    let calls = [
        price(),
        price().with_key("sku-18"),
        Call::new("stock").with_key("sku-17"),
        Call::new("price"),
        Call::new("price"),
    ];
    let mut all = calls.map(|call| Box::pin(run_owned(&prices, call, &door)));
    for one in &mut all {
        assert!(poll(one.as_mut()).is_pending());
    }
    assert_eq!(door.begun(), 5);
    door.answer(Ok(7));
    for one in &mut all {
        assert_eq!(poll(one.as_mut()), Poll::Ready(Ok(7)));
    }
    check_calls(&prices, &[(Role::Leader, 3), (Role::Alone, 2)]);
}

async fn run_owned(prices: &Coalesce<u32, &'static str>, call: Call, door: &Door) -> Answer {
    prices.run(&call, door).await
}

/// Counts how often it is woken.
#[derive(Default)]
struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn followers_sleep_until_there_is_an_answer_and_are_woken_once() {
    let (prices, _hand) = coalesce(CoalesceConfig::default());
    let (door, call) = (Door::default(), price());
    let mut leader = pin!(prices.run(&call, &door));
    assert!(poll(leader.as_mut()).is_pending());
    let woken: [Arc<Woken>; 3] = Default::default();
    let mut followers = [(); 3].map(|()| Box::pin(prices.run(&call, &door)));
    for (follower, woken) in followers.iter_mut().zip(&woken) {
        let waker = Waker::from(Arc::clone(woken));
        let context = &mut Context::from_waker(&waker);
        assert!(follower.as_mut().poll(context).is_pending());
        assert!(follower.as_mut().poll(context).is_pending());
    }
    let times = || woken.each_ref().map(|woken| woken.0.load(SeqCst));
    assert_eq!(times(), [0; 3]);
    door.answer(Ok(7));
    assert!(poll(leader).is_ready());
    assert_eq!(times(), [1; 3]);
}

#[test]
fn whoever_comes_after_the_answer_starts_a_run_of_its_own() {
    let (prices, _hand) = coalesce(CoalesceConfig::default());
    let (door, call) = (Door::default(), price());
    let mut leader = pin!(prices.run(&call, &door));
    let mut follower = pin!(prices.run(&call, &door));
    assert!(poll(leader.as_mut()).is_pending());
    assert!(poll(follower.as_mut()).is_pending());
    door.answer(Ok(1));
    assert_eq!(poll(leader), Poll::Ready(Ok(1)));
    // The follower has not even fetched it.
    let other = Door::default();
    let mut late = pin!(prices.run(&call, &other));
    assert!(poll(late.as_mut()).is_pending());
    assert_eq!(other.begun(), 1);
    other.answer(Ok(2));
    assert_eq!(poll(late), Poll::Ready(Ok(2)));
    assert_eq!(poll(follower), Poll::Ready(Ok(1)));
    check_calls(&prices, &[(Role::Leader, 2), (Role::Follower, 1)]);
}

#[test]
fn when_leaders_go_away_the_next_in_line_leads_and_all_get_one_answer() {
    // So many leaders go away, one after the other.
    for gone in 0..5 {
        let (prices, _hand) = coalesce(CoalesceConfig::default());
        let (door, call) = (Door::default(), price());
        let mut all: Vec<_> = (0..6).map(|_| Box::pin(prices.run(&call, &door))).collect();
        for one in &mut all {
            assert!(poll(one.as_mut()).is_pending());
        }
        for left in 0..gone {
            drop(all.remove(0));
            assert_eq!(door.alive.load(SeqCst), 0, "dropped before the next begins");
            for one in &mut all {
                assert!(poll(one.as_mut()).is_pending());
            }
            assert_eq!(door.begun(), left + 2);
        }
        door.answer(Ok(7));
        for one in &mut all {
            assert_eq!(poll(one.as_mut()), Poll::Ready(Ok(7)));
        }
        assert_eq!(door.begun(), gone + 1);
        let followers = 5 - u64::from(gone);
        let ends = [
            (Role::Leader, 1),
            (Role::Heir, gone.into()),
            (Role::Follower, followers),
        ];
        check_calls(&prices, &ends);
    }
}

#[test]
fn one_that_is_to_lead_and_goes_away_before_it_knows_hands_on_the_lead() {
    let (prices, _hand) = coalesce(CoalesceConfig::default());
    let (door, call) = (Door::default(), price());
    let mut all: Vec<_> = (0..4).map(|_| Box::pin(prices.run(&call, &door))).collect();
    for one in &mut all {
        assert!(poll(one.as_mut()).is_pending());
    }
    // None of the heirs is polled before it is dropped.
    for _ in 0..3 {
        drop(all.remove(0));
    }
    door.answer(Ok(7));
    assert_eq!(poll(all[0].as_mut()), Poll::Ready(Ok(7)));
    assert_eq!(door.begun(), 2);
    check_calls(
        &prices,
        &[(Role::Leader, 1), (Role::Heir, 1), (Role::Left, 2)],
    );
}

#[test]
fn when_all_go_away_nothing_is_left() {
    for order in [[0, 0, 0], [2, 1, 0], [1, 0, 0]] {
        let (prices, _hand) = coalesce(CoalesceConfig::default());
        let (door, call) = (Door::default(), price());
        let mut all: Vec<_> = (0..3).map(|_| Box::pin(prices.run(&call, &door))).collect();
        for one in &mut all {
            assert!(poll(one.as_mut()).is_pending());
        }
        for place in order {
            drop(all.remove(place));
        }
        check_calls(&prices, &[(Role::Leader, 1), (Role::Left, 2)]);
    }
}

#[test]
fn a_call_that_never_began_leaves_nothing() {
    let (prices, _hand) = coalesce(CoalesceConfig::default());
    let (door, call) = (Door::default(), price());
    drop(prices.run(&call, &door));
    check_calls(&prices, &[]);
}

#[test]
fn what_ended_because_the_leader_had_no_more_time_is_not_shared() {
    let ended = |scope| Err(Failure::TimedOut(TimedOut::new(scope, MS)));
    for (scope, is_shared) in [
        (TimeScope::Deadline, false),
        (TimeScope::Total, false),
        (TimeScope::Attempt, true),
    ] {
        let (prices, _hand) = coalesce(CoalesceConfig::default());
        let (first, second, call) = (Door::default(), Door::default(), price());
        let mut leader = pin!(prices.run(&call, &first));
        let mut follower = pin!(prices.run(&call, &second));
        assert!(poll(leader.as_mut()).is_pending());
        assert!(poll(follower.as_mut()).is_pending());
        first.answer(ended(scope));
        second.answer(Ok(2));
        assert_eq!(poll(leader), Poll::Ready(ended(scope)));
        let expected = if is_shared { ended(scope) } else { Ok(2) };
        assert_eq!(poll(follower), Poll::Ready(expected));
        assert_eq!(second.begun(), u32::from(!is_shared));
        let role = if is_shared {
            Role::Follower
        } else {
            Role::Heir
        };
        check_calls(&prices, &[(Role::Leader, 1), (role, 1)]);
    }
}

/// Panics when it is cloned for the first time.
#[derive(Debug)]
struct Fragile(Arc<AtomicBool>);

impl Clone for Fragile {
    fn clone(&self) -> Self {
        assert!(self.0.swap(true, SeqCst), "cloned for the first time");
        Self(Arc::clone(&self.0))
    }
}

/// Calls whose answer cannot be copied the first time.
struct Glass {
    prices: Coalesce<Fragile, ()>,
    was_cloned: Arc<AtomicBool>,
    is_open: AtomicBool,
    runs: AtomicU32,
}

impl Glass {
    fn new() -> Self {
        let (clock, _hand) = rs_core::Clock::manual();
        let around = Surroundings::apart().with_clock(clock);
        let config = CoalesceConfig::default();
        Self {
            prices: Coalesce::within(&around, "prices", config).unwrap(),
            was_cloned: Arc::default(),
            is_open: AtomicBool::new(false),
            runs: AtomicU32::new(0),
        }
    }

    fn get(&self) -> Pin<Box<impl Future<Output = Result<Fragile, Failure<()>>>>> {
        Box::pin(self.prices.call(price(), async |_call| {
            self.runs.fetch_add(1, SeqCst);
            std::future::poll_fn(|_context| match self.is_open.load(SeqCst) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            })
            .await;
            Ok(Fragile(Arc::clone(&self.was_cloned)))
        }))
    }
}

#[test]
fn an_answer_that_cannot_be_copied_is_the_leaders_trouble_alone() {
    let glass = Glass::new();
    let mut all = [(); 3].map(|()| glass.get());
    for one in &mut all {
        assert!(poll(one.as_mut()).is_pending());
    }
    glass.is_open.store(true, SeqCst);
    let [leader, others @ ..] = &mut all;
    assert!(catch_unwind(AssertUnwindSafe(|| poll(leader.as_mut()))).is_err());
    for other in others {
        assert!(matches!(poll(other.as_mut()), Poll::Ready(Ok(_))));
    }
    assert_eq!(glass.runs.load(SeqCst), 2);
    drop(all);
    check_calls(
        &glass.prices,
        &[(Role::Leader, 1), (Role::Heir, 1), (Role::Follower, 1)],
    );
}

#[test]
fn one_that_inherits_from_a_run_that_was_closed_leaves_the_next_run_alone() {
    let glass = Glass::new();
    let mut all = [(); 2].map(|()| glass.get());
    for one in &mut all {
        assert!(poll(one.as_mut()).is_pending());
    }
    glass.is_open.store(true, SeqCst);
    let [mut leader, heir] = all;
    assert!(catch_unwind(AssertUnwindSafe(|| poll(leader.as_mut()))).is_err());
    glass.is_open.store(false, SeqCst);
    let mut next = glass.get();
    assert!(poll(next.as_mut()).is_pending());
    assert_eq!(glass.prices.running(), 1);
    drop(heir);
    assert_eq!(glass.prices.running(), 1);
    let mut follower = glass.get();
    assert!(poll(follower.as_mut()).is_pending());
    assert_eq!(glass.runs.load(SeqCst), 2);
}

#[test]
fn an_answer_for_which_nobody_waits_any_more_is_not_copied() {
    let glass = Glass::new();
    let mut leader = glass.get();
    assert!(poll(leader.as_mut()).is_pending());
    assert!(poll(glass.get().as_mut()).is_pending());
    glass.is_open.store(true, SeqCst);
    assert!(matches!(poll(leader.as_mut()), Poll::Ready(Ok(_))));
    assert!(!glass.was_cloned.load(SeqCst));
}
