use std::{
    fmt,
    future::Future,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use croner::parser::{CronParser, Seconds};
use jiff::{Timestamp, Zoned, tz::TimeZone};
use rs_core::{Clock, ConfigError, Deadline, Name, config};

use super::{Places, periodic::Turns};
use crate::{
    IntoWorkerResult, Restart, Woken, Worker, WorkerConfig, WorkerContext, WorkerFuture,
    WorkerResult, event,
};

/// What becomes of times that were missed: the process slept, or was paused, or a turn took too long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Misfire {
    /// One turn at once, however many were missed.
    #[default]
    RunOnce,
    /// They are left out.
    Skip,
    /// A turn for each, at once, one after the other, but no more than the last so many.
    RunAll(u32),
}

/// Where the time of day comes from.
#[derive(Clone)]
pub struct WallClock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl WallClock {
    /// The system's.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "a cron expression means the time of day; jumps are dealt with"
    )]
    pub fn system() -> Self {
        Self(Arc::new(SystemTime::now))
    }

    /// One that shows this time now, and goes as the clock goes: for tests.
    #[must_use]
    pub fn beside(clock: &Clock, time: SystemTime) -> Self {
        let (clock, start) = (clock.clone(), clock.now());
        Self(Arc::new(move || {
            time + clock.now().saturating_duration_since(start)
        }))
    }

    /// Any other.
    #[must_use]
    pub fn own(read: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    fn now(&self, zone: &TimeZone) -> Zoned {
        let now = Timestamp::try_from((self.0)());
        // A time beyond the year 9999 is none.
        now.unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(zone.clone())
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WallClock")
    }
}

/// A worker that has a turn when a cron expression says: see [`cron`].
pub struct Cron<F> {
    name: Name,
    turn: F,
    when: Box<croner::Cron>,
    zone: TimeZone,
    wall: WallClock,
    misfire: Misfire,
    tolerance: Duration,
    turns: Turns,
}

/// A worker that does what the closure says when a cron expression says, in a time zone. Turns never overlap.
///
/// The expression has five fields, or six with seconds first; `@daily` and the like, `L`, `W` and `#` are
/// known. The closure hears which time its turn is for. Where clocks are put forward, a turn whose time does
/// not exist follows right after the gap; where they are put back, a turn at a fixed time has it once. A
/// turn that fails is counted and announced; it returns, and is off, when there is no next time.
///
/// # Errors
/// When the expression or the name of the time zone is wrong.
///
/// ```
/// use rs_workers::{Misfire, WorkerContext, cron};
/// # async fn send_report() -> std::io::Result<()> { Ok(()) }
///
/// let report = cron("report", "30 6 * * MON-FRI", "Europe/Berlin", |_: WorkerContext, _for| send_report())?
///     .when_missed(Misfire::Skip);
/// # let _ = report;
/// assert_eq!(
///     cron("x", "61 * * * *", "Europe/Berlin", |_: WorkerContext, _| async {}).unwrap_err().field(),
///     "expression",
/// );
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
pub fn cron<F, Fut, R>(
    name: impl Into<Name>,
    expression: &str,
    zone: &str,
    turn: F,
) -> Result<Cron<F>, ConfigError>
where
    F: Fn(WorkerContext, SystemTime) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = R> + Send,
    R: IntoWorkerResult,
{
    let parser = CronParser::builder().seconds(Seconds::Optional).build();
    let when = parser.parse(expression).map_err(|error| {
        let problem = format!("is no cron expression: {error}");
        ConfigError::malformed(expression, &problem, "write it like `30 6 * * MON-FRI`")
            .in_field("expression")
    })?;
    let zone = TimeZone::get(zone).map_err(|_| {
        ConfigError::malformed(
            zone,
            "is no time zone",
            "write it like Europe/Berlin or UTC",
        )
        .in_field("zone")
    })?;
    Ok(Cron {
        name: name.into(),
        turn,
        when: Box::new(when),
        zone,
        wall: WallClock::system(),
        misfire: Misfire::RunOnce,
        tolerance: Duration::from_secs(30),
        turns: Turns::default(),
    })
}

impl<F> Cron<F> {
    /// How often it looks at the time of day at least, since that may jump.
    const LOOK: Duration = Duration::from_secs(30);

    /// What becomes of times that were missed; by default one turn for all of them.
    #[must_use]
    pub const fn when_missed(mut self, misfire: Misfire) -> Self {
        self.misfire = misfire;
        self
    }

    /// A time was missed if the turn would be later than this, by default 30 s.
    #[must_use]
    pub const fn with_tolerance(mut self, time: Duration) -> Self {
        self.tolerance = time;
        self
    }

    /// The time of day comes from here.
    #[must_use]
    pub fn with_wall_clock(mut self, wall: WallClock) -> Self {
        self.wall = wall;
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

    /// How many times were left out.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        self.turns.skipped.load(Ordering::Relaxed)
    }

