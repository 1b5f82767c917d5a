//! The cost of the words: of a stack of policies, and of recording a signal.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::Future,
    hint::black_box,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crossbeam_queue::ArrayQueue;
use rs_bench::{Bench, Goal};
use rs_core::{
    Call, Clock, Ending, Evidence, FlightRecorder, Guard, Measure, Name, Policy, Rejection,
    Severity, Signal, SignalKind, Striped, Unit,
};
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

static FAILED: Measure = Measure::new("failed", Unit::Count);
static OPENED: SignalKind = SignalKind::new(
    "breaker",
    "opened",
    Severity::Warning,
    "opened, {failed} failed",
);

const PAYMENTS: Name = Name::of("payments");

/// A guard that counts who is inside and how they left: the least that a real one does.
struct Counting {
    inside: AtomicU64,
    ended: AtomicU64,
}

impl Counting {
    const fn new() -> Self {
        Self {
            inside: AtomicU64::new(0),
            ended: AtomicU64::new(0),
        }
    }
}

impl Guard for Counting {
    type Ticket = u64;

    fn try_enter(&self, _call: &Call) -> Result<u64, Rejection> {
        Ok(self.inside.fetch_add(1, Relaxed))
    }

    fn leave(&self, _ticket: u64, _ending: Ending) {
        self.inside.fetch_sub(1, Relaxed);
        self.ended.fetch_add(1, Relaxed);
    }
}

/// A guard that admits everybody and counts nobody: the cost of the words themselves.
struct Open;

impl Guard for Open {
    type Ticket = ();

    fn try_enter(&self, _call: &Call) -> Result<(), Rejection> {
        Ok(())
    }

    fn leave(&self, (): (), _ending: Ending) {}
}

fn main() {
    let mut bench = Bench::from_args("core");
    stacks(&mut bench);
    signals(&mut bench);
    parts(&mut bench);
    bench.finish();
}

fn stacks(bench: &mut Bench) {
    let six = (Open, Open, Open, Open, Open, Open);
    let counting: [Counting; 6] = std::array::from_fn(|_| Counting::new());
    let [a, b, c, d, e, f] = &counting;
    let counted = (a, b, c, d, e, f);

    bench
        .case("six parts that do nothing")
        .ours_in_batches(|count| {
            in_runtime(async {
                for _ in 0..count {
                    let _ = black_box(six.call("charge", ready).await);
                }
            });
        })
        .peer_in_batches("the operation alone", |count| {
            in_runtime(async {
                for _ in 0..count {
                    let _ = black_box(ready(Call::new("charge")).await);
                }
            });
        })
        .run();

    bench
        .case("six parts, two atomics each way")
        .ours_in_batches(|count| {
            in_runtime(async {
                for _ in 0..count {
                    let _ = black_box(counted.call("charge", ready).await);
                }
            });
        })
        .peer_in_batches("the same atomics by hand", |count| {
            in_runtime(async {
                for _ in 0..count {
                    for guard in &counting {
                        let ticket = guard.try_enter(&Call::new("charge"));
                        let _ = black_box(ticket);
                    }
                    let _ = black_box(ready(Call::new("charge")).await);
                    for guard in &counting {
                        guard.leave(0, Ending::Cancelled);
                    }
                }
            });
        })
        .peer_in_batches("tower, two parts, one per thread", |count| {
            let mut service = ServiceBuilder::new()
                .timeout(Duration::from_secs(1))
                .concurrency_limit(64)
                .service(service_fn(async |number: u64| Ok::<_, Infallible>(number)));
            in_runtime(async {
                for number in 0..count {
                    if let Ok(ready) = service.ready().await {
                        let _ = black_box(ready.call(number).await);
                    }
                }
            });
        })
        .run();
}

async fn ready(call: Call) -> Result<u32, Infallible> {
    Ok(call.attempt())
}

fn signals(bench: &mut Bench) {
    let recorder = FlightRecorder::new(4096);
    let off = FlightRecorder::new(4096);
    off.switch_off();
    let queue = ArrayQueue::new(4096);
    let deque = Mutex::new(VecDeque::with_capacity(4096));
    let (broadcast, _keep) = tokio::sync::broadcast::channel(4096);
    let clock = Clock::default();

    bench
        .case("record a signal")
        .ours(|| recorder.record(signal))
        .peer("crossbeam ArrayQueue", || {
            black_box(queue.force_push((signal(), clock.now())));
        })
        .peer("tokio broadcast", || {
            let _ = black_box(broadcast.send((signal(), clock.now())));
        })
        .peer("Mutex<VecDeque>", || {
            let mut deque = deque.lock().unwrap_or_else(PoisonError::into_inner);
            if deque.len() == 4096 {
                deque.pop_front();
            }
            deque.push_back((signal(), clock.now()));
        })
        .goal(Goal::at_most(100.0).on_threads(1))
        .run();

    bench
        .case("a signal that nobody wants")
        .ours(|| black_box(&off).record(signal))
        .peer("tracing event, no subscriber", || {
            tracing::warn!(failed = black_box(11), "opened");
        })
        .goal(Goal::at_most(3.0))
        .run();
}

fn signal() -> Signal {
    let failed: Evidence = FAILED.at(black_box(11.0));
    OPENED.signal(PAYMENTS).with(failed)
}

fn parts(bench: &mut Bench) {
    let clock = Clock::default();
    bench
        .case("read the clock")
        .ours(|| {
            black_box(clock.now());
        })
        .peer("tokio's", || {
            #[expect(clippy::disallowed_methods, reason = "it is what is compared")]
            black_box(tokio::time::Instant::now());
        })
        .run();

    bench
        .case("make a call")
        .ours(|| {
            black_box(Call::new(black_box("charge")));
        })
        .run();

    let striped: Striped<AtomicU64> = Striped::new(AtomicU64::default);
    let atomic = AtomicU64::new(0);
    bench
        .case("count in a stripe")
        .ours(|| {
            black_box(striped.local().fetch_add(1, Relaxed));
        })
        .peer("bare atomic", || {
            black_box(atomic.fetch_add(1, Relaxed));
        })
        .run();
}

/// Drives the loop as a worker of a runtime would, but without switching it off now and then.
fn in_runtime(future: impl Future<Output = ()>) {
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => panic!("{error}"),
    };
    runtime.block_on(tokio::task::unconstrained(future));
}
