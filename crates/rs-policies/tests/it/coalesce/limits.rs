//! How many may wait, and how long.

use super::{Door, MS, check_calls, coalesce, poll, price};
use allocation_counter::measure;
use rs_core::{Call, Deadline, Enforcement, Failure, Policy, TimeScope, TimedOut, operation};
use rs_metrics::Registry;
use rs_policies::{Coalesce, CoalesceConfig, CoalesceRole as Role, Surroundings};
use std::{pin::pin, task::Poll, time::Duration};

#[test]
fn followers_for_whom_there_is_no_room_run_by_themselves() {
    let (prices, _hand) = coalesce(CoalesceConfig::default().with_followers(2));
    let (door, call) = (Door::default(), price());
    let mut all: Vec<_> = (0..5).map(|_| Box::pin(prices.run(&call, &door))).collect();
    for one in &mut all {
        assert!(poll(one.as_mut()).is_pending());
    }
    assert_eq!((prices.running(), prices.waiting()), (1, 2));
    assert_eq!(door.begun(), 3);
    door.answer(Ok(7));
    for one in &mut all {
        assert_eq!(poll(one.as_mut()), Poll::Ready(Ok(7)));
    }
    let ends = [(Role::Leader, 1), (Role::Follower, 2), (Role::Crowded, 2)];
    check_calls(&prices, &ends);
}

#[test]
fn followers_that_go_away_leave_room_for_others() {
    let (prices, _hand) = coalesce(CoalesceConfig::default().with_followers(2));
    let (door, call) = (Door::default(), price());
    let mut leader = pin!(prices.run(&call, &door));
    assert!(poll(leader.as_mut()).is_pending());
    for _ in 0..3 {
        let mut followers = [(); 2].map(|()| Box::pin(prices.run(&call, &door)));
        for one in &mut followers {
            assert!(poll(one.as_mut()).is_pending());
        }
        assert_eq!(prices.waiting(), 2);
    }
    assert_eq!((door.begun(), prices.calls(Role::Crowded)), (1, 0));
}

#[test]
fn keys_for_which_there_is_no_room_are_not_shared() {
    // One for each part.
    let (prices, _hand) = coalesce(CoalesceConfig::default().with_keys(16));
    let door = Door::default();
    let calls: Vec<_> = (0..200).map(|key| price().with_key(key)).collect();
    let begin = || {
        let all = calls.iter().map(|call| Box::pin(prices.run(call, &door)));
        let mut all: Vec<_> = all.collect();
        for one in &mut all {
            assert!(poll(one.as_mut()).is_pending());
        }
        all
    };
    for round in 1..3 {
        // What was dropped leaves room again.
        let all = begin();
        assert_eq!(prices.running(), 16);
        assert_eq!(prices.calls(Role::Leader), 16 * round);
        assert_eq!(prices.calls(Role::Crowded), 184 * round);
        drop(all);
        assert_eq!(prices.running(), 0);
    }
}

#[test]
fn a_follower_waits_no_longer_than_its_own_deadline() {
    let (clock, hand) = rs_core::Clock::manual();
    let around = Surroundings::apart().with_clock(clock.clone());
    let prices = Coalesce::within(&around, "prices", CoalesceConfig::default()).unwrap();
    let (door, patient) = (Door::default(), price());
    let hurried = [
        price().by(Deadline::after(clock.now(), MS * 50)),
        price().limited_to(MS * 50),
    ];
    let mut leader = pin!(prices.run(&patient, &door));
    let mut follower = pin!(prices.run(&patient, &door));
    assert!(poll(leader.as_mut()).is_pending());
    assert!(poll(follower.as_mut()).is_pending());
    let mut hurried = hurried
        .each_ref()
        .map(|call| Box::pin(prices.run(call, &door)));
    for one in &mut hurried {
        assert!(poll(one.as_mut()).is_pending());
    }
    hand.advance(MS * 49);
    for one in &mut hurried {
        assert!(poll(one.as_mut()).is_pending());
    }
    hand.advance(MS);
    let late = TimedOut::new(TimeScope::Deadline, MS * 50);
    for one in &mut hurried {
        assert_eq!(
            poll(one.as_mut()),
            Poll::Ready(Err(Failure::TimedOut(late)))
        );
    }
    assert!(poll(follower.as_mut()).is_pending());
    door.answer(Ok(7));
    assert!(poll(leader).is_ready());
    assert_eq!(poll(follower), Poll::Ready(Ok(7)));
    let ends = [(Role::Leader, 1), (Role::Follower, 1), (Role::Left, 2)];
    check_calls(&prices, &ends);
}

