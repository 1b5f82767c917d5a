//! Flags: what they say, what they bound, and what happens when nobody can read them.

use std::{sync::Mutex, time::Duration};

use rs_cache_migrate::{
    FileFlags, FlagSource, Flags, FlagsError, MigrationConfig, PilotConfig, PilotMode, Stage,
};
use rs_core::Share;

use crate::support::{Bench, bench, by};

#[track_caller]
fn says(variables: &[(&str, &str)], expected: &str) {
    let found = Flags::of("prompts-v2", variables.iter().copied());
    let error = found.unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn what_is_wrong_says_how_it_is_right() {
    says(
        &[("MIGRATION_PERCENTAGE", "101%")],
        "MIGRATION_PERCENTAGE: ",
    );
    says(&[("MIGRATION_PERCENTAGE", "101")], "MIGRATION_PERCENTAGE: ");
    says(&[("MIGRATION_PERCENTAGE", "much")], "is not a share");
    says(&[("MIGRATION_PERCENTAGE", "NaN")], "MIGRATION_PERCENTAGE: ");
    says(&[("MIGRATION_KILL_SWITCH", "maybe")], "write true or false");
    says(&[("MIGRATION_STAGE", "shadw")], "did you mean `shadow`?");
    says(
        &[("MIGRATION_KILLSWITCH", "1")],
        "did you mean `MIGRATION_KILL_SWITCH`?",
    );
}

#[test]
fn the_nearer_one_counts() {
    let flags = Flags::of(
        "prompts-v2",
        [
            ("MIGRATION_PROMPTS_V2_PERCENTAGE", "25"),
            ("MIGRATION_PERCENTAGE", "50%"),
            ("MIGRATION_RESPONSES_PERCENTAGE", "nonsense of another"),
            ("MIGRATION_ENABLE_METRICS", "on"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(flags.percentage, Some(Share::of(0.25).unwrap()));
    assert_eq!(flags.enable_metrics, Some(true));
    assert_eq!(flags.hold, None);
}

/// Says what it is told to.
struct Told<'a>(&'a Mutex<Result<Flags, FlagsError>>);

impl FlagSource for Told<'_> {
    async fn read(&self, _: &str) -> Result<Flags, FlagsError> {
        self.0.lock().unwrap().clone()
    }
}

/// Lets it look at these flags, some times.
async fn look(bench: &Bench, flags: Result<Flags, FlagsError>, times: u32) {
    let told = Mutex::new(flags);
    let follow = bench.migration.follow(Told(&told), Duration::from_secs(1));
    tokio::select! {
        () = follow => {}
        () = async {
            for _ in 0..times * 2 {
                tokio::task::yield_now().await;
                bench.hand.advance(Duration::from_secs(1));
            }
        } => {}
    }
}

fn automatic() -> MigrationConfig {
    let pilot = PilotConfig::default().with_mode(PilotMode::Automatic);
    MigrationConfig::default().with_pilot(pilot)
}

#[tokio::test]
async fn what_stands_beyond_them_goes_back() {
    let bench = bench(MigrationConfig::default()).all_live().await;
    let quarter = Flags {
        percentage: Some(Share::of(0.25).unwrap()),
        ..Flags::default()
    };
    look(&bench, Ok(quarter), 2).await;
    assert_eq!(bench.migration.state().to_string(), "live 25%");
    let shadow = Flags {
        stage: Some(Stage::Shadow),
        ..Flags::default()
    };
    look(&bench, Ok(shadow), 6).await;
    assert_eq!(bench.migration.state().to_string(), "shadow");
    let last = bench
        .migration
        .report()
        .decisions
        .last()
        .unwrap()
        .to_string();
    assert!(
        last.contains("by flags (MIGRATION_STAGE allows no more)"),
        "{last}"
    );
}

#[tokio::test]
async fn the_kill_switch_is_final_and_not_to_use_new_is_not() {
    let bench = bench(MigrationConfig::default()).all_live().await;
    let without = Flags {
        use_new_cache: Some(false),
        ..Flags::default()
    };
    let told = Mutex::new(Ok(without));
    let follow = bench.migration.follow(Told(&told), Duration::from_secs(1));
    tokio::select! {
        () = follow => {}
        () = async {
            tokio::task::yield_now().await;
            assert_eq!(bench.migration.state().to_string(), "off, held");
            *told.lock().unwrap() = Ok(Flags::default());
            bench.hand.advance(Duration::from_secs(1));
            for _ in 0..4 {
                tokio::task::yield_now().await;
            }
            assert_eq!(bench.migration.state().to_string(), "off", "released by the flag");
        } => {}
    }
    let bench = bench.all_live().await;
    let kill = Flags {
        kill_switch: Some(true),
        ..Flags::default()
    };
    look(&bench, Ok(kill), 1).await;
    assert_eq!(bench.migration.state().to_string(), "off, held");
    look(&bench, Ok(Flags::default()), 3).await;
    assert_eq!(bench.migration.state().to_string(), "off, held", "stays");
    bench.migration.release(by());
    look(&bench, Ok(kill), 1).await;
    assert_eq!(bench.migration.state().to_string(), "off, held", "again");
}

#[tokio::test(start_paused = true)]
async fn what_flags_said_last_counts_while_they_are_away_and_nothing_goes_on() {
    let around = rs_metrics::Surroundings::apart();
    let cache = || rs_cache_migrate::TtlCache::<String, u64>::within(&around, crate::support::HOUR);
    let new = rs_cache_migrate::CacheMigration::within;
    let migration = new(&around, "prompts", cache(), cache(), automatic()).unwrap();
    let away = || Err(FlagsError::Away("no route".to_owned()));
    let told = Mutex::new(away());
    let run = async |time: u64| {
        tokio::select! {
            () = migration.run() => {}
            () = migration.follow(Told(&told), Duration::from_secs(1)) => {}
            () = tokio::time::sleep(Duration::from_secs(time)) => {}
        }
    };
    run(60).await;
    let report = migration.report();
    assert_eq!(report.state.stage, Stage::Off);
    assert_eq!(
        report.pilot.against.as_deref(),
        Some("flags cannot be read: no route")
    );
    let off = Flags {
        stage: Some(Stage::Off),
        ..Flags::default()
    };
    *told.lock().unwrap() = Ok(off);
    run(60).await;
    let against = migration.report().pilot.against;
    assert_eq!(against.as_deref(), Some("flags allow off at most"));
    *told.lock().unwrap() = Ok(Flags::default());
    run(60).await;
    assert_eq!(migration.state().stage, Stage::DualWrite);
    // What is away takes nothing back.
    *told.lock().unwrap() = away();
    run(60).await;
    assert_eq!(migration.state().stage, Stage::DualWrite);
}

#[tokio::test]
async fn a_file_is_looked_at_again() {
    let path = std::env::temp_dir().join(format!("flags-{}.env", std::process::id()));
    let file = FileFlags::new(&path);
    let missing = file.read("prompts").await.unwrap_err();
    assert!(matches!(missing, FlagsError::Away(_)), "{missing}");
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    write("# a comment\n\nexport MIGRATION_PERCENTAGE=\"5%\"\nMIGRATION_HOLD = yes\n");
    let flags = file.read("prompts").await.unwrap();
    assert_eq!(flags.percentage, Some(Share::of(0.05).unwrap()));
    assert_eq!(flags.hold, Some(true));
    write("MIGRATION_HOLD=no\n");
    assert_eq!(file.read("prompts").await.unwrap().hold, Some(false));
    for (text, expected) in [
        ("MIGRATION_HOLD\n", "line 1: "),
        ("PERCENTAGE=5\n", "unknown flag `PERCENTAGE`"),
        (
            "MIGRATION_STAGE=live\nMIGRATION_STAGE=dead",
            "MIGRATION_STAGE: ",
        ),
    ] {
        write(text);
        let error = file.read("prompts").await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    write(&"#".repeat(70_000));
    assert!(file.read("prompts").await.is_err());
    std::fs::remove_file(&path).unwrap();
}
