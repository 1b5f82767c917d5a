//! Clocks that tests move, and times that no clock can say.

use std::{
    pin::pin,
    sync::{
        Arc, Barrier,
        atomic::{AtomicU32, Ordering::SeqCst},
        mpsc,
    },
    time::Duration,
};

use proptest::prelude::*;
use rs_core::{Call, Clock, Deadline};

use crate::support::{block_on, cases, poll_once};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn deadlines_are_compared_with_a_now_that_is_handed_in() {
    #[track_caller]
    fn check(left: Duration, needs: Duration, leaves: bool) {
        let now = Clock::default().now();
        let deadline = Deadline::after(now, left);
        assert_eq!(deadline.remaining(now), left);
        assert_eq!(deadline.has_passed(now), left.is_zero());
        assert_eq!(deadline.leaves(now, needs), leaves);
        assert_eq!(Deadline::at(deadline.moment()), deadline);
    }
    check(SECOND, Duration::ZERO, true);
    check(SECOND, SECOND, true);
    check(SECOND, SECOND + Duration::from_nanos(1), false);
    check(SECOND, Duration::MAX, false);
    // What is over leaves nothing, not even for something that takes no time.
    check(Duration::ZERO, Duration::ZERO, false);
    check(Duration::ZERO, SECOND, false);
}

#[test]
fn the_earlier_deadline_wins() {
    let (clock, hand) = Clock::manual();
    let call = Call::new("x").within(10 * SECOND, &clock);
    let remaining = |call: Call| call.deadline().map(|by| by.remaining(clock.now()));
    assert_eq!(
        remaining(call.within(20 * SECOND, &clock)),
        Some(10 * SECOND)
    );
    assert_eq!(remaining(call.within(3 * SECOND, &clock)), Some(3 * SECOND));
    hand.advance(11 * SECOND);
    assert_eq!(remaining(call), Some(Duration::ZERO));
    assert!(call.deadline().is_some_and(|by| by.has_passed(clock.now())));
    assert_eq!(remaining(Call::new("y")), None);
}

