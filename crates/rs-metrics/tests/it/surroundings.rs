//! What patterns live in.

use rs_core::Clock;
use rs_metrics::{Registry, Surroundings};
use std::{
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

#[derive(Debug, Clone, PartialEq)]
struct Helper(u32);

#[test]
fn a_helper_is_made_once_and_shared_by_clones() {
    let made = AtomicU32::new(0);
    let make = |_of_process: bool| Helper(made.fetch_add(1, Relaxed));
    let alone = Surroundings::apart();
    assert_eq!(alone.helper_or(make), Helper(0));
    assert_eq!(alone.clone().helper_or(make), Helper(0));
    assert_eq!(alone.helper::<Helper>(), None, "nobody gave it");
}

#[test]
fn what_was_made_of_other_parts_is_made_again() {
    let (clock, hand) = Clock::manual();
    let alone = Surroundings::apart();
    let seconds = |around: &Surroundings| {
        let now = around.clock().now();
        around.helper_or(|_of_process| now)
    };
    let before = seconds(&alone);
    hand.advance(Duration::from_secs(3600));
    let other = alone.clone().with_clock(clock);
    assert!(seconds(&other) > before + Duration::from_secs(3000));
    assert_eq!(seconds(&alone), before, "the first ones keep theirs");
}

#[test]
fn a_given_helper_wins_and_the_last_given_one_counts() {
    let around = Surroundings::apart().with(Helper(1)).with(Helper(2));
    assert_eq!(around.helper(), Some(&Helper(2)));
    assert_eq!(around.helper_or(|_| Helper(3)), Helper(2));
    let (clock, _hand) = Clock::manual();
    assert_eq!(around.with_clock(clock).helper(), Some(&Helper(2)));
}

#[test]
fn only_the_clock_of_the_process_is_that_of_the_process() {
    let whose = |around: Surroundings| around.helper_or(|of_process: bool| of_process);
    assert!(whose(Surroundings::of_process()));
    assert!(whose(
        Surroundings::of_process().with_metrics(Registry::new())
    ));
    assert!(!whose(Surroundings::apart()));
    let (clock, _hand) = Clock::manual();
    assert!(!whose(Surroundings::of_process().with_clock(clock)));
}

#[test]
fn a_seed_gives_each_name_its_own_luck_again_and_again() {
    let roll = |name: &str| Surroundings::apart().with_seed(7).dice(name).u64(..);
    assert_eq!(roll("payments"), roll("payments"));
    assert_ne!(roll("payments"), roll("orders"));
}
