//! The flight recorder and whoever listens to it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use proptest::prelude::*;
use rs_core::{
    Call, Clock, Correlation, FlightRecorder, Mandate, Measure, Name, Reason, Severity, Signal,
    SignalKind, Unit, humane::parse_duration,
};

use crate::{
    child,
    support::{block_on, cases, poll_once},
};

static FAILED: Measure = Measure::new("failed", Unit::Count);
static RATE: Measure = Measure::new("failure rate", Unit::Share);
static OPEN_FOR: Measure = Measure::new("open for", Unit::Seconds);
static OPENED: SignalKind = SignalKind::new(
    "breaker",
    "opened",
    Severity::Warning,
    "opened, {failed} failed ({failure rate}), next probe in {open for}",
);
static TICK: SignalKind = SignalKind::new("test", "tick", Severity::Info, "tick {failed}");

fn tick(number: u32) -> Signal {
    TICK.signal("clock").with(FAILED.at(number.into()))
}

/// The number that a tick carries.
fn number(signal: &Signal) -> u64 {
    signal.evidence().next().unwrap().value() as u64
}

#[test]
fn signals_read_as_people_would_say_them() {
    #[track_caller]
    fn check(signal: Signal, expected: &str) {
        assert_eq!(signal.to_string(), expected);
    }
    let opened = || OPENED.signal(Name::of("payments"));
    check(
        opened(),
        "breaker payments: opened, ? failed (?), next probe in ?",
    );
    let full = || {
        opened()
            .with(OPEN_FOR.at(3.2))
            .with(FAILED.at(11.0))
            .with(RATE.at(0.55))
    };
    let words = "breaker payments: opened, 11 failed (55%), next probe in 3.2s";
    check(full(), words);

    let by = Arc::new(Mandate::new("anna", "drill").lasting(Duration::from_secs(90)));
    let id: Correlation = "4bf92f3577b34da6a3ce929d0e0e4736".parse().unwrap();
    check(
        full()
            .by(by)
            .noting("as asked")
            .during(&Call::new("x").with_correlation(id)),
        &format!("{words}: as asked, by anna (drill) for 1m30s [4bf92f3577b34da6a3ce929d0e0e4736]"),
    );

    // Braces that are none.
    static ODD: SignalKind = SignalKind::new("odd", "odd", Severity::Info, "a { b } {failed} {c");
    check(ODD.signal("x").with(FAILED.at(1.0)), "odd x: a ? 1 {c");
}

#[test]
fn evidence_is_shown_in_its_unit_and_bounded() {
    #[track_caller]
    fn check(unit: Unit, value: f64, expected: &str) {
        let measure: &'static Measure = Box::leak(Box::new(Measure::new("m", unit)));
        assert_eq!(measure.at(value).to_string(), expected);
        assert_eq!(measure.show(value).to_string(), expected);
    }
    check(Unit::Count, 11.0, "11");
    check(Unit::Count, 2.346, "2.35");
    check(Unit::Count, -0.001, "0");
    check(Unit::Count, f64::NAN, "NaN");
    check(Unit::Count, f64::INFINITY, "inf");
    check(Unit::Share, 0.5, "50%");
    check(Unit::Share, 0.123_456, "12.35%");
    check(Unit::Seconds, 0.25, "250ms");
    check(Unit::Seconds, -1.5, "-1.5 s");
    check(Unit::Seconds, 1e30, "1000000000000000000000000000000 s");
    check(Unit::PerSecond, 99.5, "99.5/s");
    check(Unit::Bytes, 65_536.0, "64KiB");
    check(Unit::Bytes, -1.0, "0B");

    let signal = (0..9).fold(OPENED.signal("x"), |signal, at| {
        signal.with(FAILED.at(at.into()))
    });
    let kept: Vec<f64> = signal.evidence().map(|evidence| evidence.value()).collect();
    assert_eq!(kept, [0.0, 1.0, 2.0, 3.0]);
    assert_eq!(kept.len(), Signal::MAX_EVIDENCE);
}

