//! Replicas that hear of each other, and what becomes of them when they do not.

mod advice;
mod agree;
mod away;
mod orders;
mod seen;

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use crate::support::{SECOND, percent};
use rs_breaker::{
    Breaker, BreakerConfig, BreakerState, Exchange, Fleet, FleetConfig, MemoryStorage, OpenTime,
    Ordered, Report, Storage, StorageError, Surroundings, Trip, View, Window,
};
use rs_core::{Call, Clock, Guard, Mandate, Outcome, Share};
use std::time::Duration;
use tokio::task::JoinSet;

/// Opens at half of 20 calls, for long.
pub(crate) fn slow_to_judge() -> BreakerConfig {
    BreakerConfig::default()
        .with_trip([Trip::failure_rate(percent(50), Window::last(100).after(20))])
        .with_open_time(OpenTime::fixed(600 * SECOND).with_jitter(Share::NONE))
        .with_ramp(None)
}

/// A process with one breaker in a fleet.
pub(crate) struct Replica {
    pub(crate) fleet: Fleet,
    pub(crate) around: Surroundings,
    pub(crate) breaker: Breaker,
    runs: JoinSet<()>,
}

impl Replica {
    pub(crate) fn with(storage: impl Storage + 'static, config: FleetConfig) -> Self {
        let around = Surroundings::apart().with_seed(7);
        let fleet = Fleet::within(&around, storage, config).unwrap();
        let around = around.with(fleet.clone());
        let breaker = Breaker::within(&around, "payments", slow_to_judge()).unwrap();
        let mut replica = Self {
            fleet,
            around,
            breaker,
            runs: JoinSet::new(),
        };
        replica.run();
        replica
    }

    fn new(storage: &(impl Storage + Clone + 'static)) -> Self {
        Self::with(storage.clone(), FleetConfig::default())
    }

    fn run(&mut self) {
        self.runs.spawn(self.fleet.run());
    }

    async fn stop(&mut self) {
        self.runs.shutdown().await;
    }

    /// `false` if the call was refused.
    pub(crate) fn fail(&self) -> bool {
        let permit = self.breaker.try_admit(&Call::new("charge"));
        permit
            .map(|permit| permit.finish(Outcome::TRANSIENT))
            .is_ok()
    }

    /// By its own evidence.
    pub(crate) fn open(&self) {
        while self.fail() {}
        assert_eq!(self.state(), BreakerState::Open);
    }

    pub(crate) fn state(&self) -> BreakerState {
        self.breaker.state()
    }

    pub(crate) fn is_advised(&self) -> bool {
        self.breaker.snapshot().advised
    }

    fn order(&self) -> Option<Ordered> {
        self.breaker.snapshot().order
    }

    /// What the fleet announced.
    pub(crate) fn said(&self) -> Vec<String> {
        let recent = self.around.recorder().recent(100);
        let fleet = recent
            .iter()
            .filter(|one| one.signal.kind().policy() == "fleet");
        fleet.map(|one| one.signal.to_string()).collect()
    }
}

/// Time that is paused: it passes when nothing else is to be done.
async fn pass(time: Duration) {
    Clock::default().sleep(time).await;
}

/// All replicas have made an exchange, and another one after it.
async fn meet() {
    pass(3 * SECOND).await;
}

fn anna() -> Mandate {
    Mandate::new("anna", "the bank asked us to stop")
}

/// A storage that does as it is told.
#[derive(Debug, Clone, Default)]
struct Moody {
    memory: MemoryStorage,
    mood: Arc<Mutex<Mood>>,
    asked: Arc<AtomicU32>,
}

#[derive(Debug, Clone, Default)]
enum Mood {
    #[default]
    Well,
    Fails,
    Hangs,
    Panics,
    /// Takes the report, and the answer is lost.
    Mute,
    Says(View),
}

impl Moody {
    fn is(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }
}

impl Storage for Moody {
    fn exchange<'a>(&'a self, report: &'a Report) -> Exchange<'a> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mood = self.mood.lock().unwrap().clone();
        Box::pin(async move {
            match mood {
                Mood::Well => self.memory.exchange(report).await,
                Mood::Fails => Err(StorageError::new("the line is dead")),
                Mood::Hangs => std::future::pending().await,
                Mood::Panics => panic!("out of its mind"),
                Mood::Mute => {
                    self.memory.exchange(report).await?;
                    Err(StorageError::new("the answer was lost"))
                }
                Mood::Says(view) => Ok(view),
            }
        })
    }
}
