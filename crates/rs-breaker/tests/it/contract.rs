//! One meaning, whichever way the breaker is called.

mod ways;

use crate::support::{Bench, SECOND, plain};
use rs_breaker::{BreakerConfig, BreakerSnapshot, BreakerState, Forced, Probing};
use rs_core::{Enforcement, Mandate};
use ways::{Begun, End, InFlight, Seen, Way, ways};

/// A breaker that is called in one way.
struct Called {
    way: Way,
    bench: Bench,
}

impl Called {
    fn begin(&self) -> Begun<'_> {
        self.way.begin(&self.bench.breaker)
    }

    #[track_caller]
    fn hold(&self) -> Box<dyn InFlight + '_> {
        match self.begin() {
            Ok(call) => call,
            Err(why) => panic!("{}: {why}", self.way.name),
        }
    }

    #[track_caller]
    fn refused(&self) -> rs_core::Rejection {
        match self.begin() {
            Ok(_) => panic!("{}: was let through", self.way.name),
            Err(why) => why,
        }
    }

    fn call(&self, end: End) -> Seen {
        match self.begin() {
            Ok(call) => call.end(end),
            Err(why) => Seen::Refused(why),
        }
    }

    fn trip(&self) {
        while self.state() == BreakerState::Closed {
            self.call(End::Badly);
        }
    }

    /// Open, and the time has come for probes.
    fn wait_for_probes(&self) {
        self.trip();
        self.bench.wait(10 * SECOND);
    }

    fn order(&self, forced: Forced) {
        self.bench
            .breaker
            .force(forced, Mandate::new("anna", "a drill"));
    }

    fn state(&self) -> BreakerState {
        self.bench.breaker.state()
    }

    fn snapshot(&self) -> BreakerSnapshot {
        self.bench.breaker.snapshot()
    }

    /// Successes, failures, ignored, cancelled, stale, rejected.
    fn counts(&self) -> [u64; 6] {
        let now = self.snapshot();
        let counts = [
            now.successes,
            now.failures,
            now.ignored,
            now.cancelled,
            now.stale,
            now.rejected,
        ];
        assert_eq!(now.total_requests, counts.iter().sum::<u64>());
        counts
    }
}

/// The same story for each way; the output of a test that fails ends with the way that failed.
fn each_with(config: BreakerConfig, story: impl Fn(&Called)) {
    for way in ways() {
        println!("called by {}", way.name);
        let bench = Bench::with(config.clone());
        story(&Called { way, bench });
    }
}

fn each(story: impl Fn(&Called)) {
    each_with(plain(), story);
}

/// For ways that have a classifier.
fn each_judging(story: impl Fn(&Called)) {
    each(|called| {
        if called.way.judges {
            story(called);
        }
    });
}

#[test]
fn a_success_counts_once() {
    each(|called| {
        assert_eq!(called.call(End::Well), Seen::Value(200));
        assert_eq!(called.counts(), [1, 0, 0, 0, 0, 0]);
        assert_eq!(called.snapshot().window_calls, 1);
    });
}

#[test]
fn a_failure_counts_once_and_comes_out_as_it_was() {
    each(|called| {
        assert_eq!(called.call(End::Badly), Seen::Error("down"));
        assert_eq!(called.counts(), [0, 1, 0, 0, 0, 0]);
        assert_eq!(called.snapshot().consecutive_failures, 1);
    });
}

#[test]
fn a_call_in_flight_counts_nothing_yet() {
    each(|called| {
        let call = called.hold();
        assert_eq!(called.counts(), [0; 6]);
        call.end(End::Well);
        assert_eq!(called.counts(), [1, 0, 0, 0, 0, 0]);
    });
}

#[test]
fn it_trips_on_the_fourth_call_and_no_other() {
    each(|called| {
        for (end, after) in [
            (End::Well, BreakerState::Closed),
            (End::Badly, BreakerState::Closed),
            (End::Badly, BreakerState::Closed),
            (End::Well, BreakerState::Closed),
            (End::Badly, BreakerState::Open),
        ] {
            called.call(end);
            assert_eq!(called.state(), after);
        }
    });
}

