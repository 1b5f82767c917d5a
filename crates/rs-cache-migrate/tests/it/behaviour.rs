use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use rs_cache_migrate::{
    BackfillConfig, Capabilities, Entry, Lookup, MigrationConfig, Stage, metrics,
};
use rs_core::Rate;

use crate::support::{HOUR, bench, bench_with, by};

#[tokio::test]
async fn a_value_is_served_through_every_stage() {
    let bench = bench(MigrationConfig::default());
    bench.set("a", 1).await;
    let mut seen = vec![];
    loop {
        assert_eq!(bench.get("a").await, Some(1), "{}", bench.migration.state());
        seen.push(bench.migration.state().to_string());
        if bench.migration.is_complete() {
            break;
        }
        bench.migration.advance(by()).await.unwrap();
    }
    assert_eq!(
        seen,
        [
            "off",
            "dual_write",
            "shadow",
            "live 10%",
            "live 25%",
            "live 50%",
            "live 100%",
            "ramp_down",
            "complete"
        ]
    );
}

#[tokio::test]
async fn writes_go_where_the_stage_says() {
    for (stage, legacy, new) in [
        (Stage::Off, true, false),
        (Stage::DualWrite, true, true),
        (Stage::Shadow, true, true),
        (Stage::Live, true, true),
        (Stage::RampDown, true, true),
        (Stage::Complete, false, true),
    ] {
        let bench = bench(MigrationConfig::default()).at(stage).await;
        bench.set("a", 1).await;
        assert_eq!(bench.legacy.peek("a").is_some(), legacy, "{stage}");
        assert_eq!(bench.new.peek("a").is_some(), new, "{stage}");
        bench.delete("a").await;
        assert_eq!(bench.get("a").await, None, "{stage}");
    }
}

#[tokio::test]
async fn what_is_promoted_lives_as_long_as_it_would_have() {
    let bench = bench(MigrationConfig::default());
    bench.set("a", 1).await;
    let bench = bench.all_live().await;
    bench.hand.advance(Duration::from_secs(3000));
    assert_eq!(bench.get("a").await, Some(1));
    assert_eq!(bench.new.peek("a"), Some(1), "it came over");
    bench.hand.advance(Duration::from_secs(599));
    assert_eq!(bench.get("a").await, Some(1));
    bench.hand.advance(Duration::from_secs(1));
    assert_eq!(bench.get("a").await, None);
    assert_eq!(bench.new.peek("a"), None);
    let read = |metric: &rs_metrics::Metric<_, (), 1>| metric.read(&bench.registry, "prompts", ());
    assert_eq!(read(&metrics::FALLBACKS), Some(1));
    assert_eq!(read(&metrics::PROMOTIONS), Some(1));
    assert_eq!(read(&metrics::NEW_HITS), Some(1));
}

#[tokio::test]
async fn what_has_hardly_any_time_left_does_not_come_over() {
    let bench = bench(MigrationConfig::default());
    bench.set("a", 1).await;
    let bench = bench.all_live().await;
    bench.hand.advance(HOUR - Duration::from_millis(99));
    assert_eq!(bench.get("a").await, Some(1));
    assert_eq!(bench.new.peek("a"), None);
}

#[tokio::test]
async fn a_negative_entry_is_an_answer() {
    let bench = bench(MigrationConfig::default()).all_live().await;
    let key = "a".to_owned();
    let absent = Entry::absent().lasting(HOUR);
    bench.migration.set_entry(&key, absent).await.unwrap();
    let asked = bench.legacy.way.reads.load(Relaxed);
    assert_eq!(bench.migration.get(&key).await.unwrap(), Lookup::Absent);
    assert_eq!(
        bench.legacy.way.reads.load(Relaxed),
        asked,
        "legacy is not asked"
    );
    assert_eq!(
        bench.migration.get(&"b".to_owned()).await.unwrap(),
        Lookup::Miss
    );
}