#[test]
fn a_signal_says_all_it_knows() {
    static CLOSED: Reason = Reason::new("door", "closed").judging(&RATE);
    let call = Call::new("x").with_correlation(Correlation::fresh());
    let refused = CLOSED
        .reject(Name::of("front"))
        .because(0.6, 0.5)
        .in_generation(3);
    let signal = OPENED
        .signal("front")
        .rejecting(&refused)
        .during(&call)
        .noting("n");
    assert_eq!(signal.kind(), &OPENED);
    assert_eq!(signal.kind().policy(), "breaker");
    assert_eq!(signal.kind().severity().to_string(), "warning");
    assert_eq!(signal.source(), Name::of("front"));
    assert_eq!(signal.evidence().collect::<Vec<_>>(), [RATE.at(0.6)]);
    assert_eq!(signal.generation(), 3);
    assert_eq!(signal.call(), Some(call.id()));
    assert_eq!(signal.correlation(), call.correlation());
    assert_eq!(signal.mandate(), None);
    assert_eq!(signal.note(), Some("n"));
    assert!(Severity::Info < Severity::Warning && Severity::Warning < Severity::Error);
}

#[test]
fn the_recorder_keeps_the_last() {
    let (clock, hand) = Clock::manual();
    let start = clock.now();
    let recorder = FlightRecorder::with_clock(4, clock);
    assert!(recorder.recent(10).is_empty());
    for at in 0..10 {
        recorder.record(|| tick(at));
        hand.advance(Duration::from_secs(1));
    }
    let recent = recorder.recent(usize::MAX);
    let places: Vec<u64> = recent.iter().map(|recorded| recorded.place).collect();
    assert_eq!(places, [6, 7, 8, 9]);
    for recorded in &recent {
        assert_eq!(number(&recorded.signal), recorded.place);
        assert_eq!(recorded.at - start, Duration::from_secs(recorded.place));
    }
    assert_eq!(recorder.recent(2), recent[2..]);
    assert!(recorder.recent(0).is_empty());
    assert_eq!(recorder.lost(), 0);
    assert_eq!(
        recorder.log(2).to_string(),
        "flight recorder, the last 2 signals:\
         \n      2s ago  info     test clock: tick 8\
         \n      1s ago  info     test clock: tick 9"
    );
    assert_eq!(
        format!("{recorder:?}"),
        "FlightRecorder { recorded: 10, lost: 0, .. }"
    );
    // None is still one.
    let least = FlightRecorder::new(0);
    least.record(|| tick(1));
    least.record(|| tick(2));
    assert_eq!(least.recent(9).len(), 1);
}

#[test]
fn what_nobody_wants_is_not_made() {
    let recorder = FlightRecorder::new(4);
    let made = AtomicU32::new(0);
    let record = || {
        recorder.record(|| {
            made.fetch_add(1, SeqCst);
            tick(0)
        });
    };
    #[track_caller]
    fn check(made: &AtomicU32, expected: u32) {
        assert_eq!(made.swap(0, SeqCst), expected);
    }
    record();
    check(&made, 1);
    recorder.switch_off();
    recorder.switch_off();
    record();
    check(&made, 0);
    // An observer wants it though the recorder is off.
    let mut observer = recorder.observe();
    record();
    check(&made, 1);
    assert!(observer.try_next().is_some());
    let second = recorder.clone().observe();
    drop(observer);
    record();
    check(&made, 1);
    drop(second);
    record();
    check(&made, 0);
    recorder.switch_on();
    recorder.switch_on();
    record();
    check(&made, 1);
    recorder.switch_off();
    record();
    check(&made, 0);
    assert_eq!(recorder.recent(9).len(), 4, "what was kept is still there");
}

/// Off is off when `switch_off` has returned, whoever switches on and off beside it.
#[test]
fn switching_from_many_threads_ends_as_the_last_says() {
    let recorder = FlightRecorder::new(4);
    for _ in 0..200 {
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| recorder.switch_off());
                scope.spawn(|| recorder.switch_on());
                scope.spawn(|| drop(recorder.observe()));
            }
        });
        recorder.switch_off();
        recorder.record(|| unreachable!("it is off"));
        recorder.switch_on();
        let before = recorder.recent(1).last().map(|recorded| recorded.place);
        recorder.record(|| tick(0));
        assert_ne!(
            recorder.recent(1).last().map(|recorded| recorded.place),
            before
        );
    }
}

