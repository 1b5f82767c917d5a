use std::time::Duration;

use rs_balance::{
    Balancer, BalancerConfig, Endpoint, EndpointHealth, NoEndpoint, Outliers, SlowStart, Strategy,
};
use rs_core::{Call, Mandate, Outcome};

use crate::support::{around, balancer, call, endpoint, endpoints, of, shares, strategies};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn every_strategy_picks_from_sets_of_all_sizes() {
    for strategy in strategies() {
        for count in [1, 2, 3, 9, 100] {
            let (balancer, _) = of(strategy.clone(), count);
            let seen = shares(&balancer, 50 * count);
            if strategy.name() != "consistent_hash" {
                assert_eq!(
                    seen.len() as u32,
                    count,
                    "{strategy} reaches all of {count}"
                );
            }
            assert_eq!(balancer.in_flight(), 0, "{strategy}");
        }
    }
}

#[test]
fn without_endpoints_there_is_a_reason() {
    let (balancer, _) = of(Strategy::Random, 0);
    let why = |balancer: &Balancer<u32>| {
        NoEndpoint::of(&balancer.try_pick(&call()).unwrap_err()).unwrap()
    };
    assert_eq!(why(&balancer), NoEndpoint::Empty);
    balancer.update(endpoints(2).map(|endpoint| endpoint.with_health(EndpointHealth::Draining)));
    assert_eq!(why(&balancer), NoEndpoint::Draining);
    balancer
        .reconfigure(BalancerConfig::new(Strategy::Random).with_panic_below(rs_core::Share::NONE))
        .unwrap();
    balancer.update(endpoints(2).map(|endpoint| endpoint.with_health(EndpointHealth::Unhealthy)));
    assert_eq!(why(&balancer), NoEndpoint::Unhealthy);
    balancer.update(endpoints(2));
    assert!(balancer.pick(&call()).is_some());
}

#[test]
fn leases_count_while_they_live_and_outlive_what_they_came_from() {
    let (balancer, _) = of(Strategy::RoundRobin, 3);
    let leases: Vec<_> = (0..9).map(|_| balancer.pick(&call()).unwrap()).collect();
    assert_eq!(balancer.in_flight(), 9);
    balancer.update([endpoint(0)]);
    assert_eq!(balancer.in_flight(), 3, "of the endpoints in the set");
    drop(balancer);
    let mut values: Vec<u32> = leases.iter().map(|lease| **lease).collect();
    values.sort_unstable();
    assert_eq!(values, [0, 0, 0, 1, 1, 1, 2, 2, 2]);
}

#[test]
fn values_of_endpoints_that_are_gone_are_dropped_with_their_last_lease() {
    struct Told(std::sync::mpsc::Sender<&'static str>, &'static str);
    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send(self.1);
        }
    }
    let (tell, told) = std::sync::mpsc::channel();
    let (around, _) = around();
    let config = BalancerConfig::new(Strategy::RoundRobin);
    let balancer = Balancer::within(&around, "test", config).unwrap();
    let new = |id: &'static str| Endpoint::new(id, Told(tell.clone(), id));
    balancer.update([new("a"), new("b")]);
    let lease = (0..2)
        .filter_map(|_| balancer.pick(&call()))
        .find(|lease| lease.id() == "a");
    balancer.update([]);
    assert_eq!(
        told.try_recv(),
        Ok("b"),
        "although this thread has just picked it"
    );
    assert!(told.try_recv().is_err(), "a is still called");
    drop(lease);
    assert_eq!(told.try_recv(), Ok("a"));
}

#[test]
fn an_endpoint_that_stays_keeps_its_state() {
    let (balancer, _) = of(Strategy::LeastConnections, 2);
    let busy: Vec<_> = (0..4).map(|_| balancer.pick(&call()).unwrap()).collect();
    balancer.update(endpoints(3));
    let next: Vec<u32> = (0..2)
        .map(|_| {
            let lease = balancer.pick(&call()).unwrap();
            let value = *lease;
            std::mem::forget(lease);
            value
        })
        .collect();
    assert_eq!(next, [2, 2], "the new one has nothing to do yet");
    drop(busy);
}

