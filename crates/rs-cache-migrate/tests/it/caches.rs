use std::time::Duration;

use rs_cache_migrate::{CacheAdapter, Entry, TtlCache};
#[cfg(all(feature = "moka", feature = "quick-cache"))]
use rs_cache_migrate::{ModularCache, ModularCacheConfig, Stored};
use rs_core::{Clock, ClockHand};
use rs_metrics::Surroundings;

use crate::support::HOUR;

fn around() -> (Surroundings, ClockHand) {
    let (clock, hand) = Clock::manual();
    (Surroundings::apart().with_clock(clock), hand)
}

/// What every adapter with all but `add` promises.
pub(crate) async fn contract(cache: impl CacheAdapter<String, u64>, hand: Option<&ClockHand>) {
    let key = "a".to_owned();
    assert_eq!(cache.get(&key).await.unwrap(), None);
    let entry = Entry {
        epoch: 7,
        ..Entry::of(1).lasting(HOUR)
    };
    cache.set(&key, entry).await.unwrap();
    let found = cache.get(&key).await.unwrap().unwrap();
    assert_eq!((found.value, found.epoch), (Some(1), 7));
    let left = found.remaining.unwrap();
    assert!(
        left <= HOUR && left > HOUR - Duration::from_secs(60),
        "{left:?}"
    );
    cache.set(&key, Entry::absent()).await.unwrap();
    let found = cache.get(&key).await.unwrap();
    assert!(
        found.is_some_and(|found| found.value.is_none()),
        "{found:?}"
    );
    assert_eq!(cache.list().await.unwrap(), std::slice::from_ref(&key));
    cache
        .set(&key, Entry::of(2).lasting(Duration::ZERO))
        .await
        .unwrap();
    assert_eq!(cache.get(&key).await.unwrap(), None, "no time at all");
    cache
        .set(&key, Entry::of(3).lasting(Duration::MAX))
        .await
        .unwrap();
    assert_eq!(cache.get(&key).await.unwrap().unwrap().value, Some(3));
    cache.delete(&key).await.unwrap();
    cache.delete(&key).await.unwrap();
    assert_eq!(cache.get(&key).await.unwrap(), None);
    cache.set(&key, Entry::of(4)).await.unwrap();
    cache.clear().await.unwrap();
    assert_eq!(cache.get(&key).await.unwrap(), None);
    if let Some(hand) = hand {
        cache.set(&key, Entry::of(5).lasting(HOUR)).await.unwrap();
        hand.advance(HOUR - Duration::from_nanos(1));
        assert!(cache.get(&key).await.unwrap().is_some());
        hand.advance(Duration::from_nanos(1));
        assert!(cache.get(&key).await.unwrap().is_none());
    }
    cache.shutdown().await;
    cache.shutdown().await;
}

#[tokio::test]
async fn the_legacy_shape() {
    let (around, hand) = around();
    contract(TtlCache::within(&around, HOUR), Some(&hand)).await;
    let cache = TtlCache::within(&around, HOUR);
    cache.set("a", 1);
    cache.set_for("b", 2, HOUR / 2);
    assert_eq!((cache.get(&"a"), cache.get(&"c")), (Some(1), None));
    hand.advance(HOUR / 2);
    assert_eq!(
        (cache.get(&"b"), cache.size()),
        (None, 2),
        "it was not swept yet"
    );
    assert_eq!((cache.sweep(), cache.size()), (1, 1));
    let metrics = cache.get_detailed_metrics();
    assert_eq!(
        (
            metrics.counts.hits,
            metrics.counts.misses,
            metrics.counts.expired
        ),
        (1, 2, 1)
    );
    assert_eq!(metrics.hit_rate, Some(1.0 / 3.0));
    assert!(!cache.add(&"a", Entry::of(9)).await.unwrap());
    hand.advance(HOUR);
    assert!(
        cache.add(&"a", Entry::of(9)).await.unwrap(),
        "what has expired is absent"
    );
}

#[tokio::test]
async fn sweeping_ends_when_it_is_stopped() {
    let (around, hand) = around();
    let cache = TtlCache::within(&around, HOUR);
    cache.set("a", 1);
    let (sweeper, stopper) = (cache.clone(), cache.clone());
    let sweeping = tokio::spawn(async move { sweeper.sweep_every(HOUR).await });
    while cache.size() > 0 {
        hand.advance(HOUR);
        tokio::task::yield_now().await;
    }
    stopper.stop();
    sweeping.await.unwrap();
    cache.sweep_every(HOUR).await;
}

