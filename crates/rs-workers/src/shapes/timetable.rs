use std::time::{Duration, Instant};

use super::Late;

/// When a periodic worker has its turns.
#[derive(Debug)]
pub(super) struct Timetable {
    every: Duration,
    late: Late,
    next: Instant,
}

impl Timetable {
    pub(super) fn new(every: Duration, late: Late, first: Instant) -> Self {
        Self {
            every,
            late,
            next: first,
        }
    }

    pub(super) const fn due(&self) -> Instant {
        self.next
    }

    /// A turn ended. How many turns are left out because they are late.
    pub(super) fn ended(&mut self, was_due: bool, now: Instant) -> u64 {
        if was_due {
            self.next = later(self.next, self.every);
        }
        match self.late {
            Late::Skip => self.leave_out(0, now),
            Late::CatchUp(at_most) => self.leave_out(at_most, now),
            Late::Shift => {
                self.next = later(now, self.every);
                0
            }
        }
    }

    /// Leaves out all turns that were due before now, but for the last few.
    fn leave_out(&mut self, but: u32, now: Instant) -> u64 {
        let Some(behind) = now.checked_duration_since(self.next) else {
            return 0;
        };
        let every = self.every.as_nanos().max(1);
        let late = u64::try_from(behind.as_nanos() / every + 1).unwrap_or(u64::MAX);
        let out = late.saturating_sub(but.into());
        let skipped = every.saturating_mul(out.into());
        let skipped = Duration::from_nanos(u64::try_from(skipped).unwrap_or(u64::MAX));
        self.next = later(self.next, skipped);
        out
    }
}

fn later(at: Instant, time: Duration) -> Instant {
    rs_core::Deadline::after(at, time).moment()
}