#[test]
fn a_refusal_explains_itself_and_is_counted() {
    each(|called| {
        called.trip();
        called.bench.wait(3 * SECOND);
        let why = called.refused();
        assert_eq!(
            (why.reason().policy(), why.reason().code()),
            ("breaker", "open")
        );
        assert_eq!(why.instance().as_str(), "payments");
        assert_eq!((why.observed(), why.limit()), (Some(1.0), Some(0.5)));
        assert_eq!(why.generation(), 1);
        let now = why.retry_at().unwrap() - 7 * SECOND;
        assert_eq!(why.retry_after(now), Some(7 * SECOND));
        assert_eq!(called.snapshot().next_probe, Some(7 * SECOND));
        assert_eq!(called.counts(), [0, 4, 0, 0, 0, 1]);
    });
}

#[test]
fn a_dropped_call_is_neither_good_nor_bad() {
    each(|called| {
        for _ in 0..3 {
            called.call(End::Badly);
        }
        for _ in 0..100 {
            drop(called.hold());
        }
        assert_eq!(called.counts(), [0, 3, 0, 100, 0, 0]);
        assert_eq!(called.snapshot().window_calls, 3);
        assert_eq!(called.snapshot().consecutive_failures, 3);
        called.call(End::Badly);
        assert_eq!(called.state(), BreakerState::Open);
    });
}

#[test]
fn a_future_that_nobody_polls_was_never_a_call() {
    each(|called| {
        drop(called.way.unpolled(&called.bench.breaker));
        assert_eq!(called.counts(), [0; 6]);
        called.wait_for_probes();
        drop(called.way.unpolled(&called.bench.breaker));
        assert_eq!(called.hold().end(End::Well), Seen::Value(200));
        assert_eq!(called.state(), BreakerState::Closed);
    });
}

#[test]
fn one_probe_goes_and_the_next_call_is_refused() {
    each(|called| {
        called.wait_for_probes();
        let probe = called.hold();
        let why = called.refused();
        assert_eq!(why.reason().code(), "half_open");
        assert_eq!((why.observed(), why.limit()), (Some(1.0), Some(1.0)));
        assert_eq!(probe.end(End::Well), Seen::Value(200));
        assert_eq!(called.state(), BreakerState::Closed);
    });
}

#[test]
fn a_bad_probe_opens_it_again() {
    each(|called| {
        called.wait_for_probes();
        assert_eq!(called.call(End::Badly), Seen::Error("down"));
        assert_eq!(called.state(), BreakerState::Open);
        assert_eq!(called.refused().reason().code(), "open");
    });
}

#[test]
fn a_dropped_probe_gives_its_place_back() {
    each(|called| {
        called.wait_for_probes();
        for _ in 0..3 {
            let probe = called.hold();
            assert_eq!(called.refused().reason().code(), "half_open");
            drop(probe);
        }
        assert_eq!(called.state(), BreakerState::HalfOpen);
        called.call(End::Well);
        assert_eq!(called.state(), BreakerState::Closed);
        assert_eq!(called.counts(), [1, 4, 0, 3, 0, 3]);
    });
}

#[test]
fn a_panicking_operation_is_a_dropped_one_and_gives_its_probe_back() {
    each(|called| {
        assert_eq!(called.call(End::Panic), Seen::Panic);
        assert_eq!(called.counts(), [0, 0, 0, 1, 0, 0]);
        called.wait_for_probes();
        assert_eq!(called.call(End::Panic), Seen::Panic);
        assert_eq!(called.state(), BreakerState::HalfOpen);
        called.call(End::Well);
        assert_eq!(called.state(), BreakerState::Closed);
    });
}

#[test]
fn a_panicking_classifier_makes_a_failure() {
    each_judging(|called| {
        assert_eq!(called.call(End::Confusing), Seen::Error("confusing"));
        assert_eq!(called.counts(), [0, 1, 0, 0, 0, 0]);
        called.wait_for_probes();
        called.call(End::Confusing);
        assert_eq!(called.state(), BreakerState::Open);
    });
}

#[test]
fn bad_news_in_an_ok_is_a_failure() {
    each_judging(|called| {
        for _ in 0..4 {
            assert_eq!(called.call(End::BadNews), Seen::Value(503));
        }
        assert_eq!(called.state(), BreakerState::Open);
        assert_eq!(called.counts(), [0, 4, 0, 0, 0, 0]);
    });
}

#[test]
fn the_callers_own_fault_says_nothing() {
    each_judging(|called| {
        for _ in 0..3 {
            called.call(End::Badly);
        }
        for _ in 0..10 {
            assert_eq!(called.call(End::OwnFault), Seen::Error("not found"));
        }
        assert_eq!(called.counts(), [0, 3, 10, 0, 0, 0]);
        assert_eq!(
            called.snapshot().consecutive_failures,
            3,
            "it is no success either"
        );
        called.wait_for_probes();
        called.call(End::OwnFault);
        assert_eq!(
            called.state(),
            BreakerState::HalfOpen,
            "a probe that said nothing"
        );
        called.call(End::Well);
        assert_eq!(called.state(), BreakerState::Closed);
    });
}

