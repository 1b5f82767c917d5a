//! What a pick costs, its lease's life included, and what an update costs.

use std::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use rs_balance::{
    Balancer, BalancerConfig, Endpoint, Hashing, Health, Lease, Strategy, Surroundings,
};
use rs_bench::{Bench, Goal};
use rs_core::{Call, ConfigError, Outcome, Share};

fn main() -> Result<(), ConfigError> {
    let mut bench = Bench::from_args("balance");
    picks(&mut bench)?;
    timed(&mut bench)?;
    sizes(&mut bench)?;
    down(&mut bench)?;
    updates(&bench)?;
    memory(&bench)?;
    bench.finish();
    Ok(())
}

const SIZES: [usize; 5] = [10, 100, 1000, 10_000, 100_000];

type Client = u32;

fn around() -> Surroundings {
    Surroundings::apart()
}

fn endpoints(count: usize, weighted: bool) -> impl Iterator<Item = Endpoint<Client>> {
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

fn balancer(strategy: Strategy, count: usize) -> Result<Balancer<Client>, ConfigError> {
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
fn pick(balancer: &Balancer<Client>, call: &Call) {
    if let Some(lease) = balancer.pick(black_box(call)) {
        black_box(*lease);
        Lease::finish(lease, Outcome::Success);
    }
}

fn three_additions(counts: &[AtomicU64; 3]) {
    for count in counts {
        black_box(count.fetch_add(1, Relaxed));
    }
}

fn strategy(name: &str) -> Result<Strategy, ConfigError> {
    name.parse()
}

/// At 1,000 endpoints: what the goals are about.
fn picks(bench: &mut Bench) -> Result<(), ConfigError> {
    let cases = [
        ("random, 1000", "random", 35.0),
        ("round robin, 1000", "round_robin", 35.0),
        ("weighted random, 1000", "weighted_random", 35.0),
        (
            "smooth weighted round robin, 1000",
            "smooth_weighted_round_robin",
            50.0,
        ),
        ("two choices, 1000", "two_choices", 50.0),
        ("least connections, 1000", "least_connections", 50.0),
        ("least connections, 8", "least_connections", 50.0),
        ("maglev, 10000", "consistent_hash", 40.0),
    ];
    let counts: [AtomicU64; 3] = Default::default();
    for (case, name, goal) in cases {
        let count = case.rsplit(' ').next().and_then(|count| count.parse().ok());
        let balancer = balancer(strategy(name)?, count.unwrap_or(1000))?;
        let call = Call::new("bench").with_key(17);
        bench
            .case(case)
            .ours(|| pick(&balancer, &call))
            // What the machine takes for the least that three counts can take.
            .peer("three atomic additions", || three_additions(&counts))
            .goal(Goal::at_most(goal).on_threads(1))
            .run();
    }
    for (case, hashing) in [
        ("ring, 10000", Hashing::ring()),
        (
            "bounded maglev, 10000",
            Hashing::maglev().with_bounded_load(1.25),
        ),
    ] {
        let balancer = balancer(Strategy::ConsistentHash(hashing), 10_000)?;
        let call = Call::new("bench").with_key(17);
        bench
            .case(case)
            .ours(|| pick(&balancer, &call))
            .goal(Goal::at_most(40.0).on_threads(1))
            .run();
    }
    Ok(())
}

/// Two looks at the clock are half of it.
fn timed(bench: &mut Bench) -> Result<(), ConfigError> {
    let balancer = balancer(strategy("latency_based")?, 1000)?;
    let call = Call::new("bench");
    (0..10_000).for_each(|_| pick(&balancer, &call));
    bench
        .case("latency based, pick and record, 1000")
        .ours(|| pick(&balancer, &call))
        .goal(Goal::at_most(120.0).on_threads(1))
        .run();
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
            let balancer = balancer(strategy(name)?, count)?;
            bench
                .case(case)
                .ours_in_batches(|times| {
                    for key in 0..times {
                        pick(&balancer, &Call::new("bench").with_key(key));
                    }
                })
                .run();
        }
    }
    Ok(())
}

/// With half and with nine tenths of the endpoints down.
fn down(bench: &mut Bench) -> Result<(), ConfigError> {
    for (name, cases) in [
        (
            "random",
            ["random, all up", "random, half down", "random, 90% down"],
        ),
        (
            "round_robin",
            [
                "round robin, all up",
                "round robin, half down",
                "round robin, 90% down",
            ],
        ),
        (
            "two_choices",
            [
                "two choices, all up",
                "two choices, half down",
                "two choices, 90% down",
            ],
        ),
    ] {
        for (case, every) in cases.into_iter().zip([1, 2, 10]) {
            let balancer = balancer(strategy(name)?, 1000)?;
            let ids: Vec<_> = endpoints(1000, false).collect();
            let ill = ids
                .iter()
                .enumerate()
                .filter(|(place, _)| place % every != 0);
            balancer.check_all(ill.map(|(_, endpoint)| (endpoint.id(), Health::Unhealthy)));
            let call = Call::new("bench");
            bench.case(case).ours(|| pick(&balancer, &call)).run();
        }
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the clock itself is what is needed here"
)]
fn now() -> Instant {
    Instant::now()
}

/// How long an update takes that changes one endpoint of so many, the middle of several.
fn updates(bench: &Bench) -> Result<(), ConfigError> {
    if !bench.measures("update") {
        return Ok(());
    }
    let limits = [
        ("random", 2.0),
        ("weighted_random", 2.0),
        ("round_robin", 2.0),
        ("two_choices", 2.0),
        ("latency_based", 2.0),
        ("smooth_weighted_round_robin", 2.0),
        ("consistent_hash", 15.0),
    ];
    for (name, limit) in limits {
        let balancer = balancer(strategy(name)?, 10_000)?;
        let mut times: Vec<Duration> = (0..21)
            .map(|round| {
                let all: Vec<_> = endpoints(10_001, name == "weighted_random").collect();
                let left = all.into_iter().skip(round % 2).take(10_000);
                let left: Vec<_> = left.collect();
                let start = now();
                balancer.update(left);
                start.elapsed()
            })
            .collect();
        times.sort_unstable();
        let median = times.get(10).copied().unwrap_or_default();
        println!("update of 10,000, {name}: {median:?} (goal {limit} ms)");
    }
    Ok(())
}

/// What an endpoint takes beside its client.
fn memory(bench: &Bench) -> Result<(), ConfigError> {
    if !bench.measures("memory") {
        return Ok(());
    }
    for name in [
        "random",
        "round_robin",
        "two_choices",
        "weighted_random",
        "latency_based",
        "consistent_hash",
    ] {
        let balancer = balancer(strategy(name)?, 1)?;
        let all: Vec<_> = endpoints(10_000, name == "weighted_random").collect();
        let ids: i64 = all.iter().map(|endpoint| endpoint.id().len() as i64).sum();
        let counted = allocation_counter::measure(|| {
            balancer.update(all);
        });
        // The list and the ids came from outside; the ids are kept.
        let list = (10_000 * size_of::<Endpoint<Client>>()) as i64;
        let each = (counted.bytes_current + list + ids) / 10_000;
        println!("memory of an endpoint, {name}: {each} bytes, its id included (goal 200)");
    }
    Ok(())
}
