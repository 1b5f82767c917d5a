use std::{fs, sync::Arc, time::Duration};

use super::Comes;
use crate::{ids, instance, until};
use rs_backends::{
    Backend, BackendError, Cached, CachedConfig, File, Filter, Memory, Standing, async_trait,
    conformance::{self, Subject},
    metrics::{SNAPSHOTS, Stored},
};
use rs_core::{Clock, Directory, FlightRecorder};
use rs_metrics::{Registry, Surroundings};
use rs_testkit::{wait_until, within};
use tempfile::TempDir;

const LONG: Duration = Duration::from_secs(120);

/// A registry that comes and goes, and a file that does not.
struct Stage {
    registry: Comes,
    folder: TempDir,
    metrics: Registry,
    directory: Directory,
    recorder: FlightRecorder,
}

impl Stage {
    fn new() -> Self {
        Self {
            registry: Comes::new(),
            folder: tempfile::tempdir().unwrap(),
            metrics: Registry::new(),
            directory: Directory::new(),
            recorder: FlightRecorder::new(100),
        }
    }

    fn config(&self) -> CachedConfig {
        CachedConfig::new(self.folder.path().join("instances.snapshot")).unwrap()
    }

    /// As a process that starts.
    fn start(&self) -> Cached<File> {
        let around = Surroundings::apart()
            .with_metrics(self.metrics.clone())
            .with_directory(self.directory.clone())
            .with_recorder(self.recorder.clone());
        let registry = self.registry.connect_in(&around, "registry");
        Cached::within(&around, registry, self.config())
    }

    fn stored(&self, what: Stored) -> u64 {
        SNAPSHOTS.read(&self.metrics, "registry", what).unwrap_or(0)
    }

    /// A process that has seen these, and has ended.
    async fn seen(&self, ids: &[&str]) {
        let all: Vec<_> = ids.iter().map(|id| instance("a", id)).collect();
        self.registry.says(&all);
        let cached = self.start();
        let mut watch = cached.watch("a").unwrap();
        until(&mut watch, "all", |set| set.len() == ids.len()).await;
        cached.close().await.unwrap();
    }
}

struct InMemory(Cached<Memory>);

