//! Bulkheads: who is let in, who waits, who is refused, and what is left when all are gone.

mod model;
mod queue;
mod stress;

use std::{
    future::Future,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use crate::support::{Bench, MS, SECOND, at_once, percent, poll};
use rs_core::{Call, Enforcement, Guard, Label, Outcome, Permit, Policy, Rejection, Value};
use rs_policies::{Bulkhead, BulkheadConfig, Crowded, metrics};

fn bulkhead(bench: &Bench, config: BulkheadConfig) -> Bulkhead {
    Bulkhead::within(&bench.around, "bank", config).unwrap()
}

fn places(limit: u32, queue: u32) -> BulkheadConfig {
    BulkheadConfig::of(limit).with_queue(queue, SECOND)
}

fn enter(bulkhead: &Bulkhead) -> Result<Permit<&Bulkhead>, Rejection> {
    bulkhead.try_admit(&Call::new("charge"))
}

type Entering<'b> =
    Pin<Box<dyn Future<Output = Result<Permit<&'b Bulkhead>, Rejection>> + Send + 'b>>;

/// A call on its way in that has been polled once.
fn waits<'b>(bulkhead: &'b Bulkhead, call: &'b Call) -> Entering<'b> {
    let mut entering: Entering<'b> = Box::pin(bulkhead.admit(call));
    assert!(poll(entering.as_mut()).is_pending());
    entering
}

#[track_caller]
fn is_in<'b>(entering: &mut Entering<'b>) -> Permit<&'b Bulkhead> {
    match poll(entering.as_mut()) {
        Poll::Ready(entered) => entered.unwrap(),
        Poll::Pending => panic!("it still waits"),
    }
}

/// What the handle says, what is exported and what is shown are the same.
#[track_caller]
fn check_now(bench: &Bench, bulkhead: &Bulkhead, in_flight: u32, waiting: u32) {
    assert_eq!(
        (bulkhead.in_flight(), bulkhead.waiting()),
        (in_flight, waiting)
    );
    let gauge = |metric: &rs_metrics::Metric<rs_metrics::Gauge, (), 1>| {
        metric.read(&bench.registry, bulkhead.name(), ())
    };
    assert_eq!(gauge(&metrics::BULKHEAD_CONCURRENT), Some(in_flight.into()));
    assert_eq!(gauge(&metrics::BULKHEAD_QUEUE), Some(waiting.into()));
    assert_eq!(
        gauge(&metrics::BULKHEAD_LIMIT),
        Some(bulkhead.config().limit().into())
    );
    let shown = bench.directory.find("bulkhead", "bank").unwrap().snapshot();
    assert_eq!(
        shown.get("in_flight"),
        Some(&Value::Count(in_flight.into()))
    );
    assert_eq!(shown.get("waiting"), Some(&Value::Count(waiting.into())));
}

/// How many were refused: full, queue full, waited.
#[track_caller]
fn check_refused(bench: &Bench, bulkhead: &Bulkhead, expected: [u64; 3]) {
    for (reason, expected) in Crowded::ALL.iter().zip(expected) {
        assert_eq!(bulkhead.refused(*reason), expected, "{reason}");
        let exported = metrics::BULKHEAD_REJECTED.read(&bench.registry, bulkhead.name(), *reason);
        assert_eq!(exported, Some(expected), "{reason}");
    }
}

#[test]
fn so_many_and_no_more() {
    let bench = Bench::new();
    let bulkhead = bulkhead(&bench, BulkheadConfig::of(2));
    let (one, two) = (enter(&bulkhead).unwrap(), enter(&bulkhead).unwrap());
    check_now(&bench, &bulkhead, 2, 0);
    let full = "bulkhead `bank` refused the call: full (calls in flight 2, limit 2)";
    assert_eq!(enter(&bulkhead).unwrap_err().to_string(), full);
    // Nor by the way that could wait, for nobody may.
    let call = Call::new("charge");
    assert_eq!(
        at_once(bulkhead.admit(&call)).unwrap_err().to_string(),
        full
    );
    one.finish(Outcome::Success);
    let three = at_once(bulkhead.admit(&call)).unwrap();
    assert!(enter(&bulkhead).is_err());
    drop(two);
    three.finish(Outcome::TRANSIENT);
    check_now(&bench, &bulkhead, 0, 0);
    check_refused(&bench, &bulkhead, [3, 0, 0]);
}

