use std::{fmt, time::Duration};

use crate::humane;

/// Who ordered a state by hand, why, and for how long.
///
/// Every forced state carries one, so that a kill switch is never a riddle and never stays for ever
/// by oversight.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Mandate {
    author: String,
    reason: String,
    #[cfg_attr(
        feature = "serde",
        serde(
            default,
            skip_serializing_if = "Option::is_none",
            with = "crate::humane::duration::option"
        )
    )]
    expires_in: Option<Duration>,
}

impl Mandate {
    /// By order of this author, for this reason, until somebody ends it.
    pub fn new(author: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            author: author.into(),
            reason: reason.into(),
            expires_in: None,
        }
    }

    /// The same mandate, which ends by itself after this time.
    #[must_use]
    pub const fn lasting(mut self, time: Duration) -> Self {
        self.expires_in = Some(time);
        self
    }

    /// Who.
    #[must_use]
    pub fn author(&self) -> &str {
        &self.author
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// For how long, if it ends by itself.
    #[must_use]
    pub const fn expires_in(&self) -> Option<Duration> {
        self.expires_in
    }
}

impl fmt::Display for Mandate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "by {} ({})", self.author, self.reason)?;
        if let Some(time) = self.expires_in {
            write!(f, " for {}", humane::show_duration(time))?;
        }
        Ok(())
    }
}
