//! What is wrong, where, and what to do about it.

use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) level: Level,
    /// Relative to the root.
    pub(crate) path: String,
    /// From 1; 0 when the whole file is meant.
    pub(crate) line: usize,
    what: String,
    fix: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Error,
    Warning,
}

impl Problem {
    pub(crate) fn new(
        path: &str,
        line: usize,
        what: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            level: Level::Error,
            path: path.to_owned(),
            line,
            what: what.into(),
            fix: fix.into(),
        }
    }

    #[must_use]
    pub(crate) fn warning(self) -> Self {
        Self {
            level: Level::Warning,
            ..self
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        let level = if self.level == Level::Warning {
            "warning: "
        } else {
            ""
        };
        write!(f, ": {level}{} — {}", self.what, self.fix)
    }
}