#[test]
fn an_observer_hears_in_order_from_now_on() {
    let recorder = FlightRecorder::new(8);
    recorder.record(|| tick(99));
    let mut observer = recorder.observe();
    assert!(observer.try_next().is_none());
    for at in 0..5 {
        recorder.record(|| tick(at));
    }
    for at in 0..5 {
        assert_eq!(number(&observer.try_next().unwrap().signal), at);
    }
    assert!(observer.try_next().is_none());
    assert_eq!(observer.lost(), 0);
}

#[test]
fn an_observer_that_falls_behind_knows_how_far() {
    #[track_caller]
    fn check(capacity: usize, written: u32, heard: usize, lost: u64) {
        let recorder = FlightRecorder::new(capacity);
        let mut observer = recorder.observe();
        (0..written).for_each(|at| recorder.record(|| tick(at)));
        let numbers: Vec<u64> = std::iter::from_fn(|| observer.try_next())
            .map(|recorded| number(&recorded.signal))
            .collect();
        assert_eq!(numbers, (lost..u64::from(written)).collect::<Vec<_>>());
        assert_eq!((numbers.len(), observer.lost()), (heard, lost));
        // It goes on from there.
        recorder.record(|| tick(written));
        assert_eq!(
            number(&observer.try_next().unwrap().signal),
            u64::from(written)
        );
        assert_eq!(observer.lost(), lost);
    }
    check(4, 0, 0, 0);
    check(4, 4, 4, 0);
    check(4, 5, 4, 1);
    check(4, 11, 4, 7);
    check(1, 3, 1, 2);
    check(3, 100, 3, 97);
}

#[test]
fn an_observer_is_woken() {
    let recorder = FlightRecorder::new(4);
    let mut observer = recorder.observe();
    {
        let mut next = std::pin::pin!(observer.next());
        assert!(poll_once(next.as_mut()).is_pending());
        recorder.record(|| tick(1));
        // Dropped although woken: nothing is lost.
    }
    recorder.record(|| tick(2));
    assert_eq!(number(&block_on(observer.next()).signal), 1);
    assert_eq!(number(&block_on(observer.next()).signal), 2);

    // For real: the waker of a runtime, and a recorder in another thread.
    for round in 0..200 {
        let writer = recorder.clone();
        let thread = std::thread::spawn(move || writer.record(|| tick(round)));
        let heard = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(observer.next());
        assert_eq!(number(&heard.signal), u64::from(round));
        thread.join().unwrap();
    }
}

/// Written equals heard and lost, in the order of their places, however fast the writers are.
#[test]
fn nothing_is_lost_without_being_counted() {
    const WRITERS: u32 = 4;
    const EACH: u32 = 5_000;
    for capacity in [1, 2, 7, 64, 4_096] {
        let recorder = FlightRecorder::new(capacity);
        let mut observer = recorder.observe();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                while !done.load(SeqCst) {
                    let recent = recorder.recent(8);
                    assert!(recent.is_sorted_by(|a, b| a.place < b.place));
                }
            });
            let listener = scope.spawn(|| {
                let (mut heard, mut last) = (0_u64, None);
                let mut of_writer = [None; WRITERS as usize];
                loop {
                    let over = done.load(SeqCst);
                    while let Some(recorded) = observer.try_next() {
                        heard += 1;
                        assert!(last < Some(recorded.place), "{last:?} {}", recorded.place);
                        last = Some(recorded.place);
                        // Each writer is heard in its own order too.
                        let written = number(&recorded.signal) as u32;
                        let (writer, at) = (written / EACH, written % EACH);
                        assert!(of_writer[writer as usize] < Some(at));
                        of_writer[writer as usize] = Some(at);
                    }
                    if over {
                        return (heard, observer.lost());
                    }
                }
            });
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let recorder = &recorder;
                    scope.spawn(move || {
                        (0..EACH).for_each(|at| recorder.record(|| tick(writer * EACH + at)));
                    })
                })
                .collect();
            writers
                .into_iter()
                .for_each(|writer| writer.join().unwrap());
            done.store(true, SeqCst);
            reader.join().unwrap();
            let (heard, lost) = listener.join().unwrap();
            assert_eq!(
                heard + lost,
                u64::from(WRITERS * EACH),
                "capacity {capacity}"
            );
            // In a tiny ring whoever looks may be in the way of every entry, up to the last.
            assert!(heard > 0 || capacity < 64);
        });
        // What the ring still holds is whole and in order.
        let recent = recorder.recent(usize::MAX);
        assert!(recent.len() <= capacity);
        assert!(recent.is_sorted_by(|a, b| a.place < b.place));
    }
}