#[test]
fn a_call_does_not_meet_the_same_endpoint_again() {
    for strategy in strategies() {
        let (balancer, _) = of(strategy.clone(), 4);
        for _ in 0..200 {
            let first = Call::new("test").with_key(17);
            let mut met = Vec::new();
            for attempt in 1..=4 {
                let lease = balancer.pick(&first.at_attempt(attempt)).unwrap();
                assert!(
                    !met.contains(&*lease),
                    "{strategy}: {} again after {met:?}",
                    *lease
                );
                met.push(*lease);
                lease.finish(Outcome::TRANSIENT);
                balancer.pick(&call()).unwrap().finish(Outcome::Success);
                (0..4).for_each(|id| {
                    balancer.restore(&format!("e{id}"), Mandate::new("t", "t"));
                });
            }
            assert!(
                balancer.pick(&first.at_attempt(5)).is_some(),
                "rather one again than none"
            );
        }
    }
}

#[test]
fn a_hedge_goes_elsewhere_while_the_first_still_runs() {
    let (balancer, _) = of(Strategy::Random, 2);
    for _ in 0..100 {
        let call = call();
        let first = balancer.pick(&call).unwrap();
        let hedge = balancer.pick(&call.as_hedge(1)).unwrap();
        assert_ne!(*first, *hedge);
    }
}

#[test]
fn failures_in_a_row_eject_and_time_brings_back() {
    let (balancer, hand) = of(Strategy::RoundRobin, 10);
    let fail = |times: usize| {
        let mut failed = 0;
        while failed < times {
            let lease = balancer.pick(&call()).unwrap();
            if *lease == 3 {
                failed += 1;
                lease.finish(Outcome::TRANSIENT);
            } else {
                lease.finish(Outcome::Success);
            }
        }
    };
    fail(5);
    assert_eq!(shares(&balancer, 90).get(&3), None);
    hand.advance(Duration::from_secs(29));
    assert_eq!(shares(&balancer, 90).get(&3), None);
    hand.advance(SECOND);
    assert_eq!(shares(&balancer, 100).get(&3), Some(&10));
    // On probation: one failure is enough now, and it is out for longer.
    fail(1);
    assert_eq!(shares(&balancer, 90).get(&3), None);
    hand.advance(Duration::from_secs(31));
    assert_eq!(
        shares(&balancer, 90).get(&3),
        None,
        "30 s are not enough the second time"
    );
    hand.advance(Duration::from_secs(30));
    assert!(shares(&balancer, 100).contains_key(&3));
}

#[test]
fn no_more_are_ejected_than_may_be() {
    let (balancer, _) = of(Strategy::RoundRobin, 20);
    for _ in 0..20 * 50 {
        balancer.pick(&call()).unwrap().finish(Outcome::TRANSIENT);
    }
    assert_eq!(shares(&balancer, 180).len(), 18, "a tenth of 20");
}

#[test]
fn when_too_few_look_well_nobody_is_believed() {
    let (balancer, _) = of(Strategy::RoundRobin, 10);
    let ids: Vec<String> = (0..10).map(|id| format!("e{id}")).collect();
    balancer.check_all(
        ids.iter()
            .take(5)
            .map(|id| (&**id, EndpointHealth::Unhealthy)),
    );
    assert!(!balancer.is_panicking());
    assert_eq!(shares(&balancer, 100).len(), 5);
    balancer.check("e5", EndpointHealth::Unhealthy);
    assert!(balancer.is_panicking());
    assert_eq!(shares(&balancer, 100).len(), 10);
    balancer.drain("e0", Mandate::new("anna", "a drill"));
    assert_eq!(shares(&balancer, 90).len(), 9, "orders hold");
    balancer.check_all(ids.iter().map(|id| (&**id, EndpointHealth::Healthy)));
    assert!(!balancer.is_panicking());
}

#[test]
fn a_newcomer_gets_its_share_little_by_little() {
    for strategy in strategies() {
        if strategy.name() == "consistent_hash" || strategy.name() == "least_connections_exact" {
            continue;
        }
        let config = BalancerConfig::new(strategy.clone())
            .with_slow_start(SlowStart::over(Duration::from_secs(100)));
        let (balancer, hand) = balancer(config);
        balancer.update(endpoints(9));
        let all = shares(&balancer, 900);
        assert!(
            all.values().all(|count| *count > 50),
            "{strategy}: all new, none slow: {all:?}"
        );
        balancer.update(endpoints(10));
        let newcomer = |picks: u32| shares(&balancer, picks).get(&9).copied().unwrap_or(0);
        let at_first = newcomer(10_000);
        hand.advance(Duration::from_secs(50));
        let halfway = newcomer(10_000);
        hand.advance(Duration::from_secs(50));
        let at_last = newcomer(10_000);
        println!("{strategy}: {at_first}, {halfway}, {at_last} of 1000");
        assert!((60..=160).contains(&at_first), "{strategy}: {at_first}");
        assert!((450..=750).contains(&halfway), "{strategy}: {halfway}");
        assert!((850..=1150).contains(&at_last), "{strategy}: {at_last}");
    }
}

