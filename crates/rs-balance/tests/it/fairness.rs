//! How fair, in figures.

use std::collections::BTreeMap;

use rs_balance::{BalancerConfig, Hashing, Strategy, Subset};
use rs_core::Call;

use crate::support::{balancer, call, endpoint, endpoints, of, shares};

#[test]
fn weights_are_kept_within_one_per_cent() {
    let weights = [5.0, 1.0, 1.0, 3.0, 10.0, 2.5, 7.0];
    let sum: f64 = weights.iter().sum();
    for strategy in [
        Strategy::WeightedRandom,
        Strategy::SmoothWeightedRoundRobin,
        Strategy::PriorityFailover,
    ] {
        let (balancer, _) = of(strategy.clone(), 0);
        balancer.update(
            (0..)
                .zip(weights)
                .map(|(id, weight)| endpoint(id).with_weight(weight)),
        );
        let picks = 100_000;
        let counts = shares(&balancer, picks);
        let worst = (0..).zip(weights).map(|(id, weight)| {
            let share = f64::from(counts[&id]) / f64::from(picks);
            (share - weight / sum).abs()
        });
        let worst = worst.fold(0.0, f64::max);
        println!(
            "{strategy}: worst share {:.3} percentage points off",
            worst * 100.0
        );
        assert!(worst < 0.01, "{strategy}: {counts:?}");
        if strategy == Strategy::SmoothWeightedRoundRobin {
            assert!(worst < 0.0001, "turns are exact: {worst}");
        }
    }
}

#[test]
fn what_does_not_weigh_is_even() {
    for (strategy, tolerance) in [
        (Strategy::RoundRobin, 0.0001),
        (Strategy::Random, 0.05),
        (Strategy::TwoChoices, 0.05),
        (Strategy::LeastConnectionsExact, 0.05),
        ("latency_based".parse().unwrap(), 0.05),
    ] {
        let (balancer, _) = of(strategy.clone(), 10);
        let counts = shares(&balancer, 100_000);
        for (id, count) in counts {
            let off = f64::from(count) / 10_000.0 - 1.0;
            assert!(off.abs() <= tolerance, "{strategy}: {id} is {off} off");
        }
    }
}

/// With an endpoint that comes and goes every so many picks; the least and the most that another one got,
/// as a multiple of the mean.
fn flapping(strategy: Strategy, every: u32) -> (f64, f64) {
    let (balancer, _) = of(strategy, 10);
    let mut counts: BTreeMap<u32, u32> = BTreeMap::new();
    for pick in 0..15_000_u32 {
        if pick % every == 0 {
            let without = (pick / every).is_multiple_of(2);
            balancer.update(endpoints(10).filter(|endpoint| !without || *endpoint.value() != 4));
        }
        *counts.entry(*balancer.pick(&call()).unwrap()).or_default() += 1;
    }
    counts.remove(&4);
    let mean = f64::from(counts.values().sum::<u32>()) / 9.0;
    let least = counts.values().min().copied().unwrap_or(0);
    let most = counts.values().max().copied().unwrap_or(0);
    (f64::from(least) / mean, f64::from(most) / mean)
}

#[test]
fn round_robin_stays_fair_while_an_endpoint_comes_and_goes() {
    for every in [1, 2, 3, 5, 7, 10, 16] {
        let (least, most) = flapping(Strategy::RoundRobin, every);
        println!(
            "flapping every {every} picks: the others get {least:.3} to {most:.3} of the mean"
        );
        assert!(
            least > 0.99 && most < 1.01,
            "every {every}: {least} to {most}"
        );
    }
}

#[test]
fn an_endpoint_that_goes_takes_few_keys_along() {
    for (hashing, limit) in [(Hashing::maglev(), 1.3), (Hashing::ring(), 1.0001)] {
        let (balancer, _) = of(Strategy::ConsistentHash(hashing), 50);
        let place = |key: u64| *balancer.pick(&call().with_key(key)).unwrap();
        let before: Vec<u32> = (0..50_000).map(place).collect();
        balancer.update(endpoints(50).filter(|endpoint| *endpoint.value() != 7));
        let moved = (0..)
            .zip(&before)
            .filter(|(key, before)| place(*key) != **before)
            .count();
        let had_to = before.iter().filter(|id| **id == 7).count();
        let times = moved as f64 / had_to as f64;
        println!("{hashing:?}: {times:.3} times the keys that had to move");
        assert!(times <= limit, "{hashing:?}: {times}");
        // And who comes back finds its keys again.
        balancer.update(endpoints(50));
        assert!(
            (0..)
                .zip(&before)
                .all(|(key, before)| place(key) == *before)
        );
    }
}

