use std::{fmt, future::pending, sync::Arc, time::Duration};

use rs_core::{Call, Clock, Failure, Operation, Rejection, TimeLimits, TimedOut};

use crate::seldom::Seldom;

/// Does harm to attempts on purpose: what a crate that injects faults puts into a pipeline.
///
/// It stands innermost, so that every other part meets the harm as if the dependency had done it.
pub trait Chaos: Send + Sync {
    /// What happens to this attempt.
    fn strike(&self, call: &Call) -> Strike;
}

/// What happens to an attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Strike {
    /// Nothing.
    Spare,
    /// It begins this much later.
    Delay(Duration),
    /// It never ends.
    Hang,
    /// It is refused.
    Refuse(Rejection),
    /// It counts as having taken too long.
    TimeOut(TimedOut),
}

impl<F: Fn(&Call) -> Strike + Send + Sync> Chaos for F {
    fn strike(&self, call: &Call) -> Strike {
        self(call)
    }
}

/// The place of chaos in a pipeline.
#[derive(Clone)]
pub(super) struct Struck {
    pub(super) chaos: Arc<dyn Chaos>,
    pub(super) clock: Clock,
}

/// The operation, struck if there is chaos.
#[inline(always)]
pub(super) fn struck<'p, 'c, 'o, O: Operation>(
    chaos: Option<&'p Struck>,
    call: &'c Call,
    operation: &'o O,
    limits: TimeLimits,
) -> impl Future<Output = Result<O::Output, Failure<O::Error>>> + Send + use<'p, 'c, 'o, O> {
    match chaos {
        None => Seldom::Usual {
            running: operation.attempt_within(call, limits),
        },
        Some(struck) => Seldom::Other {
            boxed: Box::pin(struck.run(call, operation, limits)),
        },
    }
}

impl Struck {
    async fn run<O: Operation>(
        &self,
        call: &Call,
        operation: &O,
        limits: TimeLimits,
    ) -> Result<O::Output, Failure<O::Error>> {
        match self.chaos.strike(call) {
            Strike::Spare => {}
            Strike::Delay(time) => self.clock.sleep(time).await,
            Strike::Hang => pending().await,
            Strike::Refuse(why) => return Err(why.into()),
            Strike::TimeOut(what) => return Err(what.into()),
        }
        operation.attempt_within(call, limits).await
    }
}

impl fmt::Debug for Struck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Struck")
    }
}
