//! Periodic workers, one-shots, shared places.

use crate::support::*;
use rs_core::{Backoff, Jitter};
use rs_metrics::Surroundings;
use rs_workers::{
    Late, ManagerError, Places, RunOutcome, WorkerContext, WorkerError, WorkerState, metrics, once,
    periodic, queue,
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::sync::mpsc;

/// When turns began, in seconds; the first takes so long.
async fn turns(late: Late, first_takes: u64) -> Vec<u64> {
    let bench = Bench::new();
    let begun = Stopwatch::start();
    let turns = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&turns);
    let ticks = periodic("ticks", 10 * SECOND, move |_: WorkerContext| {
        let turns = Arc::clone(&kept);
        async move {
            let first = turns.lock().unwrap().is_empty();
            turns.lock().unwrap().push(begun.elapsed().as_secs());
            if first {
                sleep(Duration::from_secs(first_takes)).await;
            }
        }
    });
    bench.workers.register(ticks.when_late(late)).unwrap();
    bench.workers.start_all().await.unwrap();
    sleep(95 * SECOND).await;
    bench.workers.stop_all().await;
    std::mem::take(&mut *turns.lock().unwrap())
}

#[tokio::test(start_paused = true)]
async fn late_turns_are_skipped_caught_up_or_shifted() {
    assert_eq!(
        turns(Late::Skip, 3).await,
        [10, 20, 30, 40, 50, 60, 70, 80, 90]
    );
    // 20, 30 and 40 have passed.
    assert_eq!(turns(Late::Skip, 35).await, [10, 50, 60, 70, 80, 90]);
    assert_eq!(
        turns(Late::CatchUp(2), 35).await,
        [10, 45, 45, 50, 60, 70, 80, 90]
    );
    assert_eq!(
        turns(Late::CatchUp(100), 35).await,
        [10, 45, 45, 45, 50, 60, 70, 80, 90]
    );
    assert_eq!(turns(Late::Shift, 35).await, [10, 55, 65, 75, 85, 95][..5]);
    // At the very moment of a turn: that is not late.
    assert_eq!(
        turns(Late::CatchUp(1), 10).await,
        [10, 20, 30, 40, 50, 60, 70, 80, 90]
    );
}

#[tokio::test(start_paused = true)]
async fn jitter_is_within_its_bounds_and_does_not_add_up() {
    let bench = Bench::new();
    let begun = Stopwatch::start();
    let turns = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&turns);
    let ticks = periodic("ticks", 10 * SECOND, move |_: WorkerContext| {
        kept.lock().unwrap().push(begun.elapsed());
        async {}
    });
    bench
        .workers
        .register(ticks.with_jitter(4 * SECOND))
        .unwrap();
    bench.workers.start_all().await.unwrap();
    sleep(1000 * SECOND).await;
    let turns = turns.lock().unwrap();
    let late: Vec<u64> = turns
        .iter()
        .zip(1..)
        .map(|(turn, number)| {
            (*turn - number * 10 * SECOND)
                .as_millis()
                .try_into()
                .unwrap()
        })
        .collect();
    assert!(late.iter().all(|late| *late <= 4001), "{late:?}");
    assert!(
        late.iter().max().unwrap() - late.iter().min().unwrap() > 3000,
        "{late:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_fails_is_counted_and_the_next_follows() {
    let bench = Bench::new();
    let number = Arc::new(AtomicU32::new(0));
    let ticks = periodic("ticks", SECOND, move |_: WorkerContext| {
        let number = number.fetch_add(1, SeqCst);
        async move {
            match number % 3 {
                0 => Err(WorkerError::from("no")),
                1 => {
                    sleep(MINUTE).await;
                    Ok(())
                }
                _ => Ok(()),
            }
        }
    });
    let ticks = ticks.at_once().with_limit(500 * MILLI);
    bench.workers.register(ticks).unwrap();
    bench.workers.start_all().await.unwrap();
    sleep(2500 * MILLI).await;
    let runs = |outcome| {
        metrics::RUNS
            .read(&bench.registry, "ticks", outcome)
            .unwrap()
    };
    assert_eq!(
        (runs(RunOutcome::Failed), runs(RunOutcome::Succeeded)),
        (2, 1)
    );
    assert_eq!(
        bench.said(),
        [
            "worker ticks: a run failed (1 in a row): no",
            "worker ticks: a run failed (2 in a row): it took longer than 500ms",
        ],
    );
    let status = bench.workers.status("ticks").unwrap();
    assert_eq!((status.state, status.restarts), (WorkerState::Ready, 0));
    assert_eq!(status.last_success, Some(500 * MILLI));
    let age = metrics::LAST_SUCCESS
        .read(&bench.registry, "ticks", ())
        .unwrap();
    assert!((age - 0.5).abs() < 0.01, "{age}");
    let took = metrics::RUN_TIME
        .read(&bench.registry, "ticks", ())
        .unwrap();
    assert_eq!(took.count(), 3);
}

