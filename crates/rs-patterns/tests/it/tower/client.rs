//! A client as people make them: cloned for each request, with requests whose bodies may be streams.

use std::{
    convert::Infallible,
    error::Error,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::TokioExecutor,
};
use rs_patterns::{
    breaker::{Breaker, BreakerConfig},
    core::{ByStatus, Failure},
    policies::{Pipeline, PolicyLayer, PolicyService, Retry, RetryConfig, Surroundings},
};
use tower::{Layer, Service, ServiceExt, service_fn};

use super::{
    SECOND, at_once,
    server::{Server, answer},
};

struct Order {
    uri: Uri,
    body: Body,
}

enum Body {
    Whole(Bytes),
    /// Is read while it is sent.
    Stream(Box<dyn Iterator<Item = Bytes> + Send>),
}

impl Order {
    fn try_clone(&self) -> Option<Self> {
        match &self.body {
            Body::Whole(body) => Some(Self {
                uri: self.uri.clone(),
                body: Body::Whole(body.clone()),
            }),
            Body::Stream(_) => None,
        }
    }
}

struct Reply {
    status: u16,
    text: Bytes,
}

type BoxError = Box<dyn Error + Send + Sync>;

#[derive(Clone)]
struct Client(Pool<HttpConnector, Full<Bytes>>);

impl Service<Order> for Client {
    type Response = Reply;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Reply, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Service::<Request<Full<Bytes>>>::poll_ready(&mut self.0, context).map_err(Into::into)
    }

    fn call(&mut self, order: Order) -> Self::Future {
        let body = match order.body {
            Body::Whole(body) => body,
            Body::Stream(parts) => parts.flatten().collect(),
        };
        let sent = Request::post(order.uri)
            .body(Full::new(body))
            .map(|it| self.0.request(it));
        Box::pin(async move {
            let response = sent?.await?;
            let status = response.status().as_u16();
            let text = response.into_body().collect().await?.to_bytes();
            Ok(Reply { status, text })
        })
    }
}

type Judge = ByStatus<fn(&Reply) -> u16>;
type Resilient = PolicyService<
    Client,
    Pipeline<Breaker>,
    fn(&Order) -> Option<Order>,
    rs_patterns::core::Contained<Judge>,
>;

/// What a program keeps and shares: `&self`, and a clone for each request.
struct Orders(Resilient);

impl Orders {
    fn new(around: &Surroundings, breaker: &Breaker, retry: Retry) -> Self {
        let pipeline = Pipeline::named("orders")
            .within(around)
            .timeout(30 * SECOND)
            .retry(retry)
            .guard(breaker.clone())
            .build()
            .unwrap();
        let client = Client(Pool::builder(TokioExecutor::new()).build_http());
        let judge: Judge = ByStatus::read_by(|reply| reply.status);
        Self(
            PolicyLayer::new("order", pipeline)
                .repeating(Order::try_clone as fn(&Order) -> Option<Order>)
                .classified(judge)
                .layer(client),
        )
    }

    async fn send(&self, order: Order) -> Result<Reply, Failure<BoxError>> {
        self.0.clone().oneshot(order).await
    }
}

#[tokio::test]
async fn what_can_be_sent_again_is_and_what_streams_is_not() {
    let asked = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&asked);
    let server = Server::of(service_fn(move |request: Request<Incoming>| {
        let time = counted.fetch_add(1, Relaxed);
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            Ok::<_, Infallible>(if time % 3 < 2 {
                answer(503, "later")
            } else {
                answer(200, body)
            })
        }
    }))
    .await;
    let around = Surroundings::apart();
    let breaker = Breaker::within(&around, "orders", BreakerConfig::default()).unwrap();
    let retry = Retry::within(&around, "orders", at_once()).unwrap();
    let orders = Orders::new(&around, &breaker, retry);

    let whole = Body::Whole(Bytes::from("order 17"));
    let reply = orders
        .send(Order {
            uri: server.uri("/"),
            body: whole,
        })
        .await
        .unwrap();
    assert_eq!((reply.status, &reply.text[..]), (200, &b"order 17"[..]));
    assert_eq!(asked.swap(0, Relaxed), 3);

    let parts = ["order", " 18"].map(Bytes::from).into_iter();
    let stream = Body::Stream(Box::new(parts));
    let reply = orders
        .send(Order {
            uri: server.uri("/"),
            body: stream,
        })
        .await
        .unwrap();
    assert_eq!(reply.status, 503, "as it came: it could not be sent again");
    assert_eq!(asked.load(Relaxed), 1);
    assert_eq!(
        breaker.snapshot().failures,
        3,
        "each attempt is seen for what it was"
    );
}

#[tokio::test]
async fn a_server_that_is_away_is_an_error_of_the_clients_own() {
    let server = Server::of(service_fn(|_: Request<Incoming>| async {
        Ok(answer(200, ""))
    }))
    .await;
    let uri = server.uri("/");
    drop(server);
    let around = Surroundings::apart();
    let breaker = Breaker::within(&around, "orders", BreakerConfig::default()).unwrap();
    let retry = Retry::within(&around, "orders", RetryConfig::default().with_attempts(1)).unwrap();
    let orders = Orders::new(&around, &breaker, retry);
    let failed = orders
        .send(Order {
            uri,
            body: Body::Whole(Bytes::new()),
        })
        .await;
    let Err(Failure::Operation { error, attempts: 1 }) = failed else {
        panic!("it answered")
    };
    assert!(error.is::<hyper_util::client::legacy::Error>());
    assert_eq!(breaker.snapshot().failures, 1);
}
