//! The breaker as a tower service, beside the services that people stack it with.

use crate::support::{Bench, SECOND, percent, plain};
use rs_breaker::{Breaker, BreakerLayer, BreakerService, BreakerState, Ramp};
use rs_core::{Classify, Failure, Mandate, Outcome};
use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::{Context, Poll, Waker},
};
use tower::{
    BoxError, Layer, Service, ServiceBuilder, ServiceExt,
    buffer::Buffer,
    limit::{ConcurrencyLimit, ConcurrencyLimitLayer},
    service_fn,
    timeout::TimeoutLayer,
};

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[track_caller]
fn now<F: Future>(future: F) -> F::Output {
    match poll(pin!(future)) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

fn ready<S: Service<R>, R>(service: &mut S) -> Poll<Result<(), S::Error>> {
    service.poll_ready(&mut Context::from_waker(Waker::noop()))
}

fn fail(bench: &Bench) {
    while bench.fail() {}
}

/// A service that is ready when it is told to be, and counts what it is asked.
#[derive(Debug, Clone, Default)]
struct Backend {
    ready: Arc<AtomicBool>,
    broken: Arc<AtomicBool>,
    waited_for: Arc<AtomicU32>,
    called: Arc<AtomicU32>,
}

impl Backend {
    fn is_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::SeqCst);
    }

    fn called(&self) -> u32 {
        self.called.load(Ordering::SeqCst)
    }
}

impl Service<u32> for Backend {
    type Response = u32;
    type Error = &'static str;
    type Future = std::future::Ready<Result<u32, &'static str>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        self.waited_for.fetch_add(1, Ordering::SeqCst);
        if self.broken.load(Ordering::SeqCst) {
            return Poll::Ready(Err("the connection is gone"));
        }
        if self.ready.load(Ordering::SeqCst) {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    fn call(&mut self, request: u32) -> Self::Future {
        self.called.fetch_add(1, Ordering::SeqCst);
        std::future::ready(if request == 0 {
            Err("zero")
        } else {
            Ok(request)
        })
    }
}

struct Shop {
    bench: Bench,
    backend: Backend,
    service: BreakerService<Backend>,
}

impl Shop {
    fn new() -> Self {
        let (bench, backend) = (Bench::with(plain()), Backend::default());
        backend.is_ready(true);
        let service = BreakerLayer::new(&bench.breaker).layer(backend.clone());
        Self {
            bench,
            backend,
            service,
        }
    }

    fn ready(&mut self) -> Poll<Result<(), Failure<&'static str>>> {
        ready(&mut self.service)
    }

    fn call(&mut self, request: u32) -> Result<u32, Failure<&'static str>> {
        now(self.service.call(request))
    }
}

#[test]
fn an_open_breaker_neither_waits_for_nor_asks_a_service_that_is_never_ready() {
    let mut shop = Shop::new();
    fail(&shop.bench);
    shop.backend.is_ready(false);
    for number in 1..=3 {
        assert_eq!(shop.ready(), Poll::Ready(Ok(())));
        let why = *shop.call(1).unwrap_err().rejection().unwrap();
        assert_eq!((why.reason().code(), why.observed()), ("open", Some(1.0)));
        assert_eq!(
            shop.bench.breaker.snapshot().rejected,
            1 + number,
            "each is counted once"
        );
    }
    assert_eq!(shop.backend.called(), 0);
    assert_eq!(shop.bench.breaker.snapshot().cancelled, 0);
}

#[test]
fn to_ask_again_whether_it_is_ready_refuses_nobody_twice() {
    let mut shop = Shop::new();
    fail(&shop.bench);
    shop.backend.is_ready(false);
    for _ in 0..10 {
        assert_eq!(shop.ready(), Poll::Ready(Ok(())));
    }
    assert!(shop.call(1).unwrap_err().is_rejected());
    assert_eq!(shop.bench.breaker.snapshot().rejected, 2);
}

