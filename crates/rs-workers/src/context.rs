use std::{
    borrow::Cow,
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rs_core::{Clock, Deadline, Name, unless};
use tokio::task::JoinHandle;

use crate::{
    RunEnd, WorkerError,
    lease::Epoch,
    metrics::RunOutcome,
    run::{Blocking, Run, Stage},
    slot::{Idle, Slot},
};

/// What a run of a worker is told, and tells.
///
/// It is cheap to clone; give clones to whatever the run calls or spawns.
///
/// ```
/// use rs_workers::{WorkerContext, WorkerResult};
/// use std::time::Duration;
/// # async fn fetch() -> std::io::Result<Vec<u32>> { Ok(vec![1]) }
/// # async fn store(_: u32) -> std::io::Result<()> { Ok(()) }
///
/// async fn import(ctx: WorkerContext) -> WorkerResult {
///     ctx.ready();
///     while ctx.sleep(Duration::from_secs(10)).await {
///         ctx.at("fetching");
///         // A wait that may be cut short when it is told to stop.
///         let Some(rows) = ctx.unless_stopped(fetch()).await else { break };
///         for row in rows? {
///             // Here it waits while somebody has paused it.
///             ctx.pause_point().await;
///             ctx.at("storing");
///             store(row).await?;
///         }
///     }
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct WorkerContext {
    slot: Arc<Slot>,
    run: Arc<Run>,
    clock: Clock,
    term: Option<Arc<Term>>,
}

/// The time in which a worker leads.
#[derive(Debug)]
pub(crate) struct Term {
    pub(crate) epoch: Epoch,
    over: AtomicBool,
}

impl Term {
    pub(crate) const fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            over: AtomicBool::new(false),
        }
    }
}

/// Why a wait is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "workers match on it; there is no fourth"
)]
pub enum Woken {
    /// The time has come.
    Time,
    /// Somebody wants it to run now.
    RunNow,
    /// It is to stop, or to finish what it has.
    Stop,
}

impl WorkerContext {
    pub(crate) const fn new(slot: Arc<Slot>, run: Arc<Run>, clock: Clock) -> Self {
        Self {
            slot,
            run,
            clock,
            term: None,
        }
    }

    /// The name of the worker.
    #[must_use]
    pub fn name(&self) -> Name {
        self.slot.name
    }

    /// Which run this is: no other run of any worker of the manager has the same number, and later ones
    /// have larger ones.
    #[must_use]
    pub fn run_number(&self) -> u64 {
        self.run.instance
    }

    /// The clock that the worker should live by.
    #[must_use]
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// It is ready: what starts after it may start. Only the first time counts, and only with
    /// [`WorkerConfig::ready_within`](crate::WorkerConfig::ready_within).
    pub fn ready(&self) {
        self.heartbeat();
        if let (Some(manager), Some(id)) = (self.slot.manager.upgrade(), self.slot.id()) {
            manager.ready(id, self.run.instance);
        }
    }

    /// A sign of life.
    pub fn heartbeat(&self) {
        self.slot.vital.beat(self.clock.now());
    }

    /// A sign of life, and where it comes from: what is reported if none follows.
    pub fn at(&self, place: impl Into<Cow<'static, str>>) {
        self.slot.vital.at(place.into(), self.clock.now());
    }

