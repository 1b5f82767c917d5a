//! Kubernetes, the real API server.

use std::{fs, sync::Arc, task::Poll, time::Duration};

use crate::{figures, ids, instance, now, until};
use rs_backends::{
    Backend, BackendError, InstanceHealth, Kubernetes, KubernetesConfig, Standing, TlsConfig,
    async_trait,
    conformance::{self, Subject},
};
use rs_core::{Backoff, Condition};
use rs_testkit::{Fault, FaultProxy, Kubernetes as Server, http::Request, wait_until};
use serde_json::{Value, json};

const LONG: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(3);
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";

fn quick(config: KubernetesConfig) -> KubernetesConfig {
    let quick = Backoff::constant(Duration::from_millis(50));
    let config = config.with_wait(Duration::from_secs(4)).unwrap();
    let config = config.with_timeout(TIMEOUT).unwrap();
    let config = config.with_empty_grace(Duration::from_millis(300)).unwrap();
    config.with_reconnect(quick).unwrap()
}

fn config(server: &Server) -> KubernetesConfig {
    quick(KubernetesConfig::kubeconfig(&server.kubeconfig()).unwrap())
}

fn connect(server: &Server) -> Kubernetes {
    Kubernetes::new("kubernetes", config(server))
}

/// As the administrator, at another address: behind a proxy.
fn through(server: &Server, proxy: &FaultProxy) -> Kubernetes {
    let read = |path| fs::read(path).unwrap();
    let tls = TlsConfig::trusting(&read(server.authority())).unwrap();
    let tls = tls
        .with_identity(
            &read(server.client_certificate()),
            &read(server.client_key()),
        )
        .unwrap();
    let config = KubernetesConfig::new(&format!("https://{}", proxy.addr())).unwrap();
    Kubernetes::new("through", quick(config.with_tls(tls).unwrap()))
}

/// With a token, and nothing else.
fn by_token(server: &Server, token: &str) -> Kubernetes {
    let config = KubernetesConfig::new(&server.url()).unwrap();
    let tls = TlsConfig::trusting(&fs::read(server.authority()).unwrap()).unwrap();
    let config = config.with_tls(tls).unwrap().with_token(token).unwrap();
    assert!(!format!("{config:?}").contains(token), "{config:?}");
    Kubernetes::new("by-token", quick(config))
}

/// Writes a slice as a controller would: these numbers of endpoints, ready or leaving.
async fn write(server: &Server, name: &str, service: &str, endpoints: &[(u16, bool)]) {
    let endpoints = endpoints
        .iter()
        .map(|(number, ready)| endpoint(*number, *ready));
    let slice = slice(name, service, endpoints.collect());
    let path = format!("{SLICES}/{name}?fieldManager=test&force=true");
    let patch = Request::new("PATCH", server.addr(), path)
        .header("Content-Type", "application/apply-patch+yaml")
        .body(slice.to_string());
    server.send(patch).await.unwrap().ok().unwrap();
}

/// Many at once, each new.
async fn create(server: &Server, slices: impl Iterator<Item = Value>) {
    let posts = slices.map(|slice| {
        let post = Request::post(server.addr(), SLICES).header("Content-Type", "application/json");
        server.send(post.body(slice.to_string()).within(LONG))
    });
    for created in all(posts).await {
        created.unwrap().ok().unwrap();
    }
}

fn slice(name: &str, service: &str, endpoints: Value) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {
            "kubernetes.io/service-name": service, "app.kubernetes.io/version": "1.4.2",
        }},
        "addressType": "IPv4", "endpoints": endpoints,
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
    })
}

fn endpoint(number: u16, ready: bool) -> Value {
    json!({
        "addresses": [format!("10.0.{}.{}", number / 256, number % 256)],
        "conditions": {"ready": ready, "serving": true, "terminating": !ready},
        "zone": "eu-1a", "nodeName": "n1",
        "targetRef": {"kind": "Pod", "name": format!("a-{number}"), "uid": format!("u{number}")},
    })
}

