use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use rs_cache_migrate::{CacheMigration, MigrationConfig, Stage, StepRefused, TtlCache};
use rs_core::Share;
use rs_metrics::Surroundings;

use crate::support::{HOUR, bench, by};

#[tokio::test]
async fn steps_are_refused_with_a_reason() {
    let bench = bench(MigrationConfig::default());
    let migration = &bench.migration;
    assert_eq!(migration.step_back(by()).await, Err(StepRefused::Off));
    assert_eq!(
        migration.set_share(Share::ALL, by()).await,
        Err(StepRefused::NotLive)
    );
    migration.advance(by()).await.unwrap();
    migration.rollback(by()).unwrap();
    assert_eq!(migration.rollback(by()), Err(StepRefused::Off));
    assert_eq!(
        migration.advance(by()).await,
        Err(StepRefused::Held),
        "it stays off"
    );
    assert!(migration.release(by()));
    assert!(!migration.release(by()));
    let bench = bench.at(Stage::Live).await;
    let tiny = Share::of(0.000_05).unwrap();
    assert_eq!(
        bench.migration.set_share(tiny, by()).await,
        Err(StepRefused::NotAShare)
    );
    bench
        .migration
        .set_share(Share::of(0.0001).unwrap(), by())
        .await
        .unwrap();
    let bench = bench.at(Stage::Complete).await;
    assert_eq!(
        bench.migration.advance(by()).await,
        Err(StepRefused::Complete)
    );
    assert_eq!(bench.migration.rollback(by()), Err(StepRefused::Complete));
    assert_eq!(
        bench.migration.step_back(by()).await,
        Err(StepRefused::Complete)
    );
}

#[tokio::test]
async fn back_is_the_way_it_came() {
    let bench = bench(MigrationConfig::default()).at(Stage::RampDown).await;
    let mut seen = vec![];
    while bench.migration.state().stage != Stage::Off {
        seen.push(bench.migration.step_back(by()).await.unwrap().to_string());
    }
    assert_eq!(
        seen,
        [
            "live 100%",
            "live 50%",
            "live 25%",
            "live 10%",
            "shadow",
            "dual_write",
            "off"
        ]
    );
    assert_eq!(
        bench.migration.state().epoch,
        2,
        "what is in new will not be read"
    );
}

#[tokio::test]
async fn others_are_given_time_to_hear_of_a_step() {
    let config = MigrationConfig::default().with_propagation(Duration::from_secs(5));
    let bench = bench(config);
    bench.migration.advance(by()).await.unwrap();
    bench.hand.advance(Duration::from_secs(2));
    let left = StepRefused::TooSoon(Duration::from_secs(3));
    assert_eq!(bench.migration.advance(by()).await, Err(left.clone()));
    assert_eq!(
        left.to_string(),
        "others may not know of the last step before 3s"
    );
    bench.hand.advance(Duration::from_secs(3));
    bench.migration.advance(by()).await.unwrap();
    bench.migration.rollback(by()).unwrap();
}

#[tokio::test]
async fn a_step_waits_for_the_changes_that_do_not_know_of_it() {
    let bench = Arc::new(bench(MigrationConfig::default()));
    bench
        .new
        .way
        .hangs
        .store(true, std::sync::atomic::Ordering::Relaxed);
    bench.migration.advance(by()).await.unwrap();
    let key = "a".to_owned();
    let mut change = Box::pin(bench.migration.set(&key, 1, HOUR));
    assert!(
        tokio::time::timeout(Duration::ZERO, &mut change)
            .await
            .is_err()
    );
    let mut step = Box::pin(bench.migration.advance(by()));
    assert!(
        tokio::time::timeout(Duration::ZERO, &mut step)
            .await
            .is_err()
    );
    let state = bench.migration.state();
    assert_eq!((state.stage, state.settled), (Stage::Shadow, false));
    drop(change);
    step.await.unwrap();
    assert!(bench.migration.state().settled);
}

#[test]
fn wrong_configurations_say_so() {
    let steps = |of: &[f64]| {
        let steps: Vec<_> = of.iter().map(|part| Share::of(*part).unwrap()).collect();
        MigrationConfig::default()
            .with_steps(steps)
            .check()
            .map_err(|error| error.to_string())
    };
    assert_eq!(steps(&[0.0001, 1.0]), Ok(()));
    let rising = Err("steps: they rise, and the last is 100%".to_owned());
    assert_eq!(steps(&[0.5, 0.25, 1.0]), rising);
    assert_eq!(steps(&[0.5, 0.5, 1.0]), rising);
    assert_eq!(steps(&[0.5]), rising);
    assert_eq!(steps(&[]), rising);
    let fine = Err("steps: a step is 0.01% to 100%, in steps of 0.01%".to_owned());
    assert_eq!(steps(&[0.0, 1.0]), fine);
    assert_eq!(steps(&[0.000_05, 1.0]), fine);
    assert!(MigrationConfig::default().with_doubts(0).check().is_err());
    assert!(
        MigrationConfig::default()
            .with_propagation(HOUR * 2)
            .check()
            .is_err()
    );
}

