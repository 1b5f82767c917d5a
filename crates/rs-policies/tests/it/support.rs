//! What all tests need: surroundings of their own, an operation that plays a script, and hands that move
//! time and poll futures one step at a time.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
    time::{Duration, Instant},
};

use proptest::test_runner::Config;
use rs_core::{
    Call, Clock, ClockHand, Directory, Failure, Fault, Measure, Name, Operation, Outcome, Reason,
    Rejection, Share, TimeScope, TimedOut, Unit,
};
use rs_metrics::Registry;
use rs_policies::Surroundings;

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const MS: Duration = Duration::from_millis(1);

pub(crate) fn percent(percent: u32) -> Share {
    Share::percent(percent.into()).unwrap()
}

/// Some cases; two hundred times as many with `RS_PATTERNS_LONG=1`.
pub(crate) fn cases(some: u32) -> Config {
    let long = std::env::var_os("RS_PATTERNS_LONG").is_some_and(|set| set == "1");
    Config {
        cases: if long { some * 200 } else { some },
        failure_persistence: None,
        ..Config::default()
    }
}

/// Surroundings apart from the world, and the hand that moves their time.
pub(crate) struct Bench {
    pub(crate) around: Surroundings,
    pub(crate) clock: Clock,
    pub(crate) hand: ClockHand,
    pub(crate) registry: Registry,
    pub(crate) directory: Directory,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let (clock, hand) = Clock::manual();
        let (registry, directory) = (Registry::new(), Directory::new());
        let around = Surroundings::apart()
            .with_clock(clock.clone())
            .with_metrics(registry.clone())
            .with_directory(directory.clone())
            .with_seed(7);
        Self {
            around,
            clock,
            hand,
            registry,
            directory,
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(crate) fn wait(&self, time: Duration) {
        self.hand.advance(time);
    }

    /// Runs to the end, a millisecond at a time; what came of it, and how long it took.
    #[track_caller]
    pub(crate) fn run<F: Future>(&self, future: F) -> (F::Output, Duration) {
        let (begin, mut future) = (self.now(), pin!(future));
        for _ in 0..1_000_000 {
            if let Poll::Ready(output) = poll(future.as_mut()) {
                return (output, self.now() - begin);
            }
            self.wait(MS);
        }
        panic!("still not done after {:?}", self.now() - begin);
    }

    /// What was announced, in words, the oldest first.
    pub(crate) fn said(&self) -> Vec<String> {
        let recent = self.around.recorder().recent(100);
        recent.iter().map(|one| one.signal.to_string()).collect()
    }
}

pub(crate) fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// A future that is done when it is first asked.
#[track_caller]
pub(crate) fn at_once<F: Future>(future: F) -> F::Output {
    match poll(pin!(future)) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

/// Polls so often, or until it is done, and then drops it.
pub(crate) fn poll_and_drop<F: Future>(
    bench: &Bench,
    future: F,
    polls: usize,
    step: Duration,
) -> bool {
    let mut future = pin!(future);
    for _ in 0..polls {
        if poll(future.as_mut()).is_ready() {
            return true;
        }
        bench.wait(step);
    }
    false
}

/// Counts how often it is woken.
#[derive(Default)]
pub(crate) struct Bell(AtomicUsize);

impl Bell {
    pub(crate) fn new() -> (Arc<Self>, Waker) {
        let bell = Arc::new(Self::default());
        (Arc::clone(&bell), bell.into())
    }

    pub(crate) fn rung(&self) -> usize {
        self.0.load(SeqCst)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// What an attempt does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Act {
    Succeed,
    /// Fails, and is classified so.
    Fail(Outcome),
    /// Succeeds, and is classified so.
    Answer(Outcome),
    /// A guard inside refuses it.
    Refuse(Rejection),
    /// A time limit inside ends it.
    TimeOut,
    Hang,
    Panic,
}

pub(crate) const FAIL: Act = Act::Fail(Outcome::TRANSIENT);

/// What it fails with: how it is to be classified.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bad(pub(crate) Outcome);

pub(crate) type Answer = Result<Outcome, Failure<Bad>>;

/// An operation that does one act after the other, the last one for ever, each after some time.
pub(crate) struct Script {
    acts: Vec<(Duration, Act)>,
    clock: Clock,
    played: AtomicUsize,
    alive: Arc<AtomicUsize>,
    calls: Mutex<Vec<(Instant, Call)>>,
}

impl Script {
    pub(crate) fn new(bench: &Bench, acts: impl IntoIterator<Item = Act>) -> Self {
        Self::slow(bench, acts.into_iter().map(|act| (Duration::ZERO, act)))
    }

    pub(crate) fn slow(bench: &Bench, acts: impl IntoIterator<Item = (Duration, Act)>) -> Self {
        Self {
            acts: acts.into_iter().collect(),
            clock: bench.clock.clone(),
            played: AtomicUsize::new(0),
            alive: Arc::default(),
            calls: Mutex::default(),
        }
    }

    /// How many attempts were begun.
    pub(crate) fn played(&self) -> usize {
        self.played.load(SeqCst)
    }

    /// How many attempts are neither over nor dropped.
    pub(crate) fn alive(&self) -> usize {
        self.alive.load(SeqCst)
    }

    /// What each attempt was told, and when.
    pub(crate) fn calls(&self) -> Vec<(Instant, Call)> {
        self.calls.lock().unwrap().clone()
    }

    /// How long after this moment each attempt began.
    pub(crate) fn begun(&self, since: Instant) -> Vec<Duration> {
        self.calls().iter().map(|(at, _)| *at - since).collect()
    }

    pub(crate) fn attempts(&self) -> Vec<u32> {
        self.calls()
            .iter()
            .map(|(_, call)| call.attempt())
            .collect()
    }
}

/// Lives as long as an attempt.
pub(crate) struct Alive(Arc<AtomicUsize>);

impl Alive {
    pub(crate) fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Operation for Script {
    type Output = Outcome;
    type Error = Bad;

    async fn attempt(&self, call: &Call) -> Answer {
        let number = self.played.fetch_add(1, SeqCst);
        self.calls.lock().unwrap().push((self.clock.now(), *call));
        let (time, act) = self.acts[number.min(self.acts.len() - 1)];
        let _alive = Alive::new(&self.alive);
        if !time.is_zero() {
            self.clock.sleep(time).await;
        }
        match act {
            Act::Succeed => Ok(Outcome::Success),
            Act::Answer(outcome) => Ok(outcome),
            Act::Fail(outcome) => Err(Failure::Operation {
                error: Bad(outcome),
                attempts: call.attempt(),
            }),
            Act::Refuse(why) => Err(why.into()),
            Act::TimeOut => Err(TimedOut::new(TimeScope::Attempt, time).into()),
            Act::Hang => std::future::pending().await,
            Act::Panic => panic!("as the script says"),
        }
    }

    fn classify(&self, _call: &Call, answer: &Answer) -> Outcome {
        match answer {
            Ok(outcome) => *outcome,
            Err(Failure::Operation { error, .. }) => error.0,
            Err(Failure::TimedOut(_)) => Fault::timed_out().into(),
            Err(_) => Outcome::Ignored,
        }
    }
}

static PEOPLE: Measure = Measure::new("people", Unit::Count);
static CROWDED: Reason = Reason::new("door", "crowded").judging(&PEOPLE);

/// A refusal by a guard inside.
pub(crate) fn refusal() -> Rejection {
    CROWDED.reject(Name::of("front")).because(3.0, 2.0)
}
