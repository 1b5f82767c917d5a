//! gRPC: a unary method, a server under one policy and a client under another.

use std::{
    convert::Infallible,
    future::{Future, pending},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use rs_patterns::{
    core::{Call, Fault, Outcome, Policy},
    policies::{
        Bulkhead, BulkheadConfig, DeadlineHeader, Pipeline, PolicyLayer, Retry, Surroundings,
        Timeout, Unserved,
    },
};
use tokio::{net::TcpListener, task::JoinSet};
use tonic::{
    Code, Request, Response, Status,
    body::Body,
    client::GrpcService,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    server::NamedService,
    transport::{Channel, Server, server::TcpIncoming},
};
use tower::{Layer, Service};

use super::{MILLI, SECOND, at_once, until};

/// Messages as they are.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(message);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Answered<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// Says back what it hears; hangs if it is told to.
#[derive(Debug, Clone)]
struct Echo;

impl NamedService for Echo {
    const NAME: &'static str = "test.Echo";
}

/// Its one method.
impl Service<Request<Bytes>> for Echo {
    type Response = Response<Bytes>;
    type Error = Status;
    type Future = Answered<Response<Bytes>, Status>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        Box::pin(async move {
            match request.get_ref().as_ref() {
                b"hang" => pending().await,
                b"broken" => Err(Status::internal("out of order")),
                _ => Ok(Response::new(request.into_inner())),
            }
        })
    }
}

/// What tonic's generated servers are.
impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answered<http::Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = self.clone();
        Box::pin(async move { Ok(tonic::server::Grpc::new(Raw).unary(method, request).await) })
    }
}

/// How gRPC says what a policy did. It travels in the headers of a response like any other.
fn in_grpc(why: Unserved) -> http::Response<Body> {
    match why {
        Unserved::Rejected(_) => Status::unavailable(why.to_string()),
        Unserved::TimedOut(_) => Status::deadline_exceeded(why.to_string()),
    }
    .into_http()
}

/// The deadline that gRPC sends.
fn with_deadline<B>(call: Call, request: &http::Request<B>) -> Call {
    let header = DeadlineHeader::Grpc;
    let left = request
        .headers()
        .get(header.name())
        .and_then(|left| left.to_str().ok());
    match left.and_then(|left| header.decode(left)) {
        Some(left) => call.limited_to(left),
        None => call,
    }
}

/// A server whose calls are under this policy.
async fn serve<P>(policy: P) -> (SocketAddr, JoinSet<()>)
where
    P: Policy<http::Response<Body>, Infallible> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let layer = PolicyLayer::new("serve", policy)
        .once()
        .reading(with_deadline)
        .answering(in_grpc);
    let server = Server::builder().layer(layer).add_service(Echo);
    let mut running = JoinSet::new();
    running.spawn(async move {
        server
            .serve_with_incoming(TcpIncoming::from(listener))
            .await
            .unwrap();
    });
    (address, running)
}

async fn channel(address: SocketAddr) -> Channel {
    let endpoint = Channel::from_shared(format!("http://{address}")).unwrap();
    endpoint.connect().await.unwrap()
}

/// What tonic's generated clients do.
async fn echo<S>(
    service: S,
    message: &'static str,
    limit: Option<Duration>,
) -> Result<Bytes, Status>
where
    S: GrpcService<Body>,
    S::ResponseBody: hyper::body::Body<Data = Bytes> + Send + 'static,
    <S::ResponseBody as hyper::body::Body>::Error: Into<BoxError>,
{
    let mut client = tonic::client::Grpc::new(service);
    client
        .ready()
        .await
        .map_err(|error| Status::unavailable(error.into().to_string()))?;
    let mut request = Request::new(Bytes::from(message));
    if let Some(limit) = limit {
        request.set_timeout(limit);
    }
    let path = PathAndQuery::from_static("/test.Echo/Say");
    Ok(client.unary(request, path, Raw).await?.into_inner())
}

