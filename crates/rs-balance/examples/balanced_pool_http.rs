//! HTTP/1 connections to two servers, kept and balanced: `cargo run --example balanced_pool_http --features
//! pool`.

use std::{collections::BTreeMap, convert::Infallible, error::Error, net::SocketAddr};

use http_body_util::{BodyExt, Empty, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1::{self, SendRequest},
    header::HOST,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rs_balance::{
    Endpoint,
    pool::{BalancedPool, Connect, PoolConfig},
};
use rs_core::Outcome;
use tokio::net::{TcpListener, TcpStream};

type Failed = Box<dyn Error + Send + Sync>;

/// How HTTP/1 connections are made.
struct Http;

impl Connect for Http {
    type Target = SocketAddr;
    type Connection = SendRequest<Empty<Bytes>>;
    type Error = Failed;

    async fn connect(&self, address: &SocketAddr) -> Result<Self::Connection, Failed> {
        let stream = TcpStream::connect(address).await?;
        let (requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
        spawn(async {
            // What goes wrong here the next request hears.
            let _ = connection.await;
        });
        Ok(requests)
    }

    async fn check(&self, connection: &mut Self::Connection) -> Result<(), Failed> {
        Ok(connection.ready().await?)
    }

    /// A server that has said `connection: close` has closed it; an answer that says 500 is whole, and the
    /// connection as good as before.
    fn may_stay(&self, connection: &mut Self::Connection, _outcome: Outcome) -> bool {
        !connection.is_closed()
    }
}

#[tokio::main]
async fn main() -> Result<(), Failed> {
    let servers = [serve("one").await?, serve("two").await?];
    let shop = BalancedPool::new("shop", Http, PoolConfig::of(4))?;
    shop.update(servers.map(|address| Endpoint::new(address.to_string(), address)));

    let (mut answers, mut reused) = (BTreeMap::<String, u32>::new(), 0);
    for _ in 0..100 {
        let mut connection = shop.get("page").await?;
        reused += u32::from(connection.is_reused());
        // The server may just have closed one that has not lain long enough to be checked.
        connection.ready().await?;
        let request = Request::get("/")
            .header(HOST, connection.id())
            .body(Empty::new())?;
        let response = connection.send_request(request).await?;
        let page = response.into_body().collect().await?.to_bytes();
        *answers
            .entry(String::from_utf8_lossy(&page).into_owned())
            .or_default() += 1;
        // Only now: the body is part of the call.
        connection.finish(Outcome::Success);
    }
    println!("{answers:?}, {reused} of 100 over a connection that was there");
    println!("{:?}", shop.snapshot());
    Ok(())
}

/// A server that says its name.
async fn serve(name: &'static str) -> Result<SocketAddr, Failed> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let says = service_fn(move |_: Request<Incoming>| async move {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(
                    name.as_bytes(),
                ))))
            });
            spawn(async move {
                let server = hyper::server::conn::http1::Builder::new();
                let _ = server.serve_connection(TokioIo::new(stream), says).await;
            });
        }
    });
    Ok(address)
}

#[expect(
    clippy::disallowed_methods,
    reason = "an example runs its servers beside itself"
)]
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}
