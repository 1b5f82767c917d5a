//! Who is stuck, who hogs, who is paused, who drains.

use crate::support::*;
use rs_core::{Action, Clock};
use rs_workers::{
    HowStopped, ManagerConfig, Surroundings, WhenStuck, WorkerContext, WorkerManager, WorkerState,
    periodic, queue, worker,
};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::SeqCst},
};
use tokio::sync::mpsc;

#[tokio::test(start_paused = true)]
async fn who_is_silent_for_too_long_is_stuck() {
    let bench = Bench::new();
    let (beats, hears) = mpsc::unbounded_channel::<()>();
    let hears = Arc::new(tokio::sync::Mutex::new(hears));
    let slow = worker("slow", move |ctx: WorkerContext| {
        let hears = Arc::clone(&hears);
        async move {
            loop {
                ctx.at("asking the bank");
                hears.lock().await.recv().await;
            }
        }
    });
    bench
        .workers
        .register_with(slow, |it| it.stuck_after(5 * SECOND, WhenStuck::Report))
        .unwrap();
    bench.workers.start_all().await.unwrap();
    for _ in 0..5 {
        sleep(4 * SECOND).await;
        beats.send(()).unwrap();
    }
    assert_eq!(
        bench.workers.status("slow").unwrap().state,
        WorkerState::Ready
    );
    assert!(bench.said().is_empty(), "{:?}", bench.said());
    sleep(6 * SECOND).await;
    let status = bench.workers.status("slow").unwrap();
    assert_eq!((status.state, status.stuck), (WorkerState::Stuck, 1));
    assert_eq!(status.at.as_deref(), Some("asking the bank"));
    assert_eq!(
        bench.said(),
        ["worker slow: has shown no sign of life for 5s: last at `asking the bank`"],
    );
    sleep(60 * SECOND).await;
    assert_eq!(bench.said().len(), 1, "said once");
    beats.send(()).unwrap();
    sleep(2 * SECOND).await;
    assert!(bench.heard("worker slow: shows signs of life again"));
}

#[tokio::test(start_paused = true)]
async fn who_is_stuck_may_be_restarted() {
    let bench = Bench::new();
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let hangs = worker("hangs", move |_: WorkerContext| {
        counted.fetch_add(1, SeqCst);
        std::future::pending::<()>()
    });
    let config = |it: rs_workers::WorkerConfig| {
        it.stuck_after(5 * SECOND, WhenStuck::Restart)
            .with_grace(SECOND)
            .with_backoff(a_second())
    };
    bench.workers.register_with(hangs, config).unwrap();
    bench.workers.start_all().await.unwrap();
    sleep(6500 * MILLI).await;
    assert_eq!(runs.load(SeqCst), 1);
    sleep(SECOND).await;
    assert_eq!(runs.load(SeqCst), 2, "5 s silent, 1 s grace, 1 s wait");
    assert_eq!(bench.workers.status("hangs").unwrap().restarts, 1);
}

#[tokio::test(start_paused = true)]
async fn waiting_for_work_is_no_sign_of_death() {
    let bench = Bench::new();
    let (_keep, items) = mpsc::channel::<()>(1);
    let stuck = |it: rs_workers::WorkerConfig| it.stuck_after(SECOND, WhenStuck::Restart);
    let idle = queue("idle", items, |(), _: WorkerContext| async {});
    bench.workers.register_with(idle, stuck).unwrap();
    let rare = periodic("rare", 60 * MINUTE, |_: WorkerContext| async {});
    bench.workers.register_with(rare, stuck).unwrap();
    bench
        .workers
        .register_with(quiet("waits", &bench.log), |it| it)
        .unwrap();
    bench.workers.start_all().await.unwrap();
    sleep(10 * MINUTE).await;
    assert!(bench.said().is_empty(), "{:?}", bench.said());
}

#[tokio::test]
async fn who_hogs_its_thread_is_noticed() {
    let (clock, hand) = Clock::manual();
    let around = Surroundings::apart().with_clock(clock);
    let workers = WorkerManager::within(&around, "m", ManagerConfig::default()).unwrap();
    let hogs = worker("hogs", move |ctx: WorkerContext| {
        let hand = hand.clone();
        async move {
            for _ in 0..3 {
                // As if it computed for so long.
                hand.advance(300 * MILLI);
                tokio::task::yield_now().await;
            }
            ctx.stopped().await;
        }
    });
    workers.register(hogs).unwrap();
    workers.start_all().await.unwrap();
    settle().await;
    let said: Vec<_> = around
        .recorder()
        .recent(10)
        .iter()
        .map(|it| it.signal.to_string())
        .collect();
    assert_eq!(
        said,
        ["worker hogs: held its thread for 300ms"],
        "once for a run"
    );
}

/// One that never gives its thread back is noticed by another thread, while it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_gives_its_thread_back_is_noticed_meanwhile() {
    let bench = Bench::new();
    let (free, gate) = std::sync::mpsc::channel::<()>();
    let gate = Arc::new(std::sync::Mutex::new(gate));
    let hogs = worker("hogs", move |_: WorkerContext| {
        let gate = Arc::clone(&gate);
        async move {
            let _ = gate.lock().unwrap().recv();
        }
    });
    bench
        .workers
        .register_with(hogs, |it| it.hogs_after(10 * MILLI))
        .unwrap();
    bench.workers.start_all().await.unwrap();
    let heard = async || bench.heard("worker hogs: held its thread for");
    rs_testkit::wait_until("it is noticed", 20 * SECOND, heard)
        .await
        .unwrap();
    drop(free);
}

