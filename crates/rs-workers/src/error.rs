use std::{fmt, time::Duration};

use rs_core::{ConfigError, Name, humane};

use crate::tree::OrderError;

/// Why a manager did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ManagerError {
    /// The configuration of the worker or group is wrong.
    Config {
        /// Of which.
        name: Name,
        /// What is wrong.
        error: Box<ConfigError>,
    },
    /// There is a worker or group of this name.
    Duplicate(Name),
    /// These would start after each other: from a name back to itself.
    Cycle(Vec<Name>),
    /// It starts after something that is not there.
    Missing {
        /// Who.
        name: Name,
        /// After what.
        wants: Name,
    },
    /// The code that gives the name of a worker, or checks it, panicked and said this.
    Panicked(String),
    /// There are as many as there may be.
    Full(usize),
    /// There is nothing of this name.
    NotFound(Name),
    /// Something that stays starts after it.
    Needed {
        /// What was to be removed.
        name: Name,
        /// Who needs it.
        by: Name,
    },
    /// It goes on, though it was aborted: it blocks its thread.
    Lost(Name),
    /// There is no tokio runtime here, and none was given.
    NoRuntime,
    /// These were not ready in time.
    NotReady {
        /// How long they had.
        within: Duration,
        /// Each with what it is doing.
        who: Vec<(Name, String)>,
    },
    /// It was stopped before it was ready.
    Stopped(Name),
    /// Too many restarts.
    GaveUp(GaveUp),
    /// The signals of the process cannot be listened to, and this is why.
    NoSignals(String),
}

/// The outermost group had too many restarts.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GaveUp {
    /// The member whose end was too much: a worker or a group.
    pub over: Name,
    /// How it ended the last time, if it is a worker.
    pub last: Option<crate::RunEnd>,
    /// How many restarts there would have been.
    pub restarts: u32,
    /// Within how long.
    pub within: Duration,
}

impl ManagerError {
    pub(crate) fn config(name: Name, error: ConfigError) -> Self {
        let error = Box::new(error);
        Self::Config { name, error }
    }
}

impl From<OrderError> for ManagerError {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::Duplicate(name) => Self::Duplicate(name),
            OrderError::NoGroup => Self::NotFound(Name::of("group")),
            OrderError::Cycle(names) => Self::Cycle(names),
            OrderError::Missing { name, wants } => Self::Missing { name, wants },
            OrderError::Running(name) => Self::Lost(name),
            OrderError::Needed { name, by } => Self::Needed { name, by },
        }
    }
}

impl fmt::Display for ManagerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config { name, error } => write!(f, "worker `{name}`: {error}"),
            Self::Duplicate(name) => write!(f, "there is a worker or group `{name}` already"),
            Self::Cycle(names) => {
                f.write_str("nothing can start first: ")?;
                for (place, name) in names.iter().enumerate() {
                    let joint = if place == 0 { "" } else { " after " };
                    write!(f, "{joint}`{name}`")?;
                }
                Ok(())
            }
            Self::Missing { name, wants } => {
                write!(f, "`{name}` starts after `{wants}`, which is not there")
            }
            Self::Panicked(payload) => write!(f, "the worker panicked: {payload}"),
            Self::Full(limit) => write!(f, "there are {limit} workers and groups already"),
            Self::NotFound(name) => write!(f, "there is no worker or group `{name}`"),
            Self::Needed { name, by } => write!(f, "`{by}` starts after `{name}`"),
            Self::Lost(name) => write!(f, "`{name}` goes on: it blocks its thread"),
            Self::NoRuntime => f.write_str("there is no tokio runtime here; give the manager one"),
            Self::NotReady { within, who } => {
                write!(f, "not ready after {}: ", humane::show_duration(*within))?;
                for (place, (name, what)) in who.iter().enumerate() {
                    let joint = if place == 0 { "" } else { ", " };
                    write!(f, "{joint}`{name}` {what}")?;
                }
                Ok(())
            }
            Self::Stopped(name) => write!(f, "`{name}` was stopped before it was ready"),
            Self::GaveUp(why) => write!(f, "{why}"),
            Self::NoSignals(why) => write!(f, "no signals: {why}"),
        }
    }
}

impl std::error::Error for ManagerError {}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within = humane::show_duration(self.within);
        write!(
            f,
            "{} restarts within {within}, the last of `{}`",
            self.restarts, self.over
        )?;
        match &self.last {
            Some(last) => write!(f, ", which {last}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for GaveUp {}
