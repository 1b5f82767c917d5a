//! What follows when a worker ends.

use crate::support::*;
use rs_workers::{Restart, RunEnd};

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
            let config =
                |it: rs_workers::WorkerConfig| it.with_restart(restart).with_backoff(a_second());
            bench
                .workers
                .register_with(puppet.worker(), config)
                .unwrap();
            bench.workers.start_all().await.unwrap();
            settle().await;
            puppet.pull(order);
            settle().await;
            assert!(!puppet.is_alive());
            tokio::time::sleep(2 * SECOND).await;
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
