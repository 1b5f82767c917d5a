//! Picks against swaps of the set, under every interleaving that the model checker finds.
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 cargo test -p rs-balance --release --test loom
//! ```
#![cfg(loom)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use loom::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
};
use rs_balance::{Balancer, BalancerConfig, Endpoint, Strategy};
use rs_core::{Call, Clock, FlightRecorder, Outcome};
use rs_metrics::Surroundings;

fn model(run: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 100_000;
    builder.check(run);
}

/// Where nobody hears of a balancer: what it says is modelled in `rs-core`.
fn balancer(strategy: Strategy) -> Balancer<u32> {
    let (clock, _) = Clock::manual();
    let recorder = FlightRecorder::with_clock(1, clock.clone());
    recorder.switch_off();
    let around = Surroundings::apart()
        .with_clock(clock)
        .with_seed(7)
        .with_recorder(recorder);
    let config = BalancerConfig::new(strategy).without_outliers();
    Balancer::within(&around, "model", config).unwrap()
}

fn endpoint(id: u32) -> Endpoint<u32> {
    Endpoint::new(id.to_string(), id)
}

fn call() -> Call {
    Call::new("x")
}

/// After an update has returned, nobody picks who is gone; what is in flight is counted, whoever was
/// swapped meanwhile.
fn picks_meet_a_swap(strategy: fn() -> Strategy) {
    model(move || {
        let balancer = balancer(strategy());
        balancer.update([endpoint(0), endpoint(1)]);
        let swapped = Arc::new(AtomicBool::new(false));
        let picker = {
            let (balancer, swapped) = (balancer.clone(), Arc::clone(&swapped));
            thread::spawn(move || {
                let held = balancer.pick(&call()).unwrap();
                let after = swapped.load(SeqCst);
                let second = balancer.pick(&call()).unwrap();
                assert!(!after || *second != 0, "0 was gone before this pick began");
                drop(held);
                second
            })
        };
        balancer.update([endpoint(1)]);
        swapped.store(true, SeqCst);
        let own = balancer.pick(&call()).unwrap();
        assert_eq!(*own, 1);
        let theirs = picker.join().unwrap();
        let here = 1 + u64::from(*theirs == 1);
        assert_eq!(balancer.in_flight(), here);
        own.finish(Outcome::Success);
        drop(theirs);
        assert_eq!(balancer.in_flight(), 0);
    });
}

#[test]
fn random_picks_meet_a_swap() {
    picks_meet_a_swap(|| Strategy::Random);
}

#[test]
fn picks_by_load_meet_a_swap() {
    picks_meet_a_swap(|| Strategy::TwoChoices);
}

#[test]
fn two_pick_and_drop_at_once() {
    model(|| {
        let balancer = balancer(Strategy::Random);
        balancer.update([endpoint(0)]);
        let other = balancer.clone();
        let thread = thread::spawn(move || {
            let first = other.pick(&call()).unwrap();
            let second = other.pick(&call()).unwrap();
            drop(first);
            second
        });
        let own = balancer.pick(&call()).unwrap();
        own.finish(Outcome::Success);
        let theirs = thread.join().unwrap();
        assert_eq!(balancer.in_flight(), 1);
        drop(theirs);
        assert_eq!(balancer.in_flight(), 0);
    });
}

#[test]
fn a_lease_outlives_its_endpoint_and_its_balancer() {
    model(|| {
        let balancer = balancer(Strategy::Random);
        balancer.update([endpoint(0)]);
        let lease = balancer.pick(&call()).unwrap();
        let thread = thread::spawn(move || {
            assert_eq!(*lease, 0);
            drop(lease);
        });
        balancer.update([]);
        assert!(balancer.pick(&call()).is_none());
        drop(balancer);
        thread.join().unwrap();
    });
}
