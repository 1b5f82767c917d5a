//! Calls on several threads, some of which go away.

use super::price;
use rs_core::{Policy, operation};
use rs_policies::{Coalesce, CoalesceConfig, CoalesceRole as Role, Surroundings};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[expect(clippy::disallowed_methods, reason = "calls on several threads")]
async fn whoever_stays_gets_an_answer_and_two_never_run_at_once() {
    const CALLS: u32 = 2000;
    let config = CoalesceConfig::default()
        .with_followers(CALLS)
        .with_longest_wait(Duration::from_secs(3600));
    let around = Surroundings::apart();
    let prices = Coalesce::<u32, ()>::within(&around, "prices", config).unwrap();
    let (inside, runs) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let tasks: Vec<_> = (0..CALLS)
        .map(|number| {
            let (prices, inside, runs) = (prices.clone(), Arc::clone(&inside), Arc::clone(&runs));
            tokio::spawn(async move {
                let run = operation(async |_call| {
                    let _inside = Inside::enter(&inside);
                    runs.fetch_add(1, SeqCst);
                    for _ in 0..number % 7 {
                        tokio::task::yield_now().await;
                    }
                    Ok::<_, ()>(number)
                });
                let call = price();
                let mut running = std::pin::pin!(prices.run(&call, &run));
                // Every third goes away after some polls, whatever it is doing.
                let mut polls = number % 3;
                std::future::poll_fn(|context| match running.as_mut().poll(context) {
                    std::task::Poll::Pending if polls == 1 => std::task::Poll::Ready(None),
                    std::task::Poll::Pending => {
                        polls = polls.saturating_sub(1);
                        std::task::Poll::Pending
                    }
                    std::task::Poll::Ready(answer) => std::task::Poll::Ready(Some(answer)),
                })
                .await
            })
        })
        .collect();
    let mut answered = 0;
    for task in tasks {
        answered += u64::from(task.await.unwrap().is_some());
    }
    assert_eq!(inside.load(SeqCst), 0);
    let calls = |role| prices.calls(role);
    let ran = calls(Role::Leader) + calls(Role::Heir);
    assert_eq!(ran, u64::from(runs.load(SeqCst)));
    assert!(answered >= calls(Role::Follower));
    assert_eq!(
        ran + calls(Role::Follower) + calls(Role::Left),
        u64::from(CALLS)
    );
    assert_eq!((prices.running(), prices.waiting()), (0, 0));
}

/// Only one may be inside.
struct Inside<'c>(&'c AtomicU32);

impl<'c> Inside<'c> {
    fn enter(inside: &'c AtomicU32) -> Self {
        assert_eq!(inside.fetch_add(1, SeqCst), 0, "two run at once");
        Self(inside)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}
