use rs_balance::{BalancerConfig, EndpointHealth, NoEndpoint, Strategy, ZonePart, Zones};
use rs_core::{Call, Outcome};

use crate::support::{balancer, call, endpoint, endpoints, of, strategies};

#[test]
fn every_strategy_says_why() {
    for strategy in strategies() {
        let (balancer, _) = of(strategy.clone(), 5);
        let (lease, why) = balancer.pick_explained(&call().with_key(3));
        let lease = lease.unwrap();
        assert_eq!(why.chosen.as_deref(), Some(lease.id()), "{strategy}");
        assert!(
            why.considered
                .iter()
                .any(|considered| *considered.id == *lease.id()),
            "{strategy}"
        );
        assert!(
            why.considered
                .iter()
                .all(|considered| considered.in_flight == 0),
            "{strategy}: {why}"
        );
        assert_eq!((why.known, why.up), (5, 5));
        assert!(why.to_string().contains(strategy.name()));
        assert!(why.to_value().get("considered").is_some());
    }
}

#[test]
fn the_choice_is_explained_by_what_was_compared() {
    let (balancer, _) = of(Strategy::TwoChoices, 50);
    let _busy: Vec<_> = (0..60).map(|_| balancer.pick(&call()).unwrap()).collect();
    for _ in 0..100 {
        let why = balancer.explain(&call());
        assert_eq!(why.considered.len(), 2, "{why}");
        let least = why
            .considered
            .iter()
            .map(|considered| considered.in_flight)
            .min();
        let chosen = why
            .considered
            .iter()
            .find(|considered| Some(&considered.id) == why.chosen.as_ref());
        assert_eq!(chosen.map(|chosen| chosen.in_flight), least, "{why}");
    }
}

#[test]
fn what_was_tried_and_what_is_wrong_is_told() {
    let (balancer, _) = of(Strategy::Random, 2);
    let first = call();
    let lease = balancer.pick(&first).unwrap();
    let tried = lease.id().to_owned();
    lease.finish(Outcome::TRANSIENT);
    let why = balancer.explain(&first.at_attempt(2));
    assert_eq!(why.tried, [tried.into_boxed_str()]);
    balancer.update([]);
    let why = balancer.explain(&Call::new("x"));
    assert_eq!(why.no_endpoint(), Some(NoEndpoint::Empty));
    assert_eq!(
        why.to_string(),
        "none: balancer `test` refused the call: empty by random, of 0 endpoints 0 are up"
    );
}

#[test]
fn zones_and_panics_are_told() {
    let config = BalancerConfig::new(Strategy::Random).with_zones(Zones::local("here"));
    let (balancer, _) = balancer(config);
    balancer.update((0..4).map(|id| endpoint(id).in_zone(if id < 2 { "here" } else { "there" })));
    assert_eq!(balancer.explain(&call()).zones, ZonePart::Local);
    balancer.update(endpoints(4).map(|endpoint| endpoint.with_health(EndpointHealth::Unhealthy)));
    let why = balancer.explain(&call());
    assert!(why.panicking);
    assert_eq!(why.considered[0].state, "unhealthy");
}