#[test]
fn bounded_load_holds_while_all_ask_for_one_key() {
    for times in [1.25, 2.0] {
        for hashing in [Hashing::maglev(), Hashing::ring()] {
            let strategy = Strategy::ConsistentHash(hashing.with_bounded_load(times));
            let (balancer, _) = of(strategy, 10);
            let mut counts = [0_u32; 10];
            let leases: Vec<_> = (0..200)
                .map(|_| balancer.pick(&call().with_key(1)).unwrap())
                .collect();
            leases
                .iter()
                .for_each(|lease| counts[**lease as usize] += 1);
            let most = counts.iter().max().copied().unwrap_or(0);
            println!("{hashing:?}, bound {times}: {counts:?}");
            // The bound is that of the mean at the time, rounded up.
            assert!(f64::from(most) <= (20.0 * times).ceil() + 1.0, "{counts:?}");
            drop(leases);
            let quiet: Vec<u32> = (0..10)
                .map(|_| *balancer.pick(&call().with_key(1)).unwrap())
                .collect();
            assert!(
                quiet.windows(2).all(|pair| pair[0] == pair[1]),
                "one key, one endpoint: {quiet:?}"
            );
        }
    }
}

#[test]
fn clients_with_subsets_use_all_evenly_and_change_little() {
    let (size, clients, servers) = (20, 500, 100);
    let subset = |client: usize, servers: u32| {
        let config = BalancerConfig::new(Strategy::RoundRobin)
            .with_subset(Subset::of(size, format!("client-{client}")));
        let (balancer, _) = balancer(config);
        balancer.update(endpoints(servers));
        shares(&balancer, size * 2)
            .into_keys()
            .collect::<Vec<u32>>()
    };
    let mut used = vec![0_u32; servers as usize];
    let mut worst_change = 0;
    for client in 0..clients {
        let before = subset(client, servers);
        assert_eq!(before.len(), size as usize);
        before.iter().for_each(|id| used[*id as usize] += 1);
        if client < 50 {
            let after = subset(client, servers - 1);
            let lost = before.iter().filter(|id| !after.contains(id)).count();
            worst_change = worst_change.max(lost);
        }
    }
    let mean = (size as usize * clients) as f64 / f64::from(servers);
    let (least, most) = (used.iter().min().unwrap(), used.iter().max().unwrap());
    println!("each of {servers} servers is used by {least} to {most} clients, {mean} on average");
    assert!(f64::from(*least) > 0.65 * mean && f64::from(*most) < 1.35 * mean);
    assert!(
        worst_change <= 1,
        "one server less, one endpoint less: {worst_change}"
    );
}

#[test]
fn a_stale_view_makes_no_herd() {
    // Callers that know only of their own calls: their views of the servers' loads are all wrong.
    let mean = |strategy: Strategy| {
        let balancers: Vec<_> = (0..20)
            .map(|_| {
                let (balancer, _) = balancer(BalancerConfig::new(strategy.clone()));
                balancer.update(endpoints(10));
                balancer
            })
            .collect();
        let mut counts = [0_u32; 10];
        let leases: Vec<_> = (0..2000)
            .map(|call| balancers[call % 20].pick(&Call::new("x")).unwrap())
            .collect();
        leases
            .iter()
            .for_each(|lease| counts[**lease as usize] += 1);
        f64::from(*counts.iter().max().unwrap()) / 200.0
    };
    for strategy in [
        Strategy::LeastConnectionsExact,
        Strategy::TwoChoices,
        Strategy::LeastConnections,
    ] {
        let worst = mean(strategy.clone());
        println!("{strategy}: the fullest server has {worst:.2} times the mean");
        assert!(worst < 1.25, "{strategy}: {worst}");
    }
}
