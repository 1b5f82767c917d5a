//! The cost of a hedge, of sharing a run, and of having something else to answer with.

use std::{
    future::{Future, poll_fn},
    hint::black_box,
    mem,
    pin::{Pin, pin},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    task::{Context, Poll, Waker},
    time::Duration,
};

use rs_bench::{Bench, Goal};
use rs_core::{Call, ConfigError, Operation, Policy, operation};
use rs_policies::{
    Coalesce, CoalesceConfig, Fallback, FallbackConfig, Hedge, HedgeConfig, LastGood,
    LastGoodConfig, OrValue, Surroundings,
};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, Service, service_fn};
use tower_resilience_coalesce::CoalesceLayer;
use tower_resilience_hedge::HedgeLayer;

const HOUR: Duration = Duration::from_secs(3600);
const NAME: &str = "bench";
const CALLERS: usize = 100;

pub(super) fn run(bench: &mut Bench) -> Result<(), ConfigError> {
    hedged_at_once(bench)?;
    hedged_after_a_wait(bench)?;
    leading(bench)?;
    sharing(bench)?;
    falling_back(bench)
}

/// Waits for one poll.
async fn wait() {
    let mut is_first = true;
    poll_fn(move |context| {
        if mem::take(&mut is_first) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

type Answer = Result<u32, u8>;

async fn at_once<C>(_call: C) -> Answer {
    Ok(black_box(7))
}

async fn after_a_wait<C>(_call: C) -> Answer {
    wait().await;
    Ok(black_box(7))
}

/// The result of a future that is polled until it is ready: nobody else has anything to do.
fn spun<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        let mut context = Context::from_waker(Waker::noop());
        if let Poll::Ready(result) = future.as_mut().poll(&mut context) {
            return result;
        }
    }
}

#[expect(clippy::expect_used, reason = "nothing can be measured without it")]
fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_time().build().expect("a runtime")
}

/// Runs this so many times where timers work.
fn timed(count: u64, mut once: impl FnMut()) {
    let runtime = runtime();
    let _inside = runtime.enter();
    (0..count).for_each(|_| once());
}

fn apart() -> Surroundings {
    Surroundings::apart()
}

fn hedges() -> Result<(Hedge, Hedge), ConfigError> {
    let fixed = Hedge::within(&apart(), NAME, HedgeConfig::after(HOUR))?;
    let tail = HedgeConfig::at_quantile("95%".parse()?).with_least_delay(HOUR);
    Ok((fixed, Hedge::within(&apart(), NAME, tail)?))
}

fn hedged_at_once(bench: &mut Bench) -> Result<(), ConfigError> {
    let (fixed, tail) = hedges()?;
    let (call, write) = (Call::new(NAME).safe_to_repeat(), Call::new(NAME));
    let ready = operation(at_once);
    let peer = HedgeLayer::new(HOUR).layer(service_fn(at_once::<u32>));
    bench
        .case("hedge, ready at once")
        .ours(|| drop(black_box(spun(fixed.run(black_box(&call), &ready)))))
        .peer("ours, a quantile", || {
            drop(black_box(spun(tail.run(black_box(&call), &ready))));
        })
        .peer("ours, not safe to repeat", || {
            drop(black_box(spun(fixed.run(black_box(&write), &ready))));
        })
        .peer("the operation alone", || {
            drop(black_box(spun(ready.attempt(black_box(&call)))));
        })
        .peer_in_batches("tower-resilience", |count| {
            let mut service = peer.clone();
            timed(count, || drop(black_box(spun(service.call(1)))));
        })
        .goal(Goal::at_most(30.0).on_threads(1))
        .run();
    Ok(())
}

fn hedged_after_a_wait(bench: &mut Bench) -> Result<(), ConfigError> {
    let (fixed, tail) = hedges()?;
    let (call, write) = (Call::new(NAME).safe_to_repeat(), Call::new(NAME));
    let waits = operation(after_a_wait);
    let peer = HedgeLayer::new(HOUR).layer(service_fn(after_a_wait::<u32>));
    bench
        .case("hedge, ready at the second poll")
        .ours_in_batches(|count| timed(count, || drop(black_box(spun(fixed.run(&call, &waits))))))
        .peer_in_batches("ours, a quantile", |count| {
            timed(count, || drop(black_box(spun(tail.run(&call, &waits)))));
        })
        .peer_in_batches("ours, not safe to repeat", |count| {
            timed(count, || drop(black_box(spun(fixed.run(&write, &waits)))));
        })
        .peer_in_batches("tower-resilience", |count| {
            let mut service = peer.clone();
            timed(count, || drop(black_box(spun(service.call(1)))));
        })
        .run();
    Ok(())
}

