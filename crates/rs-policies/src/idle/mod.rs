//! Limits on silence.

mod operation;
mod pulse;
#[cfg(feature = "streams")]
mod stream;
mod watch;

pub use operation::WatchedFn;
pub use pulse::Pulse;
#[cfg(feature = "streams")]
pub use stream::{TryWatched, Watched};

use std::{fmt, future::Future, time::Duration};

use rs_core::{ByResult, Call, ConfigError, Failure, Name, Operation, TimeScope};
use rs_metrics::Surroundings;

use crate::{Timeout, TimeoutConfig};

/// Ends what has gone silent: it may take as long as it likes, as long as it gives signs of life.
///
/// An operation gives them by its [`Pulse`]; of a stream or a body, every item is one (feature `streams`).
/// As long as it need not wait, there is no look at the clock and no timer.
///
/// ```
/// use rs_policies::{IdleTimeout, Pulse};
/// use std::time::Duration;
/// # async fn store(_row: u64) -> Result<(), std::io::Error> { Ok(()) }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let idle = IdleTimeout::new("import", Duration::from_secs(10))?;
///
/// let stored = idle.call("import", async |_call, pulse: Pulse| {
///     for row in 0..1_000 {
///         store(row).await?;
///         pulse.beat();
///     }
///     Ok::<_, std::io::Error>(1_000)
/// });
/// assert_eq!(stored.await?, 1_000);
///
/// let hangs = idle.call("import", async |_call, pulse: Pulse| {
///     pulse.beat();
///     Ok::<(), std::io::Error>(std::future::pending().await)
/// });
/// assert_eq!(hangs.await.unwrap_err().to_string(), "no sign of life for 10s");
/// # Ok(()) }
/// ```
///
/// It is no policy: what is between it and the operation could not tell it of signs of life. So it makes an
/// operation of one that gives them, for any policy to run; see [`watching`](IdleTimeout::watching).
///
/// # Cancel safety
/// Dropping what is watched drops it, and nothing is counted. What has gone silent is dropped before the
/// failure is returned.
#[derive(Clone)]
pub struct IdleTimeout(Timeout);

impl IdleTimeout {
    /// A limit on the time between two signs of life.
    ///
    /// # Errors
    /// When the limit is shorter than a millisecond or longer than a day.
    pub fn new(
        name: impl Into<Name>,
        config: impl Into<TimeoutConfig>,
    ) -> Result<Self, ConfigError> {
        Self::within(&Surroundings::of_process(), name, config)
    }

    /// A limit on the time between two signs of life, in these surroundings.
    ///
    /// # Errors
    /// When the limit is shorter than a millisecond or longer than a day.
    pub fn within(
        around: &Surroundings,
        name: impl Into<Name>,
        config: impl Into<TimeoutConfig>,
    ) -> Result<Self, ConfigError> {
        Timeout::within(around, name, TimeScope::Idle, config).map(Self)
    }

    /// An operation that is ended when it has gone silent, judged by [`ByResult`] unless
    /// [`WatchedFn::classified`] says otherwise. Each attempt has a pulse of its own.
    ///
    /// ```
    /// use rs_core::{Call, Policy};
    /// use rs_policies::{IdleTimeout, Pipeline, Pulse, RetryConfig};
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let idle = IdleTimeout::new("feed", Duration::from_secs(5))?;
    /// let feed = Pipeline::named("feed").retry(RetryConfig::default()).safe_to_repeat().build()?;
    ///
    /// let read = idle.watching(async |call: Call, pulse: Pulse| {
    ///     pulse.beat();
    ///     if call.attempt() == 1 { std::future::pending::<()>().await }
    ///     Ok::<_, std::io::Error>("all of it")
    /// });
    /// assert_eq!(feed.run(&"read".into(), &read).await?, "all of it");
    /// assert_eq!(idle.timed_out(), 1);
    /// # Ok(()) }
    /// ```
    pub fn watching<F>(&self, run: F) -> WatchedFn<F, ByResult> {
        WatchedFn::new(self.0.clone(), run)
    }

    /// Calls an operation once, and ends it when it has gone silent.
    ///
    /// # Errors
    /// [`Failure::TimedOut`] when it has, or when the deadline of the call has passed; else the
    /// operation's own error.
    ///
    /// # Cancel safety
    /// Dropping the future drops the operation, and nothing is counted.
    pub fn call<F, Fut, T, E>(
        &self,
        call: impl Into<Call>,
        run: F,
    ) -> impl Future<Output = Result<T, Failure<E>>> + Send
    where
        F: Fn(Call, Pulse) -> Fut + Send + Sync,
        Fut: Future<Output = Result<T, E>> + Send,
        T: Send,
        E: Send,
    {
        let (call, watched) = (call.into(), self.watching(run));
        async move { watched.attempt(&call).await }
    }

    /// A stream that ends with a failure when no item comes within the limit, counted from when somebody
    /// waits for it: to be slow in taking items is not the stream's fault. The call says whether dark mode
    /// covers it, and by when all of it has to be there.
    ///
    /// ```
    /// use rs_policies::IdleTimeout;
    /// use std::time::Duration;
    /// use tokio_stream::StreamExt;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), rs_core::ConfigError> {
    /// let idle = IdleTimeout::new("ticks", Duration::from_secs(5))?;
    /// let ticks = tokio_stream::iter([1, 2]).chain(tokio_stream::pending());
    /// let mut ticks = idle.stream("ticks", ticks);
    ///
    /// assert_eq!(ticks.next().await, Some(Ok(1)));
    /// assert_eq!(ticks.next().await, Some(Ok(2)));
    /// let silent = ticks.next().await.unwrap().unwrap_err();
    /// assert_eq!(silent.to_string(), "no sign of life for 5s");
    /// assert_eq!(ticks.next().await, None);
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "streams")]
    pub fn stream<S>(&self, call: impl Into<Call>, stream: S) -> Watched<S> {
        Watched::new(self.0.clone(), call.into(), stream)
    }

    /// The same for a stream whose items may be errors, or a body: an `http_body::Body` is one again.
    #[cfg(feature = "streams")]
    pub fn try_stream<S>(&self, call: impl Into<Call>, stream: S) -> TryWatched<S> {
        TryWatched::new(self.stream(call, stream))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.name()
    }

    /// What it goes by.
    #[must_use]
    pub fn config(&self) -> TimeoutConfig {
        self.0.config()
    }

    /// Goes by this; what is watched already, when the wait that it is in is over by the old limit. The
    /// version that is in force then.
    ///
    /// # Errors
    /// When it is wrong; the old one stays in force.
    pub fn reconfigure(&self, config: impl Into<TimeoutConfig>) -> Result<u64, ConfigError> {
        self.0.reconfigure(config)
    }

    /// How much it ended.
    #[must_use]
    pub fn timed_out(&self) -> u64 {
        self.0.timed_out()
    }

    /// How much it would have ended, but for dark mode.
    #[must_use]
    pub fn would_have_timed_out(&self) -> u64 {
        self.0.would_have_timed_out()
    }

    /// For how long silence is borne.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.config().limit()
    }
}

impl fmt::Debug for IdleTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdleTimeout")
            .field("name", &self.name())
            .field("limit", &self.limit())
            .finish_non_exhaustive()
    }
}