#[test]
fn dark_mode_refuses_nobody_and_counts_whom_it_would() {
    each_with(plain().with_enforcement(Enforcement::Dark), |called| {
        called.trip();
        for _ in 0..3 {
            assert_eq!(called.call(End::Well), Seen::Value(200));
            assert_eq!(called.call(End::Badly), Seen::Error("down"));
        }
        let now = called.snapshot();
        assert_eq!((now.dark_rejections, now.rejected), (6, 0));
        assert_eq!(called.state(), BreakerState::Open, "they decide nothing");
        assert_eq!(called.counts(), [3, 7, 0, 0, 0, 0]);
        called.bench.wait(10 * SECOND);
        called.call(End::Well);
        assert_eq!(called.state(), BreakerState::Closed, "its probe decides");
    });
}

#[test]
fn an_order_to_refuse_refuses_everybody() {
    for (forced, code) in [
        (Forced::Open, "forced_open"),
        (Forced::Isolated, "isolated"),
    ] {
        each_with(plain().with_enforcement(Enforcement::Dark), |called| {
            called.order(forced);
            let why = called.refused();
            assert_eq!(why.reason().code(), code);
            assert_eq!(
                (why.observed(), why.limit(), why.retry_at()),
                (None, None, None)
            );
            assert_eq!(called.counts(), [0, 0, 0, 0, 0, 1]);
        });
    }
}

#[test]
fn an_order_to_let_through_lets_everybody_through() {
    each(|called| {
        called.trip();
        called.order(Forced::Closed);
        for _ in 0..20 {
            assert_eq!(called.call(End::Badly), Seen::Error("down"));
        }
        assert_eq!(called.state(), BreakerState::ForcedClosed);
        assert_eq!(called.counts(), [0, 24, 0, 0, 0, 0]);
    });
}

#[test]
fn a_result_from_before_comes_too_late() {
    each(|called| {
        let (good, bad, dropped) = (called.hold(), called.hold(), called.hold());
        called.trip();
        assert_eq!(good.end(End::Well), Seen::Value(200), "the caller gets it");
        assert_eq!(bad.end(End::Badly), Seen::Error("down"));
        drop(dropped);
        assert_eq!(called.counts(), [0, 4, 0, 1, 2, 0]);
        assert_eq!(called.state(), BreakerState::Open);

        called.bench.wait(10 * SECOND);
        let late = called.hold();
        called
            .bench
            .breaker
            .reset(Mandate::new("anna", "a new pool"));
        assert_eq!(late.end(End::Badly), Seen::Error("down"));
        assert_eq!(called.state(), BreakerState::Closed);
        let now = called.snapshot();
        assert_eq!(
            (now.stale, now.window_calls),
            (3, 0),
            "a late probe counts in no window"
        );
    });
}

#[test]
fn a_probe_beyond_its_lease_failed_and_its_result_is_late() {
    let probing = Probing::needing(1).of(2).at_once(1).with_lease(5 * SECOND);
    each_with(plain().with_probing(probing), |called| {
        called.wait_for_probes();
        let hung = called.hold();
        called.bench.wait(5 * SECOND);
        assert_eq!(
            called.state(),
            BreakerState::HalfOpen,
            "one of two may fail"
        );
        let other = called.hold();
        assert_eq!(hung.end(End::Well), Seen::Value(200));
        assert_eq!(called.state(), BreakerState::HalfOpen, "too late to decide");
        other.end(End::Badly);
        assert_eq!(called.state(), BreakerState::Open);
        assert_eq!(called.snapshot().stale, 1);
    });
}

#[test]
fn the_last_lease_that_runs_out_opens_it_again() {
    let probing = Probing::needing(1).with_lease(5 * SECOND);
    each_with(plain().with_probing(probing), |called| {
        called.wait_for_probes();
        let hung = called.hold();
        called.bench.wait(5 * SECOND);
        assert_eq!(called.refused().reason().code(), "open");
        drop(hung);
        assert_eq!(called.state(), BreakerState::Open);
        assert_eq!(called.counts(), [0, 4, 0, 1, 0, 1]);
    });
}
