//! What answers where a call fails.

#[cfg(feature = "cache")]
mod last_good;
mod matrix;
#[cfg(feature = "cache")]
mod refresh;
mod sources;

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
    time::Duration,
};

use rs_core::{Call, Failure, Fault, Name, Operation, Outcome, Reason, TimeScope, TimedOut};

const MS: Duration = Duration::from_millis(1);

type Answer = Result<u32, Failure<&'static str>>;

static OPEN: Reason = Reason::new("breaker", "open");

fn bad(error: &'static str) -> Answer {
    let attempts = 1;
    Err(Failure::Operation { error, attempts })
}

fn refused() -> Answer {
    Err(Failure::Rejected(OPEN.reject(Name::of("prices"))))
}

fn late() -> Answer {
    Err(Failure::TimedOut(TimedOut::new(TimeScope::Total, MS)))
}

/// An operation that ends like this at once, judged by what its error says.
struct Ends(Answer);

impl Operation for Ends {
    type Output = u32;
    type Error = &'static str;

    fn attempt(&self, _call: &Call) -> impl Future<Output = Answer> + Send {
        std::future::ready(self.0.clone())
    }

    fn classify(&self, _call: &Call, result: &Answer) -> Outcome {
        match result {
            Ok(503) => Outcome::TRANSIENT,
            Ok(404) => Outcome::Ignored,
            Ok(_) => Outcome::Success,
            Err(Failure::Operation { error, .. }) => match *error {
                "gone" => Outcome::PERMANENT,
                "slow" => Fault::timed_out().into(),
                "busy" => Fault::throttled().into(),
                "mine" => Outcome::Ignored,
                "fine" => Outcome::Success,
                _ => Outcome::TRANSIENT,
            },
            Err(Failure::TimedOut(_)) => Fault::timed_out().into(),
            Err(_) => Outcome::Ignored,
        }
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
