//! Many threads at once, and somebody who gives orders and other rules meanwhile: every call is accounted
//! for, and the breaker is usable afterwards.

use crate::{
    model::is_long,
    support::{Bench, SECOND, percent, plain},
};
use rs_breaker::{
    Breaker, BreakerConfig, BreakerState, Forced, OpenTime, Probing, Ramp, Timing, Trip, Window,
};
use rs_core::{Call, Enforcement, Fault, Guard, Mandate, Outcome, Permit, Share};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

const THREADS: usize = 8;

fn calls_per_thread() -> u64 {
    if is_long() { 1_000_000 } else { 50_000 }
}

/// What a thread did, as it knows itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Done {
    calls: u64,
    succeeded: u64,
    failed: u64,
    ignored: u64,
    cancelled: u64,
    rejected: u64,
    dark: u64,
}

impl std::ops::AddAssign for Done {
    fn add_assign(&mut self, more: Self) {
        self.calls += more.calls;
        self.succeeded += more.succeeded;
        self.failed += more.failed;
        self.ignored += more.ignored;
        self.cancelled += more.cancelled;
        self.rejected += more.rejected;
        self.dark += more.dark;
    }
}

impl Done {
    fn finish(&mut self, permit: Permit<&Breaker>, dice: &mut fastrand::Rng, failing: u8) {
        let outcome = match dice.u8(..100) {
            luck if luck < failing => {
                self.failed += 1;
                match dice.u8(..10) {
                    0 => Fault::throttled().after(2 * SECOND).into(),
                    1 => Fault::timed_out().into(),
                    _ => Outcome::TRANSIENT,
                }
            }
            90..95 => {
                self.ignored += 1;
                Outcome::Ignored
            }
            95.. => {
                self.cancelled += 1;
                return drop(permit);
            }
            _ => {
                self.succeeded += 1;
                Outcome::Success
            }
        };
        match dice.u8(..16) {
            0 => permit.finish_after(outcome, 3 * SECOND),
            1 => permit.finish_after(outcome, SECOND / 100),
            _ => permit.finish(outcome),
        }
    }
}

fn is_dark(permit: &Permit<&Breaker>) -> bool {
    format!("{permit:?}").contains("Beside")
}

/// A thread's share of the calls. Some permits are held while others come and go.
fn work(breaker: &Breaker, seed: u64, lenient: bool) -> Done {
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut done = Done::default();
    let mut held = Vec::new();
    let mut failing = 5;
    for number in 0..calls_per_thread() {
        if number.is_multiple_of(1_000) {
            failing = dice.choice([0, 5, 30, 85]).unwrap_or(0);
        }
        done.calls += 1;
        match breaker.try_admit(&Call::new("stress")) {
            Ok(permit) => {
                done.dark += u64::from(lenient && is_dark(&permit));
                held.push(permit);
            }
            Err(_) => done.rejected += 1,
        }
        let most = if dice.u8(..8) == 0 { 4 } else { 0 };
        while held.len() > most {
            let permit = held.swap_remove(dice.usize(..held.len()));
            done.finish(permit, &mut dice, failing);
        }
    }
    for permit in held {
        done.finish(permit, &mut dice, failing);
    }
    done
}

/// Gives orders and other rules, and lets time pass, until all threads are done.
fn interfere(bench: &Bench, configs: &[BreakerConfig], working: &AtomicUsize) {
    let mut dice = fastrand::Rng::with_seed(99);
    let mandate = || Mandate::new("anna", "stress");
    let breaker = &bench.breaker;
    let (mut before, mut ended) = (0, 0);
    while working.load(Ordering::Relaxed) > 0 {
        bench.wait(Duration::from_micros(dice.u64(..20_000)));
        match dice.u8(..64) {
            0 => breaker.force(Forced::Open, mandate().lasting(SECOND / 100)),
            1 => breaker.force(Forced::Closed, mandate().lasting(SECOND / 100)),
            2 => breaker.force(Forced::Isolated, mandate()),
            3..8 => {
                breaker.release(mandate());
            }
            8 => breaker.reset(mandate()),
            9..12 => {
                let config = dice.choice(configs).cloned().unwrap_or_default();
                breaker.reconfigure(config).unwrap();
            }
            12 => {
                breaker.reconfigure(plain().with_trip([])).unwrap_err();
            }
            13..16 => {
                // Counters never go back.
                let now = breaker.snapshot();
                assert!(now.total_requests >= before && now.successes >= ended);
                (before, ended) = (now.total_requests, now.successes);
            }
            16..32 => thread::yield_now(),
            _ => {
                let _ = breaker.state();
            }
        }
    }
}

