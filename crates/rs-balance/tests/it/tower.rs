//! A tower service over balanced services.

use std::{
    pin::pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use rs_balance::{
    BalancerConfig, Endpoint, Strategy, Surroundings,
    tower::{BalanceService, Change, Services},
};
use rs_core::{ByStatus, Failure};
use tower::{Service, ServiceExt, limit::ConcurrencyLimit, service_fn};
use tower_test::{assert_request_eq, mock};

type Mock = mock::Mock<&'static str, &'static str>;
type Handle = mock::Handle<&'static str, &'static str>;

fn services<S: Send + 'static>(strategy: Strategy) -> Services<S> {
    let around = Surroundings::apart().with_seed(7);
    Services::within(&around, "test", BalancerConfig::new(strategy)).unwrap()
}

/// So many mocks, `0`, `1`, …; none is ready.
fn mocks(count: usize) -> (Services<Mock>, Vec<Handle>) {
    let services = services(Strategy::RoundRobin);
    let mut handles = Vec::new();
    services.update((0..count).map(|number| {
        let (service, mut handle) = mock::pair();
        handle.allow(0);
        handles.push(handle);
        Endpoint::new(number.to_string(), service)
    }));
    (services, handles)
}

fn poll_ready<S, C>(service: &mut BalanceService<S, C>) -> bool
where
    BalanceService<S, C>: Service<&'static str>,
{
    let mut context = Context::from_waker(Waker::noop());
    service.poll_ready(&mut context).is_ready()
}

#[tokio::test]
async fn a_service_that_is_not_ready_is_passed_over() {
    let (services, mut handles) = mocks(3);
    let mut service = services.service();
    assert!(!poll_ready(&mut service));
    assert_eq!(services.in_flight(), 0, "who waits counts nowhere");
    handles[1].allow(5);
    for _ in 0..5 {
        assert!(poll_ready(&mut service));
        let response = service.call("hello");
        assert_request_eq!(handles[1], "hello").send_response("one");
        assert_eq!(response.await.unwrap(), "one");
    }
    assert!(!poll_ready(&mut service));
    assert_eq!(services.in_flight(), 0);
}

#[tokio::test]
async fn who_waits_wakes_up_when_one_is_ready_or_comes() {
    let (services, mut handles) = mocks(2);
    let mut service = services.service();
    let mut task = tokio_test_task(async move { service.ready().await.map(drop).is_ok() });
    assert!(task.poll().is_pending());
    handles[0].allow(1);
    assert!(task.is_woken());
    assert_eq!(task.poll(), Poll::Ready(true));

    let mut service = services.service();
    let mut task = tokio_test_task(async move { service.ready().await.map(drop).is_ok() });
    services.update([]);
    assert!(task.poll().is_pending(), "nobody is there");
    let (new, mut handle) = mock::pair::<&'static str, &'static str>();
    handle.allow(1);
    services.update([Endpoint::new("new", new)]);
    assert!(task.is_woken());
    assert_eq!(task.poll(), Poll::Ready(true));
}

/// A future, and whether it was woken.
struct Task<F> {
    future: std::pin::Pin<Box<F>>,
    woken: Arc<Woken>,
}

#[derive(Default)]
struct Woken(std::sync::atomic::AtomicBool);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}

fn tokio_test_task<F: Future>(future: F) -> Task<F> {
    Task {
        future: Box::pin(future),
        woken: Arc::default(),
    }
}

