//! Redis, the real one.

use std::{sync::Arc, time::Duration};

use crate::{figures, ids, instance, now, until};
use rs_backends::{
    Backend, BackendError, Redis, RedisConfig, Standing, async_trait,
    conformance::{self, Subject},
};
use rs_core::{Backoff, Condition};
use rs_testkit::{Fault, FaultProxy, Redis as Server, wait_until};

const LONG: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(500);

fn config(url: &str) -> RedisConfig {
    let quick = Backoff::constant(Duration::from_millis(50));
    let config = RedisConfig::new(url)
        .unwrap()
        .with_poll_interval(POLL)
        .unwrap();
    let config = config.with_timeout(Duration::from_secs(1)).unwrap();
    let config = config.with_empty_grace(Duration::from_millis(300)).unwrap();
    config.with_reconnect(quick).unwrap()
}

fn connect(server: &Server) -> Redis {
    Redis::new("redis", config(&server.url()))
}

struct OneRedis(Server);

#[async_trait]
impl Subject for OneRedis {
    async fn connect(&self) -> Arc<dyn Backend> {
        Arc::new(connect(&self.0))
    }

    async fn go_away(&self, away: bool) -> bool {
        match away {
            true => self.0.pause().unwrap(),
            false => self.0.resume().unwrap(),
        }
        true
    }
}

#[tokio::test]
async fn it_keeps_all_promises() {
    conformance::check(&OneRedis(Server::start().await.unwrap())).await;
}

#[tokio::test]
async fn a_change_is_seen_within_100_ms() {
    let server = Server::start().await.unwrap();
    let (writer, reader) = (connect(&server), connect(&server));
    let mut watch = reader.watch("a").unwrap();
    until(&mut watch, "nobody", |set| set.is_empty()).await;
    let (what, mut count) = ("redis: registered until seen", 0);
    figures(what, 200, Duration::from_millis(100), async || {
        count += 1;
        let started = now();
        let new = instance("a", &format!("{count:03}"));
        writer.register(new).await.unwrap();
        until(&mut watch, "one more", |set| set.len() == count).await;
        started.elapsed()
    })
    .await;
}

#[tokio::test]
async fn a_change_that_nobody_announced_is_seen_within_the_poll_interval() {
    let server = Server::start().await.unwrap();
    let reader = connect(&server);
    let client = redis::Client::open(server.url()).unwrap();
    let mut raw = client.get_multiplexed_async_connection().await.unwrap();
    let mut watch = reader.watch("a").unwrap();
    until(&mut watch, "nobody", |set| set.is_empty()).await;
    let (what, mut count) = ("redis: unannounced until seen", 0);
    figures(what, 5, POLL + Duration::from_millis(100), async || {
        count += 1;
        let text = serde_json::to_string(&instance("a", &count.to_string())).unwrap();
        let started = now();
        let _: () = redis::pipe()
            .atomic()
            .hset("{rs-backends:a}:instances", count, text)
            .zadd("{rs-backends:a}:deadlines", count, 1e15)
            .query_async(&mut raw)
            .await
            .unwrap();
        until(&mut watch, "one more", |set| set.len() == count).await;
        started.elapsed()
    })
    .await;
}

#[tokio::test]
async fn a_crashed_instance_is_gone_within_its_time_and_a_second() {
    let server = Server::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let writer = Redis::new("crashing", config(&format!("redis://{}", proxy.addr())));
    let ttl = Duration::from_secs(2);
    let short = instance("a", "1").to_builder().ttl(ttl).build().unwrap();
    connect_and_keep(&server).await;
    writer.register(short).await.unwrap();
    let mut watch = connect(&server).watch("a").unwrap();
    until(&mut watch, "there", |set| set.get("1").is_some()).await;
    proxy.set(Fault::black_hole());
    let crashed = now();
    until(&mut watch, "gone", |set| set.get("1").is_none()).await;
    let took = crashed.elapsed();
    println!("redis: crashed until gone, with a time of {ttl:?}: {took:?}");
    assert!(took <= ttl + Duration::from_secs(1), "{took:?}");
    proxy.heal();
    until(&mut watch, "it comes back", |set| set.get("1").is_some()).await;
}