#[cfg(feature = "moka")]
#[tokio::test]
async fn the_modular_shape() {
    use rs_cache_migrate::{ModularCache, ModularCacheConfig};
    let (around, hand) = around();
    let make =
        || ModularCache::within(&around, ModularCacheConfig::of(100).with_ttl(HOUR)).unwrap();
    contract(make(), Some(&hand)).await;
    let cache = make();
    cache.set("a".to_owned(), 1);
    assert_eq!(cache.get(&"a".to_owned()), Some(1));
    hand.advance(HOUR);
    assert_eq!(cache.get(&"a".to_owned()), None);
    let stats = cache.get_stats();
    assert_eq!((stats.hits, stats.misses, stats.sets), (1, 1, 1));
    assert!(ModularCache::<u64, u64>::new(ModularCacheConfig::of(0)).is_err());
    cache.shutdown();
}

#[cfg(feature = "moka")]
#[tokio::test]
async fn moka_itself() {
    contract(moka::sync::Cache::new(100), None).await;
    contract(moka::future::Cache::new(100), None).await;
}

#[cfg(feature = "quick-cache")]
#[tokio::test]
async fn quick_cache_itself() {
    contract(quick_cache::sync::Cache::new(100), None).await;
}

#[tokio::test(start_paused = true)]
async fn a_bare_map() {
    let map = dashmap::DashMap::new();
    contract(map, None).await;
    let map = dashmap::DashMap::new();
    let short = Entry::of(1).lasting(Duration::from_secs(1));
    assert!(map.add(&"a", short).await.unwrap());
    assert!(!map.add(&"a", short).await.unwrap());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(CacheAdapter::get(&map, &"a").await.unwrap(), None);
    assert!(map.is_empty(), "what has expired goes when it is read");
}

/// Without somebody who weighs, nobody guesses.
#[tokio::test]
async fn what_entries_take_is_what_somebody_weighed() {
    let (around, _) = around();
    let weigh = |key: &String, value: &Vec<u8>| key.capacity() + value.capacity();
    let plain = TtlCache::<String, Vec<u8>>::within(&around, HOUR);
    plain.set("key".to_owned(), vec![0; 1000]);
    assert_eq!(plain.bytes(), None);
    let weighed = plain.weighing(weigh);
    for number in 0..5000 {
        weighed.set(format!("key {number}"), vec![0; 1000]);
    }
    let bytes = weighed.bytes().unwrap() as f64 / 5001.0;
    assert!((1050.0..1250.0).contains(&bytes), "{bytes} bytes an entry");
}

#[cfg(all(feature = "moka", feature = "quick-cache"))]
#[tokio::test]
async fn what_entries_take_is_what_the_weigher_of_the_cache_says() {
    let (around, _) = around();
    let weigh = |key: &String, value: &Vec<u8>| key.capacity() + value.capacity();
    let config = ModularCacheConfig::of(10_000);
    let modular = ModularCache::<String, Vec<u8>>::within(&around, config).unwrap();
    assert_eq!(modular.bytes(), None);
    let modular = modular.weighing(weigh);
    let entry = || Entry::of(vec![0; 1000]);
    type Kept = Stored<Vec<u8>>;
    let light: moka::sync::Cache<String, Kept> = moka::sync::Cache::new(100);
    let heavy: moka::sync::Cache<String, Kept> = moka::sync::Cache::builder()
        .weigher(|_, _| 500)
        .max_capacity(1_000_000)
        .build();
    let quick: quick_cache::sync::Cache<String, Kept> = quick_cache::sync::Cache::new(100);
    for number in 0..50 {
        let key = format!("key {number}");
        CacheAdapter::set(&modular, &key, entry()).await.unwrap();
        CacheAdapter::set(&light, &key, entry()).await.unwrap();
        CacheAdapter::set(&heavy, &key, entry()).await.unwrap();
        CacheAdapter::set(&quick, &key, entry()).await.unwrap();
    }
    modular.shutdown();
    light.run_pending_tasks();
    heavy.run_pending_tasks();
    let bytes = modular.bytes().unwrap() / 50;
    assert!((1000..1200).contains(&bytes), "{bytes} bytes an entry");
    assert_eq!(light.bytes(), None);
    assert_eq!(heavy.bytes(), Some(25_000));
    assert_eq!(quick.bytes(), None);
}
