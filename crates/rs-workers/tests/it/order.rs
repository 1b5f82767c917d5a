//! In which order workers start and stop.

use crate::support::*;
use rs_workers::{GroupConfig, ManagerError, WorkerContext, WorkerManager, once, worker};

#[tokio::test(start_paused = true)]
async fn all_start_and_all_stop() {
    let bench = Bench::new();
    for name in ["a", "b", "c"] {
        bench.workers.register(quiet(name, &bench.log)).unwrap();
    }
    bench.workers.start_all().await.unwrap();
    settle().await;
    assert_eq!(bench.log.take(), ["+a", "+b", "+c"]);
    let report = bench.workers.stop_all().await;
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.workers.len(), 3);
    let mut stopped = bench.log.take();
    stopped.sort();
    assert_eq!(stopped, ["-a", "-b", "-c"]);
    assert_eq!(report.to_string(), "stopped 3 workers in 0s: 3 returned");
}

#[tokio::test(start_paused = true)]
async fn what_is_built_on_starts_first_and_stops_last() {
    let bench = Bench::new();
    let log = bench.log.clone();
    let slow = worker("db", move |ctx: WorkerContext| {
        let log = log.clone();
        async move {
            log.write("+db");
            sleep(SECOND).await;
            log.write("ready db");
            ctx.ready();
            ctx.stopped().await;
            log.write("-db");
        }
    });
    bench
        .workers
        .register_with(quiet("web", &bench.log), |it| it.after("cache"))
        .unwrap();
    bench
        .workers
        .register_with(quiet("cache", &bench.log), |it| it.after("db"))
        .unwrap();
    bench
        .workers
        .register_with(slow, |it| it.ready_within(MINUTE))
        .unwrap();
    bench.workers.start_all().await.unwrap();
    settle().await;
    assert_eq!(bench.log.take(), ["+db", "ready db", "+cache", "+web"]);
    bench.workers.stop_all().await;
    assert_eq!(bench.log.take(), ["-web", "-cache", "-db"]);
}

#[tokio::test(start_paused = true)]
async fn a_group_in_order_starts_one_after_the_other() {
    let bench = Bench::with(root(GroupConfig::rest_for_one()));
    for name in ["a", "b", "c"] {
        bench.workers.register(quiet(name, &bench.log)).unwrap();
    }
    bench.workers.start_all().await.unwrap();
    settle().await;
    bench.workers.stop_all().await;
    assert_eq!(bench.log.take(), ["+a", "+b", "+c", "-c", "-b", "-a"]);
}

#[tokio::test(start_paused = true)]
async fn a_one_shot_that_has_finished_is_ready() {
    let bench = Bench::new();
    let log = bench.log.clone();
    bench
        .workers
        .register_with(quiet("server", &bench.log), |it| it.after("migrate"))
        .unwrap();
    let migrate = once("migrate", move |_ctx: WorkerContext| {
        let log = log.clone();
        async move {
            sleep(SECOND).await;
            log.write("migrated");
        }
    });
    bench.workers.register(migrate).unwrap();
    bench.workers.start_all().await.unwrap();
    settle().await;
    assert_eq!(bench.log.take(), ["migrated", "+server"]);
}

#[tokio::test(start_paused = true)]
async fn a_dependency_on_a_group_is_one_on_all_in_it() {
    let bench = Bench::new();
    let stores = bench
        .workers
        .group("stores", GroupConfig::default())
        .unwrap();
    bench
        .workers
        .register_with(quiet("web", &bench.log), |it| it.after("stores"))
        .unwrap();
    stores.register(quiet("db", &bench.log)).unwrap();
    stores.register(quiet("cache", &bench.log)).unwrap();
    bench.workers.start_all().await.unwrap();
    settle().await;
    assert_eq!(bench.log.take().last().unwrap(), "+web");
    bench.workers.stop_all().await;
    assert_eq!(bench.log.take().first().unwrap(), "-web");
}

