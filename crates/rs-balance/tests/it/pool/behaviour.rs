use std::time::Duration;

use rs_balance::{
    Strategy,
    metrics::Ended,
    pool::{
        NoConnection, PoolConfig,
        metrics::{self, Borrowed, Closed, ConnectionState},
    },
};
use rs_core::{Call, Failure, Label, Outcome, TimeScope};

use super::dock::{Manner, Storm, config, now, pool, sleep};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_connection_serves_one_call_after_the_other() {
    let (pool, dock, _) = pool(config(4, Strategy::RoundRobin), 1);
    let first = pool.get("call").await.unwrap();
    let number = first.number;
    assert!(!first.is_reused());
    assert_eq!((pool.leased(), pool.idle(), pool.in_flight()), (1, 0, 1));
    first.finish(Outcome::Success);
    assert_eq!((pool.leased(), pool.idle(), pool.in_flight()), (0, 1, 0));
    let second = pool.get("call").await.unwrap();
    assert!(second.is_reused());
    assert_eq!(
        (second.number, second.id(), *second.target()),
        (number, "0", 0)
    );
    second.finish(Outcome::Ignored);
    assert_eq!(dock.open(0), 1);
}

#[tokio::test(start_paused = true)]
async fn what_failed_or_was_dropped_is_closed() {
    let (pool, dock, registry) = pool(config(4, Strategy::RoundRobin), 1);
    pool.get("call").await.unwrap().finish(Outcome::TRANSIENT);
    assert_eq!((dock.open(0), pool.leased(), pool.in_flight()), (0, 0, 0));
    drop(pool.get("call").await.unwrap());
    assert_eq!((dock.open(0), pool.leased(), pool.in_flight()), (0, 0, 0));
    pool.get("call")
        .await
        .unwrap()
        .finish_and_close(Outcome::Success);
    assert_eq!((dock.open(0), pool.leased(), pool.in_flight()), (0, 0, 0));
    let closed = |why| metrics::CLOSED.read(&registry, "test", why);
    assert_eq!(closed(Closed::Cancelled), Some(1));
    assert_eq!(closed(Closed::Broken), Some(2));
    let borrowed = metrics::BORROWED.read(&registry, "test", Borrowed::Made);
    assert_eq!(borrowed, Some(3));
    let _held = pool.get("call").await.unwrap();
    let leased = metrics::CONNECTIONS.read(&registry, "test", ConnectionState::Leased);
    assert_eq!(leased, Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn an_operation_runs_with_a_connection() {
    let (pool, _, _) = pool(config(4, Strategy::RoundRobin), 1);
    let target = pool
        .call("call", async |ship, _| Ok::<_, Storm>(ship.target))
        .await;
    assert_eq!((target.unwrap(), pool.idle()), (0, 1));
    let failed = pool
        .call("call", async |_, _| Err::<(), _>(Storm))
        .await
        .unwrap_err();
    assert_eq!(failed.operation(), Some(&Storm));
    assert_eq!((pool.idle(), pool.leased(), pool.in_flight()), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_served_in_order_and_not_for_ever() {
    let config = config(1, Strategy::RoundRobin).with_queue(2, SECOND);
    let (pool, dock, _) = pool(config, 1);
    let held = pool.get("call").await.unwrap();
    let wait = |name: &'static str| {
        let pool = pool.clone();
        async move {
            let connected = pool.get(name).await?;
            sleep(SECOND / 4).await;
            connected.finish(Outcome::Success);
            Ok::<_, Failure<Storm>>(())
        }
    };
    let release = async {
        sleep(SECOND / 2).await;
        assert_eq!((pool.waiting(), pool.leased(), pool.in_flight()), (2, 1, 3));
        held.finish(Outcome::Success);
    };
    let (first, second, third, ()) = tokio::join!(wait("a"), wait("b"), wait("c"), release);
    assert_eq!((first, second), (Ok(()), Ok(())));
    let refused = third.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "balanced_pool `test` refused the call: queue_full (calls waiting 2, limit 2)"
    );
    assert_eq!((dock.most(0), pool.waiting(), pool.in_flight()), (1, 0, 0));

    let held = pool.get("call").await.unwrap();
    let waited = pool.get("call").await.unwrap_err();
    assert_eq!(
        waited.to_string(),
        "balanced_pool `test` refused the call: waited (waited 1s, limit 1s)"
    );
    assert_eq!((pool.waiting(), pool.in_flight()), (0, 1));
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_past_the_deadline_of_the_call() {
    let (pool, dock, registry) = pool(config(1, Strategy::RoundRobin), 1);
    let held = pool.get("call").await.unwrap();
    let late = Call::new("call").within(SECOND / 10, &rs_core::Clock::tokio());
    let Err(Failure::TimedOut(late)) = pool.get(late).await else {
        panic!("it was not in time");
    };
    assert_eq!(late.scope(), TimeScope::Deadline);
    held.finish_and_close(Outcome::Success);

    // Nor for a connection; and that the call had no time does not count against the endpoint.
    dock.behave(0, Manner::Hangs);
    for _ in 0..20 {
        let late = Call::new("call").within(SECOND / 10, &rs_core::Clock::tokio());
        assert!(pool.get(late).await.unwrap_err().is_timed_out());
    }
    assert_eq!(dock.open(0), 0);
    assert_eq!(metrics::FAILED.read(&registry, "test", ()), Some(0));
    let ended = rs_balance::metrics::CALLS.read(&registry, "test", Ended::Failure);
    assert_eq!(ended, Some(0));
    dock.behave(0, Manner::Works);
    pool.get("call").await.unwrap().finish(Outcome::Success);
    assert_eq!((pool.leased(), pool.in_flight()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_a_deadline_cuts_says_nothing_about_the_others() {
    let config = config(2, Strategy::RoundRobin).with_check(Duration::ZERO, SECOND);
    let (pool, dock, _) = pool(config, 1);
    let held = [
        pool.get("call").await.unwrap(),
        pool.get("call").await.unwrap(),
    ];
    held.into_iter()
        .for_each(|held| held.finish(Outcome::Success));
    dock.behave(0, Manner::Hangs);
    let late = Call::new("call").within(SECOND / 10, &rs_core::Clock::tokio());
    assert!(pool.get(late).await.unwrap_err().is_timed_out());
    assert_eq!((pool.idle(), pool.leased(), dock.open(0)), (1, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_full_endpoint_sends_the_call_to_one_that_is_not() {
    let (pool, _, _) = pool(config(1, Strategy::RoundRobin), 3);
    let held = [
        pool.get("call").await.unwrap(),
        pool.get("call").await.unwrap(),
        pool.get("call").await.unwrap(),
    ];
    let mut ids = held.each_ref().map(|held| held.id().to_owned());
    ids.sort();
    assert_eq!(ids, ["0", "1", "2"]);
    let mut held = held.into_iter();
    let free = held.next().unwrap();
    let id = free.id().to_owned();
    free.finish(Outcome::Success);
    for _ in 0..6 {
        let next = pool.get("call").await.unwrap();
        assert_eq!((next.id(), next.is_reused()), (&*id, true));
        next.finish(Outcome::Success);
    }
    assert_eq!(pool.in_flight(), 2);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_where_there_is_no_queue() {
    let config = config(1, Strategy::RoundRobin).with_queue(0, SECOND);
    let (pool, _, _) = pool(config, 2);
    let _held = (
        pool.get("call").await.unwrap(),
        pool.get("call").await.unwrap(),
    );
    let refused = pool.get("call").await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "balanced_pool `test` refused the call: full (connections in use 1, limit 1)"
    );
    assert_eq!(NoConnection::ALL.len(), 3);
    assert_eq!((pool.waiting(), pool.in_flight()), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_lay_idle_is_asked_first() {
    let config = config(4, Strategy::RoundRobin).with_check(SECOND, SECOND / 2);
    let (pool, dock, _) = pool(config, 1);
    let held = [
        pool.get("call").await.unwrap(),
        pool.get("call").await.unwrap(),
        pool.get("call").await.unwrap(),
    ];
    held.into_iter()
        .for_each(|held| held.finish(Outcome::Success));
    dock.behave(0, Manner::Forgets);
    let unasked = pool.get("call").await.unwrap();
    assert!(unasked.is_reused(), "it has just been used");
    unasked.finish(Outcome::Success);
    tokio::time::advance(SECOND).await;
    let made = pool.get("call").await.unwrap();
    assert!(!made.is_reused());
    assert_eq!((dock.open(0), pool.idle()), (1, 0), "the others lay longer");
    made.finish(Outcome::Success);

    // One that never answers is as good as one that does not work, after a time.
    tokio::time::advance(SECOND).await;
    dock.behave(0, Manner::Hangs);
    let before = now();
    assert!(pool.get("call").await.unwrap_err().is_timed_out());
    let time = now() - before;
    assert!(time <= SECOND * 3, "check 500 ms, connect 2 s: {time:?}");
    assert_eq!((dock.open(0), pool.leased(), pool.in_flight()), (0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn connections_are_closed_when_they_lie_or_live_too_long() {
    let config = config(4, Strategy::RoundRobin)
        .with_idle(SECOND * 10)
        .with_lifetime(SECOND * 25);
    let (pool, dock, _) = pool(config, 1);
    let held = [
        pool.get("call").await.unwrap(),
        pool.get("call").await.unwrap(),
    ];
    held.into_iter()
        .for_each(|held| held.finish(Outcome::Success));
    for _ in 0..4 {
        tokio::time::advance(SECOND * 6).await;
        pool.get("call").await.unwrap().finish(Outcome::Success);
    }
    assert_eq!(dock.open(0), 1, "the second has lain for 10 s");
    tokio::time::advance(SECOND * 2).await;
    assert!(
        !pool.get("call").await.unwrap().is_reused(),
        "it is 26 s old"
    );
}

#[tokio::test(start_paused = true)]
async fn a_keeper_closes_what_nobody_uses_and_ends_with_the_pool() {
    let config = config(4, Strategy::RoundRobin).with_idle(SECOND);
    let (pool, dock, _) = pool(config, 2);
    let keeper = pool.keep();
    let user = async move {
        for _ in 0..2 {
            pool.get("call").await.unwrap().finish(Outcome::Success);
        }
        assert_eq!(dock.all_open(), 2);
        sleep(SECOND * 2).await;
        assert_eq!(dock.all_open(), 0);
        drop(pool);
    };
    // It would not end if the keeper kept the pool alive.
    tokio::join!(keeper, user);
}

#[tokio::test(start_paused = true)]
async fn it_can_be_given_other_rules() {
    let (pool, dock, _) = pool(config(4, Strategy::RoundRobin), 1);
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(pool.get("call").await.unwrap());
    }
    assert_eq!(pool.reconfigure(config(2, Strategy::Random)), Ok(2));
    held.pop().unwrap().finish(Outcome::Success);
    held.pop().unwrap().finish(Outcome::Success);
    assert_eq!((dock.open(0), pool.idle()), (2, 0), "two were too many");
    let late = Call::new("call").within(SECOND / 10, &rs_core::Clock::tokio());
    assert!(pool.get(late).await.is_err(), "two are in use");
    held.into_iter()
        .for_each(|held| held.finish(Outcome::Success));
    assert_eq!(pool.idle(), 2);
    assert_eq!(pool.reconfigure(config(1, Strategy::Random)), Ok(3));
    assert_eq!((pool.idle(), dock.open(0)), (1, 1));
    assert!(pool.reconfigure(PoolConfig::of(0)).is_err());
    assert_eq!(pool.config().size(), 1, "a wrong one is refused whole");
    // There are as many places as it says, whatever went before.
    assert_eq!(pool.reconfigure(config(3, Strategy::Random)), Ok(4));
    let held = [
        pool.get("call").await.unwrap(),
        pool.get("call").await.unwrap(),
        pool.get("call").await.unwrap(),
    ];
    let late = Call::new("call").within(SECOND / 10, &rs_core::Clock::tokio());
    assert!(pool.get(late).await.is_err());
    drop(held);
    assert_eq!((dock.open(0), pool.leased()), (0, 0));
}
