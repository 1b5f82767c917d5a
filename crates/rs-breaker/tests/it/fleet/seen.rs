//! What can be seen of a fleet, and what it does not take in.

use super::{Mood, Moody, Replica, anna, meet};
use crate::support::SECOND;
use rs_breaker::{
    BreakerState, Fleet, FleetConfig, FleetOrder, Forced, MemoryStorage, Surroundings, View,
};
use rs_core::{Action, Clock, Directory, Mandate, Name};
use rs_metrics::Registry;
use rs_testkit::wait_until;
use std::time::Duration;
use tokio::task::JoinSet;

#[tokio::test(start_paused = true)]
async fn it_shows_itself() {
    let (directory, metrics) = (Directory::new(), Registry::new());
    let around = Surroundings::apart()
        .with_directory(directory.clone())
        .with_metrics(metrics.clone());
    let storage = Moody::default();
    let config = FleetConfig::default()
        .with_name("desk")
        .with_replica("desk-1");
    let fleet = Fleet::within(&around, storage.clone(), config).unwrap();
    let mut runs = JoinSet::new();
    runs.spawn(fleet.run());
    meet().await;
    storage.is(Mood::Fails);
    meet().await;
    let shown = directory.find("fleet", "desk").unwrap();
    assert!(shown.actions().is_empty());
    assert!(shown.control(&Action::new("stop"), &anna()).is_err());
    let shown = shown.snapshot();
    assert_eq!(shown.get("replica").unwrap().as_str(), Some("desk-1"));
    assert_eq!(
        shown.get("lost").unwrap().as_str(),
        Some("the line is dead")
    );
    let count = |result| rs_breaker::metrics::FLEET_EXCHANGES.read(&metrics, "desk", result);
    assert!(count(rs_breaker::metrics::Exchanged::Ok) >= Some(2));
    assert!(count(rs_breaker::metrics::Exchanged::Failed) >= Some(1));
    let debug = format!("{fleet:?}");
    assert!(
        debug.contains("desk-1") && debug.contains("Moody"),
        "{debug}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_crowded_view_does_no_harm() {
    let storage = Moody::default();
    let mut view = View::default();
    view.replicas = 2;
    for number in 0..100_000_u64 {
        let name = format!("breaker-{number}");
        let order = FleetOrder::new(name.clone(), number + 1, Some(Forced::Open), &anna());
        view.open.push((name, 2));
        view.orders.push(order);
    }
    let theirs = Mandate::new("eve", "x".repeat(1_000_000));
    view.orders.push(FleetOrder::new(
        "payments",
        7,
        Some(Forced::Isolated),
        &theirs,
    ));
    view.orders.last_mut().unwrap().reason = "x".repeat(1_000_000);
    storage.is(Mood::Says(view));
    let names = Name::folded();
    let replica = Replica::new(&storage);
    meet().await;
    assert_eq!(replica.state(), BreakerState::Isolated);
    assert_eq!(replica.order().unwrap().reason.len(), FleetOrder::MAX_TEXT);
    assert_eq!(Name::folded(), names);
}

#[test]
fn wrong_settings_are_refused() {
    #[track_caller]
    fn check(config: FleetConfig, expected: &str) {
        let found = Fleet::new(MemoryStorage::new(), config).unwrap_err();
        assert_eq!(found.to_string(), expected);
    }
    let config = FleetConfig::default;
    check(
        config().with_name(""),
        "name: 0 is out of range; allowed: 1 to 128",
    );
    check(
        config().with_replica(""),
        "replica: 0 is out of range; allowed: 1 to 128",
    );
    check(
        config().with_interval(Duration::ZERO),
        "interval: 0s is out of range; allowed: 10ms to 1m",
    );
    check(
        config().with_keep(SECOND),
        "keep: 1s is out of range; allowed: 2s to 1h",
    );
    check(
        config().with_time_limit(Duration::ZERO),
        "time_limit: 0s is out of range; allowed: 1ms to 1m",
    );
}

#[cfg(feature = "serde")]
#[test]
fn settings_are_written_as_people_write_them() {
    let text = "name = \"desk\"\nreplica = \"desk-1\"\ninterval = \"5s\"\nkeep = \"1m\"\ntime_limit = \"300ms\"\n";
    let config: FleetConfig = toml::from_str(text).unwrap();
    let expected = FleetConfig::default()
        .with_name("desk")
        .with_replica("desk-1")
        .with_interval(5 * SECOND)
        .with_keep(60 * SECOND)
        .with_time_limit(Duration::from_millis(300));
    assert_eq!(config, expected);
    assert_eq!(serde_json::to_value(&config).unwrap()["keep"], "1m");
    assert!(toml::from_str::<FleetConfig>("intervall = \"5s\"").is_err());
    assert_eq!(
        toml::from_str::<FleetConfig>("").unwrap(),
        FleetConfig::default()
    );
}

#[tokio::test]
async fn it_goes_by_the_clock_it_was_given() {
    let (clock, hand) = Clock::manual();
    let storage = Moody::default();
    storage.is(Mood::Hangs);
    let around = Surroundings::apart().with_clock(clock);
    let fleet = Fleet::within(&around, storage.clone(), FleetConfig::default()).unwrap();
    let mut runs = JoinSet::new();
    runs.spawn(fleet.run());
    let asked = async |times| {
        let it_has = async || storage.asked() == times;
        wait_until("it asks", 5 * SECOND, it_has).await.unwrap();
    };
    asked(1).await;
    hand.advance(SECOND);
    let lost = wait_until("it gives up", 5 * SECOND, async || fleet.status().lost);
    assert_eq!(lost.await.unwrap(), "no answer within 1s");
    hand.advance(2 * SECOND);
    asked(2).await;
}
