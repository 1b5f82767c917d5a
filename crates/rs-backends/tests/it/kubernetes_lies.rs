//! An API server that says what a real one says seldom or never.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use crate::{ids, until};
use rs_backends::{Backend, BackendError, Kubernetes, KubernetesConfig};
use rs_core::Backoff;
use serde_json::{Value, json};

/// Gives these replies, one for each connection, and then is silent.
struct Server {
    addr: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn saying(replies: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            let (mut replies, mut silent) = (replies.into_iter(), Vec::new());
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let mut head = [0; 4096];
                let read = connection.read(&mut head).unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..read]).into_owned();
                let line = head.lines().next().unwrap_or_default().to_owned();
                log.lock().unwrap().push(line);
                match replies.next() {
                    Some(reply) => drop(connection.write_all(&reply)),
                    None => silent.push(connection),
                }
            }
        });
        Self { addr, asked }
    }

    fn connect(&self) -> Kubernetes {
        let config = KubernetesConfig::new(&format!("http://{}", self.addr)).unwrap();
        let config = config.with_empty_grace(Duration::from_secs(60)).unwrap();
        let quick = Backoff::constant(Duration::from_millis(10));
        Kubernetes::new("lied-to", config.with_reconnect(quick).unwrap())
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn reply(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        .into()
}

/// A slice of the service `a` with endpoints of these last bytes.
fn slice(name: &str, version: &str, endpoints: &[u8]) -> Value {
    let endpoints = endpoints
        .iter()
        .map(|last| json!({"addresses": [format!("10.0.0.{last}")]}));
    json!({
        "metadata": {"name": name, "resourceVersion": version, "labels": {"kubernetes.io/service-name": "a"}},
        "addressType": "IPv4", "endpoints": endpoints.collect::<Vec<_>>(), "ports": [{"port": 80}],
    })
}

fn list(version: &str, next: &str, slices: &[Value]) -> Vec<u8> {
    let metadata = json!({"resourceVersion": version, "continue": next});
    reply(
        "200 OK",
        &json!({"metadata": metadata, "items": slices}).to_string(),
    )
}

fn events(events: &[Value]) -> Vec<u8> {
    let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
    reply("200 OK", &lines)
}

fn gone() -> Value {
    json!({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"})
}

fn bookmark(version: &str) -> Value {
    json!({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version}}})
}

#[tokio::test]
async fn gone_inside_an_answer_or_as_one_lists_anew_and_is_no_trouble() {
    let server = Server::saying(vec![
        list("5", "", &[slice("x", "4", &[1])]),
        events(&[json!({"type": "ERROR", "object": gone()})]),
        list("9", "", &[slice("x", "8", &[1, 2])]),
        reply("410 Gone", &gone().to_string()),
        list("12", "", &[slice("x", "11", &[1, 2, 3])]),
    ]);
    let kubernetes = server.connect();
    let mut watch = kubernetes.watch("a").unwrap();
    let mut current = true;
    until(&mut watch, "all", |set| {
        current &= set.is_current();
        set.len() == 3
    })
    .await;
    assert!(current, "no set was doubted or kept meanwhile");
    let asked = server.asked();
    assert!(asked[1].contains("resourceVersion=5&"), "{asked:?}");
    assert!(asked[1].contains("allowWatchBookmarks=true"), "{asked:?}");
    assert!(
        asked[0].contains("resourceVersion=0 "),
        "from memory: {asked:?}"
    );
    for (line, version) in [(&asked[2], 5), (&asked[4], 9)] {
        let since = format!("resourceVersion={version}&resourceVersionMatch=NotOlderThan");
        assert!(line.contains(&since), "{asked:?}");
    }
}

#[tokio::test]
async fn a_watch_goes_on_from_its_last_event_or_bookmark() {
    let server = Server::saying(vec![
        list("5", "", &[slice("x", "4", &[1]), slice("y", "4", &[7])]),
        events(&[
            json!({"type": "MODIFIED", "object": slice("x", "6", &[1, 2])}),
            json!({"type": "DELETED", "object": slice("y", "7", &[7])}),
        ]),
        events(&[bookmark("70")]),
        events(&[
            json!({"type": "LATER", "object": slice("x", "71", &[])}),
            json!({"type": "ADDED", "object": slice("z", "72", &[3])}),
        ]),
    ]);
    let kubernetes = server.connect();
    let mut watch = kubernetes.watch("a").unwrap();
    let set = until(&mut watch, "all", |set| set.len() == 3).await;
    assert_eq!(ids(&set), ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
    let asked = server.asked();
    for (line, version) in asked[1..4].iter().zip(["5", "7", "70"]) {
        assert!(
            line.contains(&format!("resourceVersion={version}&")),
            "{asked:?}"
        );
    }
}

/// So it is after a restore from a backup: the version that a client knows is yet to come.
#[tokio::test]
async fn a_watch_that_said_nothing_and_a_version_that_fell_are_not_believed() {
    let server = Server::saying(vec![
        list("500", "", &[slice("x", "499", &[1])]),
        events(&[]),
        list("20", "", &[slice("x", "19", &[1, 2])]),
        events(&[bookmark("7")]),
        list("8", "", &[slice("x", "3", &[1, 2, 3])]),
    ]);
    let kubernetes = server.connect();
    let mut watch = kubernetes.watch("a").unwrap();
    until(&mut watch, "all", |set| set.len() == 3).await;
    let asked = server.asked();
    assert!(!asked[2].contains("resourceVersion="), "{asked:?}");
    assert!(!asked[4].contains("resourceVersion="), "{asked:?}");
}

/// It takes the server some seconds to say so: measured with a real one.
#[tokio::test]
async fn a_server_that_has_not_come_so_far_is_asked_for_what_is_now() {
    let too_large =
        json!({"kind": "Status", "code": 504, "message": "Too large resource version: 500"});
    let server = Server::saying(vec![
        list("500", "", &[slice("x", "499", &[1])]),
        reply("500 No", ""),
        reply("504 Timeout", &too_large.to_string()),
        list("8", "", &[slice("x", "3", &[1, 2])]),
    ]);
    let kubernetes = server.connect();
    let mut watch = kubernetes.watch("a").unwrap();
    until(&mut watch, "both", |set| set.len() == 2).await;
    let asked = server.asked();
    assert!(
        asked[2].contains("resourceVersion=500&resourceVersionMatch="),
        "{asked:?}"
    );
    assert!(!asked[3].contains("resourceVersion"), "{asked:?}");
}

#[tokio::test]
async fn a_list_whose_beginning_is_forgotten_is_begun_anew() {
    let half = |name: &str| list("5", "more/of it", &[slice(name, "4", &[1])]);
    let server = Server::saying(vec![
        half("x"),
        reply("410 Gone", &gone().to_string()),
        half("y"),
        list("6", "", &[slice("z", "4", &[2])]),
    ]);
    let set = server.connect().discover("a").await.unwrap();
    assert_eq!(ids(&set), ["10.0.0.1:80", "10.0.0.2:80"]);
    let asked = server.asked();
    assert!(asked[1].contains("continue=more%2Fof%20it"), "{asked:?}");
    assert!(!asked[2].contains("continue="), "{asked:?}");

    let again = [half("x"), reply("410 Gone", "")];
    let server = Server::saying((0..5).flat_map(|_| again.clone()).collect());
    let given_up = server.connect().discover("a").await;
    assert!(
        matches!(given_up, Err(BackendError::Refused(_))),
        "{given_up:?}"
    );
}

#[tokio::test]
async fn half_an_answer_nonsense_and_errors_empty_nothing() {
    let whole = String::from_utf8(list("6", "", &[slice("x", "5", &[])])).unwrap();
    let (head, body) = whole.split_once("\r\n\r\n").unwrap();
    let cut = format!("{head}\r\n\r\n{}", &body[..body.len() / 2]).into_bytes();
    let server = Server::saying(vec![
        list("5", "", &[slice("x", "4", &[1])]),
        events(&[json!({"type": "MODIFIED"})]),
        cut,
        reply("200 OK", "{}"),
        reply("200 OK", "null"),
        reply(
            "500 No",
            r#"{"kind": "Status", "code": 500, "message": "etcd is away"}"#,
        ),
        reply("429 Later", ""),
        b"nonsense\r\n\r\n".to_vec(),
        list("7", "", &[slice("x", "6", &[1])]),
        events(&[json!({"type": "ERROR", "object": {"code": 500, "message": "etcd is away"}})]),
        list("9", "", &[slice("x", "8", &[1, 2])]),
    ]);
    let kubernetes = server.connect();
    let mut watch = kubernetes.watch("a").unwrap();
    let mut smallest = usize::MAX;
    let set = until(&mut watch, "both", |set| {
        smallest = smallest.min(set.len());
        set.len() == 2
    });
    let set = set.await;
    assert_eq!(
        (ids(&set), smallest),
        (vec!["10.0.0.1:80", "10.0.0.2:80"], 1)
    );
}

#[tokio::test]
async fn an_answer_without_end_is_given_up() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 1099511627776\r\n\r\n{";
    let endless = [head.as_bytes().to_vec(), vec![b' '; 65 << 20]].concat();
    let huge = Server::saying(vec![endless.clone()]);
    let huge = huge.connect().discover("a").await;
    assert!(
        matches!(huge, Err(BackendError::TooMany { what: "bytes", .. })),
        "{huge:?}"
    );
    let server = Server::saying(vec![
        list("5", "", &[slice("x", "4", &[1])]),
        endless,
        list("6", "", &[slice("x", "5", &[1, 2])]),
    ]);
    let kubernetes = server.connect();
    let mut watch = kubernetes.watch("a").unwrap();
    until(&mut watch, "after it", |set| set.len() == 2).await;
}
