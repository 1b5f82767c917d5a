//! What all tests need: a manager apart from the world, and workers that do as they are told.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
    time::{Duration, Instant},
};

use rs_core::{Backoff, Clock, Directory, Jitter, Mandate, Name};
use rs_metrics::Registry;
use rs_workers::{
    GroupConfig, Intensity, ManagerConfig, Plain, Surroundings, Worker, WorkerContext, WorkerError,
    WorkerManager, worker,
};

pub(crate) const MILLI: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// Surroundings of its own, and what it writes down.
pub(crate) struct Bench {
    pub(crate) around: Surroundings,
    pub(crate) directory: Directory,
    pub(crate) registry: Registry,
    pub(crate) workers: WorkerManager,
    pub(crate) log: Log,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(ManagerConfig::default())
    }

    pub(crate) fn with(config: ManagerConfig) -> Self {
        let (directory, registry) = (Directory::new(), Registry::new());
        let around = Surroundings::apart()
            .with_directory(directory.clone())
            .with_metrics(registry.clone())
            .with_seed(7);
        let workers = WorkerManager::within(&around, "bench", config).unwrap();
        Self {
            around,
            directory,
            registry,
            workers,
            log: Log::default(),
        }
    }

    /// What was announced, in words.
    pub(crate) fn said(&self) -> Vec<String> {
        let recent = self.around.recorder().recent(100);
        recent.iter().map(|one| one.signal.to_string()).collect()
    }

    pub(crate) fn heard(&self, words: &str) -> bool {
        self.said().iter().any(|said| said.contains(words))
    }
}

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn write(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// A worker that writes down when it starts and stops, and does nothing else.
pub(crate) fn quiet(name: &'static str, log: &Log) -> impl Worker + use<> {
    let log = log.clone();
    worker(name, move |ctx: WorkerContext| {
        let log = log.clone();
        async move {
            log.write(format!("+{name}"));
            ctx.stopped().await;
            log.write(format!("-{name}"));
        }
    })
}

/// How many are alive, by a guard in each.
#[derive(Clone, Default)]
pub(crate) struct Alive(Arc<AtomicUsize>);

impl Alive {
    pub(crate) fn enter(&self) -> AliveGuard {
        self.0.fetch_add(1, SeqCst);
        AliveGuard(self.clone())
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(SeqCst)
    }
}

pub(crate) struct AliveGuard(Alive);

impl Drop for AliveGuard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, SeqCst);
    }
}

/// Restarts at once.
pub(crate) fn at_once() -> Backoff {
    Backoff::constant(Duration::ZERO).with_jitter(Jitter::None)
}

/// Restarts after a second.
pub(crate) fn a_second() -> Backoff {
    Backoff::constant(SECOND).with_jitter(Jitter::None)
}

pub(crate) fn root(root: GroupConfig) -> ManagerConfig {
    ManagerConfig::default().with_root(root)
}

pub(crate) fn anna() -> Mandate {
    Mandate::new("anna", "a drill")
}

pub(crate) fn intensity(restarts: u32, within: Duration) -> Intensity {
    Intensity::of(restarts, within)
}

/// Lets everything happen that happens without the time going on.
pub(crate) async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// How long something takes on tokio's clock.
#[derive(Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Clock::tokio().now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        Clock::tokio().now() - self.0
    }
}

/// Waits on tokio's clock, which stands still in most tests.
pub(crate) async fn sleep(time: Duration) {
    Clock::tokio().sleep(time).await;
}

/// What the future gives, if it does so in time.
pub(crate) async fn in_time<T>(time: Duration, future: impl Future<Output = T>) -> Result<T, ()> {
    let (mut late, mut future) = (pin!(sleep(time)), pin!(future));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Ok(value)),
        Poll::Pending => late.as_mut().poll(cx).map(|()| Err(())),
    })
    .await
}

/// A task beside the test.
#[expect(clippy::disallowed_methods, reason = "a test may start tasks")]
pub(crate) fn spawn<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    tokio::spawn(task)
}

/// What a worker is told to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Return,
    Fail,
    Panic,
}

/// A worker that waits for orders, and is told to stop like any other.
#[derive(Clone)]
pub(crate) struct Puppet {
    pub(crate) name: Name,
    strings: Arc<Strings>,
}

#[derive(Default)]
struct Strings {
    order: Mutex<Option<Order>>,
    pulled: tokio::sync::Notify,
    alive: Alive,
    /// The most that were alive at once.
    most: AtomicUsize,
    starts: AtomicUsize,
    /// How long it takes to obey a stop.
    slow: Mutex<Duration>,
}

impl Puppet {
    pub(crate) fn new(name: impl Into<Name>) -> Self {
        Self {
            name: name.into(),
            strings: Arc::default(),
        }
    }

    pub(crate) fn worker(&self) -> impl Worker + use<> {
        let strings = Arc::clone(&self.strings);
        let run = move |ctx: WorkerContext| {
            let strings = Arc::clone(&strings);
            async move {
                let _alive = strings.alive.enter();
                strings.starts.fetch_add(1, SeqCst);
                strings.most.fetch_max(strings.alive.count(), SeqCst);
                loop {
                    let pulled = strings.pulled.notified();
                    let order = strings.order.lock().unwrap().take();
                    match order {
                        Some(Order::Return) => return Ok(()),
                        Some(Order::Fail) => return Err(WorkerError::from("told to")),
                        // Without a word on the terminal.
                        Some(Order::Panic) => std::panic::resume_unwind(Box::new("told to")),
                        None => {}
                    }
                    if ctx.unless_stopped(pulled).await.is_none() {
                        let slow = *strings.slow.lock().unwrap();
                        sleep(slow).await;
                        return Ok(());
                    }
                }
            }
        };
        let made: Plain<_> = worker(self.name, run);
        made
    }

    pub(crate) fn pull(&self, order: Order) {
        *self.strings.order.lock().unwrap() = Some(order);
        self.strings.pulled.notify_waiters();
    }

    pub(crate) fn slow(&self, time: Duration) {
        *self.strings.slow.lock().unwrap() = time;
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.strings.alive.count() > 0
    }

    pub(crate) fn starts(&self) -> usize {
        self.strings.starts.load(SeqCst)
    }

    pub(crate) fn most(&self) -> usize {
        self.strings.most.load(SeqCst)
    }
}
