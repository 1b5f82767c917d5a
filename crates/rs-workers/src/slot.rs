use std::{
    borrow::Cow,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rs_core::{Label, Mandate, Name};
use rs_metrics::{Family, Histogram, Observed};
use tokio::sync::Notify;

use crate::{
    RunEnd, Worker, WorkerConfig, contain::Contained, event, manager::Inner, metrics::RunOutcome,
    run::Run, tree::Id,
};

/// What is kept of a worker beside its place in the tree.
pub(crate) struct Slot {
    pub(crate) name: Name,
    pub(crate) vital: Vital,
    pub(crate) numbers: Numbers,
    /// Its stage, its pause, or a wish to run now has changed.
    pub(crate) changed: Notify,
    pub(crate) manager: Weak<Inner>,
    pub(crate) took: Option<Family<Histogram>>,
    pub(crate) observed: OnceLock<Box<[Observed]>>,
    worker: Contained,
    id: OnceLock<Id>,
    rules: RwLock<Arc<WorkerConfig>>,
    run: Mutex<Option<Arc<Run>>>,
    last: Mutex<Option<LastEnd>>,
    pause: Mutex<Option<Pause>>,
    paused: AtomicBool,
    run_now: AtomicBool,
}

/// How the last run ended.
#[derive(Debug, Clone)]
pub(crate) struct LastEnd {
    pub(crate) end: RunEnd,
    pub(crate) at: Instant,
    /// Where it was, and how long it had been there.
    pub(crate) place: Option<(Cow<'static, str>, Duration)>,
}

struct Pause {
    by: Arc<Mandate>,
    until: Option<Instant>,
    /// Whose pause it is: its own, or that of its group, for the first in it.
    of: Option<Name>,
}

impl Slot {
    pub(crate) fn new(
        name: Name,
        worker: Arc<dyn Worker>,
        rules: Arc<WorkerConfig>,
        manager: Weak<Inner>,
        took: Option<Family<Histogram>>,
        now: Instant,
    ) -> Self {
        Self {
            name,
            vital: Vital::new(now, rules.time_to_hog()),
            numbers: Numbers::default(),
            changed: Notify::new(),
            manager,
            took,
            observed: OnceLock::new(),
            worker: Contained::new(worker),
            id: OnceLock::new(),
            rules: RwLock::new(rules),
            run: Mutex::new(None),
            last: Mutex::new(None),
            pause: Mutex::new(None),
            paused: AtomicBool::new(false),
            run_now: AtomicBool::new(false),
        }
    }

    pub(crate) fn worker(&self) -> Option<Arc<dyn Worker>> {
        self.worker.worker()
    }

    pub(crate) fn place_at(&self, id: Id) {
        // Set once, when it is registered.
        let _ = self.id.set(id);
    }

    pub(crate) fn id(&self) -> Option<Id> {
        self.id.get().copied()
    }

    pub(crate) fn rules(&self) -> Arc<WorkerConfig> {
        Arc::clone(&self.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_rules(&self, rules: Arc<WorkerConfig>) {
        self.vital.set_hogs_after(rules.time_to_hog());
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    pub(crate) fn run(&self) -> Option<Arc<Run>> {
        locked(&self.run).clone()
    }

    pub(crate) fn begin(&self, run: Option<Arc<Run>>) {
        if let Some(run) = &run {
            self.vital.begin(run.started);
        }
        *locked(&self.run) = run;
    }

    pub(crate) fn last(&self) -> Option<LastEnd> {
        locked(&self.last).clone()
    }

    /// Nothing of this run is left.
    pub(crate) fn ended(self: &Arc<Self>, run: &Arc<Run>, end: RunEnd) {
        if let Some(manager) = self.manager.upgrade() {
            manager.ended(self, run, end);
        }
    }

    pub(crate) fn keep_last(&self, end: RunEnd, now: Instant) {
        let place = self.vital.place(now);
        *locked(&self.last) = Some(LastEnd {
            end,
            at: now,
            place,
        });
    }

    /// A poll is over, and took so long.
    pub(crate) fn polled(&self, took: Duration) {
        self.vital.polled();
        if took >= self.vital.hogs_after() {
            self.numbers.hogs.fetch_add(1, Ordering::Relaxed);
            self.say_hogs(took);
        }
    }

    fn say_hogs(&self, took: Duration) {
        // One that does it all the time is announced the first time of each run.
        if !self.vital.hogged.swap(true, Ordering::Relaxed)
            && let Some(manager) = self.manager.upgrade()
        {
            manager.home.record(|| event::hogs(self, took));
        }
    }

    /// Whether a poll that still goes on takes too long.
    pub(crate) fn watch_poll(&self, now: Instant) {
        if let Some(held) = self.vital.holds_thread_for(now)
            && held >= self.vital.hogs_after()
        {
            self.say_hogs(held);
        }
    }

    pub(crate) fn pause(&self, by: Arc<Mandate>, of: Option<Name>, now: Instant) {
        let until = by
            .expires_in()
            .map(|time| rs_core::Deadline::after(now, time).moment());
        *locked(&self.pause) = Some(Pause { by, until, of });
        self.paused.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Ends its pause; whose it was, if that is to be said.
    pub(crate) fn resume(&self, now: Instant) -> Option<Name> {
        let pause = locked(&self.pause).take()?;
        self.vital.beat(now);
        self.paused.store(false, Ordering::Release);
        self.changed.notify_waiters();
        pause.of
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    pub(crate) fn paused_by(&self) -> Option<Arc<Mandate>> {
        locked(&self.pause)
            .as_ref()
            .map(|pause| Arc::clone(&pause.by))
    }

    pub(crate) fn paused_until(&self) -> Option<Instant> {
        if !self.is_paused() {
            return None;
        }
        locked(&self.pause).as_ref().and_then(|pause| pause.until)
    }

    pub(crate) fn want_run(&self) {
        self.run_now.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    pub(crate) fn take_run_now(&self) -> bool {
        self.run_now.load(Ordering::Acquire) && self.run_now.swap(false, Ordering::AcqRel)
    }

    /// How long it has been silent, if it should not be.
    pub(crate) fn silent_for(&self, now: Instant) -> Option<Duration> {
        (!self.is_paused()).then(|| self.vital.silent_for(now))?
    }

    pub(crate) fn clear(&self) {
        self.begin(None);
        self.vital.stuck.store(false, Ordering::Relaxed);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Signs of life. Moments are nanoseconds since the worker was registered.
pub(crate) struct Vital {
    zero: Instant,
    beat: AtomicU64,
    /// One more than the moment when the poll began that goes on; 0 if there is none.
    polling: AtomicU64,
    hogs_after: AtomicU64,
    /// How many waits go on in which silence is no sign of death.
    idle: AtomicU64,
    place: Mutex<Option<(Cow<'static, str>, u64)>>,
    pub(crate) stuck: AtomicBool,
    hogged: AtomicBool,
}

impl Vital {
    fn new(zero: Instant, hogs_after: Duration) -> Self {
        Self {
            zero,
            beat: AtomicU64::new(0),
            polling: AtomicU64::new(0),
            hogs_after: AtomicU64::new(nanos(hogs_after)),
            idle: AtomicU64::new(0),
            place: Mutex::new(None),
            stuck: AtomicBool::new(false),
            hogged: AtomicBool::new(false),
        }
    }

    fn since(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.zero))
    }

    fn begin(&self, now: Instant) {
        self.beat(now);
        self.idle.store(0, Ordering::Relaxed);
        self.hogged.store(false, Ordering::Relaxed);
        self.stuck.store(false, Ordering::Relaxed);
        *locked(&self.place) = None;
    }

    pub(crate) fn beat(&self, now: Instant) {
        self.beat.store(self.since(now), Ordering::Relaxed);
    }

    pub(crate) fn at(&self, place: Cow<'static, str>, now: Instant) {
        self.beat(now);
        *locked(&self.place) = Some((place, self.since(now)));
    }

    /// Where it was last, and for how long.
    pub(crate) fn place(&self, now: Instant) -> Option<(Cow<'static, str>, Duration)> {
        let place = locked(&self.place).clone();
        place.map(|(place, at)| {
            (
                place,
                Duration::from_nanos(self.since(now).saturating_sub(at)),
            )
        })
    }

    pub(crate) fn polls(&self, now: Instant) {
        self.polling.store(self.since(now) + 1, Ordering::Relaxed);
    }

    fn polled(&self) {
        self.polling.store(0, Ordering::Relaxed);
    }

    /// For how long the poll that goes on has held its thread.
    pub(crate) fn holds_thread_for(&self, now: Instant) -> Option<Duration> {
        let began = self.polling.load(Ordering::Relaxed).checked_sub(1)?;
        Some(Duration::from_nanos(self.since(now).saturating_sub(began)))
    }

    fn hogs_after(&self) -> Duration {
        Duration::from_nanos(self.hogs_after.load(Ordering::Relaxed))
    }

    fn set_hogs_after(&self, time: Duration) {
        self.hogs_after.store(nanos(time), Ordering::Relaxed);
    }

    fn silent_for(&self, now: Instant) -> Option<Duration> {
        let silent = self
            .since(now)
            .saturating_sub(self.beat.load(Ordering::Relaxed));
        (self.idle.load(Ordering::Relaxed) == 0).then_some(Duration::from_nanos(silent))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Says, while it lives, that silence is no sign of death.
pub(crate) struct Idle<'a> {
    vital: &'a Vital,
    clock: &'a rs_core::Clock,
}

impl<'a> Idle<'a> {
    pub(crate) fn begin(vital: &'a Vital, clock: &'a rs_core::Clock) -> Self {
        vital.idle.fetch_add(1, Ordering::Relaxed);
        Self { vital, clock }
    }
}

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        self.vital.beat(self.clock.now());
        // A run that was aborted may end after the next has begun to count.
        let less = |idle: u64| idle.checked_sub(1);
        let _ = self
            .vital
            .idle
            .try_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }
}

/// What is counted of a worker.
#[derive(Default)]
pub(crate) struct Numbers {
    runs: [AtomicU64; RunOutcome::ALL.len()],
    pub(crate) restarts: AtomicU64,
    pub(crate) hogs: AtomicU64,
    pub(crate) stuck: AtomicU64,
    /// One more than the moment of the last success.
    last_success: AtomicU64,
    /// Its runs are counted one by one, by whoever makes them.
    counts_itself: AtomicBool,
}

impl Numbers {
    pub(crate) fn counts_itself(&self) -> bool {
        self.counts_itself.load(Ordering::Relaxed)
    }

    pub(crate) fn count_itself(&self) {
        self.counts_itself.store(true, Ordering::Relaxed);
    }

    pub(crate) fn runs(&self, outcome: RunOutcome) -> u64 {
        self.runs
            .get(outcome.index())
            .map_or(0, |count| count.load(Ordering::Relaxed))
    }

    pub(crate) fn count(&self, outcome: RunOutcome) {
        if let Some(count) = self.runs.get(outcome.index()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn succeeded(&self, vital: &Vital, now: Instant) {
        self.last_success
            .store(vital.since(now) + 1, Ordering::Relaxed);
    }

    /// How long ago the last success was, or else the registration.
    pub(crate) fn last_success_ago(&self, vital: &Vital, now: Instant) -> Duration {
        let last = self.last_success.load(Ordering::Relaxed).saturating_sub(1);
        Duration::from_nanos(vital.since(now).saturating_sub(last))
    }

    pub(crate) fn has_succeeded(&self) -> bool {
        self.last_success.load(Ordering::Relaxed) > 0
    }
}
