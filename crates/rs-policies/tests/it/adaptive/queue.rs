//! Who waits, who is served and who is shed.

use rs_core::{Call, Criticality, Deadline, Enforcement, Guard, Outcome};
use rs_policies::{AdaptiveConfig, Saturated, Waiting};

use super::{Bench, MS, fixed, is_in, poll, refused};

use Criticality::{Critical, CriticalPlus, Sheddable, SheddablePlus};

fn one_place(length: u32) -> Bench {
    Bench::with(fixed(1).with_queue(Waiting::at_most(length).for_at_most(1000 * MS)))
}

#[test]
fn the_most_critical_is_served_first_and_each_class_in_its_order() {
    let bench = one_place(10);
    let mut permit = bench.enter().unwrap();
    let order = [Sheddable, Critical, CriticalPlus, Critical, SheddablePlus];
    let mut waiting: Vec<_> = order.iter().map(|class| bench.joined(*class)).collect();
    for next in [2, 1, 3, 4, 0] {
        permit.finish(Outcome::Success);
        for (number, other) in waiting.iter_mut().enumerate() {
            if number != next
                && ![2, 1, 3, 4, 0]
                    .iter()
                    .take_while(|n| **n != next)
                    .any(|n| *n == number)
            {
                assert!(poll(other).is_pending());
            }
        }
        permit = is_in(&mut waiting[next]);
    }
    drop(permit);
    assert_eq!((bench.limit.in_flight(), bench.limit.waiting()), (0, 0));
}

#[test]
fn a_newcomer_does_not_overtake_its_class_but_passes_a_lower_one() {
    let config = AdaptiveConfig::default()
        .between(10, 10)
        .with_queue(Waiting::at_most(10));
    let bench = Bench::with(config);
    let call = |class| Call::new("x").with_criticality(class);
    let mut permits: Vec<_> = (0..6)
        .map(|_| bench.limit.try_admit(&call(Sheddable)).unwrap())
        .collect();
    let mut low = bench.joined(Sheddable);
    // Six of ten: batch work waits, the others do not.
    permits.push(bench.limit.try_admit(&call(Critical)).unwrap());
    assert!(bench.limit.try_admit(&call(Sheddable)).is_err());
    drop(permits.pop());
    assert!(poll(&mut low).is_pending());
    drop(permits.pop());
    assert!(is_in(&mut low).ticket().is_some());
}

/// A queue that drains within the interval only takes up a burst: nobody is shed from it, and its order
/// is kept.
#[test]
fn a_burst_is_taken_up() {
    let bench = one_place(100);
    let mut permit = bench.enter().unwrap();
    let mut waiting: Vec<_> = (0..9).map(|_| bench.joined(Critical)).collect();
    for next in &mut waiting {
        bench.hand.advance(10 * MS);
        permit.finish(Outcome::Success);
        permit = is_in(next);
    }
}

/// Once the oldest has been older than the target for an interval, the newest are served first and the
/// overdue are shed.
#[test]
fn a_standing_queue_is_shed_and_served_newest_first() {
    let bench = one_place(100);
    let mut permit = bench.enter().unwrap();
    let mut old: Vec<_> = (0..3).map(|_| bench.joined(Critical)).collect();
    bench.hand.advance(6 * MS);
    // From now on it stands, if it goes on.
    permit.finish(Outcome::Success);
    permit = is_in(&mut old[0]);
    bench.hand.advance(99 * MS);
    let mut new: Vec<_> = (0..2).map(|_| bench.joined(Critical)).collect();
    assert!(poll(&mut old[1]).is_pending(), "99 ms are no interval");
    bench.hand.advance(MS);
    permit.finish(Outcome::Success);
    assert!(is_in(&mut new[1]).ticket().is_some());
    for old in &mut old[1..] {
        let why = refused(old).to_string();
        assert_eq!(
            why,
            "adaptive_limit `search` refused the call: overdue (waited 106ms, limit 10ms)"
        );
    }
    assert!(is_in(&mut new[0]).ticket().is_some());
    assert_eq!(bench.limit.refused(Saturated::Overdue, Critical), 2);
}