#[test]
fn to_be_asked_whether_it_is_ready_is_no_call() {
    let mut shop = Shop::new();
    shop.backend.is_ready(false);
    for _ in 0..3 {
        assert_eq!(shop.ready(), Poll::Pending);
    }
    shop.backend.is_ready(true);
    assert_eq!(shop.ready(), Poll::Ready(Ok(())));
    fail(&shop.bench);
    shop.backend.is_ready(false);
    shop.bench.wait(10 * SECOND);
    for _ in 0..3 {
        assert_eq!(
            shop.ready(),
            Poll::Pending,
            "a probe would go through, so it waits"
        );
    }
    let seen = shop.bench.breaker.snapshot();
    assert_eq!((seen.state, seen.cancelled), (BreakerState::HalfOpen, 0));
    assert_eq!(
        (seen.total_requests, seen.rejected),
        (5, 1),
        "those of the bench alone"
    );
}

#[test]
fn a_service_that_becomes_ready_is_asked() {
    let mut shop = Shop::new();
    shop.backend.is_ready(false);
    assert_eq!(shop.ready(), Poll::Pending);
    shop.backend.is_ready(true);
    assert_eq!(shop.ready(), Poll::Ready(Ok(())));
    assert_eq!(shop.call(7), Ok(7));
    fail(&shop.bench);
    shop.backend.is_ready(false);
    assert_eq!(shop.ready(), Poll::Ready(Ok(())), "refused without it");
    shop.backend.is_ready(true);
    assert_eq!(shop.ready(), Poll::Ready(Ok(())));
    shop.bench.breaker.reset(Mandate::new("anna", "a new pool"));
    assert_eq!(shop.ready(), Poll::Ready(Ok(())));
    assert_eq!(shop.call(8), Ok(8), "the refusal is forgotten");
}

#[test]
fn a_service_that_was_not_ready_is_not_asked_though_the_breaker_closes_in_between() {
    let mut shop = Shop::new();
    fail(&shop.bench);
    shop.backend.is_ready(false);
    assert_eq!(shop.ready(), Poll::Ready(Ok(())));
    shop.bench.breaker.reset(Mandate::new("anna", "a new pool"));
    assert!(shop.call(1).unwrap_err().is_rejected());
    assert_eq!(shop.backend.called(), 0);
}

#[test]
fn an_open_breaker_does_not_ask_a_service_that_is_ready() {
    let mut shop = Shop::new();
    fail(&shop.bench);
    assert_eq!(shop.ready(), Poll::Ready(Ok(())));
    assert!(shop.call(1).unwrap_err().is_rejected());
    assert_eq!(shop.backend.called(), 0);
    shop.bench.wait(10 * SECOND);
    assert_eq!(shop.ready(), Poll::Ready(Ok(())));
    assert_eq!(shop.call(2), Ok(2), "the probe");
    assert_eq!(shop.bench.breaker.state(), BreakerState::Closed);
}

#[test]
fn an_error_of_readiness_passes_and_counts_as_nothing() {
    let mut shop = Shop::new();
    shop.backend.broken.store(true, Ordering::SeqCst);
    let error = "the connection is gone";
    let expected = Failure::Operation { error, attempts: 1 };
    assert_eq!(shop.ready(), Poll::Ready(Err(expected.clone())));
    fail(&shop.bench);
    assert_eq!(
        shop.ready(),
        Poll::Ready(Err(expected)),
        "the service is dead, and says so"
    );
    assert_eq!(shop.bench.breaker.snapshot().failures, 4);
}

#[test]
fn clones_and_other_services_share_the_breaker_and_nothing_else() {
    let mut shop = Shop::new();
    let layer = BreakerLayer::new(&shop.bench.breaker);
    let mut elsewhere = layer.layer(service_fn(async |text: &str| text.parse::<u32>()));
    for _ in 0..4 {
        assert!(now(elsewhere.call("no number")).is_err());
    }
    shop.backend.is_ready(false);
    assert_eq!(shop.ready(), Poll::Ready(Ok(())));
    let mut clone = shop.service.clone();
    assert!(shop.call(1).unwrap_err().is_rejected());
    shop.bench.breaker.reset(Mandate::new("anna", "a new pool"));
    assert_eq!(
        now(clone.call(2)),
        Ok(2),
        "it has not been refused anything"
    );
    assert_eq!(ready(&mut clone), Poll::Pending);
    assert_eq!(shop.service.get_ref().called(), 1);
    shop.service.get_mut().is_ready(true);
    assert_eq!(now(shop.service.into_inner().call(3)), Ok(3));
}

