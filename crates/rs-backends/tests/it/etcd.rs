//! etcd, the real one.

use std::{fs, sync::Arc, time::Duration};

use crate::{figures, ids, instance, now, until};
use rs_backends::{
    Backend, BackendError, Etcd, EtcdConfig, Standing, async_trait,
    conformance::{self, Subject},
};
use rs_core::{Backoff, Condition};
use rs_testkit::{Etcd as Server, Fault, FaultProxy, http::Request, wait_until};

const LONG: Duration = Duration::from_secs(30);
/// The shortest lease that this etcd gives.
const TTL: Duration = Duration::from_secs(2);

fn config(url: &str) -> EtcdConfig {
    let quick = Backoff::constant(Duration::from_millis(50));
    let config = EtcdConfig::new(url).unwrap();
    let config = config.with_wait(Duration::from_secs(2)).unwrap();
    let config = config.with_timeout(Duration::from_secs(1)).unwrap();
    let config = config.with_empty_grace(Duration::from_millis(300)).unwrap();
    config.with_reconnect(quick).unwrap()
}

fn connect(server: &Server) -> Etcd {
    Etcd::new("etcd", config(&server.url()))
}

struct Member(Server);

#[async_trait]
impl Subject for Member {
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
    conformance::check(&Member(Server::start().await.unwrap())).await;
}

