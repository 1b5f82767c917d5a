//! Configuration as people write it.

use std::time::Duration;

use crate::support::*;
use rs_workers::{GroupConfig, Intensity, LeaderConfig, ManagerConfig, WhenStuck, WorkerConfig};

#[track_caller]
fn refused(checked: Result<(), rs_core::ConfigError>, field: &str) {
    assert_eq!(checked.unwrap_err().field(), field);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let worker = WorkerConfig::default;
    worker().check().unwrap();
    refused(worker().hogs_after(Duration::ZERO).check(), "hogs_after");
    refused(
        worker().ready_within(Duration::ZERO).check(),
        "ready_within",
    );
    refused(
        worker().stuck_after(MILLI, WhenStuck::Report).check(),
        "stuck_after",
    );
    refused(worker().with_grace(u32::MAX * SECOND).check(), "grace");
    let backoff = rs_core::Backoff::exponential(SECOND).times(0.5);
    refused(
        worker().with_backoff(backoff.clone()).check(),
        "backoff.factor",
    );
    let group = GroupConfig::default;
    group().check().unwrap();
    refused(
        group()
            .with_intensity(Intensity::of(1, Duration::ZERO))
            .check(),
        "intensity.within",
    );
    refused(group().with_backoff(backoff).check(), "backoff.factor");
    let manager = ManagerConfig::default;
    manager().check().unwrap();
    refused(manager().with_limit(0).check(), "limit");
    refused(
        manager().with_lost_after(Duration::ZERO).check(),
        "lost_after",
    );
    refused(
        manager().with_start_within(Duration::ZERO).check(),
        "start_within",
    );
    let inner = group().with_intensity(Intensity::of(1, Duration::ZERO));
    refused(manager().with_root(inner).check(), "root.intensity.within");
    refused(LeaderConfig::default().with_lease(MILLI).check(), "lease");
    refused(
        LeaderConfig::default()
            .with_margin(rs_core::Share::ALL)
            .check(),
        "margin",
    );
}

#[tokio::test(start_paused = true)]
async fn another_configuration_while_it_runs() {
    let bench = Bench::with(root(
        GroupConfig::one_for_one().with_intensity(intensity(1, MINUTE)),
    ));
    let puppet = Puppet::new("p");
    bench
        .workers
        .register_with(puppet.worker(), |it| it.with_backoff(a_second()))
        .unwrap();
    bench.workers.start_all().await.unwrap();
    settle().await;
    let wrong = ManagerConfig::default().with_limit(0);
    assert!(bench.workers.reconfigure(wrong).is_err());
    assert_eq!(bench.workers.config().limit(), 100_000);
    let bears_more = root(GroupConfig::one_for_one().with_intensity(intensity(5, MINUTE)));
    assert_eq!(bench.workers.reconfigure(bears_more).unwrap(), 2);
    bench
        .workers
        .reconfigure_worker("p", WorkerConfig::default().with_backoff(at_once()))
        .unwrap();
    for _ in 0..5 {
        puppet.pull(Order::Fail);
        settle().await;
    }
    assert!(puppet.is_alive());
    assert_eq!(puppet.starts(), 6);
    let cycle = bench
        .workers
        .reconfigure_worker("p", WorkerConfig::default().after("p"));
    assert!(matches!(cycle, Err(rs_workers::ManagerError::Cycle(_))));
    puppet.pull(Order::Fail);
    settle().await;
    assert!(!puppet.is_alive(), "the sixth within a minute");
}

#[cfg(feature = "serde")]
#[test]
fn written_in_a_file() {
    let manager: ManagerConfig = toml::from_str(
        r#"
        when_given_up = { exit = 70 }
        lost_after = "2s"
        [root]
        strategy = "rest_for_one"
        intensity = { restarts = 3, within = "5s" }
        "#,
    )
    .unwrap();
    let expected = root(GroupConfig::rest_for_one().with_intensity(intensity(3, 5 * SECOND)))
        .when_given_up(rs_workers::WhenGivenUp::Exit(70))
        .with_lost_after(2 * SECOND);
    assert_eq!(manager, expected);
    let worker: WorkerConfig = toml::from_str(
        r#"
        restart = "transient"
        after = ["database"]
        grace = "1m30s"
        stuck_after = "30s"
        when_stuck = "restart"
        backoff = { exponential = "1s", at_most = "1m" }
        "#,
    )
    .unwrap();
    assert_eq!(worker.grace(), 90 * SECOND);
    assert_eq!(worker.time_to_be_stuck(), Some(30 * SECOND));
    let typo = toml::from_str::<WorkerConfig>("graze = \"1s\"")
        .unwrap_err()
        .to_string();
    assert!(typo.contains("unknown field `graze`"), "{typo}");
    let written = serde_json::to_string(&worker).unwrap();
    assert_eq!(
        serde_json::from_str::<WorkerConfig>(&written).unwrap(),
        worker
    );
}
