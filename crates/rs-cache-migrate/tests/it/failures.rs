use std::{sync::atomic::Ordering::Relaxed, task::Poll, time::Duration};

use rs_cache_migrate::{MigrationConfig, Side, Stage, metrics, metrics::CacheOperation};

use crate::support::{HOUR, bench, by};

#[tokio::test]
async fn what_new_did_not_hear_of_is_not_read_there() {
    let bench = bench(MigrationConfig::default()).all_live().await;
    bench.set("a", 1).await;
    bench.new.way.no_changes.store(true, Relaxed);
    bench.new.way.no_deletes.store(true, Relaxed);
    bench.set("a", 2).await;
    assert_eq!(bench.new.peek("a"), Some(1));
    assert_eq!(bench.get("a").await, Some(2), "legacy answers");
    assert_eq!(bench.migration.doubtful(Side::New), 1);
    bench.delete("a").await;
    assert_eq!(bench.get("a").await, None);

    bench.new.way.no_changes.store(false, Relaxed);
    bench.new.way.no_deletes.store(false, Relaxed);
    let work = bench.migration.run();
    bench.hand.advance(Duration::from_secs(0));
    tokio::select! {
        () = work => {}
        () = async {
            for _ in 0..20 {
                bench.hand.advance(Duration::from_secs(1));
                tokio::task::yield_now().await;
            }
        } => {}
    }
    assert_eq!(bench.migration.doubtful(Side::New), 0, "it was removed");
    assert_eq!(bench.new.peek("a"), None);
    let errors = |labels| {
        metrics::ERRORS
            .read(&bench.registry, "prompts", labels)
            .unwrap()
    };
    assert!(errors((Side::New, CacheOperation::Set)) >= 1);
    assert!(errors((Side::New, CacheOperation::Delete)) >= 2);
    assert_eq!(errors((Side::Legacy, CacheOperation::Set)), 0);
}

#[tokio::test]
async fn a_write_that_failed_serves_neither_value() {
    let bench = bench(MigrationConfig::default()).all_live().await;
    bench.set("a", 1).await;
    bench.legacy.way.no_changes.store(true, Relaxed);
    let failed = bench.migration.set(&"a".to_owned(), 2, HOUR).await;
    assert!(failed.is_err());
    assert_eq!(bench.get("a").await, None);
    assert_eq!((bench.legacy.peek("a"), bench.new.peek("a")), (None, None));
}

#[tokio::test]
async fn new_away_means_legacy_and_both_away_is_an_error() {
    let bench = bench(MigrationConfig::default()).all_live().await;
    bench.set("a", 1).await;
    bench.new.way.no_reads.store(true, Relaxed);
    assert_eq!(bench.get("a").await, Some(1));
    bench.legacy.way.no_reads.store(true, Relaxed);
    assert!(bench.migration.get(&"a".to_owned()).await.is_err());
    bench.migration.rollback(by()).unwrap();
    assert_eq!(
        bench.migration.state().stage,
        Stage::Off,
        "with everything down"
    );
}

#[tokio::test]
async fn what_new_cannot_read_is_a_miss_there() {
    let bench = bench(MigrationConfig::default()).all_live().await;
    bench.set("a", 1).await;
    bench.new.way.undecodable.store(true, Relaxed);
    assert_eq!(bench.get("a").await, Some(1));
    let bench = bench.at(Stage::RampDown).await;
    assert_eq!(bench.get("a").await, None);
}

#[tokio::test]
async fn too_many_doubts_roll_back() {
    let bench = bench(MigrationConfig::default().with_doubts(3))
        .all_live()
        .await;
    for key in 0..5 {
        bench.set(&key.to_string(), 1).await;
    }
    bench.new.way.no_changes.store(true, Relaxed);
    bench.new.way.no_deletes.store(true, Relaxed);
    for key in 0..5 {
        bench.set(&key.to_string(), 2).await;
        assert_eq!(bench.get(&key.to_string()).await, Some(2));
    }
    let state = bench.migration.state();
    assert_eq!((state.stage, state.held), (Stage::Off, true));
    let report = bench.migration.report();
    assert_eq!(
        report.decisions.last().unwrap().why,
        "more than 3 keys are doubtful in new"
    );

    // The next try does not see what new has, although nothing could be removed there.
    bench.migration.release(by());
    bench.new.way.no_changes.store(false, Relaxed);
    let bench = bench.all_live().await;
    for key in 0..5 {
        assert_eq!(bench.get(&key.to_string()).await, Some(2));
    }
}