#[tokio::test]
async fn a_change_is_seen_within_100_ms() {
    let server = Server::start().await.unwrap();
    let (writer, reader) = (connect(&server), connect(&server));
    let mut watch = reader.watch("a").unwrap();
    until(&mut watch, "nobody", |set| set.is_empty()).await;
    let (what, mut count) = ("etcd: registered until seen", 0);
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
async fn a_crashed_instance_is_gone_within_its_time_and_a_second() {
    let server = Server::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let other = connect(&server);
    other.register(instance("a", "stays")).await.unwrap();
    let writer = Etcd::new("crashing", config(&format!("http://{}", proxy.addr())));
    let short = instance("a", "1").to_builder().ttl(TTL).build().unwrap();
    writer.register(short).await.unwrap();
    let mut watch = connect(&server).watch("a").unwrap();
    until(&mut watch, "there", |set| set.get("1").is_some()).await;
    proxy.set(Fault::black_hole());
    let crashed = now();
    until(&mut watch, "gone", |set| set.get("1").is_none()).await;
    let took = crashed.elapsed();
    println!("etcd: crashed until gone, with a time of {TTL:?}: {took:?}");
    assert!(took <= TTL + Duration::from_secs(1), "{took:?}");
    proxy.heal();
    until(&mut watch, "it comes back", |set| set.get("1").is_some()).await;
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
    let standing = kept.standing();
    assert!(
        matches!(standing, Standing::Kept(BackendError::Unreachable(_))),
        "{kept:?}"
    );
    assert_eq!(ids(&kept), ["1"]);
    let error = reader.discover("a").await.unwrap_err();
    assert!(error.may_pass(), "an error, and not an empty set: {error}");
    assert_eq!(reader.health_check().await.condition(), Condition::Down);
    server.restart().await.unwrap();
    let back = until(&mut watch, "it is back", |set| set.is_current()).await;
    assert_eq!(ids(&back), ["1"]);
    assert!(back.confirmed() > kept.confirmed());
    assert_eq!(reader.health_check().await.condition(), Condition::Up);
}

#[tokio::test]
async fn a_restart_without_its_data_registers_again_and_empties_nothing() {
    let server = Server::start().await.unwrap();
    let patient = config(&server.url()).with_empty_grace(LONG).unwrap();
    let reader = Etcd::new("reader", patient);
    let writer = connect(&server);
    let short = instance("a", "1").to_builder().ttl(TTL).build().unwrap();
    writer.register(short).await.unwrap();
    let mut watch = reader.watch("a").unwrap();
    until(&mut watch, "the one", |set| set.len() == 1).await;
    server.kill().await;
    fs::remove_dir_all(server.folder().join("data")).unwrap();
    server.restart().await.unwrap();
    let wiped = now();
    let mut smallest = usize::MAX;
    let back = until(&mut watch, "registered again", |set| {
        smallest = smallest.min(set.len());
        set.is_current()
    });
    let back = back.await;
    let took = wiped.elapsed();
    println!("etcd: registered again {took:?} after it had lost its data");
    assert_eq!((ids(&back), smallest), (vec!["1"], 1));
}

#[tokio::test]
async fn a_frozen_member_is_an_error_and_is_found_out_within_the_wait() {
    let server = Server::start().await.unwrap();
    let (writer, reader) = (connect(&server), connect(&server));
    writer.register(instance("a", "1")).await.unwrap();
    let mut watch = reader.watch("a").unwrap();
    until(&mut watch, "the one", |set| set.len() == 1).await;
    server.pause().unwrap();
    let frozen = now();
    let discovered = reader.discover("a").await;
    let expected = BackendError::TimedOut(Duration::from_secs(1));
    assert_eq!(discovered.unwrap_err(), expected);
    let kept = until(&mut watch, "it is silent", |set| !set.is_current()).await;
    let took = frozen.elapsed();
    println!("etcd: frozen until known: {took:?}");
    assert!(took <= Duration::from_secs(4), "{took:?}");
    assert_eq!(ids(&kept), ["1"]);
    assert!(matches!(watch.trouble(), Some(BackendError::TimedOut(_))));
    // Longer than its lease: what is registered is put again.
    server.resume().unwrap();
    until(&mut watch, "it answers", |set| {
        set.is_current() && set.len() == 1
    })
    .await;
}

#[tokio::test]
async fn bad_networks_lose_no_change() {
    let server = Server::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let reader = Etcd::new("reader", config(&format!("http://{}", proxy.addr())));
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
        let new = instance("a", &count.to_string());
        writer.register(new).await.unwrap();
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
async fn a_silent_line_is_found_out_by_looking() {
    let server = Server::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let reader = Etcd::new("reader", config(&format!("http://{}", proxy.addr())));
    let mut watch = reader.watch("a").unwrap();
    until(&mut watch, "nobody", |set| set.is_empty()).await;
    // The connections there are say nothing any more; new ones work.
    proxy.set(Fault::stall());
    proxy.heal();
    connect_and_keep(&server).await;
    let written = now();
    until(&mut watch, "the one", |set| set.len() == 1).await;
    assert!(written.elapsed() <= Duration::from_secs(4));
}

/// One that stays until its time is over.
async fn connect_and_keep(server: &Server) {
    let text = serde_json::to_string(&instance("a", "kept")).unwrap();
    let put = put_body("/rs-backends/a/kept", &text);
    post(server, "kv/put", &put).await;
}

fn put_body(key: &str, value: &str) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let (key, value) = (STANDARD.encode(key), STANDARD.encode(value));
    serde_json::json!({ "key": key, "value": value }).to_string()
}

async fn post(server: &Server, path: &str, body: &str) -> String {
    let post = Request::post(server.addr(), format!("/v3/{path}")).body(body.to_owned());
    post.send().await.unwrap().ok().unwrap()
}

#[tokio::test]
async fn a_password_lets_in_and_is_never_shown() {
    let server = Server::builder().root_password("s3cr3t").start();
    let server = server.await.unwrap();
    let with = |password: &str| config(&server.url()).with_user("root", password).unwrap();
    assert!(!format!("{:?}", with("s3cr3t")).contains("s3cr3t"));
    let let_in = Etcd::new("with", with("s3cr3t"));
    let_in.register(instance("a", "1")).await.unwrap();
    let mut watch = let_in.watch("a").unwrap();
    until(&mut watch, "the one", |set| set.len() == 1).await;
    assert!(!format!("{let_in:?}").contains("s3cr3t"), "{let_in:?}");
    for wrong in [connect(&server), Etcd::new("wrong", with("another-s3cr3t"))] {
        let refused = wrong.register(instance("a", "2")).await;
        let error = refused.unwrap_err();
        assert!(matches!(error, BackendError::Refused(_)), "{error:?}");
        assert!(!format!("{error:?} {error}").contains("s3cr3t"), "{error}");
    }
    // A simple token is forgotten with the process that made it.
    server.kill().await;
    until(&mut watch, "kept", |set| !set.is_current()).await;
    server.restart().await.unwrap();
    until(&mut watch, "back", |set| set.is_current()).await;
    let_in.register(instance("a", "2")).await.unwrap();
    until(&mut watch, "both", |set| set.len() == 2).await;
    assert_eq!(let_in.health_check().await.condition(), Condition::Up);
}

#[tokio::test]
async fn of_several_members_one_that_answers_is_asked() {
    let server = Server::start().await.unwrap();
    let url = server.url();
    let both = EtcdConfig::cluster(["http://127.0.0.1:1", &url]).unwrap();
    for _ in 0..4 {
        let etcd = Etcd::new("etcd", both.clone());
        let mut watch = etcd.watch("a").unwrap();
        until(&mut watch, "nobody", |set| set.is_empty()).await;
    }
}

#[tokio::test]
async fn a_dropped_backend_deregisters() {
    let server = Server::start().await.unwrap();
    let writer = connect(&server);
    writer.register(instance("a", "1")).await.unwrap();
    drop(writer);
    let reader = connect(&server);
    let gone = wait_until("it is gone", LONG, || async {
        reader.discover("a").await.map(|set| set.is_empty())
    });
    gone.await.unwrap();
}

#[tokio::test]
async fn one_that_somebody_deleted_is_put_again() {
    let server = Server::start().await.unwrap();
    let writer = connect(&server);
    let short = instance("a", "1").to_builder().ttl(TTL).build().unwrap();
    writer.register(short).await.unwrap();
    let all = put_body("/rs-backends/a/1", "");
    post(&server, "kv/deleterange", &all.replace("value", "x")).await;
    let reader = connect(&server);
    let again = wait_until("it is there again", LONG, || async {
        reader.discover("a").await.map(|set| set.len() == 1)
    });
    again.await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_understood_is_left_out() {
    let server = Server::start().await.unwrap();
    let reader = connect(&server);
    let good = |service: &str, id: &str| serde_json::to_string(&instance(service, id)).unwrap();
    for (key, value) in [
        ("1", good("a", "1")),
        ("2", "nonsense".to_owned()),
        ("3", good("a", "4")),
        ("5", good("b", "5")),
        ("6/7", good("a", "6/7")),
    ] {
        let key = format!("/rs-backends/a/{key}");
        post(&server, "kv/put", &put_body(&key, &value)).await;
    }
    assert_eq!(ids(&reader.discover("a").await.unwrap()), ["1"]);
    let mut watch = reader.watch("a").unwrap();
    until(&mut watch, "the one", |set| set.len() == 1).await;
    let two = put_body("/rs-backends/a/2", &good("a", "2"));
    post(&server, "kv/put", &two).await;
    until(&mut watch, "mended", |set| set.len() == 2).await;
    let broken = put_body("/rs-backends/a/1", "{}");
    post(&server, "kv/put", &broken).await;
    let set = until(&mut watch, "broken", |set| set.len() == 1).await;
    assert_eq!(ids(&set), ["2"]);
}

#[tokio::test]
async fn ten_thousand_instances_of_a_hundred_services() {
    let server = Server::start().await.unwrap();
    crate::many::in_etcd(&server).await;
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
    println!("etcd: 10,000 instances of 100 services in {best:?}");
    assert!(best <= Duration::from_secs(2), "{best:?}");
}
