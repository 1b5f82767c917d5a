//! Whether the conformance suite sees what is wrong: with backends that are wrong on purpose.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use crate::instance;
use futures_core::Stream;
use rs_backends::{
    Backend, BackendError, BackendHealth, InstanceSet, Memory, ServiceInstance, Standing, Watch,
    async_trait,
    conformance::{self, Subject},
};
use rs_core::{Clock, Health, Name};
use tokio::task::JoinSet;

/// What is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Nothing,
    LosesOne,
    ForgetsMetadata,
    MixesNamesUp,
    TakesAnyName,
    KeepsWhatWasDeregistered,
    MissesChanges,
    EndsEarly,
    NeverEnds,
    GoesOnAfterClose,
    EmptyWhenAway,
    EmptiesWatchesWhenAway,
    CurrentWhenAway,
    AlwaysUp,
}

/// A memory behind a line that can be cut, written as somebody else would write a backend.
#[derive(Debug, Clone)]
struct Mine {
    registry: Memory,
    away: Arc<AtomicBool>,
    fault: Fault,
}

impl Mine {
    fn reach(&self) -> Result<(), BackendError> {
        match self.away.load(Relaxed) {
            true => Err(BackendError::Unreachable("the line is cut".into())),
            false => Ok(()),
        }
    }

    fn named<'a>(&self, service: &'a str) -> &'a str {
        match self.fault {
            Fault::MixesNamesUp => service.split('/').next().unwrap_or(service),
            Fault::TakesAnyName if service.len() > 255 || service.is_empty() => "any",
            Fault::TakesAnyName if service.contains(char::is_control) => "any",
            _ => service,
        }
    }

    fn shown(&self, set: InstanceSet) -> InstanceSet {
        match self.fault {
            Fault::LosesOne if set.len() > 2 => set.only(|one| one.id() != "b" && one.id() != "2"),
            Fault::ForgetsMetadata => {
                let plain = |one: &Arc<ServiceInstance>| {
                    let fresh = ServiceInstance::builder(one.service(), one.host(), one.port());
                    fresh.id(one.id()).ttl(one.ttl()).build().unwrap()
                };
                InstanceSet::new(
                    set.service(),
                    set.instances().iter().map(plain),
                    set.confirmed(),
                )
            }
            _ => set,
        }
    }
}

/// Looks at a memory ten times a second, as at a registry.
struct Looks {
    mine: Mine,
    service: String,
    last: Option<InstanceSet>,
    work: Pin<Box<dyn Future<Output = Result<InstanceSet, BackendError>> + Send>>,
    told: usize,
}

impl Looks {
    fn look(
        mine: Mine,
        service: String,
        wait: Duration,
    ) -> Pin<Box<dyn Future<Output = Result<InstanceSet, BackendError>> + Send>> {
        Box::pin(async move {
            Clock::default().sleep(wait).await;
            mine.registry.health_check().await;
            mine.reach()?;
            mine.registry.discover(mine.named(&service)).await
        })
    }
}

impl Stream for Looks {
    type Item = InstanceSet;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<InstanceSet>> {
        loop {
            let fault = self.mine.fault;
            let said = std::task::ready!(self.work.as_mut().poll(context));
            let wait = Duration::from_millis(100);
            self.work = Self::look(self.mine.clone(), self.service.clone(), wait);
            let set = match (said, self.last.clone()) {
                (Ok(_), Some(last)) if fault == Fault::MissesChanges && self.told > 2 => last,
                (Ok(set), _) => self.mine.shown(set),
                (Err(BackendError::Closed), _) if fault == Fault::NeverEnds => continue,
                (Err(BackendError::Closed), _) => return Poll::Ready(None),
                (Err(_), _) if fault == Fault::EmptiesWatchesWhenAway => {
                    InstanceSet::new(&self.service, [], Clock::default().now())
                }
                (Err(_), Some(last)) if fault == Fault::CurrentWhenAway => last,
                (Err(error), Some(last)) => last.standing_as(Standing::Kept(error)),
                (Err(_), None) => continue,
            };
            self.told += 1;
            if fault == Fault::EndsEarly && self.told > 4 {
                return Poll::Ready(None);
            }
            self.last = Some(set.clone());
            return Poll::Ready(Some(set));
        }
    }
}