#[tokio::test]
async fn legacy_that_lost_too_much_is_read_as_empty_until_it_was_cleared() {
    let bench = bench(MigrationConfig::default().with_doubts(2))
        .at(Stage::RampDown)
        .await;
    for key in 0..4 {
        bench.set(&key.to_string(), 1).await;
    }
    bench.legacy.way.no_changes.store(true, Relaxed);
    bench.legacy.way.no_deletes.store(true, Relaxed);
    for key in 0..4 {
        bench.set(&key.to_string(), 2).await;
        assert_eq!(bench.get(&key.to_string()).await, Some(2), "new answers");
    }
    bench.migration.rollback(by()).unwrap();
    for key in 0..4 {
        assert_eq!(
            bench.get(&key.to_string()).await,
            None,
            "legacy has the old one"
        );
    }
    bench.legacy.way.no_changes.store(false, Relaxed);
    bench.legacy.way.no_deletes.store(false, Relaxed);
    tokio::select! {
        () = bench.migration.run() => {}
        () = async {
            for _ in 0..20 {
                bench.hand.advance(Duration::from_secs(1));
                tokio::task::yield_now().await;
            }
        } => {}
    }
    bench.set("0", 3).await;
    assert_eq!(bench.get("0").await, Some(3));
    assert_eq!(bench.get("1").await, None);
}

/// A caller that goes away at any await leaves a miss, the old value everywhere, or the new one everywhere.
#[tokio::test]
async fn a_change_may_be_dropped_at_every_await() {
    for stage in [Stage::DualWrite, Stage::Live, Stage::RampDown] {
        for polls in 0..30 {
            let bench = bench(MigrationConfig::default()).at(stage).await;
            bench.set("a", 1).await;
            bench.legacy.way.yields.store(3, Relaxed);
            bench.new.way.yields.store(3, Relaxed);
            let key = "a".to_owned();
            let mut change = Box::pin(bench.migration.set(&key, 2, HOUR));
            let mut ended = false;
            for _ in 0..polls {
                ended = std::future::poll_fn(|context| {
                    Poll::Ready(change.as_mut().poll(context).is_ready())
                })
                .await;
                if ended {
                    break;
                }
            }
            drop(change);
            let first = bench.get("a").await;
            bench.migration.rollback(by()).unwrap();
            let after = bench.get("a").await;
            let is_no_older = after == first || after.is_none();
            assert!(
                is_no_older,
                "{stage} after {polls} polls: {first:?}, then {after:?}"
            );
            if ended {
                assert_eq!(after, Some(2));
                break;
            }
            assert_ne!(polls, 29, "it ends");
        }
    }
}

/// With a limit, a cache that hangs costs that time, and its keys are doubtful.
#[tokio::test]
async fn a_cache_that_hangs_is_given_up() {
    let limit = Duration::from_millis(10);
    let config = MigrationConfig::default().with_limit(Side::New, limit);
    let bench = bench(config).all_live().await;
    bench.set("a", 1).await;
    bench.new.way.hangs.store(true, Relaxed);
    let key = "a".to_owned();
    let change = bench.migration.set(&key, 2, HOUR);
    let moving = async {
        for _ in 0..20 {
            bench.hand.advance(limit);
            tokio::task::yield_now().await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        changed = change => changed.unwrap(),
        () = moving => {}
    }
    assert_eq!(bench.migration.doubtful(Side::New), 1);
    assert_eq!(bench.new.peek("a"), Some(1));
    assert_eq!(bench.get("a").await, Some(2), "legacy answers");
    bench.new.way.hangs.store(false, Relaxed);
    bench.set("a", 3).await;
    assert_eq!(bench.migration.doubtful(Side::New), 0);
}

#[tokio::test]
async fn only_a_share_of_the_reads_falls_back() {
    let share = rs_core::Share::of(0.1).unwrap();
    let config = MigrationConfig::default().with_fallbacks(share);
    let bench = bench(config).all_live().await;
    bench.set("a", 1).await;
    bench.new.way.no_reads.store(true, Relaxed);
    let mut answered = 0;
    for _ in 0..11_000 {
        answered += usize::from(bench.get("a").await.is_some());
    }
    // A thousand at once, and a tenth of the rest.
    assert!((2_000..=2_200).contains(&answered), "{answered}");
    let refused = metrics::FALLBACKS_REFUSED.read(&bench.registry, "prompts", ());
    assert_eq!(refused, Some(11_000 - answered as u64));
    bench.migration.rollback(by()).unwrap();
    assert_eq!(bench.get("a").await, Some(1));
}

#[tokio::test]
async fn a_hanging_new_cache_holds_nobody_but_its_own_keys() {
    let bench = bench(MigrationConfig::default()).at(Stage::DualWrite).await;
    bench.new.way.hangs.store(true, Relaxed);
    let key = "a".to_owned();
    let mut change = Box::pin(bench.migration.set(&key, 1, HOUR));
    let polled = tokio::time::timeout(Duration::ZERO, &mut change).await;
    assert!(polled.is_err());
    assert_eq!(bench.get("a").await, Some(1), "readers do not wait");
    bench.migration.rollback(by()).unwrap();
    drop(change);
    bench.set("a", 2).await;
    assert_eq!(bench.get("a").await, Some(2));
}