#[tokio::test]
async fn no_time_at_all_removes_and_an_enormous_time_never_ends() {
    let bench = bench(MigrationConfig::default()).all_live().await;
    let key = "a".to_owned();
    bench.migration.set(&key, 1, Duration::MAX).await.unwrap();
    bench.hand.advance(HOUR * 24 * 365 * 10);
    assert_eq!(bench.get("a").await, Some(1));
    bench.migration.set(&key, 2, Duration::ZERO).await.unwrap();
    assert_eq!(bench.get("a").await, None);
    assert_eq!((bench.legacy.peek("a"), bench.new.peek("a")), (None, None));
}

#[tokio::test]
async fn a_rollback_leaves_nothing_for_the_next_try() {
    let bench = bench(MigrationConfig::default()).all_live().await;
    bench.set("a", 1).await;
    bench.migration.rollback(by()).unwrap();
    bench.set("a", 2).await;
    assert_eq!(bench.new.peek("a"), Some(1), "new has not heard of it");
    assert!(bench.migration.release(by()));
    let bench = bench.all_live().await;
    assert_eq!(bench.get("a").await, Some(2), "and is not believed");
    assert_eq!(bench.new.peek("a"), Some(2), "the promotion replaced it");
}

#[tokio::test]
async fn a_cache_without_epochs_is_cleared_before_a_try() {
    let plain = Capabilities {
        epochs: false,
        ..Capabilities::ALL
    };
    let bench = bench_with(MigrationConfig::default(), Capabilities::ALL, plain)
        .all_live()
        .await;
    bench.set("a", 1).await;
    bench.migration.rollback(by()).unwrap();
    bench.delete("a").await;
    bench.migration.release(by());
    bench.new.way.no_deletes.store(true, Relaxed);
    assert!(
        bench.migration.advance(by()).await.is_err(),
        "it could not be cleared"
    );
    bench.new.way.no_deletes.store(false, Relaxed);
    let bench = bench.all_live().await;
    assert_eq!(bench.get("a").await, None);
}

#[tokio::test]
async fn what_cannot_say_its_age_is_promoted_only_if_that_is_allowed() {
    let ageless = Capabilities {
        reads_ttl: false,
        ..Capabilities::ALL
    };
    for (config, promoted) in [
        (MigrationConfig::default(), None),
        (MigrationConfig::default().promoting_unaged(HOUR), Some(1)),
    ] {
        let bench = bench_with(config, ageless, Capabilities::ALL);
        bench.set("a", 1).await;
        let bench = bench.all_live().await;
        assert_eq!(bench.get("a").await, Some(1));
        assert_eq!(bench.new.peek("a"), promoted);
    }
}

#[tokio::test]
async fn a_backfill_brings_everything_and_goes_on_where_it_was() {
    let bench = bench(MigrationConfig::default());
    for key in 0..50 {
        bench.set(&key.to_string(), key).await;
    }
    let bench = bench.at(Stage::DualWrite).await;
    let rate = BackfillConfig::at_most(Rate::new(100.0, Duration::from_secs(1)).unwrap());
    let mut backfill = bench.migration.backfill(rate).unwrap();
    for _ in 0..2 {
        let mut run = Box::pin(backfill.run());
        for _ in 0..20 {
            let polled = tokio::time::timeout(Duration::ZERO, &mut run).await;
            assert!(polled.is_err(), "it keeps its pace");
            bench.hand.advance(Duration::from_millis(10));
        }
    }
    assert!(
        (39..=42).contains(&backfill.progress().done),
        "{:?}",
        backfill.progress()
    );
    let hand = bench.hand.clone();
    let moving = async {
        loop {
            tokio::task::yield_now().await;
            hand.advance(Duration::from_millis(10));
        }
    };
    tokio::select! {
        done = backfill.run() => assert_eq!((done.done, done.copied), (50, 50)),
        () = moving => {}
    }
    for key in 0..50 {
        assert_eq!(bench.new.peek(&key.to_string()), Some(key));
    }
    let blind = Capabilities {
        iterate: false,
        ..Capabilities::ALL
    };
    let blind = bench_with(MigrationConfig::default(), blind, Capabilities::ALL);
    assert!(blind.migration.backfill(rate).is_err());
}
