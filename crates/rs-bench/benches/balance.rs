//! What a pick costs, its lease's life included, beside its peers; what an update costs, and a pool.
//!
//! pingora is among them with `--cfg pingora`, which `cargo xtask bench` sets where cmake is.

#[path = "balance/bare.rs"]
mod bare;
#[path = "balance/peers.rs"]
mod peers;
#[path = "balance/pools.rs"]
mod pools;
#[path = "balance/updates.rs"]
mod updates;

use std::hint::black_box;

use rs_balance::{
    Balancer, BalancerConfig, Endpoint, EndpointHealth, Hashing, Lease, Strategy, Surroundings,
};
use rs_bench::{Bench, Case, Goal};
use rs_core::{Call, ConfigError, Outcome, Share};

use peers::Rows;

fn main() -> Result<(), ConfigError> {
    let mut bench = Bench::from_args("balance");
    by_chance(&mut bench)?;
    by_load(&mut bench)?;
    by_key(&mut bench)?;
    sizes(&mut bench)?;
    down(&mut bench)?;
    pools::pools(&mut bench)?;
    updates::updates(&bench)?;
    updates::picks_meanwhile(&bench)?;
    updates::memory(&bench)?;
    bench.finish();
    Ok(())
}

const SIZES: [usize; 5] = [10, 100, 1000, 10_000, 100_000];

pub(crate) type Client = u32;

fn around() -> Surroundings {
    Surroundings::apart()
}

pub(crate) fn endpoints(count: usize, weighted: bool) -> impl Iterator<Item = Endpoint<Client>> {
    (0..count).map(move |number| {
        let id = format!(
            "10.{}.{}.{}:8080",
            number >> 16,
            number >> 8 & 255,
            number & 255
        );
        let weight = if weighted {
            1.0 + (number % 7) as f64
        } else {
            1.0
        };
        Endpoint::new(id, number as Client).with_weight(weight)
    })
}

pub(crate) fn balancer(strategy: Strategy, count: usize) -> Result<Balancer<Client>, ConfigError> {
    let weighted = matches!(
        strategy,
        Strategy::WeightedRandom | Strategy::SmoothWeightedRoundRobin
    );
    // No health is believed by default when 90 % are down.
    let config = BalancerConfig::new(strategy).with_panic_below(Share::NONE);
    let balancer = Balancer::within(&around(), "bench", config)?;
    balancer.update(endpoints(count, weighted));
    Ok(balancer)
}

/// One pick and the whole life of its lease, judged a success.
pub(crate) fn pick(balancer: &Balancer<Client>, call: &Call) {
    if let Some(lease) = balancer.pick(black_box(call)) {
        black_box(*lease);
        Lease::finish(lease, Outcome::Success);
    }
}

pub(crate) fn strategy(name: &str) -> Result<Strategy, ConfigError> {
    name.parse()
}

/// A peer that we are to be at least four times faster than.
fn beside<'a>(case: Case<'a>, rows: &'a Rows) -> Case<'a> {
    rows.iter().fold(case, |case, (name, body)| {
        let case = case.peer_in_batches(name, body);
        let is_rival = name.starts_with("pingora") || name.starts_with("tower");
        if is_rival {
            case.goal(Goal::times(0.25, name).on_threads(1))
        } else {
            case
        }
    })
}

/// Each pick with a call of its own.
fn picks(balancer: &Balancer<Client>) -> impl Fn(u64) + Sync {
    move |times| {
        for key in 0..times {
            pick(balancer, &Call::new("bench").with_key(key));
        }
    }
}

/// By turns and by chance, among 1,000.
fn by_chance(bench: &mut Bench) -> Result<(), ConfigError> {
    for (case, name, goal) in [
        ("random, 1000", "random", 35.0),
        ("round robin, 1000", "round_robin", 35.0),
        ("weighted random, 1000", "weighted_random", 35.0),
        (
            "smooth weighted round robin, 1000",
            "smooth_weighted_round_robin",
            50.0,
        ),
    ] {
        if !bench.measures(case) {
            continue;
        }
        let mut rows: Rows = vec![("bare, three additions", bare::three_additions())];
        let turns = name.contains("round_robin");
        rows.extend(peers::pingora(
            if turns { "round_robin" } else { name },
            1000,
            1,
        ));
        if name == "weighted_random" {
            rows.push(("volo, weighted random", peers::volo_weighted(1000)));
        }
        let balancer = balancer(strategy(name)?, 1000)?;
        let call = Call::new("bench");
        let case = bench.case(case).ours(|| pick(&balancer, &call));
        let case = beside(case, &rows).goal(Goal::at_most(goal).on_threads(1));
        // Turns are taken in turns.
        match name {
            "random" | "weighted_random" => case.goal(Goal::two_threads_do(1.6)).run(),
            _ => case.run(),
        }
    }
    Ok(())
}

