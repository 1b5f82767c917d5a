use std::{
    fmt,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

use rs_core::{Clock, ConfigError, Deadline, Name, Share, config, unless};

use crate::{
    Worker, WorkerConfig, WorkerContext, WorkerFuture, WorkerResult,
    context::Term,
    event,
    lease::{Claim, Epoch, Lease, LeaseError},
};

/// How a worker leads.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct LeaderConfig {
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    lease: Duration,
    margin: Share,
    holder: Option<String>,
}

impl Default for LeaderConfig {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            margin: Share::percent(20.0).unwrap_or(Share::NONE),
            holder: None,
        }
    }
}

impl LeaderConfig {
    /// How long a lease lasts, by default 15 s: as long after the death of a leader there is another. It is
    /// renewed each third of it.
    #[must_use]
    pub const fn with_lease(mut self, time: Duration) -> Self {
        self.lease = time;
        self
    }

    /// The last part of a lease that could not be renewed, by default 20 %: the worker is told to stop when
    /// it begins, and dropped when it is over.
    #[must_use]
    pub const fn with_margin(mut self, margin: Share) -> Self {
        self.margin = margin;
        self
    }

    /// The name of this replica, which no other has; by default one that chance makes up.
    #[must_use]
    pub fn with_holder(mut self, holder: impl Into<String>) -> Self {
        self.holder = Some(holder.into());
        self
    }

    /// How long a lease lasts.
    #[must_use]
    pub const fn lease(&self) -> Duration {
        self.lease
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// Which field is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let least = Duration::from_millis(100);
        config::time_in_range("lease", self.lease, least..=Duration::from_secs(24 * 3600))?;
        config::in_range("margin", self.margin.get(), 0.01..=0.5)?;
        Ok(())
    }
}

/// A worker that runs on one replica at a time: see [`leader_only`].
pub struct LeaderOnly<W, L> {
    worker: W,
    lease: L,
    config: LeaderConfig,
    holder: String,
}

/// A worker that runs only while this replica has the lease of its name.
///
/// The others wait, and are ready meanwhile. Whoever leads has an [`Epoch`] in its context, larger than those
/// of all leaders before: the fence against a leader that was frozen and does not know that its time is
/// over. The worker is told to stop before its lease ends, by the monotonic clock and counted from before
/// the renewal was asked for, and is dropped when it has ended. If it returns, fails or panics while it
/// leads, the lease is given back and its supervisor decides.
///
/// ```
/// use rs_workers::{LeaderConfig, MemoryLease, WorkerContext, leader_only, worker};
/// use std::time::Duration;
///
/// let relay = worker("relay", |ctx: WorkerContext| async move {
///     while ctx.sleep(Duration::from_secs(1)).await {
///         println!("in the term {:?}", ctx.epoch());
///     }
/// });
/// let relay = leader_only(relay, MemoryLease::new(), LeaderConfig::default());
/// # let _ = relay;
/// ```
pub fn leader_only<W: Worker, L: Lease>(
    worker: W,
    lease: L,
    config: LeaderConfig,
) -> LeaderOnly<W, L> {
    let by_chance = || format!("{}-{:016x}", std::process::id(), fastrand::u64(..));
    let holder = config.holder.clone().unwrap_or_else(by_chance);
    LeaderOnly {
        worker,
        lease,
        config,
        holder,
    }
}

impl<W: Worker, L: Lease> LeaderOnly<W, L> {
    async fn campaign(&self, ctx: WorkerContext) -> WorkerResult {
        ctx.ready();
        let claim = Claim::new(
            self.worker.name().as_str(),
            self.holder.clone(),
            self.config.lease,
        );
        let mut dice = ctx.dice();
        loop {
            ctx.at("waiting for the lease");
            let asked = ctx.clock().now();
            let answer = ctx.unless_drained(self.in_time(ctx.clock(), self.lease.acquire(&claim)));
            match answer.await {
                None => return Ok(()),
                Some(Ok(Some(epoch))) => {
                    if let Some(result) = self.lead(&ctx, &claim, epoch, asked).await {
                        return result;
                    }
                }
                Some(Ok(None) | Err(_)) => {}
            }
            // Not all at once when a leader is gone.
            let pause = self.third().mul_f64(0.5 + 0.5 * dice.f64());
            if !ctx.sleep(pause).await {
                return Ok(());
            }
        }
    }

