//! Replicas that meet in a real Redis: which freezes, dies, and is cut off.

use std::time::Duration;

use crate::fleet::Replica;
use crate::storage::keeps_the_contract;
use crate::support::SECOND;
use redis::aio::MultiplexedConnection;
use rs_breaker::{
    BreakerState, Fleet, FleetConfig, FleetOrder, Forced, RedisStorage, Report, Storage,
    StorageError,
};
use rs_core::{Clock, Mandate, Name};
use rs_testkit::{Fault, FaultProxy, Redis, wait_until};

/// Long beside anything that is waited for here.
const SOON: Duration = Duration::from_secs(20);

/// In step with a test: ten exchanges a second.
fn quick() -> FleetConfig {
    let limit = Duration::from_millis(500);
    FleetConfig::default()
        .with_interval(SECOND / 10)
        .with_keep(SECOND)
        .with_time_limit(limit)
}

/// A replica with a connection of its own.
fn replica(url: &str) -> Replica {
    let storage = RedisStorage::new(url)
        .unwrap()
        .with_response_timeout(Duration::from_millis(300));
    Replica::with(storage, quick())
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    wait_until(what, SOON, async || holds()).await.unwrap();
}

async fn until_they_meet(replicas: &[&Replica]) {
    let count = u32::try_from(replicas.len()).unwrap();
    until("they know of each other", || {
        replicas.iter().all(|replica| {
            let status = replica.fleet.status();
            status.replicas == count && status.lost.is_none()
        })
    })
    .await;
}

async fn until_lost(replica: &Replica) -> String {
    let lost = wait_until("it is lost", SOON, async || replica.fleet.status().lost);
    lost.await.unwrap()
}

fn anna() -> Mandate {
    Mandate::new("anna", "the bank asked us to stop")
}

