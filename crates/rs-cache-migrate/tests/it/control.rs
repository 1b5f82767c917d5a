use rs_cache_migrate::{MigrationConfig, Stage, metrics};
use rs_core::{Action, Condition, ControlError, Inspect, Mandate};

use crate::support::{bench, bench_with, by};

#[tokio::test]
async fn it_is_steered_through_the_directory() {
    let bench = bench(MigrationConfig::default());
    #[expect(clippy::result_large_err, reason = "the directory's own error")]
    let tell = |action: Action| {
        let mandate = Mandate::new("anna", "a drill");
        bench
            .directory
            .control("cache_migration", "prompts", &action, &mandate)
    };
    for _ in 0..3 {
        tell(Action::new("advance")).unwrap();
    }
    tell(Action::new("set_share").with("share", "0.01%")).unwrap();
    assert_eq!(bench.migration.state().to_string(), "live 0.01%");
    for wrong in ["101%", "0%", "0.001%", "much"] {
        assert!(
            tell(Action::new("set_share").with("share", wrong)).is_err(),
            "{wrong}"
        );
    }
    assert!(tell(Action::new("set_share")).is_err());
    assert!(tell(Action::new("advance").with("speed", "full")).is_err());
    tell(Action::new("step_back")).unwrap();
    assert_eq!(bench.migration.state().stage, Stage::Shadow);
    tell(Action::new("rollback")).unwrap();
    let held = ControlError::NotNow("it was rolled back; release it first".to_owned());
    assert_eq!(tell(Action::new("advance")), Err(held));
    let shown = &bench.directory.snapshots()[0];
    assert_eq!(shown.health.to_string(), "degraded: rolled back: ordered");
    assert_eq!(shown.state.get("stage").unwrap().as_str(), Some("off"));
    tell(Action::new("release")).unwrap();
    assert!(tell(Action::new("release")).is_err());
    assert_eq!(
        bench.directory.snapshots()[0].health.condition(),
        Condition::Up
    );
    assert_eq!(
        metrics::ROLLBACKS.read(&bench.registry, "prompts", ()),
        Some(1)
    );
    assert_eq!(
        metrics::STAGE.read(&bench.registry, "prompts", Stage::Off),
        Some(1.0)
    );

    let report = bench.migration.report();
    let printed = report.to_string();
    assert!(
        printed.contains("shadow -> off, held: ordered, by anna (a drill)"),
        "{printed}"
    );
    let entry = bench.directory.find("cache_migration", "prompts").unwrap();
    assert_eq!(
        Inspect::actions(&*entry).len(),
        7 + usize::from(cfg!(feature = "serde"))
    );
}

#[tokio::test]
async fn what_takes_time_is_not_done_there() {
    let plain = rs_cache_migrate::Capabilities {
        epochs: false,
        ..rs_cache_migrate::Capabilities::ALL
    };
    let bench = bench_with(MigrationConfig::default(), plain, plain);
    let advance =
        bench
            .directory
            .control("cache_migration", "prompts", &Action::new("advance"), &by());
    assert!(
        matches!(advance, Err(ControlError::NotNow(_))),
        "{advance:?}"
    );
}

#[tokio::test]
async fn other_rules_are_taken_whole_or_not_at_all() {
    let bench = bench(MigrationConfig::default());
    let version = bench
        .migration
        .reconfigure(MigrationConfig::default().with_doubts(7));
    assert_eq!(version.unwrap(), 2);
    for wrong in [
        MigrationConfig::default().with_doubts(0),
        MigrationConfig::default().with_salt("other"),
        MigrationConfig::default().with_epoch(9),
    ] {
        assert!(bench.migration.reconfigure(wrong).is_err());
    }
    assert_eq!(
        *bench.migration.config(),
        MigrationConfig::default().with_doubts(7)
    );
}

#[cfg(feature = "serde")]
#[test]
fn a_file_says_it_as_people_do() {
    let config: MigrationConfig = toml::from_str(
        r#"
        steps = ["0.01%", "50%", "100%"]
        propagation = "5s"
        shadow = "2%"
        unaged = "1m"
        "#,
    )
    .unwrap();
    config.check().unwrap();
    assert_eq!(config.steps().len(), 3);
    assert!(toml::from_str::<MigrationConfig>("step = []").is_err());
    let empty: MigrationConfig = toml::from_str("").unwrap();
    assert_eq!(empty, MigrationConfig::default());
}