/// Times at the edge of what a clock can say; none of them may panic or turn into a short one.
fn huge() -> Vec<Duration> {
    let clock = Clock::default();
    let mut all = vec![
        Duration::MAX,
        Duration::from_secs(u64::MAX),
        Duration::from_nanos(u64::MAX),
        Duration::from_secs(i64::MAX as u64),
        Duration::from_secs(1 << 40),
    ];
    // The last moment that there is, found by halving.
    let now = clock.now();
    let (mut fits, mut too_much) = (0_u64, u64::MAX);
    while too_much - fits > 1 {
        let middle = fits + (too_much - fits) / 2;
        match now.checked_add(Duration::from_secs(middle)) {
            Some(_) => fits = middle,
            None => too_much = middle,
        }
    }
    for less in [0, 1, 2, 3600, 1_000_000_000] {
        all.push(Duration::from_secs(fits - less));
    }
    let last = Duration::from_secs(fits);
    let nanos = (0..30).rev().fold(0_u64, |nanos, bit| {
        let more = Duration::from_nanos(nanos | 1 << bit);
        match now.checked_add(last + more) {
            Some(_) => nanos | 1 << bit,
            None => nanos,
        }
    });
    all.push(last + Duration::from_nanos(nanos));
    all
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

#[test]
fn huge_deadlines_are_far_away() {
    for time in huge() {
        let (clock, hand) = Clock::manual();
        for now in [Clock::default().now(), clock.now()] {
            let deadline = Deadline::after(now, time);
            assert!(deadline.remaining(now) > 29 * YEAR, "{time:?}");
            // A deadline counted from a moment that is itself at the edge.
            let later = Deadline::after(deadline.moment(), time);
            assert!(later >= deadline, "{time:?}");
            assert!(!Deadline::after(deadline.moment(), SECOND).has_passed(now));
        }
        let call = Call::new("x").within(time, &clock);
        assert!(
            call.deadline()
                .is_some_and(|by| !by.has_passed(clock.now()))
        );
        hand.advance(time);
        hand.advance(time);
        assert!(Deadline::after(clock.now(), time) >= Deadline::at(clock.now()));
    }
}

#[tokio::test(start_paused = true)]
async fn huge_sleeps_on_the_default_clock_do_not_end() {
    let clock = Clock::default();
    for time in huge() {
        let mut sleep = pin!(clock.sleep(time));
        assert!(poll_once(sleep.as_mut()).is_pending(), "{time:?}");
        let far = Deadline::after(clock.now(), time).moment();
        let mut until = pin!(clock.sleep_until(far));
        assert!(poll_once(until.as_mut()).is_pending(), "{time:?}");
        if let Some(moment) = clock.now().checked_add(time) {
            let mut until = pin!(clock.sleep_until(moment));
            assert!(poll_once(until.as_mut()).is_pending(), "{time:?}");
        }
    }
}

#[test]
fn the_manual_clock_never_goes_back() {
    for time in huge() {
        let (clock, hand) = Clock::manual();
        let mut last = clock.now();
        for step in [SECOND, time, SECOND, time, Duration::MAX, time] {
            hand.advance(step);
            assert!(clock.now() >= last, "{time:?} then {step:?}");
            last = clock.now();
        }
        // At the end of time there is nothing left to wait for.
        let mut sleep = pin!(clock.sleep(SECOND));
        let _ = poll_once(sleep.as_mut());
    }
}

#[test]
fn a_blocked_thread_may_wait_for_ever() {
    for time in huge() {
        let (clock, hand) = Clock::manual();
        let here = Arc::new(Barrier::new(2));
        let sleeper = {
            let here = Arc::clone(&here);
            std::thread::spawn(move || {
                here.wait();
                clock.sleep_blocking(time);
            })
        };
        here.wait();
        for _ in 0..500 {
            hand.advance(YEAR);
            (0..20).for_each(|_| std::thread::yield_now());
            if sleeper.is_finished() {
                sleeper.join().unwrap();
                break;
            }
        }
        // Else it sleeps on when the test is over: longer than this clock can say.
    }
}

#[tokio::test(start_paused = true)]
async fn the_default_clock_follows_tokios() {
    let clock = Clock::default();
    let start = clock.now();
    let sleep = clock.sleep(90 * SECOND);
    tokio::time::advance(30 * SECOND).await;
    sleep.await;
    assert_eq!(clock.now() - start, 90 * SECOND);
    tokio::time::advance(SECOND).await;
    assert_eq!(Clock::tokio().now() - start, 91 * SECOND);
    // The past is no reason to wait.
    assert!(poll_once(pin!(clock.sleep_until(start))).is_ready());
}

#[test]
fn the_default_clock_runs_without_a_runtime() {
    let clock = Clock::default();
    let start = clock.now();
    assert!(clock.now() >= start);
    clock.sleep_blocking(Duration::ZERO);
}

#[test]
fn advancing_wakes_whoever_was_polled_before_or_is_polled_after() {
    let (clock, hand) = Clock::manual();
    let mut unpolled = pin!(clock.sleep(SECOND));
    let mut polled = pin!(clock.sleep(SECOND));
    assert!(poll_once(polled.as_mut()).is_pending());
    hand.advance(SECOND - Duration::from_nanos(1));
    assert!(poll_once(polled.as_mut()).is_pending());
    hand.advance(Duration::from_nanos(1));
    // The time runs from the call, as with tokio's own sleep.
    assert!(poll_once(unpolled.as_mut()).is_ready());
    assert!(poll_once(polled.as_mut()).is_ready());
    let mut later = pin!(clock.sleep(SECOND));
    assert!(poll_once(later.as_mut()).is_pending());
    // No wait at all needs no advance.
    block_on(clock.sleep(Duration::ZERO));
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "sleepers in tasks of their own")]
async fn many_sleepers_wake_when_their_time_has_come() {
    let (clock, hand) = Clock::manual();
    let awake = Arc::new(AtomicU32::new(0));
    // Ten for each second, the late ones first.
    let sleepers: Vec<_> = (0..100)
        .map(|at| {
            let (clock, awake) = (clock.clone(), Arc::clone(&awake));
            let until = clock.now() + (10 - at % 10) * SECOND;
            tokio::spawn(async move {
                clock.sleep_until(until).await;
                awake.fetch_add(1, SeqCst);
            })
        })
        .collect();
    tokio::task::yield_now().await;
    for step in 1..=10 {
        hand.advance(SECOND);
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        assert_eq!(awake.load(SeqCst), 10 * step);
    }
    for sleeper in sleepers {
        sleeper.await.unwrap();
    }
}

