//! What the real servers do that one would not think, and that the backends rely on or work around.

use std::{fs, time::Duration};

use crate::{ids, instance, now, until};
use rs_backends::{Backend, Consul, ConsulConfig, InstanceHealth, Redis, RedisConfig};
use rs_core::Clock;
use rs_testkit::{Consul as ConsulServer, Redis as RedisServer, http::Request, wait_until};

fn consul(server: &ConsulServer, wait: Duration) -> Consul {
    let config = ConsulConfig::new(&server.url()).unwrap();
    Consul::new("consul", config.with_wait(wait).unwrap())
}

async fn put(server: &ConsulServer, path: &str, body: &str) {
    let put = Request::put(server.addr(), path).body(body.to_owned());
    let reply = put.send().await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.body);
}

#[tokio::test]
async fn a_check_of_consul_begins_critical_and_ours_does_not() {
    let server = ConsulServer::start().await.unwrap();
    let theirs = r#"{"ID":"theirs","Name":"a","Port":1,"Check":{"TTL":"60s"}}"#;
    put(&server, "/v1/agent/service/register", theirs).await;
    let registry = consul(&server, Duration::from_secs(2));
    registry.register(instance("a", "ours")).await.unwrap();
    let mut watch = registry.watch("a").unwrap();
    let set = until(&mut watch, "both", |set| set.len() == 2).await;
    let health = |id: &str| set.get(id).unwrap().health();
    assert_eq!(health("theirs"), InstanceHealth::Critical);
    assert_eq!(health("ours"), InstanceHealth::Passing);
}

/// The highest index of what is known of the service.
async fn index(server: &ConsulServer) -> u64 {
    let known = Request::get(server.addr(), "/v1/health/service/a").send();
    let known: Vec<serde_json::Value> = serde_json::from_str(&known.await.unwrap().body).unwrap();
    let indices = known.iter().map(|entry| &entry["Service"]["ModifyIndex"]);
    indices.filter_map(serde_json::Value::as_u64).max().unwrap()
}

