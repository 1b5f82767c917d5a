//! The contract of guards: the bulkhead keeps it, and whoever breaks it is caught.

mod broken;

use crate::support::Bench;
use broken::{Break, Counter, Door};
use rs_core::Enforcement;
use rs_policies::{Bulkhead, BulkheadConfig, contract};
use std::time::Duration;

#[test]
fn the_bulkhead_keeps_it() {
    let bench = Bench::new();
    for (limit, queue) in [(1, 0), (1, 5), (3, 0), (3, 2), (10, 100)] {
        let config = BulkheadConfig::of(limit).with_queue(queue, Duration::from_secs(1));
        let make = || Bulkhead::within(&bench.around, "bank", config).unwrap();
        contract::behaves(make);
        contract::gives_back(make);
        contract::cancels(make);
        contract::waits(make);
        contract::reports(make, contract::fill);
        for other in [1, 2, 7] {
            contract::reconfigures(make, |bank| {
                bank.reconfigure(BulkheadConfig::of(other)).unwrap();
            });
        }
        contract::goes_dark(
            make,
            contract::fill,
            |bank| {
                bank.reconfigure(config.with_enforcement(Enforcement::Dark))
                    .unwrap();
            },
            Bulkhead::would_have_held_up,
        );
    }
}

/// All there is, on a guard that is broken in one way or in none.
fn try_all(how: Option<Break>) {
    let make = || Door::new(3, how);
    contract::behaves(make);
    contract::gives_back(make);
    contract::cancels(make);
    contract::waits(make);
    contract::reports(make, contract::fill);
    contract::reconfigures(make, |door| door.resize(2));
    contract::goes_dark(make, contract::fill, Door::darken, Door::counted);
}

#[test]
fn a_guard_by_hand_keeps_it() {
    try_all(None);
}

/// A guard that holds nothing: it counts calls.
#[test]
fn a_guard_without_places_is_tried_as_far_as_it_goes() {
    contract::behaves(|| Counter::new(100));
    contract::reports(|| Counter::new(5), contract::fill);
    let caught = caught(|| contract::gives_back(|| Counter::new(5)));
    assert!(caught.contains("can be inside"), "{caught}");
}

#[track_caller]
fn caught(run: impl FnOnce()) -> String {
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_err();
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(other) => (*other.downcast::<&'static str>().unwrap()).to_owned(),
    }
}

#[test]
fn whoever_breaks_it_is_caught() {
    for (how, expected) in broken::ALL {
        let said = caught(|| try_all(Some(how)));
        println!("{how:?}: {said}");
        assert!(said.starts_with("contract: "), "{how:?}: {said}");
        assert!(said.contains(expected), "{how:?}: {said}");
    }
}

/// What is wrong with how it is tried is said, too.
#[test]
fn it_says_when_it_cannot_tell() {
    let said = caught(|| contract::gives_back(|| Door::new(100, None)));
    assert_eq!(
        said,
        "contract: a guard with fewer than 64 places is needed"
    );
    let said = caught(|| contract::reports(|| Door::new(100, None), contract::fill));
    assert!(said.contains("where the guard should refuse"), "{said}");
    let make = || Door::new(100, None);
    let dark = || contract::goes_dark(make, contract::fill, Door::darken, Door::counted);
    let said = caught(dark);
    assert!(
        said.contains("should refuse before it is in the dark"),
        "{said}"
    );
}
