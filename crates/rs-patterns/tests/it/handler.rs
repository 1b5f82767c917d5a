//! An axum handler awaits a stack that lives in its state.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use axum::{Router, body::Body, extract::State, http::Request, http::StatusCode, routing::get};
use http_body_util::BodyExt;
use rs_patterns::core::{Failure, Policy};
use tower::ServiceExt;

use crate::stack::{Five, five};

async fn charge(State(stack): State<Arc<Five>>) -> (StatusCode, String) {
    let order = String::from("order 17");
    let charged = stack.call("charge", async |_call| Ok::<_, String>(order.len()));
    match charged.await {
        Ok(length) => (StatusCode::OK, length.to_string()),
        Err(Failure::Rejected(why)) => (StatusCode::SERVICE_UNAVAILABLE, why.to_string()),
        Err(other) => (StatusCode::BAD_GATEWAY, other.to_string()),
    }
}

async fn ask(router: &Router) -> (StatusCode, String) {
    let request = Request::get("/charge").body(Body::empty()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_handler_awaits_a_stack() {
    let stack = Arc::new(five(1));
    let router = Router::new()
        .route("/charge", get(charge))
        .with_state(Arc::clone(&stack));

    assert_eq!(ask(&router).await, (StatusCode::OK, "8".to_owned()));
    let (status, why) = ask(&router).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        why,
        "quota `bulkhead` refused the call: used_up (calls 1, limit 1)"
    );
    assert_eq!(stack.3.inside.load(Relaxed), 0);
}