#[test]
fn a_run_that_hangs_does_not_hold_up_the_others_for_ever() {
    let config = CoalesceConfig::default().with_longest_wait(MS * 100);
    let (prices, hand) = coalesce(config);
    let (hangs, door, call) = (Door::default(), Door::default(), price());
    let has_time = price().limited_to(MS * 1000);
    door.answer(Ok(7));
    {
        let mut leader = pin!(prices.run(&call, &hangs));
        let mut follower = pin!(prices.run(&has_time, &door));
        assert!(poll(leader.as_mut()).is_pending());
        assert!(poll(follower.as_mut()).is_pending());
        hand.advance(MS * 100);
        assert_eq!(poll(follower), Poll::Ready(Ok(7)));
        assert_eq!((prices.running(), prices.waiting()), (1, 0));
    }
    check_calls(&prices, &[(Role::Leader, 1), (Role::Impatient, 1)]);
}

#[test]
fn the_time_of_one_that_waited_counts_from_when_it_began_to_wait() {
    let (clock, hand) = rs_core::Clock::manual();
    let around = Surroundings::apart().with_clock(clock.clone());
    let config = CoalesceConfig::default();
    let times = Coalesce::<Duration, ()>::within(&around, "times", config).unwrap();
    let call = price().limited_to(MS * 100);
    let left = operation(async |call: Call| Ok::<_, ()>(call.remaining(clock.now()).unwrap()));
    let hangs = operation(async |_call| std::future::pending::<Result<Duration, ()>>().await);
    let mut follower = {
        let mut leader = pin!(times.run(&call, &hangs));
        assert!(poll(leader.as_mut()).is_pending());
        let mut follower = Box::pin(times.run(&call, &left));
        assert!(poll(follower.as_mut()).is_pending());
        hand.advance(MS * 40);
        follower
    };
    assert_eq!(poll(follower.as_mut()), Poll::Ready(Ok(MS * 60)));
    check_calls(&times, &[(Role::Leader, 1), (Role::Heir, 1)]);
}

#[test]
fn in_the_dark_all_run() {
    let (prices, _hand) = coalesce(CoalesceConfig::default().with_enforcement(Enforcement::Dark));
    let (door, call) = (Door::default(), price());
    let mut all = [(); 3].map(|()| Box::pin(prices.run(&call, &door)));
    for one in &mut all {
        assert!(poll(one.as_mut()).is_pending());
    }
    assert_eq!(door.begun(), 3);
    door.answer(Ok(7));
    for one in &mut all {
        assert!(poll(one.as_mut()).is_ready());
    }
    check_calls(&prices, &[(Role::Leader, 1), (Role::Dark, 2)]);
}

#[test]
fn a_call_that_runs_alone_takes_nothing_from_the_heap() {
    let (prices, _hand) = coalesce(CoalesceConfig::default());
    let door = Door::default();
    door.answer(Ok(7));
    for call in [price(), Call::new("price")] {
        let run = || assert!(poll(pin!(prices.run(&call, &door))).is_ready());
        run();
        let found = measure(|| (0..100).for_each(|_| run()));
        assert_eq!(found.count_total, 0);
    }
}

#[test]
fn what_it_does_is_exported_and_rules_change_while_calls_wait() {
    let registry = Registry::new();
    let around = Surroundings::apart().with_metrics(registry.clone());
    let (clock, _hand) = rs_core::Clock::manual();
    let around = around.with_clock(clock);
    let prices = Coalesce::within(&around, "prices", CoalesceConfig::default()).unwrap();
    let (door, call) = (Door::default(), price());
    let mut all: Vec<_> = (0..3).map(|_| Box::pin(prices.run(&call, &door))).collect();
    for one in &mut all {
        assert!(poll(one.as_mut()).is_pending());
    }
    let exported = |name: &str| {
        let all = registry.gather();
        let found = all.iter().find(|metric| metric.description.name == name);
        format!("{:?}", found.unwrap().series)
    };
    assert!(exported("coalesce_running_keys").contains("1.0"));
    assert!(exported("coalesce_waiting_calls").contains("2.0"));
    let narrower = CoalesceConfig::default().with_followers(2);
    assert_eq!(prices.reconfigure(narrower), Ok(2));
    all.push(Box::pin(prices.run(&call, &door)));
    assert!(poll(all[3].as_mut()).is_pending());
    assert_eq!(prices.calls(Role::Crowded), 1);
    let wrong = prices.reconfigure(narrower.with_keys(0)).unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "keys: 0 is out of range; allowed: 1 to 1000000"
    );
    assert_eq!(prices.config(), narrower);
    door.answer(Ok(7));
    for one in &mut all {
        assert_eq!(poll(one.as_mut()), Poll::Ready(Ok(7)));
    }
}