#[test]
fn a_permit_comes_back_whatever_happens() {
    let bench = Bench::new();
    let bulkhead = bulkhead(&bench, BulkheadConfig::of(1));
    let panicking = || {
        let _permit = enter(&bulkhead).unwrap();
        panic!("inside");
    };
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(panicking)).unwrap_err();
    check_now(&bench, &bulkhead, 0, 0);
    let mut hangs = Box::pin(bulkhead.call("x", async |_| {
        std::future::pending::<Result<(), ()>>().await
    }));
    assert!(poll(hangs.as_mut()).is_pending());
    check_now(&bench, &bulkhead, 1, 0);
    drop(hangs);
    check_now(&bench, &bulkhead, 0, 0);
}

#[test]
fn other_numbers_hold_at_once() {
    let bench = Bench::new();
    let bulkhead = bulkhead(&bench, places(2, 2));
    let call = Call::new("charge");
    let inside = [enter(&bulkhead).unwrap(), enter(&bulkhead).unwrap()];
    let mut first = waits(&bulkhead, &call);
    let mut second = waits(&bulkhead, &call);
    // One place more is for whoever waited longest.
    assert_eq!(bulkhead.reconfigure(places(3, 2)), Ok(2));
    check_now(&bench, &bulkhead, 3, 1);
    let first = is_in(&mut first);
    assert!(poll(second.as_mut()).is_pending());
    // Fewer places: nobody is thrown out, and nobody comes in until there is room.
    assert_eq!(bulkhead.reconfigure(places(1, 0)), Ok(3));
    check_now(&bench, &bulkhead, 3, 1);
    drop(first);
    let [one, two] = inside;
    drop(one);
    assert!(poll(second.as_mut()).is_pending());
    assert!(enter(&bulkhead).is_err());
    check_now(&bench, &bulkhead, 1, 1);
    drop(two);
    drop(is_in(&mut second));
    check_now(&bench, &bulkhead, 0, 0);
    // What is wrong is refused whole.
    let error = bulkhead.reconfigure(places(0, 9)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "limit: 0 is out of range; allowed: 1 to 1000000"
    );
    assert_eq!(bulkhead.config(), places(1, 0));
}

#[test]
fn many_places_more_serve_many() {
    let bench = Bench::new();
    let bulkhead = bulkhead(&bench, places(1, 100));
    let call = Call::new("charge");
    let inside = enter(&bulkhead).unwrap();
    let mut waiting: Vec<_> = (0..100).map(|_| waits(&bulkhead, &call)).collect();
    bulkhead.reconfigure(places(61, 100)).unwrap();
    check_now(&bench, &bulkhead, 61, 40);
    let inside: Vec<_> = waiting[..60]
        .iter_mut()
        .map(is_in)
        .chain([inside])
        .collect();
    assert!(
        waiting[60..]
            .iter_mut()
            .all(|one| poll(one.as_mut()).is_pending())
    );
    drop(inside);
    check_now(&bench, &bulkhead, 40, 0);
    drop(waiting);
    check_now(&bench, &bulkhead, 0, 0);
}

