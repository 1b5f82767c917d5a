use std::{error::Error, fmt, future::Future, pin::Pin, sync::Arc};

use rs_core::{ConfigError, Name};

use crate::{WorkerConfig, WorkerContext};

/// Why a worker failed: any error.
pub type WorkerError = Box<dyn Error + Send + Sync>;

/// How a worker ended by itself.
pub type WorkerResult = Result<(), WorkerError>;

/// The work itself, which is waited for.
pub type WorkerFuture<'a> = Pin<Box<dyn Future<Output = WorkerResult> + Send + 'a>>;

/// Work that goes on beside the calls of a service.
///
/// Most are made from a closure: [`worker`](crate::worker), [`periodic`](crate::periodic),
/// [`queue`](crate::queue), [`once`](crate::once). For one with a state of its own:
///
/// ```
/// use rs_core::Name;
/// use rs_workers::{Worker, WorkerContext, WorkerFuture};
/// use std::time::Duration;
///
/// struct Compactor { every: Duration }
///
/// impl Worker for Compactor {
///     fn name(&self) -> Name {
///         Name::of("compactor")
///     }
///
///     fn run(&self, ctx: WorkerContext) -> WorkerFuture<'_> {
///         Box::pin(async move {
///             while ctx.sleep(self.every).await {
///                 ctx.at("merging segments");
///             }
///             Ok(())
///         })
///     }
/// }
/// ```
///
/// There is never more than one run of a worker at a time. The next begins when nothing of the last is
/// left, also none of what it spawned by its context.
pub trait Worker: Send + Sync + 'static {
    /// Its name, which no other worker or group of its manager has.
    fn name(&self) -> Name;

    /// Runs until it is done, fails, or is told to stop by the context.
    fn run(&self, ctx: WorkerContext) -> WorkerFuture<'_>;

    /// How it is treated unless it is registered otherwise.
    fn config(&self) -> WorkerConfig {
        WorkerConfig::default()
    }

    /// Whether it makes sense; asked when it is registered.
    ///
    /// # Errors
    /// What does not.
    fn check(&self) -> Result<(), ConfigError> {
        Ok(())
    }
}

impl<W: Worker + ?Sized> Worker for Arc<W> {
    fn name(&self) -> Name {
        (**self).name()
    }

    fn run(&self, ctx: WorkerContext) -> WorkerFuture<'_> {
        (**self).run(ctx)
    }

    fn config(&self) -> WorkerConfig {
        (**self).config()
    }

    fn check(&self) -> Result<(), ConfigError> {
        (**self).check()
    }
}

impl<W: Worker + ?Sized> Worker for Box<W> {
    fn name(&self) -> Name {
        (**self).name()
    }

    fn run(&self, ctx: WorkerContext) -> WorkerFuture<'_> {
        (**self).run(ctx)
    }

    fn config(&self) -> WorkerConfig {
        (**self).config()
    }

    fn check(&self) -> Result<(), ConfigError> {
        (**self).check()
    }
}

/// What the closure of a worker may return: nothing, or a result with any error.
pub trait IntoWorkerResult {
    /// As a result.
    ///
    /// # Errors
    /// Its own.
    fn into_result(self) -> WorkerResult;
}

impl IntoWorkerResult for () {
    fn into_result(self) -> WorkerResult {
        Ok(())
    }
}

/// What a loop without end gives: the type has no name of its own yet.
type Never = <fn() -> ! as Gives>::Given;

#[doc(hidden)]
#[expect(unnameable_types, reason = "only names what a function gives")]
pub trait Gives {
    type Given;
}

impl<T> Gives for fn() -> T {
    type Given = T;
}

impl IntoWorkerResult for Never {
    fn into_result(self) -> WorkerResult {
        self
    }
}

impl<E: Into<WorkerError>> IntoWorkerResult for Result<(), E> {
    fn into_result(self) -> WorkerResult {
        self.map_err(Into::into)
    }
}

/// How a run of a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunEnd {
    /// It returned.
    Returned,
    /// It returned an error, and this is what the error says.
    Failed(String),
    /// It panicked, and this is what the panic says.
    Panicked(String),
    /// It gave no sign of life, was not ready in time, or did not stop in time.
    Aborted,
}

impl RunEnd {
    pub(crate) fn of(result: WorkerResult) -> Self {
        match result {
            Ok(()) => Self::Returned,
            Err(error) => Self::Failed(chain(&*error)),
        }
    }
}

/// An error and what caused it.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

impl fmt::Display for RunEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Returned => f.write_str("returned"),
            Self::Failed(error) => write!(f, "failed: {error}"),
            Self::Panicked(payload) => write!(f, "panicked: {payload}"),
            Self::Aborted => f.write_str("was aborted"),
        }
    }
}
