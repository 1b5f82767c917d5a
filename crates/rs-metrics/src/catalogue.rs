use std::fmt::Write;

use rs_core::Unit;

use crate::{Describe, Description, MetricKind, registry};

/// The metrics of a crate, listed once.
///
/// From it come the reference of all metrics, dashboards and alert rules, and the tests that compare
/// them with what a live process exports.
///
/// ```
/// use rs_metrics::{Catalogue, Counter, Metric};
///
/// static PAYMENTS: Metric<Counter> = Metric::counter("desk_payments_total", "Payments tried.");
/// pub static CATALOGUE: Catalogue = Catalogue::new("cash desk", &[&PAYMENTS]);
///
/// assert_eq!(CATALOGUE.descriptions()[0].name, "desk_payments_total");
/// ```
#[derive(Clone, Copy)]
pub struct Catalogue {
    of: &'static str,
    metrics: &'static [&'static dyn Describe],
}

impl Catalogue {
    /// The metrics of what is named here: `circuit breaker`.
    #[must_use]
    pub const fn new(of: &'static str, metrics: &'static [&'static dyn Describe]) -> Self {
        Self { of, metrics }
    }

    /// Whose metrics they are.
    #[must_use]
    pub const fn of(&self) -> &'static str {
        self.of
    }

    /// What is known of each metric.
    #[must_use]
    pub fn descriptions(&self) -> Vec<Description> {
        self.metrics
            .iter()
            .map(|metric| metric.describe())
            .collect()
    }

    /// The reference of these metrics, in Markdown.
    #[must_use]
    pub fn reference(&self) -> String {
        let mut page = format!("## {}\n", self.of);
        page.push_str(
            "\n| metric | kind | unit | labels | what it says |\n|---|---|---|---|---|\n",
        );
        for metric in self.descriptions() {
            let Description {
                name, kind, help, ..
            } = &metric;
            let (unit, labels) = (unit_of(&metric), labels_of(&metric));
            let help = help.replace('|', "\\|");
            // Writing to a string cannot fail.
            let _ = writeln!(page, "| `{name}` | {kind} | {unit} | {labels} | {help} |");
        }
        page
    }
}

impl std::fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalogue")
            .field("of", &self.of)
            .field("metrics", &self.metrics.len())
            .finish()
    }
}

fn unit_of(metric: &Description) -> &'static str {
    match (metric.unit, metric.kind) {
        (Unit::Share, _) => "share, 0 to 1",
        (Unit::Seconds, _) => "seconds",
        (Unit::PerSecond, _) => "per second",
        (Unit::Bytes, _) => "bytes",
        (_, MetricKind::Counter) => "",
        _ => "count",
    }
}

fn labels_of(metric: &Description) -> String {
    let open = metric.open.iter().map(|label| format!("`{label}`"));
    let closed = metric
        .closed
        .iter()
        .map(|(label, values)| format!("`{label}`: {}", values.join(", ")));
    open.chain(closed).collect::<Vec<_>>().join("; ")
}

/// What this crate exports about metrics themselves.
pub static CATALOGUE: Catalogue = Catalogue::new(
    "metrics themselves",
    &[
        &registry::FOLDED,
        &registry::CONFLICTS,
        &registry::PANICS,
        &SIGNALS_LOST,
        &NAMES_FOLDED,
    ],
);

use crate::{Counter, Metric};

/// Signals that the flight recorder dropped.
pub(crate) static SIGNALS_LOST: Metric<Counter> = Metric::counter(
    "signals_lost_total",
    "Signals that the flight recorder dropped because their slot was busy.",
);

/// Names beyond the limit of the process.
pub(crate) static NAMES_FOLDED: Metric<Counter> = Metric::counter(
    "names_folded_total",
    "Names from outside that found the name table full and became `other`.",
);
