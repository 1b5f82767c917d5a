//! Several threads pick while another one swaps the set.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
};

use rs_balance::{Balancer, BalancerConfig, Endpoint, EndpointHealth, Strategy};
use rs_core::{Call, Outcome, Share};

use crate::support::{around, strategies};

/// Whether an endpoint is in the set: a value that its leases can ask.
struct Member {
    gone: AtomicBool,
    in_flight: AtomicU32,
}

#[test]
fn picks_go_on_while_the_set_is_swapped() {
    for strategy in strategies() {
        swap_while_picking(strategy);
    }
}

fn swap_while_picking(strategy: Strategy) {
    let (around, _) = around();
    let config = BalancerConfig::new(strategy.clone()).with_panic_below(Share::NONE);
    let balancer: Balancer<std::sync::Arc<Member>> =
        Balancer::within(&around, "stress", config).unwrap();
    let member = || {
        std::sync::Arc::new(Member {
            gone: AtomicBool::new(false),
            in_flight: AtomicU32::new(0),
        })
    };
    let all: Vec<_> = (0..16).map(|_| member()).collect();
    let put = |ids: &[usize]| {
        balancer.update(
            ids.iter()
                .map(|id| Endpoint::new(format!("e{id}"), std::sync::Arc::clone(&all[*id]))),
        )
    };
    put(&(0..16).collect::<Vec<_>>());
    let stop = AtomicBool::new(false);
    let picked = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (balancer, stop, picked) = (&balancer, &stop, &picked);
            scope.spawn(move || {
                let mut held = Vec::new();
                let mut dice = fastrand::Rng::with_seed(thread);
                while !stop.load(SeqCst) {
                    let lease = balancer
                        .pick(&Call::new("x").with_key(dice.u64(..)))
                        .unwrap();
                    lease.in_flight.fetch_add(1, SeqCst);
                    picked.fetch_add(1, SeqCst);
                    held.push(lease);
                    if held.len() > dice.usize(0..20) {
                        let lease = held.swap_remove(dice.usize(..held.len()));
                        lease.in_flight.fetch_sub(1, SeqCst);
                        match dice.u8(..3) {
                            0 => drop(lease),
                            1 => lease.finish(Outcome::Success),
                            _ => lease.finish(Outcome::Ignored),
                        }
                    }
                }
                for lease in &held {
                    lease.in_flight.fetch_sub(1, SeqCst);
                }
            });
        }
        let mut dice = fastrand::Rng::with_seed(99);
        let enough = if strategy.name() == "consistent_hash" {
            20
        } else {
            200
        };
        for _ in 0..enough {
            let ids: Vec<usize> = (0..16).filter(|id| *id < 2 || dice.bool()).collect();
            put(&ids);
            balancer.check(&format!("e{}", dice.u8(1..16)), EndpointHealth::Unhealthy);
            // After an update has returned, a pick finds nobody who is gone.
            let there: HashSet<String> = ids.iter().map(|id| format!("e{id}")).collect();
            for _ in 0..20 {
                let lease = balancer.pick(&Call::new("x")).unwrap();
                assert!(
                    there.contains(lease.id()),
                    "{strategy}: {} is gone",
                    lease.id()
                );
                assert!(!lease.gone.load(SeqCst));
            }
        }
        stop.store(true, SeqCst);
    });
    assert!(picked.load(SeqCst) > 100);
    assert_eq!(balancer.in_flight(), 0, "{strategy}");
    assert!(all.iter().all(|member| member.in_flight.load(SeqCst) == 0));
}

#[test]
fn counts_are_exact_after_a_storm() {
    let (balancer, _) = crate::support::of(Strategy::TwoChoices, 4);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let balancer = &balancer;
            scope.spawn(move || {
                for round in 0..5000_u32 {
                    let lease = balancer.pick(&Call::new("x")).unwrap();
                    match round % 4 {
                        0 => drop(lease),
                        1 => lease.finish(Outcome::Ignored),
                        _ => lease.finish(Outcome::Success),
                    }
                }
            });
        }
    });
    let snapshot = balancer.snapshot();
    let calls = snapshot.get("calls").unwrap();
    assert_eq!(
        calls.to_string(),
        "{success: 10000, failure: 0, ignored: 5000, cancelled: 5000}"
    );
    assert_eq!(balancer.in_flight(), 0);
}
