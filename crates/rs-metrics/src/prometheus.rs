//! What a registry says, in Prometheus' text format.

use std::fmt::{Display, Write};

use metrics_exporter_prometheus::formatting::{
    sanitize_label_value, write_help_line, write_type_line,
};

use crate::{Distribution, Gathered, Reading, Registry, Series};

impl Registry {
    /// What everything says now, in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        let mut page = String::new();
        for gathered in self.gather() {
            render(&mut page, &gathered);
        }
        page
    }
}

fn render(page: &mut String, gathered: &Gathered) {
    let metric = &gathered.description;
    write_help_line(page, metric.name, None, None, metric.help);
    write_type_line(page, metric.name, None, None, &metric.kind.to_string());
    for series in &gathered.series {
        match &series.reading {
            Reading::Counter(count) => line(page, metric.name, "", series, None, count),
            Reading::Gauge(value) => line(page, metric.name, "", series, None, value),
            Reading::Histogram(spread) => render_histogram(page, metric.name, series, spread),
        }
    }
    page.push('\n');
}

fn render_histogram(page: &mut String, name: &str, series: &Series, spread: &Distribution) {
    let mut below = 0;
    let bounds = spread.bounds.iter().map(f64::to_string);
    for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(&spread.counts) {
        below += count;
        line(page, name, "_bucket", series, Some(&bound), below);
    }
    line(page, name, "_sum", series, None, spread.sum);
    line(page, name, "_count", series, None, below);
}

fn line(
    page: &mut String,
    name: &str,
    suffix: &str,
    series: &Series,
    bound: Option<&str>,
    value: impl Display,
) {
    page.push_str(name);
    page.push_str(suffix);
    let mut joint = '{';
    let labels = series.labels.iter().copied();
    for (label, text) in labels.chain(bound.map(|bound| ("le", bound))) {
        // Writing to a string cannot fail.
        let _ = write!(page, "{joint}{label}=\"{}\"", sanitize_label_value(text));
        joint = ',';
    }
    let end = if joint == ',' { "}" } else { "" };
    let _ = writeln!(page, "{end} {value}");
}
