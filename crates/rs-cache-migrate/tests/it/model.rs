//! The migration against a single map, with time that is moved.

use std::{collections::HashMap, time::Duration};

use proptest::prelude::*;
use rs_cache_migrate::{BackfillConfig, Capabilities, Entry, Lookup, MigrationConfig, Stage};
use rs_core::{Rate, Share};

use crate::support::{bench_with, by};

#[derive(Debug, Clone)]
enum Act {
    Set(u8, u64, u64),
    Negative(u8, u64),
    Delete(u8),
    Look,
    Wait(u64),
    Advance,
    Back,
    Rollback,
    Share(u16),
    Fill,
    Evict(u8),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        8 => (0..6u8, any::<u64>(), 0..5_000u64).prop_map(|(key, value, ttl)| Act::Set(key, value, ttl)),
        1 => (0..6u8, 1..5_000u64).prop_map(|(key, ttl)| Act::Negative(key, ttl)),
        3 => (0..6u8).prop_map(Act::Delete),
        4 => Just(Act::Look),
        3 => (0..2_000u64).prop_map(Act::Wait),
        4 => Just(Act::Advance),
        1 => Just(Act::Back),
        1 => Just(Act::Rollback),
        1 => (1..=10_000u16).prop_map(Act::Share),
        1 => Just(Act::Fill),
        1 => (0..6u8).prop_map(Act::Evict),
    ];
    proptest::collection::vec(act, 0..120)
}

async fn run(acts: Vec<Act>, epochs: bool) -> Result<(), TestCaseError> {
    let config = MigrationConfig::default().with_promotion_floor(Duration::ZERO);
    let new = Capabilities {
        epochs,
        ..Capabilities::ALL
    };
    let bench = bench_with(config, Capabilities::ALL, new);
    let migration = &bench.migration;
    let mut model: HashMap<u8, (Option<u64>, u64)> = HashMap::new();
    let mut now = 0;
    for act in acts {
        match act {
            Act::Set(key, value, ttl) => {
                let time = Duration::from_millis(ttl);
                migration.set(&key.to_string(), value, time).await.unwrap();
                model.insert(key, (Some(value), now + ttl));
            }
            Act::Negative(key, ttl) => {
                let absent = Entry::absent().lasting(Duration::from_millis(ttl));
                migration.set_entry(&key.to_string(), absent).await.unwrap();
                model.insert(key, (None, now + ttl));
            }
            Act::Delete(key) => {
                migration.delete(&key.to_string()).await.unwrap();
                model.remove(&key);
            }
            Act::Wait(time) => {
                now += time;
                bench.hand.advance(Duration::from_millis(time));
            }
            Act::Advance => {
                migration.release(by());
                // There is no way back from complete, and nothing left to find.
                if migration.state().stage != Stage::RampDown {
                    migration.advance(by()).await.unwrap();
                }
            }
            Act::Back => drop(migration.step_back(by()).await),
            Act::Rollback => drop(migration.rollback(by())),
            Act::Share(share) => {
                let share = Share::of(f64::from(share) / 10_000.0).unwrap();
                drop(migration.set_share(share, by()).await);
            }
            Act::Fill => {
                let fast = Rate::new(1e9, Duration::from_secs(1)).unwrap();
                let mut fill = migration.backfill(BackfillConfig::at_most(fast)).unwrap();
                let moving = async {
                    loop {
                        bench.hand.advance(Duration::from_nanos(1));
                        tokio::task::yield_now().await;
                    }
                };
                tokio::select! { _ = fill.run() => {}, () = moving => {} }
            }
            // The new cache drops what it likes.
            Act::Evict(key) => drop(bench.new.cache.delete(&key.to_string())),
            Act::Look => {}
        }
        for key in 0..6u8 {
            let found = migration.get(&key.to_string()).await.unwrap();
            let kept = model.get(&key).filter(|(_, until)| *until > now);
            let expected = match kept {
                None => Lookup::Miss,
                Some((None, _)) => Lookup::Absent,
                Some((Some(value), _)) => Lookup::Hit(*value),
            };
            let may_be_missing = migration.state().stage == Stage::RampDown;
            prop_assert!(
                found == expected || (may_be_missing && found == Lookup::Miss),
                "{key} at {}: {found:?}, not {expected:?}",
                migration.state()
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(crate::support::cases(192))]
    #[test]
    fn it_is_one_map(acts in acts(), epochs in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(acts, epochs))?;
    }
}
