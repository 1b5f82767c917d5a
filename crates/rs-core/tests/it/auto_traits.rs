//! What every public type can be used for, and how large it is: a change here breaks somebody.

use rs_core::*;
use std::{rc::Rc, sync::Arc};

use crate::support::Seats;

/// Whether a type meets a bound, as a constant: the inherent one wins where the bound is met.
macro_rules! is {
    ($type:ty: $($bound:tt)+) => {{
        #[allow(dead_code, reason = "unused where every type meets the bound")]
        trait Not {
            const MET: bool = false;
        }
        impl<T: ?Sized> Not for Asked<T> {}
        struct Asked<T: ?Sized>(std::marker::PhantomData<T>);
        #[allow(dead_code, reason = "unused where no type meets the bound")]
        impl<T: ?Sized + $($bound)+> Asked<T> {
            const MET: bool = true;
        }
        <Asked<$type>>::MET
    }};
}

macro_rules! table {
    ($($type:ty: $expected:literal;)*) => {$(
        assert_static::<$type>();
        let found: String = [
            ("Send ", is!($type: Send)),
            ("Sync ", is!($type: Sync)),
            ("Unpin ", is!($type: Unpin)),
            ("Copy ", is!($type: Copy)),
            ("Clone ", is!($type: Clone)),
        ]
        .into_iter()
        .filter_map(|(name, met)| met.then_some(name))
        .collect();
        assert_eq!(found.trim_end(), $expected, "{}", stringify!($type));
    )*};
}

fn assert_static<T: 'static>() {}

#[test]
fn the_table_can_tell() {
    table! {
        u32: "Send Sync Unpin Copy Clone";
        Rc<u32>: "Unpin Clone";
        std::cell::Cell<u32>: "Send Unpin Clone";
        std::marker::PhantomPinned: "Send Sync Copy Clone";
    }
}

#[test]
fn every_public_type() {
    table! {
        Action: "Send Sync Unpin Clone";
        ActionSpec: "Send Sync Unpin Copy Clone";
        AnyGuard: "Send Sync Unpin Clone";
        Backoff: "Send Sync Unpin Clone";
        BoundedNames: "Send Sync Unpin";
        ByResult: "Send Sync Unpin Copy Clone";
        Call: "Send Sync Unpin Copy Clone";
        CallId: "Send Sync Unpin Copy Clone";
        Clock: "Send Sync Unpin Clone";
        ClockHand: "Send Sync Unpin Clone";
        Condition: "Send Sync Unpin Copy Clone";
        ConfigError: "Send Sync Unpin Clone";
        ConfigProblem: "Send Sync Unpin Clone";
        ControlError: "Send Sync Unpin Clone";
        Correlation: "Send Sync Unpin Copy Clone";
        Criticality: "Send Sync Unpin Copy Clone";
        Curve: "Send Sync Unpin Copy Clone";
        Deadline: "Send Sync Unpin Copy Clone";
        Delays: "Send Unpin";
        Directory: "Send Sync Unpin Clone";
        EmptyCorrelation: "Send Sync Unpin Copy Clone";
        Ending: "Send Sync Unpin Copy Clone";
        Enforcement: "Send Sync Unpin Copy Clone";
        Evidence: "Send Sync Unpin Copy Clone";
        Failure<String>: "Send Sync Unpin Clone";
        Failure<Rc<()>>: "Unpin Clone";
        Fault: "Send Sync Unpin Copy Clone";
        FaultKind: "Send Sync Unpin Copy Clone";
        FlightRecorder: "Send Sync Unpin Clone";
        Health: "Send Sync Unpin Clone";
        Held: "Send Sync Unpin";
        Jitter: "Send Sync Unpin Copy Clone";
        Mandate: "Send Sync Unpin Clone";
        Measure: "Send Sync Unpin";
        Name: "Send Sync Unpin Copy Clone";
        Observer: "Send Sync Unpin";
        OperationFn<fn()>: "Send Sync Unpin Copy Clone";
        OperationOnce<fn()>: "Send Sync Unpin";
        OperationOnce<std::cell::Cell<u8>>: "Send Sync Unpin";
        Outcome: "Send Sync Unpin Copy Clone";
        Permit<&Seats>: "Send Sync Unpin";
        Permit<Arc<Seats>>: "Send Sync Unpin";
        PolicyList: "Send Sync Unpin Clone";
        Rate: "Send Sync Unpin Copy Clone";
        Reason: "Send Sync Unpin";
        Recorded: "Send Sync Unpin Clone";
        Rejection: "Send Sync Unpin Copy Clone";
        RoutingKey: "Send Sync Unpin Copy Clone";
        Shared<ByResult>: "Send Sync Unpin Clone";
        Severity: "Send Sync Unpin Copy Clone";
        Share: "Send Sync Unpin Copy Clone";
        Signal: "Send Sync Unpin Clone";
        SignalKind: "Send Sync Unpin";
        Size: "Send Sync Unpin Copy Clone";
        Snapshot: "Send Sync Unpin Clone";
        Striped<u64>: "Send Sync Unpin Clone";
        Striped<Rc<u64>>: "Unpin Clone";
        TimedOut: "Send Sync Unpin Copy Clone";
        TimeScope: "Send Sync Unpin Copy Clone";
        Unit: "Send Sync Unpin Copy Clone";
        Value: "Send Sync Unpin Clone";
    }
}

/// The futures that the public functions give out.
#[test]
fn every_future_is_send() {
    fn assert_send<F: Send>(future: F) -> F {
        future
    }
    let (clock, _hand) = Clock::manual();
    let call = Call::new("x");
    let seats = Seats::new("one", 1);
    let erased = AnyGuard::new(Seats::new("two", 1));
    let list = PolicyList::new();
    let mut observer = FlightRecorder::new(1).observe();
    drop(assert_send(clock.sleep(std::time::Duration::ZERO)));
    drop(assert_send(clock.sleep_until(clock.now())));
    drop(assert_send(seats.admit(&call)));
    drop(assert_send(seats.enter(&call)));
    drop(assert_send(erased.admit(&call)));
    drop(assert_send(observer.next()));
    drop(assert_send(list.call(call, async |_| Ok::<(), ()>(()))));
    drop(assert_send(
        (&seats, &erased).call(call, async |_| Ok::<(), ()>(())),
    ));
}

/// What the docs of the crate say, and what hot paths rely on.
#[test]
fn sizes() {
    #[track_caller]
    fn check<T>(expected: usize) {
        assert_eq!(size_of::<T>(), expected, "{}", std::any::type_name::<T>());
    }
    check::<Name>(16);
    check::<Option<Name>>(16);
    check::<CallId>(8);
    check::<Option<CallId>>(8);
    check::<Correlation>(16);
    check::<Option<Correlation>>(16);
    check::<Option<Deadline>>(16);
    check::<Call>(96);
    check::<Rejection>(64);
    check::<Outcome>(24);
    check::<Signal>(144);
    // A refusal costs an error no more than itself.
    check::<Failure<()>>(64);
    check::<Failure<Box<dyn std::error::Error>>>(64);
    check::<Permit<&crate::cost::Counted>>(24);
}
