//! The pilot at work: what it does by itself, with two caches that take time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use rs_cache_migrate::{
    CacheAdapter, CacheError, CacheMigration, Capabilities, Entries, Entry, Finding, GatesConfig,
    MigrationConfig, PilotConfig, PilotMode, Stage, TtlCache, metrics,
};
use rs_core::{Action, Directory, FlightRecorder};
use rs_metrics::{Registry, Surroundings};

use crate::support::{HOUR, by};

/// A cache that takes its time, and fails now and then.
#[derive(Clone)]
struct Slow {
    cache: TtlCache<String, u64>,
    micros: Arc<AtomicU64>,
    /// One read in so many fails; none for zero.
    fails: Arc<AtomicU32>,
    reads: Arc<AtomicU32>,
    /// What an entry owns.
    weighs: Arc<AtomicU64>,
}

impl CacheAdapter<String, u64> for Slow {
    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    async fn get(&self, key: &String) -> Result<Option<Entry<u64>>, CacheError> {
        tokio::time::sleep(Duration::from_micros(self.micros.load(Relaxed))).await;
        let read = self.reads.fetch_add(1, Relaxed);
        match self.fails.load(Relaxed) {
            0 => {}
            every if read.is_multiple_of(every) => return Err(CacheError::failed("away")),
            _ => {}
        }
        CacheAdapter::get(&self.cache, key).await
    }

    fn bytes(&self) -> Option<u64> {
        self.cache.bytes()
    }

    fn entries(&self) -> Entries {
        self.cache.entries()
    }

    async fn set(&self, key: &String, entry: Entry<u64>) -> Result<(), CacheError> {
        CacheAdapter::set(&self.cache, key, entry).await
    }

    async fn delete(&self, key: &String) -> Result<(), CacheError> {
        CacheAdapter::delete(&self.cache, key).await
    }

    async fn clear(&self) -> Result<(), CacheError> {
        CacheAdapter::clear(&self.cache).await
    }
}

struct Rig {
    migration: CacheMigration<String, u64, Slow, Slow>,
    new: Slow,
    registry: Registry,
    directory: Directory,
    signals: FlightRecorder,
}

fn pilot(mode: PilotMode) -> PilotConfig {
    let gates = GatesConfig::default()
        .with_errors(rs_core::Share::of(0.01).unwrap())
        .with_minimum_reads(20)
        .advancing_after(3);
    PilotConfig::default()
        .with_mode(mode)
        .with_window(Duration::from_secs(10))
        .with_gates(gates)
}

fn rig(pilot: PilotConfig) -> Rig {
    let (registry, directory, signals) =
        (Registry::new(), Directory::new(), FlightRecorder::new(256));
    let around = Surroundings::apart()
        .with_metrics(registry.clone())
        .with_recorder(signals.clone())
        .with_directory(directory.clone());
    let slow = || {
        let weighs = Arc::new(AtomicU64::new(1000));
        let of = Arc::clone(&weighs);
        let weigh = move |_: &String, _: &u64| of.load(Relaxed) as usize;
        Slow {
            cache: TtlCache::within(&around, HOUR).weighing(weigh),
            micros: Arc::new(AtomicU64::new(1000)),
            fails: Arc::default(),
            reads: Arc::default(),
            weighs,
        }
    };
    let (legacy, new) = (slow(), slow());
    let config = MigrationConfig::default()
        .with_shadow(rs_core::Share::of(0.25).unwrap())
        .with_pilot(pilot);
    let migration =
        CacheMigration::comparing(&around, "prompts", legacy, new.clone(), config, |a, b| {
            a == b
        });
    Rig {
        migration: migration.unwrap(),
        new,
        registry,
        directory,
        signals,
    }
}

