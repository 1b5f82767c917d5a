//! Who is ready, what that reserves, and who gets it back.

use super::{Strict, futures_poll, retry};
use crate::pipeline::{Broken, MILLI, SECOND};
use rs_core::{Failure, Name, Reason, Rejection, Share, TimeScope, TimedOut};
use rs_policies::{
    Backoff, Budget, BudgetConfig, Bulkhead, BulkheadConfig, Hedge, HedgeConfig, Jitter, Pipeline,
    PolicyLayer, Retry, RetryConfig, Surroundings, Timeout,
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
use tokio::sync::Semaphore;
use tower::{
    Layer, Service, ServiceBuilder, ServiceExt, balance::p2c::Balance, discover::ServiceList,
    limit::GlobalConcurrencyLimitLayer, load::Constant,
};
use tower_test::mock;

type Ended = Pin<Box<dyn Future<Output = Result<u32, Broken>> + Send>>;

/// A service that never ends, behind so many places, which can be counted.
fn hanging(
    places: &Arc<Semaphore>,
) -> impl Service<u32, Response = u32, Error = Broken, Future: Send> + Clone + Send + use<> {
    ServiceBuilder::new()
        .layer(GlobalConcurrencyLimitLayer::with_semaphore(Arc::clone(
            places,
        )))
        .service(tower::service_fn(|_: u32| -> Ended { Box::pin(pending()) }))
}

fn timeout(scope: TimeScope) -> Timeout {
    Timeout::within(&Surroundings::apart(), "t", scope, SECOND).unwrap()
}

#[tokio::test(start_paused = true)]
async fn to_be_ready_reserves_nothing() {
    let places = Arc::new(Semaphore::new(1));
    let mut service = PolicyLayer::new("x", retry(3)).layer(hanging(&places));
    service.ready().await.unwrap();
    assert_eq!(places.available_permits(), 1);
    let mut running = Box::pin(service.call(1));
    assert!(futures_poll(running.as_mut()).await.is_pending());
    assert_eq!(places.available_permits(), 0, "it runs");
    service.ready().await.unwrap();
    drop(running);
    assert_eq!(places.available_permits(), 1);
}

#[tokio::test(start_paused = true)]
async fn with_backpressure_what_was_reserved_is_used_or_given_back() {
    let places = Arc::new(Semaphore::new(1));
    let layer = PolicyLayer::new("x", retry(3)).with_backpressure();
    let mut service = layer.layer(hanging(&places));
    service.ready().await.unwrap();
    service.ready().await.unwrap();
    assert_eq!(places.available_permits(), 0, "reserved, once");

    let mut clone = service.clone();
    let mut waiting = Box::pin(clone.ready());
    assert!(
        futures_poll(waiting.as_mut()).await.is_pending(),
        "a clone has no share in it"
    );
    drop(waiting);
    // It is in the queue for a place as long as it lives.
    drop(clone);

    let mut running = Box::pin(service.call(1));
    assert!(futures_poll(running.as_mut()).await.is_pending());
    assert_eq!(places.available_permits(), 0, "the same place");
    let mut next = Box::pin(service.ready());
    assert!(futures_poll(next.as_mut()).await.is_pending());
    drop(running);
    assert!(futures_poll(next.as_mut()).await.is_ready());
    drop(next);
    assert_eq!(places.available_permits(), 0, "reserved for the next call");
    drop(service);
    assert_eq!(places.available_permits(), 1, "which never came");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_not_ready_is_waited_for_within_the_limits() {
    let places = Arc::new(Semaphore::new(0));
    for scope in [TimeScope::Total, TimeScope::Attempt] {
        let limit = timeout(scope);
        let service = PolicyLayer::new("x", limit.clone()).layer(hanging(&places));
        let ended = service.oneshot(1).await.unwrap_err();
        assert_eq!(ended, Failure::TimedOut(TimedOut::new(scope, SECOND)));
        assert_eq!(limit.timed_out(), 1);
    }
    places.add_permits(1);
    let quick = tower::service_fn(|number: u32| async move { Ok::<_, Broken>(number) });
    let quick = GlobalConcurrencyLimitLayer::with_semaphore(Arc::clone(&places)).layer(quick);
    let service = PolicyLayer::new("x", timeout(TimeScope::Total)).layer(quick);
    assert_eq!(
        service.oneshot(7).await,
        Ok(7),
        "those that gave up wait no more"
    );
    assert_eq!(places.available_permits(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_can_be_sent_once_is_kept_while_the_service_is_not_ready() {
    let (mock, mut handle) = mock::pair::<Arc<u32>, &str>();
    handle.allow(0);
    let limit = timeout(TimeScope::Attempt);
    let pipeline = Pipeline::named("p")
        .within(&Surroundings::apart())
        .retry(RetryConfig::new(
            3,
            Backoff::constant(100 * MILLI).with_jitter(Jitter::None),
        ))
        .attempt_timeout(limit)
        .safe_to_repeat()
        .build()
        .unwrap();
    let service = PolicyLayer::new("x", pipeline).once().layer(mock);
    let mut call = Box::pin(service.oneshot(Arc::new(7)));
    let soon = tokio::time::Duration::from_millis(1500);
    #[expect(
        clippy::disallowed_methods,
        reason = "the test's own limit, on paused time"
    )]
    let early = tokio::time::timeout(soon, call.as_mut()).await;
    assert!(early.is_err(), "the second attempt waits");
    handle.allow(1);
    let (answered, ()) = tokio::join!(call, async {
        let (request, reply) = handle.next_request().await.unwrap();
        assert_eq!(*request, 7);
        reply.send_response("late");
    });
    assert_eq!(answered.unwrap(), "late");
}

static SHUT: Reason = Reason::new("test", "shut");

/// Refuses everything.
struct Shut;

impl rs_core::Guard for Shut {
    type Ticket = ();

    fn try_enter(&self, _: &rs_core::Call) -> Result<(), Rejection> {
        Err(SHUT.reject(Name::of("shut")))
    }

    fn leave(&self, (): (), _: rs_core::Ending) {}
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_refuses_does_not_wait_for_the_service_and_holds_nothing() {
    let places = Arc::new(Semaphore::new(0));
    let service = PolicyLayer::new("x", Shut).layer(hanging(&places));
    let mut refused = Box::pin(service.oneshot(1));
    let Poll::Ready(Err(why)) = futures_poll(refused.as_mut()).await else {
        panic!("it waits")
    };
    assert!(why.is_rejected());

    places.add_permits(1);
    let mut service = PolicyLayer::new("x", Shut)
        .with_backpressure()
        .layer(hanging(&places));
    let refused = service.ready().await.unwrap().call(1);
    assert_eq!(places.available_permits(), 0, "reserved");
    assert!(refused.await.unwrap_err().is_rejected());
    assert_eq!(places.available_permits(), 1, "and given back, unused");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_held_while_a_retry_or_a_queue_waits() {
    let places = Arc::new(Semaphore::new(1));
    let limited = GlobalConcurrencyLimitLayer::with_semaphore(Arc::clone(&places));
    let service = PolicyLayer::new("x", retry(2)).layer(limited.layer(Strict::failing(1)));
    let mut call = Box::pin(service.oneshot(7));
    assert!(futures_poll(call.as_mut()).await.is_pending());
    assert_eq!(places.available_permits(), 1, "between two attempts");
    assert_eq!(call.await, Ok(7));

    let config = BulkheadConfig::of(1).with_queue(4, SECOND);
    let bulkhead = Bulkhead::within(&Surroundings::apart(), "b", config).unwrap();
    let service = PolicyLayer::new("x", bulkhead.clone()).layer(hanging(&places));
    let mut first = Box::pin(service.clone().oneshot(1));
    let mut second = Box::pin(service.oneshot(2));
    places.add_permits(1);
    assert!(futures_poll(first.as_mut()).await.is_pending());
    assert!(futures_poll(second.as_mut()).await.is_pending());
    assert_eq!((bulkhead.in_flight(), places.available_permits()), (1, 1));
    drop((first, second));
    assert_eq!((bulkhead.in_flight(), places.available_permits()), (0, 2));
}

/// At each of these points the call is dropped, and everything is where it was.
#[tokio::test(start_paused = true)]
async fn dropped_anywhere_it_gives_everything_back() {
    for has_backpressure in [false, true] {
        for polls in 0..6 {
            let places = Arc::new(Semaphore::new(1));
            let around = Surroundings::apart();
            let bulkhead = Bulkhead::within(&around, "b", BulkheadConfig::of(1)).unwrap();
            let pipeline = Pipeline::named("p")
                .within(&around)
                .timeout(10 * SECOND)
                .retry(RetryConfig::new(3, Backoff::constant(100 * MILLI)))
                .bulkhead(bulkhead.clone())
                .attempt_timeout(SECOND)
                .safe_to_repeat()
                .build()
                .unwrap();
            let layer = PolicyLayer::new("x", pipeline);
            let layer = if has_backpressure {
                layer.with_backpressure()
            } else {
                layer
            };
            let mut service = layer.layer(hanging(&places));
            let mut call = Box::pin(service.ready().await.unwrap().call(1));
            for _ in 0..polls {
                // A limit is over, or a wait.
                assert!(futures_poll(call.as_mut()).await.is_pending());
                tokio::time::advance(600 * MILLI).await;
            }
            drop(call);
            assert_eq!(
                (places.available_permits(), bulkhead.in_flight()),
                (1, 0),
                "{polls}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_fails_to_become_ready_has_failed_an_attempt() {
    let (mock, mut handle) = mock::pair::<u32, &str>();
    let service = PolicyLayer::new("x", retry(2)).layer(mock);
    handle.send_error(Broken);
    let (answered, ()) = tokio::join!(service.clone().oneshot(7), async {
        let (request, reply) = handle.next_request().await.unwrap();
        assert_eq!(request, 7, "the second attempt");
        reply.send_response("done");
    });
    assert_eq!(answered.unwrap(), "done");

    handle.send_error(Broken);
    let layer = PolicyLayer::new("x", retry(2)).with_backpressure();
    let mut service = layer.layer(service.into_inner());
    let error = service.ready().await.map(drop).unwrap_err();
    assert_eq!(error.to_string(), Broken.to_string());
}

/// One call is allowed at a time: whoever calls without having been told so panics.
#[tokio::test(start_paused = true)]
async fn calls_are_made_as_they_are_allowed() {
    for has_backpressure in [false, true] {
        let (mock, mut handle) = mock::pair::<u32, u32>();
        handle.allow(0);
        let config = RetryConfig::new(3, Backoff::constant(MILLI));
        let around = Surroundings::apart();
        let rich = BudgetConfig::of(Share::ALL).at_least("1000/s".parse().unwrap());
        let rich = Budget::within(&around, "b", rich).unwrap();
        let stubborn = Retry::with_budget(&around, "r", config, rich).unwrap();
        let layer = PolicyLayer::new("x", stubborn);
        let layer = if has_backpressure {
            layer.with_backpressure()
        } else {
            layer
        };
        let service = layer.layer(mock);
        let calls = (0..20).map(|number| {
            #[expect(clippy::disallowed_methods, reason = "a test's own task")]
            tokio::spawn(service.clone().oneshot(number))
        });
        let calls: Vec<_> = calls.collect();
        let mut failed = [0; 20];
        let mut left = 20;
        while left > 0 {
            handle.allow(1);
            let (number, reply) = handle.next_request().await.unwrap();
            let times = &mut failed[number as usize];
            if *times < number % 3 {
                *times += 1;
                reply.send_error(Broken);
            } else {
                left -= 1;
                reply.send_response(number);
            }
        }
        for (number, call) in calls.into_iter().enumerate() {
            assert_eq!(call.await.unwrap().unwrap(), number as u32);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hedge_waits_for_a_service_of_its_own() {
    let (mock, mut handle) = mock::pair::<u32, u32>();
    handle.allow(1);
    let hedge = Hedge::within(&Surroundings::apart(), "h", HedgeConfig::after(100 * MILLI));
    let hedge = hedge.unwrap();
    let layer =
        PolicyLayer::new("x", hedge).reading(|call: rs_core::Call, _: &u32| call.safe_to_repeat());
    let (answered, ()) = tokio::join!(layer.layer(mock.clone()).oneshot(7), async {
        let (_, first) = handle.next_request().await.unwrap();
        handle.allow(1);
        let (_, second) = handle.next_request().await.unwrap();
        second.send_response(2);
        drop(first);
    });
    assert_eq!(answered.unwrap(), 2);

    // What can be sent once is not hedged.
    handle.allow(2);
    let (answered, ()) = tokio::join!(layer.once().layer(mock).oneshot(7), async {
        let (_, first) = handle.next_request().await.unwrap();
        rs_core::Clock::tokio().sleep(SECOND).await;
        assert!(handle.poll_request().is_pending());
        first.send_response(1);
    });
    assert_eq!(answered.unwrap(), 1);
}

/// A service that is ready when it is told to be.
#[derive(Clone)]
struct Endpoint {
    is_up: bool,
    calls: Arc<AtomicU32>,
}

impl Service<u32> for Endpoint {
    type Response = u32;
    type Error = Broken;
    type Future = Ended;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if self.is_up {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    fn call(&mut self, request: u32) -> Ended {
        self.calls.fetch_add(1, Relaxed);
        Box::pin(async move { Ok(request) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_balancer_outside_sees_who_is_ready() {
    let [up, down] = [true, false].map(|is_up| Endpoint {
        is_up,
        calls: Arc::default(),
    });
    let layer = PolicyLayer::new("x", timeout(TimeScope::Attempt)).with_backpressure();
    let endpoints = [up.clone(), down.clone()].map(|it| Constant::new(layer.layer(it), 1));
    let mut balanced = Balance::new(ServiceList::new::<u32>(endpoints));
    for number in 0..50 {
        assert_eq!(
            balanced.ready().await.unwrap().call(number).await.unwrap(),
            number
        );
    }
    assert_eq!((up.calls.load(Relaxed), down.calls.load(Relaxed)), (50, 0));
}

#[tokio::test(start_paused = true)]
async fn it_stands_around_a_buffered_balancer() {
    let strict = [Strict::failing(6), Strict::failing(6)];
    let endpoints = strict.clone().map(|it| Constant::new(it, 1));
    let balanced = Balance::new(ServiceList::new::<u32>(endpoints));
    let service = ServiceBuilder::new()
        .layer(PolicyLayer::new("x", retry(14)))
        .layer(tower::buffer::BufferLayer::new(2))
        .service(balanced);
    let calls = (0..30).map(|number| {
        #[expect(clippy::disallowed_methods, reason = "a test's own task")]
        tokio::spawn(service.clone().oneshot(number))
    });
    for (number, call) in calls.collect::<Vec<_>>().into_iter().enumerate() {
        assert_eq!(call.await.unwrap().unwrap(), number as u32);
    }
    let calls: u32 = strict.iter().map(|it| it.calls.load(Relaxed)).sum();
    assert_eq!(calls, 30 + 12);
}

#[tokio::test(start_paused = true)]
async fn a_load_shedder_outside_sheds_with_backpressure_only() {
    let places = Arc::new(Semaphore::new(0));
    let layer = PolicyLayer::new("x", timeout(TimeScope::Total));
    let shed =
        tower::load_shed::LoadShed::new(layer.clone().with_backpressure().layer(hanging(&places)));
    assert!(
        shed.oneshot(1)
            .await
            .unwrap_err()
            .is::<tower::load_shed::error::Overloaded>()
    );
    let waits = tower::load_shed::LoadShed::new(layer.layer(hanging(&places)));
    assert!(waits.oneshot(1).await.unwrap_err().is::<Failure<Broken>>());
}
