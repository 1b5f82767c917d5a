//! Advice: who gives it, who takes it, when it ends.

use super::{Mood, Moody, Replica, anna, meet, pass, slow_to_judge};
use crate::support::{SECOND, percent};
use rs_breaker::{Advice, BreakerState, MemoryStorage, View};

#[tokio::test(start_paused = true)]
async fn advised_by_two_of_three_it_needs_less_evidence() {
    let storage = MemoryStorage::new();
    let [one, two, three] = [(); 3].map(|()| Replica::new(&storage));
    one.open();
    meet().await;
    assert!(!three.is_advised(), "one of three is no quorum");
    two.open();
    meet().await;
    assert!(three.is_advised());
    assert_eq!(
        three.state(),
        BreakerState::Closed,
        "advice alone opens nothing"
    );
    for _ in 0..5 {
        assert!(three.fail());
    }
    assert_eq!(three.state(), BreakerState::Open, "a quarter of twenty");
}

#[tokio::test(start_paused = true)]
async fn without_advice_it_needs_all_evidence() {
    let storage = MemoryStorage::new();
    let [one, three] = [(); 2].map(|()| Replica::new(&storage));
    one.open();
    meet().await;
    for _ in 0..19 {
        assert!(three.fail());
    }
    assert_eq!(three.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn advice_ends_with_its_reason() {
    let storage = MemoryStorage::new();
    let [one, mut two, three] = [(); 3].map(|()| Replica::new(&storage));
    one.open();
    two.open();
    meet().await;
    assert!(three.is_advised());
    one.breaker.reset(anna());
    meet().await;
    assert!(!three.is_advised(), "one of three has it open");

    one.open();
    meet().await;
    assert!(three.is_advised());
    two.stop().await;
    pass(15 * SECOND).await;
    assert!(!three.is_advised(), "the other is forgotten");
    assert_eq!(three.fleet.status().replicas, 2);
}

#[tokio::test(start_paused = true)]
async fn an_order_is_no_evidence() {
    let storage = MemoryStorage::new();
    let [one, two, three] = [(); 3].map(|()| Replica::new(&storage));
    one.breaker.force_open(anna());
    meet().await;
    assert_eq!(two.state(), BreakerState::ForcedOpen);
    assert!(!three.is_advised());
}

#[tokio::test(start_paused = true)]
async fn quorums() {
    for (quorum, replicas, open, advised) in [
        (50, 2, 1, false),
        (50, 2, 2, true),
        (50, 3, 2, true),
        (50, 5, 2, false),
        (50, 5, 3, true),
        (7, 100, 6, false),
        (7, 100, 7, true),
        (100, 4, 3, false),
        (100, 4, 4, true),
        (1, 100, 1, false),
        (1, 100, 2, true),
    ] {
        let storage = Moody::default();
        let mut view = View::default();
        view.replicas = replicas;
        view.open.push(("payments".to_owned(), open));
        storage.is(Mood::Says(view));
        let replica = Replica::new(&storage);
        let config = slow_to_judge().with_advice(Advice::of(percent(quorum), percent(25)));
        replica.breaker.reconfigure(config).unwrap();
        meet().await;
        let found = replica.is_advised();
        assert_eq!(found, advised, "{open} of {replicas} at {quorum}%");
    }
}
