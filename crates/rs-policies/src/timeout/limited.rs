//! What ends something that takes too long.

use std::{
    future::Future,
    pin::Pin,
    sync::atomic::Ordering,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use pin_project_lite::pin_project;
use rs_core::{Call, Clock, Deadline, Failure, TimeScope, TimedOut};

use super::Timeout;

pub(crate) type Timer<'t> = Pin<Box<dyn Future<Output = ()> + Send + 't>>;

pin_project! {
    /// A future with a limit, a deadline, both or none. It looks at the clock and sets a timer when what
    /// it limits has to wait for the first time.
    #[must_use = "futures do nothing unless polled"]
    pub(crate) struct Limited<'t, 'c, F> {
        #[pin]
        running: Running<F>,
        limits: Limits<'t, 'c>,
        waited: Waited<'t>,
    }
}

pin_project! {
    #[project = RunningProjection]
    enum Running<F> {
        Yes { #[pin] future: F },
        No,
    }
}

impl<'t, 'c, F> Limited<'t, 'c, F> {
    #[inline(always)]
    pub(crate) const fn new(limits: Limits<'t, 'c>, future: F) -> Self {
        Self {
            running: Running::Yes { future },
            limits,
            waited: Waited::NOT_YET,
        }
    }
}

impl<T, E, F> Future for Limited<'_, '_, F>
where
    F: Future<Output = Result<T, Failure<E>>>,
{
    type Output = Result<T, Failure<E>>;

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let RunningProjection::Yes { future } = this.running.as_mut().project() else {
            unreachable!("polled again after it was over");
        };
        // Returned as it is: a result that is taken apart is moved.
        let mut polled = future.poll(context);
        if polled.is_pending()
            && let Poll::Ready(what) = this.waited.poll_over(*this.limits, context)
        {
            this.running.set(Running::No);
            polled = Poll::Ready(Err(what.into()));
        } else {
            this.waited.claim(*this.limits, &mut polled);
        }
        polled
    }
}

/// What limits something: a time limit, the deadline of a call, both or none.
#[derive(Clone, Copy)]
pub(crate) struct Limits<'t, 'c> {
    pub(crate) timeout: Option<&'t Timeout>,
    pub(crate) clock: &'t Clock,
    pub(crate) call: &'c Call,
}

/// How long something that is limited has waited, if it had to wait.
pub(crate) struct Waited<'t>(Option<Box<Since<'t>>>);

struct Since<'t> {
    /// When it first had to wait.
    begun: Instant,
    /// What comes first of all that limits it, if anything does.
    limit: Option<Set<'t>>,
}

/// A timer that was set.
struct Set<'t> {
    timer: Timer<'t>,
    what: TimedOut,
    /// Whether it ends the call, or is only counted.
    ends: bool,
    /// Whether the time limit is told of it.
    is_told: bool,
}

/// Most never waited: so much is looked at where it is dropped, and only the rest is called.
impl Drop for Waited<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if let Some(since) = self.0.take() {
            forget_timer(since);
        }
    }
}

#[cold]
#[inline(never)]
fn forget_timer(since: Box<Since<'_>>) {
    drop(since);
}

impl<'t> Waited<'t> {
    pub(crate) const NOT_YET: Self = Self(None);

    /// Asked whenever it has to wait: whether it has waited too long. The first time this looks at the
    /// clock and sets the timer.
    #[inline(never)]
    pub(crate) fn poll_over(
        &mut self,
        limits: Limits<'t, '_>,
        context: &mut Context<'_>,
    ) -> Poll<TimedOut> {
        let since = self.0.get_or_insert_with(|| {
            let begun = limits.clock.now();
            let limit = limits.first_after(begun, limits.timeout);
            Box::new(Since { begun, limit })
        });
        loop {
            let Some(set) = &mut since.limit else {
                return Poll::Pending;
            };
            ready!(set.timer.as_mut().poll(context));
            if let Some(timeout) = limits.timeout
                && set.is_told
            {
                timeout.count(set.what, set.ends);
            }
            if set.ends {
                return Poll::Ready(set.what);
            }
            // In the dark: from now on only what the call brought holds.
            since.limit = limits.first_after(since.begun, None);
        }
    }

    /// What ended for a deadline inside may have ended for this limit: what is inside is told of it, sees a
    /// deadline in it, and may be the first to notice that it has passed. Whoever set it reports it.
    #[inline(always)]
    pub(crate) fn claim<T, E>(
        &self,
        limits: Limits<'t, '_>,
        polled: &mut Poll<Result<T, Failure<E>>>,
    ) {
        if let Poll::Ready(Err(Failure::TimedOut(what))) = polled
            && let Some(own) = self.ended(limits, *what)
        {
            *polled = Poll::Ready(Err(own.into()));
        }
    }

    #[cold]
    fn ended(&self, limits: Limits<'t, '_>, what: TimedOut) -> Option<TimedOut> {
        let (timeout, since) = (limits.timeout?, self.0.as_ref()?);
        let set = since.limit.as_ref()?;
        let own = set.ends && set.what.scope() != TimeScope::Deadline;
        if !own || what.scope() != TimeScope::Deadline {
            return None;
        }
        // It counts from a moment that is a little earlier than this one's.
        let elapsed = limits.clock.now().saturating_duration_since(since.begun);
        if elapsed + TICK < set.what.limit() {
            return None;
        }
        timeout.count(set.what, true);
        Some(set.what)
    }
}

impl<'t> Limits<'t, '_> {
    /// Whatever comes first of this limit and what the call brought, if anything does.
    fn first_after(self, begun: Instant, timeout: Option<&Timeout>) -> Option<Set<'t>> {
        let of_timeout = timeout.map(|timeout| {
            let limit = Duration::from_nanos(timeout.0.limit.load(Ordering::Relaxed));
            let what = TimedOut::new(timeout.0.scope, limit);
            (what, timeout.config().enforcement.covers(self.call))
        });
        let deadline = self.call.deadline().map(|at| at.remaining(begun));
        let of_call = [deadline, self.call.limits().call()].into_iter().flatten();
        let of_call = of_call.map(|left| (TimedOut::new(TimeScope::Deadline, left), true));
        let first = of_timeout.into_iter().chain(of_call);
        let (what, ends) = first.min_by_key(|(what, _)| what.limit())?;
        let moment = Deadline::after(begun, what.limit()).moment();
        let timer = Box::pin(self.clock.sleep_until(moment));
        Some(Set {
            timer,
            what,
            ends,
            is_told: timeout.is_some(),
        })
    }
}

/// Timers are as exact as this.
const TICK: Duration = Duration::from_millis(1);
