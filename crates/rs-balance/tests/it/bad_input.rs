//! Weights that are none, ids that come twice, sets that are empty: defined, and none of them panics.

use rs_balance::{Balancer, Endpoint, NoEndpoint, Strategy};

use crate::support::{call, endpoint, of, shares, strategies};

/// The share of each of the endpoints of these weights, in picks of a thousand.
fn shares_of(strategy: Strategy, weights: &[f64]) -> Vec<u32> {
    let (balancer, _) = of(strategy, 0);
    let change = balancer.update(
        (0..)
            .zip(weights)
            .map(|(id, weight)| endpoint(id).with_weight(*weight)),
    );
    assert_eq!(change.added, weights.len());
    let counts = shares(&balancer, 10_000);
    (0..weights.len() as u32)
        .map(|id| counts.get(&id).copied().unwrap_or(0) / 10)
        .collect()
}

#[test]
fn one_of_weight_zero_gets_nothing_while_there_are_others() {
    for strategy in strategies() {
        let shares = shares_of(strategy.clone(), &[1.0, 0.0, 1.0]);
        assert_eq!(shares[1], 0, "{strategy}");
        assert!(
            strategy.name() == "consistent_hash" || shares[0] > 400,
            "{strategy}: {shares:?}"
        );
    }
}

#[test]
fn when_all_have_weight_zero_all_count_the_same() {
    for strategy in strategies() {
        let shares = shares_of(strategy.clone(), &[0.0, 0.0]);
        assert!(
            strategy.name() == "consistent_hash"
                || shares.iter().all(|share| (450..=550).contains(share)),
            "{strategy}: {shares:?}"
        );
    }
}

#[test]
fn what_is_no_weight_counts_as_one_and_is_told() {
    for strategy in strategies() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0] {
            let (balancer, _) = of(strategy.clone(), 0);
            let change = balancer.update([endpoint(0).with_weight(bad), endpoint(1)]);
            assert_eq!((change.added, change.mended), (2, 1), "{strategy}, {bad}");
            let counts = shares(&balancer, 1000);
            let first = counts.get(&0).copied().unwrap_or(0);
            assert!(
                strategy.name() == "consistent_hash" || (400..=600).contains(&first),
                "{strategy}, {bad}: {first}"
            );
        }
    }
}

#[test]
fn huge_and_tiny_weights_are_held_to_what_can_be_counted() {
    let shares = shares_of(Strategy::WeightedRandom, &[f64::MAX, 1.0]);
    assert_eq!(shares, [1000, 0], "a billion to one");
    for strategy in [Strategy::WeightedRandom, Strategy::SmoothWeightedRoundRobin] {
        let shares = shares_of(strategy, &[1e300, 1e300, f64::MIN_POSITIVE]);
        assert!(
            (480..=520).contains(&shares[0]) && shares[2] == 0,
            "{shares:?}"
        );
    }
    for strategy in strategies() {
        assert!(shares_of(strategy, &[1e-300, 1e300, 1.0])[1] > 0);
    }
}

#[test]
fn of_several_with_the_same_id_the_first_counts() {
    let (balancer, _) = of(Strategy::RoundRobin, 0);
    let twice = || {
        [
            Endpoint::new("a", 1),
            Endpoint::new("b", 2),
            Endpoint::new("a", 3),
        ]
    };
    let change = balancer.update(twice());
    assert_eq!((change.added, change.duplicates), (2, 1));
    let change = balancer.update(twice());
    assert_eq!((change.added, change.kept, change.duplicates), (0, 2, 1));
    let counts = shares(&balancer, 100);
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), [(1, 50), (2, 50)]);
}

#[test]
fn empty_sets_and_empty_ids() {
    for strategy in strategies() {
        let (balancer, _) = of(strategy.clone(), 3);
        assert_eq!(balancer.update([]).removed, 3);
        let refused = balancer.try_pick(&call()).unwrap_err();
        assert_eq!(
            NoEndpoint::of(&refused),
            Some(NoEndpoint::Empty),
            "{strategy}"
        );
        balancer.update([Endpoint::new("", 7)]);
        assert_eq!(*balancer.pick(&call()).unwrap(), 7);
        assert!(balancer.is_panicking() || !balancer.is_empty());
    }
}

#[test]
fn a_hundred_thousand_endpoints() {
    let all = ["random", "two_choices", "smooth_weighted_round_robin"];
    for strategy in all.map(|name| name.parse::<Strategy>().unwrap()) {
        let (balancer, _): (Balancer<u32>, _) = of(strategy.clone(), 100_000);
        assert_eq!(balancer.len(), 100_000);
        (0..100).for_each(|_| drop(balancer.pick(&call()).unwrap()));
        assert_eq!(
            balancer.update(crate::support::endpoints(99_999)).removed,
            1,
            "{strategy}"
        );
    }
}