#[track_caller]
fn check(first: BreakerConfig, configs: &[BreakerConfig]) {
    let lenient = configs
        .iter()
        .any(|config| config.enforcement() != Enforcement::Full);
    let bench = Bench::with(first);
    let working = AtomicUsize::new(THREADS);
    let mut done = Done::default();
    thread::scope(|scope| {
        let threads = [0, 1, 2, 3, 4, 5, 6, 7].map(|seed| {
            let (breaker, working) = (&bench.breaker, &working);
            scope.spawn(move || {
                let done = work(breaker, seed, lenient);
                working.fetch_sub(1, Ordering::Relaxed);
                done
            })
        });
        if !configs.is_empty() {
            interfere(&bench, configs, &working);
        }
        for thread in threads {
            done += thread.join().unwrap();
        }
    });
    check_accounts(&bench, done);
    check_usable(&bench);
}

#[track_caller]
fn check_accounts(bench: &Bench, done: Done) {
    let found = bench.breaker.snapshot();
    assert_eq!(found.total_requests, done.calls, "{done:?} {found:?}");
    assert_eq!(found.rejected, done.rejected);
    assert_eq!(found.cancelled, done.cancelled);
    assert_eq!(found.dark_rejections, done.dark);
    // What came too late is the rest, and nothing else is.
    let late = [
        done.succeeded.checked_sub(found.successes),
        done.failed.checked_sub(found.failures),
        done.ignored.checked_sub(found.ignored),
    ];
    let late: Option<Vec<u64>> = late.into_iter().collect();
    assert_eq!(
        late.map(|late| late.iter().sum()),
        Some(found.stale),
        "{done:?} {found:?}"
    );
}

/// Whatever it was left as, calls that succeed close it.
#[track_caller]
fn check_usable(bench: &Bench) {
    bench.breaker.release(Mandate::new("anna", "the end"));
    let closes = (0..1_000).any(|_| {
        bench.wait(SECOND);
        bench.succeed();
        bench.breaker.state() == BreakerState::Closed
    });
    assert!(closes, "{:?}", bench.breaker.snapshot());
}

fn brisk() -> BreakerConfig {
    plain()
        .with_open_time(OpenTime::fixed(SECOND / 100).with_jitter(percent(50)))
        .with_probing(Probing::needing(2).of(4).at_once(3).with_lease(SECOND / 50))
        .with_timing(Timing::Off)
}

fn calls() -> BreakerConfig {
    brisk().with_trip([
        Trip::failure_rate(percent(50), Window::last(100)),
        Trip::consecutive_failures(12),
    ])
}

fn time() -> BreakerConfig {
    brisk().with_trip([Trip::failure_rate(
        percent(40),
        Window::time(SECOND).after(30),
    )])
}

fn slow() -> BreakerConfig {
    let slow = Trip::slow_rate(percent(60), SECOND, Window::last(40));
    brisk().with_trip([slow]).with_timing(Timing::Every)
}

#[test]
fn every_call_is_accounted_for_without_interference() {
    // Nothing trips it: all that ends is counted.
    let never = plain().with_trip([Trip::consecutive_failures(1_000_000)]);
    check(never, &[]);
    check(calls(), &[]);
}

#[test]
fn every_call_is_accounted_for_whatever_is_ordered() {
    check(calls(), &[calls()]);
    let over = |time| Ramp::over(time).starting_at(percent(10));
    check(
        time(),
        &[
            calls(),
            time().with_ramp(over(SECOND / 10)),
            slow(),
            BreakerConfig::default(),
        ],
    );
}

#[test]
fn every_call_is_accounted_for_in_the_dark() {
    let partial = Enforcement::Partial(Share::of(0.5).unwrap());
    let configs = [
        calls().with_enforcement(Enforcement::Dark),
        time().with_enforcement(partial),
        slow(),
    ];
    check(calls().with_enforcement(Enforcement::Dark), &configs);
}
