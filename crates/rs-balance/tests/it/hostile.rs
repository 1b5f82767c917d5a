//! Code of others that panics, ids that are rubbish, updates without end, time that does not pass.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
};

use rs_balance::{Balancer, BalancerConfig, Endpoint, SlowStart, Strategy};
use rs_core::{Call, Ending, Guard, Outcome, Rejection};

use crate::support::{around, balancer, call, endpoint, endpoints, of, shares, strategies};

/// Panics when it is entered, left, or not at all, by turns.
struct Trap(AtomicU32);

impl Guard for Trap {
    type Ticket = bool;

    fn try_enter(&self, _call: &Call) -> Result<bool, Rejection> {
        match self.0.fetch_add(1, SeqCst) % 3 {
            0 => panic!("a guard that panics when it is asked"),
            turn => Ok(turn == 1),
        }
    }

    fn leave(&self, panics: bool, _ending: Ending) {
        assert!(!panics, "a guard that panics when it hears of the end");
    }
}

#[test]
fn guards_that_panic_leave_the_counts_right() {
    for strategy in strategies() {
        let (around, _) = around();
        let config = BalancerConfig::new(strategy.clone());
        let trap = |_: &str, _: &u32| Trap(AtomicU32::new(0));
        let balancer = Balancer::guarded_within(&around, "traps", config, trap).unwrap();
        balancer.update(endpoints(3));
        let (mut asked, mut ended, mut well) = (0, 0, 0);
        for round in 0..300 {
            match catch_unwind(AssertUnwindSafe(|| balancer.pick(&call()))) {
                Err(_) => asked += 1,
                Ok(lease) => {
                    let lease = lease.unwrap();
                    assert_eq!(balancer.in_flight(), 1, "{strategy}");
                    let end = || match round % 2 {
                        0 => drop(lease),
                        _ => lease.finish(Outcome::Success),
                    };
                    match catch_unwind(AssertUnwindSafe(end)) {
                        Err(_) => ended += 1,
                        Ok(()) => well += 1,
                    }
                }
            }
            assert_eq!(balancer.in_flight(), 0, "{strategy}");
        }
        assert!(
            asked >= 90 && ended >= 90 && well >= 90,
            "{strategy}: {asked} {ended} {well}"
        );
    }
}

#[test]
fn an_update_whose_guards_panic_changes_nothing_and_the_next_one_works() {
    let (around, _) = around();
    let config = BalancerConfig::new(Strategy::RoundRobin);
    let made = |id: &str, _: &u32| assert_ne!(id, "e2", "a guard that cannot be made");
    let balancer = Balancer::guarded_within(&around, "made", config, made).unwrap();
    balancer.update(endpoints(2));
    let failed = catch_unwind(AssertUnwindSafe(|| balancer.update(endpoints(4))));
    assert!(failed.is_err());
    assert_eq!(balancer.len(), 2);
    assert_eq!(
        shares(&balancer, 10).into_iter().collect::<Vec<_>>(),
        [(0, 5), (1, 5)]
    );
    let change = balancer.update([endpoint(1), endpoint(3)]);
    assert_eq!((change.added, change.kept, change.removed), (1, 1, 1));
}

#[test]
fn values_that_panic_when_they_are_dropped_break_nothing() {
    struct Bomb(bool);
    impl Drop for Bomb {
        fn drop(&mut self) {
            assert!(!self.0, "a value that panics when it is dropped");
        }
    }
    let (around, _) = around();
    let config = BalancerConfig::new(Strategy::RoundRobin);
    let balancer = Balancer::within(&around, "bombs", config).unwrap();
    let put = |ids: &[&str]| {
        let endpoints = ids.iter().map(|id| Endpoint::new(*id, Bomb(*id == "bomb")));
        balancer.update(endpoints)
    };
    put(&["a", "bomb"]);
    assert!(catch_unwind(AssertUnwindSafe(|| put(&["a", "b"]))).is_err());
    // It is gone all the same.
    let ids: Vec<String> = (0..4)
        .map(|_| balancer.pick(&call()).unwrap().id().to_owned())
        .collect();
    assert!(
        ids.iter().all(|id| id == "a" || id == "b") && ids[0] != ids[1],
        "{ids:?}"
    );
    assert_eq!(put(&["b"]).removed, 1);
}

