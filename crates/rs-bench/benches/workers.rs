//! The cost of workers: of ten thousand that do nothing, and of a turn of one that has many.

#![allow(clippy::expect_used, reason = "a bench that cannot go on ends")]

#[path = "workers/crowd.rs"]
mod crowd;

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use rs_bench::{Bench, Goal};
use rs_workers::{Late, ManagerConfig, Surroundings, WorkerContext, WorkerManager, periodic};
use tokio::{
    runtime::{Builder, Runtime},
    sync::Notify,
    time::MissedTickBehavior,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut bench = Bench::from_args("workers");
    bench
        .case("a turn that is due")
        .ours_in_batches(turns)
        .peer_in_batches("tokio interval", ticks)
        .goal(Goal::at_most(2_000.0))
        .run();
    let crowd = crowd::run(&bench)?;
    bench.finish();
    print!("{crowd}");
    Ok(())
}

/// Often enough that turns are always due when the timer, which knows milliseconds, rings.
const EVERY: Duration = Duration::from_micros(2);

/// So many turns of a periodic worker that does nothing.
fn turns(turns: u64) {
    let runtime = runtime();
    let (left, done) = (Arc::new(AtomicU64::new(turns)), Arc::new(Notify::new()));
    let (counted, told) = (Arc::clone(&left), Arc::clone(&done));
    let busy = periodic("busy", EVERY, move |_: WorkerContext| {
        if counted.fetch_sub(1, Relaxed) == 1 {
            told.notify_one();
        }
        std::future::ready(())
    });
    runtime.block_on(async {
        let config = ManagerConfig::default();
        let workers = WorkerManager::within(&Surroundings::apart(), "bench", config);
        let workers = workers.expect("the configuration is right");
        let busy = busy.when_late(Late::CatchUp(u32::MAX));
        workers.register(busy).expect("it is the first");
        workers.start_all().await.expect("nothing hinders it");
        done.notified().await;
        workers.stop_all().await;
    });
}

/// The same by tokio's interval, without anybody who watches, counts, pauses or stops it.
fn ticks(ticks: u64) {
    runtime().block_on(async {
        let mut interval = tokio::time::interval(EVERY);
        interval.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for _ in 0..ticks {
            interval.tick().await;
        }
    });
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime")
}
