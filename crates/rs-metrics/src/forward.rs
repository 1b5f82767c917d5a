use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use metrics::{Key, Label, Level, Metadata};

use crate::{Description, Distribution, Reading, Registry, Series};

/// Hands what a registry says to whichever recorder the `metrics` facade has, for people who export
/// with another exporter than this crate's.
///
/// Call [`Forwarder::forward`] on a timer. Each time the series are registered anew, so that it does
/// not matter when the recorder was installed, nor whether it forgot a series that was idle. Counters
/// and gauges arrive exactly. The facade takes only single values for histograms: each value arrives
/// as the upper bound of its bucket.
///
/// ```
/// use rs_metrics::{Counter, Forwarder, Metric, Registry};
///
/// static CUPS: Metric<Counter> = Metric::counter("tea_cups_total", "Cups of tea.");
/// let registry = Registry::new();
/// CUPS.bind_in(&registry, ()).increment();
///
/// let forwarder = Forwarder::new(registry);
/// // … on a timer:
/// forwarder.forward();
/// ```
#[derive(Clone)]
pub struct Forwarder {
    registry: Registry,
    /// What each histogram had counted when it was last handed over.
    handed_over: Arc<Mutex<HashMap<Key, Vec<u64>>>>,
}

static METADATA: Metadata<'static> =
    Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

impl Forwarder {
    /// Hands over what this registry says.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        Self {
            registry,
            handed_over: Arc::default(),
        }
    }

    /// Hands over what the registry says now.
    pub fn forward(&self) {
        for gathered in self.registry.gather() {
            metrics::with_recorder(|recorder| describe(recorder, &gathered.description));
            for series in &gathered.series {
                self.forward_series(gathered.description.name, series);
            }
        }
    }

    fn forward_series(&self, name: &'static str, series: &Series) {
        let labels = series.labels.iter();
        let labels: Vec<_> = labels
            .map(|(key, value)| Label::from_static_parts(key, value))
            .collect();
        let key = Key::from_parts(name, labels);
        metrics::with_recorder(|recorder| match &series.reading {
            Reading::Counter(count) => {
                recorder.register_counter(&key, &METADATA).absolute(*count);
            }
            Reading::Gauge(value) => recorder.register_gauge(&key, &METADATA).set(*value),
            Reading::Histogram(spread) => {
                let histogram = recorder.register_histogram(&key, &METADATA);
                for (value, count) in self.fresh(&key, spread) {
                    histogram.record_many(value, count);
                }
            }
        });
    }

    /// How many values each bucket got since the last time, by its upper bound.
    fn fresh(&self, key: &Key, spread: &Distribution) -> Vec<(f64, usize)> {
        let mut handed_over = self
            .handed_over
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let before = handed_over.entry(key.clone()).or_default();
        before.resize(spread.counts.len(), 0);
        let beyond = spread.bounds.last().map(|last| last * 2.0);
        let values = spread.bounds.iter().copied().chain(beyond);
        let fresh = values
            .zip(spread.counts.iter().zip(before.iter()))
            .map(|(value, (now, before))| (value, now.saturating_sub(*before) as usize))
            .filter(|(_, count)| *count > 0)
            .collect();
        before.clone_from(&spread.counts);
        fresh
    }
}

fn describe(recorder: &dyn metrics::Recorder, metric: &Description) {
    let (name, help) = (metric.name.into(), metric.help.into());
    match metric.kind {
        crate::MetricKind::Counter => recorder.describe_counter(name, None, help),
        crate::MetricKind::Gauge => recorder.describe_gauge(name, None, help),
        crate::MetricKind::Histogram => recorder.describe_histogram(name, None, help),
    }
}

impl fmt::Debug for Forwarder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forwarder")
            .field("registry", &self.registry)
            .finish_non_exhaustive()
    }
}
