//! Priorities and zones.

use rs_balance::{Balancer, BalancerConfig, EndpointHealth, Strategy, Zones};
use rs_core::Share;

use crate::support::{balancer, endpoint, shares};

/// The share of the picks that go to endpoints below this number.
fn below(balancer: &Balancer<u32>, limit: u32) -> f64 {
    let picks = 10_000;
    let counts = shares(balancer, picks);
    let below: u32 = counts.range(..limit).map(|(_, count)| count).sum();
    f64::from(below) / f64::from(picks)
}

fn ill(balancer: &Balancer<u32>, ids: std::ops::Range<u32>) {
    let ids: Vec<String> = ids.map(|id| format!("e{id}")).collect();
    balancer.check_all(ids.iter().map(|id| (&**id, EndpointHealth::Unhealthy)));
}

#[test]
fn a_priority_gets_what_the_one_before_cannot_carry() {
    let (balancer, _) = balancer(BalancerConfig::new(Strategy::Random));
    balancer.update((0..20).map(|id| endpoint(id).with_priority(u16::from(id >= 10))));
    assert_eq!(below(&balancer, 10), 1.0);
    ill(&balancer, 0..2);
    assert_eq!(below(&balancer, 10), 1.0, "80 % of them carry everything");
    ill(&balancer, 2..5);
    let share = below(&balancer, 10);
    assert!(
        (0.67..0.73).contains(&share),
        "half of them carry 70 %: {share}"
    );
    ill(&balancer, 5..10);
    assert_eq!(below(&balancer, 10), 0.0);
    assert!(!balancer.is_panicking(), "the others can carry it");
    ill(&balancer, 10..20);
    assert!(balancer.is_panicking());
    assert_eq!(
        below(&balancer, 10),
        1.0,
        "nobody is believed, and the best priority serves"
    );
}

#[test]
fn failover_needs_only_one() {
    let (balancer, _) = balancer(BalancerConfig::new(Strategy::PriorityFailover));
    balancer.update((0..6).map(|id| endpoint(id).with_priority(id as u16 / 2)));
    assert_eq!(below(&balancer, 2), 1.0);
    ill(&balancer, 0..1);
    assert_eq!(
        shares(&balancer, 100).keys().copied().collect::<Vec<_>>(),
        [1]
    );
    ill(&balancer, 1..3);
    assert_eq!(
        shares(&balancer, 100).keys().copied().collect::<Vec<_>>(),
        [3]
    );
    ill(&balancer, 3..4);
    assert_eq!(
        shares(&balancer, 100).keys().copied().collect::<Vec<_>>(),
        [4, 5]
    );
}

#[test]
fn a_zone_keeps_what_it_can_carry() {
    let zones = Zones::local("a");
    let (balancer, _) = balancer(
        BalancerConfig::new(Strategy::TwoChoices)
            .with_zones(zones)
            .with_panic_below(Share::NONE),
    );
    let update = |local: u32, of: u32| {
        balancer.update((0..of).map(|id| {
            let zone = if id < local {
                "a"
            } else if id % 2 == 0 {
                "b"
            } else {
                "c"
            };
            endpoint(id).in_zone(zone)
        }));
    };
    update(4, 12);
    assert_eq!(
        below(&balancer, 4),
        1.0,
        "a third of the endpoints for a third of the callers"
    );
    update(2, 12);
    let share = below(&balancer, 2);
    assert!(
        (0.48..0.52).contains(&share),
        "a sixth of the endpoints carry half: {share}"
    );
    ill(&balancer, 0..1);
    let share = below(&balancer, 2);
    assert!((0.25..0.30).contains(&share), "1 of 11: {share}");
    ill(&balancer, 1..2);
    assert_eq!(below(&balancer, 2), 0.0);
    let told = Zones::local("a").with_callers("10%".parse().unwrap());
    balancer
        .reconfigure(BalancerConfig::new(Strategy::TwoChoices).with_zones(told))
        .unwrap();
    balancer.check_all([
        ("e0", EndpointHealth::Healthy),
        ("e1", EndpointHealth::Healthy),
    ]);
    assert_eq!(below(&balancer, 2), 1.0, "few callers");
}

#[test]
fn a_zone_without_endpoints_uses_all() {
    let config = BalancerConfig::new(Strategy::RoundRobin).with_zones(Zones::local("nowhere"));
    let (balancer, _) = balancer(config);
    balancer.update((0..4).map(|id| endpoint(id).in_zone("somewhere")));
    assert_eq!(shares(&balancer, 100).len(), 4);
}
