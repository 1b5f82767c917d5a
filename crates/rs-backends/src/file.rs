use std::{
    fs::Metadata,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use rs_core::{
    Action, ActionSpec, Backoff, ConfigError, ControlError, Health, Inspect, Mandate, Name, Value,
    config,
};
use rs_metrics::Surroundings;
use serde::Deserialize;
use tokio::{
    fs,
    io::AsyncReadExt,
    select,
    sync::{Mutex, watch},
};

use crate::{
    Backend, BackendError, BackendHealth, InstanceSet, ServiceInstance, Standing, Watch,
    in_force::{InForce, RECONFIGURE, obey},
    instance::check_name,
    listing::Listing,
    metrics::Operation,
    station::Station,
    watch::{Answer, Source, WatchRules},
};

/// Instances from a TOML or JSON file that may change while it is watched.
///
/// ```toml
/// [[instances]]
/// service = "payments"
/// host = "10.0.0.7"
/// port = 8443
/// zone = "eu-1a"
/// ```
///
/// A file is taken whole or not at all: while it cannot be read, or anything in it is wrong, what it said
/// before is kept, with the reason. One that is replaced by renaming is believed at once, one that is
/// written in place when two looks have seen the same. It is empty when it says `instances = []`; a file
/// without `instances` is wrong, so that one that was cut short empties nothing.
///
/// It is looked at now and then, not through notifications of the system: those are not to be had on
/// network file systems, and mounted configuration of containers is replaced through links.
#[derive(Debug, Clone)]
pub struct File(Arc<Inner>);

/// Which file, and how often it is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "WrittenConfig")]
pub struct FileConfig {
    path: PathBuf,
    every: Duration,
}

impl FileConfig {
    /// This file: TOML if its name ends in `.toml`, JSON if in `.json`.
    ///
    /// # Errors
    /// When its name ends otherwise.
    pub fn new(path: impl Into<PathBuf>) -> Result<Self, ConfigError> {
        let path = path.into();
        Format::of(&path)?;
        let every = Duration::from_secs(1);
        Ok(Self { path, every })
    }

    /// Looked at so often while it is watched, by default every second.
    ///
    /// # Errors
    /// When that is not between 10 ms and an hour.
    pub fn with_poll_interval(mut self, every: Duration) -> Result<Self, ConfigError> {
        let allowed = Duration::from_millis(10)..=Duration::from_secs(3600);
        self.every = config::time_in_range("poll_interval", every, allowed)?;
        Ok(self)
    }
}

/// How it stands in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenConfig {
    path: PathBuf,
    #[serde(default, with = "rs_core::humane::duration::option")]
    poll_interval: Option<Duration>,
}

impl TryFrom<WrittenConfig> for FileConfig {
    type Error = ConfigError;

