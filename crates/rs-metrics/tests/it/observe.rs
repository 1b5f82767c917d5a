use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
};

use rs_core::{Unit, label_set};
use rs_metrics::{Counter, Distribution, Gauge, Histogram, LATENCY, Metric, Reading, Registry};

use crate::outside::wait_until;

label_set! {
    /// Where people sit.
    enum Seat: "seat" {
        /// At the window.
        Window = "window",
        /// At the aisle.
        Aisle = "aisle",
    }
}

static TAKEN: Metric<Gauge, Seat, 1> =
    Metric::gauge("train_seats_taken", "Seats taken.", Unit::Count).by(["train"]);
static BOARDED: Metric<Counter, (), 1> =
    Metric::counter("train_boarded_total", "Who boarded.").by(["train"]);
static LATE: Metric<Gauge> = Metric::gauge("late_trains", "Trains that are late.", Unit::Count);

fn taken(registry: &Registry) -> Option<f64> {
    TAKEN.read(registry, "express", Seat::Window)
}

#[test]
fn it_is_asked_for_each_label_and_only_when_somebody_looks() {
    let registry = Registry::new();
    let asked = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&asked);
    let _observed = TAKEN.observe(&registry, "express", move |seat| {
        counted.fetch_add(1, Relaxed);
        match seat {
            Seat::Window => 30.0,
            Seat::Aisle => 20.0,
        }
    });
    assert_eq!(asked.load(Relaxed), 0);
    let gathered = registry.gather();
    assert_eq!(asked.load(Relaxed), 2);
    let readings: Vec<_> = gathered[0]
        .series
        .iter()
        .map(|series| series.reading.clone())
        .collect();
    assert_eq!(readings, [Reading::Gauge(30.0), Reading::Gauge(20.0)]);
    assert_eq!(TAKEN.read(&registry, "express", Seat::Aisle), Some(20.0));
}

#[test]
fn the_newest_observer_wins_and_dropping_one_ends_only_its_own() {
    let registry = Registry::new();
    let oldest = TAKEN.observe(&registry, "express", |_| 1.0);
    let newer = TAKEN.observe(&registry, "express", |_| 2.0);
    assert_eq!(taken(&registry), Some(2.0));
    let newest = TAKEN.observe(&registry, "express", |_| 3.0);
    assert_eq!(taken(&registry), Some(3.0));
    drop(newer);
    assert_eq!(taken(&registry), Some(3.0), "not the one that is read");
    drop(oldest);
    assert_eq!(taken(&registry), Some(3.0));
    drop(newest);
    assert_eq!(taken(&registry), None);
    assert!(
        registry
            .gather()
            .iter()
            .all(|metric| metric.series.is_empty())
    );
}

#[test]
fn when_the_newest_goes_the_one_before_is_read_again() {
    let registry = Registry::new();
    let older = TAKEN.observe(&registry, "express", |_| 1.0);
    let newer = TAKEN.observe(&registry, "express", |_| 2.0);
    drop(newer);
    assert_eq!(taken(&registry), Some(1.0));
    drop(older);
    assert_eq!(taken(&registry), None);
}

#[test]
fn a_histogram_that_is_kept_elsewhere_can_be_observed() {
    static WAIT: Metric<Histogram, (), 3> =
        Metric::histogram("train_wait_seconds", "Waits.", Unit::Seconds, LATENCY)
            .by(["line", "train", "coach"]);
    let registry = Registry::new();
    let mut counts = vec![0; LATENCY.len() + 1];
    counts[3] = 7;
    assert_eq!(
        Distribution::new(LATENCY, vec![1], 0.0),
        None,
        "too few counts"
    );
    let known = Distribution::new(LATENCY, counts, 0.028).unwrap();
    let said = known.clone();
    let _observed = WAIT.observe(&registry, ("north", "express", "7"), move |()| said.clone());
    let read = WAIT.read(&registry, ("north", "express", "7"), ());
    assert_eq!(read, Some(known));
}

#[test]
fn what_an_observer_holds_is_let_go_with_it() {
    let registry = Registry::new();
    let state = Arc::new(());
    let held = Arc::clone(&state);
    let observed = TAKEN.observe(&registry, "express", move |_| {
        let _held = &held;
        1.0
    });
    let _newest = TAKEN.observe(&registry, "express", |_| 2.0);
    drop(observed);
    assert_eq!(Arc::strong_count(&state), 1);
}

#[test]
fn an_observer_may_bind_and_read_and_gather_the_same_registry() {
    let registry = Registry::new();
    let (inner, deep) = (registry.clone(), AtomicBool::new(false));
    let _observed = TAKEN.observe(&registry, "express", move |_| {
        BOARDED.bind_in(&inner, "express").increment();
        let _again = LATE.observe(&inner, (), |()| 1.0);
        let boarded = BOARDED.read(&inner, "express", ()).unwrap();
        if !deep.swap(true, Relaxed) {
            let _all = inner.gather();
        }
        boarded as f64
    });
    let _page = registry.gather();
    // Two labels, twice: the first of them gathered once more.
    assert_eq!(BOARDED.read(&registry, "express", ()), Some(4));
}