#[tokio::test(start_paused = true)]
async fn cycles_are_named_in_full() {
    let bench = Bench::new();
    let add = |workers: &WorkerManager, name, after| {
        workers.register_with(quiet(name, &bench.log), |it| it.after(after))
    };
    add(&bench.workers, "a", "b").unwrap();
    add(&bench.workers, "b", "c").unwrap();
    let error = add(&bench.workers, "c", "a").unwrap_err();
    assert_eq!(
        error.to_string(),
        "nothing can start first: `c` after `a` after `b` after `c`",
    );
    // The one that closed it is not there.
    assert!(bench.workers.status("c").is_none());
    let itself = add(&bench.workers, "d", "d").unwrap_err();
    assert_eq!(itself.to_string(), "nothing can start first: `d` after `d`");
    // Through a group.
    let group = bench.workers.group("g", GroupConfig::default()).unwrap();
    let inside = group
        .register_with(quiet("e", &bench.log), |it| it.after("g"))
        .unwrap_err();
    assert_eq!(
        inside.to_string(),
        "nothing can start first: `e` after `g` after `e`"
    );
    // Through another group's own dependency.
    let late = GroupConfig::default().after("f");
    let late = bench.workers.group("late", late).unwrap();
    late.register(quiet("x", &bench.log)).unwrap();
    let error = add(&bench.workers, "f", "late").unwrap_err();
    assert!(
        matches!(error, ManagerError::Cycle(ref names) if names.len() >= 3),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_named() {
    let bench = Bench::new();
    bench
        .workers
        .register_with(quiet("web", &bench.log), |it| it.after("db"))
        .unwrap();
    let error = bench.workers.start_all().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "`web` starts after `db`, which is not there"
    );
    bench.workers.register(quiet("db", &bench.log)).unwrap();
    bench.workers.start_all().await.unwrap();
    // While it runs, at once.
    let error = bench
        .workers
        .register_with(quiet("job", &bench.log), |it| it.after("nothing"));
    assert!(matches!(error, Err(ManagerError::Missing { .. })));
    assert!(bench.workers.status("job").is_none());
}

#[tokio::test(start_paused = true)]
async fn who_is_not_ready_says_why() {
    let bench = Bench::new();
    let never = worker(
        "db",
        |ctx: WorkerContext| async move { ctx.stopped().await },
    );
    bench
        .workers
        .register_with(never, |it| it.ready_within(10 * MINUTE))
        .unwrap();
    bench
        .workers
        .register_with(quiet("web", &bench.log), |it| it.after("db"))
        .unwrap();
    let error = bench.workers.start_all().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "not ready after 1m: `db` has not said that it is ready, `web` waits for `db`",
    );
    assert_eq!(
        bench.workers.status("web").unwrap().waits_for,
        Some("db".into())
    );
}

#[tokio::test(start_paused = true)]
async fn who_is_not_ready_in_its_own_time_has_failed() {
    let bench = Bench::new();
    let never = Puppet::new("db");
    let slow = |it: rs_workers::WorkerConfig| it.ready_within(SECOND).with_backoff(a_second());
    bench.workers.register_with(never.worker(), slow).unwrap();
    assert!(bench.workers.start_all().await.is_err());
    assert!(never.starts() > 10, "{}", never.starts());
    assert!(bench.heard("was not ready within 1s"));
}

#[tokio::test(start_paused = true)]
async fn added_and_removed_while_it_runs() {
    let bench = Bench::new();
    bench.workers.start_all().await.unwrap();
    bench.workers.register(quiet("late", &bench.log)).unwrap();
    settle().await;
    assert_eq!(bench.log.take(), ["+late"]);
    bench
        .workers
        .register_with(quiet("later", &bench.log), |it| it.after("late"))
        .unwrap();
    settle().await;
    assert_eq!(bench.log.take(), ["+later"]);
    let needed = bench.workers.remove("late").await.unwrap_err();
    assert_eq!(needed.to_string(), "`later` starts after `late`");
    bench.workers.remove("later").await.unwrap();
    bench.workers.remove("late").await.unwrap();
    assert!(bench.workers.statuses().is_empty());
    assert!(bench.directory.find("worker", "late").is_none());
    // The name is free again.
    bench.workers.register(quiet("late", &bench.log)).unwrap();
}