async fn raw(redis: &Redis) -> MultiplexedConnection {
    let client = redis::Client::open(redis.url()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

#[tokio::test]
async fn the_contract() {
    let redis = Redis::start().await.unwrap();
    keeps_the_contract(&RedisStorage::new(&redis.url()).unwrap()).await;
    // With another prefix it is another one.
    keeps_the_contract(
        &RedisStorage::new(&redis.url())
            .unwrap()
            .with_prefix("other"),
    )
    .await;
}

#[tokio::test]
async fn two_processes() {
    let redis = Redis::start().await.unwrap();
    let [one, two, three] = [(); 3].map(|()| replica(&redis.url()));
    until_they_meet(&[&one, &two, &three]).await;
    one.open();
    two.open();
    until("there is advice", || three.is_advised()).await;
    for _ in 0..5 {
        assert!(three.fail());
    }
    assert_eq!(three.state(), BreakerState::Open);

    one.breaker.force_closed(anna().lasting(600 * SECOND));
    until("it holds everywhere", || {
        [&two, &three]
            .iter()
            .all(|one| one.state() == BreakerState::ForcedClosed)
    })
    .await;
    let order = three.breaker.snapshot().order.unwrap();
    assert_eq!(
        (&*order.author, &*order.reason),
        ("anna", "the bank asked us to stop")
    );
    assert!(order.ends_in.unwrap() > 500 * SECOND);
    three.breaker.release(anna());
    until("it ends everywhere", || {
        [&one, &two]
            .iter()
            .all(|one| one.state() == BreakerState::Closed)
    })
    .await;
}

#[tokio::test]
async fn calls_do_not_feel_a_frozen_redis() {
    let redis = Redis::start().await.unwrap();
    let [one, two] = [(); 2].map(|()| replica(&redis.url()));
    until_they_meet(&[&one, &two]).await;
    redis.pause().unwrap();
    let clock = Clock::default();
    let (mut calls, mut took) = (0_u32, Duration::ZERO);
    while one.fleet.status().lost.is_none() {
        let begin = clock.now();
        // Every change of state rings at the fleet, and no call waits for that.
        one.breaker.force_closed(anna());
        for _ in 0..1000 {
            assert!(one.fail());
        }
        took += clock.now() - begin;
        calls += 1000;
        tokio::task::yield_now().await;
    }
    assert!(calls > 1000, "{calls} calls");
    assert!(
        took / calls < Duration::from_micros(100),
        "{calls} calls took {took:?}"
    );
    assert_eq!(one.state(), BreakerState::ForcedClosed);
    assert_eq!(two.state(), BreakerState::Closed);
    redis.resume().unwrap();
    until("the order is delivered", || {
        two.state() == BreakerState::ForcedClosed
    })
    .await;
    until_they_meet(&[&one, &two]).await;
    assert_eq!(one.said().len(), 2, "{:?}", one.said());
}

#[tokio::test]
async fn a_redis_that_comes_back_empty_is_told_again() {
    let redis = Redis::builder().append_only(false).start().await.unwrap();
    let [one, two] = [(); 2].map(|()| replica(&redis.url()));
    until_they_meet(&[&one, &two]).await;
    one.breaker.isolate(anna());
    until("it holds there", || two.state() == BreakerState::Isolated).await;
    redis.kill().await;
    until_lost(&one).await;
    until_lost(&two).await;
    assert_eq!(
        (one.state(), two.state()),
        (BreakerState::Isolated, BreakerState::Isolated)
    );
    redis.restart().await.unwrap();
    let three = replica(&redis.url());
    until_they_meet(&[&one, &two, &three]).await;
    until("a new replica hears of it", || {
        three.state() == BreakerState::Isolated
    })
    .await;
    assert_eq!(
        (one.state(), two.state()),
        (BreakerState::Isolated, BreakerState::Isolated)
    );
}

#[tokio::test]
async fn a_quick_restart_is_no_alarm() {
    let redis = Redis::start().await.unwrap();
    let storage = RedisStorage::new(&redis.url()).unwrap();
    let report = Report::new("one", 60 * SECOND);
    storage.exchange(&report).await.unwrap();
    redis.restart().await.unwrap();
    assert_eq!(storage.exchange(&report).await.unwrap().replicas, 1);
}

#[tokio::test]
async fn cut_off_and_healed() {
    let redis = Redis::start().await.unwrap();
    let proxy = FaultProxy::start(redis.addr()).await.unwrap();
    let one = replica(&format!("redis://{}", proxy.addr()));
    let two = replica(&redis.url());
    until_they_meet(&[&one, &two]).await;
    let mut orders = [Forced::Open, Forced::Closed].into_iter().cycle();
    for fault in [
        Fault::black_hole(),
        Fault::stall(),
        Fault::reset(),
        Fault::refuse(),
    ] {
        proxy.set(fault);
        if fault == Fault::refuse() {
            proxy.cut();
        }
        until_lost(&one).await;
        until("the other forgets it", || two.fleet.status().replicas == 1).await;
        let forced = orders.next().unwrap();
        two.breaker.force(forced, anna());
        until("the order is told", || two.fleet.status().waiting == 0).await;
        assert_ne!(one.state(), BreakerState::from(forced), "{fault:?}");
        proxy.heal();
        until_they_meet(&[&one, &two]).await;
        until("it hears of the order", || {
            one.state() == BreakerState::from(forced)
        })
        .await;
    }
}

#[tokio::test]
async fn slow_but_there() {
    let redis = Redis::start().await.unwrap();
    let proxy = FaultProxy::start(redis.addr()).await.unwrap();
    proxy.set(Fault::latency(Duration::from_millis(40)).jitter(Duration::from_millis(40)));
    let one = replica(&format!("redis://{}", proxy.addr()));
    let two = replica(&redis.url());
    one.breaker.force_open(anna());
    until("the order arrives", || {
        two.state() == BreakerState::ForcedOpen
    })
    .await;
    assert!(two.breaker.release(anna()));
    until("it ends", || one.breaker.snapshot().order.is_none()).await;
}

#[tokio::test]
async fn a_wrong_password_is_said_and_not_shown() {
    let redis = Redis::builder()
        .password("open-sesame")
        .start()
        .await
        .unwrap();
    let right = replica(&redis.url());
    until("it is reached", || right.fleet.status().age.is_some()).await;
    let wrong = replica(&format!("redis://user:abracadabra@{}", redis.addr()));
    let why = until_lost(&wrong).await;
    assert!(why.contains("authentication failed"), "{why}");
    let bad_url: StorageError = RedisStorage::new("http://user:abracadabra@host").unwrap_err();
    for shown in [
        why,
        format!("{:?}", wrong.fleet),
        format!("{:?} {:?}", wrong.said(), wrong.fleet.status()),
        format!(
            "{:?}",
            RedisStorage::new("redis://user:abracadabra@host").unwrap()
        ),
        format!("{bad_url} {bad_url:?}"),
    ] {
        assert!(!shown.contains("abracadabra"), "{shown}");
    }
    assert!(format!("{:?}", right.fleet).contains(&redis.addr().to_string()));
}

#[tokio::test]
async fn a_user_with_no_more_rights_than_it_needs() {
    let redis = Redis::start().await.unwrap();
    let mut rights = redis::cmd("ACL");
    rights
        .arg("SETUSER")
        .arg("breakers")
        .arg("on")
        .arg(">secret")
        .arg("~{rs-breaker}:*");
    for command in RedisStorage::COMMANDS {
        rights.arg(format!("+{command}"));
    }
    rights.exec_async(&mut raw(&redis).await).await.unwrap();
    let storage = RedisStorage::new(&format!("redis://breakers:secret@{}", redis.addr())).unwrap();
    let mut report = Report::new("one", SECOND / 50);
    report.open.push(Name::of("payments"));
    report
        .orders
        .push(FleetOrder::new("payments", 1, None, &anna()));
    let view = storage.exchange(&report).await.unwrap();
    assert_eq!(
        (view.replicas, view.open, view.orders.len()),
        (1, vec![("payments".into(), 1)], 1)
    );
    let other = Report::new("two", SECOND);
    wait_until("the first is forgotten", SOON, async || {
        storage
            .exchange(&other)
            .await
            .map(|view| view.replicas == 1)
    })
    .await
    .unwrap();
    let elsewhere = storage.with_prefix("elsewhere");
    assert!(elsewhere.exchange(&report).await.is_err());
}

#[tokio::test]
async fn garbage_of_others_does_not_stop_it() {
    let redis = Redis::start().await.unwrap();
    let storage = RedisStorage::new(&redis.url()).unwrap();
    let mut report = Report::new("one", 60 * SECOND);
    report
        .orders
        .push(FleetOrder::new("payments", 1, Some(Forced::Open), &anna()));
    storage.exchange(&report).await.unwrap();
    let mut garbage = redis::pipe();
    for (field, bytes) in [
        ("a", &b"\xc1"[..]),
        ("b", b"\x01"),
        ("c", b"\x91\x01"),
        ("d", b"\xff\xfe"),
    ] {
        garbage.hset("{rs-breaker}:open", field, bytes).ignore();
        garbage.hset("{rs-breaker}:orders", field, bytes).ignore();
        garbage
            .hset("{rs-breaker}:open", b"\xff\xfe", b"\x91\xa2\xff\xfe")
            .ignore();
    }
    garbage.exec_async(&mut raw(&redis).await).await.unwrap();
    let view = storage.exchange(&report).await.unwrap();
    assert_eq!(
        (view.replicas, view.open.len(), view.orders.len()),
        (1, 0, 1)
    );

    let mut other = redis::cmd("SET");
    other.arg("{rs-breaker}:orders").arg("something else");
    other.exec_async(&mut raw(&redis).await).await.unwrap();
    let why = storage.exchange(&report).await.unwrap_err().to_string();
    assert!(why.contains("WRONGTYPE"), "{why}");
}

#[tokio::test]
async fn an_abandoned_fleet_leaves_orders_and_nothing_else() {
    let redis = Redis::start().await.unwrap();
    let storage = RedisStorage::new(&redis.url()).unwrap();
    let mut report = Report::new("one", 60 * SECOND);
    report.open.push(Name::of("payments"));
    report
        .orders
        .push(FleetOrder::new("payments", 1, Some(Forced::Open), &anna()));
    storage.exchange(&report).await.unwrap();
    let mut times = redis::pipe();
    for key in ["replicas", "open", "orders"] {
        times.cmd("TTL").arg(format!("{{rs-breaker}}:{key}"));
    }
    let times: Vec<i64> = times.query_async(&mut raw(&redis).await).await.unwrap();
    assert_eq!(times, [3660, 3660, -1]);
}

#[tokio::test]
async fn one_round_trip() {
    let redis = Redis::start().await.unwrap();
    let storage = RedisStorage::new(&redis.url()).unwrap();
    let report = Report::new("one", 60 * SECOND);
    for _ in 0..10 {
        storage.exchange(&report).await.unwrap();
    }
    let mut connection = raw(&redis).await;
    let mut info = redis::cmd("INFO");
    let info: String = info
        .arg("commandstats")
        .query_async(&mut connection)
        .await
        .unwrap();
    // The first finds no script.
    assert!(info.contains("cmdstat_evalsha:calls=11,"), "{info}");
    assert!(info.contains("cmdstat_script|load:calls=1,"), "{info}");
}

#[tokio::test]
async fn a_dropped_exchange_leaves_no_half_read_answer() {
    let redis = Redis::start().await.unwrap();
    let storage = RedisStorage::new(&redis.url()).unwrap();
    let mut report = Report::new("one", 60 * SECOND);
    storage.exchange(&report).await.unwrap();
    redis.pause().unwrap();
    report.open.push(Name::of("payments"));
    tokio::select! {
        biased;
        answer = storage.exchange(&report) => panic!("{answer:?}"),
        () = tokio::task::yield_now() => {}
    }
    assert!(format!("{storage:?}").contains("connected: false"));
    redis.resume().unwrap();
    report.open.clear();
    assert_eq!(storage.exchange(&report).await.unwrap().open, []);
}

#[test]
fn settings_of_the_fleet_are_checked_before_it_connects() {
    let storage = RedisStorage::new("redis://nowhere.invalid").unwrap();
    assert!(Fleet::new(storage, FleetConfig::default().with_keep(SECOND)).is_err());
}
