use rs_balance::{BalancerConfig, Hashing, Latency, Outliers, SlowStart, Strategy, Subset, Zones};
use std::time::Duration;

#[track_caller]
fn refused(config: BalancerConfig, expected: &str) {
    assert_eq!(config.check().unwrap_err().to_string(), expected);
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let config = || BalancerConfig::new(Strategy::Random);
    config().check().unwrap();
    refused(
        config().with_tries(0),
        "tries: 0 is out of range; allowed: 1 to 16",
    );
    refused(
        config().with_slow_start(SlowStart::over(Duration::ZERO)),
        "slow_start.over: 0s is out of range; allowed: 1ms to 1d",
    );
    refused(
        config().with_subset(Subset::of(0, "me")),
        "subset.size: 0 is out of range; allowed: 1 to 10000000",
    );
    refused(
        config().with_zones(Zones::local("")),
        "zones.local: is missing",
    );
    refused(
        config().with_strategy(Strategy::ConsistentHash(
            Hashing::ring().with_bounded_load(0.5),
        )),
        "strategy.bounded_load: 0.5 is out of range; allowed: 1.01 to 1000",
    );
    refused(
        config().with_strategy(Strategy::LatencyBased(
            Latency::default().with_decay(Duration::ZERO),
        )),
        "strategy.decay: 0s is out of range; allowed: 10ms to 1h",
    );
    refused(
        config().with_outliers(Outliers::default().with_interval(Duration::ZERO)),
        "outliers.interval: 0s is out of range; allowed: 10ms to 1d",
    );
}

#[test]
fn a_wrong_one_is_refused_whole_and_the_old_one_stays() {
    let (balancer, _) = crate::support::of(Strategy::Random, 2);
    let wrong = BalancerConfig::new(Strategy::RoundRobin).with_tries(99);
    assert!(balancer.reconfigure(wrong).is_err());
    assert_eq!(*balancer.config().strategy(), Strategy::Random);
    assert_eq!(
        balancer.reconfigure(BalancerConfig::new(Strategy::RoundRobin)),
        Ok(2)
    );
    assert_eq!(*balancer.config().strategy(), Strategy::RoundRobin);
}

#[test]
fn names_are_those_of_the_plans() {
    for name in [
        "round_robin",
        "random",
        "least_connections",
        "weighted_random",
        "latency_based",
    ] {
        let strategy: Strategy = name.parse().unwrap();
        assert_eq!(strategy.to_string(), name);
    }
}

#[cfg(feature = "serde")]
mod written {
    use super::*;

    fn read(text: &str) -> Result<BalancerConfig, String> {
        let value: rs_core::Value = toml::from_str(text).unwrap();
        rs_core::config::read(value).map_err(|error| error.to_string())
    }

    #[test]
    fn the_crate_page_is_right() {
        let page = include_str!("../../src/lib.rs");
        let start = page.find("//! ```toml").unwrap() + "//! ```toml".len();
        let text = page[start..].split("//! ```").next().unwrap();
        let text: String = text
            .lines()
            .map(|line| line.trim_start_matches("//!").trim_start().to_owned() + "\n")
            .collect();
        let config = read(&text).unwrap();
        assert_eq!(
            config
                .outliers()
                .unwrap()
                .clone()
                .with_latency(Default::default()),
            *config.outliers().unwrap()
        );
        assert_eq!(config.subset(), Some(&Subset::of(20, "checkout-7f9c")));
    }

    #[test]
    fn a_name_is_enough() {
        for strategy in crate::support::strategies() {
            let config = read(&format!("strategy = \"{strategy}\"")).unwrap();
            assert_eq!(config, BalancerConfig::new(strategy));
        }
    }

    #[test]
    fn what_was_written_is_read_back() {
        let all = crate::support::strategies().into_iter().map(|strategy| {
            BalancerConfig::new(strategy)
                .with_slow_start(SlowStart::over(Duration::from_secs(30)))
                .with_zones(Zones::local("eu-1"))
                .with_subset(Subset::of(5, "me"))
        });
        let off = BalancerConfig::new(Strategy::ConsistentHash(
            Hashing::ring().with_bounded_load(1.5),
        ))
        .without_outliers();
        for config in all.chain([off]) {
            let text = serde_json::to_string(&config).unwrap();
            assert_eq!(
                serde_json::from_str::<BalancerConfig>(&text).unwrap(),
                config,
                "{text}"
            );
        }
    }

    #[test]
    fn mistakes_are_named() {
        let wrong = |text: &str| read(text).unwrap_err();
        assert!(wrong("strategy = \"round_robbin\"").contains("did you mean `round_robin`"));
        assert!(wrong("strategy = \"random\"\ntrys = 3").contains("trys"));
        assert!(wrong("strategy = { random = {} }").contains("has no settings"));
        assert!(wrong("outliers = \"on\"\nstrategy = \"random\"").contains("off"));
        assert!(wrong("tries = 3").contains("strategy"));
    }
}

#[cfg(all(feature = "pool", feature = "serde"))]
#[test]
fn a_pool_is_read_from_a_file() {
    use rs_balance::pool::PoolConfig;
    use std::time::Duration;

    let read = |text: &str| toml::from_str::<PoolConfig>(text);
    let config = read("size = 8").unwrap();
    assert_eq!(
        config,
        PoolConfig::of(8),
        "what is left out has its default"
    );
    let config = read(
        r#"
        size = 4
        queue = 10
        longest_wait = "200ms"
        connect_within = "1s"
        check_within = "100ms"
        check_after = "5s"
        idle = "1m"
        lifetime = "1h"
        tries = 2
        [balance]
        strategy = "random"
        "#,
    );
    let expected = PoolConfig::of(4)
        .with_queue(10, Duration::from_millis(200))
        .with_connect_within(Duration::from_secs(1))
        .with_check(Duration::from_secs(5), Duration::from_millis(100))
        .with_idle(Duration::from_secs(60))
        .with_lifetime(Duration::from_secs(3600))
        .with_tries(2)
        .balanced(BalancerConfig::new(Strategy::Random));
    assert_eq!(config.unwrap(), expected);
    assert!(read("size = 8\nsizes = 9").is_err());
}
