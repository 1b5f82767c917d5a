use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::{Health, Mandate};
use crate::{ConfigError, Name, Value};

/// Something with a name that can be looked at and steered while it runs: a breaker, a pool, a
/// worker, a migration.
///
/// Register it in a [`Directory`](crate::Directory), and a console, a command line or a test finds it
/// without knowing its crate.
pub trait Inspect: Send + Sync {
    /// What it is: `breaker`, `pool`.
    fn kind(&self) -> &'static str;

    /// Its name.
    fn name(&self) -> Name;

    /// What it looks like now, as named values.
    fn snapshot(&self) -> Value;

    /// Whether there is anything to worry about, in a few words.
    fn health(&self) -> Health {
        Health::UP
    }

    /// What it can be told to do.
    fn actions(&self) -> &'static [ActionSpec] {
        &[]
    }

    /// Does what it is told.
    ///
    /// # Errors
    /// When it does not know the action, cannot do it in its state, or the arguments are wrong.
    /// Nothing has changed then.
    fn control(&self, action: &Action, mandate: &Mandate) -> Result<(), ControlError> {
        let _ = mandate;
        Err(ControlError::unknown(action, self.actions()))
    }
}

/// What something that is inspected looks like at one moment.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Snapshot {
    /// What it is.
    pub kind: &'static str,
    /// Its name.
    pub name: Name,
    /// What it looks like.
    pub state: Value,
    /// Whether there is anything to worry about.
    pub health: Health,
}

impl Snapshot {
    /// What this looks like now. If it panics when it is asked, that is what it looks like.
    pub fn of(entry: &dyn Inspect) -> Self {
        let asked = AssertUnwindSafe(|| (entry.snapshot(), entry.health()));
        let (state, health) = catch_unwind(asked).unwrap_or_else(|_| {
            let state = Value::map([("panicked", Value::Bool(true))]);
            (state, Health::degraded("panics when it is asked how it is"))
        });
        Self {
            kind: entry.kind(),
            name: entry.name(),
            state,
            health,
        }
    }
}

/// Something that can be told to something that is inspected.
///
/// ```
/// use rs_core::{Action, Value};
///
/// let action = Action::new("resize").with("places", 64);
/// assert_eq!(action.argument("places"), Some(&Value::Count(64)));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(deny_unknown_fields))]
pub struct Action {
    name: String,
    #[cfg_attr(feature = "serde", serde(default))]
    arguments: Value,
}

impl Action {
    /// The action of this name, without arguments.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            arguments: Value::Null,
        }
    }

    /// The same action with one more argument.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        let entry = (name.into(), value.into());
        match &mut self.arguments {
            Value::Map(entries) => entries.push(entry),
            other => *other = Value::Map(vec![entry]),
        }
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The argument of this name.
    #[must_use]
    pub fn argument(&self, name: &str) -> Option<&Value> {
        self.arguments.get(name)
    }

    /// All its arguments.
    #[must_use]
    pub const fn arguments(&self) -> &Value {
        &self.arguments
    }

    /// Whether the action is one of these and takes all the arguments that were given: one that is passed
    /// over may be the one that mattered.
    ///
    /// # Errors
    /// When it is not known, or an argument is not.
    pub fn check(&self, known: &[ActionSpec]) -> Result<(), ControlError> {
        let spec = known.iter().find(|spec| spec.name == self.name);
        let spec = spec.ok_or_else(|| ControlError::unknown(self, known))?;
        let given = match &self.arguments {
            Value::Map(given) => given.as_slice(),
            Value::Null => &[],
            _ => return Err(ConfigError::other("arguments are given by name").into()),
        };
        let takes = spec.arguments.iter().map(|(name, _)| *name);
        match given
            .iter()
            .find(|(name, _)| !takes.clone().any(|known| known == name))
        {
            None => Ok(()),
            Some((name, _)) if spec.arguments.is_empty() => {
                let action = spec.name;
                Err(ConfigError::other(format_args!(
                    "`{action}` takes no arguments, `{name}` is one"
                ))
                .into())
            }
            Some((name, _)) => Err(ConfigError::unknown("argument", name, takes).into()),
        }
    }
}

/// Describes an action to whoever offers it to people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ActionSpec {
    name: &'static str,
    help: &'static str,
    arguments: &'static [(&'static str, &'static str)],
}

impl ActionSpec {
    /// An action and what it does, in a sentence.
    #[must_use]
    pub const fn new(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            arguments: &[],
        }
    }

    /// The same action, taking these arguments: the name of each and how it is written.
    #[must_use]
    pub const fn taking(mut self, arguments: &'static [(&'static str, &'static str)]) -> Self {
        self.arguments = arguments;
        self
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What it does.
    #[must_use]
    pub const fn help(&self) -> &'static str {
        self.help
    }

    /// The name of each argument and how it is written.
    #[must_use]
    pub const fn arguments(&self) -> &'static [(&'static str, &'static str)] {
        self.arguments
    }
}

/// Something that was told to something that is inspected was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ControlError {
    /// Nothing of that kind and name is registered.
    NotFound {
        /// The kind that was asked for.
        kind: String,
        /// The name that was asked for.
        name: String,
    },
    /// It does not know the action.
    Unknown(ConfigError),
    /// The arguments are wrong.
    Arguments(ConfigError),
    /// It cannot be done now, and this is why.
    NotNow(String),
}

impl ControlError {
    /// It does not know this action, but those.
    #[must_use]
    pub fn unknown(action: &Action, known: &[ActionSpec]) -> Self {
        let known = known.iter().map(|spec| spec.name);
        Self::Unknown(ConfigError::unknown("action", &action.name, known))
    }
}

impl From<ConfigError> for ControlError {
    fn from(error: ConfigError) -> Self {
        Self::Arguments(error)
    }
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { kind, name } => write!(f, "there is no {kind} `{name}`"),
            Self::Unknown(error) | Self::Arguments(error) => write!(f, "{error}"),
            Self::NotNow(why) => write!(f, "not now: {why}"),
        }
    }
}

impl std::error::Error for ControlError {}
