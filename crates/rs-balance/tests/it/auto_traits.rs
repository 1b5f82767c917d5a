//! What every public type can be used for: a change here breaks somebody.

use rs_balance::*;
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
    }
}

#[test]
fn every_public_type() {
    table! {
        Balancer<u32>: "Send Sync Unpin Clone";
        BalancerConfig: "Send Sync Unpin Clone";
        Candidates<'static>: "Unpin Copy Clone";
        Cause: "Send Sync Unpin Copy Clone";
        Change: "Send Sync Unpin Copy Clone";
        Considered: "Send Sync Unpin Clone";
        Curve: "Send Sync Unpin Copy Clone";
        Endpoint<u32>: "Send Sync Unpin Clone";
        Endpoint<Rc<u32>>: "Unpin Clone";
        Explanation: "Send Sync Unpin Clone";
        HashTable: "Send Sync Unpin Copy Clone";
        Hashing: "Send Sync Unpin Copy Clone";
        EndpointHealth: "Send Sync Unpin Copy Clone";
        Latency: "Send Sync Unpin Copy Clone";
        Lease<u32>: "Send Sync Unpin";
        LoadBalancer: "Send Sync Unpin Copy Clone";
        NoEndpoint: "Send Sync Unpin Copy Clone";
        Outliers: "Send Sync Unpin Clone";
        Own: "Send Sync Unpin Clone";
        SlowOutliers: "Send Sync Unpin Copy Clone";
        SlowStart: "Send Sync Unpin Copy Clone";
        Strategy: "Send Sync Unpin Clone";
        Subset: "Send Sync Unpin Clone";
        SuccessRate: "Send Sync Unpin Copy Clone";
        Through<'static, u32, (), fn()>: "Send Sync Unpin";
        ZonePart: "Send Sync Unpin Copy Clone";
        Zones: "Send Sync Unpin Clone";
        metrics::Ended: "Send Sync Unpin Copy Clone";
        metrics::EndpointState: "Send Sync Unpin Copy Clone";
    }
}

#[cfg(feature = "pool")]
#[test]
fn every_public_type_of_pools() {
    use crate::pool::dock::Dock;

    table! {
        pool::BalancedPool<Dock>: "Send Sync Unpin Clone";
        pool::Connected<Dock>: "Send Sync Unpin";
        pool::NoConnection: "Send Sync Unpin Copy Clone";
        pool::PoolConfig: "Send Sync Unpin Clone";
        pool::metrics::Borrowed: "Send Sync Unpin Copy Clone";
        pool::metrics::Closed: "Send Sync Unpin Copy Clone";
        pool::metrics::ConnectionState: "Send Sync Unpin Copy Clone";
    }
}

#[cfg(feature = "tower")]
#[test]
fn every_public_type_of_towers() {
    table! {
        tower::BalanceFuture<u32, std::future::Ready<()>, rs_core::ByResult>: "Send Sync Unpin";
        tower::BalanceService<u32>: "Send Sync Unpin Clone";
        tower::Services<u32>: "Send Sync Unpin Clone";
    }
}

#[test]
fn a_lease_is_small() {
    assert_eq!(size_of::<Lease<String>>(), 32);
}
