//! Guards and policies as an outside user would write them, and the tools to watch them with.

use std::{
    collections::BTreeSet,
    fmt,
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
    time::Duration,
};

use proptest::test_runner::Config;
use rs_core::{
    Call, Clock, Ending, Failure, Guard, Measure, Name, Operation, Outcome, Policy, Reason,
    Rejection, TimeScope, TimedOut, Unit,
};
use tokio::sync::Semaphore;

/// Some hundreds of cases; a hundred thousand with `RS_PATTERNS_LONG=1`.
pub(crate) fn cases() -> Config {
    some_cases(400)
}

/// Some cases; 250 times as many with `RS_PATTERNS_LONG=1`.
pub(crate) fn some_cases(some: u32) -> Config {
    let long = std::env::var_os("RS_PATTERNS_LONG").is_some_and(|set| set == "1");
    Config {
        cases: if long { some * 250 } else { some },
        failure_persistence: None,
        ..Config::default()
    }
}

pub(crate) fn poll_once<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls to the end without a runtime; nothing in the future may wait for something outside.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    for _ in 0..10_000 {
        if let Poll::Ready(output) = poll_once(future.as_mut()) {
            return output;
        }
    }
    panic!("still pending after ten thousand polls");
}

/// Is pending so many times.
pub(crate) async fn pause(times: usize) {
    let mut left = times;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// What happened, in the order in which it did.
#[derive(Debug, Clone, Default)]
pub(crate) struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    pub(crate) fn write(&self, line: impl fmt::Display) {
        self.0.lock().unwrap().push(line.to_string());
    }

    pub(crate) fn read(&self) -> String {
        self.0.lock().unwrap().join(" ")
    }
}

/// A guard with so many seats that waits for a free one, and keeps book of every ticket.
pub(crate) struct Seats {
    name: Name,
    all: usize,
    free: Semaphore,
    /// How often a call is pending on its way to the queue.
    steps: usize,
    diary: Diary,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    issued: u64,
    inside: BTreeSet<u64>,
    strangers: u64,
    endings: Vec<Ending>,
}

/// Neither `Clone` nor `Copy`: it can come back once.
#[derive(Debug)]
pub(crate) struct Ticket(u64);

static TAKEN: Measure = Measure::new("seats taken", Unit::Count);
static FULL: Reason = Reason::new("seats", "full").judging(&TAKEN);

impl Seats {
    pub(crate) fn new(name: &'static str, all: usize) -> Self {
        Self {
            name: name.into(),
            all,
            free: Semaphore::new(all),
            steps: 0,
            diary: Diary::default(),
            book: Mutex::default(),
        }
    }

    pub(crate) fn with_steps(mut self, steps: usize) -> Self {
        self.steps = steps;
        self
    }

    pub(crate) fn writing(mut self, diary: &Diary) -> Self {
        self.diary = diary.clone();
        self
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }

    fn issue(&self) -> Ticket {
        self.diary.write(format_args!("+{}", self.name));
        let mut book = self.book();
        let number = book.issued;
        book.issued += 1;
        book.inside.insert(number);
        Ticket(number)
    }

    pub(crate) fn inside(&self) -> usize {
        self.book().inside.len()
    }

    pub(crate) fn issued(&self) -> u64 {
        self.book().issued
    }

    pub(crate) fn endings(&self) -> Vec<Ending> {
        self.book().endings.clone()
    }

    pub(crate) fn cancelled(&self) -> usize {
        let endings = self.endings();
        endings.iter().filter(|e| **e == Ending::Cancelled).count()
    }

    /// Every ticket came back, each once, and every seat is free.
    #[track_caller]
    pub(crate) fn assert_settled(&self) {
        let book = self.book();
        assert_eq!(
            book.inside,
            BTreeSet::new(),
            "{}: tickets still out",
            self.name
        );
        assert_eq!(book.strangers, 0, "{}: tickets back twice", self.name);
        assert_eq!(book.endings.len() as u64, book.issued, "{}", self.name);
        assert_eq!(self.free.available_permits(), self.all, "{}", self.name);
    }
}

