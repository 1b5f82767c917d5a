use std::{sync::mpsc, thread};

use rs_core::{Name, Unit, label_set};
use rs_metrics::{Counter, Family, Gauge, Metric, Reading, Registry};

label_set! {
    /// How a letter went.
    enum Letter: "letter" {
        /// It arrived.
        Arrived = "arrived",
        /// It did not.
        Lost = "lost",
    }
}

static LETTERS: Metric<Counter, Letter, 1> = Metric::counter("letters_total", "Letters.")
    .by(["town"])
    .capped_at(3);
static ROUTES: Metric<Counter, (), 2> = Metric::counter("routes_total", "Routes.")
    .by(["from", "to"])
    .capped_at(2);
static WAITING: Metric<Gauge, (), 1> =
    Metric::gauge("letters_waiting", "Letters that wait.", Unit::Count)
        .by(["town"])
        .capped_at(2);
static PARCELS: Metric<Counter, (), 1> = Metric::counter("parcels_total", "Parcels.")
    .by(["town"])
    .capped_at(100);
static NONE: Metric<Counter, (), 1> = Metric::counter("none_total", "All in one.")
    .by(["town"])
    .capped_at(0);

/// What this counter about metrics says of a metric.
fn about(registry: &Registry, counter: &str, metric: &str) -> u64 {
    let gathered = registry.gather();
    let series = gathered
        .iter()
        .filter(|gathered| gathered.description.name == counter)
        .flat_map(|gathered| &gathered.series)
        .find(|series| series.labels == [("metric", metric)]);
    series.map_or(0, |series| match series.reading {
        Reading::Counter(count) => count,
        _ => 0,
    })
}

fn folded(registry: &Registry, metric: &str) -> u64 {
    about(registry, "metrics_folded_instances_total", metric)
}

fn series(registry: &Registry, metric: &str) -> usize {
    let gathered = registry.gather();
    let metric = gathered
        .iter()
        .find(|gathered| gathered.description.name == metric);
    metric.map_or(0, |metric| metric.series.len())
}

#[test]
fn beyond_the_cap_instances_share_one_series() {
    let registry = Registry::new();
    let towns = ["ayr", "bath", "cork"].map(|town| LETTERS.bind_in(&registry, town));
    assert_eq!(folded(&registry, "letters_total"), 0);
    let derby = LETTERS.bind_in(&registry, "derby");
    let ely = LETTERS.bind_in(&registry, "ely");
    derby[Letter::Lost].increment();
    ely[Letter::Lost].add(2);
    assert_eq!(LETTERS.read(&registry, Name::OTHER, Letter::Lost), Some(3));
    assert_eq!(LETTERS.read(&registry, "derby", Letter::Lost), None);
    assert_eq!(folded(&registry, "letters_total"), 2);

    // Those that were there stay themselves.
    LETTERS.bind_in(&registry, "ayr")[Letter::Arrived].increment();
    assert_eq!(towns[0][Letter::Arrived].value(), 1);
    assert_eq!(folded(&registry, "letters_total"), 2);
    assert_eq!(series(&registry, "letters_total"), 4 * 2);
}

#[test]
fn every_name_of_a_folded_instance_becomes_other() {
    let registry = Registry::new();
    let _held = [("a", "b"), ("b", "a")].map(|route| ROUTES.bind_in(&registry, route));
    ROUTES.bind_in(&registry, ("a", "c")).increment();
    assert_eq!(
        ROUTES.read(&registry, (Name::OTHER, Name::OTHER), ()),
        Some(1)
    );
    assert_eq!(folded(&registry, "routes_total"), 1);
}

#[test]
fn an_instance_makes_room_when_its_last_handle_is_gone() {
    let registry = Registry::new();
    let mut towns: Vec<Family<Counter, Letter>> = ["ayr", "bath", "cork"]
        .map(|town| LETTERS.bind_in(&registry, town))
        .into();
    let clone = towns[0].clone();
    drop(towns.remove(0));
    LETTERS.bind_in(&registry, "derby");
    assert_eq!(folded(&registry, "letters_total"), 1, "a clone is held");
    drop(clone);
    let derby = LETTERS.bind_in(&registry, "derby");
    derby[Letter::Arrived].increment();
    assert_eq!(LETTERS.read(&registry, "derby", Letter::Arrived), Some(1));
    assert_eq!(
        LETTERS.read(&registry, "ayr", Letter::Arrived),
        None,
        "it made room"
    );
    assert_eq!(LETTERS.read(&registry, "bath", Letter::Arrived), Some(0));
    assert_eq!(folded(&registry, "letters_total"), 1);
}

#[test]
fn a_single_handle_keeps_its_instance() {
    let registry = Registry::new();
    let arrived: Vec<Counter> = ["ayr", "bath", "cork"]
        .map(|town| LETTERS.bind_in(&registry, town)[Letter::Arrived].clone())
        .into();
    LETTERS.bind_in(&registry, "derby");
    assert_eq!(
        folded(&registry, "letters_total"),
        1,
        "all three are in use"
    );
    for (town, arrived) in ["ayr", "bath", "cork"].into_iter().zip(&arrived) {
        arrived.increment();
        assert_eq!(LETTERS.read(&registry, town, Letter::Arrived), Some(1));
    }
}