    /// The next time after this one, if there is one.
    #[must_use]
    pub fn next_after(&self, time: SystemTime) -> Option<SystemTime> {
        let after = Timestamp::try_from(time).ok()?.to_zoned(self.zone.clone());
        self.next(&after).map(|next| next.timestamp().into())
    }

    fn next(&self, after: &Zoned) -> Option<Zoned> {
        self.when.find_next_occurrence(after, false).ok()
    }

    /// The last times up to now, at most so many, the oldest first; none that is not after `after`.
    fn missed(&self, after: &Zoned, now: &Zoned, at_most: u32) -> Vec<Zoned> {
        let mut missed = Vec::new();
        let (mut at, mut inclusive) = (now.clone(), true);
        while missed.len() < at_most as usize {
            match self.when.find_previous_occurrence(&at, inclusive) {
                Ok(time) if time > *after => {
                    missed.push(time.clone());
                    (at, inclusive) = (time, false);
                }
                _ => break,
            }
        }
        missed.reverse();
        missed
    }
}

impl<F, Fut, R> Cron<F>
where
    F: Fn(WorkerContext, SystemTime) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = R> + Send,
    R: IntoWorkerResult,
{
    async fn keep_time(&self, ctx: WorkerContext) -> WorkerResult {
        // Everything up to this time is dealt with.
        let mut done = self.wall.now(&self.zone);
        let mut failures = 0;
        loop {
            let Some(due) = self.next(&done) else {
                return Ok(());
            };
            let wanted = match self.until(&ctx, &due).await {
                Woken::Stop => return Ok(()),
                Woken::Time => false,
                Woken::RunNow => true,
            };
            ctx.pause_point().await;
            if ctx.is_draining() {
                return Ok(());
            }
            let now = self.wall.now(&self.zone);
            if wanted {
                self.turn(&ctx, &now, &mut failures).await?;
                continue;
            }
            let late = Duration::try_from(now.duration_since(&due)).unwrap_or_default();
            if late <= self.tolerance {
                self.turn(&ctx, &due, &mut failures).await?;
                done = due;
                continue;
            }
            ctx.record(|name| event::skipped(name, late));
            for time in self.make_up_for(&done, &due, &now) {
                if ctx.is_draining() {
                    return Ok(());
                }
                self.turn(&ctx, &time, &mut failures).await?;
            }
            done = now;
        }
    }

    /// For which of the times that were missed a turn is made.
    fn make_up_for(&self, done: &Zoned, due: &Zoned, now: &Zoned) -> Vec<Zoned> {
        match self.misfire {
            Misfire::Skip => {
                self.turns.skipped.fetch_add(1, Ordering::Relaxed);
                Vec::new()
            }
            Misfire::RunOnce => {
                let last = self.missed(done, now, 1);
                if last.is_empty() {
                    vec![due.clone()]
                } else {
                    last
                }
            }
            Misfire::RunAll(at_most) => self.missed(done, now, at_most),
        }
    }

    async fn until(&self, ctx: &WorkerContext, due: &Zoned) -> Woken {
        loop {
            let now = self.wall.now(&self.zone);
            let left = Duration::try_from(due.duration_since(&now)).unwrap_or_default();
            if left.is_zero() {
                return if ctx.is_draining() {
                    Woken::Stop
                } else {
                    Woken::Time
                };
            }
            let look = Deadline::after(ctx.clock().now(), left.min(Self::LOOK)).moment();
            match ctx.wait_until(look).await {
                Woken::Time => {}
                other => return other,
            }
        }
    }

    async fn turn(&self, ctx: &WorkerContext, time: &Zoned, failures: &mut u32) -> WorkerResult {
        let time = SystemTime::from(time.timestamp());
        let turn = async { (self.turn)(ctx.clone(), time).await.into_result() };
        self.turns.take(ctx, turn, failures).await
    }
}

impl<F, Fut, R> Worker for Cron<F>
where
    F: Fn(WorkerContext, SystemTime) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = R> + Send,
    R: IntoWorkerResult,
{
    fn name(&self) -> Name {
        self.name
    }

    fn run(&self, ctx: WorkerContext) -> WorkerFuture<'_> {
        Box::pin(async move { self.keep_time(ctx).await })
    }

    fn config(&self) -> WorkerConfig {
        WorkerConfig::default().with_restart(Restart::Transient)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let range = Duration::ZERO..=Duration::from_secs(24 * 3600);
        config::time_in_range("tolerance", self.tolerance, range)?;
        self.turns.check()
    }
}

impl<F> fmt::Debug for Cron<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cron")
            .field("name", &self.name)
            .field("when", &self.when.as_str())
            .finish_non_exhaustive()
    }
}