/// Who keeps up loses nothing: only one that falls a whole ring behind may.
#[test]
fn an_observer_that_keeps_up_hears_everything() {
    const WRITTEN: u32 = 20_000;
    let recorder = FlightRecorder::new(WRITTEN as usize);
    let mut observers: Vec<_> = (0..3).map(|_| recorder.observe()).collect();
    std::thread::scope(|scope| {
        for observer in &mut observers {
            scope.spawn(move || {
                for at in 0..WRITTEN {
                    let heard = loop {
                        if let Some(recorded) = observer.try_next() {
                            break recorded;
                        }
                        assert_eq!(observer.lost(), 0);
                        std::hint::spin_loop();
                    };
                    assert_eq!(number(&heard.signal), u64::from(at));
                }
            });
        }
        scope.spawn(|| (0..WRITTEN).for_each(|at| recorder.record(|| tick(at))));
    });
    assert_eq!(recorder.lost(), 0);
}

/// A writer that meets no observer touches no lock that another thread could hold.
#[test]
fn writers_do_not_wait_for_whoever_is_woken() {
    use std::task::{Context, Wake, Waker};
    struct Blocks(std::sync::Barrier, std::sync::Barrier);
    impl Wake for Blocks {
        fn wake(self: Arc<Self>) {
            self.0.wait();
            self.1.wait();
        }
    }
    let recorder = FlightRecorder::new(8);
    let mut observer = recorder.observe();
    let slow = Arc::new(Blocks(
        std::sync::Barrier::new(2),
        std::sync::Barrier::new(2),
    ));
    let waker = Waker::from(Arc::clone(&slow));
    let mut next = std::pin::pin!(observer.next());
    assert!(
        next.as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_pending()
    );
    std::thread::scope(|scope| {
        scope.spawn(|| recorder.record(|| tick(1)));
        // The first writer is in the middle of waking somebody; the others go on.
        slow.0.wait();
        for at in 2..6 {
            recorder.record(|| tick(at));
        }
        assert_eq!(recorder.recent(9).len(), 5);
        slow.1.wait();
    });
}

#[test]
fn a_panic_dumps_the_signals() {
    let ended = child::run("signals::a_panic_dumps_the_signals", || {
        let recorder = FlightRecorder::new(8);
        recorder.dump_on_panic();
        recorder.dump_on_panic();
        recorder.record(|| OPENED.signal("payments").with(FAILED.at(11.0)));
        let died = std::thread::spawn(|| panic!("boom")).join();
        assert!(died.is_err());
    });
    ended.assert_success();
    let stderr = ended.stderr();
    let panic = stderr.find("boom").unwrap();
    let dump = stderr
        .find("flight recorder, the last 1 signals:")
        .unwrap_or_else(|| panic!("no dump in {stderr}"));
    assert!(panic < dump, "first the panic's own message: {stderr}");
    assert!(
        stderr.contains("warning  breaker payments: opened, 11 failed"),
        "{stderr}"
    );
    assert_eq!(stderr.matches("flight recorder").count(), 1, "{stderr}");
}

/// Nobody reads the dump: that must not turn a panic into an abort.
#[test]
fn a_panic_survives_a_closed_stderr() {
    let ended = child::run_with(
        "signals::a_panic_survives_a_closed_stderr",
        |command| {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            command.stderr(writer);
        },
        || {
            FlightRecorder::global().dump_on_panic();
            FlightRecorder::global().record(|| tick(1));
            assert!(std::thread::spawn(|| panic!("boom")).join().is_err());
        },
    );
    ended.assert_success();
}

