//! A call on its way in.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use rs_core::{Call, Deadline, Rejection};

use super::{
    Inner,
    bucket::{Asked, Reservation},
    timeline::{NANO, Ticks},
};
use crate::sync::Ordering;

/// Takes tokens, and waits for those that are not there yet.
pub(super) struct Entering<'l, 'c> {
    limit: &'l Inner,
    call: &'c Call,
    cost: u32,
    waiting: Option<Waiting<'l>>,
}

struct Waiting<'l> {
    place: Place<'l>,
    since: Instant,
    deadline: Option<Deadline>,
    timer: Pin<Box<dyn Future<Output = ()> + Send + 'l>>,
}

/// One of those who wait, and the tokens that were promised to it.
struct Place<'l> {
    limit: &'l Inner,
    promised: Option<Reservation>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(promised) = self.promised {
            self.limit.bucket.give_back(promised);
        }
        self.limit.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<'l, 'c> Entering<'l, 'c> {
    #[inline(always)]
    pub(super) const fn new(limit: &'l Inner, call: &'c Call, cost: u32) -> Self {
        Self {
            limit,
            call,
            cost,
            waiting: None,
        }
    }

    /// There were not enough tokens at that moment, but will be at this one.
    #[cold]
    fn begin(&mut self, now: Instant, enough_at: Ticks) -> Result<Option<Waiting<'l>>, Rejection> {
        let Self {
            limit, call, cost, ..
        } = *self;
        if limit.desk.is_let_in(call) {
            return Ok(None);
        }
        let rules = limit.desk.rules.get();
        let longest = rules.longest_wait();
        if longest.is_zero() || !limit.bucket.holds(cost) {
            return Err(limit.refuse(cost, now, enough_at));
        }
        let deadline = call.deadline_at(now);
        let Some(mut place) = limit.place(rules.waiters()) else {
            let enough_at = limit.timeline.moment(enough_at);
            return Err(limit.desk.refuse_too_many(rules.waiters(), enough_at));
        };
        let latest = Deadline::after(now, longest);
        // At the deadline itself no time is left to do anything.
        let in_time = |deadline: Deadline| limit.timeline.ticks(deadline.moment()) - NANO;
        let by_rules = limit.timeline.ticks(latest.moment());
        let latest = deadline.map_or(by_rules, |deadline| in_time(deadline).min(by_rules));
        let now_in_ticks = limit.timeline.ticks(now);
        match limit
            .bucket
            .reserve(now_in_ticks, cost, latest.max(now_in_ticks))
        {
            Asked::Taken => Ok(None),
            Asked::Reserved(promised) => {
                let at = limit.timeline.moment(promised.at);
                place.promised = Some(promised);
                Ok(Some(Waiting {
                    place,
                    since: now,
                    deadline,
                    timer: Box::pin(limit.clock.sleep_until(at)),
                }))
            }
            Asked::Late(at) => {
                let enough_at = limit.timeline.moment(at);
                Err(match deadline {
                    Some(deadline) if at <= by_rules => {
                        let remaining = deadline.remaining(now);
                        limit.desk.refuse_past_deadline(now, enough_at, remaining)
                    }
                    _ => limit.desk.refuse_to_wait(now, enough_at, longest),
                })
            }
        }
    }

    /// Its time has come; a timer that rang late may have rung too late.
    fn end(mut waiting: Waiting<'l>, limit: &Inner) -> Result<(), Rejection> {
        let now = limit.clock.now();
        let waited = now.saturating_duration_since(waiting.since);
        if let Some(deadline) = waiting.deadline
            && deadline.has_passed(now)
        {
            let given = deadline.remaining(waiting.since);
            let refused = limit.desk.refuse_past_deadline(waiting.since, now, given);
            return Err(refused);
        }
        waiting.place.promised = None;
        limit.desk.waits.record_time(waited);
        Ok(())
    }
}

impl Inner {
    /// A place among those who wait, if there is one.
    fn place(&self, most: u32) -> Option<Place<'_>> {
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let place = Place {
            limit: self,
            promised: None,
        };
        (before < most.into()).then_some(place)
    }

    /// Nobody waits for those.
    #[cold]
    pub(super) fn refuse(&self, cost: u32, now: Instant, enough_at: Ticks) -> Rejection {
        if !self.bucket.holds(cost) {
            let burst = self.desk.rules.get().burst();
            return self.desk.refuse_too_costly(cost, burst);
        }
        let level = self.bucket.level(self.timeline.ticks(now));
        let enough_at = self.timeline.moment(enough_at);
        self.desk.refuse_no_tokens(cost, level, enough_at)
    }
}

impl Future for Entering<'_, '_> {
    type Output = Result<(), Rejection>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.waiting.is_none() {
            let now = self.limit.clock.now();
            let Err(enough_at) = self.limit.take(now, self.cost) else {
                return Poll::Ready(Ok(()));
            };
            match self.begin(now, enough_at) {
                Ok(None) => return Poll::Ready(Ok(())),
                Ok(waiting) => self.waiting = waiting,
                Err(refused) => return Poll::Ready(Err(refused)),
            }
        }
        self.poll_waiting(context)
    }
}

impl Entering<'_, '_> {
    #[cold]
    fn poll_waiting(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Rejection>> {
        if let Some(waiting) = &mut self.waiting {
            ready!(waiting.timer.as_mut().poll(context));
        }
        match self.waiting.take() {
            Some(waiting) => Poll::Ready(Self::end(waiting, self.limit)),
            None => unreachable!("polled again after it was over"),
        }
    }
}