#[async_trait]
impl Subject for InMemory {
    async fn connect(&self) -> Arc<dyn Backend> {
        Arc::new(self.0.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn it_keeps_all_promises() {
    let folder = tempfile::tempdir().unwrap();
    let config = CachedConfig::new(folder.path().join("x")).unwrap();
    conformance::check(&InMemory(Cached::new(Memory::new("cached"), config))).await;
}

#[tokio::test(start_paused = true)]
async fn a_start_without_the_registry_knows_what_was_known() {
    let stage = Stage::new();
    stage.seen(&["1", "2"]).await;
    stage.registry.goes_away();
    let cached = stage.start();
    let mut watch = cached.watch("a").unwrap();
    let set = watch.changed().await.unwrap();
    assert_eq!(ids(&set), ["1", "2"]);
    assert!(
        matches!(set.standing(), Standing::Kept(BackendError::Unreachable(_))),
        "{set:?}"
    );
    let asked = cached.discover("a").await.unwrap();
    assert_eq!(ids(&asked), ["1", "2"]);
    assert!(!asked.is_current());
    let unknown = cached.discover("b").await;
    assert!(unknown.is_err(), "nothing is known of it: {unknown:?}");
    assert_eq!(stage.stored(Stored::Read), 1);
    // The age grows.
    let hour = Duration::from_secs(3600);
    let nothing = within("a change", hour, watch.changed()).await;
    assert!(nothing.is_err(), "{nothing:?}");
    assert!(watch.age(Clock::default().now()).unwrap() >= hour);
    // What comes back replaces everything.
    stage
        .registry
        .says(&[instance("a", "2"), instance("a", "3")]);
    let back = until(&mut watch, "the registry's", |set| set.is_current()).await;
    assert_eq!(ids(&back), ["2", "3"]);
    assert!(Arc::ptr_eq(set.get("2").unwrap(), back.get("2").unwrap()));
}

#[tokio::test(start_paused = true)]
async fn a_registry_that_answers_is_believed_from_the_start() {
    let stage = Stage::new();
    stage.seen(&["1", "2"]).await;
    stage.registry.says(&[instance("a", "3")]);
    let mut watch = stage.start().watch("a").unwrap();
    let set = watch.changed().await.unwrap();
    assert!(set.is_current());
    assert_eq!(ids(&set), ["3"], "the file is not shown to anybody");
}

#[tokio::test(start_paused = true)]
async fn a_first_answer_that_is_empty_is_doubted_against_the_file() {
    let stage = Stage::new();
    stage.seen(&["1"]).await;
    stage.registry.says(&[]);
    let (cached, clock) = (stage.start(), Clock::default());
    let started = clock.now();
    let mut watch = cached.watch("a").unwrap();
    let set = watch.changed().await.unwrap();
    assert_eq!((ids(&set), set.standing()), (vec!["1"], &Standing::Doubted));
    let empty = until(&mut watch, "nobody", |set| set.is_empty()).await;
    assert!(empty.is_current());
    let took = clock.now() - started;
    assert!(took >= Duration::from_secs(30), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_damaged_is_counted_and_ignored() {
    let stage = Stage::new();
    stage.seen(&["1", "2"]).await;
    let path = stage.config().path().to_owned();
    let whole = fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    let at = whole.len() - 20;
    flipped[at] ^= 1;
    let damaged = [&whole[..whole.len() / 2], &flipped, b"", b"nonsense\n{}"];
    for (count, text) in damaged.into_iter().enumerate() {
        fs::write(&path, text).unwrap();
        stage.registry.goes_away();
        let cached = stage.start();
        let error = cached.discover("a").await.unwrap_err();
        assert!(matches!(error, BackendError::Unreachable(_)), "{error}");
        let mut watch = cached.watch("a").unwrap();
        let nothing = within("a set", Duration::from_secs(5), watch.changed()).await;
        assert!(nothing.is_err(), "never a wrong set: {nothing:?}");
        assert_eq!(stage.stored(Stored::Refused), count as u64 + 1);
    }
    let told = stage.recorder.log(100).to_string();
    assert_eq!(told.matches("cannot be believed").count(), 4, "{told}");
    // And the next good answer mends it.
    stage.seen(&["1"]).await;
    stage.registry.goes_away();
    assert_eq!(ids(&stage.start().discover("a").await.unwrap()), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn it_is_written_on_change_and_not_more_often_than_every_so_often() {
    let stage = Stage::new();
    let cached = stage.start();
    let mut watch = cached.watch("a").unwrap();
    let clock = Clock::default();
    let started = clock.now();
    for round in 0..100 {
        let id = round.to_string();
        stage.registry.says(&[instance("a", &id)]);
        until(&mut watch, "the change", |set| set.get(&id).is_some()).await;
        clock.sleep(Duration::from_millis(300)).await;
    }
    let intervals = (clock.now() - started).as_secs() / 5;
    let written = stage.stored(Stored::Written);
    assert!(
        (intervals / 2..=intervals + 2).contains(&written),
        "{written} in {intervals}"
    );
    // Nothing changes: nothing is written but once in ten minutes, so that the age stays true.
    let settled = within("a change", Duration::from_secs(20), watch.changed()).await;
    assert!(settled.is_err());
    let before = stage.stored(Stored::Written);
    let hour = within("a change", Duration::from_secs(3600), watch.changed()).await;
    assert!(hour.is_err());
    let written = stage.stored(Stored::Written) - before;
    assert!((4..=7).contains(&written), "{written}");
}

#[tokio::test(start_paused = true)]
async fn what_changed_last_is_written_when_the_last_holder_goes() {
    let stage = Stage::new();
    stage.registry.says(&[instance("a", "1")]);
    let mut watch = stage.start().watch("a").unwrap();
    until(&mut watch, "the one", |set| set.len() == 1).await;
    let once = wait_until("the first write", LONG, || async {
        Ok::<_, BackendError>(stage.stored(Stored::Written) == 1)
    });
    once.await.unwrap();
    stage
        .registry
        .says(&[instance("a", "1"), instance("a", "2")]);
    until(&mut watch, "both", |set| set.len() == 2).await;
    drop(watch);
    let twice = wait_until("the last write", LONG, || async {
        Ok::<_, BackendError>(stage.stored(Stored::Written) == 2)
    });
    twice.await.unwrap();
    stage.registry.goes_away();
    let known = stage.start().discover("a").await.unwrap();
    assert_eq!(ids(&known), ["1", "2"]);
    let left = fs::read_dir(stage.folder.path()).unwrap().count();
    assert_eq!(left, 1, "no half file is left beside it");
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_be_written_says_so_and_tries_again() {
    let stage = Stage::new();
    stage.registry.says(&[instance("a", "1")]);
    let path = stage.config().path().to_owned();
    fs::create_dir(&path).unwrap();
    let cached = stage.start();
    let mut watch = cached.watch("a").unwrap();
    until(&mut watch, "the one", |set| set.len() == 1).await;
    let failed = wait_until("the failure", LONG, || async {
        Ok::<_, BackendError>(stage.stored(Stored::Failed) >= 2)
    });
    failed.await.unwrap();
    let entry = stage
        .directory
        .find("backend_snapshot", "registry")
        .unwrap();
    assert!(!entry.health().is_up(), "{:?}", entry.health());
    fs::remove_dir(&path).unwrap();
    let written = wait_until("the write", LONG, || async {
        Ok::<_, BackendError>(stage.stored(Stored::Written) >= 1)
    });
    written.await.unwrap();
    assert!(entry.health().is_up());
    assert!(entry.snapshot().to_string().contains("instances: 1"));
}

#[tokio::test(start_paused = true)]
async fn wrappers_stack_on_each_other() {
    let stage = Stage::new();
    stage.seen(&["1", "2"]).await;
    stage.registry.goes_away();
    let cached: Arc<dyn Backend> = Arc::new(stage.start());
    let filtered = Filter::new(cached, |instance| instance.id() == "2");
    let mut watch = filtered.watch("a").unwrap();
    let set = watch.changed().await.unwrap();
    assert_eq!(ids(&set), ["2"]);
    assert!(!set.is_current());
}