#[cfg(feature = "serde")]
#[test]
fn signals_are_written_for_machines() {
    static FULL: Reason = Reason::new("bulkhead", "full").judging(&FAILED);
    let by = Arc::new(Mandate::new("anna", "drill").lasting(Duration::from_secs(90)));
    let id: Correlation = "4bf92f3577b34da6a3ce929d0e0e4736".parse().unwrap();
    let call = Call::new("x").with_correlation(id);
    let recorder = FlightRecorder::new(4);
    recorder.record(|| {
        OPENED
            .signal("payments")
            .with(FAILED.at(11.0))
            .in_generation(2)
            .by(by)
            .noting("n")
            .during(&call)
    });
    let mut written = serde_json::to_value(recorder.recent(1)).unwrap();
    let ago = written[0].as_object_mut().unwrap().remove("ago").unwrap();
    assert!(parse_duration(ago.as_str().unwrap()).is_ok(), "{ago}");
    assert_eq!(
        written,
        serde_json::json!([{
            "place": 0,
            "signal": {
                "policy": "breaker",
                "signal": "opened",
                "severity": "warning",
                "source": "payments",
                "words": "breaker payments: opened, 11 failed (?), next probe in ?: n, \
                          by anna (drill) for 1m30s [4bf92f3577b34da6a3ce929d0e0e4736]",
                "evidence": [{ "measure": "failed", "value": 11.0 }],
                "generation": 2,
                "call": call.id().get(),
                "correlation": "4bf92f3577b34da6a3ce929d0e0e4736",
                "mandate": { "author": "anna", "reason": "drill", "expires_in": "1m30s" },
                "note": "n",
            },
        }])
    );
    let refused = FULL
        .reject(Name::of("payments"))
        .because(32.0, 32.0)
        .in_generation(1)
        .try_at(Clock::default().now() + Duration::from_millis(1_500));
    assert_eq!(
        serde_json::to_value(refused).unwrap(),
        serde_json::json!({
            "policy": "bulkhead", "reason": "full", "instance": "payments", "measure": "failed",
            "observed": 32.0, "limit": 32.0, "generation": 1, "retry_after": "1.5s",
        })
    );
}

#[derive(Debug, Clone)]
enum Step {
    Write,
    Hear,
    SwitchOff,
    SwitchOn,
    Observe,
    Leave,
}

proptest! {
    #![proptest_config(cases())]

    /// Against a plain list of all that was written.
    #[test]
    fn the_recorder_is_a_window_on_what_was_written(
        capacity in 1_usize..6,
        steps in prop::collection::vec(
            prop_oneof![
                6 => Just(Step::Write),
                3 => Just(Step::Hear),
                1 => Just(Step::SwitchOff),
                1 => Just(Step::SwitchOn),
                1 => Just(Step::Observe),
                1 => Just(Step::Leave),
            ],
            0..60,
        ),
    ) {
        let recorder = FlightRecorder::new(capacity);
        let mut written: Vec<u64> = Vec::new();
        let mut on = true;
        let mut observers: Vec<(rs_core::Observer, usize, u64)> = Vec::new();
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                Step::Write => {
                    recorder.record(|| tick(at as u32));
                    if on || !observers.is_empty() {
                        written.push(at as u64);
                    }
                }
                Step::Hear => if let Some((observer, next, lost)) = observers.first_mut() {
                    let oldest = written.len().saturating_sub(capacity);
                    *lost += oldest.saturating_sub(*next) as u64;
                    *next = (*next).max(oldest);
                    let heard = observer.try_next().map(|recorded| number(&recorded.signal));
                    prop_assert_eq!(heard, written.get(*next).copied());
                    prop_assert_eq!(observer.lost(), *lost);
                    *next += usize::from(heard.is_some());
                },
                Step::SwitchOff => { recorder.switch_off(); on = false; }
                Step::SwitchOn => { recorder.switch_on(); on = true; }
                Step::Observe => observers.push((recorder.observe(), written.len(), 0)),
                Step::Leave => drop(observers.pop()),
            }
            let kept: Vec<u64> = recorder.recent(9).iter().map(|r| number(&r.signal)).collect();
            prop_assert_eq!(&kept[..], &written[written.len().saturating_sub(capacity)..]);
        }
    }
}
