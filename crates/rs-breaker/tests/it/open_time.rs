//! How long a breaker stays open: growing, shrinking, apart from the others, as the server asks.

use crate::support::{Bench, SECOND, percent, plain};
use rs_breaker::{Breaker, BreakerState, OpenTime, Opening, Surroundings, Trip};
use rs_core::{Call, Clock, Fault, Guard, Outcome, Share};
use std::{collections::BTreeSet, time::Duration};

/// Opens at the first failure.
fn touchy(time: OpenTime) -> Bench {
    Bench::with(
        plain()
            .with_trip([Trip::consecutive_failures(1)])
            .with_open_time(time.with_jitter(Share::NONE)),
    )
}

/// How long it stays open after this failure, and waits for it.
#[track_caller]
fn open_for(bench: &Bench, outcome: Outcome) -> Duration {
    assert!(bench.call(outcome), "it is not open");
    let time = bench.breaker.snapshot().next_probe.unwrap();
    bench.wait(time - Duration::from_nanos(1));
    assert!(!bench.succeed(), "not yet");
    bench.wait(Duration::from_nanos(1));
    time
}

#[test]
fn it_doubles_up_to_a_cap_while_probes_fail() {
    let bench = touchy(OpenTime::exponential(SECOND, 5 * SECOND));
    let times = [(); 5].map(|()| open_for(&bench, Outcome::TRANSIENT));
    assert_eq!(times, [1, 2, 4, 5, 5].map(|seconds| seconds * SECOND));
}

#[test]
fn another_factor() {
    let bench = touchy(OpenTime::exponential(SECOND, 60 * SECOND).growing_by(3.0));
    let times = [(); 4].map(|()| open_for(&bench, Outcome::TRANSIENT));
    assert_eq!(times, [1, 3, 9, 27].map(|seconds| seconds * SECOND));
}

#[test]
fn a_fixed_time_stays_what_it_is() {
    let bench = touchy(OpenTime::fixed(3 * SECOND));
    let times = [(); 4].map(|()| open_for(&bench, Outcome::TRANSIENT));
    assert_eq!(times, [3 * SECOND; 4]);
}

#[test]
fn it_shrinks_by_a_step_for_each_while_that_it_is_closed() {
    let bench = touchy(OpenTime::exponential(SECOND, 60 * SECOND).decaying_every(10 * SECOND));
    for _ in 0..4 {
        open_for(&bench, Outcome::TRANSIENT);
    }
    assert!(bench.succeed());
    assert_eq!(bench.breaker.state(), BreakerState::Closed);
    bench.wait(25 * SECOND);
    assert_eq!(
        open_for(&bench, Outcome::TRANSIENT),
        4 * SECOND,
        "16 s, less two steps"
    );
    bench.succeed();
    bench.wait(1000 * SECOND);
    assert_eq!(
        open_for(&bench, Outcome::TRANSIENT),
        SECOND,
        "all is forgiven"
    );
}

#[test]
fn a_server_that_asks_for_time_gets_it_up_to_a_limit() {
    let bench = touchy(OpenTime::fixed(SECOND).honouring_hints(30 * SECOND));
    let asked = |seconds: u32| Fault::throttled().after(seconds * SECOND).into();
    assert_eq!(open_for(&bench, asked(7)), 7 * SECOND);
    assert_eq!(open_for(&bench, asked(3600)), 30 * SECOND, "clamped");
    assert_eq!(open_for(&bench, asked(0)), SECOND, "not less than without");
    let deaf = touchy(OpenTime::fixed(SECOND));
    assert_eq!(
        open_for(&deaf, asked(7)),
        SECOND,
        "unless told, it does not listen"
    );
}

#[test]
fn a_function_decides_and_sees_what_is_known() {
    let bench = touchy(OpenTime::fixed(SECOND).decided_by(|opening: &Opening| {
        assert_eq!(opening.otherwise, SECOND);
        opening.hint.unwrap_or_default() + (opening.relapses + 1) * 10 * SECOND
    }));
    assert_eq!(open_for(&bench, Outcome::TRANSIENT), 10 * SECOND);
    let asked = Fault::throttled().after(5 * SECOND).into();
    assert_eq!(open_for(&bench, asked), 25 * SECOND);
    assert!(
        bench
            .said()
            .iter()
            .any(|said| said.contains("next probe in 25s")),
        "{:?}",
        bench.said()
    );
}

#[test]
fn a_function_that_panics_is_contained_and_reported() {
    let bench = touchy(OpenTime::fixed(SECOND).decided_by(|_| panic!("no idea")));
    assert_eq!(open_for(&bench, Outcome::TRANSIENT), SECOND);
    assert!(
        bench.said().iter().any(|said| said.contains("panicked")),
        "{:?}",
        bench.said()
    );
}

#[test]
fn a_hundred_replicas_that_open_together_do_not_probe_together() {
    let (clock, _hand) = Clock::manual();
    let around = Surroundings::apart().with_clock(clock);
    let config = plain()
        .with_trip([Trip::consecutive_failures(1)])
        .with_open_time(OpenTime::fixed(10 * SECOND).with_jitter(percent(20)));
    let times: BTreeSet<Duration> = (0..100)
        .map(|_| {
            let replica = Breaker::within(&around, "payments", config.clone()).unwrap();
            replica
                .try_admit(&Call::new("charge"))
                .unwrap()
                .finish(Outcome::TRANSIENT);
            replica.snapshot().next_probe.unwrap()
        })
        .collect();
    assert_eq!(times.len(), 100, "no two at the same moment");
    let (first, last) = (*times.first().unwrap(), *times.last().unwrap());
    assert!(first >= 10 * SECOND, "never sooner than asked for");
    assert!(last <= 12 * SECOND);
    let most = (0..10).map(|tenth| {
        let from = 10 * SECOND + tenth * SECOND / 5;
        times.range(from..from + SECOND / 5).count()
    });
    assert!(most.max().unwrap() < 30, "spread: {times:?}");
}

#[test]
fn a_shorter_open_time_takes_effect_while_it_is_open() {
    let bench = touchy(OpenTime::fixed(600 * SECOND));
    bench.fail();
    let shorter = plain().with_open_time(OpenTime::fixed(5 * SECOND).with_jitter(Share::NONE));
    bench.breaker.reconfigure(shorter).unwrap();
    bench.wait(5 * SECOND);
    assert_eq!(bench.breaker.state(), BreakerState::HalfOpen);
}