#[tokio::test(start_paused = true)]
async fn paused_by_somebody_for_a_reason_and_for_a_time() {
    let bench = Bench::new();
    let turns = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&turns);
    let ticks = periodic("ticks", SECOND, move |_: WorkerContext| {
        counted.fetch_add(1, SeqCst);
        async {}
    });
    bench.workers.register(ticks).unwrap();
    bench.workers.start_all().await.unwrap();
    sleep(3500 * MILLI).await;
    assert_eq!(turns.load(SeqCst), 3);
    bench
        .workers
        .pause("ticks", anna().lasting(10 * SECOND))
        .unwrap();
    sleep(5 * SECOND).await;
    assert_eq!(turns.load(SeqCst), 3);
    let status = bench.workers.status("ticks").unwrap();
    assert_eq!(
        (status.state, status.paused),
        (WorkerState::Paused, Some(anna().lasting(10 * SECOND)))
    );
    sleep(10 * SECOND).await;
    assert!(turns.load(SeqCst) > 3, "the pause ran out");
    assert!(bench.heard("worker ticks: pauses, by anna (a drill) for 10s"));
    assert!(bench.heard("worker ticks: goes on: the pause ran out"));
    bench.workers.pause_all(anna());
    let before = turns.load(SeqCst);
    sleep(10 * SECOND).await;
    assert!(turns.load(SeqCst) <= before);
    // One that is paused stops like any other.
    let report = bench.workers.stop_all().await;
    assert!(report.is_clean(), "{report}");
}

#[tokio::test(start_paused = true)]
async fn draining_finishes_what_is_there() {
    for lanes in [1, 4] {
        let bench = Bench::new();
        let (items, source) = mpsc::channel(1000);
        let handled = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&handled);
        let mails = queue("mails", source, move |_: u32, _: WorkerContext| {
            let counted = Arc::clone(&counted);
            async move {
                sleep(SECOND).await;
                counted.fetch_add(1, SeqCst);
            }
        });
        bench.workers.register(mails.with_lanes(lanes)).unwrap();
        bench.workers.start_all().await.unwrap();
        for item in 0..400 {
            items.send(item).await.unwrap();
        }
        sleep(1500 * MILLI).await;
        assert_eq!(handled.load(SeqCst), lanes);
        let report = bench.workers.drain_all(10 * MINUTE).await;
        assert!(report.is_clean(), "{report}");
        assert_eq!(handled.load(SeqCst), 400);
        // A plain stop finishes the item that is handled, and no more.
        bench.workers.start_all().await.unwrap();
        for item in 0..100 {
            items.send(item).await.unwrap();
        }
        sleep(500 * MILLI).await;
        let report = bench.workers.stop_all().await;
        assert!(report.is_clean(), "{report}");
        assert_eq!(handled.load(SeqCst), 400 + lanes);
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_has_its_limit() {
    let bench = Bench::new();
    let (items, source) = mpsc::channel(100);
    let mails = queue("mails", source, |_: u32, _: WorkerContext| sleep(SECOND));
    bench.workers.register(mails).unwrap();
    bench.workers.start_all().await.unwrap();
    for item in 0..100 {
        items.send(item).await.unwrap();
    }
    settle().await;
    let report = bench.workers.drain_all(5500 * MILLI).await;
    assert_eq!(report.took, 6 * SECOND, "it finishes the item that it has");
    assert_eq!(report.of("mails").unwrap().how, HowStopped::Returned);
}

#[tokio::test(start_paused = true)]
async fn the_directory_shows_and_steers() {
    let bench = Bench::new();
    let turns = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&turns);
    let rare = periodic("rare", 60 * MINUTE, move |_: WorkerContext| {
        counted.fetch_add(1, SeqCst);
        async {}
    });
    bench.workers.register(rare).unwrap();
    bench.workers.start_all().await.unwrap();
    settle().await;
    let tell = |action: &str| {
        bench
            .directory
            .control("worker", "rare", &Action::new(action), &anna())
            .map_err(|error| error.to_string())
    };
    let state = || {
        bench
            .directory
            .find("worker", "rare")
            .unwrap()
            .snapshot()
            .get("state")
            .unwrap()
            .to_string()
    };
    assert_eq!(state(), "ready");
    tell("run_now").unwrap();
    settle().await;
    assert_eq!(turns.load(SeqCst), 1);
    tell("pause").unwrap();
    assert_eq!(state(), "paused");
    tell("run_now").unwrap();
    settle().await;
    assert_eq!(turns.load(SeqCst), 1, "not while it is paused");
    tell("resume").unwrap();
    settle().await;
    assert_eq!(turns.load(SeqCst), 2, "but then");
    tell("restart").unwrap();
    settle().await;
    assert_eq!((state().as_str(), bench.workers.runs()), ("ready", 2));
    tell("stop").unwrap();
    settle().await;
    assert_eq!(state(), "off");
    tell("start").unwrap();
    settle().await;
    assert_eq!(state(), "ready");
    assert!(
        tell("explode")
            .unwrap_err()
            .starts_with("unknown action `explode`")
    );
    let manager = bench.directory.find("worker_manager", "bench").unwrap();
    assert_eq!(
        manager.snapshot().get("states").unwrap().to_string(),
        "{ready: 1}"
    );
}
