//! How workers are stopped, who did not obey, and that nothing is left.

use crate::support::*;
use rs_metrics::Surroundings;
use rs_workers::{HowStopped, ManagerConfig, WorkerContext, WorkerManager, WorkerState, worker};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

#[tokio::test(start_paused = true)]
async fn who_does_not_obey_is_aborted_and_named() {
    let bench = Bench::new();
    let deaf = worker("deaf", |ctx: WorkerContext| async move {
        ctx.at("listening to music");
        std::future::pending::<()>().await;
    });
    bench
        .workers
        .register_with(deaf, |it| it.with_grace(5 * SECOND))
        .unwrap();
    bench.workers.register(quiet("good", &bench.log)).unwrap();
    bench.workers.start_all().await.unwrap();
    settle().await;
    let report = bench.workers.stop_all().await;
    assert!(!report.is_clean());
    let deaf = report.of("deaf").unwrap();
    assert_eq!(
        deaf.how,
        HowStopped::Aborted {
            at: Some("listening to music".into())
        }
    );
    assert_eq!(
        (deaf.took, report.of("good").unwrap().took),
        (5 * SECOND, Duration::ZERO)
    );
    assert_eq!(
        report.to_string(),
        "stopped 2 workers in 5s: 1 returned, 1 aborted\n  \
         deaf: was aborted at `listening to music` after 5s",
    );
    assert!(bench.heard("worker deaf: did not stop within 5s and was aborted"));
}

