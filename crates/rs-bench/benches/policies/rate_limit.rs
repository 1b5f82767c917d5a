//! Rate limits, beside `governor`.

use std::{
    hint::black_box,
    num::NonZeroU32,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use governor::{Quota, RateLimiter};
use rs_bench::{Bench, Goal};
use rs_core::{Call, ConfigError, Guard, Policy, Rate};
use rs_policies::{PerKey, PerKeyConfig, RateLimit, RateLimitConfig};

const GOVERNOR: &str = "governor check";
const GOVERNOR_KEYED: &str = "governor check_key";

/// So many in a second that none is refused while it is measured.
const RATE: u32 = 100_000_000;
const BURST: u32 = 1_000_000_000;

pub(super) fn run(bench: &mut Bench) -> Result<(), ConfigError> {
    admitted(bench)?;
    refused(bench)?;
    ways(bench)?;
    keyed(bench)
}

fn wide() -> Result<RateLimitConfig, ConfigError> {
    let rate = Rate::new(RATE.into(), Duration::from_secs(1))?;
    Ok(RateLimitConfig::bucket(BURST, rate))
}

/// One a day.
fn narrow() -> Result<RateLimitConfig, ConfigError> {
    Ok(RateLimitConfig::gcra("1/1d".parse()?))
}

fn wide_quota() -> Quota {
    Quota::per_second(at_least_one(RATE)).allow_burst(at_least_one(BURST))
}

fn at_least_one(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
}

fn admitted(bench: &mut Bench) -> Result<(), ConfigError> {
    let ours = RateLimit::new("admitted", wide()?)?;
    let peer = RateLimiter::direct(wide_quota());
    let call = Call::new("look up");
    bench
        .case("rate limit, admitted")
        .ours(|| {
            // By reference: an answer is not moved once more for the measuring.
            black_box(&ours.try_enter(black_box(&call)));
        })
        .peer(GOVERNOR, || {
            black_box(&peer.check());
        })
        .goal(Goal::times(1.2, GOVERNOR))
        .run();
    assert!(ours.try_take(1).is_ok() && peer.check().is_ok());
    Ok(())
}

fn refused(bench: &mut Bench) -> Result<(), ConfigError> {
    let ours = RateLimit::new("refused", narrow()?)?;
    let day = Quota::with_period(Duration::from_secs(24 * 3600));
    let peer = RateLimiter::direct(day.unwrap_or_else(wide_quota));
    let _first = (ours.try_take(1), peer.check());
    bench
        .case("rate limit, refused")
        .ours(|| {
            black_box(&ours.try_take(1));
        })
        .peer(GOVERNOR, || {
            black_box(&peer.check());
        })
        .run();
    assert!(ours.try_take(1).is_err() && peer.check().is_err());
    Ok(())
}

fn ways(bench: &mut Bench) -> Result<(), ConfigError> {
    let ours = RateLimit::new("ways", wide()?)?;
    let waiting = RateLimit::new("waiting", wide()?.with_wait(Duration::from_secs(1)))?;
    let call = Call::new("look up");
    bench
        .case("rate limit, admitted, other ways")
        .ours(|| {
            black_box(&ours.try_enter(black_box(&call)));
        })
        .peer("try_take", || {
            black_box(&ours.try_take(1));
        })
        .peer("with a permit", || {
            if let Ok(permit) = ours.try_admit(black_box(&call)) {
                permit.finish(rs_core::Outcome::Success);
            }
        })
        .peer("enter (polled), may wait", || {
            black_box(&polled(waiting.enter(black_box(&call))));
        })
        .peer("call (polled)", || {
            let answer = ours.call(call, |_call| async { Ok::<_, ()>(black_box(7)) });
            black_box(&polled(answer));
        })
        .run();
    Ok(())
}

/// The result of a future that never waits.
fn polled<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("it waits"),
    }
}

fn keyed(bench: &mut Bench) -> Result<(), ConfigError> {
    let ours = PerKey::rate_limits("keyed", PerKeyConfig::default(), wide()?)?;
    let peer = RateLimiter::keyed(wide_quota());
    let calls: Vec<_> = (0..1000)
        .map(|customer: u32| Call::new("look up").with_key(customer))
        .collect();
    // The peer is given what ours has: the hash of a key, not its text.
    let keys: Vec<_> = calls
        .iter()
        .filter_map(|call| Some(call.key()?.get()))
        .collect();
    bench
        .case("rate limit by key, one of a thousand")
        .ours_in_batches(|count| {
            for call in calls.iter().cycle().take(count as usize) {
                black_box(&ours.try_admit(black_box(call)).is_ok());
            }
        })
        .peer_in_batches(GOVERNOR_KEYED, |count| {
            for key in keys.iter().cycle().take(count as usize) {
                black_box(&peer.check_key(black_box(key)));
            }
        })
        .goal(Goal::times(1.2, GOVERNOR_KEYED))
        .run();
    let call = Call::new("look up").with_key("anna");
    bench
        .case("rate limit by key, the same key")
        .ours(|| {
            black_box(&ours.try_admit(black_box(&call)).is_ok());
        })
        .peer(GOVERNOR_KEYED, || {
            black_box(&peer.check_key(black_box(&7)));
        })
        .run();
    Ok(())
}
