//! A pipeline around a route.

use std::{future::pending, time::Duration};

use axum::{Router, body::Body, http::Request, response::Response, routing::get};
use http::{StatusCode, header::RETRY_AFTER};
use rs_patterns::{
    breaker::{Breaker, BreakerConfig},
    core::{ByStatus, Guard, Rate},
    policies::{
        Bulkhead, BulkheadConfig, Pipeline, PolicyLayer, RateLimit, RateLimitConfig, Surroundings,
        Unserved,
    },
};
use tower::ServiceExt;

use super::SECOND;

async fn ask(router: &Router, path: &str) -> Response {
    let request = Request::get(path).body(Body::empty()).unwrap();
    router.clone().oneshot(request).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_rejection_is_503_with_retry_after() {
    let slowly = RateLimitConfig::gcra("1/2s".parse::<Rate>().unwrap());
    let slowly = RateLimit::within(&Surroundings::apart(), "charge", slowly).unwrap();
    let router = Router::new()
        .route("/charge", get(async || "charged"))
        .layer(
            PolicyLayer::new("charge", slowly)
                .once()
                .answering(Response::from),
        );

    assert_eq!(ask(&router, "/charge").await.status(), StatusCode::OK);
    let refused = ask(&router, "/charge").await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()[RETRY_AFTER], "2");
    let Some(Unserved::Rejected(why)) = refused.extensions().get() else {
        panic!("whoever logs would like to know")
    };
    assert_eq!(why.reason().policy(), "rate_limit");
    let body = axum::body::to_bytes(refused.into_body(), 100)
        .await
        .unwrap();
    assert!(body.is_empty(), "the caller need not know what is inside");
}

#[tokio::test(start_paused = true)]
async fn a_time_limit_is_504_and_counts_as_a_failure() {
    let around = Surroundings::apart();
    let breaker = Breaker::within(&around, "reports", BreakerConfig::default()).unwrap();
    let bulkhead = Bulkhead::within(&around, "reports", BulkheadConfig::of(1)).unwrap();
    let pipeline = Pipeline::named("reports")
        .within(&around)
        .guard(breaker.clone())
        .bulkhead(bulkhead.clone())
        .attempt_timeout(SECOND)
        .build()
        .unwrap();
    let layer = PolicyLayer::new("reports", pipeline)
        .once()
        .classified(ByStatus::read_by(|response: &Response| {
            response.status().as_u16()
        }))
        .answering(Response::from);
    let router = Router::new()
        .route("/hangs", get(async || pending::<()>().await))
        .route("/fails", get(async || StatusCode::INTERNAL_SERVER_ERROR))
        .route_layer(layer)
        .route("/other", get(async || "not guarded"));

    let (late, crowded, other) = tokio::join!(
        ask(&router, "/hangs"),
        ask(&router, "/fails"),
        ask(&router, "/other")
    );
    assert_eq!(late.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(crowded.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(crowded.extensions().get::<Unserved>().is_some());
    assert!(
        !crowded.headers().contains_key(RETRY_AFTER),
        "nobody knows when"
    );
    assert_eq!(other.status(), StatusCode::OK);

    let failed = ask(&router, "/fails").await;
    assert_eq!(failed.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(
        failed.extensions().get::<Unserved>().is_none(),
        "the handler's own"
    );
    assert_eq!(breaker.snapshot().failures, 2);
    assert_eq!(bulkhead.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_goes_away_gives_its_place_back() {
    let bulkhead = Bulkhead::within(&Surroundings::apart(), "b", BulkheadConfig::of(1)).unwrap();
    let router = Router::new()
        .route("/hangs", get(async || pending::<()>().await))
        .layer(
            PolicyLayer::new("x", bulkhead.clone())
                .once()
                .answering(Response::from),
        );
    #[expect(clippy::disallowed_methods, reason = "the client's patience")]
    let gone = tokio::time::timeout(Duration::from_millis(10), ask(&router, "/hangs")).await;
    assert!(gone.is_err());
    assert_eq!(bulkhead.in_flight(), 0);
    assert!(bulkhead.try_admit(&"next".into()).is_ok());
}

/// What is around a handler can be what answers, in its own words.
#[tokio::test(start_paused = true)]
async fn an_answer_of_ones_own() {
    let bulkhead = Bulkhead::within(&Surroundings::apart(), "b", BulkheadConfig::of(1)).unwrap();
    let layer = PolicyLayer::new("x", bulkhead.clone())
        .once()
        .answering(|why: Unserved| {
            use axum::response::IntoResponse;
            (why.status(), format!("try later: {why}")).into_response()
        });
    let router = Router::new().route("/", get(async || "here")).layer(layer);
    let _taken = bulkhead.try_admit(&"other".into()).unwrap();
    let refused = ask(&router, "/").await;
    let body = axum::body::to_bytes(refused.into_body(), 1000)
        .await
        .unwrap();
    assert_eq!(
        std::str::from_utf8(&body).unwrap(),
        "try later: bulkhead `b` refused the call: full (calls in flight 1, limit 1)"
    );
}
