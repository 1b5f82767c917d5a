//! Orders: they hold everywhere and end everywhere, and of two the later holds.

use super::{Mood, Moody, Replica, anna, meet, pass, slow_to_judge};
use crate::support::SECOND;
use rs_breaker::{
    Breaker, BreakerRegistry, BreakerState, FleetConfig, Forced, MemoryStorage, RegistryConfig,
};
use rs_core::Mandate;

#[tokio::test(start_paused = true)]
async fn an_order_holds_everywhere_and_ends_everywhere() {
    let storage = MemoryStorage::new();
    let [one, two, three] = [(); 3].map(|()| Replica::new(&storage));
    for (forced, state) in [
        (Forced::Open, BreakerState::ForcedOpen),
        (Forced::Closed, BreakerState::ForcedClosed),
        (Forced::Isolated, BreakerState::Isolated),
    ] {
        one.breaker.force(forced, anna());
        let generation = one.breaker.snapshot().generation;
        meet().await;
        assert_eq!(
            one.breaker.snapshot().generation,
            generation,
            "it is not told again"
        );
        for replica in [&one, &two, &three] {
            assert_eq!(replica.state(), state);
            let order = replica.order().unwrap();
            assert_eq!(
                (&*order.author, &*order.reason),
                ("anna", "the bank asked us to stop")
            );
        }
        assert!(
            two.breaker.release(Mandate::new("ben", "they are back")),
            "anybody may"
        );
        meet().await;
        for replica in [&one, &two, &three] {
            assert_eq!(replica.order(), None);
        }
    }
    let signals = three.around.recorder().recent(100);
    let last = signals.last().unwrap().signal.to_string();
    assert_eq!(
        last,
        "breaker payments: half-open, lets probes through, by ben (they are back)"
    );
}

#[tokio::test(start_paused = true)]
async fn an_order_comes_soon() {
    let storage = MemoryStorage::new();
    let one = Replica::with(storage, FleetConfig::default().with_interval(10 * SECOND));
    pass(5 * SECOND).await;
    one.breaker.force_open(anna());
    pass(2 * SECOND).await;
    assert_eq!(one.fleet.status().waiting, 0, "it was told before its turn");
}

#[tokio::test(start_paused = true)]
async fn a_time_limit_holds_for_all() {
    let storage = MemoryStorage::new();
    let one = Replica::new(&storage);
    one.breaker.force_open(anna().lasting(60 * SECOND));
    pass(30 * SECOND).await;
    let two = Replica::new(&storage);
    meet().await;
    let left = two.order().unwrap().ends_in.unwrap();
    assert!(left > 26 * SECOND && left <= 28 * SECOND, "{left:?} left");
    pass(left).await;
    for replica in [&one, &two] {
        assert_eq!(replica.state(), BreakerState::HalfOpen);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_later_takes_what_stands() {
    let storage = MemoryStorage::new();
    let one = Replica::new(&storage);
    one.breaker.force_open(anna().lasting(600 * SECOND));
    meet().await;
    let two = Replica::new(&storage);
    meet().await;
    assert_eq!(
        two.state(),
        BreakerState::ForcedOpen,
        "a replica that starts"
    );
    pass(30 * SECOND).await;
    let again = Breaker::within(&two.around, "payments", slow_to_judge()).unwrap();
    let snapshot = again.snapshot();
    assert_eq!(
        snapshot.state,
        BreakerState::ForcedOpen,
        "a breaker that is made, at once"
    );
    let (left, left_there) = (
        snapshot.order.unwrap().ends_in,
        one.order().unwrap().ends_in,
    );
    assert!(left <= left_there, "{left:?} of {left_there:?}");
    meet().await;
    assert_eq!(again.snapshot().generation, snapshot.generation, "once");

    one.breaker.release(anna());
    meet().await;
    assert_eq!(again.state(), BreakerState::HalfOpen);
}

#[tokio::test(start_paused = true)]
async fn the_later_order_holds() {
    let here = Moody::default();
    let there = Moody {
        memory: here.memory.clone(),
        ..Moody::default()
    };
    let (one, two) = (Replica::new(&here), Replica::new(&there));
    meet().await;
    here.is(Mood::Fails);
    one.breaker.force_open(anna());
    pass(SECOND).await;
    two.breaker.isolate(Mandate::new("ben", "planned"));
    meet().await;
    assert_eq!(one.state(), BreakerState::ForcedOpen, "it cannot know");
    here.is(Mood::Well);
    pass(10 * SECOND).await;
    for replica in [&one, &two] {
        assert_eq!(
            replica.state(),
            BreakerState::Isolated,
            "what comes late was not later"
        );
        assert_eq!(replica.fleet.status().waiting, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_lost_repeats_nothing() {
    let here = Moody::default();
    let there = Moody {
        memory: here.memory.clone(),
        ..Moody::default()
    };
    let (one, two) = (Replica::new(&here), Replica::new(&there));
    meet().await;
    here.is(Mood::Mute);
    one.breaker.force_open(anna());
    meet().await;
    assert_eq!(two.state(), BreakerState::ForcedOpen);
    two.breaker.release(Mandate::new("ben", "no"));
    meet().await;
    here.is(Mood::Well);
    pass(10 * SECOND).await;
    for replica in [&one, &two] {
        assert_eq!(replica.state(), BreakerState::HalfOpen);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_lifts_the_order() {
    let storage = MemoryStorage::new();
    let [one, two] = [(); 2].map(|()| Replica::new(&storage));
    one.breaker.force_open(anna());
    meet().await;
    two.breaker.reset(anna());
    meet().await;
    assert_eq!(one.state(), BreakerState::HalfOpen);
    assert_eq!(two.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_keyed_breaker_keeps_to_itself() {
    let storage = MemoryStorage::new();
    let [one, two] = [(); 2].map(|()| Replica::new(&storage));
    let rules = RegistryConfig::default();
    let keyed = BreakerRegistry::keyed_within(&one.around, "banks", rules).unwrap();
    keyed.get("payments").force_open(anna());
    meet().await;
    assert_eq!(one.state(), BreakerState::Closed);
    assert_eq!(two.state(), BreakerState::Closed);
    assert_eq!(one.fleet.status().waiting, 0);
}