    fn try_from(written: WrittenConfig) -> Result<Self, ConfigError> {
        let config = Self::new(written.path)?;
        match written.poll_interval {
            Some(every) => config.with_poll_interval(every),
            None => Ok(config),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Format {
    Toml,
    Json,
}

impl Format {
    fn of(path: &Path) -> Result<Self, ConfigError> {
        match path.extension().and_then(|end| end.to_str()) {
            Some("toml") => Ok(Self::Toml),
            Some("json") => Ok(Self::Json),
            _ => {
                let (problem, hint) = ("is of no known format", "end it in .toml or .json");
                Err(ConfigError::malformed(path.display(), problem, hint).in_field("path"))
            }
        }
    }

    fn read(self, text: &str) -> Result<Written, BackendError> {
        match self {
            Self::Toml => toml::from_str(text).map_err(BackendError::malformed),
            Self::Json => serde_json::from_str(text).map_err(BackendError::malformed),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    instances: Vec<ServiceInstance>,
}

/// What `text` in a file of this format says: for those who have a file but not on a disk.
pub(crate) fn parse(format_like: &Path, text: &str) -> Result<(Listing, u64), BackendError> {
    let written = Format::of(format_like)?.read(text)?;
    Ok(Listing::new(written.instances))
}

#[derive(Debug)]
struct Inner {
    station: Arc<Station>,
    config: InForce<FileConfig>,
    seen: Mutex<Seen>,
}

/// The file as it was looked at last, shared by all watches.
#[derive(Debug, Default)]
struct Seen {
    path: PathBuf,
    stamp: Option<Stamp>,
    settled: bool,
    listing: Option<Arc<Listing>>,
}

/// What changes when a file changes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    inode: u64,
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(metadata);
        #[cfg(not(unix))]
        let inode = 0;
        Self {
            modified: metadata.modified().ok(),
            length: metadata.len(),
            inode,
        }
    }
}

impl File {
    /// How large a file may be.
    pub const MAX_BYTES: usize = 32 << 20;

    /// Instances from this file, which need not be there yet.
    #[must_use]
    pub fn new(name: impl Into<Name>, config: FileConfig) -> Self {
        Self::within(&Surroundings::of_process(), name, config)
    }

    /// The same in surroundings of one's own.
    #[must_use]
    pub fn within(around: &Surroundings, name: impl Into<Name>, config: FileConfig) -> Self {
        let station = Arc::new(Station::new(around, "file", name.into()));
        let seen = Mutex::default();
        let inner = Arc::new(Inner {
            station,
            config: InForce::new(config),
            seen,
        });
        inner.station.home().register(&inner);
        Self(inner)
    }

    /// Looks at another file from now on, or more or less often.
    /// What the file before said is kept until the new one can be read. The directory has this as the
    /// action `reconfigure`.
    pub fn reconfigure(&self, config: FileConfig) {
        self.0.config.replace(self.0.station.home(), config);
    }
}

impl Inner {
    /// What the file says now.
    async fn look(&self) -> Result<Arc<Listing>, BackendError> {
        let path = self.config.get().path.clone();
        let metadata = fs::metadata(&path).await;
        let stamp = Stamp::of(&metadata.map_err(|error| unreadable(&path, &error))?);
        let mut seen = self.seen.lock().await;
        if seen.path != path {
            *seen = Seen {
                path: path.clone(),
                ..Seen::default()
            };
        }
        if let (true, true, Some(known)) = (
            seen.settled,
            seen.stamp.as_ref() == Some(&stamp),
            &seen.listing,
        ) {
            return Ok(Arc::clone(known));
        }
        let in_place = seen
            .stamp
            .as_ref()
            .is_some_and(|last| last.inode == stamp.inode && *last != stamp);
        let stood_still = seen.stamp.as_ref() == Some(&stamp);
        seen.stamp = Some(stamp.clone());
        seen.settled = stood_still;
        if let (true, Some(known)) = (in_place, &seen.listing) {
            // Somebody may be writing it just now: half a file can read like a whole one.
            return Ok(Arc::clone(known));
        }
        let (listing, twice) = parse(&path, &read(&path).await?)?;
        self.station.skipped(twice);
        let listing = match &seen.listing {
            Some(known) if **known == listing => Arc::clone(known),
            _ => Arc::new(listing),
        };
        seen.listing = Some(Arc::clone(&listing));
        Ok(listing)
    }
}

async fn read(path: &Path) -> Result<String, BackendError> {
    let limit = File::MAX_BYTES;
    let file = fs::File::open(path).await;
    let file = file.map_err(|error| unreadable(path, &error))?;
    let mut text = String::new();
    let read = file.take(limit as u64 + 1).read_to_string(&mut text).await;
    match read.map_err(|error| unreadable(path, &error))? > limit {
        true => Err(BackendError::TooMany {
            what: "bytes",
            limit,
        }),
        false => Ok(text),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> BackendError {
    BackendError::unreachable(format_args!("{}: {error}", path.display()))
}

#[async_trait]
impl Backend for File {
    fn kind(&self) -> &'static str {
        self.0.station.kind()
    }

    fn name(&self) -> Name {
        self.0.station.name()
    }

    async fn register(&self, _instance: ServiceInstance) -> Result<(), BackendError> {
        self.0.station.open()?;
        Err(BackendError::Unsupported(
            "register: who owns the file writes it",
        ))
    }

    async fn deregister(&self, _service: &str, _id: &str) -> Result<(), BackendError> {
        self.0.station.open()?;
        Err(BackendError::Unsupported(
            "deregister: who owns the file writes it",
        ))
    }

    async fn discover(&self, service: &str) -> Result<InstanceSet, BackendError> {
        let station = &self.0.station;
        station.open()?;
        check_name("service", service)?;
        let limit = Duration::from_secs(10);
        let listing = station
            .ask(Operation::Discover, limit, self.0.look())
            .await?;
        let now = station.clock().now();
        let known = listing.of(service);
        Ok(InstanceSet::known(
            service.into(),
            known,
            Standing::Current,
            now,
        ))
    }

    fn watch(&self, service: &str) -> Result<Watch, BackendError> {
        let open = self.0.station.open()?;
        check_name("service", service)?;
        let every = self.0.config.get().every;
        // A file that is wrong is looked at as often as one that is right.
        let reconnect = Backoff::constant(every);
        let rules = WatchRules {
            grace: Duration::ZERO,
            reconnect,
        };
        let looks = Looks {
            current: self.0.config.subscribe(),
            file: Arc::clone(&self.0),
            service: service.to_owned(),
            last: None,
        };
        Ok(Watch::new(
            Arc::clone(&self.0.station),
            open,
            service,
            rules,
            looks,
        ))
    }

    async fn health_check(&self) -> BackendHealth {
        let station = &self.0.station;
        let started = station.clock().now();
        let said = match station.open() {
            Ok(_) => {
                let limit = Duration::from_secs(10);
                station
                    .ask(Operation::HealthCheck, limit, self.0.look())
                    .await
            }
            Err(closed) => Err(closed),
        };
        station.health(started, said.map(|_| Health::UP))
    }

    async fn close(&self) -> Result<(), BackendError> {
        self.0.station.close();
        Ok(())
    }
}

/// One watch's looks at the file.
struct Looks {
    file: Arc<Inner>,
    current: watch::Receiver<Arc<FileConfig>>,
    service: String,
    last: Option<Arc<Listing>>,
}

#[async_trait]
impl Source for Looks {
    async fn next(&mut self) -> Result<Answer, BackendError> {
        if self.last.is_some() {
            let station = &self.file.station;
            let wait = station.spread(self.current.borrow_and_update().every);
            select! {
                () = station.clock().sleep(wait) => {}
                Ok(()) = self.current.changed() => {}
            }
        }
        let listing = self.file.look().await?;
        let same = self
            .last
            .as_ref()
            .is_some_and(|last| Arc::ptr_eq(last, &listing));
        if same {
            return Ok(Answer::Same);
        }
        let all = listing.of(&self.service).to_vec();
        self.last = Some(listing);
        Ok(Answer::All(all))
    }

    fn rules(&self) -> Option<WatchRules> {
        Some(WatchRules {
            grace: Duration::ZERO,
            reconnect: Backoff::constant(self.current.borrow().every),
        })
    }
}

impl Inspect for Inner {
    fn kind(&self) -> &'static str {
        "backend"
    }

    fn name(&self) -> Name {
        self.station.name()
    }

    fn snapshot(&self) -> Value {
        let instances = self.seen.try_lock().ok();
        let instances = instances.and_then(|seen| Some(seen.listing.as_ref()?.len()));
        Value::map([
            ("registry", "file".into()),
            ("path", self.config.get().path.display().to_string().into()),
            ("instances", instances.into()),
            ("version", self.config.version().into()),
        ])
    }

    fn health(&self) -> Health {
        self.station.seems()
    }

    fn actions(&self) -> &'static [ActionSpec] {
        RECONFIGURE
    }

    fn control(&self, action: &Action, _mandate: &Mandate) -> Result<(), ControlError> {
        let home = self.station.home();
        obey(home, action, config::read, |config| {
            self.config.replace(home, config);
        })
    }
}
