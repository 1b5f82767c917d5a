//! What the tests have in common.

use std::collections::BTreeMap;

use rs_balance::{Balancer, BalancerConfig, Endpoint, Strategy};
use rs_core::{Call, Clock, ClockHand, FlightRecorder};
use rs_metrics::{Registry, Surroundings};

/// Surroundings of their own, in which time stands still and what is random is the same in each run.
pub(crate) fn around() -> (Surroundings, ClockHand) {
    let (clock, hand) = Clock::manual();
    let recorder = FlightRecorder::with_clock(64, clock.clone());
    let around = Surroundings::apart()
        .with_clock(clock)
        .with_recorder(recorder)
        .with_metrics(Registry::new())
        .with_seed(7);
    (around, hand)
}

pub(crate) fn balancer(config: BalancerConfig) -> (Balancer<u32>, ClockHand) {
    let (around, hand) = around();
    (Balancer::within(&around, "test", config).unwrap(), hand)
}

/// So many endpoints: `e0`, `e1`, …
pub(crate) fn endpoints(count: u32) -> impl Iterator<Item = Endpoint<u32>> {
    (0..count).map(endpoint)
}

pub(crate) fn endpoint(number: u32) -> Endpoint<u32> {
    Endpoint::new(format!("e{number}"), number)
}

pub(crate) fn of(strategy: Strategy, count: u32) -> (Balancer<u32>, ClockHand) {
    let (balancer, hand) = balancer(BalancerConfig::new(strategy));
    balancer.update(endpoints(count));
    (balancer, hand)
}

pub(crate) fn call() -> Call {
    Call::new("test")
}

/// How often each endpoint was picked of so many times; each lease is dropped at once.
pub(crate) fn shares(balancer: &Balancer<u32>, picks: u32) -> BTreeMap<u32, u32> {
    let mut counts = BTreeMap::new();
    for _ in 0..picks {
        *counts.entry(*balancer.pick(&call()).unwrap()).or_default() += 1;
    }
    counts
}

/// All strategies that have a name.
pub(crate) fn strategies() -> Vec<Strategy> {
    [
        "round_robin",
        "random",
        "least_connections",
        "least_connections_exact",
        "two_choices",
        "weighted_random",
        "smooth_weighted_round_robin",
        "latency_based",
        "consistent_hash",
        "priority_failover",
    ]
    .map(|name| name.parse().unwrap())
    .into()
}
