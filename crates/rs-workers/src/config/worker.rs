use std::time::Duration;

use rs_core::{Backoff, ConfigError, Name, config};

/// When something that ended is started again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[expect(clippy::exhaustive_enums, reason = "the three of OTP")]
pub enum Restart {
    /// Always.
    #[default]
    Permanent,
    /// When it failed or panicked, not when it returned.
    Transient,
    /// Never.
    Temporary,
}

/// What becomes of a worker that shows no sign of life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum WhenStuck {
    /// A signal and a metric say so.
    #[default]
    Report,
    /// It is also stopped, and has failed.
    Restart,
}

/// How a worker is started, watched, restarted and stopped.
///
/// ```
/// use rs_workers::{Restart, WhenStuck, WorkerConfig};
/// use std::time::Duration;
///
/// let config = WorkerConfig::default()
///     .with_restart(Restart::Transient)
///     .after("database")
///     .with_grace(Duration::from_secs(30))
///     .stuck_after(Duration::from_secs(60), WhenStuck::Restart);
/// config.check()?;
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, deny_unknown_fields))]
pub struct WorkerConfig {
    restart: Restart,
    backoff: Backoff,
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    healthy_after: Duration,
    after: Vec<String>,
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration::option"))]
    ready_within: Option<Duration>,
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    grace: Duration,
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration::option"))]
    stuck_after: Option<Duration>,
    when_stuck: WhenStuck,
    #[cfg_attr(feature = "serde", serde(with = "rs_core::humane::duration"))]
    hogs_after: Duration,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            restart: Restart::Permanent,
            backoff: Backoff::default(),
            healthy_after: Duration::from_secs(60),
            after: Vec::new(),
            ready_within: None,
            grace: Duration::from_secs(10),
            stuck_after: None,
            when_stuck: WhenStuck::Report,
            hogs_after: Duration::from_millis(250),
        }
    }
}

impl WorkerConfig {
    /// The longest time that may be configured.
    pub const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

    /// When it is started again; by default always.
    #[must_use]
    pub const fn with_restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// How long to wait before each restart; by default 100 ms, doubling up to 10 s, with full jitter.
    #[must_use]
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Once it has run for so long, by default a minute, the waits begin anew with the shortest.
    #[must_use]
    pub const fn healthy_after(mut self, time: Duration) -> Self {
        self.healthy_after = time;
        self
    }

    /// It starts when the worker or group of this name is ready, and stops before it. A one-shot that
    /// has finished counts as ready.
    #[must_use]
    pub fn after(mut self, name: impl Into<String>) -> Self {
        self.after.push(name.into());
        self
    }

    /// It says itself when it is ready, by [`WorkerContext::ready`](crate::WorkerContext::ready), and has
    /// failed if it does not within this time. Without this it is ready as soon as it runs.
    #[must_use]
    pub const fn ready_within(mut self, time: Duration) -> Self {
        self.ready_within = Some(time);
        self
    }

    /// How long it may take to stop before it is aborted; by default 10 s.
    #[must_use]
    pub const fn with_grace(mut self, time: Duration) -> Self {
        self.grace = time;
        self
    }

    /// It is stuck when it gave no sign of life for so long; by default it is not watched.
    #[must_use]
    pub const fn stuck_after(mut self, time: Duration, then: WhenStuck) -> Self {
        self.stuck_after = Some(time);
        self.when_stuck = then;
        self
    }

    /// It hogs its thread when one poll takes so long; by default 250 ms.
    #[must_use]
    pub const fn hogs_after(mut self, time: Duration) -> Self {
        self.hogs_after = time;
        self
    }

    /// When it is started again.
    #[must_use]
    pub const fn restart(&self) -> Restart {
        self.restart
    }

    /// The waits before restarts.
    #[must_use]
    pub const fn backoff(&self) -> &Backoff {
        &self.backoff
    }

    /// After how long the waits begin anew.
    #[must_use]
    pub const fn time_to_be_healthy(&self) -> Duration {
        self.healthy_after
    }

    /// What it starts after.
    pub fn dependencies(&self) -> impl Iterator<Item = Name> {
        self.after.iter().map(|name| Name::new(name))
    }

    /// How long it may take to be ready, if it says so itself.
    #[must_use]
    pub const fn time_to_be_ready(&self) -> Option<Duration> {
        self.ready_within
    }

    /// How long it may take to stop.
    #[must_use]
    pub const fn grace(&self) -> Duration {
        self.grace
    }

    /// How long it may be silent, if it is watched.
    #[must_use]
    pub const fn time_to_be_stuck(&self) -> Option<Duration> {
        self.stuck_after
    }

    /// What becomes of it then.
    #[must_use]
    pub const fn when_stuck(&self) -> WhenStuck {
        self.when_stuck
    }

    /// How long a poll may take.
    #[must_use]
    pub const fn time_to_hog(&self) -> Duration {
        self.hogs_after
    }

    /// Whether it makes sense.
    ///
    /// # Errors
    /// Which field is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let backoff = self.backoff.check();
        backoff.map_err(|error| error.in_field("backoff"))?;
        let from = |least| Duration::from_millis(least)..=Self::LONGEST;
        config::time_in_range("healthy_after", self.healthy_after, from(0))?;
        config::time_in_range("grace", self.grace, from(0))?;
        config::time_in_range("hogs_after", self.hogs_after, from(1))?;
        if let Some(time) = self.ready_within {
            config::time_in_range("ready_within", time, from(1))?;
        }
        if let Some(time) = self.stuck_after {
            config::time_in_range("stuck_after", time, from(10))?;
        }
        Ok(())
    }
}
