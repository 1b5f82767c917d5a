//! What every policy promises that runs an operation: a retry, a limit, a fallback, a whole pipeline.

use std::{
    fmt::Debug,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::atomic::{AtomicU32, Ordering},
    task::Poll,
};

use rs_core::{Call, Failure, Fault, Operation, Outcome, Policy};

use super::poll;

/// An operation that is watched: how often it was begun, and how many of its attempts are still there.
struct Watched {
    answer: Answer,
    begun: AtomicU32,
    alive: AtomicU32,
    /// Attempts that were told of another call than the one that was made.
    strangers: AtomicU32,
}

#[derive(Clone, Copy)]
enum Answer {
    /// At once.
    Good,
    /// After it was asked so often.
    Late(u32),
    /// With an error that trying again cannot mend.
    Bad,
    Never,
}

const NAME: &str = "contract";
const VALUE: u32 = 17;
const ERROR: u32 = 71;

/// An attempt; as long as it lives it is counted.
struct Alive<'a>(&'a AtomicU32);

impl Drop for Alive<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Watched {
    const fn answering(answer: Answer) -> Self {
        Self {
            answer,
            begun: AtomicU32::new(0),
            alive: AtomicU32::new(0),
            strangers: AtomicU32::new(0),
        }
    }

    fn begun(&self) -> u32 {
        self.begun.load(Ordering::SeqCst)
    }

    fn alive(&self) -> u32 {
        self.alive.load(Ordering::SeqCst)
    }
}

impl Operation for Watched {
    type Output = u32;
    type Error = u32;

    async fn attempt(&self, call: &Call) -> Result<u32, Failure<u32>> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        self.alive.fetch_add(1, Ordering::SeqCst);
        let _alive = Alive(&self.alive);
        if call.name().as_str() != NAME {
            self.strangers.fetch_add(1, Ordering::SeqCst);
        }
        let mut asked = 0;
        poll_fn(|context| {
            asked += 1;
            let wait = match self.answer {
                Answer::Good | Answer::Bad => false,
                Answer::Late(times) => asked <= times,
                Answer::Never => true,
            };
            if wait {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        })
        .await;
        match self.answer {
            Answer::Bad => Err(Failure::Operation {
                error: ERROR,
                attempts: call.attempt(),
            }),
            _ => Ok(VALUE),
        }
    }

    fn classify(&self, _call: &Call, result: &Result<u32, Failure<u32>>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(_) => Fault::permanent().into(),
        }
    }
}

/// Polls to the end, which must come without real time.
#[track_caller]
fn run<F: Future>(future: F, what: &str) -> F::Output {
    let mut future = pin!(future);
    for _ in 0..10_000 {
        if let Poll::Ready(output) = poll(future.as_mut()) {
            return output;
        }
    }
    panic!("contract: {what} is never done");
}

#[track_caller]
fn expect<T: PartialEq + Debug>(found: &T, expected: &T, what: &str) {
    assert!(
        found == expected,
        "contract: {what} comes back as {found:?} and not as {expected:?}"
    );
}

/// What succeeds comes back as it is after one attempt, at once or late, and the attempt is told of the call
/// that was made.
///
/// # Panics
/// When it is otherwise.
#[track_caller]
pub fn hands_on<P: Policy<u32, u32>>(make: impl Fn() -> P) {
    let call = Call::new(NAME);
    for (answer, what) in [
        (Answer::Good, "a result that is there at once"),
        (Answer::Late(3), "a result that takes a while"),
    ] {
        let (policy, operation) = (make(), Watched::answering(answer));
        let result = run(policy.run(&call, &operation), what);
        expect(&result, &Ok(VALUE), what);
        let begun = operation.begun();
        assert!(
            begun == 1,
            "contract: {what} takes {begun} attempts and not one"
        );
        let strangers = operation.strangers.load(Ordering::SeqCst);
        assert!(
            strangers == 0,
            "contract: an attempt is told of another call than the one that was made"
        );
        assert!(
            operation.alive() == 0,
            "contract: an attempt is still there when its call is over"
        );
    }
}

/// An error that trying again cannot mend comes back as it is. For policies that do not answer in its place.
///
/// # Panics
/// When it is otherwise.
#[track_caller]
pub fn keeps_errors<P: Policy<u32, u32>>(make: impl Fn() -> P) {
    let (policy, operation) = (make(), Watched::answering(Answer::Bad));
    let what = "an error for good";
    let result = run(policy.run(&Call::new(NAME), &operation), what);
    let error = match &result {
        Err(Failure::Operation { error, .. }) => Some(*error),
        _ => None,
    };
    expect(&error, &Some(ERROR), what);
    let begun = operation.begun();
    assert!(
        begun == 1,
        "contract: {what} is tried {begun} times and not once"
    );
}

/// Wherever a call is dropped, its attempts are gone, none is begun afterwards, and the next call gets through.
///
/// # Panics
/// When it is otherwise.
#[track_caller]
pub fn lets_go<P: Policy<u32, u32>>(make: impl Fn() -> P) {
    let (policy, call) = (make(), Call::new(NAME));
    for polls in 0..8 {
        let operation = Watched::answering(Answer::Never);
        {
            let running: Pin<Box<dyn Future<Output = _>>> = Box::pin(policy.run(&call, &operation));
            let mut running = running;
            for _ in 0..polls {
                if poll(running.as_mut()).is_ready() {
                    panic!("contract: a call is over whose operation is not");
                }
            }
        }
        let alive = operation.alive();
        assert!(
            alive == 0,
            "contract: {alive} attempts are left of a call that was dropped after {polls} polls"
        );
        let next = Watched::answering(Answer::Good);
        let what = "the call after one that was dropped";
        let result = run(policy.run(&call, &next), what);
        expect(&result, &Ok(VALUE), what);
    }
}
