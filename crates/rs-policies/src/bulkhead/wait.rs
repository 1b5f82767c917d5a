//! A call on its way in.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use rs_core::{Call, Deadline, Rejection};

use super::{Inner, seats::Asked};
use crate::queue::Ticket;

/// Takes a place, and waits for one if there is none.
pub(super) struct Entering<'b, 'c> {
    bulkhead: &'b Inner,
    call: &'c Call,
    waiting: Option<Waiting<'b>>,
}

struct Waiting<'b> {
    ticket: Ticket,
    since: Instant,
    limit: Duration,
    timer: Pin<Box<dyn Future<Output = ()> + Send + 'b>>,
}

impl<'b, 'c> Entering<'b, 'c> {
    #[inline(always)]
    pub(super) const fn new(bulkhead: &'b Inner, call: &'c Call) -> Self {
        Self {
            bulkhead,
            call,
            waiting: None,
        }
    }

    #[cold]
    fn poll_slowly(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Rejection>> {
        let (bulkhead, call) = (self.bulkhead, self.call);
        if self.waiting.is_none() {
            if bulkhead.is_let_in(call) {
                return Poll::Ready(Ok(()));
            }
            match bulkhead.seats.take_or_wait(context.waker()) {
                Asked::Taken => return Poll::Ready(Ok(())),
                Asked::Full => return Poll::Ready(Err(bulkhead.refuse_queue_full())),
                Asked::Waits(ticket) => self.waiting = Some(Waiting::begin(bulkhead, call, ticket)),
            }
        }
        let Some(waiting) = &mut self.waiting else {
            return Poll::Pending;
        };
        let ticket = waiting.ticket;
        let mut served = bulkhead.seats.has_place(ticket, context.waker());
        if !served {
            if waiting.timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            served = bulkhead.seats.stop_waiting(ticket);
        }
        let (since, limit) = (waiting.since, waiting.limit);
        self.waiting = None;
        let now = bulkhead.home.around.clock().now();
        let waited = now.saturating_duration_since(since);
        if served {
            bulkhead.waits.record_time(waited);
            return Poll::Ready(Ok(()));
        }
        // The rules may have changed while it waited: nobody is refused in the dark.
        if bulkhead.is_let_in(call) {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(Err(bulkhead.refuse_waited(waited, limit)))
    }
}

impl<'b> Waiting<'b> {
    fn begin(bulkhead: &'b Inner, call: &Call, ticket: Ticket) -> Self {
        let clock = bulkhead.home.around.clock();
        let since = clock.now();
        let longest = bulkhead.seats.longest_wait();
        let limit = match call.deadline_at(since) {
            Some(deadline) => longest.min(deadline.remaining(since)),
            None => longest,
        };
        let until = Deadline::after(since, limit).moment();
        Self {
            ticket,
            since,
            limit,
            timer: Box::pin(clock.sleep_until(until)),
        }
    }
}

impl Future for Entering<'_, '_> {
    type Output = Result<(), Rejection>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.waiting.is_none() && self.bulkhead.seats.try_take() {
            return Poll::Ready(Ok(()));
        }
        self.poll_slowly(context)
    }
}

impl Drop for Entering<'_, '_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(waiting) = self.waiting.take()
            && self.bulkhead.seats.stop_waiting(waiting.ticket)
        {
            self.bulkhead.seats.give_back();
        }
    }
}