#[test]
fn whoever_looks_does_not_take_up_room() {
    static BLOCKS: Metric<Gauge> = Metric::gauge("a_blocks", "Comes first.", Unit::Count);
    let registry = Registry::new();
    let (entered, has_entered) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = std::sync::Mutex::new(may_go_on);
    let _observed = BLOCKS.observe(&registry, (), move |()| {
        entered.send(()).unwrap();
        may_go_on.lock().unwrap().recv().unwrap();
        1.0
    });
    for town in ["ayr", "bath", "cork"] {
        LETTERS.bind_in(&registry, town);
    }
    thread::scope(|scope| {
        let gathering = scope.spawn(|| registry.gather());
        has_entered.recv().unwrap();
        // Nobody holds the three; that they are being read does not count.
        let derby = LETTERS.bind_in(&registry, "derby");
        derby[Letter::Lost].increment();
        go_on.send(()).unwrap();
        gathering.join().unwrap();
        go_on.send(()).unwrap();
        assert_eq!(folded(&registry, "letters_total"), 0);
        assert_eq!(LETTERS.read(&registry, "derby", Letter::Lost), Some(1));
    });
}

#[test]
fn a_stream_of_names_does_not_grow_the_registry() {
    let registry = Registry::new();
    let mut held = Vec::new();
    for number in 0..100_000_u32 {
        // Static text is kept by nobody; what is leaked here is the test's own.
        let name = Name::new(&format!("stream {number}"));
        let parcels = PARCELS.bind_in(&registry, name);
        parcels.increment();
        if number < 200 {
            held.push(parcels);
        }
    }
    assert_eq!(series(&registry, "parcels_total"), 100 + 1);
    let gathered = registry.gather();
    let all: u64 = gathered
        .iter()
        .filter(|metric| metric.description.name == "parcels_total")
        .flat_map(|metric| &metric.series)
        .map(|series| match series.reading {
            Reading::Counter(count) => count,
            _ => 0,
        })
        .sum();
    assert_eq!(all, 100_000, "what is folded is still counted");
}

#[test]
fn a_stream_of_names_that_nobody_keeps_does_not_grow_the_registry_either() {
    let registry = Registry::new();
    for number in 0..20_000_u32 {
        let name = Name::new(&format!("town {number}"));
        PARCELS.bind_in(&registry, name).increment();
        assert!(number % 1000 != 0 || series(&registry, "parcels_total") <= 100);
    }
    assert!(series(&registry, "parcels_total") <= 100);
    assert_eq!(
        folded(&registry, "parcels_total"),
        0,
        "there was always room"
    );
}

#[test]
fn gauges_that_are_gone_make_room() {
    let registry = Registry::new();
    let first = WAITING.bind_in(&registry, "ayr");
    let second = WAITING.bind_in(&registry, "bath");
    drop(first);
    let third = WAITING.bind_in(&registry, "cork");
    third.set(3.0);
    assert_eq!(WAITING.read(&registry, "cork", ()), Some(3.0));
    assert_eq!(folded(&registry, "letters_waiting"), 0);
    drop(second);
}

#[test]
fn an_observer_beyond_the_cap_is_left_out_and_counted() {
    let registry = Registry::new();
    let mut observed: Vec<_> = ["ayr", "bath"]
        .map(|town| WAITING.observe(&registry, town, |()| 1.0))
        .into();
    let beyond = WAITING.observe(&registry, "cork", |()| 9.0);
    assert_eq!(WAITING.read(&registry, "cork", ()), None);
    assert_eq!(WAITING.read(&registry, Name::OTHER, ()), None);
    assert_eq!(folded(&registry, "letters_waiting"), 1);
    drop(beyond);
    assert_eq!(series(&registry, "letters_waiting"), 2);
    observed.pop();
    let _cork = WAITING.observe(&registry, "cork", |()| 9.0);
    assert_eq!(WAITING.read(&registry, "cork", ()), Some(9.0));
}

#[test]
fn a_cap_of_zero_puts_all_in_one() {
    let registry = Registry::new();
    for town in ["ayr", "bath"] {
        NONE.bind_in(&registry, town).increment();
    }
    assert_eq!(NONE.read(&registry, Name::OTHER, ()), Some(2));
}

#[test]
fn threads_that_bind_at_the_cap_lose_nothing() {
    const EACH: u64 = 2_000;
    let registry = Registry::new();
    let towns = ["a", "b", "c", "d", "e", "f"];
    let _held: Vec<_> = towns
        .iter()
        .map(|town| LETTERS.bind_in(&registry, *town))
        .collect();
    thread::scope(|scope| {
        for town in towns {
            let registry = &registry;
            scope.spawn(move || {
                for _ in 0..EACH {
                    LETTERS.bind_in(registry, town)[Letter::Arrived].increment();
                }
            });
        }
    });
    let named = ["a", "b", "c"].map(|town| LETTERS.read(&registry, town, Letter::Arrived));
    assert_eq!(named, [Some(EACH); 3]);
    assert_eq!(
        LETTERS.read(&registry, Name::OTHER, Letter::Arrived),
        Some(3 * EACH)
    );
    assert_eq!(folded(&registry, "letters_total"), 3 + 3 * EACH);
}
