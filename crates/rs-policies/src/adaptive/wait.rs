//! A call on its way in.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use rs_core::{Call, Deadline, Rejection};

use super::{
    AdaptiveTicket, Inner, Saturated,
    gate::Asked,
    lanes::{End, Spot},
};

/// Takes a place, and waits for one if there is none.
pub(super) struct Entering<'a, 'c> {
    limit: &'a Inner,
    call: &'c Call,
    waiting: Option<Wait<'a>>,
}

struct Wait<'a> {
    spot: Spot,
    since: Instant,
    longest: Duration,
    timer: Pin<Box<dyn Future<Output = ()> + Send + 'a>>,
}

type Entered = Result<AdaptiveTicket, Rejection>;

impl<'a, 'c> Entering<'a, 'c> {
    #[inline(always)]
    pub(super) const fn new(limit: &'a Inner, call: &'c Call) -> Self {
        Self {
            limit,
            call,
            waiting: None,
        }
    }

    #[cold]
    fn poll_slowly(&mut self, context: &mut Context<'_>) -> Poll<Entered> {
        match self.waiting.take() {
            None => self.begin(context),
            Some(waiting) => self.wait(waiting, context),
        }
    }

    fn begin(&mut self, context: &mut Context<'_>) -> Poll<Entered> {
        let (limit, call) = (self.limit, self.call);
        let clock = limit.home.around.clock();
        if limit.is_let_in(call) {
            return Poll::Ready(Ok(limit.ticket()));
        }
        if limit.gate.length() == 0 {
            return Poll::Ready(Err(limit.refuse_full(call)));
        }
        let since = clock.now();
        let longest = limit.gate.longest();
        let longest = match call.deadline_at(since) {
            Some(deadline) => longest.min(deadline.remaining(since)),
            None => longest,
        };
        match limit
            .gate
            .take_or_wait(call.criticality(), since, context.waker())
        {
            Asked::In => Poll::Ready(Ok(limit.ticket_at(since))),
            Asked::Full => Poll::Ready(Err(limit.refuse_queue_full(call))),
            Asked::Waits(spot) => {
                let until = Deadline::after(since, longest).moment();
                let waiting = Wait {
                    spot,
                    since,
                    longest,
                    timer: Box::pin(clock.sleep_until(until)),
                };
                self.wait(waiting, context)
            }
        }
    }

    fn wait(&mut self, mut waiting: Wait<'a>, context: &mut Context<'_>) -> Poll<Entered> {
        let (limit, call) = (self.limit, self.call);
        let mut end = limit.gate.end_of(waiting.spot, context.waker());
        if end.is_none() {
            if waiting.timer.as_mut().poll(context).is_pending() {
                self.waiting = Some(waiting);
                return Poll::Pending;
            }
            end = limit.gate.stop_waiting(waiting.spot);
        }
        let now = limit.home.around.clock().now();
        let waited = now.saturating_duration_since(waiting.since);
        Poll::Ready(match end {
            Some(End::Served) => {
                limit.waits.record_time(waited);
                Ok(limit.ticket_at(now))
            }
            Some(End::Overdue) => {
                let target = 2 * limit
                    .rules
                    .get()
                    .queue()
                    .map_or(waited, |queue| queue.target());
                Err(limit.refuse_waited(Saturated::Overdue, call, waited, target))
            }
            Some(End::Displaced) => Err(limit.refuse_queue_full(call)),
            None => Err(limit.refuse_waited(Saturated::Waited, call, waited, waiting.longest)),
        })
    }
}

impl Future for Entering<'_, '_> {
    type Output = Entered;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.waiting.is_none() && self.limit.gate.try_take(self.call.criticality()) {
            return Poll::Ready(Ok(self.limit.ticket()));
        }
        self.poll_slowly(context)
    }
}

impl Drop for Entering<'_, '_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(waiting) = self.waiting.take()
            && self.limit.gate.stop_waiting(waiting.spot) == Some(End::Served)
        {
            let clock = self.limit.home.around.clock();
            self.limit.gate.give_back(|| clock.now());
        }
    }
}
