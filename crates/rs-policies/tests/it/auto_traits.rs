//! What every public type can be used for, and how large it is: a change here breaks somebody.

use rs_core::{Call, Guard, Permit, Policy};
use rs_policies::*;
use std::{fmt::Debug, rc::Rc};

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
        let found: String = [
            ("Send ", is!($type: Send)),
            ("Sync ", is!($type: Sync)),
            ("Unpin ", is!($type: Unpin)),
            ("Debug ", is!($type: Debug)),
            ("Copy ", is!($type: Copy)),
            ("Clone ", is!($type: Clone)),
        ]
        .into_iter()
        .filter_map(|(name, met)| met.then_some(name))
        .collect();
        assert_eq!(found.trim_end(), $expected, "{}", stringify!($type));
    )*};
}

#[test]
fn the_table_can_tell() {
    table! {
        u32: "Send Sync Unpin Debug Copy Clone";
        Rc<u32>: "Unpin Debug Clone";
        std::cell::Cell<u32>: "Send Unpin Debug Clone";
        std::marker::PhantomPinned: "Send Sync Debug Copy Clone";
    }
}

#[test]
fn every_public_type() {
    table! {
        AdaptiveConfig: "Send Sync Unpin Debug Clone";
        AdaptiveLimit: "Send Sync Unpin Debug Clone";
        AdaptiveTicket: "Send Sync Unpin Debug Copy Clone";
        Aimd: "Send Sync Unpin Debug Copy Clone";
        Algorithm: "Send Sync Unpin Debug Clone";
        Because: "Send Sync Unpin Debug Copy Clone";
        Both<Bulkhead, Retry>: "Send Sync Unpin Debug Clone";
        Bulkhead: "Send Sync Unpin Debug Clone";
        BulkheadConfig: "Send Sync Unpin Debug Copy Clone";
        Budget: "Send Sync Unpin Debug Clone";
        BudgetConfig: "Send Sync Unpin Debug Copy Clone";
        Changes: "Send Sync Unpin Debug Clone";
        ClassShares: "Send Sync Unpin Debug Copy Clone";
        Coalesce<u32, u32>: "Send Sync Unpin Debug Clone";
        CoalesceConfig: "Send Sync Unpin Debug Copy Clone";
        CoalesceRole: "Send Sync Unpin Debug Copy Clone";
        Costs: "Send Sync Unpin Debug Copy Clone";
        Crowded: "Send Sync Unpin Debug Copy Clone";
        DeadlineHeader: "Send Sync Unpin Debug Copy Clone";
        Doubt: "Send Sync Unpin Debug Clone";
        DynPipeline: "Send Sync Unpin Debug Clone";
        Fallback<OrValue<u32>>: "Send Sync Unpin Debug Clone";
        FallbackConfig: "Send Sync Unpin Debug Copy Clone";
        FallbackSource: "Send Sync Unpin Debug Copy Clone";
        Fetched: "Send Sync Unpin Debug Copy Clone";
        FromFn<fn()>: "Send Sync Unpin Debug Copy Clone";
        Given<Bulkhead, BulkheadConfig>: "Send Sync Unpin Debug Clone";
        Gradient: "Send Sync Unpin Debug Copy Clone";
        HealthSummary: "Send Sync Unpin Debug Clone";
        Hedge: "Send Sync Unpin Debug Clone";
        HedgeConfig: "Send Sync Unpin Debug Copy Clone";
        HedgeDelay: "Send Sync Unpin Debug Copy Clone";
        HedgeEnd: "Send Sync Unpin Debug Copy Clone";
        IdleTimeout: "Send Sync Unpin Debug Clone";
        Keyed<Bulkhead>: "Send Sync Unpin Debug";
        KeyedTicket<Bulkhead>: "Send Sync Unpin Debug";
        LoadShed: "Send Sync Unpin Debug Clone";
        LoadShedConfig: "Send Sync Unpin Debug Copy Clone";
        NamedPipeline: "Send Sync Unpin Debug Clone";
        OrElse<fn()>: "Send Sync Unpin Debug Copy Clone";
        OrValue<u32>: "Send Sync Unpin Debug Copy Clone";
        OwnAlgorithm: "Send Sync Unpin Debug Clone";
        PerKey<Bulkhead>: "Send Sync Unpin Debug Clone";
        PerKeyConfig: "Send Sync Unpin Debug Copy Clone";
        Permit<Bulkhead>: "Send Sync Unpin Debug";
        Pipeline: "Send Sync Unpin Debug Clone";
        Pipeline<Bulkhead, RateLimit, With<Hedge>>: "Send Sync Unpin Debug Clone";
        PipelineBuilder: "Send Sync Unpin Debug";
        PipelineConfig: "Send Sync Unpin Debug Clone";
        PipelineEnd: "Send Sync Unpin Debug Copy Clone";
        PipelineMetrics: "Send Sync Unpin Debug Clone";
        Pipelines: "Send Sync Unpin Debug Clone";
        Plan: "Send Sync Unpin Debug Clone";
        PlanError: "Send Sync Unpin Debug Clone";
        Pulse: "Send Sync Unpin Debug Clone";
        RateLimit: "Send Sync Unpin Debug Clone";
        RateLimitConfig: "Send Sync Unpin Debug Copy Clone";
        ResilienceConfig: "Send Sync Unpin Debug Clone";
        ResilienceManager: "Send Sync Unpin Debug Clone";
        Retry: "Send Sync Unpin Debug Clone";
        RetryConfig: "Send Sync Unpin Debug Clone";
        RetryEnd: "Send Sync Unpin Debug Copy Clone";
        Retrying<'static>: "Send Sync Unpin Debug Copy Clone";
        Sample: "Send Sync Unpin Debug Copy Clone";
        Saturated: "Send Sync Unpin Debug Copy Clone";
        Served<u32>: "Send Sync Unpin Debug Clone";
        SharedRateLimit: "Send Sync Unpin Debug Clone";
        SharedRateLimitConfig: "Send Sync Unpin Debug Copy Clone";
        ShedTicket: "Send Sync Unpin Debug Copy Clone";
        Sketch: "Send Sync Unpin Debug Clone";
        Stack<(Retry, Bulkhead)>: "Send Sync Unpin Debug Clone";
        Strike: "Send Sync Unpin Debug Copy Clone";
        Surroundings: "Send Sync Unpin Debug Clone";
        Taking<'static>: "Send Unpin";
        Timeout: "Send Sync Unpin Debug Clone";
        TimeoutConfig: "Send Sync Unpin Debug Copy Clone";
        TokenAsk: "Send Sync Unpin Debug Copy Clone";
        TokenStoreError: "Send Sync Unpin Debug Clone";
        TokensGiven: "Send Sync Unpin Debug Copy Clone";
        TooFast: "Send Sync Unpin Debug Copy Clone";
        TryFromFn<fn()>: "Send Sync Unpin Debug Copy Clone";
        Unanswered: "Send Sync Unpin Debug Copy Clone";
        Vegas: "Send Sync Unpin Debug Copy Clone";
        Waiting: "Send Sync Unpin Debug Copy Clone";
        WatchedFn<fn(), rs_core::ByResult>: "Send Sync Unpin Debug";
        WhenFull: "Send Sync Unpin Debug Copy Clone";
        With<Hedge>: "Send Sync Unpin Debug Clone";
        metrics::Class: "Send Sync Unpin Debug Copy Clone";
        metrics::Limits: "Send Sync Unpin Debug Copy Clone";
    }
}

