//! What an update costs, what picks cost meanwhile, and what a set weighs.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    time::{Duration, Instant},
};

use rs_balance::{Endpoint, Hashing, Strategy};
use rs_bench::Bench;
use rs_core::{Call, ConfigError};

use crate::{Client, balancer, endpoints, pick, strategy};

#[expect(
    clippy::disallowed_methods,
    reason = "the clock itself is what is needed here"
)]
fn now() -> Instant {
    Instant::now()
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "MISSED" }
}

/// How long an update takes that changes one endpoint of so many: the quickest of several, for on a busy
/// machine the others have waited.
pub(crate) fn updates(bench: &Bench) -> Result<(), ConfigError> {
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
                let left = set(round, name == "weighted_random");
                let start = now();
                balancer.update(left);
                start.elapsed()
            })
            .collect();
        times.sort_unstable();
        let least = times.first().copied().unwrap_or_default();
        let middle = times.get(10).copied().unwrap_or_default();
        let met = verdict(least.as_secs_f64() * 1000.0 <= limit);
        println!(
            "update of 10,000, {name}: {least:.2?}, in the middle {middle:.2?} (goal {limit} ms: {met})"
        );
    }
    Ok(())
}

/// 10,000 endpoints, others in turns.
fn set(round: usize, weighted: bool) -> Vec<Endpoint<Client>> {
    let all: Vec<_> = endpoints(10_001, weighted).collect();
    all.into_iter().skip(round % 2).take(10_000).collect()
}

/// The 99th of a hundred picks, with somebody who swaps the set all the time and without.
pub(crate) fn picks_meanwhile(bench: &Bench) -> Result<(), ConfigError> {
    const PICKS: usize = 100_000;
    if !bench.measures("meanwhile") {
        return Ok(());
    }
    for name in ["random", "two_choices", "consistent_hash"] {
        let balancer = balancer(strategy(name)?, 10_000)?;
        let (stop, busy, swaps) = (
            AtomicBool::new(false),
            AtomicBool::new(false),
            AtomicU32::new(0),
        );
        let p99 = || {
            let mut times: Vec<Duration> = (0..PICKS as u64)
                .map(|key| {
                    let call = Call::new("bench").with_key(key);
                    let start = now();
                    pick(&balancer, &call);
                    start.elapsed()
                })
                .collect();
            let (_, p99, _) = times.select_nth_unstable(PICKS * 99 / 100);
            *p99
        };
        let rounds = std::thread::scope(|scope| {
            scope.spawn(|| {
                let sets: Vec<_> = (0..2).map(|round| set(round, false)).collect();
                for round in 0_usize.. {
                    if stop.load(Relaxed) {
                        return;
                    }
                    if busy.load(Relaxed) {
                        if let Some(set) = sets.get(round % 2) {
                            balancer.update(set.iter().cloned());
                        }
                        swaps.fetch_add(1, Relaxed);
                    } else {
                        std::thread::yield_now();
                    }
                }
            });
            p99();
            let mut rounds: Vec<(Duration, Duration)> = (0..9)
                .map(|_| {
                    busy.store(false, Relaxed);
                    let quiet = p99();
                    busy.store(true, Relaxed);
                    (quiet, p99())
                })
                .collect();
            stop.store(true, Relaxed);
            rounds.sort_by_key(|(quiet, busy)| busy.as_nanos() * 1000 / quiet.as_nanos().max(1));
            rounds
        });
        let swaps = swaps.load(Relaxed);
        if let Some((quiet, busy)) = rounds.get(rounds.len() / 2) {
            let times = busy.as_secs_f64() / quiet.as_secs_f64();
            let met = verdict(times <= 2.0);
            println!(
                "p99 of picks meanwhile, {name}, 10,000: {busy:?}, else {quiet:?}, {swaps} swaps: {times:.2} times (goal 2: {met})"
            );
        }
    }
    Ok(())
}

/// What an endpoint takes beside its client.
pub(crate) fn memory(bench: &Bench) -> Result<(), ConfigError> {
    if !bench.measures("memory") {
        return Ok(());
    }
    let strategies = [
        ("random", strategy("random")?),
        ("round_robin", strategy("round_robin")?),
        ("two_choices", strategy("two_choices")?),
        ("weighted_random", strategy("weighted_random")?),
        ("latency_based", strategy("latency_based")?),
        ("maglev", strategy("consistent_hash")?),
        ("ring", Strategy::ConsistentHash(Hashing::ring())),
    ];
    for (name, strategy) in strategies {
        let balancer = balancer(strategy, 1)?;
        let all: Vec<_> = endpoints(10_000, name == "weighted_random").collect();
        let ids: i64 = all.iter().map(|endpoint| endpoint.id().len() as i64).sum();
        let counted = allocation_counter::measure(|| {
            balancer.update(all);
        });
        // The list and the ids came from outside; the ids are kept.
        let list = (10_000 * size_of::<Endpoint<Client>>()) as i64;
        let each = (counted.bytes_current + list + ids) / 10_000;
        let met = verdict(each <= 200);
        println!("memory of an endpoint, {name}: {each} bytes, its id included (goal 200: {met})");
    }
    Ok(())
}
