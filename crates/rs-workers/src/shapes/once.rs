use std::{fmt, future::Future, time::Duration};

use rs_core::{Backoff, ConfigError, Name, config};

use crate::{IntoWorkerResult, Restart, Worker, WorkerConfig, WorkerContext, WorkerFuture, event};

/// A worker that does one thing and is done: see [`once`].
pub struct Once<F> {
    name: Name,
    job: F,
    attempts: u32,
    backoff: Backoff,
}

/// A worker that does one thing, by default in one attempt. When it has succeeded it is off, and what
/// starts after it may start.
///
/// If no attempt succeeds the worker has failed, and is restarted as its configuration says: by default
/// yes, for that is [`Restart::Transient`].
///
/// ```
/// use rs_core::Backoff;
/// use rs_workers::{WorkerContext, once};
/// use std::time::Duration;
/// # async fn load_prices() -> std::io::Result<()> { Ok(()) }
///
/// let warm_up = once("warm-up", |_ctx: WorkerContext| load_prices())
///     .with_attempts(5, Backoff::exponential(Duration::from_millis(200)));
/// # let _ = warm_up;
/// ```
pub fn once<F, Fut, R>(name: impl Into<Name>, job: F) -> Once<F>
where
    F: Fn(WorkerContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = R> + Send,
    R: IntoWorkerResult,
{
    Once {
        name: name.into(),
        job,
        attempts: 1,
        backoff: Backoff::default(),
    }
}

impl<F> Once<F> {
    /// It is tried so often, with these waits between.
    #[must_use]
    pub fn with_attempts(mut self, attempts: u32, backoff: Backoff) -> Self {
        self.attempts = attempts;
        self.backoff = backoff;
        self
    }
}

impl<F, Fut, R> Worker for Once<F>
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
            let mut waits = self.backoff.delays_by(ctx.dice());
            let mut attempt = 1;
            loop {
                ctx.pause_point().await;
                if ctx.is_draining() {
                    return Ok(());
                }
                ctx.heartbeat();
                let job = async { (self.job)(ctx.clone()).await.into_result() };
                let Err(error) = ctx.counted(job).await else {
                    return Ok(());
                };
                let wait = waits.next().filter(|_| attempt < self.attempts);
                let Some(wait) = wait else { return Err(error) };
                ctx.record(|name| event::run_failed(name, &error.to_string(), attempt));
                attempt += 1;
                if !ctx.sleep(wait).await {
                    return Ok(());
                }
            }
        })
    }

    fn config(&self) -> WorkerConfig {
        // Ready when it is done: nobody says so before.
        WorkerConfig::default()
            .with_restart(Restart::Transient)
            .ready_within(Duration::from_secs(3600))
    }

    fn check(&self) -> Result<(), ConfigError> {
        config::in_range("attempts", self.attempts, 1..=1_000_000)?;
        self.backoff
            .check()
            .map_err(|error| error.in_field("backoff"))
    }
}

impl<F> fmt::Debug for Once<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once")
            .field("name", &self.name)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}
