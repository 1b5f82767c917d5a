//! Rules that are refused, and how they are written.

use rs_core::Share;
use rs_policies::{AdaptiveConfig, Aimd, Algorithm, ClassShares, Gradient, Vegas, Waiting};

use super::MS;

#[track_caller]
fn check(config: AdaptiveConfig, error: &str) {
    assert_eq!(config.check().unwrap_err().to_string(), error);
}

#[test]
fn what_is_wrong_is_named() {
    let ok = AdaptiveConfig::default;
    assert_eq!(ok().check(), Ok(()));
    check(
        ok().between(0, 10),
        "minimum: 0 is out of range; allowed: 1 to 1000000",
    );
    check(
        ok().beginning_at(2000),
        "initial: 2000 is out of range; allowed: 1 to 1000",
    );
    check(
        ok().with_window(MS / 2, 10),
        "window: 500us is out of range; allowed: 1ms to 1m",
    );
    check(
        ok().with_window(MS, 0),
        "results: 0 is out of range; allowed: 1 to 10000",
    );
    let shares = ClassShares {
        critical: Share::of(0.5).unwrap(),
        ..ClassShares::default()
    };
    check(
        ok().with_shares(shares),
        "shares.critical: 50% is out of range; allowed: 80% to 100%",
    );
    check(
        ok().with_queue(Waiting::at_most(0)),
        "queue.length: 0 is out of range; allowed: 1 to 1000000",
    );
    let by = AdaptiveConfig::by;
    check(
        by(Algorithm::Aimd(Aimd::default().with_backoff(1.0))),
        "algorithm.aimd.backoff: 1 is out of range; allowed: 0.1 to 0.99",
    );
    check(
        by(Algorithm::Vegas(Vegas::default().with_queue(3.0, 2.0))),
        "algorithm.vegas.most: 2 is out of range; allowed: 3 to 200",
    );
    check(
        by(Algorithm::Gradient(
            Gradient::default().with_tolerance(f64::NAN),
        )),
        "algorithm.gradient.tolerance: NaN is out of range; allowed: 1 to 10",
    );
}

#[cfg(feature = "serde")]
#[test]
fn it_is_read_from_a_file_as_people_write_it() {
    let text = r#"
        initial = 50
        maximum = 500
        window = "200ms"
        tolerated_drops = "2%"
        shares = { sheddable = "40%" }
        queue = { length = 100, target = "10ms" }
        enforcement = "dark"
        [algorithm.gradient]
        tolerance = 1.5
    "#;
    let config: AdaptiveConfig = toml::from_str(text).unwrap();
    let gradient = Gradient::default().with_tolerance(1.5);
    let shares = ClassShares {
        sheddable: Share::of(0.4).unwrap(),
        ..ClassShares::default()
    };
    let expected = AdaptiveConfig::by(Algorithm::Gradient(gradient))
        .between(1, 500)
        .beginning_at(50)
        .with_window(200 * MS, 10)
        .tolerating_drops(Share::of(0.02).unwrap())
        .with_shares(shares)
        .with_queue(Waiting::at_most(100).standing(10 * MS, 100 * MS))
        .with_enforcement(rs_core::Enforcement::Dark);
    assert_eq!(config, expected);
    let written = serde_json::to_string(&config).unwrap();
    assert_eq!(
        serde_json::from_str::<AdaptiveConfig>(&written).unwrap(),
        config
    );
    let wrong = toml::from_str::<AdaptiveConfig>("initail = 5").unwrap_err();
    assert!(wrong.to_string().contains("initail"));
}