/// All futures, together.
async fn all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut ready = true;
        for (future, done) in &mut running {
            if done.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(output) => *done = Some(output),
                    Poll::Pending => ready = false,
                }
            }
        }
        if ready {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    running.into_iter().filter_map(|(_, done)| done).collect()
}

async fn delete(server: &Server, name: &str) {
    let gone = Request::delete(server.addr(), format!("{SLICES}/{name}"));
    server.send(gone).await.unwrap().ok().unwrap();
}

struct Cluster(Server);

#[async_trait]
impl Subject for Cluster {
    async fn connect(&self) -> Arc<dyn Backend> {
        Arc::new(connect(&self.0))
    }
}

#[tokio::test]
async fn it_keeps_all_promises() {
    conformance::check(&Cluster(Server::start().await.unwrap())).await;
}

#[tokio::test]
async fn a_change_is_seen_within_100_ms() {
    let server = Server::start().await.unwrap();
    let (writer, reader) = (connect(&server), connect(&server));
    let mut watch = reader.watch("a").unwrap();
    until(&mut watch, "nobody", |set| set.is_empty()).await;
    let (what, mut count) = ("kubernetes: registered until seen", 0);
    figures(what, 100, Duration::from_millis(100), async || {
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
async fn slices_of_controllers_are_one_set() {
    let server = Server::start().await.unwrap();
    let reader = connect(&server);
    let mut watch = reader.watch("a").unwrap();
    until(&mut watch, "nobody", |set| set.is_empty()).await;
    write(&server, "a-1", "a", &[(1, true), (2, true)]).await;
    write(&server, "a-2", "a", &[(2, false), (3, false)]).await;
    write(&server, "ab-1", "ab", &[(9, true)]).await;
    let all = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"];
    let set = until(&mut watch, "all of both", |set| ids(set) == all).await;
    let health: Vec<_> = set.instances().iter().map(|one| one.health()).collect();
    let (ready, leaving) = (InstanceHealth::Passing, InstanceHealth::Draining);
    assert_eq!(
        health,
        [ready, ready, leaving],
        "in two slices: ready counts"
    );
    let one = set.get("10.0.0.1:80").unwrap();
    assert_eq!((one.zone(), one.version()), (Some("eu-1a"), Some("1.4.2")));
    assert_eq!(one.metadata_of("pod"), Some("a-1"));

    // It moves, and is in neither slice alone at any moment.
    delete(&server, "a-1").await;
    let set = until(&mut watch, "what the other has", |set| set.len() == 2).await;
    assert_eq!(
        set.usable().count(),
        0,
        "only what leaves is left, and is not called"
    );
    write(&server, "a-2", "a", &[(2, true)]).await;
    until(&mut watch, "ready again", |set| {
        set.usable().count() == 1 && set.len() == 1
    })
    .await;
    assert_eq!(ids(&reader.discover("ab").await.unwrap()), ["10.0.0.9:80"]);
}

#[tokio::test]
async fn a_restart_with_its_data_loses_nothing() {
    let server = Server::start().await.unwrap();
    let reader = connect(&server);
    write(&server, "a-1", "a", &[(1, true)]).await;
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
    assert_eq!(ids(&kept), ["10.0.0.1:80"]);
    let error = reader.discover("a").await.unwrap_err();
    assert!(error.may_pass(), "an error, and not an empty set: {error}");
    assert_eq!(reader.health_check().await.condition(), Condition::Down);
    server.restart().await.unwrap();
    let back = until(&mut watch, "it is back", |set| set.is_current()).await;
    assert_eq!(ids(&back), ["10.0.0.1:80"]);
    assert!(back.confirmed() > kept.confirmed());
    assert_eq!(reader.health_check().await.condition(), Condition::Up);
}

#[tokio::test]
async fn a_restart_without_its_data_registers_again_and_empties_nothing() {
    let server = Server::start().await.unwrap();
    let patient = config(&server).with_empty_grace(LONG).unwrap();
    let reader = Kubernetes::new("reader", patient);
    let writer = connect(&server);
    // The new cluster begins at a version that is lower than all that is known here.
    for number in 0..30 {
        write(&server, "other", "other", &[(number, true)]).await;
    }
    let short = instance("a", "1")
        .to_builder()
        .ttl(Duration::from_secs(3))
        .build();
    writer.register(short.unwrap()).await.unwrap();
    let mut watch = reader.watch("a").unwrap();
    until(&mut watch, "the one", |set| set.len() == 1).await;
    server.wipe().await.unwrap();
    let wiped = now();
    let mut smallest = usize::MAX;
    let back = until(&mut watch, "registered again", |set| {
        smallest = smallest.min(set.len());
        set.is_current()
    });
    let back = back.await;
    println!(
        "kubernetes: registered again {:?} after it had lost its data",
        wiped.elapsed()
    );
    assert_eq!((ids(&back), smallest), (vec!["1"], 1));
    assert_eq!(reader.discover("a").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_frozen_server_is_an_error_and_is_found_out_within_the_wait() {
    let server = Server::start().await.unwrap();
    let reader = connect(&server);
    write(&server, "a-1", "a", &[(1, true)]).await;
    let mut watch = reader.watch("a").unwrap();
    until(&mut watch, "the one", |set| set.len() == 1).await;
    server.pause().unwrap();
    let frozen = now();
    let error = reader.discover("a").await.unwrap_err();
    assert!(error.may_pass(), "an error, and not an empty set: {error}");
    let kept = until(&mut watch, "it is silent", |set| !set.is_current()).await;
    let took = frozen.elapsed();
    println!("kubernetes: frozen until known: {took:?}");
    assert!(took <= Duration::from_secs(9), "{took:?}");
    assert_eq!(ids(&kept), ["10.0.0.1:80"]);
    assert!(watch.age(now()).unwrap() >= Duration::from_secs(1));
    server.resume().unwrap();
    until(&mut watch, "it answers", |set| set.is_current()).await;
}

#[tokio::test]
async fn bad_networks_lose_no_change() {
    let server = Server::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let reader = through(&server, &proxy);
    let mut watch = reader.watch("a").unwrap();
    until(&mut watch, "nobody", |set| set.is_empty()).await;
    let slow = Fault::latency(Duration::from_millis(30)).jitter(Duration::from_millis(30));
    let faults = [
        Fault::reset(),
        Fault::refuse().and(Fault::black_hole()),
        slow,
        Fault::stall(),
    ];
    let mut there = Vec::new();
    for (count, fault) in faults.into_iter().enumerate() {
        proxy.set(fault);
        there.push((u16::try_from(count).unwrap(), true));
        write(&server, "a-1", "a", &there).await;
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

/// A connection on which nothing comes any more, and that nobody closes.
#[tokio::test]
async fn a_dead_connection_is_noticed() {
    let server = Server::start().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await.unwrap();
    let reader = through(&server, &proxy);
    write(&server, "a-1", "a", &[(1, true)]).await;
    let mut watch = reader.watch("a").unwrap();
    until(&mut watch, "the one", |set| set.len() == 1).await;
    proxy.set(Fault::black_hole());
    let cut = now();
    write(&server, "a-1", "a", &[(1, true), (2, true)]).await;
    until(&mut watch, "it is dead", |set| !set.is_current()).await;
    let took = cut.elapsed();
    println!("kubernetes: cut off until known: {took:?}");
    assert!(took <= Duration::from_secs(9), "{took:?}");
    proxy.heal();
    until(&mut watch, "what it missed", |set| set.len() == 2).await;
}

#[tokio::test]
async fn a_watch_goes_on_from_a_bookmark_without_a_new_list() {
    let server = Server::start().await.unwrap();
    let reader = connect(&server);
    write(&server, "a-1", "a", &[(1, true)]).await;
    let mut watch = reader.watch("a").unwrap();
    let first = until(&mut watch, "the one", |set| set.len() == 1).await;
    // Nothing happens to this service for longer than a watch lasts, and much to another.
    let busy = async {
        for number in 0..40 {
            write(&server, "b-1", "b", &[(number, true)]).await;
        }
    };
    let silent = rs_testkit::within("silence", Duration::from_secs(10), watch.changed());
    let (silent, ()) = tokio::join!(silent, busy);
    assert!(
        silent.is_err(),
        "an end of a watch is no trouble: {silent:?}"
    );
    let latest = watch.latest().unwrap();
    assert!(latest.is_current() && latest.confirmed() > first.confirmed());
    write(&server, "a-1", "a", &[(1, true), (2, true)]).await;
    until(&mut watch, "the next", |set| set.len() == 2).await;
}

/// What a watch goes on from is forgotten by etcd, and by the server's own memory with its restart.
#[tokio::test]
async fn a_version_that_was_compacted_away_is_listed_anew() {
    let server = Server::start().await.unwrap();
    write(&server, "a-1", "a", &[(1, true)]).await;
    let list = server.send(Request::get(server.addr(), SLICES)).await;
    let list: Value = serde_json::from_str(&list.unwrap().ok().unwrap()).unwrap();
    let old = list["metadata"]["resourceVersion"].as_str().unwrap();
    let reader = connect(&server);
    let mut watch = reader.watch("a").unwrap();
    until(&mut watch, "the one", |set| set.len() == 1).await;
    for number in 0..20 {
        write(&server, "b-1", "b", &[(number, true)]).await;
    }
    server.kill().await;
    server.compact().await.unwrap();
    server.restart().await.unwrap();
    // As measured: the answer is a 200, and says 410 inside.
    let path = format!("{SLICES}?watch=true&timeoutSeconds=2&resourceVersion={old}");
    let expired = server.send(Request::get(server.addr(), path)).await;
    let expired = expired.unwrap();
    assert!(
        expired.status == 200 || expired.status == 410,
        "{expired:?}"
    );
    println!(
        "kubernetes: a watch from a compacted version: {} {}",
        expired.status, expired.body
    );
    assert!(expired.body.contains("410"), "{expired:?}");
    let set = until(&mut watch, "it is back", |set| set.is_current()).await;
    assert_eq!(ids(&set), ["10.0.0.1:80"]);
    write(&server, "a-1", "a", &[(1, true), (2, true)]).await;
    until(&mut watch, "the next", |set| set.len() == 2).await;
}

/// As after a restore from a backup: measured, and why silence is not believed.
#[tokio::test]
async fn a_version_that_is_yet_to_come_is_silent() {
    let server = Server::start().await.unwrap();
    let future = "&resourceVersion=999999999";
    let watch = format!("{SLICES}?watch=true&timeoutSeconds=2&allowWatchBookmarks=true{future}");
    let silent = server.send(Request::get(server.addr(), watch)).await;
    println!("kubernetes: a watch from the future: {silent:?}");
    let list = format!("{SLICES}?resourceVersionMatch=NotOlderThan{future}");
    let list = Request::get(server.addr(), list).within(LONG);
    let asked = now();
    let list = server.send(list).await.unwrap();
    println!(
        "kubernetes: a list from the future: {} after {:?}",
        list.status,
        asked.elapsed()
    );
    assert_eq!(list.status, 504, "{}", list.body);
    assert!(
        list.body.contains("Too large resource version"),
        "{}",
        list.body
    );
}

#[tokio::test]
async fn long_lists_come_in_parts() {
    let server = Server::start().await.unwrap();
    // More than one answer has, each with one endpoint.
    let numbers: Vec<u16> = (0..520).collect();
    for some in numbers.chunks(40) {
        let slices = some.iter().map(|number| {
            let endpoints = json!([endpoint(*number, true)]);
            slice(&format!("a-{number}"), "a", endpoints)
        });
        create(&server, slices).await;
    }
    let patient = config(&server).with_timeout(LONG).unwrap();
    let reader = Kubernetes::new("patient", patient);
    assert_eq!(reader.discover("a").await.unwrap().len(), numbers.len());
    // The rest of a list that was begun before a compaction is refused: the whole is asked for anew.
    let path = format!("{SLICES}?limit=1");
    let list = server.send(Request::get(server.addr(), path)).await;
    let list: Value = serde_json::from_str(&list.unwrap().body).unwrap();
    let next = list["metadata"]["continue"].as_str().unwrap();
    write(&server, "b-1", "b", &[(1, true)]).await;
    server.kill().await;
    server.compact().await.unwrap();
    server.restart().await.unwrap();
    let path = format!("{SLICES}?limit=1&continue={next}");
    let gone = server
        .send(Request::get(server.addr(), path))
        .await
        .unwrap();
    println!(
        "kubernetes: the rest of a compacted list: {} {}",
        gone.status,
        gone.body.chars().take(200).collect::<String>()
    );
    assert_eq!(gone.status, 410, "{}", gone.body);
}

#[tokio::test]
async fn a_token_lets_in_and_one_without_rights_is_told_so() {
    let server = Server::builder()
        .token("s3cret-token")
        .powerless_token("p0werless")
        .start()
        .await
        .unwrap();
    write(&server, "a-1", "a", &[(1, true)]).await;
    let let_in = by_token(&server, "s3cret-token");
    assert_eq!(let_in.discover("a").await.unwrap().len(), 1);
    assert!(!format!("{let_in:?}").contains("s3cret"), "{let_in:?}");

    for (token, code, why) in [
        ("p0werless", "403", "forbidden"),
        ("wr0ng", "401", "Unauthorized"),
    ] {
        let refused = by_token(&server, token);
        let error = refused.discover("a").await.unwrap_err();
        let said = error.to_string();
        assert!(matches!(error, BackendError::Refused(_)), "{error}");
        assert!(said.contains(code) && said.contains(why), "{said}");
        assert!(!said.contains(token), "{said}");
        let mut watch = refused.watch("a").unwrap();
        let nothing = rs_testkit::within("nothing", Duration::from_secs(1), watch.changed()).await;
        assert!(nothing.is_err(), "no rights are no empty set: {nothing:?}");
        assert!(watch.trouble().unwrap().to_string().contains(code));
        assert_eq!(refused.health_check().await.condition(), Condition::Down);
    }
    let nobody = Kubernetes::new("nobody", {
        let tls = TlsConfig::trusting(&fs::read(server.authority()).unwrap()).unwrap();
        let config = KubernetesConfig::new(&server.url()).unwrap();
        quick(config.with_tls(tls).unwrap())
    });
    assert!(nobody.discover("a").await.is_err());
}

#[tokio::test]
async fn a_service_account_is_read_again_when_its_token_is_replaced() {
    let server = Server::builder().token("t0ken-1").start().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::copy(server.authority(), folder.path().join("ca.crt")).unwrap();
    fs::write(folder.path().join("namespace"), "default").unwrap();
    fs::write(folder.path().join("token"), "t0ken-1\n").unwrap();
    write(&server, "a-1", "a", &[(1, true)]).await;
    let config = KubernetesConfig::service_account(&server.url(), folder.path()).unwrap();
    let reader = Kubernetes::new("pod", quick(config));
    let mut watch = reader.watch("a").unwrap();
    until(&mut watch, "the one", |set| set.len() == 1).await;

    server.admit("t0ken-2");
    fs::write(folder.path().join("token"), "t0ken-2\n").unwrap();
    server.dismiss("t0ken-1");
    let limit = Duration::from_secs(5);
    wait_until("the server has forgotten the first", limit, || async {
        let first = by_token(&server, "t0ken-1").discover("a").await;
        Ok::<_, BackendError>(first.is_err())
    })
    .await
    .unwrap();
    assert_eq!(reader.discover("a").await.unwrap().len(), 1);
    write(&server, "a-1", "a", &[(1, true), (2, true)]).await;
    until(&mut watch, "the next", |set| {
        set.len() == 2 && set.is_current()
    })
    .await;
}

#[tokio::test]
async fn a_server_that_others_have_signed_is_refused() {
    let (server, other) = (
        Server::start().await.unwrap(),
        Server::start().await.unwrap(),
    );
    let tls = TlsConfig::trusting(&fs::read(other.authority()).unwrap()).unwrap();
    let config = KubernetesConfig::new(&server.url()).unwrap();
    let reader = Kubernetes::new("careful", quick(config.with_tls(tls).unwrap()));
    let error = reader.discover("a").await.unwrap_err();
    assert!(matches!(error, BackendError::Unreachable(_)), "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[tokio::test]
async fn a_dropped_backend_deregisters_and_a_crashed_one_does_not() {
    let server = Server::start().await.unwrap();
    let reader = connect(&server);
    let crashing = {
        let proxy = FaultProxy::start(server.addr()).await.unwrap();
        let writer = through(&server, &proxy);
        writer.register(instance("b", "1")).await.unwrap();
        (writer, proxy)
    };
    crashing.1.set(Fault::black_hole());
    drop(crashing);
    let writer = connect(&server);
    writer.register(instance("a", "1")).await.unwrap();
    drop(writer);
    wait_until("it is gone", LONG, || async {
        reader.discover("a").await.map(|set| set.is_empty())
    })
    .await
    .unwrap();
    let left = reader.discover("b").await.unwrap();
    assert_eq!(ids(&left), ["1"], "as documented: there is no time to live");
}

#[tokio::test]
async fn what_is_registered_belongs_to_its_pod() {
    let server = Server::start().await.unwrap();
    let owned = config(&server).with_owner("a-7f", "u-1").unwrap();
    let writer = Kubernetes::new("owned", owned);
    writer.register(instance("a", "1")).await.unwrap();
    let list = server.send(Request::get(server.addr(), SLICES)).await;
    let list: Value = serde_json::from_str(&list.unwrap().body).unwrap();
    let owner = &list["items"][0]["metadata"]["ownerReferences"][0];
    assert_eq!(
        (&owner["kind"], &owner["name"], &owner["uid"]),
        (&json!("Pod"), &json!("a-7f"), &json!("u-1"))
    );
}

#[tokio::test]
async fn ten_thousand_endpoints_of_a_hundred_services() {
    let server = Server::start().await.unwrap();
    let services: Vec<u16> = (0..100).collect();
    for some in services.chunks(10) {
        let slices = some.iter().map(|service| {
            let endpoints = (0..100).map(|id| endpoint(service * 100 + id, true));
            let name = format!("s{service}");
            slice(&name, &name, endpoints.collect())
        });
        create(&server, slices).await;
    }
    let mut best = Duration::MAX;
    // Of three, for others may use the machine too.
    for _ in 0..3 {
        let reader = connect(&server);
        let started = now();
        // As an application has them: each in its own task.
        let watches = services.iter().map(|service| {
            let mut watch = reader.watch(&format!("s{service}")).unwrap();
            async move {
                until(&mut watch, "all", |set| set.len() == 100).await;
                watch
            }
        });
        let watches = all(watches).await;
        assert_eq!(watches.len(), 100);
        best = best.min(started.elapsed());
    }
    println!("kubernetes: 10,000 endpoints of 100 services in {best:?}");
    let reader = connect(&server);
    for (what, asked) in [("as it is now", true), ("in memory", false)] {
        let started = now();
        match asked {
            true => assert_eq!(reader.discover("s7").await.unwrap().len(), 100),
            false => {
                let mut watch = reader.watch("s7").unwrap();
                until(&mut watch, "all", |set| set.len() == 100).await;
            }
        }
        println!(
            "kubernetes: one service among them, {what}: {:?}",
            started.elapsed()
        );
    }
    assert!(best <= Duration::from_secs(2), "{best:?}");
}

#[tokio::test]
async fn another_namespace_is_read_while_it_is_watched() {
    let server = Server::start().await.unwrap();
    let registry = connect(&server);
    let short = instance("a", "1").to_builder().ttl(Duration::from_secs(2));
    let short = short.build().unwrap();
    registry.register(short.clone()).await.unwrap();
    let mut watch = registry.watch("a").unwrap();
    until(&mut watch, "the one", |set| set.len() == 1).await;
    let other = config(&server).with_namespace("other").unwrap();
    let other = other.with_empty_grace(LONG).unwrap();
    registry.reconfigure(other.clone());
    let back = until(&mut watch, "written there", |set| {
        assert_eq!(set.len(), 1, "nobody sees an empty set");
        set.is_current()
    });
    back.await;
    let there = Kubernetes::new("reader", other);
    let written = wait_until("it is written there", LONG, || async {
        there.discover("a").await.map(|set| set.len() == 1)
    });
    written.await.unwrap();
}