impl<F: Future> Task<F> {
    fn poll(&mut self) -> Poll<F::Output> {
        self.woken
            .0
            .store(false, std::sync::atomic::Ordering::SeqCst);
        let waker = Arc::clone(&self.woken).into();
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn is_woken(&self) -> bool {
        self.woken.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}

#[tokio::test]
async fn readiness_is_not_taken_by_a_clone() {
    // One place: whoever is ready has it.
    let services = services(Strategy::RoundRobin);
    let one = ConcurrencyLimit::new(
        service_fn(async |request: &'static str| Ok::<_, std::io::Error>(request)),
        1,
    );
    services.update([Endpoint::new("one", one)]);
    let mut first = services.service();
    assert!(poll_ready(&mut first));
    let mut second = first.clone();
    assert!(!poll_ready(&mut second), "the place is the first's");
    assert!(poll_ready(&mut first), "it still is");
    assert_eq!(first.call("hello").await.unwrap(), "hello");
    assert!(poll_ready(&mut second));
    drop(second);
    assert!(poll_ready(&mut first), "who goes gives it back");
    assert_eq!(services.in_flight(), 1);
    drop(first);
    assert_eq!(services.in_flight(), 0);
}

#[tokio::test]
async fn who_has_found_one_keeps_no_place_in_the_queues_of_others() {
    let make = || {
        let service = service_fn(async |request: &'static str| Ok::<_, std::io::Error>(request));
        ConcurrencyLimit::new(service, 1)
    };
    // Whichever of the two becomes free, and whichever is asked first.
    for (skipped, free) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let services = services(Strategy::RoundRobin);
        services.update(["a", "b"].map(|id| Endpoint::new(id, make())));
        let mut held = vec![services.service(), services.service()];
        assert!(held.iter_mut().all(poll_ready));
        for _ in 0..skipped {
            assert!(!poll_ready(&mut services.service()));
        }
        let mut third = services.service();
        assert!(!poll_ready(&mut third), "it waits at both");
        drop(held.remove(free));
        assert!(poll_ready(&mut third), "one is enough");
        drop(held);
        assert!(poll_ready(&mut services.service()), "the other is free");
    }
}

#[tokio::test]
async fn load_counts_until_the_response_is_there_or_dropped() {
    let (services, mut handles) = mocks(1);
    handles[0].allow(3);
    let mut service = services.service();
    assert!(poll_ready(&mut service));
    assert_eq!(services.in_flight(), 1);
    let first = service.call("first");
    assert!(poll_ready(&mut service));
    let second = service.call("second");
    assert_eq!(services.in_flight(), 2);
    drop(second);
    assert_eq!(services.in_flight(), 1);
    assert_request_eq!(handles[0], "first").send_response("done");
    assert_eq!(first.await.unwrap(), "done");
    assert_eq!(services.in_flight(), 0);
}

/// A service that says when the last of its clones has gone.
#[derive(Clone)]
struct Kept(#[expect(dead_code, reason = "counts its clones")] Arc<()>);

impl Service<&'static str> for Kept {
    type Response = ();
    type Error = std::io::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<(), std::io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: &'static str) -> Self::Future {
        Box::pin(std::future::pending())
    }
}

#[tokio::test]
async fn the_service_of_an_endpoint_that_goes_is_dropped_after_its_calls() {
    let services = services(Strategy::RoundRobin);
    let alive = Arc::new(());
    services.update([Endpoint::new("a", Kept(Arc::clone(&alive)))]);
    let mut service = services.service();
    assert!(poll_ready(&mut service));
    let response = service.call("hello");
    assert!(poll_ready(&mut service), "and one that has not called yet");
    services.update([]);
    assert!(Arc::strong_count(&alive) > 1, "a call runs");
    assert!(!poll_ready(&mut service), "nobody is there");
    drop(response);
    assert_eq!(Arc::strong_count(&alive), 1);
}

/// Changes as a stream.
struct Changes<S>(Arc<Mutex<Vec<Change<&'static str, S>>>>);

impl<S> futures_core::Stream for Changes<S> {
    type Item = Result<Change<&'static str, S>, std::io::Error>;

    fn poll_next(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut changes = self.0.lock().unwrap();
        if changes.is_empty() {
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(changes.remove(0))))
    }
}

#[tokio::test]
async fn it_follows_a_discovery() {
    let says = |says: &'static str| {
        tower::util::BoxCloneService::new(service_fn(move |_: &'static str| {
            std::future::ready(Ok::<_, std::io::Error>(says))
        }))
    };
    let services = services(Strategy::RoundRobin);
    let changes = Arc::new(Mutex::new(vec![
        Change::Insert("a", says("first a")),
        Change::Insert("b", says("b")),
    ]));
    let mut following = pin!(services.follow(Changes(Arc::clone(&changes))));
    let mut follow = || {
        let mut context = Context::from_waker(Waker::noop());
        assert!(following.as_mut().poll(&mut context).is_pending());
    };
    let mut service = services.service();
    let mut asked = async || {
        let mut answers = std::collections::BTreeSet::new();
        for _ in 0..10 {
            answers.insert(service.ready().await.unwrap().call("who").await.unwrap());
        }
        Vec::from_iter(answers)
    };
    follow();
    assert_eq!(asked().await, ["b", "first a"]);
    changes
        .lock()
        .unwrap()
        .push(Change::Insert("a", says("second a")));
    follow();
    assert_eq!(asked().await, ["b", "second a"], "it was replaced");
    changes.lock().unwrap().extend([
        Change::Remove("b"),
        Change::Insert("c", says("c")),
        Change::Remove("c"),
        Change::Remove("nobody"),
    ]);
    follow();
    assert_eq!(asked().await, ["second a"]);
    assert_eq!(services.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_fails_to_be_ready_is_passed_over_and_ejected() {
    let (services, mut handles) = mocks(4);
    for handle in &mut handles {
        handle.allow(1000);
    }
    // Without its handle a mock is closed for good.
    drop(handles.pop());
    let mut service = services.service();
    for _ in 0..40 {
        assert!(poll_ready(&mut service));
        let response = service.call("hello");
        let answered = [0, 1, 2]
            .into_iter()
            .any(|place| match handles[place].poll_request() {
                Poll::Ready(Some((_, respond))) => {
                    respond.send_response("well");
                    true
                }
                _ => false,
            });
        assert!(answered, "it went to one that works");
        assert_eq!(response.await.unwrap(), "well");
    }
    assert_eq!(services.in_flight(), 0);
    let snapshot = services.snapshot();
    assert_eq!(snapshot.get("ejected"), Some(&1_u64.into()), "{snapshot:?}");
}

#[tokio::test(start_paused = true)]
async fn answers_are_judged_by_a_classifier() {
    let services = services(Strategy::RoundRobin);
    services.update(["good", "bad", "fine", "fair"].map(|id| {
        let status = if id == "bad" { 500_u16 } else { 200 };
        Endpoint::new(
            id,
            service_fn(move |_: &'static str| std::future::ready(Ok::<_, std::io::Error>(status))),
        )
    }));
    let judge = ByStatus::read_by(|status: &u16| *status);
    let mut service = services.service().classified(judge);
    let mut bad = 0;
    for _ in 0..100 {
        let status = service.ready().await.unwrap().call("hello").await.unwrap();
        bad += u32::from(status == 500);
    }
    assert_eq!(bad, 5, "five failures in a row are enough");
}

#[tokio::test]
async fn where_all_fail_to_be_ready_the_call_is_refused() {
    let (services, mut handles) = mocks(2);
    for handle in &mut handles {
        handle.send_error("down");
    }
    let mut service = services.service();
    assert!(poll_ready(&mut service));
    let refused = service.call("hello").await.unwrap_err();
    assert!(matches!(refused, Failure::Rejected(_)), "{refused:?}");
    assert_eq!(services.in_flight(), 0);
}
