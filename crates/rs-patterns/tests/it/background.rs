//! Background work that calls what may fail: a worker through a pipeline with a breaker, all of it in one
//! directory.

use std::{
    io::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use rs_patterns::{
    breaker::{Breaker, BreakerConfig, Trip},
    core::{Action, Clock, Condition, Directory, Mandate},
    metrics::Surroundings,
    policies::{Pipeline, ResilienceManager},
    workers::{ManagerConfig, WorkerContext, WorkerManager, periodic},
};

#[tokio::test(start_paused = true)]
async fn a_worker_calls_through_a_pipeline() {
    let directory = Directory::new();
    let around = Surroundings::apart().with_directory(directory.clone());
    let manager = ResilienceManager::within(&around);
    let rules = BreakerConfig::default().with_trip([Trip::consecutive_failures(3)]);
    let breaker = Breaker::within(&around, "prices", rules).unwrap();
    let prices = Pipeline::named("prices")
        .within(&around)
        .guard(breaker)
        .attempt_timeout(Duration::from_secs(1))
        .build()
        .unwrap();
    manager.add("prices", prices).unwrap();

    let away = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicU32::new(0));
    let refresh = {
        let (manager, away, asked) = (manager.clone(), Arc::clone(&away), Arc::clone(&asked));
        move |_ctx: WorkerContext| {
            let (manager, away, asked) = (manager.clone(), Arc::clone(&away), Arc::clone(&asked));
            async move {
                let fetched = manager.execute("prices", async |_call| {
                    asked.fetch_add(1, Relaxed);
                    match away.load(Relaxed) {
                        true => Err(Error::other("away")),
                        false => Ok(17),
                    }
                });
                fetched.await.map(drop)
            }
        }
    };
    let workers = WorkerManager::within(&around, "shop", ManagerConfig::default()).unwrap();
    let every = Duration::from_secs(10);
    workers
        .register(periodic("refresh", every, refresh))
        .unwrap();
    workers.start_all().await.unwrap();

    Clock::tokio().sleep(Duration::from_secs(25)).await;
    assert_eq!(asked.load(Relaxed), 2);
    assert!(manager.health().is_up());

    // A run that fails is not the end of the worker; the breaker spares the dependency.
    away.store(true, Relaxed);
    Clock::tokio().sleep(Duration::from_secs(27)).await;
    assert_eq!(asked.load(Relaxed), 5);
    assert_eq!(manager.health().condition, Condition::Down);
    away.store(false, Relaxed);
    Clock::tokio().sleep(Duration::from_secs(300)).await;
    assert!(manager.health().is_up(), "{}", manager.health());

    let by = Mandate::new("anna", "the prices are being entered");
    directory
        .control("worker", "refresh", &Action::new("pause"), &by)
        .unwrap();
    let before = asked.load(Relaxed);
    Clock::tokio().sleep(Duration::from_secs(60)).await;
    assert_eq!(asked.load(Relaxed), before);

    let report = workers.stop_all().await;
    assert!(
        report.to_string().starts_with("stopped 1 worker in 0s"),
        "{report}"
    );
}
