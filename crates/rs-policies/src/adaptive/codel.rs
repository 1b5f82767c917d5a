//! Whether a queue stands. Pure: the time and the age of its oldest member are handed in.

use std::time::{Duration, Instant};

/// After CoDel: a queue that was short at any time within an interval only took up a burst. One whose
/// oldest member was older than the target all along stands, and only adds to what everybody waits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Codel {
    since: Option<Instant>,
}

impl Codel {
    /// Whether the queue stands, given how long its oldest member has waited, if it has any.
    pub(super) fn stands(
        &mut self,
        now: Instant,
        oldest: Option<Duration>,
        target: Duration,
        interval: Duration,
    ) -> bool {
        match oldest {
            Some(age) if age > target => {
                let since = *self.since.get_or_insert(now);
                now.saturating_duration_since(since) >= interval
            }
            _ => {
                self.since = None;
                false
            }
        }
    }
}