#[async_trait]
impl Backend for Mine {
    fn kind(&self) -> &'static str {
        "mine"
    }

    fn name(&self) -> Name {
        self.registry.name()
    }

    async fn register(&self, instance: ServiceInstance) -> Result<(), BackendError> {
        self.reach()?;
        let service = self.named(instance.service()).to_owned();
        if service != instance.service() {
            let json = serde_json::json!({ "service": service, "id": instance.id(), "host": "h", "port": 1 });
            return self
                .registry
                .register(serde_json::from_value(json).unwrap())
                .await;
        }
        self.registry.register(instance).await
    }

    async fn deregister(&self, service: &str, id: &str) -> Result<(), BackendError> {
        self.reach()?;
        match self.fault {
            Fault::KeepsWhatWasDeregistered => Ok(()),
            _ => self.registry.deregister(self.named(service), id).await,
        }
    }

    async fn discover(&self, service: &str) -> Result<InstanceSet, BackendError> {
        if self.fault == Fault::EmptyWhenAway && self.reach().is_err() {
            return Ok(InstanceSet::new(service, [], Clock::default().now()));
        }
        self.reach()?;
        self.registry
            .discover(self.named(service))
            .await
            .map(|set| self.shown(set))
    }

    fn watch(&self, service: &str) -> Result<Watch, BackendError> {
        // Refuses what the memory refuses.
        self.registry.watch(self.named(service))?;
        Ok(Watch::from_sets(Looks {
            work: Looks::look(self.clone(), service.to_owned(), Duration::ZERO),
            mine: self.clone(),
            service: service.to_owned(),
            last: None,
            told: 0,
        }))
    }

    async fn health_check(&self) -> BackendHealth {
        match self.reach() {
            Err(error) if self.fault != Fault::AlwaysUp => {
                BackendHealth::new(Health::down(error.to_string()), None, None)
            }
            _ => self.registry.health_check().await,
        }
    }

    async fn close(&self) -> Result<(), BackendError> {
        match self.fault {
            Fault::GoesOnAfterClose => Ok(()),
            _ => self.registry.close().await,
        }
    }
}

#[async_trait]
impl Subject for Mine {
    async fn connect(&self) -> Arc<dyn Backend> {
        Arc::new(self.clone())
    }

    async fn go_away(&self, away: bool) -> bool {
        self.away.store(away, Relaxed);
        true
    }
}

/// What the suite says of one with this fault.
async fn verdict(fault: Fault) -> Result<(), String> {
    let mine = Mine {
        registry: Memory::new("mine"),
        away: Arc::default(),
        fault,
    };
    let mut check = JoinSet::new();
    check.spawn(async move { conformance::check(&mine).await });
    let ended = check.join_next().await.unwrap();
    ended.map_err(|error| {
        let why = error.into_panic();
        let text = why.downcast_ref::<String>().cloned();
        text.or_else(|| why.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default()
    })
}

#[tokio::test(start_paused = true)]
async fn one_by_somebody_else_passes_when_nothing_is_wrong() {
    assert_eq!(verdict(Fault::Nothing).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn whatever_is_wrong_is_seen_and_named() {
    for (fault, said) in [
        (Fault::LosesOne, "the watch did not tell one more"),
        (Fault::ForgetsMetadata, "the last one counts"),
        (Fault::MixesNamesUp, "service"),
        (Fault::TakesAnyName, "discover took"),
        (Fault::KeepsWhatWasDeregistered, "deregistered is gone"),
        (Fault::MissesChanges, "the watch did not tell"),
        (Fault::EndsEarly, "the watch ended"),
        (Fault::NeverEnds, "the watch goes on"),
        (Fault::GoesOnAfterClose, "the watch goes on"),
        (Fault::EmptyWhenAway, "is an error, or kept"),
        (Fault::EmptiesWatchesWhenAway, "an error empties nothing"),
        (
            Fault::CurrentWhenAway,
            "did not tell that the registry is away",
        ),
        (Fault::AlwaysUp, "BackendHealth"),
    ] {
        let found = verdict(fault).await;
        let why = found.expect_err(&format!("{fault:?} is not seen"));
        assert!(why.contains(said), "{fault:?}: {why}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_set_again_is_not_handed_out_whoever_writes_the_backend() {
    let mine = Mine {
        registry: Memory::new("mine"),
        away: Arc::default(),
        fault: Fault::Nothing,
    };
    mine.register(instance("a", "1")).await.unwrap();
    // It looks ten times a second, and hands each set over.
    let mut watch = mine.watch("a").unwrap();
    assert_eq!(watch.changed().await.unwrap().len(), 1);
    let minute = Duration::from_secs(60);
    let again = rs_testkit::within("the same again", minute, watch.changed()).await;
    assert!(again.is_err(), "{again:?}");
}
