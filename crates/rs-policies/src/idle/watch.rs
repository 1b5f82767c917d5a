use std::{
    task::{Context, Poll, ready},
    time::Instant,
};

use rs_core::{Call, Deadline, TimeScope, TimedOut};

use crate::{Timeout, timeout};

/// Looks out for silence while something has to wait.
pub(super) struct Watch {
    timeout: Timeout,
    call: Call,
    /// When it first had to wait.
    begun: Option<Instant>,
    /// Silence was found and only counted: from now on only the deadline holds.
    is_dark: bool,
    timer: Option<Timer>,
}

struct Timer {
    due: Instant,
    sleeping: timeout::Timer<'static>,
}

/// What comes first, and when.
struct Due {
    at: Instant,
    what: TimedOut,
    ends: bool,
}

impl Watch {
    pub(super) const fn new(timeout: Timeout, call: Call) -> Self {
        Self {
            timeout,
            call,
            begun: None,
            is_dark: false,
            timer: None,
        }
    }

    pub(super) const fn call(&self) -> &Call {
        &self.call
    }

    #[cfg(feature = "streams")]
    pub(super) fn now(&self) -> Instant {
        self.timeout.clock().now()
    }

    /// Asked whenever what is watched has to wait: whether that has been too long, the last sign of life
    /// being at this moment.
    ///
    /// A sign of life does not move the timer: it is set again when it has rung too early, so a lively
    /// operation costs one timer for each time that the limit passes.
    pub(super) fn poll_over(&mut self, last: Instant, context: &mut Context<'_>) -> Poll<TimedOut> {
        if self.begun.is_none() {
            self.begun = Some(last);
            self.call = self.call.begun_at(last);
        }
        loop {
            let rang = match &mut self.timer {
                Some(timer) => {
                    ready!(timer.sleeping.as_mut().poll(context));
                    Some(timer.due)
                }
                None => None,
            };
            self.timer = None;
            let Some(due) = self.due(last) else {
                return Poll::Pending;
            };
            if rang.is_none_or(|rang| rang < due.at) {
                self.timer = Some(Timer {
                    due: due.at,
                    sleeping: self.timeout.sleep_until(due.at),
                });
                continue;
            }
            self.timeout.count(due.what, due.ends);
            if due.ends {
                return Poll::Ready(due.what);
            }
            self.is_dark = true;
        }
    }

    fn due(&self, last: Instant) -> Option<Due> {
        let silence = (!self.is_dark).then(|| {
            let config = self.timeout.config();
            Due {
                at: Deadline::after(last, config.limit()).moment(),
                what: TimedOut::new(TimeScope::Idle, config.limit()),
                ends: config.enforced().covers(&self.call),
            }
        });
        let deadline = self.call.deadline().map(|deadline| {
            let begun = self.begun.unwrap_or(last);
            Due {
                at: deadline.moment(),
                what: TimedOut::new(TimeScope::Deadline, deadline.remaining(begun)),
                ends: true,
            }
        });
        silence.into_iter().chain(deadline).min_by_key(|due| due.at)
    }
}
