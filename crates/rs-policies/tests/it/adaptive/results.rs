//! What the results of calls say, and what they do not.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use rs_core::{Fault, Outcome};
use rs_policies::{
    AdaptiveConfig, Aimd, Algorithm, ClassShares, FindLimit, Gradient, Sample, Vegas,
};

use super::{Bench, MS};

fn config(algorithm: Algorithm) -> AdaptiveConfig {
    AdaptiveConfig::by(algorithm).with_shares(ClassShares::EQUAL)
}

fn all() -> [Algorithm; 3] {
    [
        Algorithm::Aimd(Aimd::default()),
        Algorithm::Vegas(Vegas::default()),
        Algorithm::Gradient(Gradient::default()),
    ]
}

impl Bench {
    /// So many at once, which take so long and end like this; refused ones are left out. How many there
    /// were.
    fn together(&self, calls: u32, time: u32, outcome: Outcome) -> u32 {
        let permits: Vec<_> = (0..calls).map_while(|_| self.enter().ok()).collect();
        self.hand.advance(time * MS);
        let count = permits.len() as u32;
        permits
            .into_iter()
            .for_each(|permit| permit.finish(outcome));
        count
    }

    fn rounds(&self, rounds: u32, calls: u32, outcome: Outcome) {
        for _ in 0..rounds {
            self.together(calls, 20, outcome);
        }
    }
}

/// What peers get wrong: calls one after the other prove nothing about many at once.
#[test]
fn calls_one_after_the_other_do_not_raise_it() {
    for algorithm in all() {
        let bench = Bench::with(config(algorithm).beginning_at(10));
        bench.rounds(2000, 1, Outcome::Success);
        assert_eq!(bench.limit.limit(), 10);
    }
}

#[test]
fn it_grows_while_it_is_used_and_stops_at_the_maximum() {
    for algorithm in all() {
        let bench = Bench::with(config(algorithm).between(1, 60));
        bench.rounds(2000, 1000, Outcome::Success);
        assert_eq!(bench.limit.limit(), 60);
        // With a few it stays.
        bench.rounds(2000, 29, Outcome::Success);
        assert_eq!(bench.limit.limit(), 60);
    }
}

#[test]
fn drops_take_it_down_to_the_minimum_which_may_be_one() {
    for fault in [Fault::timed_out(), Fault::throttled()] {
        for algorithm in all() {
            let bench = Bench::with(config(algorithm).between(1, 60));
            bench.rounds(2000, 1000, fault.into());
            assert_eq!(bench.limit.limit(), 1);
            let said = bench.around.recorder().recent(10);
            let said: Vec<_> = said.iter().map(|one| one.signal.to_string()).collect();
            assert_eq!(said.len(), 1, "{said:?}");
            assert!(
                said[0].starts_with("adaptive_limit search: is at its minimum: "),
                "{said:?}"
            );
        }
    }
}

/// What peers get wrong: not every error is an overload.
#[test]
fn other_endings_say_nothing() {
    for outcome in [Outcome::TRANSIENT, Outcome::PERMANENT, Outcome::Ignored] {
        for algorithm in all() {
            let bench = Bench::with(config(algorithm));
            bench.rounds(500, 1000, outcome);
            for _ in 0..500 {
                let permits: Vec<_> = (0..20).map(|_| bench.enter().unwrap()).collect();
                bench.hand.advance(20 * MS);
                drop(permits);
            }
            assert_eq!(bench.limit.limit(), 20, "{outcome:?}");
        }
    }
}

/// Failures that come back at once must not make it believe that calls are fast.
#[test]
fn quick_failures_do_not_count_as_quick_calls() {
    let bench = Bench::with(config(Algorithm::Vegas(Vegas::default())).between(1, 60));
    for _ in 0..500 {
        bench.together(100, 20, Outcome::Success);
        bench.together(10, 0, Outcome::TRANSIENT);
    }
    assert_eq!(bench.limit.limit(), 60);
    assert_eq!(bench.limit.unloaded_time(), Some(20 * MS));
}

/// Twenty calls time out, one after the other, that began before anything was known: that is one
/// overload and not twenty.
#[test]
fn one_overload_is_answered_once() {
    let bench = Bench::with(
        config(Algorithm::Aimd(Aimd::default()))
            .between(1, 400)
            .beginning_at(400),
    );
    let permits: Vec<_> = (0..400).map(|_| bench.enter().unwrap()).collect();
    bench.hand.advance(1000 * MS);
    for permit in permits {
        bench.hand.advance(5 * MS);
        permit.finish(Fault::timed_out().into());
    }
    assert_eq!(bench.limit.limit(), 360);
}

