//! Another attempt beside one that takes long.

mod costs;
mod delay;
mod model;
mod race;

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use rs_core::{Call, ClockHand, Failure, Operation, Outcome};
use rs_policies::{Budget, BudgetConfig, Hedge, HedgeConfig, HedgeEnd, Surroundings};

const MS: Duration = Duration::from_millis(1);

type Answer = Result<u32, Failure<&'static str>>;

fn bad(error: &'static str) -> Answer {
    let attempts = 1;
    Err(Failure::Operation { error, attempts })
}

/// An operation whose attempts answer when they are told to.
#[derive(Default)]
struct Lanes([Lane; 9]);

#[derive(Default)]
struct Lane {
    answer: Mutex<Option<Answer>>,
    begun: AtomicU32,
    alive: AtomicU32,
}

struct Attempt<'l>(&'l Lane);

impl Lanes {
    fn answer(&self, lane: usize, answer: Answer) {
        *self.0[lane].answer.lock().unwrap() = Some(answer);
    }

    /// Which attempts run.
    fn alive(&self) -> Vec<usize> {
        let alive = |lane: &usize| self.0[*lane].alive.load(SeqCst) > 0;
        (0..self.0.len()).filter(alive).collect()
    }

    fn begun(&self) -> u32 {
        self.0.iter().map(|lane| lane.begun.load(SeqCst)).sum()
    }
}

impl Operation for Lanes {
    type Output = u32;
    type Error = &'static str;

    fn attempt(&self, call: &Call) -> impl Future<Output = Answer> + Send {
        let lane = &self.0[usize::from(call.hedge())];
        lane.begun.fetch_add(1, SeqCst);
        lane.alive.fetch_add(1, SeqCst);
        Attempt(lane)
    }

    fn classify(&self, _call: &Call, result: &Answer) -> Outcome {
        match result {
            // A response that says that it is none.
            Ok(503) => Outcome::TRANSIENT,
            Ok(_) => Outcome::Success,
            Err(Failure::Operation { error: "mine", .. }) | Err(Failure::Rejected(_)) => {
                Outcome::Ignored
            }
            Err(_) => Outcome::TRANSIENT,
        }
    }
}

impl Future for Attempt<'_> {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Answer> {
        match self.0.answer.lock().unwrap().clone() {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, SeqCst);
    }
}

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

/// Surroundings whose clock stands still.
fn still() -> (Surroundings, ClockHand) {
    let (clock, hand) = rs_core::Clock::manual();
    (Surroundings::apart().with_clock(clock), hand)
}

/// A hedge without a budget, and the hand of its clock.
fn hedge(config: HedgeConfig) -> (Hedge, ClockHand) {
    let (around, hand) = still();
    let hedge = Hedge::with_budget(&around, "prices", config, None).unwrap();
    (hedge, hand)
}

fn read() -> Call {
    Call::new("price").safe_to_repeat()
}

fn empty_budget(around: &Surroundings) -> Budget {
    let nothing = BudgetConfig::of("10%".parse().unwrap()).at_least("0/s".parse().unwrap());
    Budget::within(around, "prices", nothing).unwrap()
}

#[track_caller]
fn check_ends(hedge: &Hedge, expected: &[(HedgeEnd, u64)]) {
    for end in <HedgeEnd as rs_core::Label>::ALL {
        let expected = expected.iter().find(|(known, _)| known == end);
        let expected = expected.map_or(0, |(_, count)| *count);
        assert_eq!(hedge.ended(*end), expected, "{end}");
    }
    assert_eq!(hedge.running(), 0, "running");
}
