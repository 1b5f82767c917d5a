//! What a registry says, in Prometheus' text format.

use std::fmt::{self, Display, Write};

use crate::{Distribution, Gathered, Reading, Registry, Series};

impl Registry {
    /// What everything says now, in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        page_of(&self.gather())
    }
}

pub(crate) fn page_of(all: &[Gathered]) -> String {
    let mut page = String::new();
    for gathered in all {
        render(&mut page, gathered);
    }
    page
}

fn render(page: &mut String, gathered: &Gathered) {
    let metric = &gathered.description;
    let name = metric.name;
    // Writing to a string cannot fail.
    let _ = writeln!(
        page,
        "# HELP {name} {}",
        Escaped(metric.help, &['\\', '\n'])
    );
    let _ = writeln!(page, "# TYPE {name} {}", metric.kind);
    for series in &gathered.series {
        match &series.reading {
            Reading::Counter(count) => line(page, metric.name, "", series, None, count),
            Reading::Gauge(value) => line(page, metric.name, "", series, None, Number(*value)),
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
    line(page, name, "_sum", series, None, Number(spread.sum));
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
        let _ = write!(
            page,
            "{joint}{label}=\"{}\"",
            Escaped(text, &['\\', '\n', '"'])
        );
        joint = ',';
    }
    let end = if joint == ',' { "}" } else { "" };
    let _ = writeln!(page, "{end} {value}");
}

/// A number as Prometheus writes it; Rust writes `inf`.
struct Number(f64);

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            number => write!(f, "{number}"),
        }
    }
}

/// A text in which these characters are escaped. The exporter's own function takes what looks escaped
/// for escaped, so that two names could become one.
struct Escaped<'a>(&'a str, &'static [char]);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(text, special) = *self;
        for part in text.split_inclusive(special) {
            match part.char_indices().next_back() {
                Some((end, last)) if special.contains(&last) => {
                    f.write_str(part.get(..end).unwrap_or_default())?;
                    f.write_char('\\')?;
                    f.write_char(if last == '\n' { 'n' } else { last })?;
                }
                _ => f.write_str(part)?,
            }
        }
        Ok(())
    }
}