    /// Leads until the lease is lost, or until the worker ends: how it did.
    async fn lead(
        &self,
        ctx: &WorkerContext,
        claim: &Claim,
        epoch: Epoch,
        asked: Instant,
    ) -> Option<WorkerResult> {
        let clock = ctx.clock();
        let tenure = Tenure::new(asked, claim.time);
        let mut given_back = GivenBack {
            leads: true,
            ctx,
            epoch,
        };
        ctx.record(|name| event::elected(name, epoch.number()));
        let inner = ctx.in_term(&Arc::new(Term::new(epoch)));
        let mut work = pin!(self.worker.run(inner.clone()));
        let why = {
            let mut keep = pin!(self.keep(clock, claim, epoch, &tenure));
            let mut over = pin!(tenure.over(clock, self.margin()));
            poll_fn(|cx| {
                if let Poll::Ready(why) = keep.as_mut().poll(cx) {
                    return Poll::Ready(Err(why));
                }
                // Whoever was frozen finds out before it goes on, whatever woke it.
                if over.as_mut().poll(cx).is_ready() || tenure.is_over(clock.now(), self.margin()) {
                    return Poll::Ready(Err("the lease could not be renewed in time"));
                }
                let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
                match polled {
                    Ok(polled) => polled.map(|result| Ok(Ok(result))),
                    Err(payload) => Poll::Ready(Ok(Err(payload))),
                }
            })
            .await
        };
        given_back.leads = false;
        match why {
            Ok(result) => {
                // If it is not heard, the lease ends by itself.
                let _ = self.in_time(clock, self.lease.release(claim, epoch)).await;
                Some(result.unwrap_or_else(|payload| resume_unwind(payload)))
            }
            Err(why) => {
                ctx.record(|name| event::deposed(name, epoch.number(), why));
                inner.depose();
                let end = tenure.end();
                let ended = unless(clock.sleep_until(end), work.as_mut()).await;
                // What it says now nobody asked for; but a failure is a failure.
                match ended {
                    Some(Err(error)) => Some(Err(error)),
                    _ => None,
                }
            }
        }
    }

    /// Renews the lease until it is lost; why it is.
    async fn keep(
        &self,
        clock: &Clock,
        claim: &Claim,
        epoch: Epoch,
        tenure: &Tenure,
    ) -> &'static str {
        let mut pause = self.third();
        loop {
            clock.sleep(pause).await;
            let asked = clock.now();
            match self.in_time(clock, self.lease.renew(claim, epoch)).await {
                Ok(true) => {
                    tenure.begin_anew(asked);
                    pause = self.third();
                }
                Ok(false) => {
                    tenure.cut();
                    return "somebody else leads";
                }
                // It may answer in a moment; the time is watched elsewhere.
                Err(_) => pause = self.config.lease / 10,
            }
        }
    }

    fn third(&self) -> Duration {
        self.config.lease / 3
    }

    fn margin(&self) -> Duration {
        self.config.lease.mul_f64(self.config.margin.get())
    }

    async fn in_time<T>(
        &self,
        clock: &Clock,
        answer: impl Future<Output = Result<T, LeaseError>>,
    ) -> Result<T, LeaseError> {
        let answered = unless(clock.sleep(self.third()), answer).await;
        answered.unwrap_or_else(|| Err(LeaseError::new("no answer in time")))
    }
}

/// How long it may lead. Moments are nanoseconds since it was elected.
struct Tenure {
    zero: Instant,
    time: Duration,
    /// When it last asked for a lease that it got; the maximum if it has none any more.
    asked: AtomicU64,
}

impl Tenure {
    const CUT: u64 = u64::MAX;

    const fn new(asked: Instant, time: Duration) -> Self {
        Self {
            zero: asked,
            time,
            asked: AtomicU64::new(0),
        }
    }

    fn begin_anew(&self, asked: Instant) {
        let since = asked.saturating_duration_since(self.zero).as_nanos();
        self.asked
            .store(u64::try_from(since).unwrap_or(Self::CUT), Ordering::Relaxed);
    }

    fn cut(&self) {
        self.asked.store(Self::CUT, Ordering::Relaxed);
    }

    fn end(&self) -> Instant {
        match self.asked.load(Ordering::Relaxed) {
            Self::CUT => self.zero,
            asked => Deadline::after(
                self.zero,
                Duration::from_nanos(asked).saturating_add(self.time),
            )
            .moment(),
        }
    }

    async fn over(&self, clock: &Clock, margin: Duration) {
        while !self.is_over(clock.now(), margin) {
            let until = self.end().checked_sub(margin).unwrap_or(self.zero);
            clock.sleep_until(until).await;
        }
    }

    fn is_over(&self, now: Instant, margin: Duration) -> bool {
        self.end().saturating_duration_since(now) <= margin
    }
}

/// Says that it leads no longer, if it is dropped while it does.
struct GivenBack<'a> {
    leads: bool,
    ctx: &'a WorkerContext,
    epoch: Epoch,
}

impl Drop for GivenBack<'_> {
    fn drop(&mut self) {
        if self.leads {
            self.ctx.record(|name| {
                event::deposed(name, self.epoch.number(), "it was aborted or panicked")
            });
        }
    }
}

impl<W: Worker, L: Lease> Worker for LeaderOnly<W, L> {
    fn name(&self) -> Name {
        self.worker.name()
    }

    fn run(&self, ctx: WorkerContext) -> WorkerFuture<'_> {
        Box::pin(self.campaign(ctx))
    }

    fn config(&self) -> WorkerConfig {
        self.worker.config()
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.config.check()?;
        self.worker.check()
    }
}

impl<W, L> fmt::Debug for LeaderOnly<W, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaderOnly")
            .field("holder", &self.holder)
            .finish_non_exhaustive()
    }
}
