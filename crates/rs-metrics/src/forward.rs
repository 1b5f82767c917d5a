use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use metrics::{Key, Label, Level, Metadata, Recorder};

use crate::{Description, Distribution, Reading, Registry, Series};

/// Hands what a registry says to whichever recorder the `metrics` facade has, for people who export
/// with another exporter than this crate's.
///
/// Call [`Forwarder::forward`] on a timer. Each time the series are registered anew, so that it does
/// not matter when the recorder was installed, nor whether it forgot a series that was idle. Counters
/// and gauges arrive exactly. The facade takes only single values for histograms: each value arrives
/// once, as the upper bound of its bucket; those above all bounds as a number that is above them, too.
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
    handed_over: Arc<Mutex<HandedOver>>,
}

/// What each recorder has of each series. There may be several: none at first, and those of tests.
type HandedOver = HashMap<(usize, Key), Had>;

/// What a recorder has of a series.
#[derive(Default)]
struct Had {
    /// Of the instance as it is now: a count, or one for each bucket.
    now: Vec<u64>,
    /// Of instances of that name that made room for others, of counters only.
    before: u64,
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
        // From before the numbers are read: of two that forward, the later one must not see less.
        let handed_over = self.handed_over.lock();
        let mut handed_over = handed_over.unwrap_or_else(PoisonError::into_inner);
        for gathered in self.registry.gather() {
            metrics::with_recorder(|recorder| {
                describe(recorder, &gathered.description);
                for series in &gathered.series {
                    forward(
                        recorder,
                        gathered.description.name,
                        series,
                        &mut handed_over,
                    );
                }
            });
        }
    }
}

fn forward(recorder: &dyn Recorder, name: &'static str, series: &Series, all: &mut HandedOver) {
    let labels = series.labels.iter();
    let labels: Vec<_> = labels
        .map(|(key, value)| Label::from_static_parts(key, value))
        .collect();
    let key = Key::from_parts(name, labels);
    let who = std::ptr::from_ref(recorder).cast::<()>().addr();
    let had = all.entry((who, key.clone())).or_default();
    match &series.reading {
        Reading::Counter(count) => {
            let count = had.count(*count);
            recorder.register_counter(&key, &METADATA).absolute(count);
        }
        Reading::Gauge(value) => recorder.register_gauge(&key, &METADATA).set(*value),
        Reading::Histogram(spread) => {
            let histogram = recorder.register_histogram(&key, &METADATA);
            for (value, count) in values(spread).zip(had.fresh(&spread.counts)) {
                if count > 0 {
                    histogram.record_many(value, count as usize);
                }
            }
        }
    }
}

impl Had {
    /// How often it happened in all.
    fn count(&mut self, now: u64) -> u64 {
        let had = self.now.first().copied().unwrap_or_default();
        if now < had {
            self.before += had;
        }
        self.now = vec![now];
        self.before.wrapping_add(now)
    }

    /// How many values each bucket got since the last time.
    fn fresh(&mut self, now: &[u64]) -> Vec<u64> {
        if now.iter().sum::<u64>() < self.now.iter().sum() {
            self.now.clear();
        }
        self.now.resize(now.len(), 0);
        let fresh = now.iter().zip(&self.now);
        let fresh = fresh.map(|(now, had)| now.saturating_sub(*had)).collect();
        self.now = now.to_vec();
        fresh
    }
}

/// A value for each bucket that falls into it.
fn values(spread: &Distribution) -> impl Iterator<Item = f64> {
    let last = spread.bounds.last().copied().unwrap_or_default();
    let beyond = last + last.abs().max(1.0);
    spread.bounds.iter().copied().chain([beyond])
}

fn describe(recorder: &dyn Recorder, metric: &Description) {
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
