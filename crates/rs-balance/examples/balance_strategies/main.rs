//! How ten strategies treat a slow server, a failing one and a newcomer, in a time of their own.
//!
//! ```sh
//! cargo run -p rs-balance --example balance_strategies
//! ```

mod world;

use std::time::Duration;

use rs_balance::{BalancerConfig, Strategy};
use rs_core::ConfigError;

use world::{Server, WELL, World};

const STRATEGIES: [&str; 10] = [
    "round_robin",
    "random",
    "least_connections",
    "least_connections_exact",
    "two_choices",
    "weighted_random",
    "smooth_weighted_round_robin",
    "latency_based",
    "consistent_hash",
    "priority_failover",
];

fn main() -> Result<(), ConfigError> {
    println!("Ten servers that take 20 ms, 500 calls a second, a minute. One of them is special.");
    println!("A fair share is 10%. Nobody is ejected, so that the strategies are seen alone.\n");
    let slow = Server {
        takes: Duration::from_millis(200),
        ..WELL
    };
    let failing = Server {
        takes: Duration::from_millis(1),
        fails: true,
        ..WELL
    };
    let newcomer = Server {
        from: Duration::from_secs(30),
        ..WELL
    };
    println!(
        "{:<28}│ {:^31} │ {:^25} │ {:^30}",
        "", "takes 200 ms", "fails in 1 ms", "joins after 30 s"
    );
    println!(
        "{:<28}│ {:>6} {:>5} {:>6} {:>10} │ {:>6} {:>7} {:>10} │ {:>10} {:>7} {:>11}",
        "strategy", "share", "p50", "p99", "", "share", "failed", "", "first call", "share", ""
    );
    for name in STRATEGIES {
        let strategy: Strategy = name.parse()?;
        let config = BalancerConfig::new(strategy).without_outliers();
        let slowed = World::with(slow).run(&config)?;
        let failed = World::with(failing).run(&config)?;
        let joined = World::with(newcomer).run(&config)?;
        let first = joined.first[9].map(|first| first.saturating_sub(newcomer.from));
        let first = first.map_or("never".to_owned(), |first| format!("{first:.0?}"));
        let later: u32 = joined
            .over_time
            .iter()
            .map(|tenths| tenths[6..].iter().sum::<u32>())
            .sum();
        let its: u32 = joined.over_time[9][6..].iter().sum();
        println!(
            "{name:<28}│ {:>5.1}% {:>5.0?} {:>6.0?} {} │ {:>5.1}% {:>6.1}% {} │ {first:>10} {:>6.1}% {}",
            slowed.share(9) * 100.0,
            slowed.quantile(0.5),
            slowed.quantile(0.99),
            plot(&slowed, 9),
            failed.share(9) * 100.0,
            f64::from(failed.failed) / f64::from(failed.calls.iter().sum::<u32>()) * 100.0,
            plot(&failed, 9),
            f64::from(its) / f64::from(later.max(1)) * 100.0,
            plot(&joined, 9),
        );
    }
    println!(
        "\nThe plots show the share of the special one over the minute, each column six seconds;"
    );
    println!("a full block is twice its fair share or more.");
    Ok(())
}

/// The share of a server over time.
fn plot(happened: &world::Happened, server: usize) -> String {
    (0..10)
        .map(|tenth| {
            let all: u32 = happened.over_time.iter().map(|tenths| tenths[tenth]).sum();
            let share = f64::from(happened.over_time[server][tenth]) / f64::from(all.max(1));
            match (share / 0.2 * 8.0).round() as u32 {
                0 if share == 0.0 => '·',
                height => char::from_u32(0x2580 + height.clamp(1, 8)).unwrap_or('█'),
            }
        })
        .collect()
}
