//! What is known, in memory and in the file.

use std::{
    fs, io,
    io::{Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rs_core::{Clock, Health, Inspect, Name, Severity, SignalKind, Value};
use rs_metrics::{Counter, Family, Surroundings, pattern::Home};
use tokio::{
    select,
    sync::{Notify, oneshot},
    task::{JoinHandle, spawn_blocking},
};

use super::{
    CachedConfig,
    snapshot::{self, Known, Moment, Sets},
};
use crate::{
    BackendError, InstanceSet, Standing,
    metrics::{SNAPSHOTS, Stored},
};

static REFUSED: SignalKind = SignalKind::new(
    "backend",
    "snapshot_refused",
    Severity::Warning,
    "has a snapshot that cannot be believed, and goes on without it",
);

static UNWRITTEN: SignalKind = SignalKind::new(
    "backend",
    "snapshot_failed",
    Severity::Warning,
    "cannot write its snapshot",
);

/// How many bytes a snapshot may have.
const MOST_BYTES: u64 = 64 << 20;

/// How many services are kept. Of more, those that were confirmed last.
const MOST_SERVICES: usize = 10_000;

/// So old an age in the file may be while the registry goes on saying the same.
const STALE: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(super) struct Shelf {
    home: Home,
    config: CachedConfig,
    state: Mutex<State>,
    wake: Notify,
    stored: Family<Counter, Stored>,
}

#[derive(Debug, Default)]
struct State {
    sets: Sets,
    /// Something is not in the file.
    changed: bool,
    written: Option<Instant>,
    trouble: Option<String>,
}

impl Shelf {
    pub(super) fn new(around: &Surroundings, name: Name, config: CachedConfig) -> Self {
        let home = Home::new(around, name);
        let stored = SNAPSHOTS.bind_in(&home.metrics(), name);
        let shelf = Self {
            home,
            config,
            state: Mutex::default(),
            wake: Notify::new(),
            stored,
        };
        shelf.load();
        shelf
    }

    pub(super) fn clock(&self) -> &Clock {
        self.home.around.clock()
    }

    pub(super) const fn config(&self) -> &CachedConfig {
        &self.config
    }

    fn load(&self) {
        let now = Moment::at(self.clock().now());
        let read = match bytes_of(&self.config.path) {
            Ok(text) => snapshot::read(&text, now, self.config.max_age),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => Err(error.to_string()),
        };
        match read {
            Ok(sets) => {
                self.lock().sets = sets;
                self.stored[Stored::Read].increment();
            }
            Err(why) => {
                self.stored[Stored::Refused].increment();
                let home = &self.home;
                home.record(|| REFUSED.signal(home.name).noting(why));
            }
        }
    }

    /// What is known of this service, kept for this reason.
    pub(super) fn get(&self, service: &str, why: BackendError) -> Option<InstanceSet> {
        let state = self.lock();
        let (name, known) = state.sets.get_key_value(service)?;
        Some(InstanceSet::known(
            Arc::clone(name),
            Arc::clone(&known.instances),
            Standing::Kept(why),
            known.confirmed,
        ))
    }

    /// The registry says so.
    pub(super) fn hear(&self, set: &InstanceSet) {
        let mut state = self.lock();
        let new = Known {
            instances: Arc::clone(set.instances()),
            confirmed: set.confirmed(),
        };
        let written = state.written;
        match state.sets.get_mut(set.service()) {
            Some(known) => {
                let same = Arc::ptr_eq(&known.instances, &new.instances)
                    || known.instances == new.instances;
                let stale = written.is_some_and(|written| {
                    new.confirmed.saturating_duration_since(written) > STALE
                });
                *known = new;
                state.changed |= !same || stale;
            }
            None => {
                state.sets.insert(set.service().into(), new);
                state.changed = true;
                state.forget_oldest();
            }
        }
        if state.changed {
            self.wake.notify_one();
        }
    }

    /// Hears an answer without a history: nobody has doubted it, so it makes no service empty.
    pub(super) fn hear_once(&self, set: &InstanceSet) {
        let known = self
            .lock()
            .sets
            .get(set.service())
            .map(|known| known.instances.len());
        if !set.is_empty() || known.is_none_or(|known| known == 0) {
            self.hear(set);
        }
    }

    async fn write(&self) {
        let sets = {
            let mut state = self.lock();
            if !state.changed {
                return;
            }
            state.changed = false;
            state.sets.clone()
        };
        let now = self.clock().now();
        let path = self.config.path.clone();
        let written = spawn_blocking(move || replace(&path, &sets, Moment::at(now))).await;
        let written = written.unwrap_or_else(|error| Err(io::Error::other(error)));
        let mut state = self.lock();
        match written {
            Ok(()) => {
                state.written = Some(now);
                state.trouble = None;
                self.stored[Stored::Written].increment();
            }
            Err(error) => {
                self.stored[Stored::Failed].increment();
                let why = error.to_string();
                let is_new = state.trouble.is_none();
                state.trouble = Some(why.clone());
                state.changed = true;
                drop(state);
                self.wake.notify_one();
                let home = &self.home;
                if is_new {
                    home.record(|| UNWRITTEN.signal(home.name).noting(why));
                }
            }
        }
    }

    async fn keep_writing(self: Arc<Self>, mut stopped: oneshot::Receiver<()>) {
        loop {
            select! {
                biased;
                _ = &mut stopped => break,
                () = self.wake.notified() => self.write().await,
            }
            select! {
                biased;
                _ = &mut stopped => break,
                () = self.clock().sleep(self.config.write_interval) => {}
            }
        }
        self.write().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget_oldest(&mut self) {
        while self.sets.len() > MOST_SERVICES {
            let oldest = self.sets.iter().min_by_key(|(_, known)| known.confirmed);
            let Some(oldest) = oldest.map(|(name, _)| Arc::clone(name)) else {
                return;
            };
            self.sets.remove(&oldest);
        }
    }
}

fn bytes_of(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    let read = fs::File::open(path)?
        .take(MOST_BYTES + 1)
        .read_to_end(&mut text)?;
    match read as u64 > MOST_BYTES {
        true => Err(io::Error::other("it is larger than 64 MiB")),
        false => Ok(text),
    }
}

/// Puts a new file in the place of the old one: whoever reads sees one of them, whole.
fn replace(path: &Path, sets: &Sets, now: Moment) -> io::Result<()> {
    let text = snapshot::write(sets, now)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{:08x}.new", fastrand::u32(..)));
    let new: PathBuf = path.with_file_name(name);
    let done = fs::File::create(&new).and_then(|mut file| {
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&new, path)
    });
    if done.is_err() {
        let _ = fs::remove_file(&new);
    }
    done
}

/// Keeps the file as long as anybody holds it, and writes it a last time when the last one goes.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) shelf: Arc<Shelf>,
    writer: Mutex<Option<Writer>>,
}

#[derive(Debug)]
struct Writer {
    /// Dropped, it ends the task.
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Held {
    pub(super) fn new(shelf: Arc<Shelf>) -> Self {
        let writer = Mutex::default();
        Self { shelf, writer }
    }

    /// Starts to write, if that has not begun. Within a runtime.
    #[expect(
        clippy::disallowed_methods,
        reason = "what changed last must be written though nobody polls any more; its holder ends the task"
    )]
    pub(super) fn start(&self) {
        let mut writer = self.lock();
        writer.get_or_insert_with(|| {
            let (stop, stopped) = oneshot::channel();
            let task = tokio::spawn(Arc::clone(&self.shelf).keep_writing(stopped));
            Writer { stop, task }
        });
    }

    /// Writes a last time.
    pub(super) async fn close(&self) {
        let writer = self.lock().take();
        match writer {
            Some(Writer { stop, task }) => {
                drop(stop);
                let _ = task.await;
            }
            None => self.shelf.write().await,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Writer>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inspect for Shelf {
    fn kind(&self) -> &'static str {
        "backend_snapshot"
    }

    fn name(&self) -> Name {
        self.home.name
    }

    fn snapshot(&self) -> Value {
        let state = self.lock();
        let now = self.clock().now();
        let instances: usize = state.sets.values().map(|known| known.instances.len()).sum();
        let oldest = state.sets.values().map(|known| known.confirmed).min();
        let ago =
            |moment: Option<Instant>| moment.map(|moment| now.saturating_duration_since(moment));
        Value::map([
            ("path", self.config.path.display().to_string().into()),
            ("services", state.sets.len().into()),
            ("instances", instances.into()),
            ("oldest", ago(oldest).into()),
            ("written", ago(state.written).into()),
        ])
    }

    fn health(&self) -> Health {
        match &self.lock().trouble {
            Some(why) => Health::degraded(format!("its snapshot cannot be written: {why}")),
            None => Health::UP,
        }
    }
}
