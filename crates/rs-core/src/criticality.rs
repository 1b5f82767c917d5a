use std::{fmt, str::FromStr};

use crate::ConfigError;

/// How important a call is: under overload the least important is shed first.
///
/// The four classes of Google's services, by their names on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "the four classes are what services agree on when they talk to each other"
)]
pub enum Criticality {
    /// May fail most of the time; can be made up for later. Batch work.
    Sheddable,
    /// May fail for minutes; work that a person does not wait for.
    SheddablePlus,
    /// A person sees it when it fails: the default.
    #[default]
    Critical,
    /// Serious harm when it fails.
    CriticalPlus,
}

impl Criticality {
    /// All classes, the least important first.
    pub const ALL: [Self; 4] = [
        Self::Sheddable,
        Self::SheddablePlus,
        Self::Critical,
        Self::CriticalPlus,
    ];

    /// Its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sheddable => "SHEDDABLE",
            Self::SheddablePlus => "SHEDDABLE_PLUS",
            Self::Critical => "CRITICAL",
            Self::CriticalPlus => "CRITICAL_PLUS",
        }
    }
}

impl fmt::Display for Criticality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Criticality {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let named = |class: &Self| class.as_str().eq_ignore_ascii_case(text.trim());
        Self::ALL
            .into_iter()
            .find(named)
            .ok_or_else(|| ConfigError::unknown("criticality", text, Self::ALL.map(Self::as_str)))
    }
}
