use std::{
    fmt,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use crate::Deadline;

/// Where policies take the time from: monotonic, never the wall clock.
///
/// The default reads tokio's clock, so that `tokio::time::pause` works; [`Clock::manual`] gives one
/// that stands still until it is moved, for tests without a runtime.
///
/// ```
/// use rs_core::Clock;
/// use std::time::Duration;
///
/// let (clock, hand) = Clock::manual();
/// let start = clock.now();
/// hand.advance(Duration::from_secs(3600));
/// assert_eq!(clock.now() - start, Duration::from_secs(3600));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Clock(Source);

#[derive(Debug, Clone, Default)]
enum Source {
    #[default]
    Tokio,
    Manual(Arc<Manual>),
}

impl Clock {
    /// Tokio's clock, which reads the system's outside a runtime.
    #[must_use]
    pub const fn tokio() -> Self {
        Self(Source::Tokio)
    }

    /// A clock that stands still, and the hand that moves it.
    #[must_use]
    pub fn manual() -> (Self, ClockHand) {
        let manual = Arc::new(Manual {
            start: Self::tokio().now(),
            passed: AtomicU64::new(0),
            moved: Notify::new(),
            sleepers: Condvar::new(),
            lock: Mutex::new(()),
        });
        (Self(Source::Manual(Arc::clone(&manual))), ClockHand(manual))
    }

    /// The time.
    #[inline]
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the time"
    )]
    pub fn now(&self) -> Instant {
        match &self.0 {
            Source::Tokio => tokio::time::Instant::now().into_std(),
            Source::Manual(manual) => manual.now(),
        }
    }

    /// Waits this long, counted from this call and not from the first poll, as tokio's own sleep does.
    ///
    /// # Panics
    /// On tokio's clock outside a tokio runtime with timers, as tokio's own sleep does.
    ///
    /// # Cancel safety
    /// Dropping the future forgets the wait and nothing else.
    pub fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send {
        self.sleep_until(Deadline::after(self.now(), time).moment())
    }

    /// Waits until this moment; does not wait if it has passed.
    ///
    /// # Panics
    /// On tokio's clock outside a tokio runtime with timers, as tokio's own sleep does.
    ///
    /// # Cancel safety
    /// Dropping the future forgets the wait and nothing else.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that waits for the time"
    )]
    pub async fn sleep_until(&self, moment: Instant) {
        match &self.0 {
            Source::Tokio => {
                // Tokio rounds up to the next millisecond and panics where there is none.
                let moment = match moment.checked_add(Duration::from_millis(1)) {
                    Some(_) => moment,
                    None => Deadline::after(self.now(), Duration::MAX).moment(),
                };
                tokio::time::sleep_until(moment.into()).await;
            }
            Source::Manual(manual) => loop {
                let moved = manual.moved.notified();
                if manual.now() >= moment {
                    return;
                }
                moved.await;
            },
        }
    }

    /// Waits this long and blocks the thread, for callers that are not async.
    pub fn sleep_blocking(&self, time: Duration) {
        match &self.0 {
            Source::Tokio => std::thread::sleep(time),
            Source::Manual(manual) => manual.sleep_blocking(time),
        }
    }
}

/// Moves the [`Clock`] that it was made with.
#[derive(Debug, Clone)]
pub struct ClockHand(Arc<Manual>);

impl ClockHand {
    /// Moves the clock forward and wakes every sleeper whose time has come. It stands still for good
    /// when 584 years have passed.
    pub fn advance(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let _order = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = self.0.passed.load(Ordering::SeqCst).saturating_add(nanos);
        self.0.passed.store(passed, Ordering::SeqCst);
        self.0.sleepers.notify_all();
        self.0.moved.notify_waiters();
    }
}

struct Manual {
    start: Instant,
    passed: AtomicU64,
    moved: Notify,
    sleepers: Condvar,
    lock: Mutex<()>,
}

impl Manual {
    fn now(&self) -> Instant {
        self.start + Duration::from_nanos(self.passed.load(Ordering::SeqCst))
    }

    fn sleep_blocking(&self, time: Duration) {
        let until = Deadline::after(self.now(), time).moment();
        let mut order = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        while self.now() < until {
            order = self
                .sleepers
                .wait(order)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl fmt::Debug for Manual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let passed = Duration::from_nanos(self.passed.load(Ordering::Relaxed));
        f.debug_struct("Manual").field("passed", &passed).finish()
    }
}
