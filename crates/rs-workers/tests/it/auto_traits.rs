//! What every public type can be used for: a change here breaks somebody.

use rs_workers::*;

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
fn every_public_type() {
    table! {
        std::rc::Rc<u8>: "Unpin Clone";
        Claim: "Send Sync Unpin Clone";
        Epoch: "Send Sync Unpin Copy Clone";
        GaveUp: "Send Sync Unpin Clone";
        Group: "Send Sync Unpin Clone";
        GroupConfig: "Send Sync Unpin Clone";
        HowStopped: "Send Sync Unpin Clone";
        Intensity: "Send Sync Unpin Copy Clone";
        Late: "Send Sync Unpin Copy Clone";
        LeaderConfig: "Send Sync Unpin Clone";
        LeaderOnly<Plain<()>, MemoryLease>: "Send Sync Unpin";
        LeaseError: "Send Sync Unpin Clone";
        ManagerConfig: "Send Sync Unpin Clone";
        ManagerError: "Send Sync Unpin Clone";
        MemoryLease: "Send Sync Unpin Clone";
        Once<()>: "Send Sync Unpin";
        Periodic<()>: "Send Sync Unpin";
        Place: "Send Sync Unpin";
        Places: "Send Sync Unpin Clone";
        Plain<()>: "Send Sync Unpin";
        Queue<(), ()>: "Send Sync Unpin";
        Restart: "Send Sync Unpin Copy Clone";
        RunEnd: "Send Sync Unpin Clone";
        RunOutcome: "Send Sync Unpin Copy Clone";
        StopReport: "Send Sync Unpin Clone";
        StoppedWorker: "Send Sync Unpin Clone";
        Strategy: "Send Sync Unpin Copy Clone";
        WhenGivenUp: "Send Sync Unpin Copy Clone";
        WhenStuck: "Send Sync Unpin Copy Clone";
        WorkerConfig: "Send Sync Unpin Clone";
        WorkerContext: "Send Sync Unpin Clone";
        WorkerManager: "Send Sync Unpin Clone";
        WorkerState: "Send Sync Unpin Copy Clone";
        WorkerStatus: "Send Sync Unpin Clone";
        Woken: "Send Sync Unpin Copy Clone";
        dyn Worker: "Send Sync";
        dyn Lease: "Send Sync";
        WorkerFuture<'static>: "Send Unpin";
    }
    #[cfg(feature = "cron")]
    table! {
        Cron<()>: "Send Sync Unpin";
        Misfire: "Send Sync Unpin Copy Clone";
        WallClock: "Send Sync Unpin Clone";
    }
    #[cfg(feature = "etcd")]
    table! {
        EtcdLease: "Send Sync Unpin";
    }
    #[cfg(feature = "redis")]
    table! {
        RedisLease: "Send Sync Unpin";
    }
    #[cfg(feature = "signal")]
    table! {
        Stopped: "Send Sync Unpin Clone";
    }
}

#[test]
fn futures_can_be_spawned() {
    fn sent<T: Send>(_: T) {}
    fn all(workers: &WorkerManager, ctx: &WorkerContext) {
        sent(workers.start_all());
        sent(workers.start("a"));
        sent(workers.restart("a"));
        sent(workers.stop_all());
        sent(workers.stop("a"));
        sent(workers.stop_now());
        sent(workers.drain_all(std::time::Duration::ZERO));
        sent(workers.remove("a"));
        sent(workers.ended());
        sent(ctx.sleep(std::time::Duration::ZERO));
        sent(ctx.pause_point());
        sent(ctx.stopped());
    }
    let _ = all;
}
