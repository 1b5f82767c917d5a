//! A server on a socket of this machine, for as long as it is held.

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use tokio::{net::TcpListener, task::JoinSet};
use tower::Service;

pub(super) type Answer = Response<Full<Bytes>>;

pub(super) struct Server {
    address: SocketAddr,
    _running: JoinSet<()>,
}

impl Server {
    /// Answers by this service.
    pub(super) async fn of<S>(service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Answer, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut running = JoinSet::new();
        running.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let service = TowerToHyperService::new(service.clone());
                connections.spawn(async move {
                    let served =
                        http1::Builder::new().serve_connection(TokioIo::new(socket), service);
                    // Clients go away as they like.
                    let _ended = served.await;
                });
            }
        });
        Self {
            address,
            _running: running,
        }
    }

    pub(super) fn uri(&self, path: &str) -> Uri {
        format!("http://{}{path}", self.address).parse().unwrap()
    }
}

pub(super) fn answer(status: u16, body: impl Into<Bytes>) -> Answer {
    let body = Full::new(body.into());
    Response::builder().status(status).body(body).unwrap()
}
