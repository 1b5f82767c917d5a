//! An agent that says what a real one says seldom or never.

use std::time::Duration;

use crate::{ids, liar::Liar, until};
use rs_backends::{Backend, BackendError, Consul, ConsulConfig};
use rs_core::Backoff;

fn connect(agent: &Liar) -> Consul {
    let config = ConsulConfig::new(&agent.url()).unwrap();
    let config = config.with_empty_grace(Duration::from_secs(60)).unwrap();
    let quick = Backoff::constant(Duration::from_millis(10));
    Consul::new("lied-to", config.with_reconnect(quick).unwrap())
}

fn reply(index: &str, length: usize, body: &str) -> Vec<u8> {
    crate::liar::reply(&format!("X-Consul-Index: {index}\r\n"), length, body)
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
    let agent = Liar::saying(vec![
        whole("12", &["1"]),
        whole("5", &["1", "2"]),
        whole("5", &["1", "2", "3"]),
    ]);
    let consul = connect(&agent);
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
    let agent = Liar::saying(vec![
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
    let consul = connect(&agent);
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
    let agent = Liar::saying(vec![endless]);
    let huge = connect(&agent).discover("a").await;
    assert!(
        matches!(huge, Err(BackendError::TooMany { what: "bytes", .. })),
        "{huge:?}"
    );
}
