//! The flight recorder's ring under every interleaving that the model checker finds.
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=2 cargo test -p rs-core --release --test loom
//! ```
#![cfg(loom)]

use loom::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};
use rs_core::{Clock, FlightRecorder, Measure, Name, Recorded, Severity, Signal, SignalKind, Unit};

static NUMBER: Measure = Measure::new("number", Unit::Count);
static TWICE: Measure = Measure::new("twice", Unit::Count);
static HAPPENED: SignalKind = SignalKind::new("model", "happened", Severity::Info, "{number}");

/// A signal whose parts belong together: a torn one would not.
fn signal(number: u32) -> Signal {
    HAPPENED
        .signal(Name::of("model"))
        .with(NUMBER.at(number.into()))
        .with(TWICE.at(f64::from(number) * 2.0))
        .in_generation(number.into())
}

/// The number of a signal, which must be whole.
fn number(recorded: &Recorded) -> u64 {
    let parts: Vec<f64> = recorded
        .signal
        .evidence()
        .map(|part| part.value())
        .collect();
    let number = recorded.signal.generation();
    assert_eq!(parts, [number as f64, number as f64 * 2.0], "torn");
    number
}

fn recorder(slots: usize) -> FlightRecorder {
    FlightRecorder::with_clock(slots, Clock::manual().0)
}

/// The place and the number of each, in the order in which the reader got them.
fn read(recorder: &FlightRecorder) -> Vec<(u64, u64)> {
    let recent = recorder.recent(usize::MAX);
    let found: Vec<_> = recent.iter().map(|one| (one.place, number(one))).collect();
    assert!(
        found.is_sorted_by(|a, b| a.0 < b.0),
        "out of order: {found:?}"
    );
    found
}

/// No two readers disagree about what stands at a place.
fn assert_agree(some: &[(u64, u64)], others: &[(u64, u64)]) {
    for (place, number) in some {
        let other = others.iter().find(|(other, _)| other == place);
        assert!(
            other.is_none_or(|(_, other)| other == number),
            "{some:?} {others:?}"
        );
    }
}

#[test]
fn two_writers_and_a_reader_agree() {
    loom::model(|| {
        let ring = recorder(2);
        let writers = [1, 2].map(|number| {
            let ring = ring.clone();
            thread::spawn(move || ring.record(|| signal(number)))
        });
        let reader = {
            let ring = ring.clone();
            thread::spawn(move || read(&ring))
        };
        let early = read(&ring);
        for writer in writers {
            writer.join().unwrap();
        }
        let between = reader.join().unwrap();
        let last = read(&ring);
        assert_agree(&early, &last);
        assert_agree(&between, &last);
        // Nobody was a lap behind, so nothing is lost, with two readers at any moment.
        assert_eq!(last.len(), 2);
        assert_eq!(ring.lost(), 0);
    });
}

/// A reader that is a lap behind is in the writer's way: the one entry is there or counted as lost.
#[test]
fn what_a_reader_costs_is_counted() {
    loom::model(|| {
        let ring = recorder(1);
        let mut observer = ring.observe();
        ring.record(|| signal(1));
        let listener = thread::spawn(move || {
            let heard = usize::from(observer.try_next().is_some());
            (observer, heard)
        });
        ring.record(|| signal(2));
        let (mut observer, mut heard) = listener.join().unwrap();
        while observer.try_next().is_some() {
            heard += 1;
        }
        assert_eq!(heard as u64 + observer.lost(), 2);
        assert_eq!(read(&ring).len() as u64 + ring.lost(), 1);
    });
}

/// Written equals what is found, what was dropped and what a later lap wrote over.
#[test]
fn a_full_ring_accounts_for_everything() {
    loom::model(|| {
        let ring = recorder(1);
        let writer = {
            let ring = ring.clone();
            thread::spawn(move || {
                ring.record(|| signal(1));
                ring.record(|| signal(2));
            })
        };
        let reader = {
            let ring = ring.clone();
            thread::spawn(move || read(&ring))
        };
        ring.record(|| signal(3));
        writer.join().unwrap();
        let between = reader.join().unwrap();
        let last = read(&ring);
        assert_agree(&between, &last);
        assert!(between.len() <= 1);
        // Either the last is there and some before it may have been dropped, or it was dropped itself.
        match &last[..] {
            [] => assert!((1..=3).contains(&ring.lost())),
            [(place, _)] => assert!(*place == 2 && ring.lost() <= 2),
            more => panic!("too many: {more:?}"),
        }
    });
}