fn cohort(salt: &'static str, share: f64) -> Vec<bool> {
    let around = Surroundings::apart();
    let cache = || TtlCache::<String, u64>::within(&around, HOUR);
    let config = MigrationConfig::default().with_salt(salt);
    let migration = CacheMigration::within(&around, "m", cache(), cache(), config).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        while migration.state().stage != Stage::Live {
            migration.advance(by()).await.unwrap();
        }
        migration
            .set_share(Share::percent(share).unwrap(), by())
            .await
            .unwrap();
    });
    (0..20_000)
        .map(|key| migration.reads_new(&format!("user:{key}")))
        .collect()
}

#[test]
fn a_share_is_what_it_says_and_grows_by_adding() {
    let mut before = vec![false; 20_000];
    for share in [1.0, 10.0, 25.0, 50.0, 100.0] {
        let now = cohort("s", share);
        let found = now.iter().filter(|new| **new).count() as f64 / 200.0;
        assert!(
            (found - share).abs() < 0.1 * share.max(5.0),
            "{share}: {found}"
        );
        assert!(before.iter().zip(&now).all(|(before, now)| !before || *now));
        before = now;
    }
    assert_ne!(
        cohort("s", 10.0),
        cohort("t", 10.0),
        "another salt, other keys"
    );
}

/// The cohort of this release; if this fails, replicas of two releases disagree.
#[test]
fn the_first_hundredth_is_the_same_in_every_version() {
    let cohort = cohort("s", 1.0);
    let first: Vec<usize> = (0..2000).filter(|key| cohort[*key]).take(8).collect();
    assert_eq!(first, FIRST);
}

const FIRST: [usize; 8] = [27, 88, 155, 161, 265, 287, 359, 514];

#[derive(Debug, Clone, Copy)]
enum Order {
    Advance,
    Back,
    Rollback,
    Release,
    Share(u16),
}

fn orders() -> impl Strategy<Value = Vec<Order>> {
    let order = prop_oneof![
        6 => Just(Order::Advance),
        2 => Just(Order::Back),
        1 => Just(Order::Rollback),
        2 => Just(Order::Release),
        1 => (1..=10_000u16).prop_map(Order::Share),
    ];
    proptest::collection::vec(order, 0..60)
}

proptest! {
    /// Whatever is ordered: neighbours only, off is a new epoch, held stays off, complete stays complete.
    #[test]
    fn only_legal_steps_are_taken(orders in orders()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let bench = bench(MigrationConfig::default());
        for order in orders {
            let before = bench.migration.state();
            let taken = runtime.block_on(async {
                match order {
                    Order::Advance => bench.migration.advance(by()).await.is_ok(),
                    Order::Back => bench.migration.step_back(by()).await.is_ok(),
                    Order::Rollback => bench.migration.rollback(by()).is_ok(),
                    Order::Release => bench.migration.release(by()),
                    Order::Share(share) => {
                        let share = Share::of(f64::from(share) / 10_000.0).unwrap();
                        bench.migration.set_share(share, by()).await.is_ok()
                    }
                }
            });
            let after = bench.migration.state();
            let (from, to) = (before.stage as i32, after.stage as i32);
            if !taken {
                prop_assert_eq!((before.stage, before.epoch, before.held), (after.stage, after.epoch, after.held));
                continue;
            }
            prop_assert_ne!(before.stage, Stage::Complete);
            match order {
                Order::Advance => {
                    prop_assert!(!before.held);
                    prop_assert!(to == from + 1 || (to == from && after.share > before.share));
                }
                Order::Back => prop_assert!(to == from - 1 || (to == from && after.share < before.share)),
                Order::Rollback => prop_assert!(after.stage == Stage::Off && after.held),
                Order::Release => prop_assert!(before.held && !after.held && to == from),
                Order::Share(_) => prop_assert_eq!((before.stage, after.stage), (Stage::Live, Stage::Live)),
            }
            let began_anew = after.stage == Stage::Off && !matches!(order, Order::Release);
            prop_assert_eq!(after.epoch, before.epoch + u32::from(began_anew));
        }
    }
}
