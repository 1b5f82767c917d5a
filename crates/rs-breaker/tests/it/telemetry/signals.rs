//! Signals: each in the words that people read, with its generation and by whose order.

use super::{call, mandate};
use crate::support::{Bench, SECOND, percent, plain};
use rs_breaker::{
    Breaker, BreakerConfig, Curve, Forced, OpenTime, Probing, Ramp, Surroundings, Trip, Window,
};
use rs_core::{Clock, FlightRecorder, Mandate, Outcome, Severity};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

#[track_caller]
fn check(config: BreakerConfig, story: impl Fn(&Bench), expected: &[(&str, u64, &str)]) {
    let bench = Bench::with(config);
    story(&bench);
    let recent = bench.around.recorder().recent(64);
    let said: Vec<_> = recent
        .iter()
        .map(|one| {
            let words = one.signal.to_string();
            let words = words.strip_prefix("breaker payments: ").unwrap().to_owned();
            (one.signal.kind().name(), one.signal.generation(), words)
        })
        .collect();
    let said: Vec<_> = said
        .iter()
        .map(|(name, generation, words)| (*name, *generation, words.as_str()))
        .collect();
    assert_eq!(said, expected);
}

fn fail(bench: &Bench) {
    while bench.fail() {}
}

#[test]
fn what_opens_it_says_the_numbers_that_decided() {
    let opened = |words| [("opened", 1, words)];
    check(
        plain(),
        |bench| {
            for outcome in [Outcome::Success, Outcome::TRANSIENT, Outcome::Success] {
                bench.call(outcome);
            }
            bench.wait(1234 * SECOND / 1000);
            bench.fail();
        },
        &opened("opened, 2 of 4 failed (limit 50%), next probe in 10s"),
    );
    check(
        plain().with_trip([Trip::consecutive_failures(3)]),
        fail,
        &opened("opened, 3 failed in a row, next probe in 10s"),
    );
    let slow = Trip::slow_rate(percent(75), SECOND, Window::last(8).after(4));
    check(
        plain().with_trip([slow]),
        |bench| {
            for seconds in [2, 0, 2, 2] {
                bench
                    .enter()
                    .unwrap()
                    .finish_after(Outcome::Success, seconds * SECOND);
            }
        },
        &opened("opened, 3 of 4 were slow (limit 75%), next probe in 10s"),
    );
    check(
        plain().with_open_time(
            OpenTime::fixed(SECOND)
                .with_jitter(percent(0))
                .decided_by(|_| 7 * SECOND),
        ),
        fail,
        &opened("opened, 4 of 4 failed (limit 50%), next probe in 7s"),
    );
}

#[test]
fn a_time_with_jitter_reads_well() {
    let bench = Bench::with(plain().with_open_time(OpenTime::fixed(10 * SECOND)));
    fail(&bench);
    let said = bench.said().remove(0);
    let (_, time) = said.rsplit_once(" in ").unwrap();
    assert!(
        time.starts_with('1') && time.ends_with('s') && time.len() <= 6,
        "{said}"
    );
}

#[test]
fn the_way_back() {
    let ramp = Ramp::over(20 * SECOND)
        .starting_at(percent(10))
        .along(Curve::Linear);
    check(
        plain()
            .with_ramp(ramp)
            .with_probing(Probing::needing(2).of(3)),
        |bench| {
            fail(bench);
            bench.wait(10 * SECOND);
            bench.fail();
            bench.fail();
            bench.wait(10 * SECOND);
            bench.succeed();
            bench.fail();
            bench.succeed();
            bench.wait(20 * SECOND);
            bench.succeed();
        },
        &[
            (
                "opened",
                1,
                "opened, 4 of 4 failed (limit 50%), next probe in 10s",
            ),
            ("half_opened", 2, "half-open, lets probes through"),
            (
                "reopened",
                3,
                "stays open, 2 of 2 probes failed, next probe in 10s",
            ),
            ("half_opened", 4, "half-open, lets probes through"),
            (
                "ramping",
                5,
                "recovers, 2 of 3 probes succeeded, lets a growing share through",
            ),
            ("closed", 5, "closed"),
        ],
    );
    check(
        plain(),
        |bench| {
            fail(bench);
            bench.wait(10 * SECOND);
            bench.succeed();
        },
        &[
            (
                "opened",
                1,
                "opened, 4 of 4 failed (limit 50%), next probe in 10s",
            ),
            ("half_opened", 2, "half-open, lets probes through"),
            ("closed", 3, "closed, 1 of 1 probes succeeded"),
        ],
    );
}

#[test]
fn orders_say_who_and_why_and_so_does_their_end() {
    check(
        plain(),
        |bench| {
            bench.breaker.force_open(mandate());
            bench.breaker.release(Mandate::new("berta", "enough"));
            bench.breaker.isolate(mandate().lasting(90 * SECOND));
            bench.wait(90 * SECOND);
            let _ = bench.breaker.state();
            bench.breaker.force_closed(mandate().lasting(60 * SECOND));
            bench.wait(60 * SECOND);
            let _ = bench.breaker.state();
            bench.breaker.force(Forced::Closed, mandate());
            bench.breaker.release(Mandate::new("berta", "enough"));
            bench.breaker.reset(mandate());
        },
        &[
            ("forced_open", 1, "refuses all calls, by anna (a drill)"),
            (
                "half_opened",
                2,
                "half-open, lets probes through, by berta (enough)",
            ),
            (
                "isolated",
                3,
                "isolated for maintenance, refuses all calls, by anna (a drill) for 1m30s",
            ),
            (
                "half_opened",
                4,
                "half-open, lets probes through; an order ran out, by anna (a drill) for 1m30s",
            ),
            (
                "forced_closed",
                5,
                "lets all calls through, whatever becomes of them, by anna (a drill) for 1m",
            ),
            (
                "closed",
                5,
                "closed; an order ran out, by anna (a drill) for 1m",
            ),
            (
                "forced_closed",
                6,
                "lets all calls through, whatever becomes of them, by anna (a drill)",
            ),
            ("closed", 6, "closed, by berta (enough)"),
            ("reset", 7, "begins anew, closed, by anna (a drill)"),
        ],
    );
}

