//! An agent that says what a real one says seldom or never.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use crate::{ids, until};
use rs_backends::{Backend, BackendError, Consul, ConsulConfig};
use rs_core::Backoff;

/// Gives these replies, one for each connection, and then is silent.
struct Agent {
    addr: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Agent {
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
                log.lock()
                    .unwrap()
                    .push(head.lines().next().unwrap_or_default().to_owned());
                match replies.next() {
                    Some(reply) => drop(connection.write_all(&reply)),
                    None => silent.push(connection),
                }
            }
        });
        Self { addr, asked }
    }

    fn connect(&self) -> Consul {
        let config = ConsulConfig::new(&format!("http://{}", self.addr)).unwrap();
        let config = config.with_empty_grace(Duration::from_secs(60)).unwrap();
        let quick = Backoff::constant(Duration::from_millis(10));
        Consul::new("lied-to", config.with_reconnect(quick).unwrap())
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn reply(index: &str, length: usize, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nX-Consul-Index: {index}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .into()
}

fn whole(index: &str, ids: &[&str]) -> Vec<u8> {
    let one = |id: &&str| {
        format!(r#"{{"Service":{{"ID":"{id}","Service":"a","Address":"h","Port":1}}}}"#)
    };
    let body = format!("[{}]", ids.iter().map(one).collect::<Vec<_>>().join(","));
    reply(index, body.len(), &body)
}

#[tokio::test]
async fn an_index_that_falls_is_forgotten() {
    let agent = Agent::saying(vec![
        whole("12", &["1"]),
        whole("5", &["1", "2"]),
        whole("5", &["1", "2", "3"]),
    ]);
    let consul = agent.connect();
    let mut watch = consul.watch("a").unwrap();
    until(&mut watch, "all", |set| set.len() == 3).await;
    let asked = agent.asked();
    assert!(!asked[0].contains("index="), "{asked:?}");
    assert!(asked[1].contains("index=12"), "{asked:?}");
    assert!(
        !asked[2].contains("index="),
        "after the fall everything is asked for, at once: {asked:?}"
    );
}

#[tokio::test]
async fn half_an_answer_nonsense_and_zero_empty_nothing() {
    let half = String::from_utf8(whole("13", &["1"])).unwrap();
    let (head, body) = half.split_once("\r\n\r\n").unwrap();
    let cut = format!("{head}\r\n\r\n{}", &body[..body.len() / 2]).into_bytes();
    let agent = Agent::saying(vec![
        whole("12", &["1"]),
        cut,
        reply("13", 2, "{}"),
        reply("13", 4, "null"),
        b"HTTP/1.1 500 No\r\nContent-Length: 17\r\nConnection: close\r\n\r\nNo cluster leader"
            .to_vec(),
        b"nonsense\r\n\r\n".to_vec(),
        whole("0", &[]),
        whole("nonsense", &["1", "2"]),
    ]);
    let consul = agent.connect();
    let mut watch = consul.watch("a").unwrap();
    let mut smallest = usize::MAX;
    let set = until(&mut watch, "both", |set| {
        smallest = smallest.min(set.len());
        set.len() == 2
    });
    let set = set.await;
    assert_eq!((ids(&set), smallest), (vec!["1", "2"], 1));
    let asked = agent.asked();
    assert!(asked[1].contains("index=12"), "{asked:?}");
    let anew = asked[2..7].iter().all(|line| !line.contains("index="));
    assert!(anew, "after a failure everything is asked for: {asked:?}");
    assert!(
        asked[7].contains("index=1&"),
        "zero would never wait: {asked:?}"
    );
}

#[tokio::test]
async fn an_answer_without_end_is_given_up() {
    let endless = [reply("1", 1 << 40, "["), vec![b' '; 65 << 20]].concat();
    let agent = Agent::saying(vec![endless]);
    let huge = agent.connect().discover("a").await;
    assert!(
        matches!(huge, Err(BackendError::TooMany { what: "bytes", .. })),
        "{huge:?}"
    );
}