/// One move, at whatever moment of the falling asleep, is enough.
#[test]
fn one_move_wakes_a_sleeper_that_is_just_falling_asleep() {
    // Both spin to the start, so that they meet within nanoseconds.
    let ready = AtomicU32::new(0);
    let start = |round: u32| {
        ready.fetch_add(1, SeqCst);
        let mut spins = 0_u32;
        while ready.load(SeqCst) < 2 * (round + 1) {
            spins += 1;
            match spins % 1_000 {
                0 => std::thread::yield_now(),
                _ => std::hint::spin_loop(),
            }
        }
    };
    let (rounds, awake) = mpsc::channel();
    let (to_sleeper, clocks) = mpsc::channel::<Clock>();
    std::thread::scope(|scope| {
        let start = &start;
        scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            for (round, clock) in (0..).zip(clocks) {
                let until = clock.now() + SECOND;
                start(round);
                runtime.block_on(clock.sleep_until(until));
                rounds.send(()).unwrap();
            }
        });
        for round in 0..4_000 {
            let (clock, hand) = Clock::manual();
            to_sleeper.send(clock).unwrap();
            start(round);
            (0..round % 200).for_each(|_| std::hint::spin_loop());
            hand.advance(SECOND);
            let woken = awake.recv_timeout(Duration::from_secs(10));
            // Whoever slept through the move is let go before the test fails.
            hand.advance(SECOND);
            assert_eq!(woken, Ok(()), "round {round}");
        }
        drop(to_sleeper);
    });
}

/// Async and blocking sleepers, several hands, the moves in any order with the falling asleep.
#[test]
fn no_sleeper_is_forgotten() {
    for _ in 0..50 {
        let (clock, hand) = Clock::manual();
        let until = clock.now() + 10 * SECOND;
        let awake = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    clock.sleep_blocking(10 * SECOND);
                    assert!(clock.now() >= until);
                    awake.fetch_add(1, SeqCst);
                });
                scope.spawn(|| {
                    tokio::runtime::Builder::new_current_thread()
                        .build()
                        .unwrap()
                        .block_on(clock.sleep_until(until));
                    assert!(clock.now() >= until);
                    awake.fetch_add(1, SeqCst);
                });
            }
            for _ in 0..2 {
                scope.spawn(|| {
                    // A blocking sleeper counts from when it falls asleep: move until all are awake.
                    while awake.load(SeqCst) < 6 {
                        hand.advance(SECOND);
                        std::thread::yield_now();
                    }
                });
            }
        });
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_manual_clock_adds_up(steps in prop::collection::vec(0..u64::MAX / 64, 0..20)) {
        let (clock, hand) = Clock::manual();
        let start = clock.now();
        let mut expected = Duration::ZERO;
        for nanos in steps {
            hand.advance(Duration::from_nanos(nanos));
            expected += Duration::from_nanos(nanos);
            prop_assert_eq!(clock.now() - start, expected);
        }
    }

    #[test]
    fn no_time_is_too_long(seconds: u64, nanos in 0_u32..1_000_000_000, from: u64) {
        let (clock, hand) = Clock::manual();
        hand.advance(Duration::from_nanos(from));
        let time = Duration::new(seconds, nanos);
        let deadline = Deadline::after(clock.now(), time);
        let left = deadline.remaining(clock.now());
        prop_assert!(left == time || left >= 29 * YEAR && left <= time);
        prop_assert_eq!(deadline.leaves(clock.now(), left), !time.is_zero());
    }
}
