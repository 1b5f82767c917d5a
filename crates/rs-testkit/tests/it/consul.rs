use std::io;
use std::net::SocketAddr;

use rs_testkit::http::Request;
use rs_testkit::{Consul, Error, within};
use tokio::net::UdpSocket;

use crate::life::{self, PATIENCE};

#[tokio::test]
async fn life() -> Result<(), Error> {
    let server = Consul::start().await?;
    let addr = server.addr();
    // Needs a leader that has seen the agent healthy.
    let session = Request::put(addr, "/v1/session/create")
        .send()
        .await
        .unwrap();
    assert_eq!(session.status, 200, "{}", session.body);
    assert_eq!(
        Request::put(addr, "/v1/kv/name")
            .body("value")
            .send()
            .await
            .unwrap()
            .body
            .trim(),
        "true"
    );
    life::check(&server, "value".to_owned(), || async move {
        Request::get(addr, "/v1/kv/name?raw").send().await?.ok()
    })
    .await
}

#[tokio::test]
async fn token() -> Result<(), Error> {
    let server = Consul::builder().token("the-master").start().await?;
    let put = || Request::put(server.addr(), "/v1/kv/name").body("value");
    assert_eq!(put().send().await.unwrap().status, 403);
    assert_eq!(
        put()
            .header("X-Consul-Token", "the-master")
            .send()
            .await
            .unwrap()
            .status,
        200
    );
    Ok(())
}

#[tokio::test]
async fn dns() -> Result<(), Error> {
    let server = Consul::start().await?;
    let found = within(
        "an answer",
        PATIENCE,
        addresses(server.dns_addr(), "consul.service.consul"),
    );
    assert_eq!(found.await?.unwrap(), 1);
    Ok(())
}

/// How many A records a name has.
async fn addresses(dns: SocketAddr, name: &str) -> io::Result<u16> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let mut query = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        query.push(label.len() as u8);
        query.extend(label.as_bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    socket.send_to(&query, dns).await?;
    let mut answer = [0; 512];
    socket.recv_from(&mut answer).await?;
    Ok(u16::from_be_bytes([answer[6], answer[7]]))
}