#[test]
fn a_dropped_future_gives_its_probe_back_polled_or_not() {
    let bench = Bench::with(plain());
    let hangs = service_fn(async |()| std::future::pending::<Result<u32, &str>>().await);
    let mut service = BreakerLayer::new(&bench.breaker).layer(hangs);
    fail(&bench);
    bench.wait(10 * SECOND);
    for polls in [0, 1, 3] {
        let mut probe = Box::pin(service.call(()));
        for _ in 0..polls {
            assert!(poll(probe.as_mut()).is_pending());
        }
        assert!(now(service.call(())).unwrap_err().is_rejected());
        drop(probe);
    }
    assert_eq!(bench.breaker.snapshot().cancelled, 3);
    assert!(bench.succeed());
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
}

#[test]
fn a_service_that_panics_when_called_or_polled_gives_its_probe_back() {
    let bench = Bench::with(plain());
    fail(&bench);
    bench.wait(10 * SECOND);
    let layer = BreakerLayer::new(&bench.breaker);
    let mut at_call = layer.layer(service_fn(|()| -> std::future::Ready<Result<u32, &str>> {
        panic!("at the call")
    }));
    let mut at_poll = layer.layer(service_fn(async |()| -> Result<u32, &str> {
        panic!("at the poll")
    }));
    let panicked = catch_unwind(AssertUnwindSafe(|| now(at_call.call(()))));
    assert!(panicked.is_err());
    let panicked = catch_unwind(AssertUnwindSafe(|| now(at_poll.call(()))));
    assert!(panicked.is_err());
    assert_eq!(bench.breaker.snapshot().cancelled, 2);
    assert!(bench.succeed(), "its place is free");
}

#[test]
fn a_classifier_judges_and_may_panic() {
    #[derive(Clone)]
    struct Strict;
    impl<E> Classify<u32, E> for Strict {
        fn classify(&self, result: Result<&u32, &E>) -> Outcome {
            match result {
                Ok(404) => Outcome::Ignored,
                Ok(503) => Outcome::TRANSIENT,
                Ok(_) => Outcome::Success,
                Err(_) => panic!("what is this?"),
            }
        }
    }
    let bench = Bench::with(plain());
    let backend = Backend::default();
    backend.is_ready(true);
    let mut service = BreakerLayer::new(&bench.breaker)
        .classified(Strict)
        .layer(backend);
    for (request, ignored, failures) in [(404, 1, 0), (503, 1, 1), (0, 1, 2), (200, 1, 2)] {
        let _ = now(service.call(request));
        let seen = bench.breaker.snapshot();
        assert_eq!(
            (seen.ignored, seen.failures),
            (ignored, failures),
            "{request}"
        );
    }
}

#[tokio::test]
async fn around_a_concurrency_limit_it_refuses_while_all_places_are_taken() {
    let bench = Bench::with(plain());
    let hangs = service_fn(async |()| std::future::pending::<Result<u32, BoxError>>().await);
    let mut service = ServiceBuilder::new()
        .layer(BreakerLayer::new(&bench.breaker))
        .layer(ConcurrencyLimitLayer::new(1))
        .service(hangs);
    assert!(ready(&mut service).is_ready());
    let taken = service.call(());
    let mut other = service.clone();
    assert!(ready(&mut other).is_pending());
    fail(&bench);
    assert!(matches!(ready(&mut other), Poll::Ready(Ok(()))));
    assert!(other.call(()).await.unwrap_err().is_rejected());
    bench.breaker.reset(Mandate::new("anna", "a new pool"));
    assert!(ready(&mut other).is_pending());
    drop(taken);
    assert!(ready(&mut other).is_ready());
}

#[tokio::test]
async fn within_a_concurrency_limit_a_refused_call_gives_its_place_back() {
    let bench = Bench::with(plain());
    fail(&bench);
    let layer = BreakerLayer::new(&bench.breaker);
    let mut service =
        ConcurrencyLimit::new(layer.layer(service_fn(async |()| Ok::<_, &str>(1))), 1);
    for _ in 0..3 {
        let refused = service.ready().await.unwrap().call(()).await;
        assert!(refused.unwrap_err().is_rejected());
    }
}