/// Somebody who stays, so that no set is empty: written by hand, for a very long time.
async fn connect_and_keep(server: &Server) {
    let client = redis::Client::open(server.url()).unwrap();
    let mut raw = client.get_multiplexed_async_connection().await.unwrap();
    let text = serde_json::to_string(&instance("a", "stays")).unwrap();
    let _: () = redis::pipe()
        .hset("{rs-backends:a}:instances", "stays", text)
        .zadd("{rs-backends:a}:deadlines", "stays", 1e15)
        .query_async(&mut raw)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_restart_with_its_data_loses_nothing() {
    let server = Server::start().await.unwrap();
    let (writer, reader) = (connect(&server), connect(&server));
    writer.register(instance("a", "1")).await.unwrap();
    let mut watch = reader.watch("a").unwrap();
    until(&mut watch, "the one", |set| set.len() == 1).await;
    server.kill().await;
    let kept = until(&mut watch, "it is gone", |set| !set.is_current()).await;
    assert!(
        matches!(
            kept.standing(),
            Standing::Kept(BackendError::Unreachable(_))
        ),
        "{kept:?}"
    );
    assert_eq!(ids(&kept), ["1"]);
    let error = reader.discover("a").await.unwrap_err();
    assert!(error.may_pass(), "an error, and not an empty set: {error}");
    assert_eq!(reader.health_check().await.condition(), Condition::Down);
    server.restart().await.unwrap();
    let back = until(&mut watch, "it is back", |set| set.is_current()).await;
    assert_eq!(ids(&back), ["1"]);
    assert_eq!(reader.health_check().await.condition(), Condition::Up);
}

#[tokio::test]
async fn a_restart_without_its_data_registers_again_and_empties_nothing() {
    let server = Server::builder().append_only(false).start().await.unwrap();
    let reader = {
        let patient = config(&server.url()).with_empty_grace(LONG).unwrap();
        Redis::new("reader", patient)
    };
    let writer = connect(&server);
    let short = instance("a", "1")
        .to_builder()
        .ttl(Duration::from_secs(3))
        .build()
        .unwrap();
    writer.register(short).await.unwrap();
    let mut watch = reader.watch("a").unwrap();
    until(&mut watch, "the one", |set| set.len() == 1).await;
    server.kill().await;
    server.restart().await.unwrap();
    let wiped = now();
    let mut smallest = usize::MAX;
    let back = until(&mut watch, "registered again", |set| {
        smallest = smallest.min(set.len());
        set.is_current()
    });
    let back = back.await;
    println!(
        "redis: registered again {:?} after it had lost its data",
        wiped.elapsed()
    );
    assert_eq!((ids(&back), smallest), (vec!["1"], 1));
    assert_eq!(reader.discover("a").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_frozen_redis_is_an_error_and_is_found_out() {
    let server = Server::start().await.unwrap();
    let (writer, reader) = (connect(&server), connect(&server));
    writer.register(instance("a", "1")).await.unwrap();
    let mut watch = reader.watch("a").unwrap();
    until(&mut watch, "the one", |set| set.len() == 1).await;
    server.pause().unwrap();
    let frozen = now();
    assert!(reader.discover("a").await.unwrap_err().may_pass());
    let kept = until(&mut watch, "it is silent", |set| !set.is_current()).await;
    let took = frozen.elapsed();
    println!("redis: frozen until known: {took:?}");
    assert!(took <= POLL + Duration::from_secs(3), "{took:?}");
    assert_eq!(ids(&kept), ["1"]);
    assert!(
        matches!(watch.trouble(), Some(BackendError::TimedOut(_))),
        "{watch:?}"
    );
    server.resume().unwrap();
    until(&mut watch, "it answers", |set| set.is_current()).await;
    assert_eq!(reader.discover("a").await.unwrap().len(), 1);
}

#[tokio::test]
async fn bad_networks_lose_no_change() {
    let server = Server::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let reader = Redis::new("reader", config(&format!("redis://{}", proxy.addr())));
    let writer = connect(&server);
    let mut watch = reader.watch("a").unwrap();
    until(&mut watch, "nobody", |set| set.is_empty()).await;
    let slow = Fault::latency(Duration::from_millis(30)).jitter(Duration::from_millis(30));
    let faults = [
        Fault::reset(),
        Fault::refuse().and(Fault::black_hole()),
        slow,
        Fault::stall(),
    ];
    for (count, fault) in faults.into_iter().enumerate() {
        proxy.set(fault);
        writer
            .register(instance("a", &count.to_string()))
            .await
            .unwrap();
        if fault == slow {
            until(&mut watch, "slowly", |set| set.len() == count + 1).await;
        }
        proxy.heal();
        proxy.cut();
        until(&mut watch, "healed", |set| {
            set.len() == count + 1 && set.is_current()
        })
        .await;
    }
}

#[tokio::test]
async fn a_password_lets_in_and_is_never_shown() {
    let server = Server::builder().password("s3cr3t").start().await.unwrap();
    let with = config(&server.url());
    assert!(!format!("{with:?}").contains("s3cr3t"), "{with:?}");
    let let_in = Redis::new("with", with);
    let_in.register(instance("a", "1")).await.unwrap();
    assert!(!format!("{let_in:?}").contains("s3cr3t"), "{let_in:?}");
    let without = Redis::new("without", config(&format!("redis://{}", server.addr())));
    let refused = without.register(instance("a", "2")).await;
    assert!(
        matches!(refused, Err(BackendError::Refused(_))),
        "{refused:?}"
    );
    let wrong = RedisConfig::new("redis//s3cr3t@x").unwrap_err();
    assert!(!wrong.to_string().contains("s3cr3t"), "{wrong}");
}

#[tokio::test]
async fn a_dropped_backend_deregisters() {
    let server = Server::start().await.unwrap();
    let writer = connect(&server);
    writer.register(instance("a", "1")).await.unwrap();
    drop(writer);
    let reader = connect(&server);
    wait_until("it is gone", LONG, || async {
        reader.discover("a").await.map(|set| set.is_empty())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn ten_thousand_instances_of_a_hundred_services() {
    let server = Server::start().await.unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let mut raw = client.get_multiplexed_async_connection().await.unwrap();
    for service in 0..100 {
        let name = format!("s{service}");
        let mut pipe = redis::pipe();
        for id in 0..100 {
            let text = serde_json::to_string(&instance(&name, &id.to_string())).unwrap();
            pipe.hset(format!("{{rs-backends:{name}}}:instances"), id, text)
                .ignore();
            pipe.zadd(format!("{{rs-backends:{name}}}:deadlines"), id, 1e15)
                .ignore();
        }
        let _: () = pipe.query_async(&mut raw).await.unwrap();
    }
    let mut best = Duration::MAX;
    // Of three, for others may use the machine too.
    for _ in 0..3 {
        let reader = connect(&server);
        let started = now();
        let mut watches = Vec::new();
        for service in 0..100 {
            let mut watch = reader.watch(&format!("s{service}")).unwrap();
            let set = until(&mut watch, "all", |set| set.len() == 100).await;
            watches.push((watch, set));
        }
        best = best.min(started.elapsed());
    }
    println!("redis: 10,000 instances of 100 services in {best:?}");
    assert!(best <= Duration::from_secs(2), "{best:?}");
}

#[tokio::test]
async fn registering_the_same_twice_at_once_removes_nothing() {
    let server = Server::start().await.unwrap();
    let (writer, reader) = (connect(&server), connect(&server));
    let mut watch = reader.watch("a").unwrap();
    until(&mut watch, "nobody", |set| set.is_empty()).await;
    let both = tokio::join!(
        writer.register(instance("a", "1")),
        writer.register(instance("a", "1")),
    );
    assert_eq!(both, (Ok(()), Ok(())));
    until(&mut watch, "the one", |set| set.len() == 1).await;
    let second = Duration::from_secs(1);
    let changed = rs_testkit::within("a change", second, watch.changed()).await;
    assert!(changed.is_err(), "nothing changes any more: {changed:?}");
    assert!(watch.latest().unwrap().is_current());
    writer.deregister("a", "1").await.unwrap();
    until(&mut watch, "nobody", |set| set.is_empty()).await;
}
