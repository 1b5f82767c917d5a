//! The workers of a service that finds others: a one-shot that loads, health checks and clean-ups now and
//! then that share their places, a queue of changes, and a leader that reports. Then a failure, a panic, and
//! a stop.

use rs_core::{Clock, Mandate};
use rs_workers::{
    GroupConfig, LeaderConfig, ManagerConfig, MemoryLease, Places, WorkerContext, WorkerError,
    WorkerManager, WorkerState, leader_only, once, periodic, queue, worker,
};
use std::{
    error::Error,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};
use tokio::sync::mpsc;

const SECOND: Duration = Duration::from_secs(1);

static CHECKS: AtomicU32 = AtomicU32::new(0);
static CHANGES: AtomicU32 = AtomicU32::new(0);

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), Box<dyn Error>> {
    let workers = WorkerManager::new("discovery", ManagerConfig::default())?;
    let registry = Places::new("registry", 2)?;
    let (tell, changes) = mpsc::channel(1000);

    workers.register(once("load", load))?;
    let upkeep = workers.group("upkeep", GroupConfig::one_for_one().after("load"))?;
    upkeep.register(
        periodic("health", 5 * SECOND, check)
            .with_jitter(SECOND)
            .within(&registry),
    )?;
    upkeep.register(periodic("expiry", 30 * SECOND, expire).within(&registry))?;
    upkeep.register(queue("changes", changes, apply).with_lanes(4))?;
    let report = worker("report", report);
    upkeep.register(leader_only(
        report,
        MemoryLease::new(),
        LeaderConfig::default(),
    ))?;

    workers.start_all().await?;
    for number in 0..100_u32 {
        tell.send(number).await?;
    }
    sleep(60 * SECOND).await;
    for status in workers.statuses() {
        println!(
            "{:8} {:6} {} restarts",
            status.name, status.state, status.restarts
        );
    }
    assert_eq!(CHANGES.load(Relaxed), 100);
    assert!(CHECKS.load(Relaxed) >= 10);
    let health = workers.status("health").ok_or("it is gone")?;
    assert!(health.restarts >= 1, "it panicked once");

    workers.pause(
        "upkeep",
        Mandate::new("anna", "the registry is being moved").lasting(60 * SECOND),
    )?;
    let paused = workers.status("expiry").ok_or("it is gone")?;
    assert_eq!(paused.state, WorkerState::Paused);

    let report = workers.drain_all(10 * SECOND).await;
    println!("{report}");
    assert!(report.is_clean());
    for recorded in rs_core::FlightRecorder::global().recent(20) {
        println!("{}", recorded.signal);
    }
    Ok(())
}

async fn load(ctx: WorkerContext) -> Result<(), WorkerError> {
    ctx.at("reading the file");
    sleep(SECOND).await;
    Ok(())
}

async fn check(ctx: WorkerContext) -> Result<(), WorkerError> {
    ctx.at("asking the instances");
    match CHECKS.fetch_add(1, Relaxed) {
        2 => Err("no route to host".into()),
        // What a bug would do, without its words on the terminal.
        4 => std::panic::resume_unwind(Box::new("index out of bounds")),
        _ => Ok(()),
    }
}

async fn expire(_ctx: WorkerContext) {
    sleep(SECOND).await;
}

async fn apply(_change: u32, _ctx: WorkerContext) {
    sleep(SECOND / 10).await;
    CHANGES.fetch_add(1, Relaxed);
}

async fn report(ctx: WorkerContext) {
    while ctx.sleep(20 * SECOND).await {
        if let Some(epoch) = ctx.epoch() {
            println!("report of the term {epoch}");
        }
    }
}

async fn sleep(time: Duration) {
    Clock::tokio().sleep(time).await;
}
