//! Virtual hours of everything at once.

use crate::support::*;
use rs_core::{Backoff, Jitter, Name};
use rs_workers::{GroupConfig, Strategy, WorkerState};

/// Random failures, panics, stops, restarts and pauses for six virtual hours: never two of one worker, never
/// a lost restart, never a task that is left.
#[tokio::test(start_paused = true)]
async fn nobody_is_doubled_lost_or_left() {
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    for seed in 0..4 {
        hours(seed).await;
        settle().await;
        assert_eq!(metrics.num_alive_tasks(), before, "seed {seed}");
    }
}

async fn hours(seed: u64) {
    let mut dice = fastrand::Rng::with_seed(seed);
    let bearing = |group: GroupConfig| group.with_intensity(intensity(1_000_000, MINUTE));
    let bench = Bench::with(root(bearing(GroupConfig::default())));
    let mut puppets = Vec::new();
    let strategies = [
        Strategy::OneForOne,
        Strategy::OneForAll,
        Strategy::RestForOne,
    ];
    for (number, strategy) in (0..6).zip(strategies.into_iter().cycle()) {
        let config = bearing(GroupConfig::default().with_strategy(strategy));
        let group = bench
            .workers
            .group(Name::new(&format!("g{number}")), config)
            .unwrap();
        for member in 0..6 {
            let puppet = Puppet::new(Name::new(&format!("g{number}w{member}")));
            puppet.slow(MILLI * dice.u32(0..3000));
            let backoff = Backoff::exponential(100 * MILLI).with_jitter(Jitter::Full);
            let config = |it: rs_workers::WorkerConfig| {
                let it = it.with_backoff(backoff).with_grace(2 * SECOND);
                match member {
                    0 => it,
                    _ => it.after(format!("g{number}w{}", member - 1)),
                }
            };
            group.register_with(puppet.worker(), config).unwrap();
            puppets.push(puppet);
        }
    }
    bench.workers.start_all().await.unwrap();
    let begun = Stopwatch::start();
    let mut done = 0_u32;
    while begun.elapsed() < 6 * 60 * MINUTE {
        let puppet = &puppets[dice.usize(..puppets.len())];
        let name = puppet.name;
        match dice.u32(0..20) {
            0..9 => puppet.pull([Order::Fail, Order::Panic, Order::Return][dice.usize(..3)]),
            9..12 => drop(bench.workers.pause(name, anna().lasting(30 * SECOND))),
            12 => drop(bench.workers.resume(name, anna())),
            13..15 => drop(in_time(SECOND, bench.workers.restart(name)).await),
            15..17 => drop(in_time(SECOND, bench.workers.stop(name)).await),
            17 => drop(in_time(SECOND, bench.workers.drain(name, SECOND)).await),
            18 => drop(in_time(SECOND, bench.workers.restart("g1")).await),
            _ => drop(in_time(SECOND, bench.workers.start(name)).await),
        }
        done += 1;
        sleep(MILLI * dice.u32(0..5000)).await;
        for puppet in &puppets {
            assert!(puppet.most() <= 1, "two of {}", puppet.name);
        }
    }
    // Left alone, everybody comes back.
    for puppet in &puppets {
        let _ = in_time(SECOND, bench.workers.start(puppet.name)).await;
    }
    sleep(10 * MINUTE).await;
    let lost: Vec<_> = bench
        .workers
        .statuses()
        .into_iter()
        .filter(|it| !matches!(it.state, WorkerState::Ready | WorkerState::Paused))
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert!(puppets.iter().all(Puppet::is_alive));
    println!("seed {seed}: {done} orders, {} runs", bench.workers.runs());
    bench.workers.stop_all().await;
    assert!(puppets.iter().all(|puppet| !puppet.is_alive()));
}
