use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use rs_core::{ConfigError, config};
use serde::Deserialize;

/// Which file the last known good sets are kept in, and when they are shown.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct CachedConfig {
    pub(super) path: PathBuf,
    pub(super) write_interval: Duration,
    pub(super) first_answer: Duration,
    pub(super) empty_grace: Duration,
    pub(super) max_age: Option<Duration>,
}

impl CachedConfig {
    /// This file. Its folder must be there; the file need not.
    ///
    /// # Errors
    /// When the path does not name a file.
    pub fn new(path: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        let path = path.into();
        if path.file_name().is_none() {
            let hint = "write /var/lib/app/instances.snapshot";
            let error = ConfigError::malformed(path.display(), "does not name a file", hint);
            return Err(error.in_field("path"));
        }
        Ok(Self {
            path,
            write_interval: Duration::from_secs(5),
            first_answer: Duration::from_secs(1),
            empty_grace: Duration::from_secs(30),
            max_age: None,
        })
    }

    /// The file is written no more often than this, by default every 5 s.
    ///
    /// # Errors
    /// When that is not between 10 ms and an hour.
    pub fn with_write_interval(mut self, time: Duration) -> Result<Self, ConfigError> {
        let allowed = Duration::from_millis(10)..=Duration::from_secs(3600);
        self.write_interval = config::time_in_range("write_interval", time, allowed)?;
        Ok(self)
    }

    /// How long a watch waits for the first answer of the registry before it shows what the file says, by
    /// default a second. When the registry fails it is shown at once.
    ///
    /// # Errors
    /// When that is more than a minute.
    pub fn with_first_answer(mut self, time: Duration) -> Result<Self, ConfigError> {
        let allowed = Duration::ZERO..=Duration::from_secs(60);
        self.first_answer = config::time_in_range("first_answer", time, allowed)?;
        Ok(self)
    }

    /// How long a registry whose first answer is that there are no instances must go on saying so before
    /// it is believed against the file, by default 30 s.
    ///
    /// # Errors
    /// When that is more than an hour.
    pub fn with_empty_grace(mut self, time: Duration) -> Result<Self, ConfigError> {
        let allowed = Duration::ZERO..=Duration::from_secs(3600);
        self.empty_grace = config::time_in_range("empty_grace", time, allowed)?;
        Ok(self)
    }

    /// What is older than this when the file is read is not believed. By default any age is better than
    /// nothing: a set says how old it is.
    ///
    /// # Errors
    /// When that is less than a minute or more than a year.
    pub fn with_max_age(mut self, age: Duration) -> Result<Self, ConfigError> {
        let allowed = Duration::from_secs(60)..=Duration::from_secs(365 * 86_400);
        self.max_age = Some(config::time_in_range("max_age", age, allowed)?);
        Ok(self)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    path: PathBuf,
    #[serde(default, with = "rs_core::humane::duration::option")]
    write_interval: Option<Duration>,
    #[serde(default, with = "rs_core::humane::duration::option")]
    first_answer: Option<Duration>,
    #[serde(default, with = "rs_core::humane::duration::option")]
    empty_grace: Option<Duration>,
    #[serde(default, with = "rs_core::humane::duration::option")]
    max_age: Option<Duration>,
}

impl TryFrom<Written> for CachedConfig {
    type Error = ConfigError;

    fn try_from(written: Written) -> Result<Self, ConfigError> {
        let mut config = Self::new(written.path)?;
        if let Some(time) = written.write_interval {
            config = config.with_write_interval(time)?;
        }
        if let Some(time) = written.first_answer {
            config = config.with_first_answer(time)?;
        }
        if let Some(time) = written.empty_grace {
            config = config.with_empty_grace(time)?;
        }
        match written.max_age {
            Some(age) => config.with_max_age(age),
            None => Ok(config),
        }
    }
}