#[tokio::test]
async fn within_a_buffer_an_open_breaker_lets_the_queue_run_empty() {
    let bench = Bench::with(plain());
    let backend = Backend::default();
    let service = BreakerLayer::new(&bench.breaker).layer(backend.clone());
    let buffer = Buffer::new(service, 8);
    let mut waiting = tokio::task::JoinSet::new();
    for request in 1..=3 {
        waiting.spawn(buffer.clone().oneshot(request));
    }
    tokio::task::yield_now().await;
    assert_eq!(backend.called(), 0);
    // Whoever waits for readiness is woken by the service, not by the breaker: the next one looks.
    fail(&bench);
    waiting.abort_all();
    while waiting.join_next().await.is_some() {}
    let buffer = Buffer::new(BreakerLayer::new(&bench.breaker).layer(backend.clone()), 8);
    let refused = buffer.oneshot(4).await.unwrap_err();
    let why = refused.downcast_ref::<Failure<&str>>().unwrap();
    assert_eq!(why.rejection().unwrap().reason().code(), "open");
    assert_eq!(backend.called(), 0);
}

#[tokio::test(start_paused = true)]
async fn around_a_timeout_what_hangs_counts_as_a_failure_and_outside_it_as_nothing() {
    let hangs = || service_fn(async |()| std::future::pending::<Result<u32, BoxError>>().await);
    let within = Bench::with(plain());
    let mut service = ServiceBuilder::new()
        .layer(BreakerLayer::new(&within.breaker))
        .layer(TimeoutLayer::new(SECOND))
        .service(hangs());
    for _ in 0..4 {
        let failed = service.ready().await.unwrap().call(()).await.unwrap_err();
        assert!(
            failed
                .into_inner()
                .unwrap()
                .is::<tower::timeout::error::Elapsed>()
        );
    }
    assert_eq!(within.breaker.state(), BreakerState::Open);

    let outside = Bench::with(plain());
    let mut service = ServiceBuilder::new()
        .layer(TimeoutLayer::new(SECOND))
        .layer(BreakerLayer::new(&outside.breaker))
        .service(hangs());
    for _ in 0..10 {
        service.ready().await.unwrap().call(()).await.unwrap_err();
    }
    let seen = outside.breaker.snapshot();
    assert_eq!(
        (seen.state, seen.cancelled, seen.failures),
        (BreakerState::Closed, 10, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn two_breakers_in_one_stack_count_apart() {
    let (outer, inner) = (Bench::with(plain()), Bench::with(plain()));
    let mut service = ServiceBuilder::new()
        .layer(BreakerLayer::new(&outer.breaker))
        .layer(BreakerLayer::new(&inner.breaker))
        .service(service_fn(async |()| Err::<u32, _>("down")));
    for _ in 0..3 {
        let failed = service.ready().await.unwrap().call(()).await.unwrap_err();
        assert_eq!(failed.into_inner().unwrap().into_inner(), Ok("down"));
    }
    inner.breaker.force_open(Mandate::new("anna", "a drill"));
    let failed = service.ready().await.unwrap().call(()).await.unwrap_err();
    assert!(
        failed.operation().unwrap().is_rejected(),
        "of the inner one"
    );
    assert_eq!(
        (
            outer.breaker.snapshot().failures,
            inner.breaker.snapshot().failures
        ),
        (4, 3)
    );
}

#[test]
fn a_ramp_refuses_some_calls_of_a_service_that_is_ready() {
    let ramp = Ramp::over(100 * SECOND).starting_at(percent(50));
    let bench = Bench::with(plain().with_ramp(ramp));
    fail(&bench);
    bench.wait(10 * SECOND);
    bench.succeed();
    let mut service =
        BreakerLayer::new(&bench.breaker).layer(service_fn(async |()| Ok::<_, &str>(1)));
    let done = (0..1000).filter(|_| now(service.call(())).is_ok()).count();
    assert!((400..600).contains(&done), "{done}");
}

#[test]
fn services_can_be_sent_and_named() {
    fn is<T: Send + Sync + Clone + std::fmt::Debug>(_: &T) {}
    fn stored(breaker: &Breaker) -> BreakerService<Backend> {
        BreakerLayer::new(breaker).layer(Backend::default())
    }
    let bench = Bench::with(plain());
    is(&stored(&bench.breaker));
    is(&BreakerLayer::new(&bench.breaker));
}