fn leading(bench: &mut Bench) -> Result<(), ConfigError> {
    let ours = Coalesce::<u32, u8>::within(&apart(), NAME, CoalesceConfig::default())?;
    let alone = Call::new(NAME);
    let ready = operation(at_once);
    let peer = CoalesceLayer::new(|key: &u32| *key).layer(service_fn(at_once::<u32>));
    // Threads do not meet at a key.
    let next = AtomicU32::new(0);
    let key = || next.fetch_add(1, Relaxed);
    bench
        .case("coalesce, nobody else comes")
        .ours_in_batches(|count| {
            let call = Call::new(NAME).with_key(key());
            (0..count).for_each(|_| drop(black_box(spun(ours.run(black_box(&call), &ready)))));
        })
        .peer("ours, without a key", || {
            drop(black_box(spun(ours.run(black_box(&alone), &ready))));
        })
        .peer_in_batches("tower-resilience", |count| {
            let (mut service, key) = (peer.clone(), key());
            (0..count).for_each(|_| drop(black_box(spun(service.call(key)))));
        })
        .run();
    Ok(())
}

/// Polls all of them in turn until all are ready.
fn all<F: Future>(mut futures: Vec<Pin<Box<F>>>) {
    let mut context = Context::from_waker(Waker::noop());
    while !futures.is_empty() {
        futures.retain_mut(|future| future.as_mut().poll(&mut context).is_pending());
    }
}

fn sharing(bench: &mut Bench) -> Result<(), ConfigError> {
    let ours = Coalesce::<u32, u8>::within(&apart(), NAME, CoalesceConfig::default())?;
    let waits = operation(after_a_wait);
    let next = AtomicU32::new(0);
    let key = || next.fetch_add(1, Relaxed);
    let peer = CoalesceLayer::new(|key: &u32| *key).layer(service_fn(after_a_wait::<u32>));
    bench
        .case("coalesce, a hundred callers of one key")
        .ours_in_batches(|count| {
            let call = Call::new(NAME).with_key(key());
            timed(count, || {
                let callers = (0..CALLERS).map(|_| Box::pin(ours.run(&call, &waits)));
                all(callers.collect());
            });
        })
        .peer_in_batches("tower-resilience", |count| {
            let (mut service, key) = (peer.clone(), key());
            timed(count, || {
                let callers = (0..CALLERS).map(|_| Box::pin(service.call(key)));
                all(callers.collect());
            });
        })
        .run();
    Ok(())
}

fn falling_back(bench: &mut Bench) -> Result<(), ConfigError> {
    let config = FallbackConfig::default();
    let value = Fallback::within(&apart(), NAME, config, OrValue(1_u32))?;
    let kept = LastGood::within(&apart(), NAME, LastGoodConfig::of(1000))?;
    let recent = LastGoodConfig::of(1000).refreshing_after(HOUR / 2);
    let recent = LastGood::within(&apart(), NAME, recent)?;
    let call = Call::new(NAME).with_key(17);
    let ready = operation(at_once);
    let fails = operation(async |_call| Err::<u32, u8>(black_box(1)));
    spun(async {
        (
            kept.run(&call, &ready).await,
            recent.run(&call, &ready).await,
        )
    })
    .0
    .unwrap_or_default();
    bench
        .case("fallback, the call succeeds")
        .ours(|| drop(black_box(spun(value.run(black_box(&call), &ready)))))
        .peer("ours, the last good is kept", || {
            drop(black_box(spun(kept.run(black_box(&call), &ready))));
        })
        .run();
    bench
        .case("fallback, the call fails")
        .ours(|| drop(black_box(spun(value.run(black_box(&call), &fails)))))
        .peer("ours, the last good is served", || {
            drop(black_box(spun(kept.run(black_box(&call), &fails))));
        })
        .peer("ours, a recent one is served", || {
            drop(black_box(spun(recent.run(black_box(&call), &fails))));
        })
        .run();
    Ok(())
}
