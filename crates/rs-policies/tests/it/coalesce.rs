//! Calls that share a run.

mod limits;
mod model;
mod sharing;
mod threads;

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use rs_core::{Call, ClockHand, Failure, Operation, Outcome};
use rs_policies::{Coalesce, CoalesceConfig, CoalesceRole, Surroundings};

const MS: Duration = Duration::from_millis(1);

type Answer = Result<u32, Failure<&'static str>>;

fn bad(error: &'static str) -> Answer {
    let attempts = 1;
    Err(Failure::Operation { error, attempts })
}

/// An operation that answers when it is told to, and counts how often it runs.
#[derive(Default)]
struct Door {
    answer: Mutex<Option<Answer>>,
    begun: AtomicU32,
    alive: AtomicU32,
}

struct Visit<'d>(&'d Door);

impl Door {
    fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = Some(answer);
    }

    fn begun(&self) -> u32 {
        self.begun.load(SeqCst)
    }
}

impl Operation for Door {
    type Output = u32;
    type Error = &'static str;

    fn attempt(&self, _call: &Call) -> impl Future<Output = Answer> + Send {
        self.begun.fetch_add(1, SeqCst);
        self.alive.fetch_add(1, SeqCst);
        Visit(self)
    }

    fn classify(&self, _call: &Call, result: &Answer) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::TRANSIENT,
        }
    }
}

impl Future for Visit<'_> {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Answer> {
        match self.0.answer.lock().unwrap().clone() {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        }
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, SeqCst);
    }
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn coalesce(config: CoalesceConfig) -> (Coalesce<u32, &'static str>, ClockHand) {
    let (clock, hand) = rs_core::Clock::manual();
    let around = Surroundings::apart().with_clock(clock);
    (Coalesce::within(&around, "prices", config).unwrap(), hand)
}

fn price() -> Call {
    Call::new("price").with_key("sku-17")
}

#[track_caller]
fn check_calls<T, E>(coalesce: &Coalesce<T, E>, expected: &[(CoalesceRole, u64)]) {
    for role in <CoalesceRole as rs_core::Label>::ALL {
        let expected = expected.iter().find(|(known, _)| known == role);
        let expected = expected.map_or(0, |(_, count)| *count);
        assert_eq!(coalesce.calls(*role), expected, "{role}");
    }
    assert_eq!((coalesce.running(), coalesce.waiting()), (0, 0));
}