#[test]
fn what_is_let_go_while_gathering_may_bind_too() {
    struct BindsAtItsEnd(Registry);
    impl Drop for BindsAtItsEnd {
        fn drop(&mut self) {
            BOARDED.bind_in(&self.0, "express").increment();
        }
    }
    let registry = Registry::new();
    let end = BindsAtItsEnd(registry.clone());
    let own = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&own);
    let observed = TAKEN.observe(&registry, "express", move |_| {
        let _end = &end;
        // Ends itself: the gathering is the last that holds it.
        slot.lock().unwrap().take();
        1.0
    });
    *own.lock().unwrap() = Some(observed);
    let _page = registry.gather();
    assert_eq!(BOARDED.read(&registry, "express", ()), Some(1));
    assert_eq!(taken(&registry), None);
}

#[test]
fn an_observer_that_blocks_holds_up_nobody_but_its_reader() {
    let registry = Registry::new();
    let (entered, has_entered) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    let _observed = LATE.observe(&registry, (), move |()| {
        entered.send(()).unwrap();
        may_go_on.lock().unwrap().recv().unwrap();
        5.0
    });
    thread::scope(|scope| {
        let gathering = scope.spawn(|| registry.gather());
        has_entered.recv().unwrap();
        let boarded = BOARDED.bind_in(&registry, "express");
        boarded.increment();
        assert_eq!(BOARDED.read(&registry, "express", ()), Some(1));
        drop(TAKEN.observe(&registry, "express", |_| 1.0));
        assert!(!gathering.is_finished());
        go_on.send(()).unwrap();
        let gathered = gathering.join().unwrap();
        assert_eq!(gathered[0].series[0].reading, Reading::Gauge(5.0));
    });
}

#[test]
fn an_observer_that_panics_costs_only_its_own_series_and_is_counted() {
    let registry = Registry::new();
    let _boarded = BOARDED.bind_in(&registry, "express");
    let _observed = TAKEN.observe(&registry, "express", |seat| match seat {
        Seat::Window => panic!("the window is broken"),
        Seat::Aisle => 4.0,
    });
    let gathered = catch_unwind(AssertUnwindSafe(|| registry.gather()));
    let gathered = gathered.expect("a panic in an observer must not reach who looks");
    let of = |name| {
        let metric = gathered
            .iter()
            .find(|metric| metric.description.name == name);
        metric
            .map(|metric| metric.series.clone())
            .unwrap_or_default()
    };
    assert_eq!(of("train_boarded_total").len(), 1);
    let [ref aisle] = of("train_seats_taken")[..] else {
        panic!("the other label is still exported: {gathered:?}");
    };
    assert_eq!(aisle.reading, Reading::Gauge(4.0));
    assert_eq!(taken(&registry), None);

    let panics = registry
        .gather()
        .into_iter()
        .find(|metric| metric.description.name == "metrics_observer_panics_total");
    let panics = panics.expect("panics are counted").series;
    assert_eq!(panics[0].labels, [("metric", "train_seats_taken")]);
    assert!(
        matches!(panics[0].reading, Reading::Counter(count) if count >= 2),
        "{panics:?}"
    );
}

#[test]
fn looking_while_observers_come_and_go_is_safe() {
    let registry = Registry::new();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for train in ["express", "night", "local"] {
            let (registry, done) = (&registry, &done);
            scope.spawn(move || {
                while !done.load(Relaxed) {
                    let first = TAKEN.observe(registry, train, |_| 1.0);
                    let second = TAKEN.observe(registry, train, |_| 2.0);
                    drop(first);
                    assert_eq!(TAKEN.read(registry, train, Seat::Aisle), Some(2.0));
                    drop(second);
                    assert_eq!(TAKEN.read(registry, train, Seat::Aisle), None);
                }
            });
        }
        let mut seen = 0;
        wait_until("observers are seen", || {
            let gathered = registry.gather();
            seen += gathered
                .iter()
                .map(|metric| metric.series.len())
                .sum::<usize>();
            seen > 500
        });
        done.store(true, Relaxed);
    });
}

/// Someone who binds what another one observes, or the other way round, counts into nothing.
#[test]
fn binding_and_observing_the_same_instance_is_a_conflict() {
    static CONFLICTS: Metric<Counter, (), 1> = Metric::counter(
        "metrics_conflicts_total",
        "Bindings of a metric whose name another metric of a different kind or labels already has; they are not exported.",
    )
    .by(["metric"]);
    let conflicts = |registry: &Registry| {
        let gathered = registry.gather();
        let metric = gathered
            .iter()
            .find(|metric| metric.description.name == CONFLICTS.name());
        metric.map_or(0, |metric| match metric.series[0].reading {
            Reading::Counter(count) => count,
            _ => 0,
        })
    };

    let registry = Registry::new();
    let _observed = BOARDED.observe(&registry, "express", |()| 7);
    let bound = BOARDED.bind_in(&registry, "express");
    bound.increment();
    assert_eq!(
        BOARDED.read(&registry, "express", ()),
        Some(7),
        "first come"
    );
    assert_eq!(conflicts(&registry), 1);

    let registry = Registry::new();
    let bound = BOARDED.bind_in(&registry, "express");
    bound.increment();
    let observed = BOARDED.observe(&registry, "express", |()| 7);
    assert_eq!(
        BOARDED.read(&registry, "express", ()),
        Some(1),
        "first come"
    );
    assert_eq!(conflicts(&registry), 1);
    drop(observed);
    assert_eq!(BOARDED.read(&registry, "express", ()), Some(1), "and stays");
}
