use std::{
    fmt,
    future::Future,
    io::Read,
    path::{Path, PathBuf},
};

use rs_core::ConfigError;

use super::Flags;

/// More is no file of flags.
const LIMIT: u64 = 64 * 1024;

/// Where flags come from.
pub trait FlagSource: Send + Sync {
    /// What they say of the migration of this name now.
    ///
    /// # Cancel safety
    /// Whoever implements it must allow the future to be dropped.
    fn read(&self, migration: &str) -> impl Future<Output = Result<Flags, FlagsError>> + Send;
}

/// Flags could not be read: what they said last stays.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum FlagsError {
    /// Where they come from is away.
    Away(String),
    /// One of them is wrong; none of them counts then.
    Wrong(ConfigError),
}

impl fmt::Display for FlagsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(why) => f.write_str(why),
            Self::Wrong(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FlagsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Wrong(error) => Some(error),
            Self::Away(_) => None,
        }
    }
}

impl From<ConfigError> for FlagsError {
    fn from(error: ConfigError) -> Self {
        Self::Wrong(error)
    }
}

/// The environment of the process.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct EnvFlags;

impl EnvFlags {
    /// The environment of the process.
    #[must_use]
    pub const fn new() -> Self {
        Self
    }
}

impl FlagSource for EnvFlags {
    async fn read(&self, migration: &str) -> Result<Flags, FlagsError> {
        let text = |part: std::ffi::OsString| part.into_string().ok();
        let all = std::env::vars_os();
        let readable = all.filter_map(|(name, value)| Some((text(name)?, text(value)?)));
        Ok(Flags::of(migration, readable)?)
    }
}

/// A file with a line for each flag, `MIGRATION_PERCENTAGE=25%`; what follows a `#` at the beginning of a line
/// is a comment. It is read each time: replace it as a whole.
#[derive(Debug, Clone)]
pub struct FileFlags(PathBuf);

impl FileFlags {
    /// This file, which need not be there yet.
    #[must_use]
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self(path.as_ref().to_owned())
    }

    fn text(&self) -> Result<String, FlagsError> {
        let away =
            |error: std::io::Error| FlagsError::Away(format!("{}: {error}", self.0.display()));
        let mut text = String::new();
        let file = std::fs::File::open(&self.0).map_err(away)?;
        let read = file
            .take(LIMIT + 1)
            .read_to_string(&mut text)
            .map_err(away)?;
        if read as u64 > LIMIT {
            let why = format!("{}: longer than {LIMIT} bytes", self.0.display());
            return Err(FlagsError::Away(why));
        }
        Ok(text)
    }
}

impl FlagSource for FileFlags {
    async fn read(&self, migration: &str) -> Result<Flags, FlagsError> {
        let text = self.text()?;
        let mut variables = vec![];
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let line = line.strip_prefix("export ").unwrap_or(line);
            let Some((name, value)) = line.split_once('=') else {
                let wrong = ConfigError::malformed(line, "is no flag", "write NAME=value");
                return Err(wrong.in_field(&format!("line {}", number + 1)).into());
            };
            let name = name.trim();
            if !name.starts_with(super::PREFIX) {
                let known = super::NAMES.map(|known| format!("{}{known}", super::PREFIX));
                let known = known.each_ref().map(String::as_str);
                return Err(ConfigError::unknown("flag", name, known).into());
            }
            variables.push((name, value.trim().trim_matches('"')));
        }
        Ok(Flags::of(migration, variables)?)
    }
}
