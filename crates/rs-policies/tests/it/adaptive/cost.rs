//! A call that finds a place allocates nothing, and neither does a window that ends.

use rs_core::{Call, Guard, Outcome};
use rs_policies::{LoadShed, LoadShedConfig, Surroundings};

use super::{Bench, MS, fixed};

#[test]
fn an_admitted_call_allocates_nothing() {
    let bench = Bench::with(fixed(8));
    let shed = LoadShed::within(&Surroundings::apart(), "shed", LoadShedConfig::default()).unwrap();
    let call = Call::new("x");
    let made = allocation_counter::measure(|| {
        for _ in 0..1000 {
            let permit = bench.limit.try_admit(&call).unwrap();
            let sent = shed.try_admit(&call).unwrap();
            bench.hand.advance(5 * MS);
            sent.finish(Outcome::Success);
            permit.finish(Outcome::Success);
        }
    });
    assert_eq!(made.count_total, 0);
    // That many windows ended meanwhile that the time is known.
    assert_eq!(bench.limit.unloaded_time(), Some(5 * MS));
    // And a rejection costs none, either.
    let _permits: Vec<_> = (0..8)
        .map(|_| bench.limit.try_admit(&call).unwrap())
        .collect();
    let made = allocation_counter::measure(|| assert!(bench.limit.try_admit(&call).is_err()));
    assert_eq!(made.count_total, 0);
}

#[test]
fn handles_and_tickets_can_be_sent_and_shared() {
    fn check<T: Send + Sync + Clone + std::fmt::Debug + 'static>() {}
    check::<rs_policies::AdaptiveLimit>();
    check::<rs_policies::AdaptiveTicket>();
    check::<rs_policies::AdaptiveConfig>();
    check::<rs_policies::Algorithm>();
    check::<rs_policies::LoadShed>();
    check::<rs_policies::ShedTicket>();
}