#[tokio::test]
async fn a_server_refuses_and_times_out_in_words_that_grpc_has() {
    let around = Surroundings::apart();
    let bulkhead = Bulkhead::within(&around, "served", BulkheadConfig::of(1)).unwrap();
    let pipeline = Pipeline::named("serve")
        .within(&around)
        .timeout(30 * SECOND)
        .bulkhead(bulkhead.clone())
        .build()
        .unwrap();
    let (address, _running) = serve(pipeline).await;
    let channel = channel(address).await;
    assert_eq!(echo(channel.clone(), "hello", None).await.unwrap(), "hello");

    // What the caller said is sooner than the limit here.
    let late = echo(channel.clone(), "hang", Some(100 * MILLI));
    let mut late = Box::pin(late);
    tokio::select! {
        biased;
        () = until(|| bulkhead.in_flight() == 1) => {}
        ended = &mut late => panic!("{ended:?}"),
    }
    let (late, crowded) = tokio::join!(late, echo(channel.clone(), "hello", None));
    let crowded = crowded.unwrap_err();
    assert_eq!(crowded.code(), Code::Unavailable);
    assert!(crowded.message().contains("bulkhead `served`"), "{crowded}");
    // Whichever side notices first.
    assert!([Code::DeadlineExceeded, Code::Cancelled].contains(&late.unwrap_err().code()));
    until(|| bulkhead.in_flight() == 0).await;
    assert_eq!(echo(channel, "again", None).await.unwrap(), "again");
}

#[tokio::test]
async fn a_channel_is_under_a_policy_and_typed_calls_under_another() {
    let around = Surroundings::apart();
    let (address, _running) = serve(()).await;
    let limit = Timeout::within(
        &around,
        "echo",
        rs_patterns::core::TimeScope::Attempt,
        100 * MILLI,
    );
    let limited = PolicyLayer::new("echo", limit.unwrap())
        .once()
        .answering(in_grpc)
        .layer(channel(address).await);
    assert_eq!(echo(limited.clone(), "hello", None).await.unwrap(), "hello");
    let late = echo(limited.clone(), "hang", None).await.unwrap_err();
    assert_eq!(late.code(), Code::DeadlineExceeded);
    assert_eq!(late.message(), "the attempt was not done within 100ms");
    let broken = echo(limited.clone(), "broken", None).await.unwrap_err();
    assert_eq!(
        (broken.code(), broken.message()),
        (Code::Internal, "out of order")
    );

    // The body of a gRPC request is a stream: what is tried again is the typed call.
    let retry = Retry::within(&around, "echo", at_once()).unwrap();
    let tried = rs_patterns::core::operation(|call: Call| {
        let message = if call.attempt() < 3 {
            "hang"
        } else {
            "third time"
        };
        echo(limited.clone(), message, None)
    })
    .classified(|result: Result<&Bytes, &Status>| match result {
        Ok(_) => Outcome::Success,
        Err(status) if status.code() == Code::DeadlineExceeded => Fault::timed_out().into(),
        Err(_) => Outcome::PERMANENT,
    });
    let call = Call::new("echo").safe_to_repeat();
    assert_eq!(retry.run(&call, &tried).await.unwrap(), "third time");
}

/// Without words of its own a policy's failure is an error of the channel.
#[tokio::test]
async fn failures_reach_tonic_as_errors_too() {
    let (address, _running) = serve(()).await;
    let around = Surroundings::apart();
    let limit = Timeout::within(
        &around,
        "echo",
        rs_patterns::core::TimeScope::Attempt,
        100 * MILLI,
    );
    let limited = PolicyLayer::new("echo", limit.unwrap())
        .once()
        .layer(channel(address).await);
    let late = echo(limited, "hang", None).await.unwrap_err();
    assert!(
        late.message()
            .contains("the attempt was not done within 100ms"),
        "{late:?}"
    );
}
