//! What follows when a worker ends.

use crate::support::*;
use rs_core::{Backoff, Jitter};
use rs_workers::{
    GroupConfig, ManagerError, Restart, RunEnd, WorkerConfig, WorkerContext, WorkerError,
    WorkerState, worker,
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

#[tokio::test(start_paused = true)]
async fn returning_failing_and_panicking_are_three_things() {
    for (restart, comes_back) in [
        (Restart::Permanent, [true, true, true]),
        (Restart::Transient, [false, true, true]),
        (Restart::Temporary, [false, false, false]),
    ] {
        let orders = [Order::Return, Order::Fail, Order::Panic];
        for (order, comes_back) in orders.into_iter().zip(comes_back) {
            let bench = Bench::new();
            let puppet = Puppet::new("p");
            let config = |it: WorkerConfig| it.with_restart(restart).with_backoff(a_second());
            bench
                .workers
                .register_with(puppet.worker(), config)
                .unwrap();
            bench.workers.start_all().await.unwrap();
            settle().await;
            puppet.pull(order);
            settle().await;
            assert!(!puppet.is_alive());
            sleep(2 * SECOND).await;
            assert_eq!(puppet.is_alive(), comes_back, "{restart:?} {order:?}");
            let status = bench.workers.status("p").unwrap();
            let end = match order {
                Order::Return => RunEnd::Returned,
                Order::Fail => RunEnd::Failed("told to".into()),
                Order::Panic => RunEnd::Panicked("told to".into()),
            };
            assert_eq!(status.last_end, Some(end));
            assert_eq!(status.restarts, u64::from(comes_back));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_reported_with_what_it_said_and_where_it_was() {
    let bench = Bench::new();
    let fragile = worker("fragile", |ctx: WorkerContext| async move {
        ctx.at("writing page 7");
        sleep(3 * SECOND).await;
        if ctx.run_number() > 0 {
            std::panic::resume_unwind(Box::new("no such page"));
        }
    });
    bench
        .workers
        .register_with(fragile, |it| it.with_backoff(a_second()))
        .unwrap();
    bench.workers.start_all().await.unwrap();
    sleep(3500 * MILLI).await;
    assert_eq!(
        bench.said(),
        [
            "worker fragile: panicked (1 in a row), starts again in 1s: no such page; last at `writing page 7`, 3s before"
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn an_error_is_reported_with_its_causes() {
    #[derive(Debug)]
    struct Outer(std::io::Error);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("cannot load prices")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let bench = Bench::new();
    let fails = worker("prices", |_: WorkerContext| async {
        Err(Outer(std::io::Error::other("the disk is on fire")))
    });
    bench
        .workers
        .register_with(fails, |it| it.with_restart(Restart::Temporary))
        .unwrap();
    bench.workers.start_all().await.unwrap();
    settle().await;
    assert_eq!(
        bench.said(),
        ["worker prices: stays off: failed: cannot load prices: the disk is on fire"],
    );
}

#[tokio::test(start_paused = true)]
async fn waits_grow_and_begin_anew_with_health() {
    let bench = Bench::new();
    let starts = Arc::new(Mutex::new(Vec::new()));
    let begun = Stopwatch::start();
    let (kept, lives) = (
        Arc::clone(&starts),
        Arc::new(Mutex::new(vec![100, 0, 0, 0])),
    );
    let dies = worker("dies", move |ctx: WorkerContext| {
        let (starts, lives) = (Arc::clone(&kept), Arc::clone(&lives));
        async move {
            starts.lock().unwrap().push(begun.elapsed().as_secs());
            let life = lives.lock().unwrap().pop();
            match life {
                Some(0) => Err(WorkerError::from("at once")),
                Some(seconds) => {
                    sleep(Duration::from_secs(seconds)).await;
                    Err(WorkerError::from("later"))
                }
                None => {
                    ctx.stopped().await;
                    Ok(())
                }
            }
        }
    });
    let backoff = Backoff::exponential(SECOND).with_jitter(Jitter::None);
    bench
        .workers
        .register_with(dies, |it| it.with_backoff(backoff).healthy_after(MINUTE))
        .unwrap();
    bench.workers.start_all().await.unwrap();
    sleep(300 * SECOND).await;
    // 1, 2, 4 s between the first; then a life of 100 s, and the shortest wait again.
    assert_eq!(*starts.lock().unwrap(), [0, 1, 3, 7, 108]);
}

#[tokio::test(start_paused = true)]
async fn one_for_all_waits_until_all_are_down() {
    let bench = Bench::with(root(GroupConfig::one_for_all()));
    let (slow, fails) = (Puppet::new("slow"), Puppet::new("fails"));
    slow.slow(5 * SECOND);
    for puppet in [&slow, &fails] {
        bench
            .workers
            .register_with(puppet.worker(), |it| it.with_backoff(a_second()))
            .unwrap();
    }
    bench.workers.start_all().await.unwrap();
    settle().await;
    fails.pull(Order::Fail);
    sleep(2 * SECOND).await;
    assert!(slow.is_alive(), "it takes its time");
    assert!(!fails.is_alive(), "and the other waits for it");
    sleep(4 * SECOND).await;
    assert!(slow.is_alive() && fails.is_alive());
    assert_eq!((slow.starts(), fails.starts()), (2, 2));
    assert_eq!((slow.most(), fails.most()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_group_that_gives_up_fails_in_turn_and_the_root_says_why() {
    let bench = Bench::with(root(
        GroupConfig::one_for_one().with_intensity(intensity(1, MINUTE)),
    ));
    let config = GroupConfig::one_for_one()
        .with_intensity(intensity(2, MINUTE))
        .with_backoff(a_second());
    let mail = bench.workers.group("mail", config).unwrap();
    let (broken, other) = (Puppet::new("broken"), Puppet::new("other"));
    mail.register_with(broken.worker(), |it| it.with_backoff(at_once()))
        .unwrap();
    bench.workers.register(other.worker()).unwrap();
    bench.workers.start_all().await.unwrap();
    settle().await;
    for _ in 0..3 {
        broken.pull(Order::Fail);
        settle().await;
    }
    assert!(!broken.is_alive(), "the group has given up");
    assert!(bench.heard(
        "worker mail: gives up: 3 restarts within 1m: the last of `broken`, which failed: told to"
    ));
    sleep(2 * SECOND).await;
    assert!(broken.is_alive(), "its group restarted it");
    assert!(bench.heard("worker mail: gave up on its members (1 in a row), starts again in 1s"));
    for _ in 0..3 {
        broken.pull(Order::Panic);
        settle().await;
    }
    let why = bench.workers.ended().await;
    assert_eq!(why.to_string(), "2 restarts within 1m, the last of `mail`");
    settle().await;
    assert!(!other.is_alive(), "the root stopped everybody");
    let error = bench.workers.start("other").await;
    assert!(matches!(error, Err(ManagerError::GaveUp(_)) | Ok(())));
    // A start of all is a new life.
    bench.workers.start_all().await.unwrap();
    settle().await;
    assert!(other.is_alive() && broken.is_alive());
}

/// Intensity is exact: a thousand failures at once are borne if a thousand may be, and not one more.
#[tokio::test(start_paused = true)]
async fn a_storm_of_restarts_is_spread_and_counted_exactly() {
    const MANY: u32 = 1000;
    for (borne, gives_up) in [(MANY, false), (MANY - 1, true)] {
        let config = GroupConfig::one_for_one().with_intensity(intensity(borne, MINUTE));
        let bench = Bench::with(root(config));
        let starts = Arc::new(Mutex::new(Vec::new()));
        let begun = Stopwatch::start();
        for number in 0..MANY {
            let starts = Arc::clone(&starts);
            let fails = worker(
                rs_core::Name::new(&format!("w{number}")),
                move |ctx: WorkerContext| {
                    let starts = Arc::clone(&starts);
                    async move {
                        let first = begun.elapsed() < SECOND;
                        if first {
                            sleep(SECOND.saturating_sub(begun.elapsed())).await;
                            return Err(WorkerError::from("the database is away"));
                        }
                        starts.lock().unwrap().push(begun.elapsed());
                        ctx.stopped().await;
                        Ok(())
                    }
                },
            );
            let backoff = Backoff::constant(10 * SECOND);
            bench
                .workers
                .register_with(fails, |it| it.with_backoff(backoff))
                .unwrap();
        }
        bench.workers.start_all().await.unwrap();
        sleep(20 * SECOND).await;
        let starts = std::mem::take(&mut *starts.lock().unwrap());
        if gives_up {
            assert_eq!(starts.len(), 0);
            let why = bench.workers.ended().await;
            assert_eq!(why.restarts, MANY);
            continue;
        }
        assert_eq!(starts.len(), MANY as usize, "none is lost");
        let mut tenths = [0; 10];
        for start in starts {
            let tenth = (start - SECOND).as_millis() / 1000;
            tenths[usize::try_from(tenth).unwrap().min(9)] += 1;
        }
        println!("restarts of {MANY} in each second: {tenths:?}");
        assert!(
            tenths.iter().all(|count| (60..=150).contains(count)),
            "{tenths:?}"
        );
        assert_eq!(bench.workers.runs(), 2 * u64::from(MANY));
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_stopped_by_order_does_not_come_back_with_the_others() {
    let bench = Bench::with(root(GroupConfig::one_for_all()));
    let (a, b, c) = (Puppet::new("a"), Puppet::new("b"), Puppet::new("c"));
    for puppet in [&a, &b, &c] {
        bench
            .workers
            .register_with(puppet.worker(), |it| it.with_backoff(at_once()))
            .unwrap();
    }
    bench.workers.start_all().await.unwrap();
    settle().await;
    bench.workers.stop("a").await.unwrap();
    b.pull(Order::Fail);
    settle().await;
    assert!(!a.is_alive() && b.is_alive() && c.is_alive());
    assert_eq!(bench.workers.status("a").unwrap().state, WorkerState::Off);
    bench.workers.start("a").await.unwrap();
    settle().await;
    assert!(a.is_alive());
}

/// Also if the others are restarted while it is still being stopped.
#[tokio::test(start_paused = true)]
async fn who_is_being_stopped_by_order_does_not_come_back_either() {
    let bench = Bench::with(root(GroupConfig::one_for_all()));
    let (slow, fails) = (Puppet::new("slow"), Puppet::new("fails"));
    slow.slow(5 * SECOND);
    for puppet in [&slow, &fails] {
        let config = |it: WorkerConfig| it.with_backoff(a_second());
        bench
            .workers
            .register_with(puppet.worker(), config)
            .unwrap();
    }
    bench.workers.start_all().await.unwrap();
    settle().await;
    assert!(in_time(SECOND, bench.workers.stop("slow")).await.is_err());
    fails.pull(Order::Fail);
    sleep(10 * SECOND).await;
    assert!(!slow.is_alive() && fails.is_alive());
    assert_eq!((slow.starts(), fails.starts()), (1, 2));
    // A restart by order, on the other hand, is overtaken by that of the group.
    slow.slow(5 * SECOND);
    bench.workers.start("slow").await.unwrap();
    settle().await;
    assert!(
        in_time(SECOND, bench.workers.restart("slow"))
            .await
            .is_err()
    );
    fails.pull(Order::Fail);
    sleep(10 * SECOND).await;
    assert!(slow.is_alive() && fails.is_alive());
    assert_eq!((slow.starts(), slow.most()), (3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_restart_by_order_counts_for_nothing() {
    let config = GroupConfig::one_for_one().with_intensity(intensity(0, MINUTE));
    let bench = Bench::with(root(config));
    let puppet = Puppet::new("p");
    bench.workers.register(puppet.worker()).unwrap();
    bench.workers.start_all().await.unwrap();
    for _ in 0..5 {
        bench.workers.restart("p").await.unwrap();
        settle().await;
    }
    assert_eq!((puppet.starts(), puppet.most()), (6, 1));
    assert!(puppet.is_alive());
    assert_eq!(bench.workers.status("p").unwrap().restarts, 0);
}

#[tokio::test(start_paused = true)]
async fn the_waits_may_come_to_an_end() {
    let bench = Bench::new();
    let puppet = Puppet::new("p");
    let thrice = Backoff::own(|| [SECOND; 3].into_iter());
    bench
        .workers
        .register_with(puppet.worker(), |it| it.with_backoff(thrice))
        .unwrap();
    bench.workers.start_all().await.unwrap();
    for _ in 0..4 {
        settle().await;
        puppet.pull(Order::Fail);
        sleep(2 * SECOND).await;
    }
    assert_eq!(puppet.starts(), 4);
    assert!(!puppet.is_alive());
    assert!(bench.heard("stays off"));
}

#[tokio::test(start_paused = true)]
async fn a_spawned_task_belongs_to_its_run() {
    let bench = Bench::new();
    let alive = Alive::default();
    let tasks = alive.clone();
    let parent = worker("parent", move |ctx: WorkerContext| {
        let tasks = tasks.clone();
        async move {
            for _ in 0..10 {
                let guard = tasks.enter();
                let _task = ctx.spawn(async move {
                    let _guard = guard;
                    std::future::pending::<()>().await;
                });
            }
            sleep(SECOND).await;
            Err::<(), _>(WorkerError::from("tired"))
        }
    });
    bench
        .workers
        .register_with(parent, |it| it.with_backoff(a_second()))
        .unwrap();
    bench.workers.start_all().await.unwrap();
    sleep(500 * MILLI).await;
    assert_eq!(alive.count(), 10);
    assert_eq!(bench.workers.status("parent").unwrap().tasks, 10);
    sleep(SECOND).await;
    assert_eq!(alive.count(), 0, "they end with it");
    sleep(SECOND).await;
    assert_eq!(alive.count(), 10, "and are there again with the next");
    bench.workers.stop_all().await;
    assert_eq!(alive.count(), 0);
}
