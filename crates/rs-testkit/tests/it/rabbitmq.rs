use std::fs;
use std::io;
use std::path::Path;

use rs_testkit::http::Request;
use rs_testkit::{Error, RabbitMq, wait_until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::life::{self, PATIENCE};

const QUEUE: &str = "/api/queues/%2f/jobs";

#[tokio::test]
async fn life() -> Result<(), Error> {
    let server = RabbitMq::builder().management().start().await?;
    let addr = server.management_addr().unwrap();
    let ask = move |method, path: &str, body: &str| {
        let request =
            Request::new(method, addr, path).header("Authorization", "Basic Z3Vlc3Q6Z3Vlc3Q=");
        let request = request
            .header("Content-Type", "application/json")
            .body(body);
        async move { request.send().await?.ok() }
    };
    ask("PUT", QUEUE, r#"{"durable": true}"#).await.unwrap();
    let message = r#"{"properties": {"delivery_mode": 2}, "routing_key": "jobs", "payload": "work", "payload_encoding": "string"}"#;
    let routed = ask("POST", "/api/exchanges/%2f/amq.default/publish", message)
        .await
        .unwrap();
    assert_eq!(routed, r#"{"routed":true}"#);

    let look = || async move {
        let get = r#"{"count": 1, "ackmode": "ack_requeue_true", "encoding": "auto"}"#;
        let got = ask("POST", &format!("{QUEUE}/get"), get).await?;
        Ok(got.contains(r#""payload":"work""#))
    };
    life::freeze(&server, &true, look).await?;
    // It acknowledges a queue a moment before a crash could no longer lose it.
    wait_until("the queue is on disk", PATIENCE, || async {
        has_committed("jobs", &server.folder().join("data"))
    })
    .await?;
    life::crash(&server, &true, look).await
}

/// Whether the log of the node's store has the queue and, after it, the word that it is to stay.
fn has_committed(queue: &str, data: &Path) -> bool {
    let nodes = fs::read_dir(data).into_iter().flatten().flatten();
    let logs = nodes.filter_map(|node| fs::read(node.path().join("LATEST.LOG")).ok());
    logs.into_iter().any(|log| {
        let log = String::from_utf8_lossy(&log);
        log.rsplit_once(queue)
            .is_some_and(|(_, after)| after.contains("committed"))
    })
}

#[tokio::test]
async fn settings() -> Result<(), Error> {
    let server = RabbitMq::builder()
        .setting("heartbeat", "17")
        .start()
        .await?;
    assert_eq!(server.management_addr(), None);
    // Without the HTTP API, which takes its time, an orderly end is quick.
    life::restart(&server, &17, || heartbeat(&server)).await
}

/// Logs in and returns the last field of what the broker proposes then.
async fn heartbeat(server: &RabbitMq) -> io::Result<u16> {
    let mut stream = TcpStream::connect(server.addr()).await?;
    stream.write_all(b"AMQP\0\0\x09\x01").await?;
    assert_eq!(
        method(&mut stream).await?[..4],
        [0, 10, 0, 10],
        "Connection.Start"
    );

    // Connection.Start-Ok: no properties, mechanism, response, locale.
    let start_ok = b"\0\x0a\0\x0b\0\0\0\0\x05PLAIN\0\0\0\x0c\0guest\0guest\x05en_US";
    let size = (start_ok.len() as u32).to_be_bytes();
    stream
        .write_all(&[&[1, 0, 0], &size[..], start_ok, &[0xce]].concat())
        .await?;
    let tune = method(&mut stream).await?;
    assert_eq!(tune[..4], [0, 10, 0, 30], "Connection.Tune");
    Ok(u16::from_be_bytes([tune[10], tune[11]]))
}

/// The next frame without its frame.
async fn method(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = [0; 7];
    stream.read_exact(&mut head).await?;
    let mut method = vec![0; u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize];
    stream.read_exact(&mut method).await?;
    stream.read_u8().await?;
    Ok(method)
}