impl Rig {
    /// Serves for so long, about forty reads a second, with the pilot at work.
    async fn serve(&self, time: Duration) {
        tokio::select! {
            () = self.migration.run() => {}
            () = tokio::time::sleep(time) => {}
            () = async {
                for turn in 0_u64.. {
                    let key = format!("key {}", turn * 7 % 200);
                    if turn.is_multiple_of(5) {
                        self.migration.set(&key, turn, HOUR).await.unwrap();
                    }
                    let _ = self.migration.get(&key).await;
                    tokio::time::sleep(Duration::from_millis(24)).await;
                }
            } => {}
        }
    }

    fn stage(&self) -> Stage {
        self.migration.state().stage
    }
}

#[tokio::test(start_paused = true)]
async fn it_goes_all_the_way_by_itself_and_says_why() {
    let rig = rig(pilot(PilotMode::Automatic));
    rig.serve(Duration::from_secs(60)).await;
    let report = rig.migration.report();
    assert!(report.pilot.time_left.is_some(), "{report}");
    rig.serve(Duration::from_secs(1200)).await;
    let report = rig.migration.report();
    println!("{report}");
    assert_eq!(rig.stage(), Stage::RampDown, "{report}");
    assert_eq!(report.pilot.time_left, None);
    assert_eq!(
        report.pilot.against.as_deref(),
        Some("goes up to ramp_down by itself")
    );
    let steps: Vec<_> = report
        .decisions
        .iter()
        .map(|one| one.to.to_string())
        .collect();
    assert_eq!(
        steps,
        [
            "dual_write",
            "shadow",
            "live 10%",
            "live 25%",
            "live 50%",
            "live 100%",
            "ramp_down"
        ]
    );
    for decision in &report.decisions[1..] {
        assert!(!decision.evidence.is_empty(), "{decision}");
        assert!(decision.by.is_none() && decision.taken);
    }
    assert_eq!(report.stages.len(), 8);
    let live = &report.stages[3];
    assert!(live.windows.0 >= 3 && live.seen.new.reads > 0, "{live}");
}

#[tokio::test(start_paused = true)]
async fn it_rolls_back_within_a_minute_and_stays_there() {
    let rig = rig(pilot(PilotMode::Guard));
    while rig.stage() != Stage::Live {
        rig.migration.advance(by()).await.unwrap();
    }
    rig.migration
        .set_share(rs_core::Share::of(0.5).unwrap(), by())
        .await
        .unwrap();
    rig.serve(Duration::from_secs(120)).await;
    assert_eq!(
        rig.migration.state().to_string(),
        "live 50%",
        "it only guards"
    );
    rig.new.micros.store(3000, Relaxed);
    rig.serve(Duration::from_secs(60)).await;
    assert_eq!(rig.stage(), Stage::Off, "{}", rig.migration.report());
    rig.serve(Duration::from_secs(300)).await;
    let report = rig.migration.report();
    assert_eq!(report.state.to_string(), "off, held");
    let bad = metrics::WINDOWS.read(&rig.registry, "prompts", Finding::Bad);
    assert_eq!(bad, Some(3));
    let last = report.decisions.last().unwrap();
    assert!(last.why.starts_with("p50 "), "{last}");
    assert!(last.by.is_none());
    assert_eq!(
        metrics::ROLLBACKS.read(&rig.registry, "prompts", ()),
        Some(1)
    );
}

