use std::{
    fmt,
    future::Future,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use rs_core::{ConfigError, Deadline, Name, config, humane, unless};

use super::{Places, timetable::Timetable};
use crate::{
    IntoWorkerResult, Woken, Worker, WorkerContext, WorkerError, WorkerFuture, WorkerResult, event,
};

/// What becomes of turns whose time came while another turn, or a pause, went on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Late {
    /// They are left out; the next is at its time.
    #[default]
    Skip,
    /// They follow at once, one after the other, as many as this; older ones are left out.
    CatchUp(u32),
    /// The next is a whole interval after the end of this one.
    Shift,
}

/// A worker that has a turn now and then: see [`periodic`].
pub struct Periodic<F> {
    name: Name,
    turn: F,
    every: Duration,
    jitter: Duration,
    late: Late,
    at_once: bool,
    turns: Turns,
}

/// A worker that does what the closure says each time the interval has passed. Turns never overlap.
///
/// A turn that fails is counted and announced, and the next is at its time; a turn that panics ends the
/// run, and the supervisor decides. [`WorkerManager::run_now`](crate::WorkerManager::run_now) makes a turn
/// at once.
///
/// ```
/// use rs_workers::{Late, WorkerContext, periodic};
/// use std::time::Duration;
/// # async fn delete_expired() -> std::io::Result<()> { Ok(()) }
///
/// let cleanup = periodic("cleanup", Duration::from_secs(60), |_ctx: WorkerContext| delete_expired())
///     .with_jitter(Duration::from_secs(5))
///     .when_late(Late::CatchUp(3))
///     .with_limit(Duration::from_secs(30));
/// # let _ = cleanup;
/// ```
///
/// # Defaults
/// The first turn is one interval after the start; no jitter; late turns are skipped; a turn may take as
/// long as it likes; no number of failures in a row is too many.
pub fn periodic<F, Fut, R>(name: impl Into<Name>, every: Duration, turn: F) -> Periodic<F>
where
    F: Fn(WorkerContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = R> + Send,
    R: IntoWorkerResult,
{
    Periodic {
        name: name.into(),
        turn,
        every,
        jitter: Duration::ZERO,
        late: Late::Skip,
        at_once: false,
        turns: Turns::default(),
    }
}

impl<F> Periodic<F> {
    /// Each turn is later by anything up to this, so that replicas do not have theirs at once. The times
    /// of later turns do not move for it.
    #[must_use]
    pub const fn with_jitter(mut self, at_most: Duration) -> Self {
        self.jitter = at_most;
        self
    }

    /// What becomes of turns that are late.
    #[must_use]
    pub const fn when_late(mut self, late: Late) -> Self {
        self.late = late;
        self
    }

    /// The first turn is at the start.
    #[must_use]
    pub const fn at_once(mut self) -> Self {
        self.at_once = true;
        self
    }

    /// A turn that takes longer than this is dropped, and has failed.
    #[must_use]
    pub const fn with_limit(mut self, time: Duration) -> Self {
        self.turns.limit = Some(time);
        self
    }

    /// A turn waits for one of these places, which others share.
    #[must_use]
    pub fn within(mut self, places: &Places) -> Self {
        self.turns.places = Some(places.clone());
        self
    }

    /// So many failures in a row, and the worker has failed: the supervisor decides.
    #[must_use]
    pub const fn failing_after(mut self, failures: u32) -> Self {
        self.turns.failing_after = Some(failures);
        self
    }

    /// How many turns were left out because they were late.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.turns.skipped.load(Ordering::Relaxed)
    }
}

