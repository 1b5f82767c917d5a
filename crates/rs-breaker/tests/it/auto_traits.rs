//! What every public type can be used for, and how large it is: a change here breaks somebody.

use rs_breaker::*;
use rs_core::{Call, Guard, Mandate, Permit, Policy, Rejection};
use std::rc::Rc;

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
        Advice: "Send Sync Unpin Copy Clone";
        Breaker: "Send Sync Unpin Clone";
        BreakerConfig: "Send Sync Unpin Clone";
        BreakerRegistry: "Send Sync Unpin Clone";
        BreakerSnapshot: "Send Sync Unpin Clone";
        BreakerState: "Send Sync Unpin Copy Clone";
        Cause: "Send Sync Unpin Copy Clone";
        CauseKind: "Send Sync Unpin Copy Clone";
        Curve: "Send Sync Unpin Copy Clone";
        FailureKind: "Send Sync Unpin Copy Clone";
        Fleet: "Send Sync Unpin Clone";
        FleetConfig: "Send Sync Unpin Clone";
        FleetOrder: "Send Sync Unpin Clone";
        Forced: "Send Sync Unpin Copy Clone";
        MemoryStorage: "Send Sync Unpin Clone";
        OpenTime: "Send Sync Unpin Clone";
        Opening: "Send Sync Unpin Copy Clone";
        OrElse<fn()>: "Send Sync Unpin Clone";
        OrElse<Rc<()>>: "Unpin Clone";
        OrValue<String>: "Send Sync Unpin Clone";
        OrValue<Rc<()>>: "Unpin Clone";
        Ordered: "Send Sync Unpin Clone";
        Permit<Breaker>: "Send Sync Unpin";
        Probing: "Send Sync Unpin Copy Clone";
        Ramp: "Send Sync Unpin Copy Clone";
        Refused: "Send Sync Unpin Copy Clone";
        RegistryConfig: "Send Sync Unpin Clone";
        ResponseTimes: "Send Sync Unpin Copy Clone";
        Span: "Send Sync Unpin Copy Clone";
        Supervisor: "Send Sync Unpin Clone";
        Surroundings: "Send Sync Unpin Clone";
        Ticket: "Send Sync Unpin Copy Clone";
        Timing: "Send Sync Unpin Copy Clone";
        Trip: "Send Sync Unpin Copy Clone";
        Window: "Send Sync Unpin Copy Clone";
        metrics::RequestOutcome: "Send Sync Unpin Copy Clone";
    }
    #[cfg(feature = "cache")]
    table! {
        LastGood<String>: "Send Sync Unpin Clone";
        Served<String>: "Send Sync Unpin Clone";
        Served<Rc<()>>: "Unpin Clone";
    }
    #[cfg(feature = "tower")]
    table! {
        BreakerLayer: "Send Sync Unpin Clone";
        BreakerService<()>: "Send Sync Unpin Clone";
    }
    #[cfg(feature = "redis")]
    table! {
        RedisStorage: "Send Sync Unpin";
    }
}

/// The futures that the public functions give out.
#[test]
fn every_future_is_send() {
    fn assert_send<F: Send>(future: F) -> F {
        future
    }
    let around = Surroundings::apart();
    let breaker = Breaker::within(&around, "one", BreakerConfig::default()).unwrap();
    let call = Call::new("x");
    drop(assert_send(Supervisor::of(&around).run()));
    drop(assert_send(breaker.admit(&call)));
    drop(assert_send(breaker.call(call, async |_| Ok::<(), ()>(()))));
    let or_value = breaker.or_value(1);
    drop(assert_send(or_value.call(call, async |_| Ok::<i32, ()>(2))));
    let or_else = breaker.or_else(async |_: Call, _: Rejection| Ok::<i32, ()>(1));
    drop(assert_send(or_else.call(call, async |_| Ok::<i32, ()>(2))));
    breaker.reset(Mandate::new("anna", "the end"));
}

/// What hot paths rely on: a ticket travels in registers.
#[test]
fn sizes() {
    #[track_caller]
    fn check<T>(expected: usize) {
        assert_eq!(size_of::<T>(), expected, "{}", std::any::type_name::<T>());
    }
    check::<Ticket>(16);
    check::<Option<Ticket>>(16);
    check::<Permit<&Breaker>>(24);
    check::<Breaker>(8);
    check::<Option<Breaker>>(8);
}