#[tokio::test(start_paused = true)]
async fn where_only_new_is_read_the_comparisons_are_the_baseline() {
    let rig = rig(pilot(PilotMode::Guard));
    while rig.stage() != Stage::RampDown {
        rig.migration.advance(by()).await.unwrap();
    }
    rig.serve(Duration::from_secs(100)).await;
    assert_eq!(rig.stage(), Stage::RampDown, "{}", rig.migration.report());
    rig.new.fails.store(5, Relaxed);
    rig.serve(Duration::from_secs(60)).await;
    assert_eq!(rig.stage(), Stage::Off, "{}", rig.migration.report());
    let why = rig.migration.report().decisions.last().unwrap().why.clone();
    assert!(why.starts_with("errors 2"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_it_once_and_does_nothing() {
    let rig = rig(pilot(PilotMode::DryRun));
    while rig.stage() != Stage::Live {
        rig.migration.advance(by()).await.unwrap();
    }
    rig.serve(Duration::from_secs(400)).await;
    let report = rig.migration.report();
    assert_eq!(rig.migration.state().to_string(), "live 10%");
    let opinions: Vec<_> = report.decisions.iter().filter(|one| !one.taken).collect();
    assert_eq!(opinions.len(), 1, "{report}");
    assert!(
        opinions[0]
            .to_string()
            .starts_with("live 10%, would go to live 25%: "),
        "{}",
        opinions[0]
    );
    rig.new.fails.store(2, Relaxed);
    rig.serve(Duration::from_secs(120)).await;
    assert_eq!(rig.migration.state().to_string(), "live 10%");
    let last = rig.migration.report().decisions.last().unwrap().clone();
    assert!(!last.taken && last.to.stage == Stage::Off, "{last}");
    let said: Vec<_> = rig
        .signals
        .recent(256)
        .iter()
        .map(|one| one.signal.kind().name())
        .collect();
    assert!(
        said.contains(&"would_advance") && said.contains(&"would_roll_back"),
        "{said:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_holds_it_keeps_it_where_it_is_but_not_from_going_back() {
    let rig = rig(pilot(PilotMode::Automatic));
    rig.serve(Duration::from_secs(30)).await;
    #[expect(clippy::result_large_err, reason = "the directory's own error")]
    let tell = |action: &'static str| {
        rig.directory
            .control("cache_migration", "prompts", &Action::new(action), &by())
    };
    tell("hold").unwrap();
    assert!(tell("hold").is_err());
    let stands = rig.migration.state();
    rig.serve(Duration::from_secs(600)).await;
    let report = rig.migration.report();
    assert_eq!(report.state, stands, "{report}");
    assert_eq!(
        report.pilot.against.as_deref(),
        Some("holds by order, by anna (a test)")
    );
    assert_eq!(report.pilot.time_left, None);
    tell("resume").unwrap();
    assert!(tell("resume").is_err());
    rig.serve(Duration::from_secs(600)).await;
    assert!(
        rig.migration.state().stage > Stage::Shadow,
        "{}",
        rig.migration.report()
    );
    tell("hold").unwrap();
    rig.new.fails.store(2, Relaxed);
    rig.serve(Duration::from_secs(60)).await;
    assert_eq!(rig.stage(), Stage::Off, "{}", rig.migration.report());
}

#[tokio::test(start_paused = true)]
async fn without_traffic_it_holds() {
    let rig = rig(pilot(PilotMode::Automatic));
    let run = tokio::time::timeout(Duration::from_secs(3600), rig.migration.run());
    assert!(run.await.is_err());
    let report = rig.migration.report();
    assert_eq!(report.state.stage, Stage::DualWrite, "{report}");
    assert_eq!(report.pilot.last.unwrap().why, "no changes were seen");
}

#[tokio::test(start_paused = true)]
async fn a_new_cache_that_takes_more_memory_goes_back() {
    let rig = rig(pilot(PilotMode::Guard));
    while rig.stage() != Stage::Live {
        rig.migration.advance(by()).await.unwrap();
    }
    rig.migration
        .set_share(rs_core::Share::ALL, by())
        .await
        .unwrap();
    rig.serve(Duration::from_secs(100)).await;
    assert_eq!(rig.stage(), Stage::Live, "{}", rig.migration.report());
    let report = rig.migration.report();
    let last = report.pilot.last.unwrap();
    assert!(
        last.evidence.iter().any(|one| one.rule == "memory"),
        "{last:?}"
    );
    rig.new.weighs.store(1300, Relaxed);
    rig.serve(Duration::from_secs(60)).await;
    assert_eq!(rig.stage(), Stage::Off, "{}", rig.migration.report());
    let why = rig.migration.report().decisions.last().unwrap().why.clone();
    assert!(
        why.contains("bytes per entry, limit") || why.contains("bytes, limit"),
        "{why}"
    );
}