impl<F, Fut, R> Worker for Periodic<F>
where
    F: Fn(WorkerContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = R> + Send,
    R: IntoWorkerResult,
{
    fn name(&self) -> Name {
        self.name
    }

    fn run(&self, ctx: WorkerContext) -> WorkerFuture<'_> {
        Box::pin(async move {
            let now = ctx.clock().now();
            let first = if self.at_once {
                now
            } else {
                after(now, self.every)
            };
            let mut table = Timetable::new(self.every, self.late, first);
            let mut dice = ctx.dice();
            let mut failures = 0;
            loop {
                let jitter = self.jitter.mul_f64(dice.f64());
                let was_due = match ctx.wait_until(after(table.due(), jitter)).await {
                    Woken::Stop => return Ok(()),
                    Woken::Time => true,
                    Woken::RunNow => false,
                };
                ctx.pause_point().await;
                if ctx.is_draining() {
                    return Ok(());
                }
                let turn = async { (self.turn)(ctx.clone()).await.into_result() };
                self.turns.take(&ctx, turn, &mut failures).await?;
                let skipped = table.ended(was_due, ctx.clock().now());
                self.turns.skipped.fetch_add(skipped, Ordering::Relaxed);
            }
        })
    }

    fn check(&self) -> Result<(), ConfigError> {
        let least = Duration::from_micros(1);
        config::time_in_range(
            "every",
            self.every,
            least..=crate::WorkerConfig::LONGEST * 53,
        )?;
        config::time_in_range("jitter", self.jitter, Duration::ZERO..=self.every)?;
        self.turns.check()
    }
}

fn after(at: Instant, time: Duration) -> Instant {
    Deadline::after(at, time).moment()
}

/// Turns that are limited, counted, and may fail.
#[derive(Debug, Default)]
pub(super) struct Turns {
    pub(super) limit: Option<Duration>,
    pub(super) places: Option<Places>,
    pub(super) failing_after: Option<u32>,
    pub(super) skipped: AtomicU64,
}

impl Turns {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if let Some(limit) = self.limit {
            let least = Duration::from_millis(1);
            config::time_in_range("limit", limit, least..=crate::WorkerConfig::LONGEST)?;
        }
        if let Some(failures) = self.failing_after {
            config::in_range("failing_after", failures, 1..=1_000_000)?;
        }
        Ok(())
    }

    /// Makes a turn. It is an error if there were too many in a row.
    pub(super) async fn take(
        &self,
        ctx: &WorkerContext,
        turn: impl Future<Output = WorkerResult>,
        failures: &mut u32,
    ) -> WorkerResult {
        let _place = match &self.places {
            Some(places) => match ctx.unless_drained(places.take()).await {
                Some(place) => Some(place),
                None => return Ok(()),
            },
            None => None,
        };
        self.make(ctx, turn, failures).await
    }

    /// Makes a turn that has to be made, also while it drains: an item was taken for it.
    pub(super) async fn take_surely(
        &self,
        ctx: &WorkerContext,
        turn: impl Future<Output = WorkerResult>,
        failures: &mut u32,
    ) -> WorkerResult {
        let _place = match &self.places {
            Some(places) => Some(ctx.idly(places.take()).await),
            None => None,
        };
        self.make(ctx, turn, failures).await
    }

    async fn make(
        &self,
        ctx: &WorkerContext,
        turn: impl Future<Output = WorkerResult>,
        failures: &mut u32,
    ) -> WorkerResult {
        ctx.heartbeat();
        let Err(error) = ctx.counted(self.limited(ctx, turn)).await else {
            *failures = 0;
            return Ok(());
        };
        *failures = failures.saturating_add(1);
        let (text, in_a_row) = (error.to_string(), *failures);
        ctx.record(|name| event::run_failed(name, &text, in_a_row));
        match self.failing_after {
            Some(limit) if in_a_row >= limit => Err(error),
            _ => Ok(()),
        }
    }

    async fn limited(
        &self,
        ctx: &WorkerContext,
        turn: impl Future<Output = WorkerResult>,
    ) -> WorkerResult {
        let Some(limit) = self.limit else {
            return turn.await;
        };
        let over = unless(ctx.clock().sleep(limit), turn).await;
        over.unwrap_or_else(|| Err(WorkerError::from(TookTooLong(limit))))
    }
}

#[derive(Debug)]
struct TookTooLong(Duration);

impl fmt::Display for TookTooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it took longer than {}", humane::show_duration(self.0))
    }
}

impl std::error::Error for TookTooLong {}

impl<F> fmt::Debug for Periodic<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Periodic")
            .field("name", &self.name)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}
