use rs_core::{Unit, label_set};
use rs_metrics::{
    CATALOGUE, Catalogue, Counter, Describe, Gauge, Histogram, LATENCY, Metric, MetricKind,
};

label_set! {
    /// How it was.
    enum Taste: "taste" {
        /// Good.
        Good = "good",
        /// Bad.
        Bad = "bad",
    }
}

static CUPS: Metric<Counter, Taste, 2> = Metric::counter("cups_total", "Cups of tea.")
    .by(["house", "sort"])
    .capped_at(50);
static HEAT: Metric<Gauge> = Metric::gauge("heat", "How hot.", Unit::Share);
static BREWED: Metric<Histogram> =
    Metric::histogram("brew_seconds", "How long.", Unit::Seconds, LATENCY);
static SIZE: Metric<Gauge> = Metric::gauge("pot_bytes", "Of a | pot.", Unit::Bytes);
static TEA: Catalogue = Catalogue::new("tea", &[&CUPS, &HEAT, &BREWED, &SIZE]);

#[test]
fn a_metric_describes_itself() {
    let cups = CUPS.describe();
    assert_eq!((cups.name, cups.help), ("cups_total", "Cups of tea."));
    assert_eq!(
        (cups.kind, cups.unit, cups.cap),
        (MetricKind::Counter, Unit::Count, 50)
    );
    assert_eq!(cups.open, ["house", "sort"]);
    assert_eq!(cups.closed, [("taste", &["good", "bad"][..])]);
    assert_eq!(cups.series(), 2);
    assert_eq!(Describe::describe(&BREWED).bounds, LATENCY);
    assert_eq!(HEAT.describe().series(), 1);
    assert_eq!(CUPS.name(), "cups_total");
    assert_eq!(HEAT.describe().cap, Metric::<Gauge>::CAP);
}

#[test]
fn the_reference_has_a_row_for_each_in_its_order() {
    let expected = "\
## tea

| metric | kind | unit | labels | what it says |
|---|---|---|---|---|
| `cups_total` | counter |  | `house`; `sort`; `taste`: good, bad | Cups of tea. |
| `heat` | gauge | share, 0 to 1 |  | How hot. |
| `brew_seconds` | histogram | seconds |  | How long. |
| `pot_bytes` | gauge | bytes |  | Of a \\| pot. |
";
    assert_eq!(TEA.reference(), expected);
    assert_eq!(TEA.of(), "tea");
}

#[test]
fn the_crate_lists_its_own() {
    let names: Vec<_> = CATALOGUE
        .descriptions()
        .iter()
        .map(|metric| metric.name)
        .collect();
    let expected = [
        "metrics_folded_instances_total",
        "metrics_conflicts_total",
        "metrics_observer_panics_total",
        "signals_lost_total",
        "names_folded_total",
    ];
    assert_eq!(names, expected);
}
