//! Configuration from a file, and again whenever it changes.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::PoisonError,
    time::Duration,
};

use rs_core::{Action, ActionSpec, ConfigError, ControlError, Value, config};

use super::{
    Changes, ResilienceManager,
    place::{Format, Place},
    resilience::{Inner, REFUSED},
};

/// Where the configuration is from.
pub(super) struct Source {
    path: PathBuf,
    /// What was read last, right or wrong.
    text: String,
    /// What was wrong with it.
    wrong: Option<String>,
}

pub(super) static ACTIONS: &[ActionSpec] = &[ActionSpec::new("reload", "reads its file again")];

/// A file that is not taken for a configuration.
///
/// With `{:#}` it also prints the line that is wrong.
#[derive(Debug)]
pub struct LoadError(Box<Refused>);

#[derive(Debug)]
struct Refused {
    path: PathBuf,
    place: Option<Place>,
    problem: LoadProblem,
}

/// What is wrong with a file.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadProblem {
    /// It cannot be read.
    Unreadable(io::Error),
    /// Its name ends in neither `.toml` nor `.json`.
    Format,
    /// It is not TOML, or not JSON.
    Syntax(String),
    /// What it says is wrong.
    Config(ConfigError),
}

impl LoadError {
    fn new(path: &Path, place: Option<Place>, problem: LoadProblem) -> Self {
        Self(Box::new(Refused {
            path: path.to_owned(),
            place,
            problem,
        }))
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The line, from 1 on; `None` if the whole file is wrong.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.0.place.as_ref().map(|place| place.line)
    }

    /// The column, from 1 on, in characters.
    #[must_use]
    pub fn column(&self) -> Option<usize> {
        self.0.place.as_ref().map(|place| place.column)
    }

    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> &LoadProblem {
        &self.0.problem
    }
}

impl ResilienceManager {
    /// Goes by this file from now on, TOML or JSON by the end of its name. The file before, if there was
    /// one, is forgotten.
    ///
    /// ```toml
    /// [budgets.bank]
    /// ratio = "10%"
    ///
    /// [pipelines.payments]
    /// timeout = "2s"
    /// attempt_timeout = "500ms"
    /// budget = "bank"
    /// retry = { attempts = 3, backoff = { exponential = "100ms" } }
    /// bulkhead = { limit = 32, queue = 64 }
    /// breaker = { trip = [{ consecutive_failures = 10 }] }
    /// ```
    ///
    /// It reads the file at once, as programs do when they start.
    ///
    /// # Errors
    /// What is wrong, at which line and column. The configuration before stays in force.
    pub fn load(&self, path: impl Into<PathBuf>) -> Result<Changes, LoadError> {
        let path = path.into();
        let read = fs::read_to_string(&path);
        self.inner().take(path, read)
    }

    /// Reads the file of [`load`](ResilienceManager::load) again whenever its content has changed, looking
    /// this often. What is wrong with it is signalled once, and the configuration before stays in force.
    ///
    /// Runs until it is dropped: give it to a task.
    ///
    /// ```no_run
    /// # async fn serve(manager: &rs_policies::ResilienceManager) -> Result<(), Box<dyn std::error::Error>> {
    /// manager.load("resilience.toml")?;
    /// let follower = manager.clone();
    /// tokio::spawn(async move { follower.follow(std::time::Duration::from_secs(2)).await });
    /// # Ok(()) }
    /// ```
    ///
    /// # Cancel safety
    /// Dropping it ends the looking; a configuration is taken whole or not at all.
    pub async fn follow(&self, every: Duration) {
        let every = every.max(Duration::from_millis(10));
        loop {
            self.inner().home.around.clock().sleep(every).await;
            let Some((path, text)) = self.inner().read_last() else {
                continue;
            };
            match tokio::fs::read_to_string(&path).await {
                Ok(now) if now == text => {}
                // What is away for a moment is being replaced.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // Whoever is to hear of it, heard the signal.
                read => drop(self.inner().take(path, read)),
            }
        }
    }
}

impl Inner {
    fn read_last(&self) -> Option<(PathBuf, String)> {
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        let source = source.as_ref()?;
        Some((source.path.clone(), source.text.clone()))
    }

    /// Goes by what was read, if it is right.
    fn take(&self, path: PathBuf, read: io::Result<String>) -> Result<Changes, LoadError> {
        let (text, taken) = match read {
            Err(error) => {
                let unreadable = LoadProblem::Unreadable(error);
                (String::new(), Err(LoadError::new(&path, None, unreadable)))
            }
            Ok(text) => {
                let taken = self.take_text(&path, &text);
                (text, taken)
            }
        };
        let wrong = taken.as_ref().err().map(ToString::to_string);
        if let Some(wrong) = &wrong {
            let home = &self.home;
            home.record(|| REFUSED.signal(home.name).noting(wrong.clone()));
        }
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        // A first file that is wrong is not followed: the program said so and ended, or goes on without.
        if wrong.is_none() || source.as_ref().is_some_and(|source| source.path == path) {
            *source = Some(Source { path, text, wrong });
        }
        taken
    }

    fn take_text(&self, path: &Path, text: &str) -> Result<Changes, LoadError> {
        let wrong = |place, problem| LoadError::new(path, place, problem);
        let format = Format::of(path).ok_or_else(|| wrong(None, LoadProblem::Format))?;
        let value = format
            .parse(text)
            .map_err(|(place, problem)| wrong(place, LoadProblem::Syntax(problem)))?;
        let taken = config::read(value).and_then(|config| self.apply(config));
        taken.map_err(|error| wrong(format.locate(text, &error), LoadProblem::Config(error)))
    }

    pub(super) fn shown_source(&self) -> [(&'static str, Value); 2] {
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        let path = source
            .as_ref()
            .map(|source| source.path.display().to_string());
        let wrong = source.as_ref().and_then(|source| source.wrong.clone());
        [("file", path.into()), ("wrong", wrong.into())]
    }

    #[expect(clippy::result_large_err, reason = "the directory's own error")]
    pub(super) fn obey(&self, action: &Action) -> Result<(), ControlError> {
        action.check(ACTIONS)?;
        let Some((path, _)) = self.read_last() else {
            return Err(ControlError::NotNow("it has no file".to_owned()));
        };
        let read = fs::read_to_string(&path);
        match self.take(path, read) {
            Ok(_) => Ok(()),
            Err(error) => Err(ControlError::Arguments(ConfigError::other(error))),
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.path.display())?;
        if let Some(place) = &self.0.place {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        write!(f, ": {}", self.0.problem)?;
        match &self.0.place {
            Some(place) if f.alternate() => write!(f, "\n{place}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for LoadProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "cannot be read: {error}"),
            Self::Format => f.write_str("the name must end in .toml or .json"),
            Self::Syntax(problem) => f.write_str(problem),
            Self::Config(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0.problem {
            LoadProblem::Unreadable(error) => Some(error),
            LoadProblem::Config(error) => Some(error),
            LoadProblem::Format | LoadProblem::Syntax(_) => None,
        }
    }
}
