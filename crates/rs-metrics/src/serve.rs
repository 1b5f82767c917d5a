//! Serves `/metrics`, on a runtime of its own, so that a scrape is answered when the service is not.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::Future,
    net::{SocketAddr, TcpListener},
    time::{Duration, Instant},
};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rs_core::Clock;
use tokio::{
    net::TcpStream,
    runtime::Builder,
    task::{AbortHandle, JoinSet, spawn_blocking},
};

use crate::{
    background::Background,
    install::{InstallError, Page},
};

pub(crate) struct Server {
    listener: TcpListener,
    address: SocketAddr,
    runtime: Background,
}

static CLOCK: Clock = Clock::tokio();

/// So many pages are rendered at once. An observer that is slow to say its number keeps one of these
/// threads, not the one that accepts.
const RENDERERS: usize = 4;

/// More connections than this at once have to take turns.
const CONNECTIONS: usize = 64;

/// Where there are more, whoever has had this much time makes room: clients that send or read slowly,
/// or not at all, keep nobody out.
const TURN: Duration = Duration::from_millis(100);

/// No scrape takes longer.
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
                .max_blocking_threads(RENDERERS)
                .thread_name("rs-metrics-page")
                .enable_all()
                .build()
                .map(Background::new)
                .map_err(refused)?,
            listener,
        })
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves for ever.
    pub(crate) fn run(self, page: Page) {
        let Self {
            listener, runtime, ..
        } = self;
        if let Some(runtime) = runtime.runtime() {
            runtime.block_on(accept(listener, page));
        }
    }
}

async fn accept(listener: TcpListener, page: Page) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
        return;
    };
    let mut connections = Connections::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => connections.add(stream, page.clone()).await,
            // An error of that one connection, or none are to be had until some are closed.
            Err(_) => CLOCK.sleep(TURN).await,
        }
    }
}

#[derive(Default)]
struct Connections {
    tasks: JoinSet<()>,
    /// The oldest first.
    since: VecDeque<(Instant, AbortHandle)>,
}

impl Connections {
    async fn add(&mut self, stream: TcpStream, page: Page) {
        self.make_room().await;
        let task = self.tasks.spawn(async move {
            tokio::select! {
                () = serve(stream, page) => {}
                () = CLOCK.sleep(PATIENCE) => {}
            }
        });
        self.since.push_back((CLOCK.now(), task));
    }

    async fn make_room(&mut self) {
        loop {
            while self.tasks.try_join_next().is_some() {}
            self.since.retain(|(_, task)| !task.is_finished());
            let Some((since, oldest)) = self.since.front() else {
                return;
            };
            if self.since.len() < CONNECTIONS {
                return;
            }
            tokio::select! {
                biased;
                _ = self.tasks.join_next() => {}
                () = CLOCK.sleep_until(*since + TURN) => {
                    oldest.abort();
                    self.since.pop_front();
                }
            }
        }
    }
}

fn serve(stream: TcpStream, page: Page) -> impl Future<Output = ()> + Send {
    let service = service_fn(move |request: Request<Incoming>| {
        let page = page.clone();
        let answered = spawn_blocking(move || answer(&request, &page));
        async move {
            let response = answered.await.unwrap_or_else(|_| {
                let mut response = Response::new(Full::from("the page could not be rendered\n"));
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            });
            Ok::<_, Infallible>(response)
        }
    });
    async move {
        // What goes wrong on a connection is the scraper's to see.
        let _ = http1::Builder::new()
            .keep_alive(false)
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
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
    );
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}
