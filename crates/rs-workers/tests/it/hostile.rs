//! Workers whose code panics where none should, and callers who go away.

use crate::support::*;
use rs_core::Name;
use rs_workers::{
    ManagerConfig, ManagerError, RunEnd, Worker, WorkerContext, WorkerFuture, WorkerState, worker,
};
use std::{future::Future, pin::pin, task::Poll};

struct Rude(&'static str);

impl Rude {
    fn may(&self, where_: &str) {
        if self.0 == where_ {
            std::panic::resume_unwind(Box::new(where_.to_owned()));
        }
    }
}

impl Worker for Rude {
    fn name(&self) -> Name {
        self.may("name");
        Name::of("rude")
    }

    fn run(&self, ctx: WorkerContext) -> WorkerFuture<'_> {
        self.may("run");
        struct Falls(bool);
        impl Drop for Falls {
            fn drop(&mut self) {
                if self.0 && !std::thread::panicking() {
                    std::panic::resume_unwind(Box::new("drop of the future"));
                }
            }
        }
        let falls = Falls(self.0 == "future");
        Box::pin(async move {
            let _falls = falls;
            ctx.at("here");
            std::future::pending().await
        })
    }

    fn config(&self) -> rs_workers::WorkerConfig {
        self.may("config");
        rs_workers::WorkerConfig::default()
            .with_grace(SECOND)
            .with_backoff(a_second())
    }

    fn check(&self) -> Result<(), rs_core::ConfigError> {
        self.may("check");
        Ok(())
    }
}

impl Drop for Rude {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.may("drop");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn panics_anywhere_are_contained() {
    for place in ["name", "config", "check"] {
        let bench = Bench::new();
        let error = bench.workers.register(Rude(place)).unwrap_err();
        assert_eq!(error, ManagerError::Panicked(place.to_owned()));
        assert!(bench.workers.statuses().is_empty());
    }
    for (place, end) in [
        ("run", RunEnd::Panicked("run".into())),
        ("future", RunEnd::Panicked("drop of the future".into())),
        ("drop", RunEnd::Aborted),
    ] {
        let bench = Bench::new();
        bench.workers.register(Rude(place)).unwrap();
        bench.workers.start_all().await.unwrap();
        settle().await;
        bench.workers.stop_all().await;
        let status = bench.workers.status("rude").unwrap();
        assert_eq!(
            (status.state, status.last_end),
            (WorkerState::Off, Some(end)),
            "{place}"
        );
        bench.workers.remove("rude").await.unwrap();
        // A name that panicked is as free as any.
        bench.workers.register(Rude(place)).unwrap();
        drop(bench);
    }
}

#[tokio::test(start_paused = true)]
async fn there_may_be_so_many_and_no_more() {
    let bench = Bench::with(ManagerConfig::default().with_limit(2));
    bench.workers.register(quiet("a", &bench.log)).unwrap();
    bench.workers.register(quiet("b", &bench.log)).unwrap();
    assert_eq!(
        bench.workers.register(quiet("c", &bench.log)),
        Err(ManagerError::Full(2))
    );
    bench.workers.remove("a").await.unwrap();
    bench.workers.register(quiet("c", &bench.log)).unwrap();
}

/// Every future of a manager may be dropped at every await, and everything still works.
#[tokio::test(start_paused = true)]
async fn cancelled_at_every_await() {
    for polls in 0..12 {
        let bench = Bench::new();
        let slow = Puppet::new("slow");
        slow.slow(SECOND);
        let (workers, name) = (&bench.workers, slow.name);
        workers
            .register_with(slow.worker(), |it| it.with_backoff(at_once()))
            .unwrap();
        cut(workers.start_all(), polls).await;
        cut(workers.restart(name), polls).await;
        cut(workers.drain(name, SECOND), polls).await;
        cut(workers.start(name), polls).await;
        cut(workers.stop(name), polls).await;
        cut(workers.ended(), polls).await;
        cut(workers.stop_now(), polls).await;
        cut(workers.stop_all(), polls).await;
        workers.start_all().await.unwrap();
        settle().await;
        assert!(slow.is_alive());
        assert_eq!(slow.most(), 1);
        assert!(workers.stop_all().await.is_clean());
    }
}

/// Polls it so often, with time between, and drops it.
async fn cut(future: impl Future, polls: u32) {
    let mut future = pin!(future);
    for _ in 0..polls {
        let done =
            std::future::poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_ready())).await;
        if done {
            return;
        }
        sleep(100 * MILLI).await;
    }
}

/// So may those of a context, inside a worker.
#[tokio::test(start_paused = true)]
async fn waits_of_a_context_may_be_cut() {
    let bench = Bench::new();
    let cuts = worker("cuts", |ctx: WorkerContext| async move {
        for polls in 0..5 {
            cut(ctx.sleep(SECOND), polls).await;
            cut(ctx.wait_until(ctx.clock().now() + SECOND), polls).await;
            cut(ctx.pause_point(), polls).await;
            cut(ctx.unless_stopped(std::future::pending::<()>()), polls).await;
            cut(ctx.unless_drained(std::future::pending::<()>()), polls).await;
            cut(ctx.idly(std::future::pending::<()>()), polls).await;
            cut(ctx.stopped(), polls).await;
        }
        ctx.at("the end");
        // Nothing counts as idle any more, so silence is a sign of death.
        std::future::pending::<()>().await;
    });
    let stuck = |it: rs_workers::WorkerConfig| {
        it.stuck_after(MINUTE, rs_workers::WhenStuck::Report)
            .with_grace(SECOND)
    };
    bench.workers.register_with(cuts, stuck).unwrap();
    bench.workers.start_all().await.unwrap();
    sleep(3 * MINUTE).await;
    let status = bench.workers.status("cuts").unwrap();
    assert_eq!(
        (status.state, status.at.as_deref()),
        (WorkerState::Stuck, Some("the end"))
    );
}