#[test]
fn other_rules_say_their_version_or_what_is_wrong_with_them() {
    check(
        plain().with_ramp(Ramp::over(20 * SECOND)),
        |bench| {
            fail(bench);
            bench
                .breaker
                .reconfigure(plain().with_ramp(Ramp::over(9 * SECOND)))
                .unwrap();
            bench
                .breaker
                .reconfigure(plain().with_trip([]))
                .unwrap_err();
            bench.wait(10 * SECOND);
            bench.succeed();
            bench.breaker.reconfigure(plain()).unwrap();
        },
        &[
            (
                "opened",
                1,
                "opened, 4 of 4 failed (limit 50%), next probe in 10s",
            ),
            ("reconfigured", 1, "has new rules, version 2"),
            (
                "reconfiguration_refused",
                1,
                "keeps its rules, the new ones are wrong: trip: 0 is out of range; allowed: 1 to 8",
            ),
            ("half_opened", 2, "half-open, lets probes through"),
            (
                "ramping",
                3,
                "recovers, 1 of 1 probes succeeded, lets a growing share through",
            ),
            ("closed", 3, "closed"),
            ("reconfigured", 3, "has new rules, version 3"),
        ],
    );
}

#[test]
fn a_panicking_function_is_told_of_and_the_settings_decide() {
    let open_time = OpenTime::fixed(3 * SECOND)
        .with_jitter(percent(0))
        .decided_by(|_| panic!("no"));
    check(
        plain().with_open_time(open_time),
        fail,
        &[
            (
                "callback_panicked",
                1,
                "panicked; the settings decide how long to stay open",
            ),
            (
                "opened",
                1,
                "opened, 4 of 4 failed (limit 50%), next probe in 3s",
            ),
        ],
    );
}

#[test]
fn only_what_somebody_should_look_at_is_a_warning() {
    let bench = Bench::with(plain());
    fail(&bench);
    bench.breaker.isolate(mandate());
    bench.breaker.force_open(mandate());
    bench.breaker.force_closed(mandate());
    bench.breaker.reset(mandate());
    let severities = bench.around.recorder().recent(64);
    let severities: Vec<_> = severities
        .iter()
        .map(|one| one.signal.kind().severity())
        .collect();
    use Severity::{Info, Warning};
    assert_eq!(severities, [Warning, Info, Warning, Warning, Info]);
}

#[test]
fn a_signal_carries_its_mandate_and_its_source() {
    let bench = Bench::with(plain());
    bench.breaker.force_open(mandate().lasting(60 * SECOND));
    let recorded = bench.around.recorder().recent(1).remove(0).signal;
    assert_eq!(recorded.source().as_str(), "payments");
    let mandate = recorded.mandate().unwrap();
    assert_eq!((mandate.author(), mandate.reason()), ("anna", "a drill"));
    assert_eq!(mandate.expires_in(), Some(60 * SECOND));
}

#[test]
fn an_observer_that_never_reads_and_readers_that_never_stop_hold_nobody_up() {
    let recorder = FlightRecorder::new(8);
    let _sleeps = recorder.observe();
    let (clock, _hand) = Clock::manual();
    let around = Surroundings::apart()
        .with_clock(clock)
        .with_recorder(recorder.clone());
    let breaker = Breaker::within(&around, "payments", plain()).unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut observer = recorder.observe();
                while !over.load(Ordering::Relaxed) {
                    drop((recorder.recent(8), observer.try_next()));
                }
            });
        }
        for _ in 0..10_000 {
            while call(&breaker, Outcome::TRANSIENT) {}
            breaker.reset(mandate());
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(breaker.snapshot().state_changes, 20_000);
}

#[tokio::test(start_paused = true)]
async fn an_observer_hears_each_change_in_its_order() {
    let bench = Bench::with(plain());
    let mut observer = bench.around.recorder().observe();
    fail(&bench);
    bench.wait(10 * SECOND);
    bench.succeed();
    for (place, name) in ["opened", "half_opened", "closed"].into_iter().enumerate() {
        let heard = observer.next().await;
        assert_eq!(
            (heard.place, heard.signal.kind().name()),
            (place as u64, name)
        );
    }
    assert!(observer.try_next().is_none());
    assert_eq!(observer.lost(), 0);
}

#[test]
fn a_recorder_that_is_off_costs_nothing_but_the_signals() {
    let bench = Bench::with(plain());
    bench.around.recorder().switch_off();
    fail(&bench);
    assert!(bench.said().is_empty());
    bench.around.recorder().switch_on();
    bench.wait(Duration::from_secs(10));
    bench.succeed();
    assert_eq!(bench.said().len(), 2);
}
