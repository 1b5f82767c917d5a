use rs_testkit::{Dnsmasq, Error};
use tokio::net::UdpSocket;

use crate::life;

/// Whether `a.example.test` is there.
async fn known(server: std::net::SocketAddr) -> std::io::Result<bool> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(server).await?;
    let question =
        b"\x00\x07\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x07example\x04test\x00\x00\x01\x00\x01";
    socket.send(question).await?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer).await?;
    Ok(answer[..length].ends_with(&[10, 0, 0, 7]))
}

#[tokio::test]
async fn life() -> Result<(), Error> {
    let records = [
        "local=/example.test/",
        "host-record=a.example.test,10.0.0.7",
    ];
    let server = Dnsmasq::builder().records(records).start().await?;
    let addr = server.addr();
    life::check(&server, true, || known(addr)).await?;
    server.replace(["local=/example.test/"]).await?;
    assert!(!known(addr).await.unwrap());
    Ok(())
}
