//! Configurations that are refused, and how they are written.

use std::time::Duration;

use rs_core::Rate;
use rs_policies::{RateLimit, RateLimitConfig};

use super::{bucket, per_second};

#[track_caller]
fn refused(config: RateLimitConfig, expected: &str) {
    assert_eq!(config.check().unwrap_err().to_string(), expected);
    assert!(RateLimit::new("refused", config).is_err());
}

#[test]
fn wrong_ones() {
    refused(
        bucket(0, 1.0),
        "burst: 0 is out of range; allowed: 1 to 31536000",
    );
    refused(
        bucket(1, 0.0),
        "rate: 0/s is out of range; allowed: 1/1d to 100000000/s",
    );
    refused(
        bucket(1, 2e8),
        "rate: 200000000/s is out of range; allowed: 1/1d to 100000000/s",
    );
    let seldom = "2/1d".parse::<Rate>().unwrap();
    refused(
        RateLimitConfig::bucket(731, seldom),
        "burst: 731 is out of range; allowed: 1 to 730",
    );
    refused(
        bucket(1, 1.0).with_wait(Duration::from_secs(3601)),
        "longest_wait: 1h1s is out of range; allowed: 0s to 1h",
    );
    refused(
        bucket(1, 1.0).with_waiters(0),
        "waiters: 0 is out of range; allowed: 1 to 1000000",
    );
}

#[test]
fn the_slowest_and_the_fastest_work() {
    let day = "1/1d".parse::<Rate>().unwrap();
    for (burst, rate) in [(365, day), (1_000_000_000, per_second(1e8)), (1, day)] {
        let stand = super::Stand::new(RateLimitConfig::bucket(burst, rate));
        assert!(stand.limit.try_take(burst).is_ok());
        let refused = stand.limit.try_take(burst).unwrap_err();
        let wait = refused.retry_after(stand.clock.now()).unwrap();
        stand.hand.advance(wait - super::NS);
        assert!(stand.limit.try_take(burst).is_err());
        stand.hand.advance(super::NS);
        assert!(stand.limit.try_take(burst).is_ok());
    }
}

#[cfg(feature = "serde")]
#[test]
fn written_and_read_back() {
    let config = bucket(20, 100.0)
        .with_wait(Duration::from_millis(250))
        .with_waiters(64)
        .with_enforcement(rs_core::Enforcement::Dark);
    let json = serde_json::to_string(&config).unwrap();
    assert_eq!(
        json,
        r#"{"rate":"100/s","burst":20,"longest_wait":"250ms","waiters":64,"enforcement":"dark"}"#
    );
    assert_eq!(
        serde_json::from_str::<RateLimitConfig>(&json).unwrap(),
        config
    );

    let short: RateLimitConfig = toml::from_str("rate = '5/min'").unwrap();
    assert_eq!(short, RateLimitConfig::gcra("5/min".parse().unwrap()));
    let unknown = toml::from_str::<RateLimitConfig>("rate = '5/min'\nbrust = 3").unwrap_err();
    assert!(unknown.to_string().contains("brust"), "{unknown}");
    assert!(toml::from_str::<RateLimitConfig>("burst = 3").is_err());
}