#[test]
fn results_from_before_a_reconfiguration_do_not_decide() {
    let before = config(Algorithm::Aimd(Aimd::default()))
        .between(1, 400)
        .beginning_at(400);
    let bench = Bench::with(before.clone());
    let permits: Vec<_> = (0..400).map(|_| bench.enter().unwrap()).collect();
    bench
        .limit
        .reconfigure(before.remeasuring_every(1000 * MS))
        .unwrap();
    bench.hand.advance(1000 * MS);
    for permit in permits {
        permit.finish(Fault::timed_out().into());
        bench.hand.advance(5 * MS);
    }
    assert_eq!((bench.limit.limit(), bench.limit.in_flight()), (400, 0));
}

#[test]
fn a_reconfiguration_keeps_what_was_found() {
    let bench = Bench::with(config(Algorithm::Vegas(Vegas::default())).between(1, 60));
    bench.rounds(2000, 1000, Outcome::Success);
    let wider = config(Algorithm::Gradient(Gradient::default())).between(1, 1000);
    assert_eq!(bench.limit.reconfigure(wider).unwrap(), 2);
    assert_eq!(bench.limit.limit(), 60);
    assert_eq!(bench.limit.unloaded_time(), Some(20 * MS));
    let narrower = config(Algorithm::Gradient(Gradient::default())).between(1, 40);
    bench.limit.reconfigure(narrower.clone()).unwrap();
    assert_eq!(bench.limit.limit(), 40);
    // A wrong one is refused whole.
    assert!(
        bench
            .limit
            .reconfigure(narrower.clone().between(0, 40))
            .is_err()
    );
    assert_eq!(bench.limit.config(), narrower);
}

/// The finisher's own measure is believed: nobody reads the clock for it.
#[test]
fn a_time_that_was_measured_is_believed() {
    let bench = Bench::with(config(Algorithm::Vegas(Vegas::default())));
    for _ in 0..200 {
        bench.hand.advance(100 * MS);
        let permits: Vec<_> = (0..15).map_while(|_| bench.enter().ok()).collect();
        for permit in permits {
            permit.finish_after(Outcome::Success, 3 * MS);
        }
    }
    assert_eq!(bench.limit.unloaded_time(), Some(3 * MS));
}

struct Told(Arc<AtomicU32>);

impl FindLimit for Told {
    fn next(&mut self, sample: &Sample) -> f64 {
        match self.0.fetch_add(1, Relaxed) {
            0 => f64::NAN,
            1 => f64::INFINITY,
            2 => -5.0,
            3 => panic!("no idea"),
            _ => sample.limit + 2.0,
        }
    }

    fn compares_times(&self) -> bool {
        false
    }
}

#[test]
fn an_algorithm_of_ones_own_is_kept_within_bounds_and_contained() {
    let asked = Arc::new(AtomicU32::new(0));
    let told = Arc::clone(&asked);
    let own = Algorithm::own("told", move || Told(Arc::clone(&told)));
    let bench = Bench::with(config(own).between(2, 50));
    let mut seen = Vec::new();
    while asked.load(Relaxed) < 6 {
        let before = asked.load(Relaxed);
        bench.together(50, 20, Outcome::Success);
        if asked.load(Relaxed) > before {
            seen.push(bench.limit.limit());
        }
    }
    assert_eq!(seen, [20, 20, 2, 2, 4, 6]);
    let said = bench.around.recorder().recent(10);
    assert_eq!(
        said[0].signal.to_string(),
        "adaptive_limit search: keeps its limit, the algorithm panicked"
    );
}

/// Measuring unloaded calls halves a limit that is in use, for a moment, and then it is back.
#[test]
fn measuring_is_short_and_rare() {
    let bench = Bench::with(config(Algorithm::Vegas(Vegas::default())).between(1, 60));
    bench.rounds(3000, 1000, Outcome::Success);
    let plus = rs_core::Criticality::CriticalPlus;
    let (mut lowered, mut rounds) = (0, 0);
    for _ in 0..3000 {
        bench.together(1000, 20, Outcome::Success);
        rounds += 1;
        lowered += u32::from(bench.limit.limit_for(plus) < 60);
        assert!(bench.limit.limit_for(plus) >= 30);
    }
    // A minute; every half of one for a few times as long as a call takes.
    assert!(
        lowered > 0 && lowered < rounds / 50,
        "{lowered} of {rounds}"
    );
    // One that is not in use is not lowered at all.
    for _ in 0..3000 {
        bench.together(20, 20, Outcome::Success);
        assert_eq!(bench.limit.limit_for(plus), 60);
    }
}
