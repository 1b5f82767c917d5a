use std::{fmt, future::Future};

use rs_core::Name;

use crate::{IntoWorkerResult, Worker, WorkerContext, WorkerFuture};

/// A worker made of a closure: see [`worker`].
pub struct Plain<F> {
    name: Name,
    run: F,
}

/// A worker that does what the closure says, until it returns or is told to stop.
///
/// ```
/// use rs_workers::{WorkerContext, worker};
/// use std::time::Duration;
///
/// let heart = worker("heart", |ctx: WorkerContext| async move {
///     while ctx.sleep(Duration::from_secs(1)).await {
///         println!("beat");
///     }
/// });
/// # let _ = heart;
/// ```
pub fn worker<F, Fut, R>(name: impl Into<Name>, run: F) -> Plain<F>
where
    F: Fn(WorkerContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = R> + Send,
    R: IntoWorkerResult,
{
    Plain {
        name: name.into(),
        run,
    }
}

impl<F, Fut, R> Worker for Plain<F>
where
    F: Fn(WorkerContext) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = R> + Send,
    R: IntoWorkerResult,
{
    fn name(&self) -> Name {
        self.name
    }

    fn run(&self, ctx: WorkerContext) -> WorkerFuture<'_> {
        Box::pin(async move { (self.run)(ctx).await.into_result() })
    }
}

impl<F> fmt::Debug for Plain<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plain")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