#[tokio::test(start_paused = true)]
async fn too_many_failures_in_a_row_are_the_supervisors() {
    let bench = Bench::new();
    let fails = periodic("fails", SECOND, |_: WorkerContext| async {
        Err(WorkerError::from("no"))
    });
    let once_a_minute = Backoff::constant(MINUTE).with_jitter(Jitter::None);
    let fails = fails.failing_after(3);
    bench
        .workers
        .register_with(fails, |it| it.with_backoff(once_a_minute))
        .unwrap();
    bench.workers.start_all().await.unwrap();
    sleep(10 * SECOND).await;
    let status = bench.workers.status("fails").unwrap();
    assert_eq!(status.state, WorkerState::Delayed);
    assert_eq!(status.restarts_in, Some(53 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn one_shots_try_again_and_are_done() {
    let bench = Bench::new();
    let tries = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&tries);
    let job = once("job", move |_: WorkerContext| {
        let tries = counted.fetch_add(1, SeqCst);
        async move {
            if tries < 3 {
                Err(WorkerError::from("not yet"))
            } else {
                Ok(())
            }
        }
    });
    bench
        .workers
        .register(job.with_attempts(4, a_second()))
        .unwrap();
    bench.workers.start_all().await.unwrap();
    assert_eq!(tries.load(SeqCst), 4);
    settle().await;
    let status = bench.workers.status("job").unwrap();
    assert_eq!((status.state, status.restarts), (WorkerState::Off, 0));
    assert_eq!(bench.said().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn places_are_shared() {
    let bench = Bench::new();
    let places = Places::within(&bench.around, "database", 3).unwrap();
    let (busy, most) = (Alive::default(), Arc::new(AtomicU32::new(0)));
    for number in 0..10 {
        let (busy, most) = (busy.clone(), Arc::clone(&most));
        let name = rs_core::Name::new(&format!("w{number}"));
        let turn = move |_: WorkerContext| {
            let (busy, most) = (busy.clone(), Arc::clone(&most));
            async move {
                let _busy = busy.enter();
                most.fetch_max(u32::try_from(busy.count()).unwrap(), SeqCst);
                sleep(700 * MILLI).await;
            }
        };
        bench
            .workers
            .register(periodic(name, SECOND, turn).within(&places))
            .unwrap();
    }
    bench.workers.start_all().await.unwrap();
    sleep(10_500 * MILLI).await;
    assert_eq!((most.load(SeqCst), places.taken()), (3, 3));
    assert_eq!(
        metrics::PLACES_TAKEN.read(&bench.registry, "database", ()),
        Some(3.0)
    );
    assert_eq!(
        metrics::PLACES_WAITING.read(&bench.registry, "database", ()),
        Some(4.0)
    );
    let report = bench.workers.stop_all().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(places.taken(), 0);
}

/// A worker that is cut off, or panics, while it holds a place gives it back.
#[tokio::test(start_paused = true)]
async fn places_come_back_whatever_happens() {
    let bench = Bench::new();
    let places = Places::within(&Surroundings::apart(), "one", 1).unwrap();
    let (items, source) = mpsc::channel(10);
    let handle = |item: u32, _: WorkerContext| async move {
        match item {
            0 => std::panic::resume_unwind(Box::new("zero")),
            1 => Err(WorkerError::from("one")),
            _ => {
                std::future::pending::<()>().await;
                Ok(())
            }
        }
    };
    let picky = queue("picky", source, handle).within(&places);
    bench
        .workers
        .register_with(picky, |it| it.with_backoff(a_second()).with_grace(SECOND))
        .unwrap();
    bench.workers.start_all().await.unwrap();
    for item in [1, 0, 1, 2] {
        items.send(item).await.unwrap();
    }
    sleep(5 * SECOND).await;
    assert_eq!(places.taken(), 1);
    bench.workers.stop_all().await;
    assert_eq!(places.taken(), 0);
    let runs = |outcome| {
        metrics::RUNS
            .read(&bench.registry, "picky", outcome)
            .unwrap()
    };
    let all = [
        RunOutcome::Succeeded,
        RunOutcome::Failed,
        RunOutcome::Panicked,
        RunOutcome::Aborted,
    ];
    assert_eq!(all.map(runs), [0, 2, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused() {
    let bench = Bench::new();
    let refused = |result: Result<(), ManagerError>| result.unwrap_err().to_string();
    let never = periodic("never", Duration::ZERO, |_: WorkerContext| async {});
    assert_eq!(
        refused(bench.workers.register(never)),
        "worker `never`: every: 0s is out of range; allowed: 1us to 371d",
    );
    let jitter = periodic("j", SECOND, |_: WorkerContext| async {}).with_jitter(MINUTE);
    assert!(refused(bench.workers.register(jitter)).contains("jitter: 1m is out of range"));
    let lanes = queue(
        "l",
        mpsc::channel::<()>(1).1,
        |(), _: WorkerContext| async {},
    )
    .with_lanes(0);
    assert!(refused(bench.workers.register(lanes)).contains("lanes: 0 is out of range"));
    let attempts = once("a", |_: WorkerContext| async {}).with_attempts(0, a_second());
    assert!(refused(bench.workers.register(attempts)).contains("attempts: 0 is out of range"));
    assert!(Places::new("none", 0).is_err());
    bench.workers.register(quiet("a", &bench.log)).unwrap();
    assert_eq!(
        refused(bench.workers.register(quiet("a", &bench.log))),
        "there is a worker or group `a` already",
    );
    let group = bench.workers.group("a", rs_workers::GroupConfig::default());
    assert!(matches!(group, Err(ManagerError::Duplicate(_))));
    let missing = bench.workers.stop("nobody").await.unwrap_err();
    assert_eq!(missing.to_string(), "there is no worker or group `nobody`");
    assert_eq!(bench.workers.statuses().len(), 1);
}
