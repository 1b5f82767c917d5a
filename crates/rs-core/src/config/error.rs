use std::fmt;

use super::nearest::nearest;

/// A configuration that is refused: which field, what is wrong, what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    field: String,
    problem: ConfigProblem,
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigProblem {
    /// The value has the right form but is too large or too small.
    OutOfRange {
        /// What was written.
        value: String,
        /// What is allowed.
        allowed: String,
    },
    /// The value cannot be read.
    Malformed {
        /// What was written.
        value: String,
        /// What is wrong with it: `is not a time: no unit`.
        problem: String,
        /// How it is written.
        hint: String,
    },
    /// A name that nobody knows.
    Unknown {
        /// What it should be the name of: `field`, `strategy`.
        what: String,
        /// What was written.
        name: String,
        /// The known name that was probably meant.
        nearest: Option<String>,
        /// All known names.
        known: Vec<String>,
    },
    /// A field that must be there is not.
    Missing,
    /// Anything else, in words; also a value that contradicts another.
    Other(String),
}

impl ConfigError {
    /// This value is too large or too small.
    #[must_use]
    pub fn out_of_range(value: impl fmt::Display, allowed: &str) -> Self {
        Self::new(ConfigProblem::OutOfRange {
            value: value.to_string(),
            allowed: allowed.to_owned(),
        })
    }

    /// This value cannot be read.
    #[must_use]
    pub fn malformed(value: impl fmt::Display, problem: &str, hint: &str) -> Self {
        Self::new(ConfigProblem::Malformed {
            value: value.to_string(),
            problem: problem.to_owned(),
            hint: hint.to_owned(),
        })
    }

    /// Nobody knows this name.
    #[must_use]
    pub fn unknown<'a>(
        what: &str,
        name: &str,
        known: impl IntoIterator<Item = &'a str> + Clone,
    ) -> Self {
        Self::new(ConfigProblem::Unknown {
            what: what.to_owned(),
            name: name.to_owned(),
            nearest: nearest(name, known.clone()).map(str::to_owned),
            known: known.into_iter().map(str::to_owned).collect(),
        })
    }

    /// The field must be there.
    #[must_use]
    pub fn missing(field: &str) -> Self {
        Self::new(ConfigProblem::Missing).in_field(field)
    }

    /// Anything else, in words.
    #[must_use]
    pub fn other(problem: impl fmt::Display) -> Self {
        Self::new(ConfigProblem::Other(problem.to_string()))
    }

    const fn new(problem: ConfigProblem) -> Self {
        Self {
            field: String::new(),
            problem,
        }
    }

    /// The same error, found in this field, or in a field of it.
    #[must_use]
    pub fn in_field(mut self, outer: &str) -> Self {
        let joint = match self.field.as_bytes().first() {
            None | Some(b'[') => "",
            Some(_) => ".",
        };
        self.field = format!("{outer}{joint}{}", self.field);
        self
    }

    /// The path of the field: `breakers.payments.window`. Empty if it is not known.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What is wrong.
    #[must_use]
    pub const fn problem(&self) -> &ConfigProblem {
        &self.problem
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[cfg(feature = "serde")]
        super::heard::hear(self);
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        write!(f, "{}", self.problem)
    }
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { value, allowed } => {
                write!(f, "{value} is out of range; allowed: {allowed}")
            }
            Self::Malformed {
                value,
                problem,
                hint,
            } => write!(f, "`{value}` {problem}; {hint}"),
            Self::Unknown {
                what,
                name,
                nearest,
                known,
            } => {
                write!(f, "unknown {what} `{name}`")?;
                if let Some(nearest) = nearest {
                    write!(f, ", did you mean `{nearest}`?")?;
                } else {
                    f.write_str(";")?;
                }
                if known.is_empty() {
                    return f.write_str(" there are none");
                }
                write!(f, " known: {}", known.join(", "))
            }
            Self::Missing => f.write_str("is missing"),
            Self::Other(problem) => f.write_str(problem),
        }
    }
}

impl std::error::Error for ConfigError {}
