//! An etcd that says what a real one says seldom or never.

use std::time::Duration;

use crate::{
    ids, instance,
    liar::{Liar, reply},
    until,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use rs_backends::{Backend, BackendError, Etcd, EtcdConfig};
use rs_core::Backoff;
use serde_json::json;

fn connect(member: &Liar) -> Etcd {
    let config = EtcdConfig::new(&member.url()).unwrap();
    let config = config.with_empty_grace(Duration::from_secs(60)).unwrap();
    let quick = Backoff::constant(Duration::from_millis(10));
    Etcd::new("lied-to", config.with_reconnect(quick).unwrap())
}

fn pair(id: &str, revision: u64) -> serde_json::Value {
    let text = serde_json::to_string(&instance("a", id)).unwrap();
    json!({
        "key": STANDARD.encode(format!("/rs-backends/a/{id}")),
        "value": STANDARD.encode(text),
        "mod_revision": revision.to_string(),
    })
}

fn header(cluster: u64, revision: u64) -> serde_json::Value {
    json!({ "cluster_id": cluster.to_string(), "revision": revision.to_string() })
}

/// All that is known at this revision.
fn list(cluster: u64, revision: u64, ids: &[&str]) -> Vec<u8> {
    let all: Vec<_> = ids.iter().map(|id| pair(id, revision)).collect();
    let body = json!({
        "header": header(cluster, revision), "kvs": all, "count": all.len().to_string(),
    });
    whole(&body.to_string())
}

fn whole(body: &str) -> Vec<u8> {
    reply("", body.len(), body)
}

/// A watch that says this and ends.
fn watch(said: &[serde_json::Value]) -> Vec<u8> {
    let lines: Vec<_> = said.iter().map(|line| format!("{line}\n")).collect();
    whole(&lines.concat())
}

#[tokio::test]
async fn half_an_answer_and_nonsense_empty_nothing() {
    let cut = list(1, 9, &["1"]);
    let cut = cut[..cut.len() - 9].to_vec();
    let member = Liar::saying(vec![
        list(1, 8, &["1"]),
        whole("nonsense\n"),
        cut,
        whole("{}"),
        whole("null"),
        whole("[]"),
        b"HTTP/1.1 503 No\r\nContent-Length: 29\r\nConnection: close\r\n\r\n{\"error\":\"etcdserver: no lead"
            .to_vec(),
        b"nonsense\r\n\r\n".to_vec(),
        list(1, 9, &[]),
        watch(&[json!({ "result": { "header": header(1, 9), "created": true } })]),
        list(1, 10, &["1", "2"]),
    ]);
    let etcd = connect(&member);
    let mut watch = etcd.watch("a").unwrap();
    let mut smallest = usize::MAX;
    let set = until(&mut watch, "both", |set| {
        smallest = smallest.min(set.len());
        set.len() == 2
    });
    let set = set.await;
    assert_eq!((ids(&set), smallest), (vec!["1", "2"], 1));
    let asked = member.asked();
    assert!(asked[1].contains("/v3/watch"), "{asked:?}");
    let anew = asked[2..9].iter().all(|line| line.contains("/v3/kv/range"));
    assert!(anew, "after a failure everything is asked for: {asked:?}");
}

#[tokio::test]
async fn a_watch_of_another_cluster_or_of_an_older_one_is_not_believed() {
    for (cluster, revision) in [(2, 50), (1, 3)] {
        let others = json!({ "result": {
            "header": header(cluster, revision), "events": [{ "kv": pair("wrong", revision) }],
        } });
        let member = Liar::saying(vec![
            list(1, 40, &["1"]),
            watch(&[others]),
            list(cluster, revision, &["1", "2"]),
        ]);
        let etcd = connect(&member);
        let mut watch = etcd.watch("a").unwrap();
        let set = until(&mut watch, "both", |set| {
            assert!(set.get("wrong").is_none(), "{set:?}");
            set.len() == 2
        });
        assert!(set.await.is_current(), "what is asked anew is no failure");
    }
}

#[tokio::test]
async fn a_change_in_parts_is_told_whole() {
    let part = |id: &str, more: bool| {
        json!({ "result": {
            "header": header(1, 41), "events": [{ "kv": pair(id, 41) }], "fragment": more,
        } })
    };
    let member = Liar::saying(vec![
        list(1, 40, &["1"]),
        watch(&[part("2", true), part("3", true), part("4", false)]),
    ]);
    let etcd = connect(&member);
    let mut watch = etcd.watch("a").unwrap();
    let set = until(&mut watch, "all four", |set| {
        assert!(matches!(set.len(), 1 | 4), "half a change: {set:?}");
        set.len() == 4
    });
    set.await;
}

#[tokio::test]
async fn an_answer_and_a_line_without_end_are_given_up() {
    let endless = [reply("", 1 << 40, "["), vec![b' '; 65 << 20]].concat();
    let huge = connect(&Liar::saying(vec![endless.clone()]))
        .discover("a")
        .await;
    let too_many =
        |error: &BackendError| matches!(error, BackendError::TooMany { what: "bytes", .. });
    assert!(huge.as_ref().is_err_and(too_many), "{huge:?}");
    let etcd = connect(&Liar::saying(vec![list(1, 8, &["1"]), endless]));
    let mut watch = etcd.watch("a").unwrap();
    let kept = until(&mut watch, "kept", |set| !set.is_current()).await;
    assert_eq!(ids(&kept), ["1"]);
    assert!(watch.trouble().as_ref().is_some_and(too_many), "{watch:?}");
}
