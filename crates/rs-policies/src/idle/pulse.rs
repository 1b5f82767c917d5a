use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rs_core::Clock;

/// By this an operation gives signs of life, from whichever task does its work; see
/// [`IdleTimeout`](crate::IdleTimeout).
#[derive(Clone)]
pub struct Pulse(Arc<Heard>);

struct Heard {
    clock: Clock,
    /// When the operation first had to wait.
    begun: OnceLock<Instant>,
    /// How long after that it last gave a sign of life, in nanoseconds.
    last: AtomicU64,
}

impl Pulse {
    pub(super) fn new(clock: &Clock) -> Self {
        Self(Arc::new(Heard {
            clock: clock.clone(),
            begun: OnceLock::new(),
            last: AtomicU64::new(0),
        }))
    }

    /// A sign of life. It costs a look at the clock once the operation has had to wait, and nothing before.
    pub fn beat(&self) {
        if let Some(begun) = self.0.begun.get() {
            let passed = self.0.clock.now().saturating_duration_since(*begun);
            let passed = u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX);
            // Two tasks may have looked at the clock in another order.
            self.0.last.fetch_max(passed, Ordering::Relaxed);
        }
    }

    /// From now on signs of life are heard. When that began.
    pub(super) fn begin(&self) -> Instant {
        *self.0.begun.get_or_init(|| self.0.clock.now())
    }

    /// When the last sign of life was heard, once they are.
    pub(super) fn last(&self) -> Instant {
        self.begin() + Duration::from_nanos(self.0.last.load(Ordering::Relaxed))
    }
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pulse").finish_non_exhaustive()
    }
}
