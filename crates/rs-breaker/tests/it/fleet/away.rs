//! Without the storage: nothing changes here, and what was missed is made up for.

use super::{Mood, Moody, Replica, anna, meet, pass, slow_to_judge};
use crate::support::SECOND;
use rs_breaker::{Breaker, BreakerState, MemoryStorage};
use rs_core::Mandate;
use std::time::Duration;
use tokio::task::JoinSet;

#[tokio::test(start_paused = true)]
async fn what_was_ordered_meanwhile_is_told_later() {
    let storage = Moody::default();
    let [one, two] = [(); 2].map(|()| Replica::new(&storage));
    meet().await;
    storage.is(Mood::Fails);
    one.breaker.force_open(anna().lasting(60 * SECOND));
    pass(30 * SECOND).await;
    assert_eq!(two.state(), BreakerState::Closed);
    assert_eq!(one.fleet.status().waiting, 1);
    storage.is(Mood::Well);
    pass(10 * SECOND).await;
    let [left, left_there] = [&one, &two].map(|one| one.order().unwrap().ends_in.unwrap());
    assert!(
        left_there <= left && left <= left_there + SECOND / 10,
        "{left_there:?} of {left:?}"
    );
    assert_eq!(one.fleet.status().waiting, 0);
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_meanwhile_is_not_told() {
    let storage = Moody::default();
    let [one, two] = [(); 2].map(|()| Replica::new(&storage));
    one.breaker.isolate(anna());
    meet().await;
    storage.is(Mood::Fails);
    one.breaker
        .force_closed(Mandate::new("ben", "a moment").lasting(5 * SECOND));
    pass(20 * SECOND).await;
    storage.is(Mood::Well);
    pass(10 * SECOND).await;
    for replica in [&one, &two] {
        assert_eq!(
            replica.state(),
            BreakerState::Isolated,
            "for the others it has never ended"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_expires_untold_uncovers_what_was_before() {
    let storage = MemoryStorage::new();
    let one = Replica::new(&storage);
    one.breaker.isolate(anna());
    meet().await;
    one.breaker
        .force_closed(Mandate::new("ben", "a moment").lasting(SECOND / 100));
    pass(SECOND / 50).await;
    assert_eq!(one.state(), BreakerState::Closed);
    meet().await;
    assert_eq!(one.state(), BreakerState::Isolated);
}

#[tokio::test(start_paused = true)]
async fn what_is_lifted_stays_lifted() {
    let storage = Moody::default();
    let [one, two] = [(); 2].map(|()| Replica::new(&storage));
    one.breaker.isolate(anna());
    meet().await;
    storage.is(Mood::Fails);
    one.breaker.release(anna().lasting(SECOND));
    pass(20 * SECOND).await;
    storage.is(Mood::Well);
    pass(10 * SECOND).await;
    assert_eq!((one.order(), two.order()), (None, None));
}

#[tokio::test(start_paused = true)]
async fn a_storage_that_forgot_is_told_again() {
    let storage = MemoryStorage::new();
    let [one, two] = [(); 2].map(|()| Replica::new(&storage));
    one.breaker.force_open(anna().lasting(600 * SECOND));
    meet().await;
    storage.clear();
    meet().await;
    assert_eq!(two.state(), BreakerState::ForcedOpen);
    drop(one);
    let late = Replica::new(&storage);
    meet().await;
    assert_eq!(late.state(), BreakerState::ForcedOpen);
    two.breaker.release(anna());
    meet().await;
    assert_eq!(late.order(), None);
    pass(10 * SECOND).await;
    assert_eq!(
        (two.order(), late.order()),
        (None, None),
        "what was lifted is not brought back"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_lifted_is_told_again_too() {
    let here = Moody::default();
    let there = Moody {
        memory: here.memory.clone(),
        ..Moody::default()
    };
    let (one, two) = (Replica::new(&here), Replica::new(&there));
    one.breaker.isolate(anna());
    meet().await;
    here.is(Mood::Fails);
    two.breaker.release(anna());
    meet().await;
    here.memory.clear();
    meet().await;
    assert_eq!(one.state(), BreakerState::Isolated);
    here.is(Mood::Well);
    pass(10 * SECOND).await;
    assert_eq!((one.order(), two.order()), (None, None));
}

#[tokio::test(start_paused = true)]
async fn the_loss_is_said_once_and_so_is_the_return() {
    for (mood, why) in [
        (Mood::Fails, "the line is dead"),
        (Mood::Hangs, "no answer within 1s"),
        (Mood::Panics, "it panicked: out of its mind"),
    ] {
        let storage = Moody::default();
        let [one, two] = [(); 2].map(|()| Replica::new(&storage));
        one.open();
        let other = Breaker::within(&two.around, "other", slow_to_judge()).unwrap();
        other.force_closed(anna());
        meet().await;
        storage.is(mood);
        pass(60 * SECOND).await;
        let status = one.fleet.status();
        assert_eq!(status.lost.as_deref(), Some(why));
        assert!(status.age.unwrap() >= 59 * SECOND);
        assert_eq!(one.state(), BreakerState::Open);
        assert_eq!(other.state(), BreakerState::ForcedClosed);
        storage.is(Mood::Well);
        pass(10 * SECOND).await;
        assert_eq!(one.fleet.status().lost, None);
        let said = one.said();
        let [lost, back] = &*said else {
            panic!("{said:#?}");
        };
        let begin = "fleet breakers: does not reach its storage; this replica decides alone, and \
                     orders stay as they are: ";
        assert_eq!(lost.strip_prefix(begin), Some(why));
        assert!(
            back.starts_with("fleet breakers: reaches its storage again after 1m"),
            "{back}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn advice_is_kept_for_a_while() {
    let storage = Moody::default();
    let [one, two, three] = [(); 3].map(|()| Replica::new(&storage));
    one.open();
    two.open();
    meet().await;
    storage.is(Mood::Fails);
    pass(8 * SECOND).await;
    assert!(three.is_advised());
    pass(10 * SECOND).await;
    assert!(!three.is_advised());
    storage.is(Mood::Well);
    pass(10 * SECOND).await;
    assert!(three.is_advised());
}

#[tokio::test(start_paused = true)]
async fn a_lost_storage_is_not_pestered() {
    let storage = Moody::default();
    storage.is(Mood::Fails);
    let replica = Replica::new(&storage);
    for _ in 0..600 {
        replica.breaker.force_open(anna());
        replica.breaker.release(anna());
        pass(SECOND / 10).await;
    }
    // After 1, 2 and 4 seconds, and then every five.
    assert!(
        (11..=17).contains(&storage.asked()),
        "{} times in a minute",
        storage.asked()
    );
}

#[tokio::test(start_paused = true)]
async fn many_changes_are_told_together() {
    let storage = Moody::default();
    let replica = Replica::new(&storage);
    meet().await;
    let before = storage.asked();
    for _ in 0..1000 {
        replica.breaker.force_open(anna());
        replica.breaker.release(anna());
        pass(Duration::from_millis(1)).await;
    }
    let asked = storage.asked() - before;
    assert!((5..=15).contains(&asked), "{asked} times in a second");
}

#[tokio::test(start_paused = true)]
async fn when_nobody_runs_it_advice_ends_and_orders_stay() {
    let storage = MemoryStorage::new();
    let [one, two, mut three] = [(); 3].map(|()| Replica::new(&storage));
    one.open();
    two.open();
    let other = Breaker::within(&three.around, "other", slow_to_judge()).unwrap();
    other.isolate(anna());
    meet().await;
    assert!(three.is_advised() && three.fleet.status().running);
    three.stop().await;
    assert!(!three.is_advised() && !three.fleet.status().running);
    assert_eq!(other.state(), BreakerState::Isolated);
    three.run();
    meet().await;
    assert!(three.is_advised(), "running again goes on");
}

#[tokio::test(start_paused = true)]
async fn a_second_run_waits_for_the_first_to_end() {
    let storage = Moody::default();
    let mut replica = Replica::new(&storage);
    let mut second = JoinSet::new();
    second.spawn(replica.fleet.run());
    pass(10 * SECOND).await;
    let asked = storage.asked();
    assert!((9..=13).contains(&asked), "{asked} times in ten seconds");
    replica.stop().await;
    meet().await;
    assert!(storage.asked() > asked);
    assert!(replica.fleet.status().running);
}