/// An observer beside two writers and a small ring: heard and lost make up all that was written.
#[test]
fn an_observer_counts_what_it_missed() {
    loom::model(|| {
        let ring = recorder(2);
        let mut observer = ring.observe();
        let writer = {
            let ring = ring.clone();
            thread::spawn(move || {
                ring.record(|| signal(1));
                ring.record(|| signal(2));
            })
        };
        let other = {
            let ring = ring.clone();
            thread::spawn(move || ring.record(|| signal(3)))
        };
        let mut heard = Vec::new();
        if let Some(recorded) = observer.try_next() {
            heard.push((recorded.place, number(&recorded)));
        }
        writer.join().unwrap();
        other.join().unwrap();
        while let Some(recorded) = observer.try_next() {
            heard.push((recorded.place, number(&recorded)));
        }
        assert_eq!(heard.len() as u64 + observer.lost(), 3);
        assert!(heard.is_sorted_by(|a, b| a.0 < b.0), "{heard:?}");
        assert_agree(&read(&ring), &heard);
        // A writer's own signals keep their order.
        let at = |number| heard.iter().position(|(_, heard)| *heard == number);
        assert!(at(1).is_none() || at(2).is_none() || at(1) < at(2));
    });
}

/// While nobody is a lap behind, whoever looks on takes nothing away from anybody.
#[test]
fn an_observer_that_keeps_up_hears_everything() {
    loom::model(|| {
        let ring = recorder(4);
        let mut observer = ring.observe();
        let writers = [1, 2].map(|number| {
            let ring = ring.clone();
            thread::spawn(move || ring.record(|| signal(number)))
        });
        let mut heard = usize::from(observer.try_next().is_some());
        heard += usize::from(observer.try_next().is_some());
        for writer in writers {
            writer.join().unwrap();
        }
        while observer.try_next().is_some() {
            heard += 1;
        }
        assert_eq!((heard, observer.lost(), ring.lost()), (2, 0, 0));
    });
}

/// On and off from several threads: after the last word, a signal is made exactly when it is wanted.
#[test]
fn switching_never_miscounts() {
    loom::model(|| {
        let ring = recorder(1);
        ring.switch_off();
        let made = Arc::new(AtomicUsize::new(0));
        let record = |ring: &FlightRecorder, made: &AtomicUsize| {
            ring.record(|| {
                made.fetch_add(1, SeqCst);
                signal(1)
            });
            made.swap(0, SeqCst)
        };
        let on = {
            let ring = ring.clone();
            thread::spawn(move || ring.switch_on())
        };
        let off = {
            let ring = ring.clone();
            thread::spawn(move || {
                ring.switch_off();
                drop(ring.observe());
            })
        };
        ring.switch_off();
        on.join().unwrap();
        off.join().unwrap();
        ring.switch_off();
        assert_eq!(record(&ring, &made), 0);
        ring.switch_on();
        assert_eq!(record(&ring, &made), 1);
        ring.switch_off();
        assert_eq!(record(&ring, &made), 0);
    });
}

/// Off is off at once, though another thread is still in the middle of switching on.
#[test]
fn off_means_off_beside_a_slow_switch_on() {
    loom::model(|| {
        let ring = recorder(1);
        ring.switch_off();
        let on = {
            let ring = ring.clone();
            thread::spawn(move || ring.switch_on())
        };
        ring.switch_off();
        let mut first = false;
        ring.record(|| {
            first = true;
            signal(1)
        });
        let mut second = false;
        ring.record(|| {
            second = true;
            signal(2)
        });
        // Switched on between the two it may be, but nobody switched it off again.
        assert!(second || !first, "on, then off, by nobody");
        on.join().unwrap();
    });
}
