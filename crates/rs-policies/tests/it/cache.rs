//! Results that are kept for a time.

use std::time::Duration;

use rs_core::Clock;
use rs_metrics::Registry;
use rs_policies::{Cache, CacheConfig, Lookup, Surroundings};

#[test]
fn results_grow_old() {
    let (clock, hand) = Clock::manual();
    let registry = Registry::new();
    let around = Surroundings::apart()
        .with_clock(clock)
        .with_metrics(registry);
    let config = CacheConfig::of(Duration::from_secs(10));
    let prices: Cache<String, u32> = Cache::within(&around, "prices", config).unwrap();
    let key = "sku-17".to_owned();
    assert_eq!(prices.get(&key), None);
    prices.keep(key.clone(), 250);
    hand.advance(Duration::from_millis(9_999));
    assert_eq!(prices.clone().get(&key), Some(250));
    hand.advance(Duration::from_millis(1));
    assert_eq!(prices.get(&key), None, "it is as old as it may be");
    prices.keep(key.clone(), 300);
    assert_eq!(prices.get(&key), Some(300));
    prices.clear();
    assert_eq!(prices.get(&key), None);
    assert_eq!(
        (prices.lookups(Lookup::Hit), prices.lookups(Lookup::Miss)),
        (2, 3)
    );
}

#[test]
fn no_more_are_kept_than_may_be() {
    let config = CacheConfig::of(Duration::from_secs(10)).with_limit(100);
    let numbers = Cache::within(&Surroundings::apart(), "numbers", config).unwrap();
    for number in 0..10_000_u32 {
        numbers.keep(number, number);
    }
    let kept = (0..10_000)
        .filter(|number| numbers.get(number).is_some())
        .count();
    // What was put in last may wait for the map to make room.
    assert!(kept <= 1_000, "{kept} are kept");
}

#[test]
fn wrong_configurations_are_refused() {
    let refused = |config: CacheConfig| config.check().unwrap_err().to_string();
    let (second, no_time) = (Duration::from_secs(1), Duration::ZERO);
    assert_eq!(
        refused(CacheConfig::of(no_time)),
        "time: 0s is out of range; allowed: 1ms to 1d"
    );
    assert_eq!(
        refused(CacheConfig::of(second).with_limit(0)),
        "limit: 0 is out of range; allowed: 1 to 100000000",
    );
    assert!(Cache::<u8, u8>::new("wrong", CacheConfig::of(no_time)).is_err());
}
