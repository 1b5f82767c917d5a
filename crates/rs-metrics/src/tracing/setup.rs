use std::{
    fmt,
    io::{IsTerminal, stderr},
    panic::Location,
    sync::{Mutex, PoisonError},
};

use tracing_subscriber::{
    Layer, Registry,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::CALL_SPANS;

/// Sets up the logs and spans of the process; see [`Tracing::install`].
#[derive(Debug, Clone)]
#[must_use = "nothing is logged before it is installed"]
pub struct Tracing {
    #[cfg(feature = "otel")]
    service: String,
    logs: Logs,
    filter: String,
    #[cfg(feature = "otel")]
    export: Option<super::otel::Export>,
}

/// How log lines are written to standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Logs {
    /// A JSON object a line, with the spans that it happened in: for machines.
    Json,
    /// A line that people read.
    Text,
    /// None.
    Off,
}

/// Where somebody set up the logs and spans of the process.
static FIRST: Mutex<Option<&'static Location<'static>>> = Mutex::new(None);

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

impl Tracing {
    /// Of the service of this name: text logs from `info` up, no export.
    pub fn new(service: impl Into<String>) -> Self {
        // Only spans carry the name of the service.
        let _service = service.into();
        Self {
            #[cfg(feature = "otel")]
            service: _service,
            logs: Logs::Text,
            filter: "info".to_owned(),
            #[cfg(feature = "otel")]
            export: None,
        }
    }

    /// Writes log lines like this.
    pub const fn logs(mut self, logs: Logs) -> Self {
        self.logs = logs;
        self
    }

    /// What is logged and traced: a level, or levels by target, like `info,hyper=warn`.
    ///
    /// The spans of calls ([`call_span`](super::call_span)) are kept whatever the level, because they
    /// carry the correlation id into warnings and errors; `rs_metrics::call=off` drops them as well.
    pub fn filter(mut self, filter: impl Into<String>) -> Self {
        self.filter = filter.into();
        self
    }

    /// Exports spans over OTLP/HTTP to the collector at this URL, such as `http://localhost:4318`, in
    /// batches and off the caller's time. TLS is left to an agent beside the service.
    #[cfg(feature = "otel")]
    pub fn otlp(mut self, collector: impl Into<String>) -> Self {
        self.export.get_or_insert_default().collector = collector.into();
        self
    }

    /// Exports this share of the traces that begin here; those that began elsewhere follow their
    /// caller's decision. All, unless told.
    #[cfg(feature = "otel")]
    pub fn sample(mut self, share: rs_core::Share) -> Self {
        self.export.get_or_insert_default().share = share;
        self
    }

    /// Says more about where the spans come from: `deployment.environment`, `service.version`.
    #[cfg(feature = "otel")]
    pub fn resource(mut self, key: &'static str, value: impl Into<String>) -> Self {
        let resource = &mut self.export.get_or_insert_default().resource;
        resource.push((key, value.into()));
        self
    }

    /// Sets everything up. Records of the `log` facade are not among the lines; its own bridge, the
    /// crate `tracing-log`, adds them.
    ///
    /// # Errors
    /// When it was done before, the filter cannot be read, or the exporter cannot be built.
    #[track_caller]
    pub fn install(self) -> Result<Traced, TracingError> {
        let here = Location::caller();
        let mut first = FIRST.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_some() {
            return Err(TracingError::Twice { first: *first });
        }
        let targets = targets(&self.filter)
            .map_err(|problem| TracingError::Filter(format!("`{}`: {problem}", self.filter)))?;
        let mut layers: Vec<BoxedLayer> = Vec::new();
        layers.extend(self.logs.layer(targets.clone()));
        #[cfg(feature = "otel")]
        let exporting = match self.export {
            Some(export) => {
                let (layer, exporting) = export.start(self.service)?;
                layers.push(layer.with_filter(targets).boxed());
                Some(exporting)
            }
            None => None,
        };
        tracing_subscriber::registry()
            .with(layers)
            .try_init()
            .map_err(|_| TracingError::Twice { first: None })?;
        *first = Some(here);
        Ok(Traced {
            #[cfg(feature = "otel")]
            _exporting: exporting,
        })
    }
}

/// Stricter than the type's own parser, which takes a misspelt level for a target to trace all of.
fn targets(filter: &str) -> Result<Targets, String> {
    let level = |text: &str| {
        let text = text.trim();
        // The level's own parser takes nothing for `error`.
        let level = text
            .parse::<LevelFilter>()
            .ok()
            .filter(|_| !text.is_empty());
        level.ok_or_else(|| {
            format!("`{text}` is no level; there are off, error, warn, info, debug and trace")
        })
    };
    let word = |text: &'_ str| match text.split_whitespace().collect::<Vec<_>>()[..] {
        [word] => Ok(word.to_owned()),
        _ => Err(format!("`{text}` is no target")),
    };
    let mut targets = Targets::new().with_target(CALL_SPANS, LevelFilter::INFO);
    for part in filter.split(',') {
        targets = match part.split_once('=') {
            None => targets.with_default(level(part)?),
            Some((target, text)) => targets.with_target(word(target)?, level(text)?),
        };
    }
    Ok(targets)
}

impl Logs {
    fn layer(self, targets: Targets) -> Option<BoxedLayer> {
        let colours = stderr().is_terminal()
            && std::env::var_os("NO_COLOR").is_none_or(|unwanted| unwanted.is_empty());
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(stderr)
            .with_ansi(colours);
        match self {
            Self::Json => {
                let lines = lines.json().flatten_event(true).with_current_span(false);
                Some(lines.with_filter(targets).boxed())
            }
            Self::Text => Some(lines.with_filter(targets).boxed()),
            Self::Off => None,
        }
    }
}

/// The logs and spans of the process, set up. Dropping it hands over the spans that still wait.
#[derive(Debug)]
#[must_use = "spans that wait to be exported are handed over when this is shut down or dropped"]
pub struct Traced {
    #[cfg(feature = "otel")]
    _exporting: Option<super::otel::Exporting>,
}

impl Traced {
    /// Hands over the spans that wait, and ends the export. Blocks the thread until the collector has
    /// them, for up to five seconds; dropping it does the same. The export runs on threads of its own,
    /// so both may be done in async code.
    pub fn shutdown(self) {
        drop(self);
    }
}

/// Logs and spans could not be set up.
#[derive(Debug)]
#[non_exhaustive]
pub enum TracingError {
    /// It was done before.
    Twice {
        /// Who did it; not known of other code than this.
        first: Option<&'static Location<'static>>,
    },
    /// The filter cannot be read.
    Filter(String),
    /// The exporter could not be built.
    Export(String),
}

impl fmt::Display for TracingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice { first: Some(first) } => {
                write!(f, "logs and spans were set up before, at {first}")
            }
            Self::Twice { first: None } => {
                f.write_str("logs and spans were set up before, by other code")
            }
            Self::Filter(problem) => write!(
                f,
                "cannot read the filter {problem}; write it like `info` or `info,hyper=warn`"
            ),
            Self::Export(problem) => write!(f, "cannot export spans: {problem}"),
        }
    }
}

impl std::error::Error for TracingError {}
