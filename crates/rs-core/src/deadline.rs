use std::time::{Duration, Instant};

/// The moment by which a call must be done, on the monotonic clock.
///
/// A deadline clips everything inside it: sleeps, waits in queues, attempts. It is compared with a
/// `now` that is handed in, so that whoever has read the clock already need not read it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(Instant);

impl Deadline {
    /// At this moment.
    #[must_use]
    pub const fn at(moment: Instant) -> Self {
        Self(moment)
    }

    /// This long after `now`. A time beyond what the clock can say is thirty years.
    #[must_use]
    pub fn after(now: Instant, time: Duration) -> Self {
        const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);
        let moment = now.checked_add(time).or_else(|| now.checked_add(FAR));
        // The clock itself is at its end: there is no later moment.
        Self(moment.unwrap_or(now))
    }

    /// The moment.
    #[must_use]
    pub const fn moment(self) -> Instant {
        self.0
    }

    /// What is left at `now`; zero once it has passed.
    #[must_use]
    pub fn remaining(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }

    /// Whether it has passed at `now`.
    #[must_use]
    pub fn has_passed(self, now: Instant) -> bool {
        self.0 <= now
    }

    /// Whether something that takes this long can still be done when it starts at `now`. Nothing can
    /// once the deadline has passed.
    #[must_use]
    pub fn leaves(self, now: Instant, time: Duration) -> bool {
        !self.has_passed(now) && time <= self.remaining(now)
    }
}
