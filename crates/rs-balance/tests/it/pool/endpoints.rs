//! Endpoints come, go and fail.

use std::time::Duration;

use rs_balance::{BalancerConfig, Outliers, Strategy, Surroundings, pool::BalancedPool};
use rs_core::{Failure, Mandate, Outcome};

use super::dock::{Dock, Manner, Storm, config, endpoints, now, pool};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_goes_closes_what_is_idle_and_lets_calls_end() {
    let (pool, dock, _) = pool(config(4, Strategy::RoundRobin), 2);
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(pool.get("call").await.unwrap());
    }
    let place = held.iter().position(|held| held.id() == "0").unwrap();
    held.remove(place).finish(Outcome::Success);
    assert_eq!((dock.open(0), dock.open(1)), (2, 2));
    assert_eq!(pool.update(endpoints([1])).removed, 1);
    assert_eq!((dock.open(0), dock.open(1)), (1, 2), "a call has one");
    assert_eq!(pool.in_flight(), 2);
    let place = held.iter().position(|held| held.id() == "0").unwrap();
    let left = held.remove(place);
    assert_eq!(left.target, 0, "the call goes on");
    left.finish(Outcome::Success);
    assert_eq!(dock.open(0), 0, "it does not come back");
    for _ in 0..2 {
        assert_eq!(pool.get("call").await.unwrap().id(), "1");
    }
    // The same id is another endpoint now.
    pool.update(endpoints([0, 1]));
    let ids = [
        pool.get("call").await.unwrap(),
        pool.get("call").await.unwrap(),
    ];
    assert!(ids.iter().any(|connected| connected.id() == "0"));
}

#[tokio::test(start_paused = true)]
async fn who_waits_at_an_endpoint_that_goes_is_sent_elsewhere() {
    let (pool, _, _) = pool(config(1, Strategy::RoundRobin), 1);
    let held = pool.get("call").await.unwrap();
    let (waited, ()) = tokio::join!(pool.get("call"), async {
        tokio::task::yield_now().await;
        assert_eq!(pool.waiting(), 1);
        pool.update(endpoints([1]));
    });
    assert_eq!(waited.unwrap().id(), "1");
    assert_eq!((pool.waiting(), pool.in_flight()), (0, 0));
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_call_moves_on_from_an_endpoint_that_cannot_be_connected_to() {
    for (manner, longest) in [
        (Manner::Refuses, Duration::ZERO),
        (Manner::Hangs, SECOND * 2),
    ] {
        let (pool, dock, _) = pool(config(4, Strategy::RoundRobin), 3);
        dock.behave(1, manner);
        for _ in 0..30 {
            let before = now();
            let connected = pool.get("call").await.unwrap();
            assert_ne!(connected.id(), "1");
            assert!((now() - before) <= longest, "{manner:?}");
            connected.finish(Outcome::Success);
        }
        assert_eq!((dock.open(1), pool.leased(), pool.in_flight()), (0, 0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_connected_to_is_ejected_and_comes_back() {
    let outliers = Outliers::default();
    let config = config(4, Strategy::RoundRobin)
        .balanced(BalancerConfig::new(Strategy::RoundRobin).with_outliers(outliers));
    let directory = rs_core::Directory::new();
    let around = Surroundings::apart().with_directory(directory.clone());
    let dock = Dock::default();
    let pool = BalancedPool::within(&around, "test", dock.clone(), config).unwrap();
    pool.update(endpoints(0..4));
    dock.behave(2, Manner::Hangs);
    let mut slow = 0;
    for _ in 0..80 {
        let before = now();
        pool.get("call").await.unwrap().finish(Outcome::Success);
        slow += u32::from((now() - before) >= SECOND);
    }
    assert_eq!(
        slow, 5,
        "the fifth failure in a row is the last that anybody waits for"
    );
    dock.behave(2, Manner::Works);
    tokio::time::advance(SECOND * 31).await;
    let mut back = false;
    for _ in 0..8 {
        let connected = pool.get("call").await.unwrap();
        back |= connected.id() == "2";
        connected.finish(Outcome::Success);
    }
    assert!(back);
    let kinds: Vec<_> = directory.list().iter().map(|entry| entry.kind()).collect();
    assert!(
        kinds.contains(&"balanced_pool") && kinds.contains(&"balancer"),
        "{kinds:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn where_nobody_can_be_connected_to_the_call_ends_after_three() {
    let (pool, dock, _) = pool(config(4, Strategy::RoundRobin), 10);
    (0..10).for_each(|target| dock.behave(target, Manner::Hangs));
    let before = now();
    assert!(pool.get("call").await.unwrap_err().is_timed_out());
    assert_eq!((now() - before), SECOND * 6, "three of 2 s each");
    (0..10).for_each(|target| dock.behave(target, Manner::Refuses));
    let Err(Failure::Operation { error, .. }) = pool.get("call").await else {
        panic!("there is nobody");
    };
    assert_eq!(error, Storm);
    assert_eq!(
        (pool.leased(), pool.in_flight(), dock.all_open()),
        (0, 0, 0)
    );
    pool.update([]);
    let refused = pool.get("call").await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "balancer `test` refused the call: empty"
    );
}

#[tokio::test(start_paused = true)]
async fn a_draining_endpoint_gets_no_new_calls() {
    let (pool, _, _) = pool(config(4, Strategy::RoundRobin), 2);
    assert!(pool.drain("0", Mandate::new("anna", "a new version")));
    for _ in 0..4 {
        assert_eq!(pool.get("call").await.unwrap().id(), "1");
    }
    assert!(pool.restore("0", Mandate::new("anna", "done")));
    let ids = [
        pool.get("call").await.unwrap(),
        pool.get("call").await.unwrap(),
    ];
    assert!(ids.iter().any(|connected| connected.id() == "0"));
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_dropped_closes_its_connections() {
    let (pool, dock, _) = pool(config(4, Strategy::RoundRobin), 2);
    let held = pool.get("call").await.unwrap();
    pool.get("call").await.unwrap().finish(Outcome::Success);
    assert_eq!(dock.all_open(), 2);
    drop(pool);
    assert_eq!(dock.all_open(), 1);
    held.finish(Outcome::Success);
    assert_eq!(dock.all_open(), 0);
}