/// The least critical wait longest, so their lane stands first; the others do not notice.
#[test]
fn only_the_lane_that_stands_is_shed() {
    let config = AdaptiveConfig::default()
        .between(10, 10)
        .with_queue(Waiting::at_most(10));
    let bench = Bench::with(config);
    let plus = Call::new("x").with_criticality(CriticalPlus);
    let mut permits: Vec<_> = (0..10)
        .map(|_| bench.limit.try_admit(&plus).unwrap())
        .collect();
    let mut low = bench.joined(Sheddable);
    for _ in 0..12 {
        bench.hand.advance(10 * MS);
        let mut high = bench.joined(Critical);
        permits.remove(0).finish(Outcome::Success);
        permits.push(is_in(&mut high));
    }
    assert_eq!(refused(&mut low).reason().code(), "overdue");
}

#[test]
fn when_the_queue_is_full_the_least_critical_makes_room() {
    let bench = one_place(2);
    let permit = bench.enter().unwrap();
    let mut first = bench.joined(Sheddable);
    let mut second = bench.joined(SheddablePlus);
    let mut third = bench.joined(Critical);
    assert_eq!(refused(&mut first).reason().code(), "queue_full");
    let mut late = bench.entering(Call::new("x").with_criticality(SheddablePlus));
    assert_eq!(
        refused(&mut late).to_string(),
        "adaptive_limit `search` refused the call: queue_full (calls waiting 2, limit 2)"
    );
    assert_eq!(bench.limit.waiting(), 2);
    permit.finish(Outcome::Success);
    is_in(&mut third).finish(Outcome::Success);
    is_in(&mut second).finish(Outcome::Success);
    assert_eq!((bench.limit.in_flight(), bench.limit.waiting()), (0, 0));
}

#[test]
fn nobody_waits_past_the_limit_or_the_deadline() {
    let bench = one_place(10);
    let _permit = bench.enter().unwrap();
    let now = bench.clock.now();
    let mut patient = bench.entering(Call::new("x"));
    let mut urgent = bench.entering(Call::new("x").by(Deadline::after(now, 30 * MS)));
    assert!(poll(&mut patient).is_pending() && poll(&mut urgent).is_pending());
    bench.hand.advance(29 * MS);
    assert!(poll(&mut urgent).is_pending());
    bench.hand.advance(MS);
    assert_eq!(
        refused(&mut urgent).to_string(),
        "adaptive_limit `search` refused the call: waited (waited 30ms, limit 30ms)"
    );
    bench.hand.advance(969 * MS);
    assert!(poll(&mut patient).is_pending());
    bench.hand.advance(MS);
    assert_eq!(refused(&mut patient).reason().code(), "waited");
    assert_eq!(bench.limit.waiting(), 0);
}

/// Who waits is served when the limit is raised, not when the next call ends.
#[test]
fn a_higher_limit_serves_those_who_wait() {
    let bench = one_place(10);
    let _permit = bench.enter().unwrap();
    let mut waiting = bench.joined(Critical);
    let queue = Waiting::at_most(10);
    bench.limit.reconfigure(fixed(2).with_queue(queue)).unwrap();
    assert!(is_in(&mut waiting).ticket().is_some());
}

/// Nobody else may wait any more; who does keeps its place.
#[test]
fn a_queue_can_be_taken_away() {
    let bench = one_place(10);
    let permit = bench.enter().unwrap();
    let mut waiting = bench.joined(Critical);
    bench.limit.reconfigure(fixed(1)).unwrap();
    assert_eq!(
        refused(&mut bench.entering("x".into())).reason().code(),
        "full"
    );
    permit.finish(Outcome::Success);
    assert!(is_in(&mut waiting).ticket().is_some());
}

#[test]
fn in_the_dark_everybody_is_let_in_and_counted() {
    let bench = Bench::with(fixed(2).with_enforcement(Enforcement::Dark));
    let permits: Vec<_> = (0..5).map(|_| bench.enter().unwrap()).collect();
    assert_eq!(
        (bench.limit.in_flight(), bench.limit.would_have_held_up()),
        (5, 3)
    );
    drop(permits);
    assert_eq!(bench.limit.in_flight(), 0);
    assert_eq!(bench.limit.refused(Saturated::Full, Critical), 0);
}
