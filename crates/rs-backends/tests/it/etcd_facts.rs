//! What a real etcd does that one would not think, and that the backend works around.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::{instance, now, until};
use base64::{Engine, engine::general_purpose::STANDARD};
use rs_backends::{Backend, Etcd, EtcdConfig};
use rs_testkit::{Etcd as Server, Fault, FaultProxy, http::Request, wait_until, within};
use serde_json::{Value, json};

async fn post(server: &Server, path: &str, body: Value) -> Value {
    let post = Request::post(server.addr(), format!("/v3/{path}")).body(body.to_string());
    serde_json::from_str(&post.send().await.unwrap().ok().unwrap()).unwrap()
}

async fn put(server: &Server, id: &str) -> u64 {
    let text = serde_json::to_string(&instance("a", id)).unwrap();
    let key = STANDARD.encode(format!("/rs-backends/a/{id}"));
    let put = json!({ "key": key, "value": STANDARD.encode(text) });
    let said = post(server, "kv/put", put).await;
    said["header"]["revision"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

/// What a watch of everything says from this revision on, within this time.
async fn watched(server: &Server, from: u64, time: Duration) -> String {
    let addr = server.addr();
    let watch = move || {
        let every = STANDARD.encode([0]);
        let watch = json!({ "key": every, "range_end": every, "start_revision": from });
        let body = json!({ "create_request": watch }).to_string();
        let mut line = TcpStream::connect(addr).unwrap();
        let length = body.len();
        write!(
            line,
            "POST /v3/watch HTTP/1.1\r\nHost: e\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        line.set_read_timeout(Some(time)).unwrap();
        let (mut said, mut part) = (String::new(), [0; 4096]);
        while let Ok(count @ 1..) = line.read(&mut part) {
            said.push_str(&String::from_utf8_lossy(&part[..count]));
        }
        said
    };
    tokio::task::spawn_blocking(watch).await.unwrap()
}

#[tokio::test]
async fn keeping_a_dead_lease_alive_succeeds_without_a_time_and_ours_is_put_again() {
    let server = Server::start().await.unwrap();
    let dead = json!({ "ID": "4242" });
    let kept = post(&server, "lease/keepalive", dead.clone()).await;
    println!("etcd: a dead lease that is kept alive: {kept}");
    assert_eq!(kept["result"]["ID"], "4242");
    assert!(kept["result"].get("TTL").is_none(), "{kept}");
    // Only a put says that it is gone.
    let on_it = json!({ "key": STANDARD.encode("x"), "value": "", "lease": "4242" });
    let refused = Request::post(server.addr(), "/v3/kv/put").body(on_it.to_string());
    let refused = refused.send().await.unwrap();
    assert!(refused.body.contains("lease not found"), "{}", refused.body);

    let writer = Etcd::new("writer", EtcdConfig::new(&server.url()).unwrap());
    let short = instance("a", "1").to_builder().ttl(Duration::from_secs(3));
    writer.register(short.build().unwrap()).await.unwrap();
    let leases = post(&server, "lease/leases", json!({})).await;
    let lease = leases["leases"][0]["ID"].clone();
    post(&server, "lease/revoke", json!({ "ID": lease })).await;
    let reader = Etcd::new("reader", EtcdConfig::new(&server.url()).unwrap());
    assert!(reader.discover("a").await.unwrap().is_empty());
    let revoked = now();
    let again = wait_until("it is there again", Duration::from_secs(10), || async {
        reader.discover("a").await.map(|set| set.len() == 1)
    });
    again.await.unwrap();
    println!(
        "etcd: put again {:?} after its lease was gone",
        revoked.elapsed()
    );
    assert!(
        revoked.elapsed() <= Duration::from_secs(2),
        "a third of its time"
    );
}

#[tokio::test]
async fn a_watch_of_a_revision_yet_to_come_is_silent() {
    let server = Server::start().await.unwrap();
    let revision = put(&server, "1").await;
    let (said, ()) = tokio::join!(
        watched(&server, revision + 1_000, Duration::from_secs(2)),
        async {
            put(&server, "2").await;
        }
    );
    assert!(said.contains("\"created\":true"), "{said}");
    assert!(!said.contains("events"), "no change, and no error: {said}");
    let (said, ()) = tokio::join!(
        watched(&server, revision + 1, Duration::from_secs(2)),
        async {}
    );
    assert!(said.contains("events"), "{said}");
}

/// The revision falls while nobody notices: a proxy keeps the lines of the old one open.
#[tokio::test]
async fn a_revision_that_fell_is_not_waited_for() {
    let (one, two) = (
        Server::start().await.unwrap(),
        Server::start().await.unwrap(),
    );
    for id in 0..20 {
        put(&one, &id.to_string()).await;
    }
    let slow = FaultProxy::start(one.addr()).await.unwrap();
    // A wait so long that whoever waited for the old revision would be found out.
    let config = EtcdConfig::cluster([&*format!("http://{}", slow.addr()), &two.url()]).unwrap();
    let config = config.with_wait(Duration::from_secs(60)).unwrap();
    let reader = Etcd::new("reader", config);
    let mut watch = reader.watch("a").unwrap();
    until(&mut watch, "the one or the other", |_| true).await;
    put(&two, "new").await;
    // Now only the younger answers.
    slow.set(Fault::refuse());
    slow.cut();
    until(&mut watch, "the younger", |set| {
        set.len() == 1 && set.get("new").is_some()
    })
    .await;
    let written = now();
    put(&two, "newer").await;
    until(&mut watch, "and its news", |set| set.get("newer").is_some()).await;
    assert!(
        written.elapsed() < Duration::from_secs(15),
        "{:?}",
        written.elapsed()
    );
}

#[tokio::test]
async fn what_was_compacted_away_is_listed_anew() {
    let server = Server::start().await.unwrap();
    let first = put(&server, "0").await;
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let config = EtcdConfig::new(&format!("http://{}", proxy.addr())).unwrap();
    let reader = Etcd::new("reader", config.with_wait(Duration::from_secs(60)).unwrap());
    // Between the list and the watch there is time enough for others.
    proxy.set(Fault::latency(Duration::from_millis(200)));
    let mut watch = reader.watch("a").unwrap();
    let writes = async {
        for id in 1..=40 {
            let revision = put(&server, &id.to_string()).await;
            let compact = json!({ "revision": revision.to_string() });
            post(&server, "kv/compaction", compact).await;
            let _ = within(
                "a pause",
                Duration::from_millis(25),
                std::future::pending::<()>(),
            )
            .await;
        }
    };
    let all = until(&mut watch, "all", |set| set.len() == 41);
    let (_, set) = tokio::join!(writes, all);
    assert!(set.is_current(), "{set:?}");
    let said = watched(&server, first, Duration::from_secs(1)).await;
    println!("etcd: {}", said.lines().last().unwrap_or_default());
    assert!(
        said.contains("\"canceled\":true") && said.contains("compact_revision"),
        "{said}"
    );
}