#[tokio::test(start_paused = true)]
async fn each_has_its_own_grace_and_all_at_once() {
    let bench = Bench::new();
    for (name, grace) in [("a", 1), ("b", 7), ("c", 3)] {
        let deaf = worker(name, |_: WorkerContext| std::future::pending::<()>());
        bench
            .workers
            .register_with(deaf, |it| it.with_grace(grace * SECOND))
            .unwrap();
    }
    bench.workers.start_all().await.unwrap();
    let report = bench.workers.stop_all().await;
    assert_eq!(report.took, 7 * SECOND);
    let took: Vec<_> = report
        .workers
        .iter()
        .map(|one| one.took.as_secs())
        .collect();
    assert_eq!(took, [1, 7, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_second_stop_is_now() {
    let bench = Bench::new();
    let deaf = worker("deaf", |_: WorkerContext| std::future::pending::<()>());
    bench
        .workers
        .register_with(deaf, |it| it.with_grace(60 * SECOND))
        .unwrap();
    bench.workers.start_all().await.unwrap();
    let workers = bench.workers.clone();
    let first = spawn(async move { workers.stop_all().await });
    sleep(2 * SECOND).await;
    let report = bench.workers.stop_now().await;
    assert_eq!(report.took, Duration::ZERO);
    assert_eq!(first.await.unwrap().took, 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_is_no_longer_waited_for_goes_on() {
    let bench = Bench::new();
    let deaf = worker("deaf", |_: WorkerContext| std::future::pending::<()>());
    bench
        .workers
        .register_with(deaf, |it| it.with_grace(3 * SECOND))
        .unwrap();
    bench.workers.start_all().await.unwrap();
    assert!(in_time(SECOND, bench.workers.stop_all()).await.is_err());
    sleep(3 * SECOND).await;
    assert_eq!(
        bench.workers.status("deaf").unwrap().state,
        WorkerState::Off
    );
    // Likewise a start.
    let slow = worker("slow", |ctx: WorkerContext| async move {
        sleep(5 * SECOND).await;
        ctx.ready();
        ctx.stopped().await;
    });
    bench
        .workers
        .register_with(slow, |it| it.ready_within(MINUTE))
        .unwrap();
    assert!(in_time(SECOND, bench.workers.start("slow")).await.is_err());
    sleep(5 * SECOND).await;
    assert_eq!(
        bench.workers.status("slow").unwrap().state,
        WorkerState::Ready
    );
}

/// Real threads: what blocks one is named, and is not started a second time.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn who_blocks_a_thread_is_named() {
    let config = ManagerConfig::default().with_lost_after(50 * MILLI);
    let bench = Bench::with(config);
    let (free, gate) = mpsc::channel::<()>();
    let gate = Arc::new(std::sync::Mutex::new(gate));
    let inside = Arc::new(AtomicU32::new(0));
    let (held, counted) = (Arc::clone(&gate), Arc::clone(&inside));
    let digs = worker("digs", move |ctx: WorkerContext| {
        let (gate, inside) = (Arc::clone(&held), Arc::clone(&counted));
        async move {
            let dug = ctx.spawn_blocking("digging a hole", move || {
                inside.fetch_add(1, SeqCst);
                let _ = gate.lock().unwrap().recv();
            });
            let _ = dug.await;
        }
    });
    let (free_other, other_gate) = mpsc::channel::<()>();
    let other_gate = Arc::new(std::sync::Mutex::new(other_gate));
    let counted = Arc::clone(&inside);
    let hogs = worker("hogs", move |ctx: WorkerContext| {
        let (gate, inside) = (Arc::clone(&other_gate), Arc::clone(&counted));
        async move {
            ctx.at("counting sheep");
            // In async code, where it should not be.
            inside.fetch_add(1, SeqCst);
            let _ = gate.lock().unwrap().recv();
        }
    });
    bench
        .workers
        .register_with(digs, |it| it.with_grace(20 * MILLI))
        .unwrap();
    bench
        .workers
        .register_with(hogs, |it| it.with_grace(20 * MILLI))
        .unwrap();
    bench.workers.start_all().await.unwrap();
    let held = async || inside.load(SeqCst) == 2;
    rs_testkit::wait_until("both hold their threads", 20 * SECOND, held)
        .await
        .unwrap();
    let report = bench.workers.stop_all().await;
    let by = |name: &str| match &report.of(rs_core::Name::new(name)).unwrap().how {
        HowStopped::Blocked { by } => by.clone(),
        other => panic!("{name} {other}"),
    };
    assert!(
        by("digs").starts_with("in spawn_blocking `digging a hole` for "),
        "{report}"
    );
    assert!(
        by("hogs").starts_with("holds its executor thread for "),
        "{report}"
    );
    assert!(
        by("hogs").ends_with(", last at `counting sheep`"),
        "{report}"
    );
    assert_eq!(
        bench.workers.status("digs").unwrap().state,
        WorkerState::Lost
    );
    // Nobody starts a second one, and nobody takes it away.
    assert!(bench.workers.remove("digs").await.is_err());
    let runs = bench.workers.runs();
    let again = bench.workers.start("digs");
    assert!(in_time(30 * MILLI, again).await.is_err());
    assert_eq!(bench.workers.runs(), runs);
    // When it lets go, what was ordered meanwhile happens.
    drop((free, free_other));
    let back = async || bench.workers.runs() > runs;
    rs_testkit::wait_until("it is started again", 10 * SECOND, back)
        .await
        .unwrap();
    bench.workers.stop_all().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_running() {
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    let bench = Bench::new();
    for number in 0..100 {
        let puppet = Puppet::new(rs_core::Name::new(&format!("p{number}")));
        bench.workers.register(puppet.worker()).unwrap();
    }
    bench.workers.start_all().await.unwrap();
    settle().await;
    assert_eq!(
        metrics.num_alive_tasks(),
        before + 101,
        "a task for each, and one for the time"
    );
    bench.workers.stop_all().await;
    settle().await;
    assert_eq!(metrics.num_alive_tasks(), before);
    // And when the manager is dropped.
    bench.workers.start_all().await.unwrap();
    settle().await;
    drop(bench.workers);
    settle().await;
    assert_eq!(metrics.num_alive_tasks(), before);
}

#[test]
fn a_runtime_that_goes_away_takes_all_along() {
    let (config, alive) = (ManagerConfig::default(), Alive::default());
    let workers = WorkerManager::within(&Surroundings::apart(), "m", config).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    for name in ["a", "b"] {
        let alive = alive.clone();
        let lives = worker(name, move |ctx: WorkerContext| {
            let guard = alive.enter();
            async move {
                ctx.stopped().await;
                drop(guard);
            }
        });
        workers
            .register_with(lives, |it| it.with_backoff(at_once()))
            .unwrap();
    }
    runtime.block_on(workers.start_all()).unwrap();
    drop(runtime);
    assert_eq!(alive.count(), 0);
    let off = |status: rs_workers::WorkerStatus| status.state == WorkerState::Off;
    assert!(workers.statuses().into_iter().all(off));
    assert_eq!(workers.runs(), 2, "nothing was started where nothing runs");
}

#[test]
fn without_a_runtime_nothing_starts() {
    let config = ManagerConfig::default();
    let workers = WorkerManager::within(&Surroundings::apart(), "m", config).unwrap();
    let mut start = std::pin::pin!(workers.start_all());
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let polled = std::future::Future::poll(start.as_mut(), &mut cx);
    assert!(matches!(
        polled,
        std::task::Poll::Ready(Err(rs_workers::ManagerError::NoRuntime))
    ));
}