#[test]
fn any_text_is_an_id() {
    let long = "x".repeat(1 << 20);
    let rubbish = [
        "",
        " ",
        "\0",
        "a\nb",
        "\"}",
        "{}",
        "\u{202e}abc",
        "🦀",
        "e\u{301}",
        "é",
        &long,
    ];
    for strategy in strategies() {
        let (balancer, _) = of(strategy.clone(), 0);
        let change = balancer.update((0..).zip(rubbish).map(|(n, id)| Endpoint::new(id, n)));
        assert_eq!((change.added, change.duplicates), (11, 0), "{strategy}");
        for key in 0..1000 {
            let lease = balancer.pick(&call().with_key(key)).unwrap();
            assert_eq!(lease.id(), rubbish[*lease as usize]);
            lease.finish(Outcome::Success);
        }
        assert!(balancer.snapshot().to_string().len() > 11);
        let _ = balancer.explain(&call()).to_string();
        assert_eq!(balancer.update([Endpoint::new("", 0)]).removed, 10);
    }
}

#[test]
fn updates_without_end_leave_nothing_behind() {
    let (balancer, _) = of(Strategy::LeastConnections, 2);
    let held = balancer.pick(&call()).unwrap();
    let update = |round: u32| {
        // One stays, one is new each time.
        balancer.update([endpoint(0), endpoint(1 + round)]);
        drop(balancer.pick(&call()).unwrap());
    };
    (0..10_000).for_each(update);
    let counted = allocation_counter::measure(|| (10_000..100_000).for_each(update));
    println!(
        "after 90,000 updates more: {} bytes more",
        counted.bytes_current
    );
    assert!(
        counted.bytes_current.abs() < 4096,
        "{} bytes",
        counted.bytes_current
    );
    drop(held);
    assert_eq!((balancer.len(), balancer.in_flight()), (2, 0));
}

#[test]
fn time_may_stand_still() {
    for strategy in strategies() {
        let slow = SlowStart::over(std::time::Duration::from_secs(10));
        let config = BalancerConfig::new(strategy.clone()).with_slow_start(slow);
        let (balancer, _) = balancer(config);
        balancer.update(endpoints(4));
        balancer.update(endpoints(5));
        for number in 0..5000_u64 {
            let lease = balancer.pick(&call().with_key(number)).unwrap();
            let outcome = match number % 10 {
                0 => Outcome::TRANSIENT,
                _ => Outcome::Success,
            };
            lease.finish(outcome);
        }
        let counts = shares(&balancer, 1000);
        assert!(
            counts.len() >= 3 || strategy.name() == "consistent_hash",
            "{strategy}: {counts:?}"
        );
        assert_eq!(balancer.in_flight(), 0);
    }
}

#[test]
fn the_exactly_least_loaded_is_found_among_any_number_and_ties_are_even() {
    for count in [2, 3, 8, 63, 64, 65, 128, 130, 300] {
        let (balancer, _) = of(Strategy::LeastConnectionsExact, count);
        for (_, times) in shares(&balancer, count * 400) {
            let off = f64::from(times) / 400.0 - 1.0;
            assert!(off.abs() < 0.3, "of {count}: {off} off");
        }
        // As many calls as endpoints: each gets one, whoever was first.
        let leases: Vec<_> = (0..count)
            .map(|_| balancer.pick(&call()).unwrap())
            .collect();
        let mut places: Vec<u32> = leases.iter().map(|lease| **lease).collect();
        places.sort_unstable();
        assert!(places.into_iter().eq(0..count), "of {count}");
        // And the only one that is free gets the next.
        for free in [0, count / 2, count - 1] {
            let mut leases: Vec<_> = leases.iter().map(|_| None).collect();
            for _ in 0..count * 2 {
                let lease = balancer.pick(&call()).unwrap();
                let place = *lease as usize;
                if leases[place].is_none() {
                    leases[place] = Some(lease);
                }
            }
            leases[free as usize] = None;
            let all = Arc::new(leases);
            assert_eq!(*balancer.pick(&call()).unwrap(), free, "of {count}");
            drop(all);
        }
    }
}
