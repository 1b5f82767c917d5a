//! What a migration may do, from outside: by the environment, a file or anything else, while it runs.

mod follow;
mod source;

use rs_core::{ConfigError, Share};

pub use self::source::{EnvFlags, FileFlags, FlagSource, FlagsError};
use crate::{Stage, pilot::config::Named};

const PREFIX: &str = "MIGRATION_";

const NAMES: [&str; 7] = [
    "USE_NEW_CACHE",
    "PERCENTAGE",
    "STAGE",
    "ENABLE_METRICS",
    "ENABLE_SHADOW",
    "HOLD",
    "KILL_SWITCH",
];

/// What a migration may do, as far as flags say. They bound what it does by itself, and take it back where it
/// stands beyond; they never take it further.
///
/// | flag | written | means |
/// |---|---|---|
/// | `MIGRATION_USE_NEW_CACHE` | `true`, `false` | `false`: nothing is read from new; if it is, rolls back. `true` again releases that |
/// | `MIGRATION_PERCENTAGE` | `25%`, `25` | no more of the keys are read from new |
/// | `MIGRATION_STAGE` | `shadow` | goes no further; steps back if it has |
/// | `MIGRATION_ENABLE_METRICS` | `true`, `false` | `false`: times nothing, so it holds |
/// | `MIGRATION_ENABLE_SHADOW` | `true`, `false` | `false`: compares nothing |
/// | `MIGRATION_HOLD` | `true`, `false` | `true`: goes no further by itself |
/// | `MIGRATION_KILL_SWITCH` | `true`, `false` | `true`: rolls back, and again if somebody releases it |
///
/// Each for one migration as well, which comes first: `MIGRATION_PROMPTS_PERCENTAGE` for `prompts`. What is
/// not set bounds nothing.
///
/// ```
/// use rs_cache_migrate::Flags;
///
/// let flags = Flags::of("prompts", [("MIGRATION_PERCENTAGE", "50"), ("MIGRATION_PROMPTS_PERCENTAGE", "1%")])?;
/// assert_eq!(flags.percentage.unwrap().to_string(), "1%");
/// let wrong = Flags::of("prompts", [("MIGRATION_PERCENTAG", "5")]).unwrap_err().to_string();
/// assert!(wrong.contains("did you mean `MIGRATION_PERCENTAGE`?"), "{wrong}");
/// # Ok::<(), rs_core::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "sources of other people fill it in"
)]
pub struct Flags {
    /// Whether anything may be read from new.
    pub use_new_cache: Option<bool>,
    /// No more of the keys are read from new.
    pub percentage: Option<Share>,
    /// It goes no further.
    pub stage: Option<Stage>,
    /// Whether reads are timed.
    pub enable_metrics: Option<bool>,
    /// Whether reads are compared.
    pub enable_shadow: Option<bool>,
    /// Whether it stays where it is.
    pub hold: Option<bool>,
    /// Whether it must be off.
    pub kill_switch: Option<bool>,
}

impl Flags {
    /// What these variables say of the migration of this name; other variables and other migrations are left
    /// out.
    ///
    /// # Errors
    /// A value that cannot be read, or a name with this prefix that nobody knows, with the nearest.
    pub fn of<K: AsRef<str>, V: AsRef<str>>(
        migration: &str,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Result<Self, ConfigError> {
        let own = format!("{}_", upper(migration));
        let (mut for_all, mut for_this) = (Self::default(), Self::default());
        for (variable, value) in variables {
            let variable = variable.as_ref();
            let Some(name) = variable.strip_prefix(PREFIX) else {
                continue;
            };
            let mine = name.strip_prefix(&own).filter(|name| NAMES.contains(name));
            let (flags, name) = match mine {
                Some(name) => (&mut for_this, name),
                None if NAMES.contains(&name) => (&mut for_all, name),
                None if is_of_another(name) => continue,
                None => {
                    let known = NAMES.map(|name| format!("{PREFIX}{name}"));
                    let known = known.each_ref().map(String::as_str);
                    return Err(ConfigError::unknown("flag", variable, known));
                }
            };
            let set = flags.set(name, value.as_ref().trim());
            set.map_err(|error| error.in_field(variable))?;
        }
        Ok(for_this.or(for_all))
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        match name {
            "USE_NEW_CACHE" => self.use_new_cache = Some(switch(value)?),
            "PERCENTAGE" => self.percentage = Some(percentage(value)?),
            "STAGE" => self.stage = Some(Stage::named(&value.to_ascii_lowercase())?),
            "ENABLE_METRICS" => self.enable_metrics = Some(switch(value)?),
            "ENABLE_SHADOW" => self.enable_shadow = Some(switch(value)?),
            "HOLD" => self.hold = Some(switch(value)?),
            _ => self.kill_switch = Some(switch(value)?),
        }
        Ok(())
    }

    fn or(self, other: Self) -> Self {
        Self {
            use_new_cache: self.use_new_cache.or(other.use_new_cache),
            percentage: self.percentage.or(other.percentage),
            stage: self.stage.or(other.stage),
            enable_metrics: self.enable_metrics.or(other.enable_metrics),
            enable_shadow: self.enable_shadow.or(other.enable_shadow),
            hold: self.hold.or(other.hold),
            kill_switch: self.kill_switch.or(other.kill_switch),
        }
    }
}

/// `prompts-v2` is `PROMPTS_V2` in a variable.
fn upper(name: &str) -> String {
    let plain = |letter: char| match letter.is_ascii_alphanumeric() {
        true => letter.to_ascii_uppercase(),
        false => '_',
    };
    name.chars().map(plain).collect()
}

fn is_of_another(name: &str) -> bool {
    NAMES.iter().any(|known| {
        let before = name.strip_suffix(known);
        before.is_some_and(|before| before.len() > 1 && before.ends_with('_'))
    })
}

fn switch(value: &str) -> Result<bool, ConfigError> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err(ConfigError::malformed(
            value,
            "is not a switch",
            "write true or false",
        )),
    }
}

/// A bare number is a percentage, as the name says.
fn percentage(value: &str) -> Result<Share, ConfigError> {
    match value.parse() {
        Ok(percent) => Share::percent(percent),
        Err(_) => value.parse(),
    }
}
