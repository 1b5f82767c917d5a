//! The cost of an adaptive limit and of load shedding, beside peers.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    hint::black_box,
    pin::pin,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    task::{Context, Poll, Waker},
    time::Instant,
};

use rs_bench::{Bench, Goal};
use rs_core::{Call, ConfigError, Fault, Guard, Outcome, Policy};
use rs_policies::{
    AdaptiveConfig, AdaptiveLimit, Aimd, Algorithm, LoadShed, LoadShedConfig, Waiting,
};
use tower::{Layer, Service, ServiceExt};

/// Adds its cases.
pub(super) fn run(bench: &mut Bench) -> Result<(), ConfigError> {
    admitted(bench)?;
    refused(bench)?;
    shed_nothing(bench)?;
    shed_most(bench)
}

/// In, the operation, out.
fn permitted(guard: &impl Guard, count: u64) {
    let call = Call::new("search");
    for _ in 0..count {
        if let Ok(permit) = guard.try_admit(black_box(&call)) {
            black_box(7);
            permit.finish(black_box(Outcome::Success));
        }
    }
}

fn admitted(bench: &mut Bench) -> Result<(), ConfigError> {
    let ours = AdaptiveLimit::new("vegas", AdaptiveConfig::default())?;
    let aimd = AdaptiveConfig::by(Algorithm::Aimd(Aimd::default()));
    let aimd = AdaptiveLimit::new("aimd", aimd)?;
    let queued = AdaptiveConfig::default().with_queue(Waiting::at_most(100));
    let queued = AdaptiveLimit::new("queued", queued)?;
    let (tower_aimd, tower_vegas) = (tower_aimd(), tower_vegas());
    let acc = tower_acc::ConcurrencyLimit::new(Operation, tower_acc::Vegas::default());
    bench
        .case("adaptive limit, all succeed")
        .ours_in_batches(|count| permitted(&ours, count))
        // Two of these pay for the clock.
        .goal(Goal::times(2.5, "two clock reads").on_threads(1))
        .goal(Goal::times(0.75, "tower-acc, vegas (async)").on_threads(1))
        .goal(Goal::times(0.5, "tower-resilience, aimd (async)").on_threads(1))
        .peer_in_batches("ours, aimd", |count| permitted(&aimd, count))
        .peer_in_batches("ours, call (polled), with a queue", |count| {
            for _ in 0..count {
                let call = queued.call("search", async |_call| Ok::<_, Infallible>(black_box(7)));
                black_box(&polled(call));
            }
        })
        .peer("two clock reads", || {
            black_box((now(), now()));
        })
        .peer_in_batches("tower-acc, vegas (async)", |count| {
            serve(acc.clone(), count)
        })
        .peer_in_batches("tower-resilience, aimd (async)", |count| {
            serve(tower_aimd.clone(), count);
        })
        .peer_in_batches("tower-resilience, vegas (async)", |count| {
            serve(tower_vegas.clone(), count);
        })
        .run();
    assert_eq!(ours.in_flight() + aimd.in_flight() + queued.in_flight(), 0);
    Ok(())
}

/// Peers have no way to ask without waiting.
fn refused(bench: &mut Bench) -> Result<(), ConfigError> {
    let ours = AdaptiveLimit::new("full", AdaptiveConfig::default().between(1, 1))?;
    let call = Call::new("search");
    let inside = ours.try_admit(&call);
    bench
        .case("adaptive limit, full")
        .ours(|| {
            black_box(&ours.try_admit(black_box(&call)));
        })
        .goal(Goal::at_most(30.0).on_threads(1))
        .run();
    assert!(inside.is_ok());
    Ok(())
}

fn shed_nothing(bench: &mut Bench) -> Result<(), ConfigError> {
    let (ours, shared) = (
        LoadShed::new("idle", LoadShedConfig::default())?,
        AtomicU64::new(0),
    );
    bench
        .case("load shed, all accepted")
        .ours_in_batches(|count| permitted(&ours, count))
        .goal(Goal::at_most(20.0))
        .peer("one add to a shared counter", || {
            black_box(shared.fetch_add(1, Relaxed));
        })
        .run();
    Ok(())
}

fn shed_most(bench: &mut Bench) -> Result<(), ConfigError> {
    let ours = LoadShed::new("busy", LoadShedConfig::default())?;
    let call = Call::new("search");
    bench
        .case("load shed, none accepted")
        .ours(|| {
            if let Ok(permit) = ours.try_admit(black_box(&call)) {
                permit.finish(black_box(Fault::throttled().into()));
            }
        })
        .run();
    Ok(())
}

/// The operation as a service; costs nothing to clone.
#[derive(Clone)]
struct Operation;

impl Service<()> for Operation {
    type Response = u32;
    type Error = Infallible;
    type Future = Ready<Result<u32, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(black_box(7)))
    }
}

type Adaptive<A> = tower_resilience_adaptive::AdaptiveService<Operation, A>;

fn tower_aimd() -> Adaptive<tower_resilience_adaptive::Aimd> {
    match tower_resilience_adaptive::Aimd::builder()
        .initial_limit(20)
        .build()
    {
        Ok(aimd) => tower_resilience_adaptive::AdaptiveLimiterLayer::new(aimd).layer(Operation),
        Err(error) => panic!("{error}"),
    }
}

fn tower_vegas() -> Adaptive<tower_resilience_adaptive::Vegas> {
    match tower_resilience_adaptive::Vegas::builder()
        .initial_limit(20)
        .build()
    {
        Ok(vegas) => tower_resilience_adaptive::AdaptiveLimiterLayer::new(vegas).layer(Operation),
        Err(error) => panic!("{error}"),
    }
}

/// Ready, called and done, so many times.
fn serve<S: Service<(), Response = u32>>(mut service: S, count: u64) {
    polled(async {
        for _ in 0..count {
            let Ok(service) = service.ready().await else {
                panic!("never ready");
            };
            black_box(&service.call(()).await.is_ok());
        }
    });
}

/// The result of a future that does not wait; one that is not ready at once is asked again.
fn polled<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        match future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(result) => return result,
            Poll::Pending => std::hint::spin_loop(),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "it is what is compared")]
fn now() -> Instant {
    Instant::now()
}