#[tokio::test]
async fn the_index_of_consul_falls_when_it_is_wiped_and_a_watch_does_not_wait_for_it() {
    let server = ConsulServer::start().await.unwrap();
    // A wait so long that whoever waited for the old index would be found out.
    let reader = consul(&server, Duration::from_secs(60));
    let mut watch = reader.watch("a").unwrap();
    for id in 0..10 {
        let body = format!(r#"{{"ID":"{id}","Name":"a","Port":1}}"#);
        put(&server, "/v1/agent/service/register", &body).await;
    }
    until(&mut watch, "all", |set| set.len() == 10).await;
    let before = index(&server).await;
    server.kill().await;
    until(&mut watch, "kept", |set| !set.is_current()).await;
    fs::remove_dir_all(server.folder().join("data")).unwrap();
    server.restart().await.unwrap();
    put(
        &server,
        "/v1/agent/service/register",
        r#"{"ID":"new","Name":"a","Port":1}"#,
    )
    .await;
    let written = now();
    let set = until(&mut watch, "the new one", |set| set.get("new").is_some()).await;
    let after = index(&server).await;
    println!(
        "consul: index {before} before the wipe, {after} after it; seen after {:?}",
        written.elapsed()
    );
    assert_eq!(ids(&set), ["new"], "nothing survives from before");
    assert!(after < before, "{before} to {after}");
    // The first look after a failure is at most the longest wait of the default backoff away.
    assert!(written.elapsed() < Duration::from_secs(15));
}

/// Takes a minute and a half: Consul's own minimum is a minute, and it looks every half minute.
#[tokio::test]
async fn consul_forgets_a_critical_instance_after_a_minute_whatever_it_is_told() {
    let server = ConsulServer::start().await.unwrap();
    let crashed = r#"{"ID":"crashed","Name":"a","Port":1,"Check":{"TTL":"1s","DeregisterCriticalServiceAfter":"1s"}}"#;
    put(&server, "/v1/agent/service/register", crashed).await;
    let registered = now();
    let registry = consul(&server, Duration::from_secs(30));
    let mut watch = registry.watch("a").unwrap();
    let found = until(&mut watch, "critical", |set| set.len() == 1).await;
    assert_eq!(found.usable().count(), 0);
    let two_minutes = Duration::from_secs(120);
    let forgotten = wait_until("it is forgotten", two_minutes, || async {
        registry.discover("a").await.map(|set| set.is_empty())
    });
    forgotten.await.unwrap();
    let took = registered.elapsed();
    println!("consul: told to forget after 1 s, it forgot after {took:?}");
    assert!(took >= Duration::from_secs(60), "{took:?}");
    let refused = ConsulConfig::new("http://x").unwrap();
    let refused = refused
        .with_deregister_after(Duration::from_secs(59))
        .unwrap_err();
    assert!(
        refused.to_string().contains("1m"),
        "so less is not promised: {refused}"
    );
}

#[tokio::test]
async fn redis_tells_of_expired_keys_late_and_a_watch_does_not_wait_for_it() {
    let server = RedisServer::start().await.unwrap();
    let client = redis::Client::open(server.url()).unwrap();
    let mut raw = client.get_multiplexed_async_connection().await.unwrap();
    let _: () = redis::cmd("CONFIG")
        .arg("SET")
        .arg("notify-keyspace-events")
        .arg("Ex")
        .query_async(&mut raw)
        .await
        .unwrap();
    let mut others = redis::pipe();
    for key in 0..10_000 {
        others
            .cmd("SET")
            .arg(format!("other:{key}"))
            .arg("x")
            .arg("EX")
            .arg(3600)
            .ignore();
    }
    let _: () = others.query_async(&mut raw).await.unwrap();
    let mut events = redis::pipe();
    for key in 0..50 {
        events
            .cmd("SET")
            .arg(format!("short:{key}"))
            .arg("x")
            .arg("PX")
            .arg(2000)
            .ignore();
    }
    // One of ours, due at the same moment, with nobody who would renew it.
    let text = serde_json::to_string(&instance("a", "1")).unwrap();
    let script = "local t = redis.call('TIME'); local due = t[1] * 1000 + math.floor(t[2] / 1000) + 2000; \
        redis.call('HSET', '{rs-backends:a}:instances', '1', ARGV[1]); \
        redis.call('ZADD', '{rs-backends:a}:deadlines', due, '1'); return 1";
    let stays = serde_json::to_string(&instance("a", "stays")).unwrap();
    let _: () = redis::pipe()
        .hset("{rs-backends:a}:instances", "stays", stays)
        .ignore()
        .zadd("{rs-backends:a}:deadlines", "stays", 1e15)
        .ignore()
        .query_async(&mut raw)
        .await
        .unwrap();
    let often = RedisConfig::new(&server.url()).unwrap();
    let often = often
        .with_poll_interval(Duration::from_millis(300))
        .unwrap();
    let registry = Redis::new("redis", often);
    let mut watch = registry.watch("a").unwrap();
    until(&mut watch, "the one that stays", |set| set.len() == 1).await;
    let _: () = events.query_async(&mut raw).await.unwrap();
    let _: u8 = redis::cmd("EVAL")
        .arg(script)
        .arg(0)
        .arg(text)
        .query_async(&mut raw)
        .await
        .unwrap();
    let due = now() + Duration::from_millis(2000);
    // Unannounced: found by the next look, and then its end is known.
    until(&mut watch, "both", |set| set.len() == 2).await;
    until(&mut watch, "one", |set| set.len() == 1).await;
    let ours = now().saturating_duration_since(due);
    // Redis deletes what is over when it comes across it, and only then tells of it.
    Clock::default().sleep(Duration::from_secs(1)).await;
    let info: String = redis::cmd("INFO")
        .arg("stats")
        .query_async(&mut raw)
        .await
        .unwrap();
    let expired = info
        .lines()
        .find_map(|line| line.strip_prefix("expired_keys:"));
    let expired: u32 = expired.unwrap().trim().parse().unwrap();
    println!(
        "redis: ours was gone {ours:?} after its time; a second later {expired} of 50 keys were told of"
    );
    assert!(ours <= Duration::from_millis(500), "{ours:?}");
    assert!(expired < 50, "if all were told of in time, events would do");
}