#[test]
fn dark_mode_counts_and_lets_in() {
    let bench = Bench::new();
    let dark = places(1, 1).with_enforcement(Enforcement::Dark);
    let bulkhead = bulkhead(&bench, dark);
    let call = Call::new("charge");
    let inside = [
        enter(&bulkhead).unwrap(),
        enter(&bulkhead).unwrap(),
        at_once(bulkhead.admit(&call)).unwrap(),
    ];
    check_now(&bench, &bulkhead, 3, 0);
    assert_eq!(bulkhead.would_have_held_up(), 2);
    let exported = metrics::BULKHEAD_DARK.read(&bench.registry, bulkhead.name(), ());
    assert_eq!(exported, Some(2));
    check_refused(&bench, &bulkhead, [0, 0, 0]);
    // Back in the light the surplus goes first.
    bulkhead.reconfigure(places(2, 1)).unwrap();
    let mut waiting = waits(&bulkhead, &call);
    let [one, two, three] = inside;
    drop(one);
    assert!(poll(waiting.as_mut()).is_pending());
    drop(two);
    let four = is_in(&mut waiting);
    drop((three, four));
    check_now(&bench, &bulkhead, 0, 0);
}

/// Whoever began to wait in the light is not refused in the dark.
#[test]
fn nobody_is_refused_in_the_dark() {
    let bench = Bench::new();
    let bulkhead = bulkhead(&bench, places(1, 1));
    let call = Call::new("charge");
    let inside = enter(&bulkhead).unwrap();
    let mut waiting = waits(&bulkhead, &call);
    bulkhead
        .reconfigure(places(1, 1).with_enforcement(Enforcement::Dark))
        .unwrap();
    bench.wait(2 * SECOND);
    let let_in = is_in(&mut waiting);
    check_now(&bench, &bulkhead, 2, 0);
    check_refused(&bench, &bulkhead, [0, 0, 0]);
    assert_eq!(bulkhead.would_have_held_up(), 1);
    drop((inside, let_in));
    check_now(&bench, &bulkhead, 0, 0);
}

#[test]
fn a_share_of_the_calls_is_held_up() {
    let bench = Bench::new();
    let some = BulkheadConfig::of(1).with_enforcement(Enforcement::Partial(percent(25)));
    let bulkhead = bulkhead(&bench, some);
    let inside = enter(&bulkhead).unwrap();
    let refused = (0..2000).filter(|_| enter(&bulkhead).is_err()).count() as u64;
    assert!((400..600).contains(&refused), "{refused}");
    assert_eq!(bulkhead.would_have_held_up(), 2000 - refused);
    check_refused(&bench, &bulkhead, [refused, 0, 0]);
    drop(inside);
    check_now(&bench, &bulkhead, 0, 0);
}

#[test]
fn blocking_calls_do_not_wait() {
    let bench = Bench::new();
    let bulkhead = bulkhead(&bench, places(1, 5));
    let inside = enter(&bulkhead).unwrap();
    let call = || bulkhead.call_blocking("x", &rs_core::ByResult, |_| Ok::<_, ()>(1));
    assert!(call().unwrap_err().is_rejected());
    drop(inside);
    assert_eq!(call(), Ok(1));
    check_refused(&bench, &bulkhead, [1, 0, 0]);
}

#[cfg(feature = "serde")]
#[test]
fn the_directory_can_give_other_numbers() {
    use rs_core::{Action, Mandate};
    let bench = Bench::new();
    let bulkhead = bulkhead(&bench, places(1, 1));
    let anna = Mandate::new("anna", "a drill");
    let order = |text: &str| {
        let config: Value = serde_json::from_str(text).unwrap();
        let action = Action::new("reconfigure").with("config", config);
        let done = bench.directory.control("bulkhead", "bank", &action, &anna);
        done.map_err(|error| error.to_string())
    };
    assert_eq!(order(r#"{"limit": 7, "longest_wait": "2s"}"#), Ok(()));
    assert_eq!(
        bulkhead.config(),
        BulkheadConfig::of(7).with_queue(0, 2 * SECOND)
    );
    let refused = |text| order(text).unwrap_err();
    assert_eq!(refused("{}"), "config.limit: is missing");
    assert_eq!(
        refused(r#"{"limit": 7, "longest_wait": "2h"}"#),
        "config.longest_wait: 2h is out of range; allowed: 1ms to 1h"
    );
    assert!(
        refused(r#"{"limit": 7, "que": 1}"#)
            .starts_with("config: unknown field `que`, did you mean `queue`?")
    );
    assert_eq!(bulkhead.config().limit(), 7);
}
