//! What ten thousand known instances cost while nothing changes, against the real servers.

use std::{sync::Arc, time::Duration};

use crate::{
    many::{self, EACH, SERVICES, full},
    now, until,
};
use allocation_counter::measure;
use rs_backends::{
    Backend, Consul, ConsulConfig, Etcd, EtcdConfig, InstanceSet, Redis, RedisConfig, Watch,
};
use rs_testkit::{Consul as ConsulServer, Etcd as EtcdServer, Redis as RedisServer, http::Request};

/// On a runtime of this thread, where its allocations can be counted.
fn story(kind: &str, runtime: &tokio::runtime::Runtime, registry: Arc<dyn Backend>) {
    let mut watches: Vec<(Watch, InstanceSet)> = Vec::with_capacity(SERVICES);
    let started = now();
    let cost = measure(|| {
        runtime.block_on(async {
            let started =
                (0..SERVICES).map(|service| registry.watch(&format!("s{service}")).unwrap());
            for mut watch in started.collect::<Vec<_>>() {
                let set = until(&mut watch, "all", |set| set.len() == EACH).await;
                watches.push((watch, set));
            }
        });
    });
    let took = started.elapsed();
    let each = cost.bytes_current / (SERVICES * EACH) as i64;
    println!(
        "{kind}: 10,000 instances of 100 services in {took:?}, {each} bytes each with their share of the connections"
    );
    assert!((100..=1024).contains(&each), "{each}");
    let silence = Duration::from_secs(3);
    let cost = measure(|| {
        runtime.block_on(async {
            let mut all = watches
                .iter_mut()
                .map(|(watch, _)| Box::pin(watch.changed()))
                .collect::<Vec<_>>();
            let any = std::future::poll_fn(|context| {
                let ready = all
                    .iter_mut()
                    .any(|one| one.as_mut().poll(context).is_ready());
                if ready {
                    std::task::Poll::Ready(())
                } else {
                    std::task::Poll::Pending
                }
            });
            let quiet = rs_testkit::within("a change", silence, any).await;
            assert!(quiet.is_err(), "nothing has changed");
        });
    });
    let looks = cost.count_total / SERVICES as u64;
    println!(
        "{kind}: {silence:?} of silence: {} allocations, {looks} for each watch of {EACH}",
        cost.count_total
    );
    assert!(looks < 20 * EACH as u64, "{looks}");
    assert!(
        cost.bytes_current.abs() < 10 << 20,
        "{}",
        cost.bytes_current
    );
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

#[test]
fn ten_thousand_instances_of_redis_are_small_and_quiet() {
    let runtime = runtime();
    let server = runtime.block_on(RedisServer::start()).unwrap();
    runtime.block_on(async {
        let client = redis::Client::open(server.url()).unwrap();
        let mut raw = client.get_multiplexed_async_connection().await.unwrap();
        for service in 0..SERVICES {
            let name = format!("s{service}");
            let mut pipe = redis::pipe();
            for id in 0..EACH {
                let one = full(&name, id);
                let text = serde_json::to_string(&one).unwrap();
                pipe.hset(format!("{{rs-backends:{name}}}:instances"), one.id(), text)
                    .ignore();
                pipe.zadd(format!("{{rs-backends:{name}}}:deadlines"), one.id(), 1e15)
                    .ignore();
            }
            let _: () = pipe.query_async(&mut raw).await.unwrap();
        }
    });
    let config = RedisConfig::new(&server.url()).unwrap();
    // As often as it may be: with the default of 5 s nothing would happen here.
    let config = config
        .with_poll_interval(Duration::from_millis(500))
        .unwrap();
    story("redis", &runtime, Arc::new(Redis::new("redis", config)));
    runtime.block_on(async { drop(server) });
}

#[test]
fn ten_thousand_instances_of_consul_are_small_and_quiet() {
    let runtime = runtime();
    let server = runtime.block_on(ConsulServer::start()).unwrap();
    runtime.block_on(async {
        let node = r#"{"Node":"other","Address":"10.0.0.9"}"#;
        let put = Request::put(server.addr(), "/v1/catalog/register")
            .body(node)
            .send();
        assert_eq!(put.await.unwrap().status, 200);
        let all: Vec<_> = (0..SERVICES * EACH).collect();
        for some in all.chunks(50) {
            let writes: Vec<_> = some
                .iter()
                .map(|number| {
                    let (service, id) = (format!("s{}", number / EACH), number % EACH);
                    serde_json::json!({"Service": {"Verb": "set", "Node": "other", "Service": {
                        "ID": format!("{service}:i{id}"), "Service": service, "Address": "10.0.0.1",
                        "Port": 1000 + id, "Tags": ["canary"],
                        "Meta": {"rs_zone": "eu-1a", "rs_version": "1.4.2", "build": "b7"},
                    }}})
                })
                .collect();
            let body = serde_json::to_vec(&writes).unwrap();
            let put = Request::put(server.addr(), "/v1/txn")
                .body(body)
                .send()
                .await
                .unwrap();
            assert_eq!(put.status, 200, "{}", put.body);
        }
    });
    let config = ConsulConfig::new(&server.url()).unwrap();
    let config = config.with_wait(Duration::from_secs(1)).unwrap();
    // A slow machine is not news.
    let config = config.with_timeout(Duration::from_secs(30)).unwrap();
    story("consul", &runtime, Arc::new(Consul::new("consul", config)));
    runtime.block_on(async { drop(server) });
}

#[test]
fn ten_thousand_instances_of_etcd_are_small_and_quiet() {
    let runtime = runtime();
    let server = runtime.block_on(EtcdServer::start()).unwrap();
    runtime.block_on(many::in_etcd(&server));
    let config = EtcdConfig::new(&server.url()).unwrap();
    let config = config.with_wait(Duration::from_secs(1)).unwrap();
    // A slow machine is not news.
    let config = config.with_timeout(Duration::from_secs(30)).unwrap();
    story("etcd", &runtime, Arc::new(Etcd::new("etcd", config)));
    runtime.block_on(async { drop(server) });
}
