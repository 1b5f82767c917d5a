use std::{borrow::Cow, fmt};

/// How something is, for whoever must decide whether to worry, and why.
///
/// ```
/// use rs_core::{Condition, Health};
///
/// let breaker = Health::down("open, next probe in 3s");
/// let bulkhead = Health::degraded("full, 12 wait");
/// assert!(breaker.condition() > bulkhead.condition());
/// assert_eq!(breaker.to_string(), "down: open, next probe in 3s");
/// assert_eq!(Health::UP.worse_of(bulkhead).condition(), Condition::Degraded);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Health {
    condition: Condition,
    why: Cow<'static, str>,
}

/// How something is, from good to bad.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[expect(
    clippy::exhaustive_enums,
    reason = "it serves, it serves badly, or it does not serve"
)]
pub enum Condition {
    /// It does what it should.
    #[default]
    Up,
    /// It does less than it should.
    Degraded,
    /// It does not do what it should.
    Down,
}

impl Health {
    /// Nothing to worry about.
    pub const UP: Self = Self {
        condition: Condition::Up,
        why: Cow::Borrowed(""),
    };

    /// It does less than it should, and this is why.
    #[must_use]
    pub fn degraded(why: impl Into<Cow<'static, str>>) -> Self {
        Self {
            condition: Condition::Degraded,
            why: why.into(),
        }
    }

    /// It does not do what it should, and this is why.
    #[must_use]
    pub fn down(why: impl Into<Cow<'static, str>>) -> Self {
        Self {
            condition: Condition::Down,
            why: why.into(),
        }
    }

    /// The same of a whole, because of this part of it: `breaker: open`.
    #[must_use]
    pub fn of_part(self, part: impl fmt::Display) -> Self {
        match self.is_up() {
            true => self,
            false => Self {
                why: format!("{part}: {}", self.why).into(),
                ..self
            },
        }
    }

    /// How it is, in a word.
    #[must_use]
    pub const fn condition(&self) -> Condition {
        self.condition
    }

    /// Why; empty if there is nothing to worry about.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }

    /// Whether there is nothing to worry about.
    #[must_use]
    pub const fn is_up(&self) -> bool {
        matches!(self.condition, Condition::Up)
    }

    /// The worse of the two; this one if they are as bad as each other.
    #[must_use]
    pub fn worse_of(self, other: Self) -> Self {
        match other.condition > self.condition {
            true => other,
            false => self,
        }
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::UP
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Up => "up",
            Self::Degraded => "degraded",
            Self::Down => "down",
        })
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.condition)?;
        if !self.why.is_empty() {
            write!(f, ": {}", self.why)?;
        }
        Ok(())
    }
}
