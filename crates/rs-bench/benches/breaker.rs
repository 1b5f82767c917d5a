//! The cost of a breaker, beside its peers.

#[path = "breaker/peers.rs"]
mod peers;

use std::{
    collections::HashMap,
    error::Error,
    fmt,
    hint::black_box,
    pin::pin,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    thread,
    time::{Duration, Instant},
};

use dashmap::DashMap;
use rs_bench::{Bench, Case, Goal};
use rs_breaker::{
    Breaker, BreakerConfig, BreakerRegistry, OpenTime, Supervisor, Surroundings, Timing, Trip,
    Window,
};
use rs_core::{ByResult, Call, ConfigError, Guard, Outcome, Policy, Rejection, Share};

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

fn main() -> Result<(), ConfigError> {
    let mut bench = Bench::from_args("breaker");
    closed(&mut bench)?;
    failing(&mut bench)?;
    ways(&mut bench)?;
    parts(&mut bench)?;
    timed(&mut bench)?;
    open(&mut bench)?;
    open_alone(&mut bench)?;
    look_up(&mut bench)?;
    bench.finish();
    Ok(())
}

/// What is measured, whoever wrote it.
trait Measured: Sync {
    /// Makes so many calls.
    fn calls(&self, count: u64, traffic: Traffic);

    /// Whether it lets a call through.
    fn admits(&self) -> bool;
}

type Rows = Vec<(&'static str, Box<dyn Measured>)>;

/// How the calls end.
#[derive(Clone, Copy)]
enum Traffic {
    Well,
    TenthFails,
    Badly,
}

impl Traffic {
    const fn fails(self, call: u64) -> bool {
        match self {
            Self::Well => false,
            Self::TenthFails => call % 10 == 9,
            Self::Badly => true,
        }
    }
}

type Answer = Result<u32, Failed>;

#[derive(Debug)]
struct Failed;

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failed")
    }
}

impl Error for Failed {}

/// What every breaker guards: done at once.
fn operation(fails: bool) -> Answer {
    if fails { Err(Failed) } else { Ok(black_box(7)) }
}

/// Calls this so many times; the compiler does not know beforehand how a call will end.
fn each<T>(count: u64, traffic: Traffic, mut call: impl FnMut(bool) -> T) {
    for number in 0..count {
        // By reference: a result that explains itself is not moved once more for the measuring.
        black_box(&call(black_box(traffic.fails(number))));
    }
}

/// The result of a future that never waits.
fn polled<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("it waits"),
    }
}

fn beside<'a>(case: Case<'a>, rows: &'a Rows, traffic: Traffic) -> Case<'a> {
    rows.iter().fold(case, |case, (name, row)| {
        case.peer_in_batches(name, move |count| row.calls(count, traffic))
    })
}

/// Figures of a breaker that is in another state than the case is about would be worthless.
fn ensure(ours: &Breaker, peers: &Rows, admits: bool) {
    assert_eq!(ours.admits(), admits, "ours");
    for (name, peer) in peers {
        assert_eq!(peer.admits(), admits, "{name}");
    }
}

/// Half of the last hundred calls.
fn config() -> BreakerConfig {
    BreakerConfig::default().with_open_time(OpenTime::fixed(HOUR))
}

/// Half of the calls of a minute, failed or slow.
fn timed_config() -> Result<BreakerConfig, ConfigError> {
    let (half, minute) = (Share::percent(50.0)?, Window::time(MINUTE).after(100));
    Ok(config().with_trip([
        Trip::failure_rate(half, minute),
        Trip::slow_rate(half, SECOND, minute),
    ]))
}

/// The whole way of a call: in, the operation, out with what came of it.
fn permitted(breaker: &Breaker, call: &Call, fails: bool) -> Result<Answer, Rejection> {
    let permit = breaker.try_admit(call)?;
    let answer = operation(fails);
    permit.finish(match &answer {
        Ok(_) => Outcome::Success,
        Err(_) => Outcome::TRANSIENT,
    });
    Ok(answer)
}