/// By calls in flight and by latency.
fn by_load(bench: &mut Bench) -> Result<(), ConfigError> {
    for (case, name, count, goal) in [
        ("two choices, 1000", "two_choices", 1000, 50.0),
        ("least connections, 1000", "least_connections", 1000, 50.0),
        ("least connections, 8", "least_connections", 8, 50.0),
        // Two looks at the clock are half of it.
        (
            "latency based, pick and record, 1000",
            "latency_based",
            1000,
            120.0,
        ),
    ] {
        if !bench.measures(case) {
            continue;
        }
        let rows: Rows = if name == "latency_based" {
            vec![("tower, peak average", peers::tower_peak(count))]
        } else {
            vec![
                ("tower, pending", peers::tower_pending(count)),
                ("tower, constant", peers::tower_constant(count)),
            ]
        };
        let balancer = balancer(strategy(name)?, count)?;
        let call = Call::new("bench");
        (0..10_000).for_each(|_| pick(&balancer, &call));
        let described = bench
            .case(case)
            .ours(|| pick(&balancer, &call))
            .on_one_thread();
        beside(described, &rows).goal(Goal::at_most(goal)).run();
    }
    for (case, count) in [
        ("two choices, two threads, 1000", 1000),
        ("two choices, two threads, 10", 10),
    ] {
        let balancer = balancer(Strategy::TwoChoices, count)?;
        let call = Call::new("bench");
        let described = bench.case(case).ours(|| pick(&balancer, &call));
        described.goal(Goal::two_threads_do(1.6)).run();
    }
    Ok(())
}

/// By the keys of calls: each call has another one.
fn by_key(bench: &mut Bench) -> Result<(), ConfigError> {
    for (case, hashing) in [
        ("maglev, 10000", Hashing::maglev()),
        ("ring, 10000", Hashing::ring()),
        (
            "bounded maglev, 10000",
            Hashing::maglev().with_bounded_load(1.25),
        ),
    ] {
        if !bench.measures(case) {
            continue;
        }
        let mut rows: Rows = vec![("bare, random reference", bare::one_of(10_000))];
        rows.extend(peers::pingora("consistent_hash", 10_000, 1));
        let balancer = balancer(Strategy::ConsistentHash(hashing), 10_000)?;
        let call = Call::new("bench").with_key(17);
        let all = picks(&balancer);
        let case = bench
            .case(case)
            .ours(|| pick(&balancer, &call))
            .peer_in_batches("ours, other keys", all);
        beside(case, &rows)
            .goal(Goal::at_most(40.0).on_threads(1))
            .on_one_thread()
            .run();
    }
    Ok(())
}

/// Flat from ten endpoints to a hundred thousand.
fn sizes(bench: &mut Bench) -> Result<(), ConfigError> {
    for (name, case) in [
        (
            "random",
            [
                "random: 10",
                "random: 100",
                "random: 1,000",
                "random: 10,000",
                "random: 100,000",
            ],
        ),
        (
            "round_robin",
            [
                "round robin: 10",
                "round robin: 100",
                "round robin: 1,000",
                "round robin: 10,000",
                "round robin: 100,000",
            ],
        ),
        (
            "weighted_random",
            [
                "weighted: 10",
                "weighted: 100",
                "weighted: 1,000",
                "weighted: 10,000",
                "weighted: 100,000",
            ],
        ),
        (
            "smooth_weighted_round_robin",
            [
                "smooth: 10",
                "smooth: 100",
                "smooth: 1,000",
                "smooth: 10,000",
                "smooth: 100,000",
            ],
        ),
        (
            "two_choices",
            [
                "two choices: 10",
                "two choices: 100",
                "two choices: 1,000",
                "two choices: 10,000",
                "two choices: 100,000",
            ],
        ),
        (
            "latency_based",
            [
                "latency: 10",
                "latency: 100",
                "latency: 1,000",
                "latency: 10,000",
                "latency: 100,000",
            ],
        ),
        (
            "consistent_hash",
            [
                "maglev: 10",
                "maglev: 100",
                "maglev: 1,000",
                "maglev: 10,000",
                "maglev: 100,000",
            ],
        ),
    ] {
        for (case, count) in case.into_iter().zip(SIZES) {
            if !bench.measures(case) {
                continue;
            }
            let few = balancer(strategy(name)?, 10)?;
            let all = balancer(strategy(name)?, count)?;
            bench
                .case(case)
                .ours_in_batches(picks(&all))
                .peer_in_batches("ours, 10 endpoints", picks(&few))
                // What the caches of this machine make of so many, without any balancer.
                .peer_in_batches("bare, random reference", bare::one_of(count))
                .goal(Goal::times(1.25, "ours, 10 endpoints"))
                .on_one_thread()
                .run();
        }
    }
    Ok(())
}

/// With half and with nine tenths of the endpoints down.
fn down(bench: &mut Bench) -> Result<(), ConfigError> {
    for (name, cases) in [
        ("random", ["random, half down", "random, 90% down"]),
        (
            "round_robin",
            ["round robin, half down", "round robin, 90% down"],
        ),
        (
            "two_choices",
            ["two choices, half down", "two choices, 90% down"],
        ),
    ] {
        for (case, (every, times)) in cases.into_iter().zip([(2, 1.5), (10, 2.0)]) {
            if !bench.measures(case) {
                continue;
            }
            let well = balancer(strategy(name)?, 1000)?;
            let some = balancer(strategy(name)?, 1000)?;
            let ids: Vec<_> = endpoints(1000, false).collect();
            let ill = ids
                .iter()
                .enumerate()
                .filter(|(place, _)| place % every != 0);
            some.check_all(ill.map(|(_, endpoint)| (endpoint.id(), EndpointHealth::Unhealthy)));
            // It has no strategy that goes by load.
            let rows = match name {
                "two_choices" => Rows::new(),
                name => peers::pingora(name, 1000, every),
            };
            let call = Call::new("bench");
            let case = bench
                .case(case)
                .ours(|| pick(&some, &call))
                .peer("ours, all up", || pick(&well, &call))
                .goal(Goal::times(times, "ours, all up"))
                .on_one_thread();
            beside(case, &rows).run();
        }
    }
    Ok(())
}