/// The futures that the public functions give out.
#[test]
fn every_future_is_send() {
    fn assert_send<F: Send>(future: F) -> F {
        future
    }
    let around = Surroundings::apart();
    let call = Call::new("x");
    let bulkhead = Bulkhead::within(&around, "b", BulkheadConfig::of(1)).unwrap();
    let retry = Retry::within(&around, "r", RetryConfig::default()).unwrap();
    let second = std::time::Duration::from_secs(1);
    let timeout = Timeout::within(&around, "t", rs_core::TimeScope::Total, second).unwrap();
    drop(assert_send(bulkhead.admit(&call)));
    drop(assert_send(bulkhead.call(call, async |_| Ok::<(), ()>(()))));
    drop(assert_send(retry.call(call, async |_| Ok::<(), ()>(()))));
    drop(assert_send(timeout.call(call, async |_| Ok::<(), ()>(()))));
    let all = (timeout, retry, bulkhead);
    drop(assert_send(all.call(call, async |_| Ok::<(), ()>(()))));
}

#[test]
fn handles_are_one_pointer() {
    assert_eq!(size_of::<Option<Bulkhead>>(), 8);
    assert_eq!(size_of::<Option<Budget>>(), 8);
    assert_eq!(size_of::<Option<Retry>>(), 8);
    assert_eq!(size_of::<Option<Timeout>>(), 8);
    assert_eq!(size_of::<Permit<&Bulkhead>>(), 16);
}
