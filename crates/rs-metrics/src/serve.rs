//! Serves `/metrics`, on a runtime of its own, so that a scrape is answered when the service is not.

use std::{
    convert::Infallible,
    future::Future,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::CONTENT_TYPE,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    runtime::{Builder, Runtime},
    sync::Semaphore,
    task::JoinSet,
};

use crate::install::{InstallError, Page};

pub(crate) struct Server {
    listener: TcpListener,
    address: SocketAddr,
    runtime: Runtime,
}

/// More scrapers than this at once wait.
const CONNECTIONS: usize = 16;

/// Whoever has not sent a request by then is dropped.
const PATIENCE: Duration = Duration::from_secs(10);

impl Server {
    pub(crate) fn bind(address: &str) -> Result<Self, InstallError> {
        let refused = |error| InstallError::Address {
            address: address.to_owned(),
            error,
        };
        let listener = TcpListener::bind(address).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        Ok(Self {
            address: listener.local_addr().map_err(refused)?,
            runtime: Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(refused)?,
            listener,
        })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves for ever, and does the upkeep in between.
    pub(crate) fn run(self, page: &Page, every: Duration, upkeep: impl Fn()) {
        let Self {
            listener, runtime, ..
        } = self;
        runtime.block_on(async {
            let mut timer = tokio::time::interval(every);
            let accept = accept(listener, page.clone());
            tokio::pin!(accept);
            loop {
                tokio::select! {
                    () = &mut accept => return,
                    _ = timer.tick() => upkeep(),
                }
            }
        });
    }
}

async fn accept(listener: TcpListener, page: Page) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        // An error of accept is that of one connection, or passes when some are closed.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let page = page.clone();
        connections.spawn(async move {
            serve(stream, page).await;
            drop(place);
        });
    }
}

fn serve(stream: TcpStream, page: Page) -> impl Future<Output = ()> + Send {
    let service = service_fn(move |request: Request<Incoming>| {
        let response = answer(&request, &page);
        async move { Ok::<_, Infallible>(response) }
    });
    async move {
        // What goes wrong on a connection is the scraper's to see.
        let _ = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }
}

fn answer(request: &Request<Incoming>, page: &Page) -> Response<Full<Bytes>> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let (status, text) = match request.uri().path() {
        "/metrics" if is_read => (StatusCode::OK, page.render()),
        "/metrics" => (StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned()),
        _ => (
            StatusCode::NOT_FOUND,
            "metrics are at /metrics\n".to_owned(),
        ),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(
        CONTENT_TYPE,
        hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
    );
    response
}
