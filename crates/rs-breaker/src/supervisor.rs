use std::{
    collections::BTreeMap,
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

use rs_core::Clock;
use rs_metrics::Surroundings;
use tokio::sync::Notify;

use crate::shared::Shared;

/// Does the housekeeping of all its breakers in one task: ends open times, leases and orders when their
/// time has come, takes the steps of ramps, clears away idle breakers.
///
/// Give [`Surroundings`] one of your own, `surroundings.with(supervisor)`, and the breakers in them take
/// the time from its clock.
///
/// A breaker works without one: a call that is refused then looks at the clock. While a supervisor
/// runs, refusing costs a fraction of that, and what time changes is announced when it happens and not
/// when the next call comes.
///
/// ```
/// use rs_breaker::Supervisor;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let housekeeping = tokio::spawn(Supervisor::global().run());
/// // … and when the service stops:
/// housekeeping.abort();
/// # }
/// ```
#[derive(Clone)]
pub struct Supervisor(Arc<Inner>);

struct Inner {
    clock: Clock,
    /// How many tasks run it.
    running: AtomicU64,
    timers: Mutex<Timers>,
    chores: Mutex<Vec<Weak<dyn Chore>>>,
    news: Notify,
}

/// Something to be done now and then.
pub(crate) trait Chore: Send + Sync {
    fn attend(&self, now: Instant);
}

#[derive(Default)]
struct Timers {
    /// One for each breaker that waits for something: when, and which.
    waiting: BTreeMap<(Instant, Which), Weak<Shared>>,
    /// The dead are cleared away when there are as many as this.
    clear_at: usize,
}

/// Where a breaker is: nobody else is there as long as it is waited for.
type Which = usize;

impl Supervisor {
    /// How often chores are done.
    const ROUND: Duration = Duration::from_secs(1);

    /// A supervisor of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Clock::default())
    }

    /// A supervisor that takes the time from this clock.
    #[must_use]
    pub fn with_clock(clock: Clock) -> Self {
        Self(Arc::new(Inner {
            clock,
            running: AtomicU64::new(0),
            timers: Mutex::default(),
            chores: Mutex::default(),
            news: Notify::new(),
        }))
    }

    /// The supervisor of the process.
    #[must_use]
    pub fn global() -> &'static Self {
        static GLOBAL: LazyLock<Supervisor> = LazyLock::new(Supervisor::new);
        &GLOBAL
    }

    /// The supervisor of what is made in these surroundings: the one that was given to them, or one that
    /// they all share. For the process that is [`Supervisor::global`].
    #[must_use]
    pub fn of(surroundings: &Surroundings) -> Self {
        surroundings.helper_or(|of_process| {
            if of_process {
                Self::global().clone()
            } else {
                Self::with_clock(surroundings.clock().clone())
            }
        })
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Whether it runs.
    #[inline]
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.0.running.load(Ordering::Relaxed) > 0
    }

    /// Does the housekeeping until it is dropped.
    ///
    /// # Cancel safety
    /// Dropping the future stops the housekeeping between two steps; breakers then look at the clock
    /// themselves. Running again goes on where it stopped.
    pub fn run(&self) -> impl Future<Output = ()> + Send + use<> {
        let supervisor = self.clone();
        async move { supervisor.keep_house().await }
    }

    async fn keep_house(&self) {
        let _running = Running::begin(&self.0.running);
        let mut round = self.0.clock.now();
        loop {
            let news = self.0.news.notified();
            let now = self.0.clock.now();
            self.ring(now);
            if now >= round {
                self.do_chores(now);
                round = now + Self::ROUND;
            }
            let next = self.next_timer().map_or(round, |due| due.min(round));
            let mut news = pin!(news);
            let mut sleep = pin!(self.0.clock.sleep_until(next));
            poll_fn(|context| {
                let woken = news.as_mut().poll(context).is_ready();
                let slept = sleep.as_mut().poll(context).is_ready();
                if woken || slept {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            })
            .await;
        }
    }

    /// Time will change something about this breaker then, at that age of it.
    pub(crate) fn expect(&self, due: Instant, age: u64, breaker: &Shared) {
        let mut timers = self.timers();
        // A timer that rings before is set again then.
        let promised = breaker.promised.load(Ordering::Relaxed);
        if age >= promised {
            return;
        }
        let which = breaker.this.as_ptr() as Which;
        if let Some(later) = breaker.at_age(promised) {
            timers.waiting.remove(&(later, which));
        }
        breaker.promised.store(age, Ordering::Relaxed);
        let first = timers.next().is_none_or(|first| due < first);
        timers.set(due, which, &breaker.this);
        drop(timers);
        if first {
            self.0.news.notify_one();
        }
    }

    /// This is to be done each round, as long as it lives.
    pub(crate) fn attend_to(&self, chore: &Arc<impl Chore + 'static>) {
        let chore = Arc::downgrade(chore) as Weak<dyn Chore>;
        let mut chores = self.0.chores.lock().unwrap_or_else(PoisonError::into_inner);
        chores.retain(|chore| chore.strong_count() > 0);
        chores.push(chore);
    }

    fn ring(&self, now: Instant) {
        while let Some(breaker) = self.take_due(now) {
            match breaker.due() {
                Some(due) if due <= now => breaker.tick_surely(now),
                Some(due) => self.expect(due, breaker.age(due), &breaker),
                None => {}
            }
        }
    }

    fn take_due(&self, now: Instant) -> Option<Arc<Shared>> {
        let mut timers = self.timers();
        while timers.next().is_some_and(|due| due <= now) {
            let (_, breaker) = timers.waiting.pop_first()?;
            if let Some(breaker) = breaker.upgrade() {
                breaker.promised.store(u64::MAX, Ordering::Relaxed);
                return Some(breaker);
            }
        }
        None
    }

    fn next_timer(&self) -> Option<Instant> {
        self.timers().next()
    }

    fn do_chores(&self, now: Instant) {
        let chores = self
            .0
            .chores
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for chore in chores.iter().filter_map(Weak::upgrade) {
            chore.attend(now);
        }
    }

    fn timers(&self) -> MutexGuard<'_, Timers> {
        self.0.timers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Timers {
    fn next(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((due, _), _)| *due)
    }

    fn set(&mut self, due: Instant, which: Which, breaker: &Weak<Shared>) {
        if self.waiting.len() >= self.clear_at {
            self.waiting.retain(|_, breaker| breaker.strong_count() > 0);
            self.clear_at = (2 * self.waiting.len()).max(64);
        }
        self.waiting.insert((due, which), Weak::clone(breaker));
    }
}

/// Says that it runs, until it is dropped.
struct Running<'a>(&'a AtomicU64);

impl<'a> Running<'a> {
    fn begin(running: &'a AtomicU64) -> Self {
        running.fetch_add(1, Ordering::Relaxed);
        Self(running)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for Supervisor {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor")
            .field("running", &self.is_running())
            .field("timers", &self.timers().waiting.len())
            .finish_non_exhaustive()
    }
}
