use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use rs_cache_migrate::{CacheAdapter, Comparison, Entry, MigrationConfig, Stage, metrics};
use rs_core::Share;

use crate::support::{HOUR, bench};

#[tokio::test]
async fn differences_are_told_apart() {
    let bench = bench(MigrationConfig::default()).at(Stage::Shadow).await;
    let (legacy, new) = (&bench.legacy.cache, &bench.new.cache);
    let put = async |cache: &rs_cache_migrate::TtlCache<String, u64>, key: &str, value, secs| {
        let entry = Entry {
            epoch: 1,
            ..Entry::of(value).lasting(Duration::from_secs(secs))
        };
        CacheAdapter::set(cache, &key.to_owned(), entry)
            .await
            .unwrap();
    };
    put(legacy, "missing", 1, 9).await;
    put(new, "old", 1, 9).await;
    put(legacy, "differs", 1, 9).await;
    put(new, "differs", 2, 9).await;
    put(legacy, "time", 1, 9).await;
    put(new, "time", 1, 90).await;
    bench.set("same", 1).await;
    for (key, expected) in [
        ("missing", Comparison::NewMissing),
        ("old", Comparison::OldMissing),
        ("differs", Comparison::Differs),
        ("time", Comparison::TtlDiffers),
        ("same", Comparison::Same),
        ("nowhere", Comparison::Same),
    ] {
        assert_eq!(
            bench.migration.compare(&key.to_owned()).await,
            expected,
            "{key}"
        );
    }
    bench.new.way.undecodable.store(true, Relaxed);
    assert_eq!(
        bench.migration.compare(&"same".to_owned()).await,
        Comparison::Undecodable
    );
    bench.new.way.no_reads.store(true, Relaxed);
    assert_eq!(
        bench.migration.compare(&"same".to_owned()).await,
        Comparison::Unknown
    );
}

#[tokio::test]
async fn shadow_reads_wait_in_a_short_queue() {
    let config = MigrationConfig::default().with_shadow(Share::ALL);
    let bench = bench(config).at(Stage::Shadow).await;
    bench.set("a", 1).await;
    for _ in 0..300 {
        bench.get("a").await;
    }
    let read = |kind| {
        metrics::SHADOW_READS
            .read(&bench.registry, "prompts", kind)
            .unwrap()
    };
    assert_eq!(read(Comparison::Same), 0, "not on the caller's time");
    assert_eq!(
        metrics::SHADOW_DROPPED.read(&bench.registry, "prompts", ()),
        Some(44)
    );
    tokio::select! {
        () = bench.migration.run() => {}
        () = async { while read(Comparison::Same) < 256 { tokio::task::yield_now().await } } => {}
    }
}

/// A change that is half done is no difference: the second look waits for it.
#[tokio::test]
async fn a_change_under_way_is_no_difference() {
    let bench = bench(MigrationConfig::default()).at(Stage::Shadow).await;
    bench.set("a", 1).await;
    bench.new.way.yields.store(3, Relaxed);
    let key = "a".to_owned();
    let (changed, compared) = tokio::join!(
        bench.migration.set(&key, 2, HOUR),
        bench.migration.compare(&key)
    );
    changed.unwrap();
    assert_eq!(compared, Comparison::Same);
}
