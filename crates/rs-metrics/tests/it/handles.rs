use std::{
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use rs_core::{Name, Unit, label_set};
use rs_metrics::{Counter, Gauge, Histogram, LATENCY, Metric, Reading, Registry};

label_set! {
    /// The states of a door.
    enum Door: "door" {
        /// It lets people in.
        Open = "open",
        /// It does not.
        Closed = "closed",
        /// It lets one in.
        Ajar = "ajar",
    }
}

label_set! {
    /// Who comes.
    enum Guest: "guest" {
        /// Invited.
        Friend = "friend",
        /// Not invited.
        Stranger = "stranger",
    }
}

static VISITS: Metric<Counter, (Door, Guest), 1> =
    Metric::counter("house_visits_total", "Visits.").by(["house"]);
static STATE: Metric<Gauge, Door, 1> =
    Metric::gauge("house_door", "State of the door.", Unit::Count).by(["house"]);
static PEOPLE: Metric<Gauge> = Metric::gauge("people", "People inside.", Unit::Count);
static STAYS: Metric<Histogram> =
    Metric::histogram("stay_seconds", "Stays.", Unit::Seconds, LATENCY);
static KNOCKS: Metric<Counter, (), 2> =
    Metric::counter("knocks_total", "Knocks.").by(["house", "door"]);

const DOORS: [Door; 3] = [Door::Open, Door::Closed, Door::Ajar];

#[test]
fn every_series_is_there_at_zero_from_the_start() {
    let registry = Registry::new();
    let _visits = VISITS.bind_in(&registry, "north");
    let _stays = STAYS.bind_in(&registry, ());
    let gathered = registry.gather();
    let visits = gathered
        .iter()
        .find(|metric| metric.description.name == "house_visits_total")
        .unwrap();
    let labels: Vec<_> = visits
        .series
        .iter()
        .map(|series| {
            assert_eq!(series.reading, Reading::Counter(0));
            series.labels.clone()
        })
        .collect();
    let expected: Vec<_> = ["open", "closed", "ajar"]
        .into_iter()
        .flat_map(|door| ["friend", "stranger"].map(|guest| (door, guest)))
        .map(|(door, guest)| vec![("house", "north"), ("door", door), ("guest", guest)])
        .collect();
    assert_eq!(labels, expected);

    let stays = STAYS.read(&registry, (), ()).unwrap();
    assert_eq!((stays.count(), stays.sum), (0, 0.0));
    assert_eq!(stays.counts.len(), LATENCY.len() + 1);
}

#[test]
fn each_combination_of_labels_is_a_series_of_its_own() {
    let registry = Registry::new();
    let visits = VISITS.bind_in(&registry, "north");
    let all = DOORS.map(|door| [Guest::Friend, Guest::Stranger].map(|guest| (door, guest)));
    for (count, labels) in (1..).zip(all.into_iter().flatten()) {
        visits[labels].add(count);
    }
    for (count, labels) in (1..).zip(all.into_iter().flatten()) {
        assert_eq!(VISITS.read(&registry, "north", labels), Some(count));
    }
}

#[test]
fn the_same_instance_bound_twice_is_the_same_series() {
    let registry = Registry::new();
    let first = VISITS.bind_in(&registry, "north");
    let second = VISITS.bind_in(&registry, Name::new("north"));
    let third = first.clone();
    let labels = (Door::Open, Guest::Friend);
    first[labels].increment();
    second[labels].increment();
    third[labels].increment();
    assert_eq!(first[labels].value(), 3);
    assert_eq!(VISITS.read(&registry, "north", labels), Some(3));
    assert_eq!(
        VISITS.read(&registry, "south", labels),
        None,
        "never bound there"
    );
    assert_eq!(
        VISITS.read(&Registry::new(), "north", labels),
        None,
        "another registry"
    );
}

#[test]
fn a_counter_keeps_counting_when_all_handles_were_dropped_in_between() {
    let registry = Registry::new();
    KNOCKS.bind_in(&registry, ("north", "front")).increment();
    let _page = registry.gather();
    KNOCKS.bind_in(&registry, ("north", "front")).increment();
    assert_eq!(KNOCKS.read(&registry, ("north", "front"), ()), Some(2));
}

#[test]
fn threads_lose_nothing() {
    const THREADS: usize = 8;
    const EACH: u64 = 1_000_000;
    let registry = Registry::new();
    let knocks = KNOCKS.bind_in(&registry, ("north", "front"));
    let stays = STAYS.bind_in(&registry, ());
    let people = PEOPLE.bind_in(&registry, ());
    let together = Barrier::new(THREADS);
    thread::scope(|scope| {
        for number in 0..THREADS {
            // Every thread has what it may really have: a clone of the family, of the handle, or a
            // binding of its own.
            let counter: Counter = match number % 3 {
                0 => knocks.clone().clone()[()].clone(),
                1 => (*knocks).clone(),
                _ => KNOCKS.bind_in(&registry, ("north", "front"))[()].clone(),
            };
            let (stays, people, together) = (stays.clone(), people.clone(), &together);
            scope.spawn(move || {
                together.wait();
                for turn in 0..EACH {
                    counter.increment();
                    if turn % 10 == 0 {
                        stays.record(0.5);
                        people.add(1.0);
                    }
                }
            });
        }
    });
    let all = EACH * THREADS as u64;
    assert_eq!(KNOCKS.read(&registry, ("north", "front"), ()), Some(all));
    let stays = STAYS.read(&registry, (), ()).unwrap();
    assert_eq!(stays.count(), all / 10);
    assert_eq!(stays.sum, all as f64 / 20.0, "halves add up exactly");
    assert_eq!(PEOPLE.read(&registry, (), ()), Some(all as f64 / 10.0));
}

#[test]
fn readers_see_a_counter_only_rise_while_it_is_written() {
    let registry = Registry::new();
    let knocks = KNOCKS.bind_in(&registry, ("north", "front"));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..300_000).for_each(|_| knocks.increment()));
        }
        let mut last = 0;
        while last < 600_000 {
            let now = KNOCKS.read(&registry, ("north", "front"), ()).unwrap();
            assert!(last <= now, "{last} became {now}");
            last = now;
        }
    });
}