impl Guard for Seats {
    type Ticket = Ticket;

    fn try_enter(&self, _call: &Call) -> Result<Ticket, Rejection> {
        match self.free.try_acquire() {
            Ok(seat) => {
                seat.forget();
                Ok(self.issue())
            }
            Err(_) => {
                let all = self.all as f64;
                Err(FULL.reject(self.name).because(all, all))
            }
        }
    }

    async fn enter(&self, _call: &Call) -> Result<Ticket, Rejection> {
        pause(self.steps).await;
        match self.free.acquire().await {
            Ok(seat) => seat.forget(),
            Err(_) => return Err(FULL.reject(self.name)),
        }
        Ok(self.issue())
    }

    fn leave(&self, ticket: Ticket, ending: Ending) {
        self.diary.write(format_args!("-{}", self.name));
        let mut book = self.book();
        if !book.inside.remove(&ticket.0) {
            book.strangers += 1;
        }
        book.endings.push(ending);
        self.free.add_permits(1);
    }
}

/// A guard that refuses everything.
pub(crate) struct Closed;

static CLOSED: Reason = Reason::new("door", "closed");

impl Guard for Closed {
    type Ticket = ();

    fn try_enter(&self, _call: &Call) -> Result<(), Rejection> {
        Err(CLOSED
            .reject(Name::of("front"))
            .in_generation(7)
            .try_at(Clock::default().now() + Duration::from_secs(3)))
    }

    fn leave(&self, (): (), _ending: Ending) {
        unreachable!("nobody was let in");
    }
}

/// Tries again while the operation says that this can help.
pub(crate) struct Retry(pub(crate) u32);

impl<T: Send, E: Send> Policy<T, E> for Retry {
    async fn run<O>(&self, call: &Call, operation: &O) -> Result<T, Failure<E>>
    where
        O: Operation<Output = T, Error = E>,
    {
        let mut attempt = 1;
        loop {
            let result = operation.attempt(&call.at_attempt(attempt)).await;
            let fault = operation.classify(call, &result).fault();
            if attempt >= self.0 || !fault.is_some_and(|fault| fault.is_transient()) {
                return result;
            }
            attempt += 1;
        }
    }
}

/// Ends the call when its time is over.
pub(crate) struct Limit {
    pub(crate) scope: TimeScope,
    pub(crate) time: Duration,
    pub(crate) clock: Clock,
}

impl Limit {
    pub(crate) fn new(scope: TimeScope, time: Duration, clock: &Clock) -> Self {
        let clock = clock.clone();
        Self { scope, time, clock }
    }
}

impl<T: Send, E: Send> Policy<T, E> for Limit {
    async fn run<O>(&self, call: &Call, operation: &O) -> Result<T, Failure<E>>
    where
        O: Operation<Output = T, Error = E>,
    {
        tokio::select! {
            biased;
            result = operation.attempt(call) => result,
            () = self.clock.sleep(self.time) => Err(TimedOut::new(self.scope, self.time).into()),
        }
    }
}

/// Makes two attempts at once and takes the first success, or else the later failure.
pub(crate) struct Hedge;

impl<T: Send, E: Send> Policy<T, E> for Hedge {
    async fn run<O>(&self, call: &Call, operation: &O) -> Result<T, Failure<E>>
    where
        O: Operation<Output = T, Error = E>,
    {
        let mut first = pin!(operation.attempt(call));
        let again = call.at_attempt(2);
        let mut second = pin!(operation.attempt(&again));
        tokio::select! {
            biased;
            result = &mut first => match operation.classify(call, &result) {
                Outcome::Success => result,
                _ => second.await,
            },
            result = &mut second => match operation.classify(&again, &result) {
                Outcome::Success => result,
                _ => first.await,
            },
        }
    }
}