impl Measured for Breaker {
    fn calls(&self, count: u64, traffic: Traffic) {
        let call = Call::new("charge");
        each(count, traffic, |fails| {
            permitted(self, black_box(&call), fails)
        });
    }

    fn admits(&self) -> bool {
        permitted(self, &Call::new("charge"), false).is_ok()
    }
}

fn closed(bench: &mut Bench) -> Result<(), ConfigError> {
    let (ours, peers) = (Breaker::new("closed", config())?, peers::all());
    let case = bench
        .case("closed, all succeed")
        .ours_in_batches(|count| ours.calls(count, Traffic::Well))
        .goal(Goal::at_most(20.0).on_threads(1))
        .goal(Goal::times(1.0, peers::RECLOSER).on_threads(1))
        .goal(Goal::at_most(70.0).on_threads(2));
    let case = peers.iter().fold(case, |case, (name, _)| {
        case.goal(Goal::times(0.2, name).on_threads(2))
    });
    beside(case, &peers, Traffic::Well).run();
    ensure(&ours, &peers, true);
    Ok(())
}

fn failing(bench: &mut Bench) -> Result<(), ConfigError> {
    let (ours, peers) = (Breaker::new("failing", config())?, peers::all());
    let case = bench
        .case("closed, one in ten fails")
        .ours_in_batches(|count| ours.calls(count, Traffic::TenthFails));
    beside(case, &peers, Traffic::TenthFails).run();
    ensure(&ours, &peers, true);
    Ok(())
}

fn ways(bench: &mut Bench) -> Result<(), ConfigError> {
    let ours = Breaker::new("ways", config())?;
    let untimed = Breaker::new("untimed", config().with_timing(Timing::Off))?;
    let met = Breaker::new("met", config())?;
    meet(&met);
    bench
        .case("closed, all succeed, other ways")
        .ours_in_batches(|count| ours.calls(count, Traffic::Well))
        .peer_in_batches("each with a call of its own", |count| {
            each(count, Traffic::Well, |fails| {
                permitted(&ours, &Call::new("charge"), fails)
            });
        })
        .peer_in_batches("call_blocking", |count| {
            each(count, Traffic::Well, |fails| {
                ours.call_blocking("charge", &ByResult, |_call| operation(fails))
            });
        })
        .peer_in_batches("call (polled)", |count| {
            each(count, Traffic::Well, |fails| {
                polled(ours.call("charge", move |_call| async move { operation(fails) }))
            });
        })
        .peer_in_batches("no call timed", |count| untimed.calls(count, Traffic::Well))
        .peer_in_batches("two threads met there before", |count| {
            met.calls(count, Traffic::Well);
        })
        .run();
    Ok(())
}

/// A breaker counts in one place until two threads meet there.
fn meet(breaker: &Breaker) {
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| breaker.calls(1_000_000, Traffic::Well));
        }
    });
}

fn parts(bench: &mut Bench) -> Result<(), ConfigError> {
    let ours = Breaker::new("parts", config())?;
    let shared = AtomicU64::new(0);
    bench
        .case("closed, all succeed, what there is to pay")
        .ours_in_batches(|count| ours.calls(count, Traffic::Well))
        .peer_in_batches("the operation alone", |count| {
            each(count, Traffic::Well, operation);
        })
        .peer("one add to a shared counter", || {
            black_box(shared.fetch_add(1, Relaxed));
        })
        .peer("one clock read", || {
            black_box(now());
        })
        .run();
    Ok(())
}

fn timed(bench: &mut Bench) -> Result<(), ConfigError> {
    let (ours, peers) = (Breaker::new("timed", timed_config()?)?, peers::timed());
    let case = bench
        .case("closed, all succeed, a minute, slow calls")
        .ours_in_batches(|count| ours.calls(count, Traffic::Well))
        .goal(Goal::at_most((2.0 * clock_read() + 30.0).round()))
        .peer("two clock reads", || {
            black_box((now(), now()));
        });
    beside(case, &peers, Traffic::Well).run();
    ensure(&ours, &peers, true);
    Ok(())
}

