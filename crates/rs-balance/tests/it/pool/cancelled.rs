//! Dropped at every poll.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use rs_balance::Strategy;
use rs_core::Outcome;

use super::dock::{Manner, config, pool};

/// Polls a future so many times and drops it; what it gave if it was done.
async fn polled<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..times {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        // Timers go on.
        tokio::task::yield_now().await;
    }
    None
}

#[tokio::test(start_paused = true)]
async fn a_borrow_dropped_at_any_poll_leaves_nothing() {
    // A new connection; a check and a new one; one that cannot be connected to and another; a wait.
    for scene in 0..4 {
        let mut done = 0;
        for times in 0..16 {
            let config =
                config(1, Strategy::RoundRobin).with_check(Duration::ZERO, Duration::from_secs(1));
            let (pool, dock, _) = pool(config, 2);
            let mut held = None;
            match scene {
                0 => (0..2).for_each(|target| dock.behave(target, Manner::Dawdles(3))),
                1 => {
                    for _ in 0..2 {
                        pool.get("call").await.unwrap().finish(Outcome::Success);
                    }
                    (0..2).for_each(|target| dock.behave(target, Manner::Dawdles(3)));
                }
                2 => {
                    dock.behave(0, Manner::Refuses);
                    dock.behave(1, Manner::Dawdles(3));
                }
                _ => {
                    held = Some((
                        pool.get("call").await.unwrap(),
                        pool.get("call").await.unwrap(),
                    ))
                }
            }
            let idle = pool.idle();
            let connected = polled(pool.get("call"), times).await;
            done += u32::from(connected.is_some());
            let lived = u64::from(connected.is_some()) + if held.is_some() { 2 } else { 0 };
            assert_eq!(pool.in_flight(), lived, "scene {scene}, {times} polls");
            assert_eq!(pool.leased() as u64, lived, "scene {scene}, {times} polls");
            assert_eq!(pool.waiting(), 0, "scene {scene}, {times} polls");
            assert!(pool.idle() <= idle);
            drop((connected, held));
            assert_eq!(
                (pool.in_flight(), pool.leased()),
                (0, 0),
                "scene {scene}, {times} polls"
            );
            assert_eq!(dock.all_open(), pool.idle(), "scene {scene}, {times} polls");
            // All places are there.
            (0..2).for_each(|target| dock.behave(target, Manner::Works));
            let _all = (
                pool.get("call").await.unwrap(),
                pool.get("call").await.unwrap(),
            );
        }
        assert_eq!(done > 0, scene < 3, "scene {scene} ends unless it waits");
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_that_was_just_given_to_who_goes_is_given_to_the_next() {
    let (pool, _, _) = pool(config(1, Strategy::RoundRobin), 1);
    let held = pool.get("call").await.unwrap();
    let mut first = Box::pin(pool.get("call"));
    let mut second = Box::pin(pool.get("call"));
    let mut context = Context::from_waker(Waker::noop());
    assert!(first.as_mut().poll(&mut context).is_pending());
    assert!(second.as_mut().poll(&mut context).is_pending());
    held.finish(Outcome::Success);
    drop(first);
    let Poll::Ready(Ok(second)) = second.as_mut().poll(&mut context) else {
        panic!("it is its turn");
    };
    assert_eq!((pool.leased(), pool.waiting()), (1, 0));
    drop(second);
}
