use std::{sync::Arc, time::Duration};

use super::Comes;
use crate::{ids, instance, until};
use rs_backends::{
    Backend, BackendError, Failover, FailoverConfig, Memory, RegisterWith, Standing, Watch,
    async_trait,
    conformance::{self, Subject},
    metrics::{Believed, FAILOVERS},
};
use rs_core::{Clock, Condition};
use rs_metrics::{Registry, Surroundings};
use rs_testkit::within;

const GIVE_UP: Duration = Duration::from_secs(30);
const TAKE_BACK: Duration = Duration::from_secs(10);

struct Two(Failover);

#[async_trait]
impl Subject for Two {
    async fn connect(&self) -> Arc<dyn Backend> {
        Arc::new(self.0.clone())
    }
}

#[tokio::test(start_paused = true)]
async fn it_keeps_all_promises() {
    let (first, second) = (Memory::new("first"), Memory::new("second"));
    let config = FailoverConfig::default().with_registering(RegisterWith::All);
    conformance::check(&Two(Failover::new("both", first, second, config))).await;
}

/// A primary with one instance and a secondary with two, both files.
struct Stage {
    primary: Comes,
    secondary: Comes,
    failover: Failover,
    metrics: Registry,
}

impl Stage {
    fn new() -> Self {
        let (primary, secondary) = (Comes::new(), Comes::new());
        primary.says(&[instance("a", "1")]);
        secondary.says(&[instance("a", "1"), instance("a", "2")]);
        let metrics = Registry::new();
        let around = Surroundings::apart().with_metrics(metrics.clone());
        let failover = Failover::within(
            &around,
            "both",
            primary.connect("primary"),
            secondary.connect("secondary"),
            FailoverConfig::default(),
        );
        Self {
            primary,
            secondary,
            failover,
            metrics,
        }
    }

    fn switches(&self) -> (u64, u64) {
        let read = |side| FAILOVERS.read(&self.metrics, "both", side).unwrap_or(0);
        (read(Believed::Secondary), read(Believed::Primary))
    }
}

