use std::panic::catch_unwind;

use rs_core::{Unit, label_set};
use rs_metrics::{Counter, Gauge, Histogram, LATENCY, Metric, Reading, Registry};

label_set! {
    /// A colour.
    enum Colour: "colour" {
        /// As blood.
        Red = "red",
        /// As the sky.
        Blue = "blue",
    }
}

static CARS: Metric<Counter, Colour, 1> = Metric::counter("cars_total", "Cars.").by(["street"]);
static CARS_AS_GAUGE: Metric<Gauge, Colour, 1> =
    Metric::gauge("cars_total", "Cars.", Unit::Count).by(["street"]);
static CARS_BARE: Metric<Counter, (), 1> = Metric::counter("cars_total", "Cars.").by(["street"]);
static CARS_ELSEWHERE: Metric<Counter, Colour, 1> =
    Metric::counter("cars_total", "Cars.").by(["town"]);
static CARS_TOLD_BETTER: Metric<Counter, Colour, 1> =
    Metric::counter("cars_total", "Cars that passed.")
        .by(["street"])
        .capped_at(7);

fn conflicts(registry: &Registry) -> u64 {
    let gathered = registry.gather();
    let series = gathered
        .iter()
        .filter(|metric| metric.description.name == "metrics_conflicts_total")
        .flat_map(|metric| &metric.series)
        .find(|series| series.labels == [("metric", "cars_total")]);
    series.map_or(0, |series| match series.reading {
        Reading::Counter(count) => count,
        _ => 0,
    })
}

#[test]
fn another_kind_or_other_labels_are_counted_and_harmless() {
    let registry = Registry::new();
    let cars = CARS.bind_in(&registry, "main");
    cars[Colour::Red].add(5);

    let gauge = CARS_AS_GAUGE.bind_in(&registry, "main");
    gauge[Colour::Red].set(1e9);
    assert_eq!(gauge[Colour::Red].value(), 1e9, "its handles work");
    CARS_BARE.bind_in(&registry, "main").add(100);
    CARS_ELSEWHERE.bind_in(&registry, "main")[Colour::Red].add(100);
    let observed = CARS_BARE.observe(&registry, "main", |()| 100);
    assert_eq!(conflicts(&registry), 4);
    drop(observed);

    assert_eq!(CARS.read(&registry, "main", Colour::Red), Some(5));
    let gathered = registry.gather();
    let cars = gathered
        .iter()
        .filter(|metric| metric.description.name == "cars_total");
    let series: Vec<_> = cars.flat_map(|metric| &metric.series).collect();
    assert_eq!(series.len(), 2, "{series:?}");
}

#[test]
fn one_that_conflicts_reads_nothing_of_the_other() {
    let registry = Registry::new();
    let cars = CARS.bind_in(&registry, "main");
    cars[Colour::Red].add(5);
    assert_eq!(CARS_BARE.read(&registry, "main", ()), None);
    assert_eq!(CARS_ELSEWHERE.read(&registry, "main", Colour::Red), None);
    assert_eq!(CARS_AS_GAUGE.read(&registry, "main", Colour::Red), None);
}

/// Two versions of a crate in one process differ in no more than this.
#[test]
fn another_help_text_or_cap_is_no_conflict() {
    let registry = Registry::new();
    CARS.bind_in(&registry, "main")[Colour::Red].increment();
    CARS_TOLD_BETTER.bind_in(&registry, "main")[Colour::Red].increment();
    assert_eq!(conflicts(&registry), 0);
    assert_eq!(CARS.read(&registry, "main", Colour::Red), Some(2));
    assert_eq!(
        CARS_TOLD_BETTER.read(&registry, "main", Colour::Red),
        Some(2)
    );
}

/// The counters of conflicts and folds have names that others can take, too.
#[test]
fn taking_the_names_of_the_metrics_about_metrics_is_harmless() {
    static TAKEN: Metric<Gauge> = Metric::gauge("metrics_conflicts_total", "Mine.", Unit::Count);
    static TAKEN_TOO: Metric<Gauge> =
        Metric::gauge("metrics_folded_instances_total", "Mine.", Unit::Count);
    static NARROW: Metric<Counter, (), 1> = Metric::counter("narrow_total", "Folds.")
        .by(["of"])
        .capped_at(1);
    let registry = Registry::new();
    TAKEN.bind_in(&registry, ()).set(1.0);
    TAKEN_TOO.bind_in(&registry, ()).set(2.0);
    CARS.bind_in(&registry, "main");
    CARS_BARE.bind_in(&registry, "main").increment();
    let _held = ["a", "b", "c"].map(|of| NARROW.bind_in(&registry, of));
    assert_eq!(TAKEN.read(&registry, (), ()), Some(1.0));
    assert_eq!(TAKEN_TOO.read(&registry, (), ()), Some(2.0));
}

#[test]
fn a_metric_that_no_exporter_could_show_is_not_declared() {
    #[track_caller]
    fn refused(problem: &str, declare: fn()) {
        let panic = catch_unwind(declare).expect_err(problem);
        let said = panic.downcast_ref::<&str>().copied().unwrap_or_default();
        assert!(said.contains(problem), "`{said}` does not say `{problem}`");
    }
    fn counter<const N: usize>(name: &'static str, labels: [&'static str; N]) {
        let _ = Metric::<Counter>::counter(name, "").by(labels);
    }
    fn buckets(bounds: &'static [f64]) {
        let _ = Metric::<Histogram>::histogram("x", "", Unit::Seconds, bounds);
    }
    refused("name", || counter("", []));
    refused("name", || counter("two words_total", []));
    refused("name", || counter("2_total", []));
    refused("name", || counter("größe_total", []));
    refused("name", || counter("x_total{a=\"b\"}_total", []));
    refused("`_total`", || counter("cars", []));
    refused("label", || counter("x_total", [""]));
    refused("label", || counter("x_total", ["2nd"]));
    refused("label", || counter("x_total", ["a-b"]));
    refused("label", || counter("x_total", ["__name__"]));
    refused("label", || counter("x_total", ["le"]));
    refused("twice", || counter("x_total", ["a", "a"]));
    refused("twice", || {
        let _ = Metric::<Counter, Colour>::counter("x_total", "").by(["colour"]);
    });
    refused("rise", || buckets(&[1.0, 1.0]));
    refused("rise", || buckets(&[2.0, 1.0]));
    refused("rise", || buckets(&[1.0, f64::NAN]));
    refused("finite", || buckets(&[f64::NAN]));
    refused("finite", || buckets(&[1.0, f64::INFINITY]));

    counter("a:b_C9_total", ["_a", "B9"]);
    buckets(&[]);
    buckets(LATENCY);
    buckets(&[-1.0, 0.0]);
}
