//! How strategies treat servers that are not like the others, in a time of their own.

#[path = "../../examples/balance_strategies/world.rs"]
mod world;

use std::time::Duration;

use rs_balance::{BalancerConfig, SlowStart, Strategy};

use world::{Server, WELL, World};

const FAILS_FAST: Server = Server {
    takes: Duration::from_millis(1),
    fails: true,
    ..WELL
};

const SLOW: Server = Server {
    takes: Duration::from_millis(200),
    ..WELL
};

fn alone(strategy: &str) -> BalancerConfig {
    let strategy: Strategy = strategy.parse().unwrap();
    BalancerConfig::new(strategy).without_outliers()
}

#[test]
fn a_slow_server_gets_little_where_that_is_looked_at() {
    for (strategy, limit) in [
        ("latency_based", 0.01),
        ("least_connections_exact", 0.03),
        ("least_connections", 0.04),
        ("two_choices", 0.04),
    ] {
        let happened = World::with(SLOW).run(&alone(strategy)).unwrap();
        let (share, p99) = (happened.share(9), happened.quantile(0.99));
        println!(
            "{strategy}: {:.2}% to a server that is ten times as slow, p99 {p99:?}",
            share * 100.0
        );
        assert!(share <= limit, "{strategy}: {share}");
        assert!(share > 0.0, "{strategy}: it is looked at again");
    }
}

#[test]
fn a_server_that_fails_fast_is_no_fast_server() {
    let happened = World::with(FAILS_FAST)
        .run(&alone("latency_based"))
        .unwrap();
    println!(
        "latency_based: {:.3}% to a server that fails in 1 ms",
        happened.share(9) * 100.0
    );
    assert!(happened.share(9) <= 0.02, "{}", happened.share(9));
    for strategy in crate::support::strategies() {
        let happened = World::with(FAILS_FAST)
            .run(&BalancerConfig::new(strategy.clone()))
            .unwrap();
        println!("{strategy}, ejecting: {:.3}%", happened.share(9) * 100.0);
        assert!(
            happened.share(9) <= 0.02,
            "{strategy}: {}",
            happened.share(9)
        );
    }
}

#[test]
fn a_newcomer_gets_its_first_call_at_once() {
    newcomer(false);
}

#[test]
fn a_newcomer_gets_its_share_after_slow_start() {
    newcomer(true);
}

fn newcomer(slow_start: bool) {
    let newcomer = Server {
        from: Duration::from_secs(20),
        ..WELL
    };
    for strategy in crate::support::strategies() {
        let config = BalancerConfig::new(strategy.clone());
        let config = match slow_start {
            true => config.with_slow_start(SlowStart::over(Duration::from_secs(10))),
            false => config,
        };
        let happened = World::with(newcomer).run(&config).unwrap();
        let first = happened.first[9].unwrap() - newcomer.from;
        let later: u32 = happened
            .over_time
            .iter()
            .map(|tenths| tenths[6..].iter().sum::<u32>())
            .sum();
        let its: u32 = happened.over_time[9][6..].iter().sum();
        let share = f64::from(its) / f64::from(later);
        println!(
            "{strategy}, slow start {slow_start}: first call after {first:?}, then {:.1}%",
            share * 100.0
        );
        let soon = if slow_start { 5000 } else { 500 };
        assert!(
            first <= Duration::from_millis(soon),
            "{strategy}: {first:?}"
        );
        assert!((0.085..0.115).contains(&share), "{strategy}: {share}");
    }
}

#[test]
fn callers_that_know_only_their_own_calls_make_no_herd() {
    for strategy in ["least_connections_exact", "two_choices", "latency_based"] {
        let world = World {
            callers: 20,
            rate: 2000.0,
            lasts: Duration::from_secs(20),
            servers: vec![WELL; 10],
        };
        let happened = world.run(&alone(strategy)).unwrap();
        let (most, mean) = happened.worst;
        println!(
            "{strategy}: at the worst moment {most} calls at one server, {mean:.1} at the mean one"
        );
        let worst = happened.calls.iter().max().unwrap();
        let all: u32 = happened.calls.iter().sum();
        assert!(
            f64::from(*worst) < 0.12 * f64::from(all),
            "{strategy}: {:?}",
            happened.calls
        );
        assert!(f64::from(most) < 6.0 * mean, "{strategy}: {most} of {mean}");
    }
}