async fn nothing_changes(watch: &mut Watch, time: Duration) {
    let changed = within("a change", time, watch.changed()).await;
    assert!(changed.is_err(), "{changed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_primary_that_is_away_is_kept_and_then_given_up_and_then_taken_again() {
    let (stage, clock) = (Stage::new(), Clock::default());
    let mut watch = stage.failover.watch("a").unwrap();
    let first = until(&mut watch, "the primary's", |set| set.is_current()).await;
    assert_eq!(ids(&first), ["1"]);
    let away = clock.now();
    stage.primary.goes_away();
    let kept = until(&mut watch, "kept", |set| !set.is_current()).await;
    assert_eq!(ids(&kept), ["1"]);
    let second = until(&mut watch, "the secondary's", |set| set.len() == 2).await;
    let took = clock.now() - away;
    assert!(second.is_current());
    assert!((GIVE_UP..GIVE_UP * 2).contains(&took), "{took:?}");
    assert!(
        Arc::ptr_eq(first.get("1").unwrap(), second.get("1").unwrap()),
        "what stays is the same allocation, whoever says so"
    );
    assert!(watch.trouble().is_some(), "the primary's");
    let health = stage.failover.health_check().await;
    assert_eq!(health.condition(), Condition::Degraded, "{health:?}");

    let back = clock.now();
    stage
        .primary
        .says(&[instance("a", "1"), instance("a", "3")]);
    let again = until(&mut watch, "the primary's again", |set| {
        set.get("3").is_some()
    });
    again.await;
    let took = clock.now() - back;
    assert!((TAKE_BACK..TAKE_BACK * 2).contains(&took), "{took:?}");
    assert_eq!(stage.switches(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_and_goes_is_not_followed() {
    let stage = Stage::new();
    let mut watch = stage.failover.watch("a").unwrap();
    until(&mut watch, "the primary's", |set| set.is_current()).await;
    for _ in 0..10 {
        // Away for less than it takes to be given up.
        stage.primary.goes_away();
        until(&mut watch, "kept", |set| !set.is_current()).await;
        nothing_changes(&mut watch, GIVE_UP / 2).await;
        stage.primary.says(&[instance("a", "1")]);
        until(&mut watch, "back", |set| set.is_current()).await;
    }
    assert_eq!(stage.switches(), (0, 0));
    stage.primary.goes_away();
    until(&mut watch, "the secondary's", |set| set.len() == 2).await;
    for _ in 0..10 {
        // Back for less than it takes to be believed.
        stage.primary.says(&[instance("a", "1")]);
        nothing_changes(&mut watch, TAKE_BACK / 2).await;
        stage.primary.goes_away();
        nothing_changes(&mut watch, TAKE_BACK / 2).await;
    }
    assert_eq!(stage.switches(), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_primary_that_never_answered_is_not_waited_for() {
    let (stage, clock) = (Stage::new(), Clock::default());
    stage.primary.goes_away();
    let started = clock.now();
    let mut watch = stage.failover.watch("a").unwrap();
    let set = until(&mut watch, "the secondary's", |set| set.is_current()).await;
    assert_eq!(ids(&set), ["1", "2"]);
    assert!(clock.now() - started < Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn a_secondary_without_instances_or_answers_takes_nothing_away() {
    let stage = Stage::new();
    stage.secondary.says(&[]);
    let mut watch = stage.failover.watch("a").unwrap();
    until(&mut watch, "the primary's", |set| set.is_current()).await;
    stage.primary.goes_away();
    let kept = until(&mut watch, "kept", |set| !set.is_current()).await;
    assert!(matches!(kept.standing(), Standing::Kept(_)));
    nothing_changes(&mut watch, GIVE_UP * 4).await;
    stage.secondary.says(&[instance("a", "2")]);
    let set = until(&mut watch, "the secondary's", |set| set.is_current()).await;
    assert_eq!(ids(&set), ["2"]);
    // The secondary goes too: the primary is believed as soon as it is there.
    stage.secondary.goes_away();
    until(&mut watch, "kept", |set| !set.is_current()).await;
    stage.primary.says(&[instance("a", "1")]);
    let set = until(&mut watch, "the primary's", |set| set.is_current()).await;
    assert_eq!(ids(&set), ["1"]);
}

#[tokio::test(start_paused = true)]
async fn discover_asks_the_secondary_when_the_primary_fails() {
    let stage = Stage::new();
    assert_eq!(stage.failover.discover("a").await.unwrap().len(), 1);
    stage.primary.goes_away();
    assert_eq!(stage.failover.discover("a").await.unwrap().len(), 2);
    stage.secondary.goes_away();
    let error = stage.failover.discover("a").await.unwrap_err();
    assert!(matches!(error, BackendError::Unreachable(_)), "{error}");
    let wrong = stage.failover.discover("").await;
    assert!(matches!(wrong, Err(BackendError::Invalid(_))), "{wrong:?}");
    assert_eq!(
        stage.failover.health_check().await.condition(),
        Condition::Down
    );
}

#[tokio::test]
async fn instances_are_registered_with_the_primary_or_with_both() {
    let (first, second) = (Memory::new("first"), Memory::new("second"));
    let known = async |backend: &Memory| backend.discover("a").await.unwrap().len();
    let alone = FailoverConfig::default();
    let both = alone.clone().with_registering(RegisterWith::All);
    let alone = Failover::new("alone", first.clone(), second.clone(), alone);
    alone.register(instance("a", "1")).await.unwrap();
    assert_eq!((known(&first).await, known(&second).await), (1, 0));
    let both = Failover::new("both", first.clone(), second.clone(), both);
    both.register(instance("a", "2")).await.unwrap();
    assert_eq!((known(&first).await, known(&second).await), (2, 1));
    both.deregister("a", "2").await.unwrap();
    assert_eq!((known(&first).await, known(&second).await), (1, 0));
    second.close().await.unwrap();
    let half = both.register(instance("a", "3")).await;
    assert_eq!(half, Err(BackendError::Closed));
    assert_eq!(known(&first).await, 1, "all or none");
}

#[tokio::test(start_paused = true)]
async fn one_that_is_closed_by_somebody_else_counts_as_away() {
    let (first, second) = (Memory::new("first"), Memory::new("second"));
    for (registry, id) in [(&first, "1"), (&second, "2")] {
        registry.register(instance("a", id)).await.unwrap();
    }
    let config = FailoverConfig::default();
    let both = Failover::new("both", first.clone(), second.clone(), config);
    let mut watch = both.watch("a").unwrap();
    until(&mut watch, "the first", |set| set.get("1").is_some()).await;
    first.close().await.unwrap();
    let kept = until(&mut watch, "kept", |set| !set.is_current()).await;
    assert_eq!(kept.standing(), &Standing::Kept(BackendError::Closed));
    until(&mut watch, "the second", |set| set.get("2").is_some()).await;
    both.close().await.unwrap();
    assert!(watch.changed().await.is_none());
}
