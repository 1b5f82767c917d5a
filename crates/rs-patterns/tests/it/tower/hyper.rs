//! Hyper's client and server, over a socket.

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use rs_patterns::{
    core::{ByStatus, Call, Clock, Correlation, Failure, TimeScope},
    policies::{
        Bulkhead, BulkheadConfig, DeadlineHeader, Pipeline, PolicyLayer, Surroundings, Timeout,
        Unserved,
    },
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use super::{
    MILLI, SECOND, at_once,
    server::{Answer, Server, answer},
    until,
};

type Asked = Request<Full<Bytes>>;

fn client() -> impl Service<
    Asked,
    Response = Response<Incoming>,
    Error = hyper_util::client::legacy::Error,
    Future: Send,
> + Clone
+ Send
+ use<> {
    Client::builder(TokioExecutor::new()).build_http()
}

fn to(server: &Server, path: &str) -> Asked {
    Request::post(server.uri(path))
        .body(Full::from("order 17"))
        .unwrap()
}

async fn text(response: Response<Incoming>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_client_tries_again_what_the_server_refused() {
    let asked = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&asked);
    let server = Server::of(service_fn(move |request: Request<Incoming>| {
        let time = counted.fetch_add(1, Relaxed);
        async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            Ok::<_, Infallible>(if time < 2 {
                answer(503, "later")
            } else {
                answer(200, body)
            })
        }
    }))
    .await;
    let pipeline = Pipeline::named("orders")
        .within(&Surroundings::apart())
        .timeout(30 * SECOND)
        .retry(at_once())
        .build()
        .unwrap();
    let layer = PolicyLayer::new("order", pipeline).classified(ByStatus::read_by(
        |response: &Response<Incoming>| response.status().as_u16(),
    ));
    let orders = layer.layer(client());
    let response = orders.oneshot(to(&server, "/")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(
        text(response).await,
        "order 17",
        "the body was sent each time"
    );
    assert_eq!(asked.load(Relaxed), 3);
}

#[tokio::test]
async fn the_deadline_and_the_request_id_travel_from_one_pipeline_to_the_next() {
    let header = DeadlineHeader::Grpc;
    let around = Surroundings::apart();
    let inside = service_fn(|request: Request<Incoming>| async move {
        let left = request.headers()["left-inside"]
            .to_str()
            .unwrap()
            .to_owned();
        let id = request.headers()[Correlation::HEADER]
            .to_str()
            .unwrap()
            .to_owned();
        Ok::<_, Infallible>(answer(200, format!("{left} {id}")))
    });
    let limit = Timeout::within(&around, "server", TimeScope::Total, 3600 * SECOND).unwrap();
    let layer = PolicyLayer::new("serve", limit)
        .once()
        .reading(move |call: Call, request: &Request<Incoming>| {
            let text = |name| {
                request
                    .headers()
                    .get(name)
                    .and_then(|value| value.to_str().ok())
            };
            let call = match text(header.name()).and_then(|left| header.decode(left)) {
                Some(left) => call.limited_to(left),
                None => call,
            };
            match text(Correlation::HEADER).and_then(|id| id.parse().ok()) {
                Some(id) => call.with_correlation(id),
                None => call,
            }
        })
        .writing(|call: &Call, request: &mut Request<Incoming>| {
            let left = call.remaining(Clock::default().now()).unwrap();
            request
                .headers_mut()
                .insert("left-inside", left.as_secs().into());
        })
        .answering(|why: Unserved| Answer::from(why));
    let server = Server::of(ServiceBuilder::new().layer(layer).service(inside)).await;

    let id = Correlation::fresh();
    let limit = Timeout::within(&around, "client", TimeScope::Total, 90 * SECOND).unwrap();
    let client = PolicyLayer::new("ask", limit)
        .reading(move |call: Call, _: &Asked| call.with_correlation(id))
        .writing(move |call: &Call, request: &mut Asked| {
            let left = call.remaining(Clock::default().now()).unwrap();
            let headers = request.headers_mut();
            headers.insert(header.name(), header.encode(left).parse().unwrap());
            let id = call.correlation().unwrap().to_string();
            headers.insert(Correlation::HEADER, id.parse().unwrap());
        })
        .layer(client());
    let response = client.oneshot(to(&server, "/")).await.unwrap();
    let said = text(response).await;
    let (left, said_id) = said.split_once(' ').unwrap();
    assert!((1..=90).contains(&left.parse::<u64>().unwrap()), "{said}");
    assert_eq!(said_id, id.to_string());
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up_on_and_ends_what_is_given_up_on() {
    let around = Surroundings::apart();
    let served = Bulkhead::within(&around, "served", BulkheadConfig::of(1)).unwrap();
    let layer = PolicyLayer::new("serve", served.clone())
        .once()
        .answering(|why: Unserved| Answer::from(why));
    let hangs = service_fn(|_: Request<Incoming>| pending::<Result<Answer, Infallible>>());
    let server = Server::of(ServiceBuilder::new().layer(layer).service(hangs)).await;

    let sent = Bulkhead::within(&around, "sent", BulkheadConfig::of(8)).unwrap();
    let pipeline = Pipeline::named("orders")
        .within(&around)
        .bulkhead(sent.clone())
        .attempt_timeout(200 * MILLI)
        .build()
        .unwrap();
    let orders = PolicyLayer::new("order", pipeline).layer(client());
    let mut first = Box::pin(orders.clone().oneshot(to(&server, "/")));
    // The first has the only place at the server, so the second is refused there.
    tokio::select! {
        biased;
        () = until(|| served.in_flight() == 1) => {}
        ended = &mut first => panic!("{ended:?}"),
    }
    let (late, refused) = tokio::join!(first, orders.oneshot(to(&server, "/")));
    assert_eq!(refused.unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    let Err(Failure::TimedOut(what)) = late else {
        panic!("{late:?}")
    };
    assert_eq!(what.scope(), TimeScope::Attempt);
    assert_eq!(sent.in_flight(), 0);
    // The connection is closed, by which the server hears that nobody waits any more.
    until(|| served.in_flight() == 0).await;
}