#[test]
fn a_gauge_says_what_was_set_last() {
    let registry = Registry::new();
    let people = PEOPLE.bind_in(&registry, ());
    for value in [3.5, -1.0, 0.0, f64::MAX, f64::INFINITY, f64::NEG_INFINITY] {
        people.set(value);
        assert_eq!(PEOPLE.read(&registry, (), ()), Some(value));
    }
    people.set(f64::NAN);
    assert!(PEOPLE.read(&registry, (), ()).unwrap().is_nan());
    people.set(2.0);
    people.add(-3.0);
    assert_eq!(people.value(), -1.0);
}

fn states(registry: &Registry) -> [f64; 3] {
    DOORS.map(|door| STATE.read(registry, "north", door).unwrap())
}

#[test]
fn switching_leaves_exactly_one_state() {
    let registry = Registry::new();
    let state = STATE.bind_in(&registry, "north");
    assert_eq!(states(&registry), [0.0; 3]);
    for (place, door) in DOORS.into_iter().enumerate() {
        state.switch_to(door);
        let mut expected = [0.0; 3];
        expected[place] = 1.0;
        assert_eq!(states(&registry), expected);
    }
}

label_set! {
    /// Floors of a house: many, so that a switch takes a while.
    enum Floor: "floor" {
        /// The lowest.
        Ground = "0",
        /// The next.
        First = "1",
        /// The next.
        Second = "2",
        /// The next.
        Third = "3",
        /// The next.
        Fourth = "4",
        /// The next.
        Fifth = "5",
        /// The next.
        Sixth = "6",
        /// The highest.
        Attic = "7",
    }
}

static LIFT: Metric<Gauge, Floor> = Metric::gauge("lift", "Where the lift is.", Unit::Count);

#[test]
fn switching_at_once_leaves_exactly_one_state() {
    const ROUNDS: usize = 50_000;
    let registry = Registry::new();
    // A barrier that wakes one after the other would keep them apart.
    let arrived = AtomicUsize::new(0);
    let meet = |round: usize| {
        arrived.fetch_add(1, SeqCst);
        while arrived.load(SeqCst) < 2 * round {
            std::hint::spin_loop();
        }
    };
    let race = |to: Floor, check: &mut dyn FnMut()| {
        // Each binds its own: they race as those do who clone one.
        let lift = LIFT.bind_in(&registry, ());
        for round in 0..ROUNDS {
            meet(2 * round + 1);
            lift.switch_to(to);
            meet(2 * round + 2);
            check();
        }
    };
    let mut wrong = 0;
    thread::scope(|scope| {
        scope.spawn(|| race(Floor::Attic, &mut || {}));
        race(Floor::Ground, &mut || {
            let on = |floor| LIFT.read(&registry, (), floor).unwrap();
            // The others are set to zero by both.
            wrong += usize::from(on(Floor::Ground) + on(Floor::Attic) != 1.0);
        });
    });
    assert_eq!(
        wrong, 0,
        "of {ROUNDS} rounds ended without exactly one state"
    );
}

#[test]
fn the_gauges_of_an_instance_are_exported_as_long_as_somebody_holds_them() {
    fn is_exported(registry: &Registry) -> bool {
        let gathered = registry.gather();
        let states = gathered
            .iter()
            .find(|metric| metric.description.name == "house_door");
        states.is_some_and(|metric| !metric.series.is_empty())
    }
    let registry = Registry::new();
    let family = STATE.bind_in(&registry, "north");
    assert!(is_exported(&registry));
    let handle: Gauge = family[Door::Open].clone();
    drop(family);
    assert!(is_exported(&registry), "one handle is still held");
    handle.set(1.0);
    assert_eq!(STATE.read(&registry, "north", Door::Open), Some(1.0));
    drop(handle);
    assert!(!is_exported(&registry), "nobody holds it");
}

#[test]
fn the_gauge_of_the_process_stays_when_nobody_holds_it() {
    let registry = Registry::new();
    PEOPLE.bind_in(&registry, ()).set(7.0);
    let gathered = registry.gather();
    assert_eq!(gathered[0].series[0].reading, Reading::Gauge(7.0));
}

#[test]
fn what_is_gathered_is_in_the_order_of_names() {
    let registry = Registry::new();
    for house in ["south", "north", "east"] {
        VISITS.bind_in(&registry, house);
    }
    let _people = PEOPLE.bind_in(&registry, ());
    let gathered = registry.gather();
    let names: Vec<_> = gathered
        .iter()
        .map(|metric| metric.description.name)
        .collect();
    assert_eq!(names, ["house_visits_total", "people"]);
    let mut houses: Vec<_> = gathered[0]
        .series
        .iter()
        .map(|series| series.labels[0].1)
        .collect();
    houses.dedup();
    assert_eq!(houses, ["east", "north", "south"]);
}
