//! What every public type can be used for: a change here breaks somebody.

use std::rc::Rc;

use rs_cache_migrate::*;

use crate::support::{HOUR, Remote, bench};

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

type Old = TtlCache<String, u8>;

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
        Backfill<String, u8, Old, Old>: "Send Sync Unpin";
        BackfillConfig: "Send Sync Unpin Copy Clone";
        BackfillError: "Send Sync Unpin Clone";
        BackfillProgress: "Send Sync Unpin Copy Clone";
        CacheError: "Send Sync Unpin Clone";
        CacheMigration<String, u8, Old, Old>: "Send Sync Unpin Clone";
        CacheStats: "Send Sync Unpin Copy Clone";
        Capabilities: "Send Sync Unpin Copy Clone";
        Comparison: "Send Sync Unpin Copy Clone";
        Decision: "Send Sync Unpin Clone";
        DetailedMetrics: "Send Sync Unpin Copy Clone";
        Entries: "Send Sync Unpin Copy Clone";
        Entry<u8>: "Send Sync Unpin Copy Clone";
        Finding: "Send Sync Unpin Copy Clone";
        EnvFlags: "Send Sync Unpin Copy Clone";
        FileFlags: "Send Sync Unpin Clone";
        Flags: "Send Sync Unpin Copy Clone";
        FlagsError: "Send Sync Unpin Clone";
        Gates: "Send Sync Unpin Clone";
        GatesConfig: "Send Sync Unpin Clone";
        Judged: "Send Sync Unpin Clone";
        Lookup<u8>: "Send Sync Unpin Copy Clone";
        FleetReport: "Send Sync Unpin Clone";
        MigrationConfig: "Send Sync Unpin Clone";
        MigrationReport: "Send Sync Unpin Clone";
        MigrationState: "Send Sync Unpin Copy Clone";
        PilotConfig: "Send Sync Unpin Clone";
        PilotMode: "Send Sync Unpin Copy Clone";
        PilotReport: "Send Sync Unpin Clone";
        Ruling: "Send Sync Unpin Clone";
        Side: "Send Sync Unpin Copy Clone";
        SideWindow: "Send Sync Unpin Clone";
        StageSeen: "Send Sync Unpin Clone";
        Times: "Send Sync Unpin Clone";
        Stage: "Send Sync Unpin Copy Clone";
        StepRefused: "Send Sync Unpin Clone";
        Stored<u8>: "Send Sync Unpin Copy Clone";
        TtlCache<String, u8>: "Send Sync Unpin Clone";
        Verdict: "Send Sync Unpin Copy Clone";
        Window: "Send Sync Unpin Clone";
    }
}

/// Whoever spawns a task with a migration in it needs this.
#[test]
fn futures_are_send() {
    fn send<T: Send>(_: &T) {}
    let bench = bench(MigrationConfig::default());
    let (migration, key) = (&bench.migration, "a".to_owned());
    let _: &CacheMigration<String, u64, Remote, Remote> = migration;
    send(&migration.get(&key));
    send(&migration.set(&key, 1, HOUR));
    send(&migration.delete(&key));
    send(&migration.compare(&key));
    send(&migration.advance(crate::support::by()));
    send(&migration.run());
    send(&migration.shutdown());
}