    /// Whether it is to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.run.is_at(Stage::Told)
            || self
                .term
                .as_ref()
                .is_some_and(|term| term.over.load(Ordering::Acquire))
    }

    /// Whether it should take on nothing new and return when it has finished what it has; also so when
    /// it is to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.run.is_at(Stage::Draining) || self.is_stopping()
    }

    /// Waits until it is to stop. While it does, silence is no sign of death.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        self.until(Self::is_stopping)
    }

    /// Waits until it should take on nothing new.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub fn drained(&self) -> impl Future<Output = ()> + Send + use<> {
        self.until(Self::is_draining)
    }

    fn until(&self, holds: fn(&Self) -> bool) -> impl Future<Output = ()> + Send + use<> {
        let this = self.clone();
        async move {
            loop {
                let changed = this.slot.changed.notified();
                if holds(&this) {
                    return;
                }
                changed.await;
            }
        }
    }

    /// What the future gives, or nothing if it is to stop before.
    ///
    /// # Cancel safety
    /// That of the future, which is dropped when it is to stop.
    pub async fn unless_stopped<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        if self.is_stopping() {
            return None;
        }
        unless(self.stopped(), future).await
    }

    /// What the future gives, or nothing if it should take on nothing new: for waiting for work.
    /// Silence is no sign of death meanwhile.
    ///
    /// # Cancel safety
    /// That of the future, which is dropped.
    pub async fn unless_drained<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        if self.is_draining() {
            return None;
        }
        let _idle = self.idle();
        unless(self.drained(), future).await
    }

    /// Waits this long; whether it goes on then. Silence is no sign of death meanwhile.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn sleep(&self, time: Duration) -> bool {
        let until = Deadline::after(self.clock.now(), time).moment();
        self.wait_until(until).await != Woken::Stop
    }

    /// Waits until this moment, until somebody wants it to run now, or until it is to stop or to drain.
    ///
    /// # Cancel safety
    /// Nothing is lost: a wish to run now stays until a wait hears it.
    pub async fn wait_until(&self, moment: Instant) -> Woken {
        let _idle = self.idle();
        let told = async {
            loop {
                let changed = self.slot.changed.notified();
                if self.is_draining() {
                    return Woken::Stop;
                }
                if self.slot.take_run_now() {
                    return Woken::RunNow;
                }
                changed.await;
            }
        };
        let slept = self.clock.sleep_until(moment);
        // Being told comes first: a worker whose time is always over would never hear it.
        unless(slept, told).await.unwrap_or(Woken::Time)
    }

    /// Waits while the worker is paused. Put it where the worker can stand still.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn pause_point(&self) {
        if !self.slot.is_paused() {
            return;
        }
        self.until(|ctx| !ctx.slot.is_paused() || ctx.is_draining())
            .await;
    }

    /// Whether somebody has paused it.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.slot.is_paused()
    }

    /// The future; while it is waited for, silence is no sign of death.
    ///
    /// # Cancel safety
    /// That of the future.
    pub async fn idly<T>(&self, future: impl Future<Output = T>) -> T {
        let _idle = self.idle();
        future.await
    }

    pub(crate) fn idle(&self) -> Idle<'_> {
        Idle::begin(&self.slot.vital, &self.clock)
    }

    /// In which term a worker leads that runs on one replica at a time; each term has a larger number
    /// than all before. Hand it to whatever the worker changes, and let that refuse smaller ones.
    #[must_use]
    pub fn epoch(&self) -> Option<Epoch> {
        self.term.as_ref().map(|term| term.epoch)
    }

    pub(crate) fn in_term(&self, term: &Arc<Term>) -> Self {
        Self {
            term: Some(Arc::clone(term)),
            ..self.clone()
        }
    }

    /// The term of this context is over.
    pub(crate) fn depose(&self) {
        if let Some(term) = &self.term {
            term.over.store(true, Ordering::Release);
            self.slot.changed.notify_waiters();
        }
    }

    /// Spawns a task that belongs to this run: it is aborted when the run ends, and the next run begins
    /// only when it is gone.
    pub fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        let leaves = self.child(None);
        let child = leaves.child;
        let task = self.run.executor.spawn(async move {
            let _leaves = leaves;
            task.await
        });
        self.run.brood.keep(child, task.abort_handle());
        task
    }

    /// Does work that blocks, on a thread for that. Nothing can abort it; if it goes on after the worker
    /// was to end, it is named, and the next run does not begin before it has returned.
    pub fn spawn_blocking<T: Send + 'static>(
        &self,
        what: impl Into<Cow<'static, str>>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let blocking = Blocking {
            what: what.into(),
            since: self.clock.now(),
        };
        let leaves = self.child(Some(blocking));
        let child = leaves.child;
        let task = self.run.executor.spawn_blocking(move || {
            let _leaves = leaves;
            work()
        });
        // What waits for a thread can still be taken away.
        self.run.brood.keep(child, task.abort_handle());
        task
    }

    fn child(&self, blocking: Option<Blocking>) -> crate::run::Leaves {
        let (slot, run) = (Arc::clone(&self.slot), Arc::clone(&self.run));
        crate::run::Leaves {
            child: self.run.brood.enter(blocking),
            run: Arc::clone(&self.run),
            over: Box::new(move |end| slot.ended(&run, end)),
        }
    }

    /// Makes one run of several, counted and timed by itself: a turn, an item. What it gives.
    ///
    /// # Errors
    /// Its own.
    ///
    /// # Cancel safety
    /// If it is dropped, it counts as aborted; if it panics, as panicked.
    pub async fn counted<T>(
        &self,
        run: impl Future<Output = Result<T, WorkerError>>,
    ) -> Result<T, WorkerError> {
        self.slot.numbers.count_itself();
        let mut counting = Counting {
            ctx: self,
            began: self.clock.now(),
            outcome: RunOutcome::Aborted,
        };
        let result = run.await;
        counting.outcome = match &result {
            Ok(_) => RunOutcome::Succeeded,
            Err(_) => RunOutcome::Failed,
        };
        result
    }

    pub(crate) fn record(&self, signal: impl FnOnce(Name) -> rs_core::Signal) {
        if let Some(manager) = self.slot.manager.upgrade() {
            manager.home.record(|| signal(self.slot.name));
        }
    }

    pub(crate) fn dice(&self) -> fastrand::Rng {
        match self.slot.manager.upgrade() {
            Some(manager) => manager.home.around.dice(self.slot.name.as_str()),
            None => fastrand::Rng::new(),
        }
    }
}

struct Counting<'a> {
    ctx: &'a WorkerContext,
    began: Instant,
    outcome: RunOutcome,
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        let slot = &self.ctx.slot;
        let now = self.ctx.clock.now();
        if self.outcome == RunOutcome::Aborted && std::thread::panicking() {
            self.outcome = RunOutcome::Panicked;
        }
        slot.count(self.outcome, now.saturating_duration_since(self.began), now);
    }
}

impl Slot {
    pub(crate) fn count(&self, outcome: RunOutcome, took: Duration, now: Instant) {
        self.numbers.count(outcome);
        if outcome == RunOutcome::Succeeded {
            self.numbers.succeeded(&self.vital, now);
        }
        if let Some(histogram) = &self.took {
            histogram.record_time(took);
        }
    }

    pub(crate) fn count_end(&self, end: &RunEnd, took: Duration, now: Instant) {
        if self.numbers.counts_itself() {
            return;
        }
        let outcome = match end {
            RunEnd::Returned => RunOutcome::Succeeded,
            RunEnd::Failed(_) => RunOutcome::Failed,
            RunEnd::Panicked(_) => RunOutcome::Panicked,
            RunEnd::Aborted => RunOutcome::Aborted,
        };
        self.count(outcome, took, now);
    }
}

impl fmt::Debug for WorkerContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerContext")
            .field("name", &self.name())
            .field("run", &self.run_number())
            .field("is_stopping", &self.is_stopping())
            .field("epoch", &self.epoch())
            .finish_non_exhaustive()
    }
}