fn open(bench: &mut Bench) -> Result<(), ConfigError> {
    let supervised = Surroundings::of_process().with(supervisor());
    let ours = Breaker::within(&supervised, "open", config())?;
    let peers = peers::all();
    ours.calls(1000, Traffic::Badly);
    for (_, peer) in &peers {
        peer.calls(1000, Traffic::Badly);
    }
    ensure(&ours, &peers, false);
    let case = bench
        .case("open, supervised")
        .ours_in_batches(|count| refused(&ours, count))
        .goal(Goal::at_most(15.0).on_threads(1))
        // Half as much again: it scales.
        .goal(Goal::at_most(22.5).on_threads(2))
        .peer_in_batches("ours, handed on by `?`", |count| {
            ours.calls(count, Traffic::Well)
        });
    beside(case, &peers, Traffic::Well).run();
    ensure(&ours, &peers, false);
    Ok(())
}

/// Asks so many times and gets the explained rejection.
fn refused(breaker: &Breaker, count: u64) {
    let call = Call::new("charge");
    for _ in 0..count {
        black_box(&breaker.try_admit(black_box(&call)));
    }
}

fn open_alone(bench: &mut Bench) -> Result<(), ConfigError> {
    let ours = Breaker::new("alone", config())?;
    ours.calls(1000, Traffic::Badly);
    bench
        .case("open, alone")
        .ours_in_batches(|count| refused(&ours, count))
        .peer("one clock read", || {
            black_box(now());
        })
        .run();
    ensure(&ours, &Vec::new(), false);
    Ok(())
}

/// One that runs until the process ends.
fn supervisor() -> Supervisor {
    let supervisor = Supervisor::new();
    let running = supervisor.clone();
    thread::spawn(move || peers::runtime().block_on(running.run()));
    while !supervisor.is_running() {
        thread::yield_now();
    }
    supervisor
}

fn look_up(bench: &mut Bench) -> Result<(), ConfigError> {
    const NAMES: usize = 10_000;
    let registry = BreakerRegistry::keyed("inventory", config())?;
    let sharded: DashMap<String, Breaker> = DashMap::new();
    let locked: RwLock<HashMap<String, Breaker>> = RwLock::default();
    let names: Vec<String> = (0..NAMES).map(|n| format!("dependency-{n}")).collect();
    for name in &names {
        let breaker = registry.get(name);
        sharded.insert(name.clone(), breaker.clone());
        let mut locked = locked.write().unwrap_or_else(PoisonError::into_inner);
        locked.insert(name.clone(), breaker);
    }
    bench
        .case("one of 10,000 by name")
        .ours_in_batches(each_name(&names, |name| Some(registry.get(name))))
        .peer_in_batches(
            "DashMap",
            each_name(&names, |name| Some(sharded.get(name)?.clone())),
        )
        .peer_in_batches(
            "RwLock<HashMap>",
            each_name(&names, |name| {
                let locked = locked.read().unwrap_or_else(PoisonError::into_inner);
                locked.get(name).cloned()
            }),
        )
        .goal(Goal::at_most(60.0).on_threads(1))
        .run();
    assert_eq!(registry.len(), NAMES);
    Ok(())
}

/// Looks up one name after the other, in an order that no cache foresees.
fn each_name(
    names: &[String],
    find: impl Fn(&str) -> Option<Breaker> + Sync,
) -> impl Fn(u64) + Sync {
    // Meets all of them: it has no divisor in common with their number.
    const STEP: usize = 7919;
    let start = AtomicUsize::new(0);
    move |count| {
        // Each thread elsewhere, or all would meet at every name.
        let mut next = start.fetch_add(names.len() / 3, Relaxed) % names.len();
        for _ in 0..count {
            black_box(&find(&names[next]));
            next = (next + STEP) % names.len();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "it is what is compared")]
fn now() -> Instant {
    Instant::now()
}

/// How many nanoseconds it takes to read the clock: the least of some rounds.
fn clock_read() -> f64 {
    const READS: u32 = 100_000;
    let round = || {
        let start = now();
        for _ in 0..READS {
            black_box(now());
        }
        start.elapsed().as_nanos() as f64 / f64::from(READS)
    };
    (0..20).map(|_| round()).fold(f64::INFINITY, f64::min)
}