#[test]
fn a_weight_may_change_little_by_little() {
    let config = BalancerConfig::new(Strategy::WeightedRandom)
        .with_weight_change_over(Duration::from_secs(10));
    let (balancer, hand) = balancer(config);
    balancer.update([endpoint(0), endpoint(1)]);
    balancer.update([endpoint(0), endpoint(1).with_weight(3.0)]);
    let second = || shares(&balancer, 10_000).get(&1).copied().unwrap_or(0);
    assert!((4800..=5200).contains(&second()));
    hand.advance(Duration::from_secs(5));
    assert!((6450..=6880).contains(&second()), "weight 2 by now");
    hand.advance(Duration::from_secs(5));
    assert!((7300..=7700).contains(&second()));
}

#[test]
fn endpoints_that_drain_get_no_new_calls() {
    let (balancer, _) = of(Strategy::RoundRobin, 3);
    let lease = balancer.pick(&call()).unwrap();
    let id = format!("e{}", *lease);
    assert!(balancer.drain(&id, Mandate::new("anna", "a new version")));
    assert!(!balancer.drain("unknown", Mandate::new("anna", "a new version")));
    assert!(!shares(&balancer, 90).contains_key(&lease));
    lease.finish(Outcome::Success);
    assert!(balancer.restore(&id, Mandate::new("anna", "it is new")));
    assert_eq!(shares(&balancer, 90).len(), 3);
}

#[test]
fn orders_end_by_themselves() {
    let (balancer, hand) = of(Strategy::RoundRobin, 3);
    balancer.eject("e1", Mandate::new("anna", "a drill").lasting(60 * SECOND));
    assert_eq!(shares(&balancer, 90).len(), 2);
    hand.advance(60 * SECOND);
    assert_eq!(shares(&balancer, 90).len(), 3);
}

#[test]
fn an_endpoint_with_a_bad_success_rate_is_ejected() {
    let (balancer, hand) = of(Strategy::RoundRobin, 10);
    hand.advance(SECOND);
    for round in 0..4000_u32 {
        let lease = balancer.pick(&call()).unwrap();
        let fails = *lease == 4 && round % 4 < 2;
        lease.finish(if fails {
            Outcome::TRANSIENT
        } else {
            Outcome::Success
        });
    }
    assert_eq!(shares(&balancer, 100).len(), 10, "never five in a row");
    hand.advance(10 * SECOND);
    // One pick in 64 looks at the clock for this.
    shares(&balancer, 64);
    assert_eq!(shares(&balancer, 90).get(&4), None);
}

#[test]
fn outliers_can_be_switched_off() {
    let (balancer, _) = balancer(BalancerConfig::new(Strategy::RoundRobin).without_outliers());
    balancer.update(endpoints(3));
    for _ in 0..300 {
        balancer.pick(&call()).unwrap().finish(Outcome::TRANSIENT);
    }
    assert_eq!(shares(&balancer, 90).len(), 3);
    let outliers = Outliers::default().with_consecutive_failures(2);
    balancer
        .reconfigure(BalancerConfig::new(Strategy::RoundRobin).with_outliers(outliers))
        .unwrap();
    for _ in 0..300 {
        balancer.pick(&call()).unwrap().finish(Outcome::TRANSIENT);
    }
    assert_eq!(shares(&balancer, 90).len(), 2);
}

#[test]
fn one_that_failed_once_is_looked_at_again_where_few_calls_come() {
    let (balancer, hand) = of("latency_based".parse().unwrap(), 2);
    let one_call = |fails: u32| {
        let lease = balancer.pick(&call()).unwrap();
        let at = *lease;
        hand.advance(Duration::from_millis(1));
        lease.finish(if at == fails {
            Outcome::TRANSIENT
        } else {
            Outcome::Success
        });
        at
    };
    // Both are known, and one of them for a failure.
    for _ in 0..20 {
        one_call(1);
    }
    let nobody = u32::MAX;
    let mut looked_at_after = None;
    for second in 1..=60 {
        hand.advance(SECOND);
        if one_call(nobody) == 1 {
            looked_at_after.get_or_insert(second);
        }
    }
    // Three decays of 10 s; its average alone would have needed 85 s to sink to a millisecond.
    let after = looked_at_after.unwrap();
    assert!((29..=40).contains(&after), "after {after}s");
}
