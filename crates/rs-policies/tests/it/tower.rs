//! Policies as layers: readiness, requests that can and cannot be made again, other layers around.

mod readiness;

use crate::pipeline::{Broken, MILLI, SECOND};
use rs_core::{ByStatus, Failure, Outcome};
use rs_policies::{
    Backoff, Bulkhead, BulkheadConfig, Jitter, Pipeline, PolicyLayer, Retry, RetryConfig, RetryEnd,
    Surroundings,
};
use std::{
    future::{Future, pending},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    task::{Context, Poll},
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer};

type Answer = Pin<Box<dyn Future<Output = Result<u32, Broken>> + Send>>;

/// Panics when it is called without having been asked whether it is ready, as tower's own limits do.
#[derive(Debug)]
struct Strict {
    ready: bool,
    /// How many calls fail before one succeeds.
    failing: Arc<AtomicU32>,
    calls: Arc<AtomicU32>,
}

impl Strict {
    fn failing(times: u32) -> Self {
        Self {
            ready: false,
            failing: Arc::new(times.into()),
            calls: Arc::default(),
        }
    }
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self {
            ready: false,
            failing: Arc::clone(&self.failing),
            calls: Arc::clone(&self.calls),
        }
    }
}

impl Service<u32> for Strict {
    type Response = u32;
    type Error = Broken;
    type Future = Answer;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        self.ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Answer {
        assert!(
            std::mem::take(&mut self.ready),
            "nobody asked whether it is ready"
        );
        self.calls.fetch_add(1, Relaxed);
        let fails = self
            .failing
            .try_update(Relaxed, Relaxed, |left| left.checked_sub(1))
            .is_ok();
        Box::pin(async move { if fails { Err(Broken) } else { Ok(request) } })
    }
}

fn retry(attempts: u32) -> Retry {
    let waits = Backoff::constant(100 * MILLI).with_jitter(Jitter::None);
    Retry::within(
        &Surroundings::apart(),
        "r",
        RetryConfig::new(attempts, waits),
    )
    .unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_attempt_is_made_with_a_service_that_is_ready() {
    let strict = Strict::failing(2);
    let mut service = PolicyLayer::new("x", retry(3)).layer(strict.clone());
    assert_eq!(service.ready().await.unwrap().call(7).await, Ok(7));
    assert_eq!(strict.calls.load(Relaxed), 3);
    // Whoever has not asked is asked for.
    assert_eq!(service.call(8).await, Ok(8));
}

#[tokio::test(start_paused = true)]
async fn it_stands_inside_and_outside_of_towers_own_limits() {
    let inside = ServiceBuilder::new()
        .layer(PolicyLayer::new("x", retry(3)))
        .layer(ConcurrencyLimitLayer::new(1))
        .service(Strict::failing(2));
    assert_eq!(inside.oneshot(7).await, Ok(7));
    let outside = ServiceBuilder::new()
        .buffer(4)
        .layer(ConcurrencyLimitLayer::new(1))
        .layer(PolicyLayer::new("x", retry(3)))
        .service(Strict::failing(2));
    let calls = (0..4).map(|number| outside.clone().oneshot(number));
    for (number, answer) in calls.enumerate() {
        assert_eq!(answer.await.unwrap(), number as u32);
    }
}

#[tokio::test(start_paused = true)]
async fn many_at_once_under_a_limit_all_end() {
    let service = ServiceBuilder::new()
        .layer(PolicyLayer::new("x", retry(5)))
        .layer(ConcurrencyLimitLayer::new(2))
        .service(Strict::failing(20));
    let calls: Vec<_> = (0..30)
        .map(|number| {
            #[expect(clippy::disallowed_methods, reason = "a test's own task")]
            tokio::spawn(service.clone().oneshot(number))
        })
        .collect();
    for call in calls {
        let _ended = call.await.unwrap();
    }
}

/// Cannot be cloned.
#[derive(Debug, PartialEq)]
struct Body(u32);

#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_be_made_again_is_not_tried_again() {
    let policy = retry(3);
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let service = PolicyLayer::new("x", policy.clone())
        .repeating(|body: &Body| (body.0 < 10).then_some(Body(body.0)))
        .layer(tower::service_fn(move |body: Body| {
            counted.fetch_add(1, Relaxed);
            async move { Err::<(), _>((Broken, body)) }
        }));
    let small = service.clone().oneshot(Body(7)).await.unwrap_err();
    let Failure::Operation { attempts, .. } = small else {
        panic!("{small:?}")
    };
    assert_eq!((attempts, calls.swap(0, Relaxed)), (3, 3));
    let large = service.oneshot(Body(70)).await.unwrap_err();
    let Failure::Operation { attempts, error } = large else {
        panic!("{large:?}")
    };
    assert_eq!((attempts, calls.load(Relaxed)), (1, 1));
    assert_eq!(error, (Broken, Body(70)), "with the service's own error");
    assert_eq!(policy.ended(RetryEnd::Permanent), 1);
}

#[tokio::test(start_paused = true)]
async fn a_response_can_be_a_failure() {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let service = PolicyLayer::new("x", retry(3))
        .classified(ByStatus::read_by(|status: &u16| *status))
        .layer(tower::service_fn(move |(): ()| {
            let call = counted.fetch_add(1, Relaxed);
            async move { Ok::<u16, Broken>(if call < 2 { 503 } else { 200 }) }
        }));
    assert_eq!(service.oneshot(()).await, Ok(200));
    assert_eq!(calls.load(Relaxed), 3);
    let _: Outcome = ByStatus::judge(503);
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_is_a_layer_and_leaves_nothing_when_it_is_dropped() {
    let bulkhead = Bulkhead::within(&Surroundings::apart(), "b", BulkheadConfig::of(1)).unwrap();
    let pipeline = Pipeline::named("p")
        .within(&Surroundings::apart())
        .timeout(SECOND)
        .bulkhead(bulkhead.clone())
        .build()
        .unwrap();
    let hangs = tower::service_fn(async |(): ()| pending::<Result<(), Broken>>().await);
    let service = PolicyLayer::new("x", pipeline).layer(hangs);
    let mut running = Box::pin(service.clone().oneshot(()));
    assert!(futures_poll(running.as_mut()).await.is_pending());
    assert_eq!(bulkhead.in_flight(), 1);
    drop(running);
    assert_eq!(bulkhead.in_flight(), 0);
    assert_eq!(
        service.oneshot(()).await.unwrap_err().to_string(),
        "not done within 1s"
    );
}

async fn futures_poll<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    std::future::poll_fn(|context| Poll::Ready(future.as_mut().poll(context))).await
}
