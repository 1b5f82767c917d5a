//! A pick and the whole life of its lease allocate nothing.

use rs_balance::{BalancerConfig, Hashing, Outliers, SlowOutliers, Strategy};
use rs_core::{Call, Outcome};

use crate::support::{balancer, call, endpoints, of, strategies};

#[test]
fn picks_allocate_nothing() {
    let mut all = strategies();
    all.push(Strategy::ConsistentHash(
        Hashing::ring().with_bounded_load(1.25),
    ));
    for strategy in all {
        for count in [3, 1000] {
            let (balancer, _) = of(strategy.clone(), count);
            let pick = |call: &Call, outcome| balancer.pick(call).unwrap().finish(outcome);
            pick(&call(), Outcome::Success);
            let counted = allocation_counter::measure(|| {
                for key in 0..100 {
                    let first = call().with_key(key);
                    pick(&first, Outcome::Success);
                    drop(balancer.pick(&first));
                    drop(balancer.pick(&first.at_attempt(2)));
                }
            });
            assert_eq!(counted.count_total, 0, "{strategy} of {count}");
        }
    }
}

#[test]
fn nor_do_failures_and_timed_calls() {
    let outliers = Outliers::default()
        .with_consecutive_failures(0)
        .with_latency(SlowOutliers::default());
    let config = BalancerConfig::new(Strategy::TwoChoices).with_outliers(outliers);
    let (balancer, _) = balancer(config);
    balancer.update(endpoints(10));
    balancer.pick(&call()).unwrap().finish(Outcome::TRANSIENT);
    let counted = allocation_counter::measure(|| {
        for _ in 0..100 {
            balancer.pick(&call()).unwrap().finish(Outcome::TRANSIENT);
        }
    });
    assert_eq!(counted.count_total, 0);
}
