use std::{error::Error, fmt};

use rs_core::{ConfigError, Name};

use super::Doubt;

/// Why a pipeline is not built.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum PlanError {
    /// A part is configured wrongly: the field begins with its name.
    Part(Box<ConfigError>),
    /// Parts contradict each other; all of these do.
    Conflicts(Name, Vec<Doubt>),
}

impl PlanError {
    pub(super) fn part(name: &'static str) -> impl Fn(ConfigError) -> Self {
        move |error| Self::Part(Box::new(error.in_field(name)))
    }

    /// The parts that contradict each other.
    #[must_use]
    pub fn conflicts(&self) -> &[Doubt] {
        match self {
            Self::Part(_) => &[],
            Self::Conflicts(_, conflicts) => conflicts,
        }
    }
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Part(error) => write!(f, "{error}"),
            Self::Conflicts(name, conflicts) => {
                write!(f, "pipeline `{name}` cannot work")?;
                for (place, conflict) in conflicts.iter().enumerate() {
                    let mark = if place == 0 { ": " } else { "; " };
                    write!(f, "{mark}{conflict}")?;
                }
                Ok(())
            }
        }
    }
}

impl Error for PlanError {}
