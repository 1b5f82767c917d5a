//! Memory before something further away.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use rs_cache_migrate::{
    CacheAdapter, CacheMigration, Entry, MigrationConfig, Stage, TtlCache, TwoLevel,
};
use rs_core::Clock;
use rs_metrics::Surroundings;

use crate::{
    caches::contract,
    support::{HOUR, Remote, by},
};

const NEAR: Duration = Duration::from_secs(5);

fn key() -> String {
    "a".to_owned()
}

#[tokio::test]
async fn it_is_a_cache_as_others() {
    let around = Surroundings::apart();
    let level = || TtlCache::<String, u64>::within(&around, HOUR);
    let both = TwoLevel::new(level(), level(), HOUR);
    contract(both, None).await;
}

#[tokio::test]
async fn nothing_is_near_for_longer_than_it_lives_or_than_it_may() {
    let (clock, hand) = Clock::manual();
    let around = Surroundings::apart().with_clock(clock);
    let (near, far) = (
        TtlCache::within(&around, HOUR),
        TtlCache::within(&around, HOUR),
    );
    let both = TwoLevel::new(near.clone(), far.clone(), NEAR);
    far.set_for(key(), 1_u64, NEAR / 2);
    assert!(both.get_at_once(&key()).is_none(), "what is far takes time");
    let found = both.get(&key()).await.unwrap().unwrap();
    assert!(!found.near);
    let at_once = both.get_at_once(&key()).unwrap().unwrap().unwrap();
    assert!(at_once.near && at_once.value == Some(1));
    let found = both.get(&key()).await.unwrap().unwrap();
    assert!(found.near && found.remaining == Some(NEAR / 2));
    hand.advance(NEAR / 2);
    assert_eq!(both.get(&key()).await.unwrap(), None);

    both.set(&key(), Entry::of(2).lasting(HOUR)).await.unwrap();
    // Somebody else's change is seen when the near time is over.
    far.set(key(), 3);
    assert_eq!(both.get(&key()).await.unwrap().unwrap().value, Some(2));
    hand.advance(NEAR);
    assert_eq!(both.get(&key()).await.unwrap().unwrap().value, Some(3));
}

/// A read that began before a change, and ends after it.
#[tokio::test]
async fn what_was_read_before_a_change_does_not_come_near() {
    let around = Surroundings::apart();
    let (near, far) = (TtlCache::within(&around, HOUR), Remote::new(&around));
    let both = TwoLevel::new(near.clone(), far.clone(), HOUR);
    both.set(&key(), Entry::of(1)).await.unwrap();
    near.delete(&key());
    for polls in 0..40 {
        far.way.yields.store(3, Relaxed);
        let asked = key();
        let mut reading = Box::pin(both.get(&asked));
        for _ in 0..polls {
            let once = std::future::poll_fn(|context| {
                std::task::Poll::Ready(reading.as_mut().poll(context).is_ready())
            });
            if once.await {
                reading = Box::pin(both.get(&asked));
                break;
            }
        }
        far.way.yields.store(0, Relaxed);
        both.delete(&key()).await.unwrap();
        let late = reading.await.unwrap();
        assert!(late.is_none_or(|late| late.value == Some(1)));
        assert_eq!(both.get(&key()).await.unwrap(), None, "after {polls} polls");
        both.set(&key(), Entry::of(1)).await.unwrap();
        near.delete(&key());
    }
}

#[tokio::test]
async fn a_further_level_that_fails_leaves_nothing_near() {
    let around = Surroundings::apart();
    let (near, far) = (TtlCache::within(&around, HOUR), Remote::new(&around));
    let both = TwoLevel::new(near.clone(), far.clone(), HOUR);
    both.set(&key(), Entry::of(1)).await.unwrap();
    far.way.no_changes.store(true, Relaxed);
    assert!(both.set(&key(), Entry::of(2)).await.is_err());
    assert_eq!(near.get(&key()), None);
}

/// What is near of an earlier try is not read in the next.
#[tokio::test]
async fn a_rollback_flushes_what_is_near() {
    let around = Surroundings::apart();
    let level = || TtlCache::<String, u64>::within(&around, HOUR);
    let (old, new) = (level(), TwoLevel::new(level(), level(), HOUR));
    let config = MigrationConfig::default().with_steps([rs_core::Share::ALL]);
    let migration = CacheMigration::within(&around, "levels", old, new, config).unwrap();
    let up = || async {
        while migration.state().stage != Stage::RampDown {
            migration.advance(by()).await.unwrap();
        }
    };
    up().await;
    migration.set(&key(), 1, HOUR).await.unwrap();
    assert_eq!(migration.get(&key()).await.unwrap().hit(), Some(1));
    migration.rollback(by()).unwrap();
    migration.delete(&key()).await.unwrap();
    migration.release(by());
    up().await;
    assert_eq!(migration.get(&key()).await.unwrap().hit(), None);
}
